import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

export type Activation = 'none' | 'relu' | 'tanh' | 'sigmoid';

/** Values of the prelude constant ACTIVATION, read by shaders/common/activation.wgsl. */
export const ACTIVATION_CODE: Readonly<Record<Activation, number>> = { none: 0, relu: 1, tanh: 2, sigmoid: 3 };

/** An activation that was fused into a layer, and the layer's output: what the layer's backward pass needs of it. */
export interface Activated {
  readonly activation: Activation;
  readonly output: Matrix;
}

/** Of shaders/common/output_gradient.wgsl, which reads no output where there was no activation: then anything is bound. */
export const activationConstant = (activated: Activated | undefined) => ({
  ACTIVATION: ACTIVATION_CODE[activated?.activation ?? 'none'],
});

/** @throws ShapeError unless the output that was activated is laid out as its gradient */
export function requireActivated(kernel: string, gradOutput: Matrix, activated: Activated | undefined): void {
  if (activated) requireSameShape(kernel, 'gradOutput', gradOutput, 'output', activated.output);
}

/**
 * gradInput = gradOutput * act'(input), from the output of the forward pass: relu (y > 0), tanh 1 - y^2,
 * sigmoid y (1 - y).
 *
 * @param args.output y = act(input), [rows, columns]
 * @param args.gradOutput the same shape
 * @param args.gradInput the same shape, another buffer
 * @throws ShapeError
 */
export function recordActivationBackward(
  recorder: Recorder,
  args: { activation: Activation; output: Matrix; gradOutput: Matrix; gradInput: Matrix },
): void {
  const { activation, output, gradOutput, gradInput } = args;
  const kernel = 'activation_backward';
  const shape = shapeConstants(kernel, 'output', output);
  requireSameShape(kernel, 'output', output, 'gradOutput', gradOutput);
  requireSameShape(kernel, 'output', output, 'gradInput', gradInput);
  const { workgroups, constants } = flatGrid((output.rows * output.stride) / 4);
  recorder.record({
    label: `${kernel} ${activation}`,
    shader: {
      path: 'activation/activation_backward.wgsl',
      constants: { ...shape, ...constants, ACTIVATION: ACTIVATION_CODE[activation] },
    },
    bindings: [
      ['read', output],
      ['read', gradOutput],
      ['write', gradInput],
    ],
    workgroups,
    flops: 3 * output.rows * output.columns,
  });
}
