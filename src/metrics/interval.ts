/**
 * Confidence intervals for means over draws of a memory's errors and over people, and tests of such means against zero.
 *
 * A table [draw][person] is a crossed design: every draw attacks the same people, so all values of a draw share the luck of
 * that draw, and all values of a person share how easy that person is. Both are samples: of faults, and of people. A two-way
 * analysis of variance without replication splits the variance of the mean into the parts of draws and people (H. Scheffé, The
 * Analysis of Variance, 1959, chapter 7). Each part has its own degrees of freedom and its own quantile of Student's t: half the
 * width of an interval is sqrt(sum of (t x standard error)^2). The part with the fewer degrees of freedom, usually that of
 * draws, keeps its whole mean square: to subtract the rest from it would, with three draws, too often leave nothing. In the
 * simulations of test/metrics/interval.test.ts this covers the true mean in 93 to 98 %. Several victims are one more sample; where
 * draw i is the same memory for all of them, such as a measured DIMM, victims, draws and people are crossed three ways.
 */
import { DataError, ShapeError } from '../errors.ts';
import { studentQuantile } from './student.ts';

/** Values [draw][person]; null where a value could not be measured. */
export type CrossedTable = readonly (readonly (number | null)[])[];

/** One source of the uncertainty of a mean: its part of the variance of the mean, and the degrees of freedom of that. */
export interface VariancePart {
  readonly variance: number;
  readonly freedom: number;
}

/** A mean and the sources of its uncertainty. */
export interface Estimate {
  /**
   * Mean over draws and people. Where single values are missing, it is that of the completed table: people who could be measured
   * less often have the same weight as all others.
   */
  readonly mean: number;
  /** Centre of intervals: equal to the mean, except for shares, where it is drawn towards 1/2. */
  readonly centre: number;
  /** Draws and people; empty for a single value, which shows no variation. */
  readonly parts: readonly VariancePart[];
  /** Number of values that could not be measured. */
  readonly unmeasured: number;
  /** Range of the values: intervals end there. */
  readonly range: readonly [low: number, high: number];
}

export interface EstimateOptions {
  /**
   * True for shares, whose values are 0..1. Where the mean is close to 0 or 1, four people are added, two with 0 and two with
   * 1 in every draw, as in the interval of A. Agresti and B. Coull (The American Statistician 52, 1998): the variance of a table
   * of ones would be 0.
   */
  readonly share?: boolean;
  /**
   * True for differences of paired shares, whose values are -1..1. In every draw four people are added, of whom one differs in
   * either direction: people who all agree could differ from the next one (A. Agresti and Y. Min, Biometrics 61, 2005).
   */
  readonly shareDifference?: boolean;
  /** Range of the values, where intervals end: 0..1 for shares, -1..1 for their differences, otherwise unlimited unless given. */
  readonly range?: readonly [low: number, high: number];
}

function rangeOf({ share, shareDifference, range }: EstimateOptions): readonly [number, number] {
  return range ?? (share ? [0, 1] : shareDifference ? [-1, 1] : [-Infinity, Infinity]);
}

/** The people that are added to every draw of a complete table. */
function addedPeople(table: readonly (readonly number[])[], mean: number, options: EstimateOptions): readonly number[] {
  if (options.shareDifference) return [1, -1, 0, 0];
  return options.share && isNearBound(table, mean) ? [0, 0, 1, 1] : [];
}

/**
 * Estimates the mean of a crossed table. With one draw only people are sampled, with one person only draws. Draws and people
 * without any measured value are left out. Single missing values are replaced by those that the rest of the table predicts
 * (F. Yates, Empire Journal of Experimental Agriculture 1, 1933).
 *
 * @returns undefined if no value was measured
 * @throws ShapeError where the rows differ in length
 * @throws DataError where a value is NaN or infinite
 */
export function estimate(table: CrossedTable, options: EstimateOptions = {}): Estimate | undefined {
  check(table);
  const count = table.reduce((sum, row) => sum + row.filter((value) => value !== null).length, 0);
  if (count === 0) return undefined;
  const unmeasured = table.length * table[0].length - count;
  const { complete, missing } = completed(withoutEmpty(table));
  const mean = meanOfTable(complete);
  const added = addedPeople(complete, mean, options);
  const used = complete.map((row) => [...row, ...added]);
  return { mean, centre: meanOfTable(used), parts: partsOf(used, missing), unmeasured, range: rangeOf(options) };
}

