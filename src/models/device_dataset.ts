import type { ImageDataset } from '../data/dataset.ts';
import type { Arena } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type ImageSizeInput, imageValues } from '../image_size.ts';
import { packedImageWords, packImages } from '../kernels/batch.ts';

/** A data set on the device: 8 bits per value, labels, and the order in which batches read it. */
export interface DeviceDataset {
  readonly pixels: BufferView;
  readonly labels: BufferView;
  /** One u32 per image: position in the epoch -> image. The user of the data set writes it. */
  readonly order: BufferView;
  /** Number of images. */
  readonly count: number;
  /** Values of an image: pixels times channels. */
  readonly imageSize: number;
  /** Height and width of the images in pixels, and their channels. */
  readonly shape: ImageSizeInput;
}

/**
 * Puts a data set on the device; `order` is allocated but not written.
 * @param arena that owns it
 * @throws LimitError where the adapter allows no buffer of that size
 */
export function uploadDataset(arena: Arena, dataset: ImageDataset): DeviceDataset {
  const imageSize = imageValues(dataset);
  const packed = packImages(dataset.images, imageSize);
  const pixels = arena.allocate('images', packed.byteLength);
  const labels = arena.allocate('labels', dataset.labels.byteLength);
  arena.gpu.write(pixels, packed);
  arena.gpu.write(labels, Uint32Array.from(dataset.labels));
  const order = arena.allocate('order', dataset.labels.byteLength);
  const { height, width, channels } = dataset;
  return { pixels, labels, order, count: dataset.labels.length, imageSize, shape: { height, width, channels } };
}

/** A data set whose images and labels occur several times, one whole copy after the other. @throws LimitError */
export function repeatDataset(arena: Arena, data: DeviceDataset, times: number): DeviceDataset {
  const { gpu } = arena;
  const pixelBytes = data.count * packedImageWords(data.imageSize) * 4;
  const pixels = arena.allocate('repeated images', times * pixelBytes);
  const labels = arena.allocate('repeated labels', times * data.count * 4);
  for (let copy = 0; copy < times; copy++) {
    gpu.copy(data.pixels, pixels, pixelBytes, copy * pixelBytes);
    gpu.copy(data.labels, labels, data.count * 4, copy * data.count * 4);
  }
  const order = arena.allocate('repeated order', times * data.count * 4);
  const { imageSize, shape } = data;
  return { pixels, labels, order, count: times * data.count, imageSize, shape };
}

/** Sizes of the batches of an epoch over `count` images: full ones, then the rest. */
export function batchSizes(count: number, batchSize: number): number[] {
  const sizes: number[] = [];
  for (let at = 0; at < count; at += batchSize) sizes.push(Math.min(batchSize, count - at));
  return sizes;
}
