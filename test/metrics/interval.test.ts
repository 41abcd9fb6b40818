import { describe, expect, it } from 'vitest';
import { DataError, ShapeError } from '../../src/errors.ts';
import {
  type CrossedTable,
  equivalencePValue,
  estimate,
  estimateOverVictims,
  intervalOf,
  pValueOf,
} from '../../src/metrics/interval.ts';
import { studentPValue, studentQuantile } from '../../src/metrics/student.ts';
import { Random } from '../../src/random.ts';

/** A source of normal numbers: the transform of Box and Muller. */
function normals(seed: number) {
  const random = new Random(seed);
  const uniform = () => (random.nextU32() + 0.5) / 2 ** 32;
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/** A crossed design: draws, people and the rest have these standard deviations, and the true mean is `mean`. */
function simulated(
  normal: () => number,
  size: { draws: number; people: number },
  spread: Spread,
  mean = 0,
): number[][] {
  const people = Array.from({ length: size.people }, () => spread.people * normal());
  return Array.from({ length: size.draws }, () => {
    const draw = spread.draws * normal();
    return people.map((person) => mean + draw + person + spread.rest * normal());
  });
}

interface Spread {
  readonly draws: number;
  readonly people: number;
  readonly rest: number;
}

describe("Student's t distribution", () => {
  it.each([
    // freedom, quantile of 0.05 (two-sided), of 0.01: NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2.
    [1, 12.706, 63.657],
    [2, 4.303, 9.925],
    [4, 2.776, 4.604],
    [10, 2.228, 3.169],
    [30, 2.042, 2.75],
    [100, 1.984, 2.626],
  ])('the quantiles with %d degrees of freedom are those of the printed table', (freedom, five, one) => {
    expect(studentQuantile(0.05, freedom)).toBeCloseTo(five, 3);
    expect(studentQuantile(0.01, freedom)).toBeCloseTo(one, 3);
    expect(studentPValue(studentQuantile(0.3, freedom), freedom)).toBeCloseTo(0.3, 10);
  });

  it('the distribution with one and two degrees of freedom has its closed form', () => {
    for (const t of [0, 0.1, 1, 3, 40, 1e5]) {
      expect(studentPValue(t, 1)).toBeCloseTo(1 - (2 / Math.PI) * Math.atan(t), 12);
      expect(studentPValue(t, 2)).toBeCloseTo(1 - t / Math.sqrt(2 + t * t), 12);
    }
  });
});

describe('intervals of a crossed design', () => {
  const sizes = [
    ...[3, 5, 10].map((draws) => ({ draws, people: 30 })),
    { draws: 50, people: 20 },
    { draws: 3, people: 120 },
  ];
  const spreads = [
    { what: 'draws', draws: 1, people: 0, rest: 1 },
    { what: 'people', draws: 0, people: 1, rest: 1 },
    { what: 'draws and people', draws: 1, people: 1, rest: 1 },
    { what: 'draws a little and people', draws: 0.3, people: 1, rest: 0.3 },
    { what: 'draws a little', draws: 0.2, people: 0, rest: 1 },
  ];
  // 1000 tables each: the coverage that is counted has a standard error of 0.7 points.
  it.each(sizes.flatMap((size) => spreads.map((spread) => ({ ...size, ...spread, size, spread }))))(
    'a 95 % interval of $size.draws draws and $size.people people covers the true mean in 93 to 98 % when $what vary',
    ({ size, spread }) => {
      const { normal } = normals(11 + size.draws);
      let covered = 0;
      for (let i = 0; i < 1000; i++) {
        const [low, high] = intervalOf(estimate(simulated(normal, size, spread))!)!;
        if (low <= 0 && 0 <= high) covered++;
      }
      // Two standard errors of the count beyond 93..98 %.
      expect(covered).toBeGreaterThan(930 - 16);
      expect(covered).toBeLessThan(980 + 9);
    },
  );

  it('an interval of accuracy covers the true accuracy when draws and photographs are sampled', () => {
    const { normal, uniform } = normals(5);
    const logistic = (x: number) => 1 / (1 + Math.exp(-x));
    const [mean, draws, photographs] = [2, 0.4, 1.5];
    let truth = 0;
    for (let i = 0; i < 50_000; i++) truth += logistic(mean + draws * normal() + photographs * normal()) / 50_000;
    let covered = 0;
    for (let i = 0; i < 500; i++) {
      const hard = Array.from({ length: 120 }, () => photographs * normal());
      const table = Array.from({ length: 5 }, () => {
        const draw = mean + draws * normal();
        return hard.map((each) => (uniform() < logistic(draw + each) ? 1 : 0));
      });
      const [low, high] = intervalOf(estimate(table, { share: true })!)!;
      if (low <= truth && truth <= high) covered++;
    }
    expect(covered / 500).toBeGreaterThan(0.92);
    expect(covered / 500).toBeLessThan(0.98);
  });

  it('the variance of a balanced table is that of the two-way analysis of variance', () => {
    // Worked by hand: draw means 2 and 4, person means 1, 3 and 5, deviations 0.
    const table = [
      [0, 2, 4],
      [2, 4, 6],
    ];
    const { mean, parts } = estimate(table)!;
    expect(mean).toBe(3);
    expect(parts).toEqual([
      { variance: 1, freedom: 1 },
      { variance: 4 / 3, freedom: 2 },
    ]);
  });

  it('one draw samples people only, one person draws only, and a single value has no interval', () => {
    const people = estimate([[1, 2, 3]])!;
    expect(people.parts).toEqual([{ variance: 1 / 3, freedom: 2 }]);
    expect(estimate([[1], [2], [3]])!.parts).toEqual(people.parts);
    expect(intervalOf(people)![1]).toBeCloseTo(2 + 4.3027 / Math.sqrt(3), 3);
    expect(intervalOf(estimate([[1]])!)).toBeUndefined();
    expect(pValueOf(estimate([[1]])!)).toBeUndefined();
  });

  it('shares that are all 1 have an interval that ends at 1 and begins below it', () => {
    const ones = Array.from({ length: 3 }, () => Array.from({ length: 40 }, () => 1));
    const estimated = estimate(ones, { share: true })!;
    expect(estimated.mean).toBe(1);
    const [low, high] = intervalOf(estimated)!;
    expect(high).toBe(1);
    expect(low).toBeGreaterThan(0.85);
    expect(low).toBeLessThan(0.96);
  });

  it('values that were not measured are counted and left out of the mean', () => {
    const table: CrossedTable = [
      [1, null, 3],
      [null, null, null],
      [3, null, 5],
    ];
    const { mean, unmeasured, parts } = estimate(table)!;
    expect(mean).toBe(3);
    expect(unmeasured).toBe(5);
    expect(parts.map(({ freedom }) => freedom)).toEqual([1, 1]);
    expect(estimate([[null], [null]])).toBeUndefined();
  });

  it('a missing value changes the variance of an additive table by rounding only', () => {
    const table = Array.from({ length: 4 }, (_, draw) =>
      Array.from({ length: 5 }, (_, person) => draw + person * person),
    );
    const full = estimate(table)!.parts;
    const holed = estimate(
      table.map((row, draw) => row.map((value, i) => (draw === 1 && i === 2 ? null : value))),
    )!.parts;
    for (const [i, { variance }] of holed.entries()) expect(variance).toBeCloseTo(full[i].variance, 6);
  });

  it('a table that is ragged, empty or holds NaN is refused', () => {
    expect(() => estimate([[1, 2], [3]])).toThrow(ShapeError);
    expect(() => estimate([])).toThrow(ShapeError);
    expect(() => estimate([[1, Number.NaN]])).toThrow(DataError);
  });
});

describe('tests of a mean', () => {
  const size = { draws: 5, people: 30 };
  const spread = { draws: 0.3, people: 1, rest: 0.5 };

  it('the p-value is the level at which the interval ends at zero', () => {
    const { normal } = normals(3);
    const estimated = estimate(simulated(normal, size, spread, 0.4))!;
    const p = pValueOf(estimated)!;
    expect(p).toBeGreaterThan(0);
    const [low] = intervalOf(estimated, 1 - p)!;
    expect(low).toBeCloseTo(0, 6);
  });

  it('a planted null is found at about its nominal rate, and a planted effect nearly always', () => {
    const { normal } = normals(4);
    let [nulls, effects] = [0, 0];
    for (let i = 0; i < 400; i++) {
      if (pValueOf(estimate(simulated(normal, size, spread))!)! < 0.05) nulls++;
      if (pValueOf(estimate(simulated(normal, size, spread, 1.2))!)! < 0.05) effects++;
    }
    expect(nulls).toBeGreaterThan(5);
    expect(nulls).toBeLessThan(30);
    expect(effects).toBeGreaterThan(380);
  });

  it('equivalence is found where the mean is zero, and at most at the nominal rate at the margin', () => {
    const { normal } = normals(6);
    let [atZero, atMargin] = [0, 0];
    for (let i = 0; i < 300; i++) {
      if (equivalencePValue(estimate(simulated(normal, size, spread))!, 1)! < 0.05) atZero++;
      if (equivalencePValue(estimate(simulated(normal, size, spread, 1))!, 1)! < 0.05) atMargin++;
    }
    expect(atZero).toBeGreaterThan(240);
    expect(atMargin).toBeLessThan(26);
  });

  it('equivalence is not the absence of a significant difference', () => {
    const few = estimate([
      [0.5, -0.4, 0.1],
      [-0.3, 0.2, 0],
    ])!;
    expect(pValueOf(few)).toBeGreaterThan(0.05);
    expect(equivalencePValue(few, 0.02)).toBeGreaterThan(0.05);
  });
});

describe('estimates over victims', () => {
  const nothing = { people: false, draws: false };
  const people = { people: true, draws: false };
  const both = { people: true, draws: true };

  it('victims with their own people are the only sample', () => {
    const tables = [[[1, 3]], [[2, 4]], [[6, 0, 3]]];
    const { mean, parts } = estimateOverVictims(tables, nothing)!;
    expect(mean).toBeCloseTo((2 + 3 + 3) / 3, 12);
    expect(parts).toHaveLength(1);
    expect(parts[0].freedom).toBe(2);
    expect(parts[0].variance).toBeCloseTo(1 / 9, 12);
  });

  it('victims of the same people are crossed with them', () => {
    const tables = [[[1, 2, 6]], [[2, 3, 7]]];
    const same = estimateOverVictims(tables, people)!;
    expect(same.parts.map(({ freedom }) => freedom)).toEqual([1, 2]);
    expect(() => estimateOverVictims([[[1, 2]], [[1, 2, 3]]], people)).toThrow(ShapeError);
    expect(() => estimateOverVictims([], people)).toThrow(ShapeError);
  });

  it('victims in the same memories are crossed with draws and people, and the variance is that of the analysis of variance', () => {
    // Victims add 0 and 2, draws 0, 3 and 6, people 0, 1, 2 and 3: no interaction and no rest.
    const tables = [0, 2].map((v) => [0, 3, 6].map((d) => [0, 1, 2, 3].map((p) => v + d + p)));
    const { mean, parts } = estimateOverVictims(tables, both)!;
    expect(mean).toBe(1 + 3 + 1.5);
    expect(parts.map(({ freedom }) => freedom)).toEqual([1, 2, 3]);
    // Variances of the means of two victims, three draws, four people.
    for (const [i, variance] of [2 / 2, 9 / 3, 5 / 3 / 4].entries())
      expect(parts[i].variance).toBeCloseTo(variance, 12);
    const own = estimateOverVictims(tables, { people: false, draws: true })!;
    expect(own.parts.map(({ freedom }) => freedom)).toEqual([1, 2]);
    expect(own.parts[1].variance).toBeCloseTo(9 / 3, 12);
    expect(() => estimateOverVictims([[[1], [2]], [[1]]], both)).toThrow(/victim 1 has 1 draws/);
  });

  it('a draw that one victim lacks is left out for all, and a single missing value is completed', () => {
    const tables: CrossedTable[] = [
      [
        [1, 2],
        [null, null],
        [3, 4],
      ],
      [
        [2, 3],
        [9, 9],
        [4, null],
      ],
    ];
    const estimated = estimateOverVictims(tables, both)!;
    expect(estimated.mean).toBeCloseTo(3, 6);
    expect(estimated.unmeasured).toBe(3);
    expect(estimateOverVictims([[[null]], [[1]]], both)).toBeUndefined();
  });

  it.each([
    { what: 'DIMMs', victims: 0.2, dimms: 1, persons: 0.3 },
    { what: 'victims', victims: 1, dimms: 0.2, persons: 0.3 },
    { what: 'people', victims: 0.1, dimms: 0.1, persons: 2 },
    { what: 'all', victims: 0.5, dimms: 0.5, persons: 2 },
    { what: 'nothing but single values', victims: 0, dimms: 0, persons: 0 },
  ])('a 95 % interval of five victims in the same seven DIMMs covers the true mean when $what vary', (spread) => {
    const { normal } = normals(21);
    let [covered, ofOneVictim] = [0, 0];
    for (let i = 0; i < 400; i++) {
      const sample = (count: number, deviation: number) => Array.from({ length: count }, () => deviation * normal());
      const [dimms, persons] = [sample(7, spread.dimms), sample(20, spread.persons)];
      const pairs = sample(7 * 20, 0.3);
      const tables = sample(5, spread.victims).map((victim) =>
        dimms.map((dimm, d) => persons.map((person, p) => victim + dimm + person + pairs[d * 20 + p] + normal())),
      );
      const [low, high] = intervalOf(estimateOverVictims(tables, both)!)!;
      if (low <= 0 && 0 <= high) covered++;
      const [, top] = intervalOf(estimateOverVictims(tables, people)!)!;
      if (top >= 0) ofOneVictim++;
    }
    // 400 tables: two standard errors of the count are 2.2 points.
    expect(covered).toBeGreaterThan(400 * 0.93 - 9);
    if (spread.what === 'DIMMs') expect(ofOneVictim).toBeLessThan(400 * 0.9);
  });

  it('values of victims that were not measured are counted, and a victim without any value has no estimate', () => {
    const estimated = estimateOverVictims([[[1, null]], [[3, 3]]], nothing)!;
    expect(estimated.mean).toBe(2);
    expect(estimated.unmeasured).toBe(1);
    expect(estimateOverVictims([[[null]], [[1]]], nothing)?.mean).toBe(1);
  });
});

describe('differences of paired shares', () => {
  it.each([1, 5, 40])('with %d people the mean is that of the people, and intervals stay within -1..1', (people) => {
    const table = Array.from({ length: 3 }, () => new Array<number>(people).fill(-1));
    const estimated = estimate(table, { shareDifference: true })!;
    expect(estimated.mean).toBe(-1);
    const [low, high] = intervalOf(estimated)!;
    expect(low).toBe(-1);
    expect(high).toBeGreaterThan(-1);
    expect(high).toBeLessThan(people === 40 ? -0.7 : 1.01);
  });

  it('people who all agree have an interval, also where victims have their own', () => {
    const table = [new Array<number>(30).fill(0), new Array<number>(30).fill(0)];
    const [low, high] = intervalOf(estimate(table, { shareDifference: true })!)!;
    expect(high).toBeGreaterThan(0.02);
    expect(low).toBeCloseTo(-high, 12);
    const own = estimateOverVictims([table, table, table], { people: false, draws: false }, { shareDifference: true })!;
    // 90 people and four more, of whom two differ: 2 / 94 / 94.
    expect(own.parts[0].variance).toBeCloseTo(2 / 94 / 94, 12);
  });
});