/** Half the width of the interval of confidence 1 - alpha, before it is cut to the range of the values. */
function halfWidth({ parts }: Estimate, alpha: number): number {
  return Math.sqrt(sum(parts.map(({ variance, freedom }) => variance * studentQuantile(alpha, freedom) ** 2)));
}

/** The interval of an estimate; undefined for a single value. @param confidence 0..1 */
export function intervalOf(estimated: Estimate, confidence = 0.95): [low: number, high: number] | undefined {
  const { mean, centre, parts, range } = estimated;
  if (parts.length === 0) return undefined;
  const half = halfWidth(estimated, 1 - confidence);
  return [Math.max(range[0], Math.min(mean, centre - half)), Math.min(range[1], Math.max(mean, centre + half))];
}

/**
 * The largest alpha, 0..1, at which an interval of confidence 1 - alpha reaches `distance` from its centre: the p-value of a
 * two-sided test. Found by bisection.
 */
function reachedAt(estimated: Estimate, distance: number): number {
  if (distance <= 0) return 1;
  if (halfWidth(estimated, 1e-12) < distance) return 0;
  let [low, high] = [1e-12, 1];
  for (let i = 0; i < 36; i++) {
    // In the logarithm, because p-values span many orders of magnitude.
    const middle = Math.sqrt(low * high);
    if (halfWidth(estimated, middle) > distance) low = middle;
    else high = middle;
  }
  return Math.sqrt(low * high);
}

/** P-value of a two-sided test that the true mean is zero; undefined for a single value. */
export function pValueOf(estimated: Estimate): number | undefined {
  if (estimated.parts.length === 0) return undefined;
  return reachedAt(estimated, Math.abs(estimated.centre));
}

/**
 * P-value of the equivalence test, whose null hypothesis is that the true mean lies at least `margin` from zero (two one-sided
 * tests: D. Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987); undefined for a single value.
 *
 * @param margin above 0, in the unit of the values
 */
export function equivalencePValue(estimated: Estimate, margin: number): number | undefined {
  if (estimated.parts.length === 0) return undefined;
  const distance = margin - Math.abs(estimated.centre);
  const half = reachedAt(estimated, Math.abs(distance)) / 2;
  return distance > 0 ? half : 1 - half;
}

/** What several victims have in common. */
export interface SharedByVictims {
  /** True if all were trained on the same people in the same order. */
  readonly people: boolean;
  /** True if draw i is the same memory for all of them, such as a measured DIMM. */
  readonly draws: boolean;
}

/**
 * Estimates the mean over several victims, each with the same weight. Victims are a sample; what they share, people or draws, is
 * crossed with them and is another sample. What they do not share differs from victim to victim, and is part of that variation.
 *
 * @param tables one table [draw][person] per victim
 * @returns undefined if no value was measured
 * @throws ShapeError where there is no table, or shared people or draws differ in number
 */
export function estimateOverVictims(
  tables: readonly CrossedTable[],
  shared: SharedByVictims,
  options: EstimateOptions = {},
): Estimate | undefined {
  if (tables.length === 0) throw new ShapeError('estimateOverVictims: no tables; give at least one');
  for (const table of tables) check(table);
  const unmeasured = tables.flat(2).filter((value) => value === null).length;
  const means = tables.map((table) => transposed(table).map(meanOfMeasured));
  const estimated = crossed(tables, means, shared, options);
  if (!estimated) return undefined;
  const known = means.flat().filter((value) => value !== null);
  const isFloored = !shared.people && tables.every((table) => table[0].length > 1);
  const least = isFloored ? leastVariance(known, estimated.mean, options) : 0;
  const parts = estimated.parts.map((part) => ({ ...part, variance: Math.max(part.variance, least) }));
  return { ...estimated, parts, unmeasured, range: rangeOf(options) };
}

/** @param means mean of every person over draws, by victim */
function crossed(
  tables: readonly CrossedTable[],
  means: CrossedTable,
  shared: SharedByVictims,
  options: EstimateOptions,
): Estimate | undefined {
  if (shared.draws && shared.people && tables.length > 1) return estimateCrossed(tables, options);
  if (shared.people) return estimate(means, options);
  if (shared.draws) return estimate(tables.map((table) => table.map(meanOfMeasured)));
  return estimate(means.map((row) => [meanOfMeasured(row)]));
}

