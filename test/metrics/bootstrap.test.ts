import { describe, expect, test } from 'vitest';
import { ConfigError, DataError, ShapeError } from '../../src/errors.ts';
import { bootstrapInterval, HierarchicalBootstrap, pairedDifference } from '../../src/metrics/bootstrap.ts';
import { Random } from '../../src/random.ts';

const width = (interval: { ci95: [number, number] }) => interval.ci95[1] - interval.ci95[0];

/** Draw effect + identity effect + noise, each roughly normal (sum of 12 uniforms) with the given deviations. */
const table = (draws: number, identities: number, [sd, si, se]: number[], seed: number) => {
  const random = new Random(seed);
  const normal = () => Array.from({ length: 12 }, () => random.nextU32() / 2 ** 32).reduce((a, b) => a + b) - 6;
  const byDraw = Array.from({ length: draws }, () => sd * normal());
  const byIdentity = Array.from({ length: identities }, () => si * normal());
  return byDraw.map((draw) => byIdentity.map((identity) => draw + identity + se * normal()));
};

describe('a bootstrap interval', () => {
  test('a bootstrap interval has the plain mean and no width when all values are equal', () => {
    const values = [
      [0.5, 0.5],
      [0.5, 0.5],
    ];
    expect(bootstrapInterval(values, { seed: 1 })).toEqual({ mean: 0.5, ci95: [0.5, 0.5] });
    expect(bootstrapInterval([[3]], { seed: 1 })).toEqual({ mean: 3, ci95: [3, 3] });
  });

  test('a bootstrap interval of one draw has the binomial quantiles of a coin', () => {
    // 100 identities, half of them 1: a resampled mean is Binomial(100, 1/2) / 100, quantiles 0.40 and 0.60.
    const values = [Array.from({ length: 100 }, (_, i) => i % 2)];
    const { mean, ci95 } = bootstrapInterval(values, { seed: 2, resamples: 20_000 });
    expect(mean).toBe(0.5);
    expect(ci95[0]).toBeCloseTo(0.4, 2);
    expect(ci95[1]).toBeCloseTo(0.6, 2);
  });

  test('a bootstrap interval covers both draws and identities', () => {
    // Only draws differ, so many identities must not narrow the interval: the resampled mean of the draws 0 and 1 is 0,
    // 1/2 or 1 with probability 1/4, 1/2, 1/4.
    const byDraw = [new Array(50).fill(0), new Array(50).fill(1)];
    expect(bootstrapInterval(byDraw, { seed: 3 }).ci95).toEqual([0, 1]);
    const byIdentity = Array.from({ length: 50 }, () => [0, 1]);
    expect(bootstrapInterval(byIdentity, { seed: 3 }).ci95).toEqual([0, 1]);
    expect(bootstrapInterval(byDraw, { seed: 3, confidence: 0.4 }).ci95).toEqual([0.5, 0.5]);
  });

  test('a bootstrap interval contains the true mean about 95 times in 100', () => {
    let held = 0;
    for (let seed = 0; seed < 150; seed++) {
      const { ci95 } = bootstrapInterval(table(20, 30, [0.3, 1, 0.5], seed), { seed, resamples: 400 });
      held += ci95[0] <= 0 && 0 <= ci95[1] ? 1 : 0;
    }
    expect(held / 150).toBeGreaterThan(0.88);
  });

  test('a bootstrap interval narrows with more identities and widens with confidence', () => {
    const few = table(5, 10, [0, 1, 0.1], 4);
    const many = table(5, 400, [0, 1, 0.1], 4);
    expect(width(bootstrapInterval(many, { seed: 1 }))).toBeLessThan(0.5 * width(bootstrapInterval(few, { seed: 1 })));
    const sure = bootstrapInterval(few, { seed: 1, confidence: 0.99 });
    expect(width(sure)).toBeGreaterThan(width(bootstrapInterval(few, { seed: 1 })));
  });

  test('a bootstrap interval is the same for the same seed, and shifts and scales with the values', () => {
    const values = table(4, 20, [1, 1, 1], 5);
    const original = bootstrapInterval(values, { seed: 6 });
    expect(bootstrapInterval(values, { seed: 6 })).toEqual(original);
    expect(bootstrapInterval(values, { seed: 7 })).not.toEqual(original);
    const moved = bootstrapInterval(
      values.map((row) => row.map((value) => 3 + 2 * value)),
      { seed: 6 },
    );
    expect(moved.ci95[0]).toBeCloseTo(3 + 2 * original.ci95[0], 12);
    expect(moved.ci95[1]).toBeCloseTo(3 + 2 * original.ci95[1], 12);
  });

  test('a bootstrap interval interpolates between the resampled means', () => {
    // With two resamples, the quantiles are at 1/4 and 3/4 of the way from the lower to the upper mean.
    const values = [Array.from({ length: 30 }, (_, i) => i)];
    const ends = bootstrapInterval(values, { seed: 8, resamples: 2, confidence: 0.999999999 }).ci95;
    const half = bootstrapInterval(values, { seed: 8, resamples: 2, confidence: 0.5 }).ci95;
    expect(half[0]).toBeCloseTo(ends[0] + (ends[1] - ends[0]) / 4, 6);
    expect(half[1]).toBeCloseTo(ends[1] - (ends[1] - ends[0]) / 4, 6);
  });

  test('a bootstrap interval is refused for ragged, empty or non-finite tables and invalid options', () => {
    expect(() => bootstrapInterval([[1, 2], [1]], { seed: 0 })).toThrow(ShapeError);
    expect(() => bootstrapInterval([], { seed: 0 })).toThrow(ShapeError);
    expect(() => bootstrapInterval([[]], { seed: 0 })).toThrow(ShapeError);
    expect(() => bootstrapInterval([[1], [Number.NaN]], { seed: 0 })).toThrow(DataError);
    expect(() => bootstrapInterval([[1, Number.POSITIVE_INFINITY]], { seed: 0 })).toThrow(/draw 0, identity 1/);
    for (const resamples of [0, 1.5])
      expect(() => bootstrapInterval([[1]], { seed: 0, resamples })).toThrow(ConfigError);
    for (const confidence of [0, 1, 95]) {
      expect(() => bootstrapInterval([[1]], { seed: 0, confidence })).toThrow(ConfigError);
    }
    expect(() => bootstrapInterval([[1]], { seed: -1 })).toThrow(ConfigError);
  });
});

