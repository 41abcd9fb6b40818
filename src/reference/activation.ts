/** Float64 references of shaders/activation. */
import type { Activation, ElementwiseFunction } from '../kernels/activation.ts';

/** A function and its slope act'(x), as a function of y = act(x). */
interface Definition {
  readonly value: (x: number) => number;
  readonly slope: (y: number) => number;
}

/** Bounds are rounded to f32, as the shader has them: a value at a bound must be recognised as such. */
function clipTo(low: number, high: number): Definition {
  const [least, most] = [Math.fround(low), Math.fround(high)];
  return { value: (x) => Math.min(Math.max(x, least), most), slope: (y) => (y > least && y < most ? 1 : 0) };
}

const ACTIVATIONS: Record<Activation, Definition> = {
  none: { value: (x) => x, slope: () => 1 },
  relu: { value: (x) => Math.max(x, 0), slope: (y) => (y > 0 ? 1 : 0) },
  tanh: { value: Math.tanh, slope: (y) => 1 - y * y },
  sigmoid: { value: (x) => 1 / (1 + Math.exp(-x)), slope: (y) => y * (1 - y) },
  relu6: clipTo(0, 6),
};

function definitionOf(activation: ElementwiseFunction): Definition {
  if (typeof activation === 'string') return ACTIVATIONS[activation];
  if (activation.name === 'clip') return clipTo(activation.low, activation.high);
  const { slope } = activation;
  return { value: (x) => (x > 0 ? x : slope * x), slope: (y) => (y > 0 ? 1 : slope) };
}

/** Returns act(x) for every element. */
export function activationForward(activation: ElementwiseFunction, x: ArrayLike<number>): Float64Array {
  const y = new Float64Array(x);
  if (activation === 'none') return y;
  const { value } = definitionOf(activation);
  for (let i = 0; i < y.length; i++) y[i] = value(y[i]);
  return y;
}

/** Returns gradOutput * act'(x), with act' computed from the output y = act(x). */
export function activationBackward(
  activation: ElementwiseFunction,
  y: ArrayLike<number>,
  gradOutput: ArrayLike<number>,
): Float64Array {
  const gradient = new Float64Array(gradOutput);
  if (activation === 'none') return gradient;
  const { slope } = definitionOf(activation);
  for (let i = 0; i < gradient.length; i++) gradient[i] *= slope(y[i]);
  return gradient;
}
