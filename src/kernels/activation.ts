import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** The element-wise function applied to the output of a layer. */
export type Activation = 'none' | 'relu' | 'tanh' | 'sigmoid';

/** Values of the prelude constant ACTIVATION, read by shaders/common/activation.wgsl. */
export const ACTIVATION_CODE: Readonly<Record<Activation, number>> = { none: 0, relu: 1, tanh: 2, sigmoid: 3 };

/** An activation that was fused into a layer, and the layer's output after it: the backward pass needs both. */
export interface Activated {
  readonly activation: Activation;
  readonly output: Matrix;
}

/** An activation and the output after it; undefined if there is no activation, so that the output need not be kept. */
export function activatedBy(activation: Activation, output: Matrix): Activated | undefined {
  return activation === 'none' ? undefined : { activation, output };
}

/** Prelude constant of shaders/common/output_gradient.wgsl, which reads no output if there is no activation. */
export const activationConstant = (activated: Activated | undefined) => ({
  ACTIVATION: ACTIVATION_CODE[activated?.activation ?? 'none'],
});

/** @throws ShapeError unless the activated output has the shape and stride of its gradient */
export function requireActivated(kernel: string, gradOutput: Matrix, activated: Activated | undefined): void {
  if (activated) requireSameShape(kernel, 'gradOutput', gradOutput, 'output', activated.output);
}

/**
 * gradInput = gradOutput * act'(input), with act' computed from the output y of the forward pass: 1 where y > 0 for relu,
 * 1 - y^2 for tanh, y (1 - y) for sigmoid.
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