describe('a paired difference', () => {
  test('a paired difference does not depend on the spread that both tables share', () => {
    const a = table(5, 40, [1, 1, 1], 1);
    const b = a.map((row) => row.map((value) => value - 0.25));
    const { mean, ci95 } = pairedDifference(a, b, { seed: 2 });
    expect(mean).toBeCloseTo(0.25, 12);
    expect(ci95[0]).toBeCloseTo(0.25, 12);
    expect(ci95[1]).toBeCloseTo(0.25, 12);
  });

  test('a paired difference changes sign with the order of the tables', () => {
    const [a, b] = [table(3, 10, [1, 1, 1], 3), table(3, 10, [1, 1, 1], 4)];
    const there = pairedDifference(a, b, { seed: 5 });
    const back = pairedDifference(b, a, { seed: 5 });
    expect(back.mean).toBeCloseTo(-there.mean, 12);
    expect(back.ci95[0]).toBeCloseTo(-there.ci95[1], 12);
  });

  test('a paired difference is refused for tables of different sizes', () => {
    expect(() => pairedDifference([[1], [2]], [[1]], { seed: 0 })).toThrow(ShapeError);
    expect(() => pairedDifference([[1]], [[1], [2]], { seed: 0 })).toThrow(ShapeError);
    expect(() => pairedDifference([[1, 2]], [[1]], { seed: 0 })).toThrow(/2 and 1 identities in draw 0/);
  });
});

describe('the interval over repetitions', () => {
  const over = (tables: number[][][]) => new HierarchicalBootstrap({ seed: 1 }).interval(tables);

  const spread = (center: number) => [
    [center - 0.1, center + 0.1],
    [center, center],
  ];

  test('the interval over repetitions is as wide as the repetitions differ, even when each has no spread', () => {
    const { mean, ci95 } = over([[[0, 0]], [[1, 1]]]);
    expect(mean).toBe(0.5);
    expect(ci95).toEqual([0, 1]);
  });

  test('the interval over repetitions is wider than that of all draws in one table', () => {
    const tables = [0.2, 0.5, 0.8].map(spread);
    const together = bootstrapInterval(tables.flat(), { seed: 1 });
    const repeated = over(tables);
    expect(repeated.mean).toBeCloseTo(together.mean, 12);
    expect(width(repeated)).toBeGreaterThan(width(together));
  });

  test('the interval over one repetition is about that of its table', () => {
    const alone = over([spread(0.5)]);
    const table = bootstrapInterval(spread(0.5), { seed: 1 });
    for (const i of [0, 1]) expect(alone.ci95[i]).toBeCloseTo(table.ci95[i], 2);
  });

  test('repetitions with more draws have no more weight', () => {
    expect(over([[[0], [0], [0]], [[1]]]).mean).toBe(0.5);
  });

  test('the interval over repetitions is refused without a table, and for values that are not finite', () => {
    expect(() => over([])).toThrow(ShapeError);
    expect(() => over([[[Number.NaN]]])).toThrow(DataError);
  });

  test('the interval over repetitions does not depend on earlier calls', () => {
    const bootstrap = new HierarchicalBootstrap({ seed: 1 });
    bootstrap.interval([[[1]], [[2]]]);
    bootstrap.interval([spread(0.1), spread(0.2)]);
    expect(bootstrap.interval([spread(0.3), spread(0.7)])).toEqual(over([spread(0.3), spread(0.7)]));
  });
});
