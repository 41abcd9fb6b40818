/** The output of the benchmark: one row per number, with its target if it has one. */
import { median } from '../src/cli/doctor.ts';

/**
 * A bound for a number. With `higher`, numbers at or above the target meet it; with `lower`, numbers at or below it.
 */
export interface Target {
  readonly target: number;
  readonly better: 'higher' | 'lower';
}

/** The coordinates of a row that the roofline shows (bench/roofline.ts). */
export interface RooflinePoint {
  readonly kernel: string;
  /**
   * The row's numbers are per cent of the FMA ceiling for `GEMM` and `convolution`, and per cent of the copy's bytes per
   * second for `streaming`.
   */
  readonly kind: 'GEMM' | 'convolution' | 'streaming';
  /** Operations per byte that must be moved (bench/cost.ts); 0 if no operations are counted. */
  readonly intensity: number;
}

/** Describes a row that the growth figure shows (bench/growth_figure.ts): a step's time at one size, or the fitted slope. */
export interface GrowthPoint {
  readonly model: string;
  readonly over: 'batch' | 'width';
  /** Images, channels or hidden units; for a slope, all sizes to which it was fitted. */
  readonly sizes: readonly number[];
}

/** One number of the benchmark. */
export interface Row extends Partial<Target> {
  readonly name: string;
  /** Median over the rounds. */
  readonly measured: number;
  readonly unit: string;
  /** True if the median meets the target; absent if there is no target. */
  readonly met?: boolean;
  readonly min: number;
  readonly max: number;
  readonly roofline?: RooflinePoint;
  readonly growth?: GrowthPoint;
  /** Why there is no number; `measured`, `min` and `max` are then NaN, which JSON writes as null. */
  readonly failure?: string;
}

/**
 * Makes a row from measured values: their median, minimum and maximum.
 * @param values one per round
 * @param drawn data for the figure that shows the row
 */
export function makeRow(
  name: string,
  values: readonly number[],
  unit: string,
  target?: Target,
  drawn?: Pick<Row, 'roofline' | 'growth'>,
): Row {
  const measured = median(values);
  return {
    name,
    measured,
    unit,
    ...target,
    ...(target && { met: target.better === 'higher' ? measured >= target.target : measured <= target.target }),
    min: Math.min(...values),
    max: Math.max(...values),
    ...drawn,
  };
}

/** A row for a number that could not be measured. @param failure the message of the error */
export function failedRow(name: string, unit: string, failure: string): Row {
  return { name, measured: Number.NaN, unit, min: Number.NaN, max: Number.NaN, failure };
}

export const atLeast = (target: number): Target => ({ target, better: 'higher' });
export const atMost = (target: number): Target => ({ target, better: 'lower' });

/** The lines of an aligned table, headings first. */
export function tableLines(rows: readonly Row[]): string[] {
  const headings = ['', 'median', 'unit', 'min', 'max', 'target', 'met', 'FLOP/byte'];
  const cells = rows.map(({ name, measured, unit, min, max, target, better, met, roofline, failure }) => [
    name,
    digits(measured),
    unit,
    digits(min),
    digits(max),
    target === undefined ? '' : `${better === 'higher' ? '>=' : '<='} ${digits(target)}`,
    failure?.split('\n')[0] ?? (met === undefined ? '' : met ? 'yes' : 'NO'),
    roofline?.intensity ? digits(roofline.intensity) : '',
  ]);
  const widths = headings.map((heading, i) => Math.max(heading.length, ...cells.map((row) => row[i].length)));
  // Columns of words are aligned left, numbers right.
  const left = [0, 2, 6];
  return [headings, ...cells].map((row) =>
    row
      .map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  );
}

/** Three significant digits, without an exponent. */
function digits(value: number): string {
  if (Number.isNaN(value)) return '-';
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
