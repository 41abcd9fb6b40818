/** Formats numbers for display. */
import type { ConditionKind, Interval } from './schema.ts';

/** A table with the numbers of a figure; cells are shown unchanged. */
export interface Table {
  columns: string[];
  rows: (string | number)[][];
}

/** A probability as a percentage, three significant digits from 1 % on and two below: '6.25 %', '0.39 %'. */
export function formatPercent(share: number): string {
  const percent = share * 100;
  return `${Number(percent.toPrecision(percent >= 1 ? 3 : 2))} %`;
}

/** An error rate or noise scale as text: per cent for bit errors, the plain number for noise. */
export function formatRate(kind: ConditionKind, value: number): string {
  return kind === 'bit-error' || kind === 'memory' ? formatPercent(value) : String(Number(value.toPrecision(3)));
}

/** A duration in at most two units: '8 s', '2 min 05 s', '3 h 20 min'. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0);
  const pad = (value: number) => String(value).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/** '0.693', with a true minus sign, which a rounded zero does not have; 'not measured' for null. */
export function formatNumber(value: number | null, digits = 3): string {
  if (value === null) return 'not measured';
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}

/** A difference with its sign: '+0.012', '−0.003', '0.000'. */
export function formatDifference(value: number | null, digits = 3): string {
  const text = formatNumber(value, digits);
  return value !== null && Number(text) > 0 ? `+${text}` : text;
}

/** Digits with which an interval of a difference is shown: three, or more if an end of an interval without zero would read as zero. */
export function differenceDigits([low, high]: readonly [number, number]): number {
  const nearest = Math.min(Math.abs(low), Math.abs(high));
  return low * high > 0 && nearest < 0.0005 ? Math.ceil(-Math.log10(nearest)) : 3;
}

/** '−0.012 [−0.020, −0.004]'; the difference alone if there is no interval. */
export function formatDifferenceWithInterval(mean: number | null, interval: readonly [number, number] | null): string {
  if (interval === null) return formatDifference(mean);
  const digits = differenceDigits(interval);
  return `${formatDifference(mean, digits)} [${interval.map((end) => formatDifference(end, digits)).join(', ')}]`;
}

/** '0.693 [0.647, 0.741]'; the mean alone if there is no interval. */
export function formatInterval({ mean, ci95 }: Interval): string {
  return ci95 === null
    ? formatNumber(mean)
    : `${formatNumber(mean)} [${ci95.map((end) => formatNumber(end)).join(', ')}]`;
}
