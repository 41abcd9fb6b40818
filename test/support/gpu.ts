import { afterAll, beforeAll } from 'vitest';
import { Arena, type Matrix } from '../../src/gpu/arena.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import type { BufferView } from '../../src/gpu/guarded_device.ts';
import { type Program, Recorder } from '../../src/gpu/recorder.ts';
import { Random } from '../../src/random.ts';
import type { Tolerance } from '../../src/reference/tolerances.ts';
import { expectAllclose } from './allclose.ts';
import { openTestGpu } from './platform.ts';

/**
 * One device for a test file, opened before its tests and closed after them.
 *
 * @example
 * const device = useGpu();
 * it('...', async () => { await checkKernel(device.gpu, ...); });
 */
export function useGpu(): { readonly gpu: Gpu } {
  let gpu: Gpu | undefined;
  beforeAll(async () => {
    gpu = await openTestGpu();
  });
  afterAll(() => gpu?.close());
  return {
    get gpu() {
      if (!gpu) throw new Error('the device exists only while tests run');
      return gpu;
    },
  };
}

/** Uniform numbers in -1..1 times `scale`, the same for the same seed. */
export function randomValues(count: number, seed: number, scale = 1): Float32Array<ArrayBuffer> {
  const random = new Random(seed);
  return Float32Array.from({ length: count }, () => (random.nextU32() / 2 ** 31 - 1) * scale);
}

/** Writes rows x columns values into a matrix, and zeros into its pads. */
export function writeMatrix(gpu: Gpu, matrix: Matrix, values: ArrayLike<number>): void {
  const padded = new Float32Array(matrix.rows * matrix.stride);
  for (let i = 0; i < matrix.rows * matrix.columns; i++) {
    padded[Math.floor(i / matrix.columns) * matrix.stride + (i % matrix.columns)] = values[i];
  }
  gpu.write(matrix, padded);
}

/**
 * Reads the rows x columns values of a matrix.
 * @throws Error when a pad column is not zero
 */
export async function readMatrix(gpu: Gpu, matrix: Matrix, name = 'matrix'): Promise<Float32Array<ArrayBuffer>> {
  const { rows, columns, stride } = matrix;
  const padded = await gpu.readFloats({ ...matrix, size: rows * stride * 4 });
  const values = new Float32Array(rows * columns);
  for (let i = 0; i < padded.length; i++) {
    const column = i % stride;
    if (column < columns) values[Math.floor(i / stride) * columns + column] = padded[i];
    else if (padded[i] !== 0) {
      throw new Error(`${name}: row ${Math.floor(i / stride)}, pad column ${column} is ${padded[i]}, not 0`);
    }
  }
  return values;
}

/** The values that a kernel under test wrote, and the expected ones. */
export interface Output {
  readonly name: string;
  readonly view: Matrix | BufferView;
  readonly expected: ArrayLike<number>;
  readonly tolerance: Tolerance;
  /** Default f32. */
  readonly type?: 'u32';
}

/** Buffers and a recorder for one trial of {@link checkKernel}. */
export class Bench {
  readonly gpu: Gpu;
  readonly arena: Arena;
  readonly recorder: Recorder;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.arena = new Arena(gpu);
    this.recorder = new Recorder(gpu);
  }

  /** A matrix of these values with zeros in its pads. */
  matrix(rows: number, columns: number, values: ArrayLike<number>): Matrix {
    const matrix = this.arena.matrix('input', rows, columns);
    writeMatrix(this.gpu, matrix, values);
    return matrix;
  }

  /** A matrix for an output: 99 everywhere except in the pads, so that an element that is not written fails the test. */
  output(rows: number, columns: number): Matrix {
    return this.matrix(rows, columns, new Float32Array(rows * columns).fill(99));
  }

  /** A buffer of these values. */
  buffer(values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>): BufferView {
    const view = this.arena.allocate('input', values.byteLength);
    this.gpu.write(view, values);
    return view;
  }
}

/**
 * Runs what `build` records and compares the returned outputs with their expected values. Then it repeats the run on
 * fresh buffers and requires the same bits. Pads of matrices must be zero.
 *
 * @param build records dispatches; called twice, so it must do the same both times
 * @param prepare sets the step uniform
 */
export async function checkKernel(
  gpu: Gpu,
  build: (bench: Bench) => readonly Output[],
  prepare: (program: Program) => void = () => {},
): Promise<void> {
  const trial = async () => {
    const bench = new Bench(gpu);
    const outputs = build(bench);
    const program = await bench.recorder.build('kernel under test');
    prepare(program);
    program.run();
    const values: Uint32Array[] = [];
    for (const { name, view, expected, type } of outputs) {
      let actual: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
      if ('stride' in view) actual = await readMatrix(gpu, view, name);
      else {
        const part = { ...view, size: expected.length * 4 };
        actual = type === 'u32' ? await gpu.readWords(part) : await gpu.readFloats(part);
      }
      values.push(new Uint32Array(actual.buffer));
    }
    bench.arena.destroy();
    return { outputs, values };
  };
  const first = await trial();
  const second = await trial();
  first.outputs.forEach(({ name, expected, tolerance, type }, i) => {
    const bits = first.values[i];
    expectAllclose(type === 'u32' ? bits : new Float32Array(bits.buffer), expected, tolerance, name);
    const differing = bits.findIndex((word, j) => word !== second.values[i][j]);
    if (differing >= 0) throw new Error(`${name}: element ${differing} has other bits in a second run`);
  });
}
