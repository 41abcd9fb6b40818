import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/**
 * Copies images to images of another shape that have the same values in the order channels, height, width: PyTorch's reshape
 * and flatten. The same call with input and output exchanged is the inverse, and the backward pass.
 *
 * @param args.batch number of images, of which each has the same number of rows
 * @param args.input [pixels (NHWC), channels]
 * @param args.output the same number of elements, another buffer; pads are written zero
 * @throws ShapeError
 */
export function recordReshapeChannelsFirst(
  recorder: Recorder,
  args: { batch: number; input: Matrix; output: Matrix },
): void {
  const { batch, input, output } = args;
  const kernel = 'reshape_channels_first';
  const from = shapeConstants(kernel, 'input', input);
  const to = shapeConstants(kernel, 'output', output);
  const [fromPixels, toPixels] = [input.rows / batch, output.rows / batch];
  if (!Number.isInteger(fromPixels) || !Number.isInteger(toPixels)) {
    throw new ShapeError(
      `${kernel}: ${input.rows} and ${output.rows} rows are not the same number for ${batch} images`,
    );
  }
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
      path: 'image/reshape_channels_first.wgsl',
      constants: { ...constants, ...to, PIXELS: toPixels, X_PIXELS: fromPixels, X_STRIDE: from.STRIDE },
    },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
  });
}
