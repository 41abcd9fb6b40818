import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/**
 * output[r, j] = input[r, j] - log sum_k exp(input[r, k]), computed from the differences to the row's maximum: a
 * confidence too small for f32 still has its logarithm.
 *
 * @param args.input logits, [rows, classes]
 * @param args.output the same shape, another buffer
 * @throws ShapeError
 */
export function recordLogSoftmaxForward(recorder: Recorder, args: { input: Matrix; output: Matrix }): void {
  recordForward(recorder, 'log_softmax_forward', args);
}

/**
 * output[r, j] = exp(input[r, j]) / sum_k exp(input[r, k]), computed from the differences to the row's maximum.
 *
 * @param args.input logits, [rows, classes]
 * @param args.output the same shape, another buffer
 * @throws ShapeError
 */
export function recordSoftmaxForward(recorder: Recorder, args: { input: Matrix; output: Matrix }): void {
  recordForward(recorder, 'softmax_forward', args);
}

/**
 * gradInput = gradOutput - exp(output) * (row sum of gradOutput).
 *
 * @param args.output of {@link recordLogSoftmaxForward}, [rows, classes]; the gradients have its shape
 * @throws ShapeError
 */
export function recordLogSoftmaxBackward(
  recorder: Recorder,
  args: { output: Matrix; gradOutput: Matrix; gradInput: Matrix },
): void {
  recordBackward(recorder, 'log_softmax_backward', args);
}

/**
 * gradInput = output * (gradOutput - (row sum of gradOutput * output)).
 *
 * @param args.output of {@link recordSoftmaxForward}, [rows, classes]; the gradients have its shape
 * @throws ShapeError
 */
export function recordSoftmaxBackward(
  recorder: Recorder,
  args: { output: Matrix; gradOutput: Matrix; gradInput: Matrix },
): void {
  recordBackward(recorder, 'softmax_backward', args);
}

function recordForward(recorder: Recorder, kernel: string, args: { input: Matrix; output: Matrix }): void {
  const { input, output } = args;
  const shape = shapeConstants(kernel, 'input', input);
  requireSameShape(kernel, 'input', input, 'output', output);
  const { workgroups, constants } = flatGrid(input.rows);
  recorder.record({
    label: kernel,
    shader: { path: `loss/${kernel}.wgsl`, constants: { ...shape, ...constants } },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
    flops: 5 * input.rows * input.columns,
  });
}

function recordBackward(
  recorder: Recorder,
  kernel: string,
  args: { output: Matrix; gradOutput: Matrix; gradInput: Matrix },
): void {
  const { output, gradOutput, gradInput } = args;
  const shape = shapeConstants(kernel, 'output', output);
  requireSameShape(kernel, 'output', output, 'gradOutput', gradOutput);
  requireSameShape(kernel, 'output', output, 'gradInput', gradInput);
  const { workgroups, constants } = flatGrid(output.rows);
  recorder.record({
    label: kernel,
    shader: { path: `loss/${kernel}.wgsl`, constants: { ...shape, ...constants } },
    bindings: [
      ['read', output],
      ['read', gradOutput],
      ['write', gradInput],
    ],
    workgroups,
    flops: 4 * output.rows * output.columns,
  });
}
