/** Float64 reference of shaders/activation/bottleneck_forward.wgsl and bottleneck_backward.wgsl. */
import { bottleneckKey } from '../kernels/bottleneck.ts';
import { pcg4d } from '../memory/hash.ts';
import { standardNormals } from './random.ts';

/** The noise of a bottleneck in one step, [rows, columns]. */
export function bottleneckNoise(rows: number, columns: number, seed: number, iteration: number): Float64Array {
  const [low, high] = bottleneckKey(seed);
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const words = pcg4d(row * Math.ceil(columns / 4) + Math.floor(column / 4), iteration, low, high);
    return standardNormals(words[column % 4 < 2 ? 0 : 2], words[column % 4 < 2 ? 1 : 3])[column % 2];
  });
}

/** The deviation of the noise for the raw output of its layer: softplus(raw - 5). */
export function bottleneckDeviation(raw: number): number {
  return Math.max(raw - 5, 0) + Math.log1p(Math.exp(-Math.abs(raw - 5)));
}

/** mean + deviation * noise. */
export function bottleneckForward(
  mean: ArrayLike<number>,
  raw: ArrayLike<number>,
  noise: ArrayLike<number>,
): Float64Array {
  return Float64Array.from(mean, (value, i) => value + bottleneckDeviation(raw[i]) * noise[i]);
}

/** The mean over the rows of the sum over the columns of KL(N(mean, deviation^2) || N(0, 1)), in nats. */
export function bottleneckInformation(mean: ArrayLike<number>, raw: ArrayLike<number>, rows: number): number {
  let sum = 0;
  for (let i = 0; i < mean.length; i++) {
    const deviation = bottleneckDeviation(raw[i]);
    sum += (mean[i] ** 2 + deviation ** 2 - 1) / 2 - Math.log(deviation);
  }
  return sum / rows;
}

/** Gradients with respect to mean and raw of the loss whose gradient is `gradOutput`, plus beta times the information. */
export function bottleneckBackward(
  mean: ArrayLike<number>,
  raw: ArrayLike<number>,
  noise: ArrayLike<number>,
  gradOutput: ArrayLike<number>,
  { rows, beta }: { rows: number; beta: number },
): { mean: Float64Array; raw: Float64Array } {
  const factor = beta / rows;
  return {
    mean: Float64Array.from(mean, (value, i) => gradOutput[i] + factor * value),
    raw: Float64Array.from(raw, (value, i) => {
      const deviation = bottleneckDeviation(value);
      const slope = 1 / (1 + Math.exp(5 - value));
      return slope * (gradOutput[i] * noise[i] + factor * (deviation - 1 / deviation));
    }),
  };
}
