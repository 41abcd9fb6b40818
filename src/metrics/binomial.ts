/** Exact binomial tests and intervals, computed by summing the distribution from a count outwards. */

/** ln k!, exact sums up to 255 and Stirling's series beyond (error below 1e-13). */
function logFactorial(k: number): number {
  if (k < 256) {
    let sum = 0;
    for (let i = 2; i <= k; i++) sum += Math.log(i);
    return sum;
  }
  const x = k + 1;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * x) - 1 / (360 * x ** 3);
}

function probability(k: number, n: number, p: number): number {
  if (p === 0) return k === 0 ? 1 : 0;
  if (p === 1) return k === n ? 1 : 0;
  const log = logFactorial(n) - logFactorial(k) - logFactorial(n - k) + k * Math.log(p) + (n - k) * Math.log1p(-p);
  return Math.exp(log);
}

/** P(X <= k) for the number X of successes in n trials with probability p; the relative error is about 1e-10. */
export function binomialAtMost(k: number, n: number, p: number): number {
  if (k < 0) return 0;
  if (k >= n) return 1;
  if (k > n * p) return 1 - binomialAtLeast(k + 1, n, p);
  let term = probability(k, n, p);
  let sum = 0;
  for (let i = k; i >= 0 && term > sum * 1e-17; i--) {
    sum += term;
    term *= (i * (1 - p)) / ((n - i + 1) * p);
  }
  return Math.min(1, sum);
}

/** P(X >= k) for the number X of successes in n trials with probability p; the relative error is about 1e-10. */
export function binomialAtLeast(k: number, n: number, p: number): number {
  if (k <= 0) return 1;
  if (k > n) return 0;
  if (k < n * p) return 1 - binomialAtMost(k - 1, n, p);
  let term = probability(k, n, p);
  let sum = 0;
  for (let i = k; i <= n && term > sum * 1e-17; i++) {
    sum += term;
    term *= ((n - i) * p) / ((i + 1) * (1 - p));
  }
  return Math.min(1, sum);
}

/** Two-sided p-value of k successes in n trials with probability p: twice the smaller tail, at most 1. */
export function binomialPValue(k: number, n: number, p: number): number {
  return Math.min(1, 2 * Math.min(binomialAtMost(k, n, p), binomialAtLeast(k, n, p)));
}

/**
 * The exact interval of C. Clopper and E. Pearson (Biometrika 26, 1934) of confidence 1 - alpha: the probabilities for which
 * neither tail beyond k successes in n trials is below alpha / 2.
 */
export function binomialInterval(k: number, n: number, alpha: number): [low: number, high: number] {
  const solve = (tooLow: (p: number) => boolean) => {
    let [low, high] = [0, 1];
    for (let i = 0; i < 80; i++) {
      const middle = (low + high) / 2;
      if (tooLow(middle)) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  };
  return [
    k === 0 ? 0 : solve((p) => binomialAtLeast(k, n, p) < alpha / 2),
    k === n ? 1 : solve((p) => binomialAtMost(k, n, p) > alpha / 2),
  ];
}

/**
 * True if a classifier is hardly better than guessing: its accuracy is at most twice that of guessing among more than three
 * classes, or the interval of the accuracy includes guessing.
 *
 * @param accuracy 0..1
 * @param low lower end of its interval; undefined if that does not count
 */
export function isNearChance(accuracy: number, low: number | undefined, classes: number): boolean {
  return (classes > 3 && accuracy <= 2 / classes) || (low !== undefined && low <= 1 / classes);
}
