import { describe, expect, it } from 'vitest';
import {
  added,
  anyBound,
  bitDivergence,
  type Divergence,
  EXACT,
  gaussianDivergence,
  laplacianDivergence,
  SAME,
  unbiasedBound,
} from '../../src/metrics/bound.ts';

const sumOf = (all: readonly Divergence[]) => all.reduce((sum, each) => added(sum, each), SAME);

/** Integrates by the midpoint rule. */
function integral(f: (x: number) => number, low: number, high: number, steps = 200_000): number {
  const width = (high - low) / steps;
  let sum = 0;
  for (let i = 0; i < steps; i++) sum += f(low + (i + 0.5) * width);
  return sum * width;
}

describe('the bound of a linear model with normal noise', () => {
  // W = A x + noise: the bound of Cramer and Rao in the direction v is |v|^2 / |A v / s|^2.
  const effect = [0.5, -2, 0.25, 1.5];
  const deviations = [0.7, 1.3, 0.2, 2];
  const closed = 1 / effect.reduce((sum, a, i) => sum + (a / deviations[i]) ** 2, 0);
  const at = (step: number, reads = 1) =>
    added(SAME, sumOf(effect.map((a, i) => gaussianDivergence(step * a, deviations[i]))), reads);

  it('the bound of unbiased estimators is that of Cramer and Rao in the limit, and lower at a distance', () => {
    const step = 1e-5;
    expect(10 ** unbiasedBound(at(step), step ** 2) / closed).toBeCloseTo(1, 9);
    expect(10 ** unbiasedBound(at(1), 1)).toBeLessThan(closed);
    // Of n reads only their mean counts, whose variance is that of one read divided by n.
    expect(10 ** unbiasedBound(at(step, 7), step ** 2) / (closed / 7)).toBeCloseTo(1, 8);
  });

  it('the bound of all estimators is below the error of the posterior mean, and is it where nothing can be told', () => {
    for (const z of [0.01, 0.5, 1, 2]) {
      const step = z * Math.sqrt(closed);
      const normal = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
      const least =
        (step ** 2 / 2) * integral((x) => (normal(x) * normal(x - z)) / (normal(x) + normal(x - z)), -9, z + 9);
      const bound = 10 ** anyBound(at(step), step ** 2);
      expect(bound).toBeLessThan(least * (1 + 1e-9));
      expect(bound).toBeGreaterThan(least * (z < 0.1 ? 0.999 : 0.5));
    }
  });
});

describe('divergences against their definitions', () => {
  it('that of Laplacian noise is its integral', () => {
    const [shift, scale] = [0.8, 0.3];
    const p = (x: number) => Math.exp(-Math.abs(x) / scale) / (2 * scale);
    const q = (x: number) => p(x - shift);
    const { moment, affinity } = laplacianDivergence(-shift, scale);
    expect(moment).toBeCloseTo(Math.log(integral((x) => q(x) ** 2 / p(x), -12, 12)), 6);
    expect(affinity).toBeCloseTo(Math.log(integral((x) => Math.sqrt(p(x) * q(x)), -12, 12)), 6);
  });

  it('that of bits is the sum over all words that can be read', () => {
    const stored = [0, 1, 1, 0, 1] as const;
    const wrong: [number, number][] = stored.map((_, i) => [0.02 + 0.05 * i, 0.3 - 0.04 * i]);
    const reads = 2 ** stored.length;
    const law = (bits: readonly number[]) =>
      Array.from({ length: reads }, (_, word) =>
        bits.reduce((p, bit, i) => {
          const isWrong = ((word >> i) & 1) !== bit;
          return p * (isWrong ? wrong[i][bit] : 1 - wrong[i][bit]);
        }, 1),
      );
    const [p, q] = [law(stored), law(stored.map((bit) => 1 - bit))];
    const { moment, affinity } = sumOf(stored.map((bit, i) => bitDivergence(bit, wrong[i])));
    const sum = (f: (a: number, b: number) => number) => p.reduce((total, a, i) => total + f(a, q[i]), 0);
    expect(moment).toBeCloseTo(Math.log(sum((a, b) => (b * b) / a)), 12);
    expect(affinity).toBeCloseTo(Math.log(sum((a, b) => Math.sqrt(a * b))), 12);
    // The posterior mean over all words is the best attacker; the bound is close to its error, and never above.
    const least = 0.5 * sum((a, b) => (a * b) / (a + b));
    const bound = 10 ** anyBound({ moment, affinity }, 1);
    expect(bound).toBeLessThan(least);
    expect(bound).toBeGreaterThan(least / 4);
  });
});

it('without errors the bound is exactly 0, also for many equal rates that add up, and at rate 1/2 it is that of a guess', () => {
  for (const divergence of [bitDivergence(0, [0, 0]), bitDivergence(1, [0, 0]), gaussianDivergence(1, 0), EXACT]) {
    expect(10 ** unbiasedBound(divergence, 3)).toBe(0);
    expect(10 ** anyBound(divergence, 3)).toBe(0);
    expect(10 ** anyBound(added(added(SAME, bitDivergence(0, [0.1, 0.1]), 4), divergence), 3)).toBe(0);
  }
  expect(laplacianDivergence(1, 0)).toEqual(EXACT);
  const half = added(SAME, bitDivergence(1, [0.5, 0.5]), 1000);
  expect(10 ** anyBound(half, 3)).toBeCloseTo(3 / 4, 12);
  expect(unbiasedBound(half, 3)).toBe(Infinity);
  // No reads tell nothing, even without errors.
  expect(added(SAME, EXACT, 0)).toEqual(SAME);
});

it('the bounds rise with every rate of nested maps, and fall with reads and with the bits that differ', () => {
  const bounds = (rates: readonly number[], reads = 1, bits = 3) => {
    const all = sumOf(rates.map((rate) => added(SAME, bitDivergence(0, [rate, rate]), bits)));
    const both = added(SAME, all, reads);
    return [unbiasedBound(both, 1), anyBound(both, 1)];
  };
  const rates = [1e-6, 0.001, 0.01, 0.1, 0.3, 0.49];
  for (let i = 1; i < rates.length; i++) {
    for (const other of rates) {
      const [weaker, stronger] = [bounds([rates[i - 1], other]), bounds([rates[i], other])];
      for (const side of [0, 1]) expect(stronger[side]).toBeGreaterThan(weaker[side]);
    }
  }
  for (const side of [0, 1]) {
    expect(bounds([0.1], 2)[side]).toBeLessThan(bounds([0.1], 1)[side]);
    expect(bounds([0.1], 1, 4)[side]).toBeLessThan(bounds([0.1], 1, 3)[side]);
  }
  // Where a double would overflow, the logarithm does not.
  expect(bounds([0.0625], 1, 100_000)[0]).toBeCloseTo(
    -100_000 * Math.log10((1 - 3 * 0.0625 + 3 * 0.0625 ** 2) / (0.0625 * 0.9375)),
    3,
  );
});
