/**
 * Confidence intervals for means over draws of a memory's errors and over people, and tests of such means against zero.
 *
 * A table [draw][person] is a crossed design: every draw attacks the same people, so all values of a draw share the luck of
 * that draw, and all values of a person share how easy that person is. Both are samples: of faults, and of people. A two-way
 * analysis of variance without replication splits the variance of the mean into the parts of draws and people (H. Scheffé, The
 * Analysis of Variance, 1959, chapter 7). Each part has its own degrees of freedom and its own quantile of Student's t: half the
 * width of an interval is sqrt(sum of (t x standard error)^2). The part with the fewer degrees of freedom, usually that of
 * draws, keeps its whole mean square: to subtract the rest from it would, with three draws, too often leave nothing. In the
 * simulations of test/metrics/interval.test.ts this covers the true mean in 93 to 98 %.
 */
import { DataError, ShapeError } from '../errors.ts';
import { studentQuantile } from './student.ts';

/** Values [draw][person]; null where a value could not be measured. */
export type CrossedTable = readonly (readonly (number | null)[])[];

/** One source of the uncertainty of a mean: its part of the variance of the mean, and the degrees of freedom of that. */
interface VariancePart {
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
  /** Range of the values, where intervals end: 0..1 for shares, otherwise unlimited unless given. */
  readonly range?: readonly [low: number, high: number];
}

function rangeOf({ share = false, range }: EstimateOptions): readonly [number, number] {
  return range ?? (share ? [0, 1] : [-Infinity, Infinity]);
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
  const used = options.share && isNearBound(complete, mean) ? complete.map((row) => [...row, 0, 0, 1, 1]) : complete;
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

/**
 * Estimates the mean over several victims, each with the same weight.
 *
 * @param tables one table [draw][person] per victim
 * @param samePeople true if all victims were trained on the same people in the same order: then people are crossed with
 *   victims, as they are with draws. Otherwise every victim has its own people, and victims are the only sample.
 * @returns undefined if no value was measured
 * @throws ShapeError where there is no table, or the same people differ in number
 */
export function estimateOverVictims(
  tables: readonly CrossedTable[],
  samePeople: boolean,
  options: EstimateOptions = {},
): Estimate | undefined {
  if (tables.length === 0) throw new ShapeError('estimateOverVictims: no tables; give at least one');
  for (const table of tables) check(table);
  const means = tables.map((table) => {
    const people = table[0].map((_, person) => table.map((row) => row[person]).filter((value) => value !== null));
    return people.map((values) => (values.length === 0 ? null : sum(values) / values.length));
  });
  const unmeasured = tables.flat(2).filter((value) => value === null).length;
  const victims = samePeople ? means : means.map((row) => [meanOf(row.filter((value) => value !== null))]);
  const estimated = estimate(victims, samePeople ? options : {});
  if (!estimated) return undefined;
  const known = means.flat().filter((value) => value !== null).length;
  const parts =
    options.share && !samePeople && tables.every((table) => table[0].length > 1)
      ? estimated.parts.map((part) => atLeastBinomial(part, estimated.mean, known))
      : estimated.parts;
  return { ...estimated, parts, unmeasured, range: rangeOf(options) };
}

/** Victims that all have the same share could have it by chance: its variance is at least that of so many people. */
function atLeastBinomial({ variance, freedom }: VariancePart, mean: number, people: number): VariancePart {
  const share = (mean * people + 2) / (people + 4);
  return { variance: Math.max(variance, (share * (1 - share)) / (people + 4)), freedom };
}

/** True if the standard error of a share over several people would be a rough guess, because the expected count is small. */
function isNearBound(table: readonly (readonly unknown[])[], mean: number): boolean {
  const people = table[0].length;
  return people > 1 && people * mean * (1 - mean) < 4;
}

function meanOf(values: readonly number[]): number | null {
  return values.length === 0 ? null : sum(values) / values.length;
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
