import type { Gpu } from './device.ts';
import type { BufferView } from './guarded_device.ts';

/** Rows of every matrix start at a multiple of this many elements, so that kernels need no case for the end of a row. */
export const ROW_ALIGNMENT = 16;

/** `n` rounded up to a multiple of `multiple`. */
export function roundUp(n: number, multiple: number): number {
  return Math.ceil(n / multiple) * multiple;
}

/**
 * A matrix on the device, f32, row-major. A row holds `columns` values and zeros up to `stride` (a multiple of
 * `ROW_ALIGNMENT`, or of 4 for an image); every kernel preserves those zeros.
 */
export interface Matrix extends BufferView {
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
  /**
   * Index of a row behind the last one, counted from the start of the view, that is always zero. A convolution reads it
   * where its window extends beyond an edge. It lies beyond `size`, so a kernel that reads it must bind more.
   */
  readonly zeroRow?: number;
}

/**
 * The static memory plan of a model or an experiment: everything is allocated while it is built, nothing while it runs,
 * and all of it is freed together. Every tensor has its own buffer, because WebGPU does not let a dispatch read and write
 * the same buffer, not even in different places.
 */
export class Arena {
  readonly gpu: Gpu;
  readonly #buffers: GPUBuffer[] = [];
  readonly #scratch = new Map<string, GPUBuffer>();
  #bytes = 0;

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /** A buffer of `bytes`, zero-filled. @throws LimitError */
  allocate(label: string, bytes: number): BufferView {
    const buffer = this.gpu.createBuffer(label, bytes);
    this.#buffers.push(buffer);
    this.#bytes += buffer.size;
    return { buffer, offset: 0, size: buffer.size };
  }

  /** A zero-filled matrix, with a row of zeros behind it. @throws LimitError */
  matrix(label: string, rows: number, columns: number): Matrix {
    return this.#rows(label, rows, columns, roundUp(columns, ROW_ALIGNMENT));
  }

  /**
   * A zero-filled batch of images in NHWC: row (n * height + y) * width + x is one pixel, its columns are the channels,
   * padded with zeros to a multiple of 4 only, because layers near the pixels have few channels. @throws LimitError
   */
  image(label: string, batch: number, height: number, width: number, channels: number): Matrix {
    return this.#rows(label, batch * height * width, channels, roundUp(channels, 4));
  }

  #rows(label: string, rows: number, columns: number, stride: number): Matrix {
    const { buffer, offset } = this.allocate(label, (rows + 1) * stride * 4);
    return { buffer, offset, size: rows * stride * 4, rows, columns, stride, zeroRow: rows };
  }

  /**
   * A buffer that dispatches of one program share under a name, because its content is needed only by one dispatch and the
   * next (split-K partial sums). It grows while plans are made; before recording, call it with the largest size of the name.
   */
  scratch(name: string, bytes: number): BufferView {
    const known = this.#scratch.get(name);
    if (known && known.size >= bytes) return { buffer: known, offset: 0, size: known.size };
    const view = this.allocate(`scratch ${name}`, bytes);
    this.#scratch.set(name, view.buffer);
    return view;
  }

  /** Number of bytes allocated so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** For example `arena 3.1 MB, 14 buffers`. */
  toString(): string {
    return `arena ${(this.#bytes / 1e6).toFixed(1)} MB, ${this.#buffers.length} buffers`;
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.length = 0;
    this.#scratch.clear();
    this.#bytes = 0;
  }
}

/**
 * The first `rows` rows of a matrix, for a smaller batch in a buffer that is planned for the largest. The row of zeros stays
 * behind the rows of the whole matrix.
 */
export function firstRows(matrix: Matrix, rows: number): Matrix {
  return { ...matrix, rows, size: rows * matrix.stride * 4 };
}

/** Row `row` of a matrix, as a matrix. */
export function rowOf(matrix: Matrix, row: number): Matrix {
  const size = matrix.stride * 4;
  return { ...matrix, offset: matrix.offset + row * size, size, rows: 1, zeroRow: undefined };
}
