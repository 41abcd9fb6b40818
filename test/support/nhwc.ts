/** PyTorch lays images out as NCHW, the engine as NHWC: a row per pixel, a column per channel. */
import type { Matrix } from '../../src/gpu/arena.ts';
import { type Bench, writeMatrix } from './gpu.ts';

/** Batch, channels, height and width, PyTorch's order. */
export type ImagesShape = readonly [batch: number, channels: number, height: number, width: number];

/** @throws Error when a tensor does not have four dimensions */
export function imagesShape(shape: readonly number[]): ImagesShape {
  if (shape.length !== 4)
    throw new Error(`[${shape}] is not a batch of images: batch, channels, height and width are needed`);
  return [shape[0], shape[1], shape[2], shape[3]];
}

/** [batch, channels, height, width] -> [batch * height * width, channels] */
export function toNhwc(values: ArrayLike<number>, [batch, channels, height, width]: ImagesShape): Float32Array {
  const pixels = height * width;
  return Float32Array.from({ length: batch * pixels * channels }, (_, i) => {
    const row = Math.floor(i / channels);
    return values[(Math.floor(row / pixels) * channels + (i % channels)) * pixels + (row % pixels)];
  });
}

/** [batch * height * width, channels] -> [batch, channels, height, width] */
export function toNchw(values: ArrayLike<number>, [batch, channels, height, width]: ImagesShape): Float32Array {
  const pixels = height * width;
  return Float32Array.from({ length: batch * pixels * channels }, (_, i) => {
    const plane = Math.floor(i / pixels);
    return values[(Math.floor(plane / channels) * pixels + (i % pixels)) * channels + (plane % channels)];
  });
}

/** Pixels of a batch of images on the device, in NHWC order, with the narrow rows of images. */
export function imageRows(bench: Bench, rows: number, values: ArrayLike<number>): Matrix {
  const matrix = bench.arena.image('images', rows, 1, 1, values.length / rows);
  writeMatrix(bench.gpu, matrix, values);
  return matrix;
}

/** Pixels for an output: 99 everywhere except in the pads, so that an element that is not written fails the test. */
export function imageRowsToWrite(bench: Bench, rows: number, channels: number): Matrix {
  return imageRows(bench, rows, new Float32Array(rows * channels).fill(99));
}