/**
 * Estimates the mean of victims x draws x people, all crossed, of at least two victims. Draws in which a victim has no measured value
 * are left out.
 */
function estimateCrossed(tables: readonly CrossedTable[], options: EstimateOptions): Estimate | undefined {
  const draws = tables[0].length;
  const other = tables.findIndex((table) => table.length !== draws);
  if (other >= 0)
    throw new ShapeError(
      `interval: victim ${other} has ${tables[other].length} draws, victim 0 has ${draws}; give all`,
    );
  const kept = [...tables[0].keys()].filter((draw) => tables.every((table) => table[draw].some((v) => v !== null)));
  if (kept.length === 0) return undefined;
  const rows = withoutEmpty(tables.flatMap((table) => kept.map((draw) => table[draw])));
  const { complete, missing } = completed(rows);
  const mean = meanOfTable(complete);
  const added = addedPeople(complete, mean, options);
  const cube = tables.map((_, victim) =>
    complete.slice(victim * kept.length, (victim + 1) * kept.length).map((row) => [...row, ...added]),
  );
  return {
    mean,
    centre: meanOfTable(cube.flat()),
    parts: partsOfCube(cube, missing),
    unmeasured: 0,
    range: rangeOf(options),
  };
}

/**
 * The parts of the variance of the mean of a complete table [victim][draw][person]. The variance is MS(victims) + MS(draws) +
 * MS(people) - MS(of each pair) + MS(rest), over the number of values, for the mean squares MS of a three-way analysis of variance: each
 * pair is in two of the first three, the rest in all. The factor with the fewest degrees of freedom keeps its whole mean square;
 * what it includes is subtracted from the others.
 */
function partsOfCube(cube: readonly (readonly (readonly number[])[])[], missing: number): VariancePart[] {
  const sizes = [cube.length, cube[0].length, cube[0][0].length];
  const count = sizes[0] * sizes[1] * sizes[2];
  const order = [0, 1, 2].filter((factor) => sizes[factor] > 1).sort((a, b) => sizes[a] - sizes[b]);
  if (order.length < 3) {
    const flat = sizes[0] === 1 ? cube[0] : sizes[1] === 1 ? cube.map(([row]) => row) : cube.map((row) => row.flat());
    return partsOf(flat, missing);
  }
  /** Sums of squares around the mean of the means over the factors that are not named. */
  const squares = (...factors: number[]): number => {
    const sums = new Map<string, number>();
    let total = 0;
    for (const [v, table] of cube.entries()) {
      for (const [d, row] of table.entries()) {
        for (const [p, value] of row.entries()) {
          const key = factors.map((factor) => [v, d, p][factor]).join();
          sums.set(key, (sums.get(key) ?? 0) + value);
          total += value;
        }
      }
    }
    const each = count / sums.size;
    return each * sum([...sums.values()].map((value) => (value / each - total / count) ** 2));
  };
  const main = sizes.map((_, factor) => squares(factor));
  const pairOf = (a: number, b: number) => squares(a, b) - main[a] - main[b];
  const [ab, ac, bc] = [pairOf(0, 1), pairOf(0, 2), pairOf(1, 2)];
  const rest = squares(0, 1, 2) - main[0] - main[1] - main[2] - ab - ac - bc;
  const freedoms = sizes.map((size) => size - 1);
  const meanSquareOf = (square: number, ...factors: number[]) =>
    square /
    Math.max(
      1,
      factors.reduce((product, factor) => product * freedoms[factor], 1) - (factors.length > 1 ? missing : 0),
    );
  const pairs = [meanSquareOf(ab, 0, 1), meanSquareOf(ac, 0, 2), meanSquareOf(bc, 1, 2)];
  const pair = (a: number, b: number) => pairs[a + b - 1];
  const [few, middle, many] = order;
  const least = meanSquareOf(rest, 0, 1, 2);
  const included = { [few]: 0, [middle]: pair(few, middle), [many]: pair(few, many) + pair(middle, many) - least };
  return order.map((factor) => ({
    variance: Math.max(0, meanSquareOf(main[factor], factor) - included[factor]) / count,
    freedom: freedoms[factor],
  }));
}

/**
 * Victims that all have the same share, or the same difference of shares, could have it by chance: the variance of the mean is at
 * least that of so many people, with the added ones. @param values mean of every person
 */
