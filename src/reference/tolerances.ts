/**
 * How far a kernel may be from its float64 reference, or from PyTorch's float32: |actual - expected| <= absolute + relative *
 * |expected|. One table for every op; keys of golden ops are those of ops.json. 1 ulp is 6e-8 to 1.2e-7 relative; WGSL
 * leaves exp, log, tanh, division and square root some ulp, and lets drivers fuse a * b + c or not.
 */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

const EXACT: Tolerance = { relative: 0, absolute: 0 };
const ELEMENTWISE: Tolerance = { relative: 1e-6, absolute: 1e-6 };
/** For gradients of means, which are small: the same relative accuracy, a tenth of the absolute. */
const SMALL: Tolerance = { relative: 1e-6, absolute: 1e-7 };

export const TOLERANCES = {
  /** Moves, comparisons and maxima. */
  exact: EXACT,
  none: EXACT,
  relu: EXACT,
  /** Both are 1 - something small or something small / 1: absolute error of an ulp of 1. */
  tanh: ELEMENTWISE,
  sigmoid: ELEMENTWISE,
  activationBackward: ELEMENTWISE,
  /** WGSL's log is only good to 2^-21 absolute between 0.5 and 2. */
  cross_entropy: ELEMENTWISE,
  crossEntropyGradient: { relative: 1e-6, absolute: 2e-7 },
  confidenceCost: ELEMENTWISE,
  /** Away from ties, where both round to one level. */
  roundConfidences: ELEMENTWISE,
  mse: ELEMENTWISE,
  mseGradient: SMALL,
  norm: { relative: 1e-6, absolute: 0 },
  /** SGD's and Adam's parameters: PyTorch's own rounding of |w| < 3 after some steps. */
  sgd: ELEMENTWISE,
  adam: ELEMENTWISE,
  firstMoment: SMALL,
  /** Sums of squares: no cancellation. */
  secondMoment: { relative: 1e-6, absolute: 0 },
  /** Standard normal numbers, at most 5.8, from our own ln, cos and sin. */
  normal: ELEMENTWISE,
  /** byte / 255 through unpack4x8unorm: 1 ulp. */
  pixel: { relative: 1.2e-7, absolute: 0 },
  /** Weighted mean of 49 or 121 pixels; the exponential's argument carries the error of a sum of 25 squares. */
  nonLocalMeans: { relative: 2e-6, absolute: 2e-6 },
  image: ELEMENTWISE,
  /** Means of up to 5000 numbers below 17 in size, in two stages of about 70 additions. */
  batchNormMean: { relative: 1e-6, absolute: 3e-6 },
  /** Sums of squares of differences to a mean that is off by that much: its square vanishes. */
  batchNormVariance: { relative: 2e-6, absolute: 2e-6 },
} as const satisfies Record<string, Tolerance>;

/** Of a sum of `count` numbers of at most 1 in size: every addition loses up to half an ulp of the partial sum. */
export function sumTolerance(count: number): Tolerance {
  return { relative: 1e-6, absolute: 6e-8 * count };
}

/**
 * Tolerance of batch normalisation of numbers below 17 in size, gamma below 1.5: an error of the mean (see batchNormMean) or of an
 * element is multiplied by the inverse deviation, as is the result; the relative error of the deviation comes to the terms
 * of a difference.
 *
 * @param inverseDeviations of all channels
 */
export function batchNormTolerance(inverseDeviations: ArrayLike<number>): Tolerance {
  return { relative: 2e-6, absolute: 3e-6 * Math.max(1, ...Array.from(inverseDeviations)) };
}

/**
 * Tolerance of an activation whose input has the given tolerance: no slope is above 1, and |x act'(x)| is at most |act(x)|, or
 * of sigmoid at most 0.3, which is small beside the absolute one.
 */
export function activatedTolerance({ relative, absolute }: Tolerance): Tolerance {
  return { relative: relative + ELEMENTWISE.relative, absolute: absolute + ELEMENTWISE.absolute };
}

/**
 * Tolerance of a truncated and aligned prediction: the log-confidence, the constant and the lift come together in four roundings of
 * numbers of at most `largest` in size, half an ulp each; log is good to 2^-21 (see log_softmax).
 */
export function alignTolerance(largest: number): Tolerance {
  return { relative: 1e-6, absolute: 2.4e-7 * largest + 1e-6 };
}
