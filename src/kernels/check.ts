import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { ShaderConstant } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';

const describe = (matrix: Pick<Matrix, 'rows' | 'columns' | 'stride'>) =>
  `${matrix.rows} x ${matrix.columns} (stride ${matrix.stride})`;

/**
 * Checks a matrix and returns its prelude constants ROWS, COLUMNS and STRIDE.
 * @throws ShapeError when it is empty, its stride is not a multiple of 4 or is below its columns, or its view is too small
 */
export function shapeConstants(
  kernel: string,
  name: string,
  matrix: Matrix,
): Record<'ROWS' | 'COLUMNS' | 'STRIDE', ShaderConstant> {
  const { rows, columns, stride } = matrix;
  if (rows < 1 || columns < 1 || stride < columns || stride % 4 !== 0) {
    throw new ShapeError(
      `${kernel}: ${name} is ${describe(matrix)}; it needs rows, columns, and a stride >= columns that is a multiple of 4`,
    );
  }
  requireBytes(kernel, name, matrix, rows * stride * 4);
  return { ROWS: rows, COLUMNS: columns, STRIDE: stride };
}

/** @throws ShapeError naming both shapes if rows, columns or stride differ from `expected`, or if the view is too small */
export function requireSameShape(
  kernel: string,
  expectedName: string,
  expected: Pick<Matrix, 'rows' | 'columns' | 'stride'>,
  name: string,
  matrix: Matrix,
): void {
  if (matrix.rows !== expected.rows || matrix.columns !== expected.columns || matrix.stride !== expected.stride) {
    throw new ShapeError(
      `${kernel}: ${name} is ${describe(matrix)} but ${expectedName} is ${describe(expected)}; they must agree`,
    );
  }
  requireBytes(kernel, name, matrix, matrix.rows * matrix.stride * 4);
}

/** Size of every image of a batch; an image is one matrix row, row-major, the channels of a pixel side by side. */
export interface ImageSize {
  /** Pixels. */
  readonly height: number;
  readonly width: number;
  /** Values per pixel: 1 (default) or 3. */
  readonly channels?: 1 | 3;
}

/** @throws ShapeError when a row does not have height x width x channels columns */
export function requireImages(
  kernel: string,
  name: string,
  matrix: Matrix,
  { height, width, channels = 1 }: ImageSize,
): void {
  const values = height * width * channels;
  if (height < 1 || width < 1 || matrix.columns !== values) {
    const size = channels === 1 ? `${height} x ${width}` : `${height} x ${width} x ${channels}`;
    throw new ShapeError(
      `${kernel}: ${name} is ${describe(matrix)} but images of ${size} have ${values} ${channels === 1 ? 'pixels' : 'values'}`,
    );
  }
}

/** @throws ShapeError when a view has fewer than `bytes` bytes */
export function requireBytes(kernel: string, name: string, view: BufferView, bytes: number): void {
  if (view.size < bytes) {
    throw new ShapeError(`${kernel}: ${name} has ${view.size} bytes, ${bytes} are needed`);
  }
}
