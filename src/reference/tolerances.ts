/**
 * The allowed difference of a kernel from its float64 reference, or from PyTorch's float32: |actual - expected| <= absolute
 * + relative * |expected|. One table serves all operations; keys of golden operations are those of ops.json. 1 ulp is 6e-8
 * to 1.2e-7 relative. WGSL allows errors of some ulp in exp, log, tanh, division and square root, and drivers may fuse
 * a * b + c.
 */
export interface Tolerance {
  readonly relative: number;
  readonly absolute: number;
}

const EXACT: Tolerance = { relative: 0, absolute: 0 };
const ELEMENTWISE: Tolerance = { relative: 1e-6, absolute: 1e-6 };
/** For gradients of means, which are small: the same relative and a tenth of the absolute tolerance. */
const SMALL: Tolerance = { relative: 1e-6, absolute: 1e-7 };

/** Tolerances by operation. */
export const TOLERANCES = {
  /** Copies, comparisons and maxima. */
  exact: EXACT,
  none: EXACT,
  relu: EXACT,
  relu6: EXACT,
  /** Near saturation tanh and sigmoid lose digits: their absolute error is about an ulp of 1. */
  tanh: ELEMENTWISE,
  sigmoid: ELEMENTWISE,
  activationBackward: ELEMENTWISE,
  /** Normal noise (see `normal`) times a deviation of up to 5, and the gradient of that. */
  bottleneck: { relative: 2e-6, absolute: 1e-5 },
  /** A difference of numbers of magnitude up to 1, and a division, which may be off by 2.5 ulp. */
  normalise: ELEMENTWISE,
  /** The error of WGSL's log may be 2^-21 between 0.5 and 2. */
  cross_entropy: ELEMENTWISE,
  crossEntropyGradient: { relative: 1e-6, absolute: 2e-7 },
  confidenceCost: ELEMENTWISE,
  /** Only for confidences away from ties, where both sides round to the same level. */
  roundConfidences: ELEMENTWISE,
  topConfidences: ELEMENTWISE,
  /** Noise of 1e-6 times the deviation on values of at least half the deviation, and a sum of them. */
  noisyConfidences: { relative: 1e-6, absolute: 8e-6 },
  mse: ELEMENTWISE,
  mseGradient: SMALL,
  /** Kernel matrices of magnitude up to 3: exponentials of sums, less the means of up to 256 of them. */
  dependence: { relative: 2e-6, absolute: 2e-6 },
  norm: { relative: 1e-6, absolute: 0 },
  /** Parameters after some steps of SGD or Adam: PyTorch's own rounding of |w| < 3. */
  sgd: ELEMENTWISE,
  adam: ELEMENTWISE,
  firstMoment: SMALL,
  /** Sums of squares: no cancellation. */
  secondMoment: { relative: 1e-6, absolute: 0 },
  /** Standard normal numbers of magnitude up to 5.8, from the shader's own ln, cos and sin. */
  normal: ELEMENTWISE,
  /** byte / 255 through unpack4x8unorm: 1 ulp. */
  pixel: { relative: 1.2e-7, absolute: 0 },
  /** Weighted mean of 49 to 121 pixels; the argument of the exponential has the error of a sum of up to 25 squares. */
  nonLocalMeans: { relative: 2e-6, absolute: 2e-6 },
  image: ELEMENTWISE,
  /** Means of up to 5000 numbers of magnitude below 17, in two stages of about 70 additions each. */
  batchNormMean: { relative: 1e-6, absolute: 3e-6 },
  /** Sums of squares of differences from a mean with the error of batchNormMean, whose square is negligible. */
  batchNormVariance: { relative: 2e-6, absolute: 2e-6 },
} as const satisfies Record<string, Tolerance>;

/** Tolerance of a sum of `count` numbers of magnitude up to 1: every addition loses up to half an ulp of the partial sum. */
export function sumTolerance(count: number): Tolerance {
  return { relative: 1e-6, absolute: 6e-8 * count };
}

/**
 * Tolerance of batch normalisation of numbers of magnitude below 17, with gamma below 1.5. The errors of the mean (see
 * batchNormMean) and of an element are multiplied by the inverse deviation; the relative error of the deviation is added.
 *
 * @param inverseDeviations inverse deviations of all channels
 */
export function batchNormTolerance(inverseDeviations: ArrayLike<number>): Tolerance {
  return { relative: 2e-6, absolute: 3e-6 * Math.max(1, ...Array.from(inverseDeviations)) };
}

/**
 * Tolerance of an activation whose input has the given tolerance. No slope is above 1, and |x act'(x)| is at most |act(x)|;
 * for sigmoid it is at most 0.3, whose relative tolerance is small compared with the absolute one.
 */
export function activatedTolerance({ relative, absolute }: Tolerance): Tolerance {
  return { relative: relative + ELEMENTWISE.relative, absolute: absolute + ELEMENTWISE.absolute };
}

/**
 * Tolerance of a truncated and aligned prediction. The log-confidence, the constant and the lift are added with four
 * roundings of numbers of magnitude up to `largest`, half an ulp each; the error of log may be 2^-21 (see cross_entropy).
 */
export function alignTolerance(largest: number): Tolerance {
  return { relative: 1e-6, absolute: 2.4e-7 * largest + 1e-6 };
}
