import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/**
 * output = (input - mean) / deviation, channel by channel. With means of zero it turns the gradient of the output into that
 * of the input.
 *
 * @param args.input [pixels, channels]
 * @param args.constants the means, then the deviations, 2 x channels; no deviation may be zero
 * @param args.output the shape of the input, another buffer
 * @throws ShapeError
 */
export function recordNormalise(recorder: Recorder, args: { input: Matrix; constants: Matrix; output: Matrix }): void {
  const { input, constants, output } = args;
  const kernel = 'normalise';
  const shape = shapeConstants(kernel, 'input', input);
  requireSameShape(kernel, 'input', input, 'output', output);
  const { STRIDE } = shapeConstants(kernel, 'constants', constants);
  if (constants.rows !== 2 || constants.columns !== input.columns || constants.stride < input.stride) {
    throw new ShapeError(
      `${kernel}: constants are ${constants.rows} x ${constants.columns} (stride ${constants.stride}) but input has ` +
        `${input.columns} channels (stride ${input.stride}); a mean and a deviation per channel are needed`,
    );
  }
  const grid = flatGrid((input.rows * input.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'activation/normalise.wgsl',
      constants: { ...shape, ...grid.constants, CONSTANTS_STRIDE: STRIDE },
    },
    bindings: [
      ['read', input],
      ['read', constants],
      ['write', output],
    ],
    workgroups: grid.workgroups,
    flops: 2 * input.rows * input.columns,
  });
}
