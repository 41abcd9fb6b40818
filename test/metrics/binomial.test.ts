import { describe, expect, it } from 'vitest';
import { binomialAtLeast, binomialAtMost, binomialInterval, binomialPValue } from '../../src/metrics/binomial.ts';

/** P(X = k) as an exact fraction, p = a / b. */
function exact(k: number, n: number, a: bigint, b: bigint): number {
  let choose = 1n;
  for (let i = 0n; i < BigInt(k); i++) choose = (choose * (BigInt(n) - i)) / (i + 1n);
  const numerator = choose * a ** BigInt(k) * (b - a) ** BigInt(n - k) * 2n ** 200n;
  return Number(numerator / b ** BigInt(n)) / 2 ** 200;
}

describe('the tails of a binomial distribution', () => {
  it.each([
    [20, 3n, 10n],
    [400, 1n, 100n],
    [1000, 1n, 2n],
  ])('binomial tails agree with exact fractions, %i trials', (n, a, b) => {
    const p = Number(a) / Number(b);
    const all = Array.from({ length: n + 1 }, (_, k) => exact(k, n, a, b));
    for (let k = 0; k <= n; k += Math.max(1, Math.floor(n / 37))) {
      const atMost = all.slice(0, k + 1).reduce((sum, each) => sum + each, 0);
      const atLeast = all.slice(k).reduce((sum, each) => sum + each, 0);
      expect(Math.abs(binomialAtMost(k, n, p) - atMost)).toBeLessThan(1e-9);
      expect(Math.abs(binomialAtLeast(k, n, p) - atLeast)).toBeLessThan(1e-9);
    }
  });

  it('the tails for ten million trials agree with the normal distribution at -2 and +4 sigma', () => {
    const [n, p] = [1e7, 0.01];
    const sigma = Math.sqrt(n * p * (1 - p));
    expect(binomialAtMost(Math.round(n * p - 2 * sigma), n, p)).toBeCloseTo(0.0228, 3);
    expect(binomialAtLeast(Math.round(n * p + 4 * sigma), n, p)).toBeCloseTo(3.2e-5, 5);
  });

  it('the p-value is 0 or 1 when the outcome is certain', () => {
    expect(binomialPValue(0, 100, 0)).toBe(1);
    expect(binomialPValue(1, 100, 0)).toBe(0);
    expect(binomialPValue(100, 100, 1)).toBe(1);
  });
});

it('the exact interval has the textbook values', () => {
  // 7 of 20 at 95 %: 0.1539 .. 0.5922; none of 30: upper end 1 - 0.025^(1/30).
  const [low, high] = binomialInterval(7, 20, 0.05);
  expect(low).toBeCloseTo(0.1539, 4);
  expect(high).toBeCloseTo(0.5922, 4);
  expect(binomialInterval(0, 30, 0.05)).toEqual([0, expect.closeTo(1 - 0.025 ** (1 / 30), 8)]);
});
