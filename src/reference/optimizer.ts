/** Float64 references of SGD and Adam (shaders/optimizer). Like the kernels, they change their arrays in place. */
import type { AdamOptions, SgdOptions } from '../kernels/optimizer.ts';

/** One step of SGD with momentum. */
export function sgd(
  parameters: Float64Array,
  gradients: ArrayLike<number>,
  velocity: Float64Array,
  learningRate: number,
  { momentum, weightDecay }: SgdOptions,
): void {
  for (let i = 0; i < parameters.length; i++) {
    velocity[i] = momentum * velocity[i] + gradients[i] + weightDecay * parameters[i];
    parameters[i] -= learningRate * velocity[i];
  }
}

/** Moments of the gradients, one value per parameter, all zero before the first step. */
export interface AdamState {
  first: Float64Array;
  second: Float64Array;
  /** Present for AMSGrad. */
  secondMax?: Float64Array;
}

/** One step of Adam or AMSGrad. @param iteration number of this step, from 1 */
export function adam(
  parameters: Float64Array,
  gradients: ArrayLike<number>,
  state: AdamState,
  learningRate: number,
  iteration: number,
  { betas, epsilon, weightDecay = 0 }: AdamOptions,
): void {
  const [beta1, beta2] = betas;
  for (let i = 0; i < parameters.length; i++) {
    const g = gradients[i] + weightDecay * parameters[i];
    state.first[i] += (1 - beta1) * (g - state.first[i]);
    state.second[i] = beta2 * state.second[i] + (1 - beta2) * g * g;
    let bound = state.second[i];
    if (state.secondMax) {
      bound = Math.max(state.secondMax[i], bound);
      state.secondMax[i] = bound;
    }
    const denominator = Math.sqrt(bound / (1 - beta2 ** iteration)) + epsilon;
    parameters[i] -= ((learningRate / (1 - beta1 ** iteration)) * state.first[i]) / denominator;
  }
}
