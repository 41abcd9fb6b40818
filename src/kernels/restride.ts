import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/**
 * Copies the elements of a matrix, in order, into rows of another length. It converts images of one channel between
 * [batch, height * width] and [batch * height * width, 1], and flattens NHWC images to one row per image.
 *
 * @param args.input any rows, columns and stride
 * @param args.output the same number of elements, another buffer; pads are written zero
 * @throws ShapeError
 */
export function recordRestride(recorder: Recorder, args: { input: Matrix; output: Matrix }): void {
  const { input, output } = args;
  const kernel = 'restride';
  const from = shapeConstants(kernel, 'input', input);
  const to = shapeConstants(kernel, 'output', output);
  if (input.rows * input.columns !== output.rows * output.columns) {
    throw new ShapeError(
      `${kernel}: input is ${input.rows} x ${input.columns} but output is ${output.rows} x ${output.columns}; ` +
        'they must have the same number of elements',
    );
  }
  const { workgroups, constants } = flatGrid((output.rows * output.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'image/restride.wgsl',
      constants: { ...constants, ...to, X_COLUMNS: from.COLUMNS, X_STRIDE: from.STRIDE },
    },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
  });
}
