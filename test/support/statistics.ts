/** Statistics of bits. Inputs are fixed seeds, so a test that passes once passes always: margins guard against bias, not luck. */

/** Number of ones in a u32. */
export function popcount(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Distance of `count` from the mean of `trials` trials of probability `p`, in standard deviations. */
export function binomialSigmas(count: number, trials: number, p: number): number {
  return (count - trials * p) / Math.sqrt(trials * p * (1 - p));
}

/**
 * Correlation of two bits of known probability p, in standard deviations: `both`, `first` and `second` count ones over
 * `pairs` pairs. Under independence the sample covariance has variance (p (1 - p))^2 / pairs.
 */
export function correlationSigmas(both: number, first: number, second: number, pairs: number, p: number): number {
  const covariance = both / pairs - (p * (first + second)) / pairs + p * p;
  return (covariance / (p * (1 - p))) * Math.sqrt(pairs);
}

export interface Moments {
  readonly mean: number;
  readonly variance: number;
  /** Fourth central moment over the squared variance: 3 for a normal, 6 for a Laplacian distribution. */
  readonly kurtosis: number;
}

/** The moments of a sample; its sums are divided by the number of values. */
export function moments(values: ArrayLike<number>): Moments {
  const n = values.length;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += values[i];
  const mean = sum / n;
  let second = 0;
  let fourth = 0;
  for (let i = 0; i < n; i++) {
    const square = (values[i] - mean) ** 2;
    second += square;
    fourth += square * square;
  }
  return { mean, variance: second / n, kurtosis: (fourth * n) / (second * second) };
}
