import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32, type ShaderRequest } from '../gpu/composer.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** The element-wise function applied to the output of a layer. */
export type Activation = 'none' | 'relu' | 'tanh' | 'sigmoid' | 'relu6';

/** Values of the prelude constant ACTIVATION, read by shaders/common/activation.wgsl. */
export const ACTIVATION_CODE: Readonly<Record<Activation, number>> = {
  none: 0,
  relu: 1,
  tanh: 2,
  sigmoid: 3,
  relu6: 4,
};

/** Limits values to low..high, low < high, both finite. As for PyTorch's hardtanh, the slope is 0 at the bounds and beyond. */
export interface Clip {
  readonly name: 'clip';
  readonly low: number;
  readonly high: number;
}

/** Multiplies values below 0 by `slope`, which is in 0..1. */
export interface LeakyRelu {
  readonly name: 'leaky_relu';
  readonly slope: number;
}

/** An element-wise function that is a layer of its own. Those with parameters cannot be fused into another layer. */
export type ElementwiseFunction = Activation | Clip | LeakyRelu;

const nameOf = (activation: ElementwiseFunction) => (typeof activation === 'string' ? activation : activation.name);

/** The file that fills the slot `function`, and its constants. @throws ShapeError if a parameter is out of range */
function functionOf(kernel: string, activation: ElementwiseFunction): Pick<ShaderRequest, 'includes' | 'constants'> {
  if (typeof activation === 'string') {
    return {
      includes: { function: 'common/activation.wgsl' },
      constants: { ACTIVATION: ACTIVATION_CODE[activation] },
    };
  }
  if (activation.name === 'clip') {
    const { low, high } = activation;
    if (!(low < high))
      throw new ShapeError(`${kernel}: clip to ${low}..${high}; the lower bound must be below the upper`);
    return { includes: { function: 'activation/clip.wgsl' }, constants: { LOW: f32(low), HIGH: f32(high) } };
  }
  const { slope } = activation;
  if (!(slope >= 0 && slope <= 1)) throw new ShapeError(`${kernel}: leaky_relu with slope ${slope}; give one in 0..1`);
  return { includes: { function: 'activation/leaky_relu.wgsl' }, constants: { SLOPE: f32(slope) } };
}

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
 * output = act(input), element by element.
 *
 * @param args.input [rows, columns]
 * @param args.output the same shape, another buffer; pads are written zero
 * @throws ShapeError
 */
export function recordActivationForward(
  recorder: Recorder,
  args: { activation: ElementwiseFunction; input: Matrix; output: Matrix },
): void {
  const { activation, input, output } = args;
  const kernel = 'activation_forward';
  const shape = shapeConstants(kernel, 'input', input);
  requireSameShape(kernel, 'input', input, 'output', output);
  const { workgroups, constants } = flatGrid((input.rows * input.stride) / 4);
  const { includes, constants: parameters } = functionOf(kernel, activation);
  recorder.record({
    label: `${kernel} ${nameOf(activation)}`,
    shader: {
      path: 'activation/activation_forward.wgsl',
      constants: { ...shape, ...constants, ...parameters },
      includes,
    },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
    flops: input.rows * input.columns,
  });
}

/**
 * gradInput = gradOutput * act'(input), with act' computed from the output y of the forward pass: 1 where y > 0 for relu,
 * 1 - y^2 for tanh, y (1 - y) for sigmoid, 1 between the bounds of relu6 and clip, 1 or the slope for leaky_relu.
 *
 * @param args.output y = act(input), [rows, columns]
 * @param args.gradOutput the same shape
 * @param args.gradInput the same shape, another buffer
 * @throws ShapeError
 */
export function recordActivationBackward(
  recorder: Recorder,
  args: { activation: ElementwiseFunction; output: Matrix; gradOutput: Matrix; gradInput: Matrix },
): void {
  const { activation, output, gradOutput, gradInput } = args;
  const kernel = 'activation_backward';
  const shape = shapeConstants(kernel, 'output', output);
  requireSameShape(kernel, 'output', output, 'gradOutput', gradOutput);
  requireSameShape(kernel, 'output', output, 'gradInput', gradInput);
  const { workgroups, constants } = flatGrid((output.rows * output.stride) / 4);
  const { includes, constants: parameters } = functionOf(kernel, activation);
  recorder.record({
    label: `${kernel} ${nameOf(activation)}`,
    shader: {
      path: 'activation/activation_backward.wgsl',
      constants: { ...shape, ...constants, ...parameters },
      includes,
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
