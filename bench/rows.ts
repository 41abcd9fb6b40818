/** The output of the benchmark: one row per number, with its target if the project has set one. */
import { median } from '../src/cli/doctor.ts';

/**
 * A target is a bound, and `better` says on which side of it a number must lie: `higher` is met from the target up,
 * `lower` down from it. A row without a target is there for information.
 */
export interface Target {
  readonly target: number;
  readonly better: 'higher' | 'lower';
}

/** The coordinates of a row that the roofline shows (bench/roofline.ts). */
export interface RooflinePoint {
  readonly kernel: string;
  /**
   * The row measures GEMMs and convolutions in per cent of the FMA ceiling, kernels that stream through memory in per cent
   * of the copy's bytes per second.
   */
  readonly kind: 'GEMM' | 'convolution' | 'streaming';
  /** Operations a byte that must be moved (bench/cost.ts); 0 where no operations are counted. */
  readonly intensity: number;
}

/** Of a row that a growth plot shows (bench/growth_figure.ts): a step's milliseconds at one size, or the fitted slope. */
export interface GrowthPoint {
  readonly model: string;
  readonly over: 'batch' | 'width';
  /** Images or channels; of a slope, all that it was fitted to. */
  readonly sizes: readonly number[];
}

export interface Row extends Partial<Target> {
  readonly name: string;
  /** Median over the rounds. */
  readonly measured: number;
  readonly unit: string;
  /** True if the median meets the target; absent without one. */
  readonly met?: boolean;
  readonly min: number;
  readonly max: number;
  readonly roofline?: RooflinePoint;
  readonly growth?: GrowthPoint;
  /** Why there is no number: the others are then NaN, which JSON has as null. */
  readonly failure?: string;
}

/**
 * @param values one per round
 * @param drawn what a figure needs to know of the row
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

/** A row of what could not be measured. @param failure in the words of what failed */
export function failedRow(name: string, unit: string, failure: string): Row {
  return { name, measured: Number.NaN, unit, min: Number.NaN, max: Number.NaN, failure };
}

export const atLeast = (target: number): Target => ({ target, better: 'higher' });
export const atMost = (target: number): Target => ({ target, better: 'lower' });

/** An aligned table, headings first. */
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
  // Words to the left, numbers to the right.
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
