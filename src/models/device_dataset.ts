import type { ImageDataset } from '../data/dataset.ts';
import type { Arena } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { packImages } from '../kernels/batch.ts';

/** A data set on the device: 8 bits per pixel, labels, and the order in which batches read it. */
export interface DeviceDataset {
  readonly pixels: BufferView;
  readonly labels: BufferView;
  /** One u32 per image: position in the epoch -> image. */
  readonly order: BufferView;
  readonly count: number;
  readonly imageSize: number;
}

/**
 * Puts a data set on the device.
 * @param arena that owns it
 * @throws LimitError where the adapter has no buffer that large
 */
export function uploadDataset(arena: Arena, dataset: ImageDataset): DeviceDataset {
  const imageSize = dataset.width * dataset.height;
  const packed = packImages(dataset.images, imageSize);
  const pixels = arena.allocate('images', packed.byteLength);
  const labels = arena.allocate('labels', dataset.labels.byteLength);
  arena.gpu.write(pixels, packed);
  arena.gpu.write(labels, Uint32Array.from(dataset.labels));
  const order = arena.allocate('order', dataset.labels.byteLength);
  return { pixels, labels, order, count: dataset.labels.length, imageSize };
}

/** Sizes of the batches of an epoch over `count` images: full ones, then the rest. */
export function batchSizes(count: number, batchSize: number): number[] {
  const sizes: number[] = [];
  for (let at = 0; at < count; at += batchSize) sizes.push(Math.min(batchSize, count - at));
  return sizes;
}
