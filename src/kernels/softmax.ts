import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/**
 * output = softmax of every row of the input, or its logarithm.
 *
 * @param args.logarithm true for the log-softmax
 * @param args.input [rows, columns]
 * @param args.output the same shape, another buffer; pads are written zero
 * @throws ShapeError
 */
export function recordSoftmaxForward(
  recorder: Recorder,
  args: { logarithm: boolean; input: Matrix; output: Matrix },
): void {
  const { logarithm, input, output } = args;
  const kernel = 'softmax_forward';
  const shape = shapeConstants(kernel, 'input', input);
  requireSameShape(kernel, 'input', input, 'output', output);
  const { workgroups, constants } = flatGrid(input.rows);
  recorder.record({
    label: kernel,
    shader: { path: 'activation/softmax_forward.wgsl', constants: { ...shape, ...constants, LOG: logarithm } },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
    flops: 8 * input.rows * input.columns,
  });
}

/**
 * gradInput = the gradient with respect to the input, computed from the output of the forward pass.
 *
 * @param args.logarithm true for the log-softmax
 * @param args.output of {@link recordSoftmaxForward}, [rows, columns]
 * @param args.gradOutput the same shape
 * @param args.gradInput the same shape, another buffer; pads are written zero
 * @throws ShapeError
 */
export function recordSoftmaxBackward(
  recorder: Recorder,
  args: { logarithm: boolean; output: Matrix; gradOutput: Matrix; gradInput: Matrix },
): void {
  const { logarithm, output, gradOutput, gradInput } = args;
  const kernel = 'softmax_backward';
  const shape = shapeConstants(kernel, 'output', output);
  requireSameShape(kernel, 'output', output, 'gradOutput', gradOutput);
  requireSameShape(kernel, 'output', output, 'gradInput', gradInput);
  const { workgroups, constants } = flatGrid(output.rows);
  recorder.record({
    label: kernel,
    shader: { path: 'activation/softmax_backward.wgsl', constants: { ...shape, ...constants, LOG: logarithm } },
    bindings: [
      ['read', output],
      ['read', gradOutput],
      ['write', gradInput],
    ],
    workgroups,
    flops: 4 * output.rows * output.columns,
  });
}
