/** Float64 references of shaders/activation. */
import type { Activation } from '../kernels/activation.ts';

const FUNCTIONS: Record<Activation, (x: number) => number> = {
  none: (x) => x,
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
};

/** act'(x) as a function of y = act(x). */
const SLOPES: Record<Activation, (y: number) => number> = {
  none: () => 1,
  relu: (y) => (y > 0 ? 1 : 0),
  tanh: (y) => 1 - y * y,
  sigmoid: (y) => y * (1 - y),
};

/** Returns act(x) for every element. */
export function activationForward(activation: Activation, x: ArrayLike<number>): Float64Array {
  return Float64Array.from(x, FUNCTIONS[activation]);
}

/** Returns gradOutput * act'(x), with act' computed from the output y = act(x). */
export function activationBackward(
  activation: Activation,
  y: ArrayLike<number>,
  gradOutput: ArrayLike<number>,
): Float64Array {
  return Float64Array.from(y, (value, i) => gradOutput[i] * SLOPES[activation](value));
}
