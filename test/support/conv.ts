/** Converts images and weights of convolutions between the layouts of the references and of the kernels. */
import { firstRows, type Matrix, roundUp } from '../../src/gpu/arena.ts';
import {
  type ConvShape,
  convOutputSize,
  convWeightColumns,
  groupChannels,
  tapColumns,
  tapsOf,
} from '../../src/kernels/conv_shape.ts';
import { type Bench, writeMatrix } from './gpu.ts';

/** Height, width and channels. */
export type ImageSize = readonly [height: number, width: number, channels: number];

/** The shape that a convolution reads, or that a transposed one writes. */
export const largeSide = ({ height, width, inChannels }: ConvShape): ImageSize => [height, width, inChannels];

/** The shape that a convolution writes, or that a transposed one reads. */
export function smallSide(shape: ConvShape): ImageSize {
  const { height, width } = convOutputSize(shape);
  return [height, width, shape.outChannels];
}

export const pixelCount = (batch: number, [height, width]: ImageSize): number => batch * height * width;

/**
 * A batch of images on the device, NHWC. Behind them lies at least one more image, filled with `behind`, and behind that the
 * row of zeros.
 * @param planned number of images for which the buffer is allocated
 */
export function image(
  bench: Bench,
  batch: number,
  size: ImageSize,
  values: ArrayLike<number>,
  behind = Number.NaN,
  planned = batch,
): Matrix {
  const matrix = bench.arena.image('image', planned + 1, ...size);
  const all = new Float32Array(matrix.rows * size[2]).fill(behind);
  all.set(Float32Array.from(values));
  writeMatrix(bench.gpu, matrix, all);
  return firstRows(matrix, pixelCount(batch, size));
}

/** Images for an output: 99 everywhere except in the pads. */
export function outputImage(bench: Bench, batch: number, size: ImageSize): Matrix {
  return image(bench, batch, size, new Float32Array(pixelCount(batch, size) * size[2]).fill(99), 99);
}

/** Weights [oc, ky, kx, ic] on the device, NaN behind the rows that kernels may read. */
export function weightMatrix(bench: Bench, shape: ConvShape, values: ArrayLike<number>): Matrix {
  const { outChannels } = shape;
  const [channels, padded] = [groupChannels(shape), tapColumns(shape)];
  const rows = roundUp(outChannels, 4);
  const matrix = bench.arena.matrix('weights', rows + 1, convWeightColumns(shape));
  const words = new Float32Array(matrix.rows * matrix.stride).fill(Number.NaN, rows * matrix.stride);
  const taps = tapsOf(shape);
  for (let i = 0; i < outChannels * taps * channels; i++) {
    const tap = Math.floor(i / channels);
    const at = Math.floor(tap / taps) * matrix.stride + (tap % taps) * padded;
    words[at + (i % channels)] = values[i];
  }
  bench.gpu.write(matrix, words);
  return { ...matrix, rows: outChannels, size: rows * matrix.stride * 4 };
}

/** The weights without pad channels: rows of `rowLength` values to [oc, ky, kx, ic]. */
export function unpadWeights(
  shape: ConvShape,
  padded: ArrayLike<number>,
  rowLength: number,
): Float32Array<ArrayBuffer> {
  const [taps, channels, columns] = [tapsOf(shape), groupChannels(shape), tapColumns(shape)];
  return Float32Array.from({ length: shape.outChannels * taps * channels }, (_, i) => {
    const tap = Math.floor(i / channels);
    return padded[Math.floor(tap / taps) * rowLength + (tap % taps) * columns + (i % channels)];
  });
}

/** The values in the pad channels of rows of `rowLength` values. */
export function padChannels(shape: ConvShape, padded: ArrayLike<number>, rowLength: number): number[] {
  const [columns, perTap] = [convWeightColumns(shape), tapColumns(shape)];
  return Array.from(padded).filter(
    (_, i) => i % rowLength < columns && (i % rowLength) % perTap >= groupChannels(shape),
  );
}
