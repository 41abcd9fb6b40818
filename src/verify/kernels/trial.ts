/** The parts of a check: its buffers, the recorded kernels, the expected values and the input values. */

import { Arena, type Matrix, roundUp } from '../../gpu/arena.ts';
import type { Gpu } from '../../gpu/device.ts';
import type { Dispatch } from '../../gpu/dispatch.ts';
import type { BufferView } from '../../gpu/guarded_device.ts';
import { type Program, Recorder } from '../../gpu/recorder.ts';
import { Random } from '../../random.ts';
import { TOLERANCES, type Tolerance } from '../../reference/tolerances.ts';

interface Output {
  readonly view: BufferView;
  /** The content that the buffer must have, pads included. */
  readonly expected: ArrayLike<number>;
  readonly tolerance: (index: number) => Tolerance;
  readonly words: boolean;
}

/** One kernel, or one variant of it, on one shape. */
export interface Check {
  readonly kernel: string;
  /** True if the kernel needs Gpu.quads. */
  readonly quads?: boolean;
  record(trial: Trial): void;
  /** Sets the step uniform. */
  prepare?(program: Program): void;
}

/** A recorder that lists the shaders of its dispatches, so that a check reports the shaders that it ran. */
class ListingRecorder extends Recorder {
  readonly shaders = new Set<string>();

  override record(dispatch: Dispatch): void {
    const { path, includes = {} } = dispatch.shader;
    for (const file of [path, ...Object.values(includes)]) this.shaders.add(file);
    super.record(dispatch);
  }
}

/** Buffers, recorded dispatches and expectations of one check. */
export class Trial {
  readonly gpu: Gpu;
  readonly arena: Arena;
  readonly recorder: ListingRecorder;
  readonly outputs: Output[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.arena = new Arena(gpu);
    this.recorder = new ListingRecorder(gpu);
  }

  /** A matrix of these values with zero pads, and zero rows up to a multiple of 4, as parameters have them. */
  matrix(rows: number, columns: number, values: ArrayLike<number>): Matrix {
    const matrix = this.arena.matrix('checked', roundUp(rows, 4), columns);
    this.gpu.write(matrix, pad(values, rows, columns, matrix.stride));
    return { ...matrix, rows };
  }

  /** The same with the narrow rows of images: one pixel per row, one channel per column. */
  images(rows: number, channels: number, values: ArrayLike<number>): Matrix {
    const matrix = this.arena.image('checked', rows, 1, 1, channels);
    this.gpu.write(matrix, pad(values, rows, channels, matrix.stride));
    return matrix;
  }

  /** A matrix for output: 99 everywhere except in the pads, so that elements that a kernel does not write are detected. */
  output(rows: number, columns: number): Matrix {
    return this.matrix(rows, columns, new Float32Array(rows * columns).fill(99));
  }

  imagesOutput(rows: number, channels: number): Matrix {
    return this.images(rows, channels, new Float32Array(rows * channels).fill(99));
  }

  buffer(values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>): BufferView {
    const view = this.arena.allocate('checked', values.byteLength);
    this.gpu.write(view, values);
    return view;
  }

  /** A buffer of `count` words for output. */
  results(count: number): BufferView {
    return this.buffer(new Float32Array(count).fill(99));
  }

  /** Expects rows x columns values in a matrix, and zeros in its pads. */
  expectMatrix(matrix: Matrix, expected: ArrayLike<number>, tolerance: Tolerance): void {
    const { rows, columns, stride } = matrix;
    this.outputs.push({
      view: { ...matrix, size: rows * stride * 4 },
      expected: pad(expected, rows, columns, stride, Float64Array),
      tolerance: (i) => (i % stride < columns ? tolerance : TOLERANCES.exact),
      words: false,
    });
  }

  /** Expects a buffer to begin with these f32. */
  expect(view: BufferView, expected: ArrayLike<number>, tolerance: Tolerance): void {
    this.outputs.push({
      view: { ...view, size: expected.length * 4 },
      expected,
      tolerance: () => tolerance,
      words: false,
    });
  }

  /** Expects a buffer to begin with these u32. */
  expectWords(view: BufferView, expected: Uint32Array): void {
    const words = { view: { ...view, size: expected.length * 4 }, expected, words: true };
    this.outputs.push({ ...words, tolerance: () => TOLERANCES.exact });
  }

  destroy(): void {
    this.arena.destroy();
    this.recorder.step.buffer.destroy();
  }
}

/** Values of a matrix with rows of `stride` elements, zero after `columns`. */
export function pad<T extends Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> = Float32Array<ArrayBuffer>>(
  values: ArrayLike<number>,
  rows: number,
  columns: number,
  stride: number,
  type: { new (length: number): T } = Float32Array as unknown as { new (length: number): T },
): T {
  const padded = new type(rows * stride);
  for (let i = 0; i < rows * columns; i++) padded[Math.floor(i / columns) * stride + (i % columns)] = values[i];
  return padded;
}

/** The inverse of {@link pad}. */
export function unpad(padded: ArrayLike<number>, rows: number, columns: number, stride: number): Float32Array {
  return Float32Array.from(
    { length: rows * columns },
    (_, i) => padded[Math.floor(i / columns) * stride + (i % columns)],
  );
}

/** Uniform numbers in -1..1 times `scale`, the same for the same seed. */
export function numbers(count: number, seed: number, scale = 1): Float32Array<ArrayBuffer> {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => (random.nextU32() / 2 ** 31 - 1) * scale);
}

/** Uniform numbers in 0..1: pixels. */
export function pixels(count: number, seed: number): Float32Array<ArrayBuffer> {
  return numbers(count, seed).map((value) => (value + 1) / 2);
}

export const ROWS = 5;
export const COLUMNS = 37;
export const SIZE = ROWS * COLUMNS;

/** Words of the step uniform. */
export const ITERATION = 8;
export const DRAW = 12;

export const plus = (a: Tolerance, b: Tolerance): Tolerance => ({
  relative: a.relative,
  absolute: a.absolute + b.absolute,
});
