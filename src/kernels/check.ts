import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { ShaderConstant } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type ImageSizeInput, imageValues } from '../image_size.ts';

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

/** @throws ShapeError when a row does not have the height x width x channels values of an image */
export function requireImages(kernel: string, name: string, matrix: Matrix, size: ImageSizeInput): void {
  const { height, width, channels = 1 } = size;
  const values = imageValues(size);
  if (height < 1 || width < 1 || matrix.columns !== values) {
    const shape = channels === 1 ? `${height} x ${width}` : `${height} x ${width} x ${channels}`;
    throw new ShapeError(
      `${kernel}: ${name} is ${describe(matrix)} but images of ${shape} have ${values} ${channels === 1 ? 'pixels' : 'values'}`,
    );
  }
}

/** @throws ShapeError when a view has fewer than `bytes` bytes */
export function requireBytes(kernel: string, name: string, view: BufferView, bytes: number): void {
  if (view.size < bytes) {
    throw new ShapeError(`${kernel}: ${name} has ${view.size} bytes, ${bytes} are needed`);
  }
}
