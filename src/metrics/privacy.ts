/**
 * The accountant of DP-SGD: the privacy loss of the subsampled Gaussian mechanism by Renyi differential privacy (RDP; Mironov,
 * Talwar and Zhang 2019, arXiv:1908.10530), composed over steps and converted to (epsilon, delta) by the conversion of Canonne,
 * Kamath and Steinke (NeurIPS 2020, proposition 12), which is that of Balle et al. (AISTATS 2020, theorem 21).
 *
 * Neighbouring data sets differ by one example that is added or removed.
 */

/** Orders over which epsilon is minimised: those of TensorFlow Privacy. */
const ORDERS: readonly number[] = [
  ...Array.from({ length: 99 }, (_, i) => 1 + (i + 1) / 10),
  ...Array.from({ length: 53 }, (_, i) => i + 11),
  ...[128, 256, 512, 1024],
];

/** Deviations beyond the outermost modes that the quadrature covers: what is left out is below e^-100 of the sum. */
const TAILS = 15;

/**
 * RDP of one step at one order, in nats: log E[((1 - q) + q exp((2 z - 1) / (2 s^2)))^a] / (a - 1) for z ~ N(0, s^2), which
 * bounds both directions (Mironov et al., theorem 5). The expectation is integrated by the trapezoidal rule, whose error falls
 * exponentially with the number of nodes for this integrand; its nearest singularity is pi s^2 from the real axis.
 * @param rate sampling rate q: probability of an example to be in a batch, 0..1
 * @param noise noise multiplier s: deviation of the noise divided by the clipping norm, at least 0.1
 * @param order a above 1
 */
export function subsampledGaussianRdp(rate: number, noise: number, order: number): number {
  if (rate === 0) return 0;
  const variance = noise * noise;
  if (rate === 1) return order / (2 * variance);
  const step = Math.min(noise / 16, variance / 2);
  const first = -TAILS * noise;
  const count = Math.ceil((order + 2 * TAILS * noise) / step) + 1;
  const logOf = (z: number) => {
    const ratio = (2 * z - 1) / (2 * variance) + Math.log(rate);
    // log((1 - q) + exp(ratio)), also where exp overflows
    const mixed = ratio > 0 ? ratio + Math.log1p((1 - rate) * Math.exp(-ratio)) : Math.log1p(Math.exp(ratio) - rate);
    return (-z * z) / (2 * variance) + order * mixed;
  };
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) largest = Math.max(largest, logOf(first + i * step));
  let sum = 0;
  for (let i = 0; i < count; i++) sum += Math.exp(logOf(first + i * step) - largest);
  const logMoment = largest + Math.log((sum * step) / (noise * Math.sqrt(2 * Math.PI)));
  return Math.max(0, logMoment) / (order - 1);
}

/**
 * Epsilon of `steps` steps of DP-SGD on batches in which every example is with probability `rate`, independently (Poisson
 * sampling). Batches of shuffled epochs are not sampled so; see {@link epsilonOncePerEpoch}.
 * @param rate sampling rate, 0..1
 * @param noise noise multiplier, at least 0.1
 * @param delta 0..1, above 0
 * @returns epsilon, at least 0
 */
export function epsilonOf(rate: number, noise: number, steps: number, delta: number): number {
  const spent = ORDERS.map((order) => {
    const rdp = steps * subsampledGaussianRdp(rate, noise, order);
    return rdp + Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1);
  });
  return Math.max(0, Math.min(...spent));
}

/**
 * Epsilon of epochs in which every example is in one batch at most, whatever the order: no batch amplifies another one's
 * privacy. This holds for shuffled epochs without any assumption on the sampling.
 */
export function epsilonOncePerEpoch(noise: number, epochs: number, delta: number): number {
  return epsilonOf(1, noise, epochs, delta);
}
