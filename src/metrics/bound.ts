/**
 * A lower bound on the error of every reconstruction of a training photograph from a network that is read with random errors.
 *
 * The estimation problem: the network was trained either on the photograph x or, all else equal, on x' in its place. An attacker who
 * knows both photographs, all others, the recipe and the seed of the training, and the rates of the errors (the informed adversary of
 * Balle, Cherubin and Hayes, S&P 2022) reads the weights n times, each time with new errors. Outputs, gradients and answers to any
 * number of queries are functions of what was read, so they tell no more, and an attacker who knows less does no better. P and P' are
 * the laws of what is read from the network that was trained on x and on x'.
 *
 * - {@link unbiasedBound}, for estimators without bias: mean |estimate - x|^2 >= |x' - x|^2 / chi2(P', P) (Hammersley 1950; Chapman
 *   and Robbins 1951). In the limit of x' to x it is the bound of Cramer and Rao.
 * - {@link anyBound}, for all: if x and x' are equally likely, the least mean squared error is |x' - x|^2 / 2 * integral
 *   p p' / (p + p'), that of the posterior mean, and by the Cauchy-Schwarz inequality at least |x' - x|^2 / 4 * (integral sqrt(p p'))^2.
 *   It is |x' - x|^2 / 4 where the laws agree, that of guessing the middle.
 *
 * Nothing like it bounds the reconstruction of a photograph that is classified (inversion): its outputs under all maps of the errors
 * are finitely many values, which for another photograph are other values, so that the laws have no overlap and the bound is 0
 * at every rate.
 */

/** How far the laws of what is read from two stored values are apart. Both numbers add up over independent cells and reads. */
export interface Divergence {
  /** Natural logarithm of the integral of p'^2 / p, which is 1 + chi2(P', P): 0 where the laws agree, to Infinity. */
  readonly moment: number;
  /** Natural logarithm of the integral of sqrt(p p'): 0 where the laws agree, to -Infinity where they have no overlap. */
  readonly affinity: number;
}

/** The divergence of laws that agree. */
export const SAME: Divergence = { moment: 0, affinity: 0 };
/** The divergence of different values that are read without errors. */
export const EXACT: Divergence = { moment: Infinity, affinity: -Infinity };

/** The divergence of `times` independent pairs of such laws more. */
export function added(sum: Divergence, { moment, affinity }: Divergence, times = 1): Divergence {
  if (times === 0) return sum;
  return { moment: sum.moment + times * moment, affinity: sum.affinity + times * affinity };
}

/**
 * One bit that is `stored` in the network trained on x, and the opposite in the other.
 * @param wrong probabilities that a stored 0 and a stored 1 are read wrong, 0..1
 */
export function bitDivergence(stored: 0 | 1, wrong: readonly [ofZero: number, ofOne: number]): Divergence {
  const one = (bit: 0 | 1) => (bit === 0 ? wrong[0] : 1 - wrong[1]);
  const other = stored === 0 ? 1 : 0;
  const [p, q] = [one(stored), one(other)];
  const term = (a: number, b: number) => (b === 0 ? 0 : (b * b) / a);
  return {
    moment: Math.log(term(p, q) + term(1 - p, 1 - q)),
    affinity: Math.log(Math.sqrt(p * q) + Math.sqrt((1 - p) * (1 - q))),
  };
}

/** One weight that differs by `shift`, read with normal noise. @param deviation of the noise, >= 0 */
export function gaussianDivergence(shift: number, deviation: number): Divergence {
  if (shift === 0) return SAME;
  const square = (shift / deviation) ** 2;
  return { moment: square, affinity: -square / 8 };
}

/** One weight that differs by `shift`, read with Laplacian noise. @param scale b of the density exp(-|x| / b) / (2 b), >= 0 */
export function laplacianDivergence(shift: number, scale: number): Divergence {
  if (shift === 0) return SAME;
  const d = Math.abs(shift) / scale;
  if (d === Infinity) return EXACT;
  return { moment: d + Math.log((2 + Math.exp(-3 * d)) / 3), affinity: Math.log1p(d / 2) - d / 2 };
}

/**
 * Logarithm to base 10 of the least mean squared error of an estimator without bias.
 * @param squaredDistance |x' - x|^2, above 0, in any unit: the error has the same
 * @returns -Infinity for 0; Infinity where the laws agree, so that there is no such estimator
 */
export function unbiasedBound({ moment }: Divergence, squaredDistance: number): number {
  // ln(e^m - 1), which overflows as such
  const chi = moment === Infinity ? Infinity : moment + Math.log(-Math.expm1(-moment));
  return (Math.log(squaredDistance) - chi) / Math.LN10;
}

/** Logarithm to base 10 of a mean squared error that no estimator falls below; -Infinity for 0. @param squaredDistance as above */
export function anyBound({ affinity }: Divergence, squaredDistance: number): number {
  return (Math.log(squaredDistance / 4) + 2 * affinity) / Math.LN10;
}