function leastVariance(values: readonly number[], mean: number, { share, shareDifference }: EstimateOptions): number {
  const people = values.length + 4;
  const part = (mean * values.length + 2) / people;
  if (share) return (part * (1 - part)) / people;
  return shareDifference ? (sum(values.map((value) => value ** 2)) + 2) / people / people : 0;
}

/** True if the standard error of a share over several people would be a rough guess, because the expected count is small. */
function isNearBound(table: readonly (readonly unknown[])[], mean: number): boolean {
  const people = table[0].length;
  return people > 1 && people * mean * (1 - mean) < 4;
}

/** Mean of the values that are not null; null if all are. */
function meanOfMeasured(values: readonly (number | null)[]): number | null {
  const measured = values.filter((value) => value !== null);
  return measured.length === 0 ? null : sum(measured) / measured.length;
}

function transposed(table: CrossedTable): (number | null)[][] {
  return table[0].map((_, person) => table.map((row) => row[person]));
}

function meanOfTable(table: readonly (readonly number[])[]): number {
  return sum(table.flat()) / (table.length * table[0].length);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function check(table: CrossedTable): void {
  const people = table[0]?.length ?? 0;
  table.forEach((row, draw) => {
    if (row.length !== people) {
      throw new ShapeError(
        `interval: draw ${draw} has ${row.length} people, draw 0 has ${people}; give every draw all people`,
      );
    }
    const bad = row.findIndex((value) => value !== null && !Number.isFinite(value));
    if (bad >= 0)
      throw new DataError(`interval: draw ${draw}, person ${bad} is ${row[bad]}; pass null for what was not measured`);
  });
  if (people === 0) throw new ShapeError(`interval: a table of ${table.length}x${people} values; give at least one`);
}

function withoutEmpty(table: CrossedTable): (number | null)[][] {
  const rows = table.filter((row) => row.some((value) => value !== null));
  const people = rows[0].map((_, person) => rows.some((row) => row[person] !== null));
  return rows.map((row) => row.filter((_, person) => people[person]));
}

/** Replaces missing values by row mean + column mean - mean, repeated until they settle. */
function completed(table: readonly (readonly (number | null)[])[]): { complete: number[][]; missing: number } {
  const holes: [row: number, column: number][] = [];
  const known = table.flat().filter((value) => value !== null);
  const first = sum(known) / known.length;
  const complete = table.map((row, i) =>
    row.map((value, j) => {
      if (value === null) holes.push([i, j]);
      return value ?? first;
    }),
  );
  for (let round = 0; round < 100 && holes.length > 0; round++) {
    const { rows, columns, mean } = marginsOf(complete);
    for (const [i, j] of holes) complete[i][j] = rows[i] + columns[j] - mean;
  }
  return { complete, missing: holes.length };
}

function marginsOf(table: readonly (readonly number[])[]): { rows: number[]; columns: number[]; mean: number } {
  const rows = table.map((row) => sum(row) / row.length);
  const columns = table[0].map((_, j) => sum(table.map((row) => row[j])) / table.length);
  return { rows, columns, mean: sum(rows) / rows.length };
}

/** The parts of the variance of the mean of a complete table. */
function partsOf(table: readonly (readonly number[])[], missing: number): VariancePart[] {
  const [draws, people] = [table.length, table[0].length];
  const count = draws * people;
  if (count === 1) return [];
  const { rows, columns, mean } = marginsOf(table);
  if (draws === 1 || people === 1) {
    const freedom = Math.max(1, count - 1 - missing);
    return [{ variance: sum(table.flat().map((value) => (value - mean) ** 2)) / freedom / count, freedom }];
  }
  const freedoms = [draws - 1, people - 1, Math.max(1, (draws - 1) * (people - 1) - missing)];
  const deviations = table.flatMap((row, i) => row.map((value, j) => (value - rows[i] - columns[j] + mean) ** 2));
  const squares = [
    people * sum(rows.map((row) => (row - mean) ** 2)),
    draws * sum(columns.map((column) => (column - mean) ** 2)),
    sum(deviations),
  ].map((square, i) => square / freedoms[i]);
  const rest = squares[2];
  // The mean squares of draws and people include that of the rest, which must be counted once.
  const few = freedoms[0] <= freedoms[1] ? 0 : 1;
  return [0, 1].map((i) => ({
    variance: (i === few ? squares[i] : Math.max(0, squares[i] - rest)) / count,
    freedom: freedoms[i],
  }));
}
