/** Groups summary entries into the lines of figures. */
import { calibratedTo, equalRate, isErrorFree, isNoise, sameRelease } from './condition.ts';
import { releaseLabel } from './labels.ts';
import type { Condition, ConditionKind, Interval, SummaryEntry } from './schema.ts';

/** One line of a figure: the entries that differ only in the strength of the error. */
export interface Series {
  kind: ConditionKind;
  layers: string;
  attack: string;
  /** The fields that distinguish the series from others of its kind: format, granularity, calibration, setting and release. */
  variant: string;
  /** Weakest first; the first entry is the error-free condition that belongs to the series, if one was run. */
  line: SummaryEntry[];
  /** Entries that are not on the line: if several rates were varied independently (a grid), those with unequal rates. */
  scattered: SummaryEntry[];
}

/**
 * Groups the entries that have errors into series. A series of bit errors begins with the quantised model of the same format
 * (with the float32 model if that was not run), every other series with the float32 model. These models release their
 * confidences in the same way as the series.
 */
export function seriesOf(summary: readonly SummaryEntry[]): Series[] {
  const groups = new Map<string, Series>();
  for (const entry of summary) {
    if (isErrorFree(entry.condition)) continue;
    const { kind, layers } = entry.condition;
    const variant = variantOf(entry.condition);
    const key = JSON.stringify([kind, layers, entry.attack, variant]);
    const series = groups.get(key) ?? { kind, layers, attack: entry.attack, variant, line: [], scattered: [] };
    series.line.push(entry);
    groups.set(key, series);
  }
  for (const series of groups.values()) {
    series.line.sort((a, b) => strength(a.condition) - strength(b.condition));
    if (!isChain(series.line)) {
      series.scattered = series.line.filter((entry) => equalRate(entry.condition) === undefined);
      series.line = series.line.filter((entry) => equalRate(entry.condition) !== undefined);
    }
    const start = origin(summary, series);
    if (start) series.line.unshift(start);
  }
  return [...groups.values()];
}

function variantOf(condition: Condition): string {
  const { kind, release } = condition;
  if (kind === 'none') return '';
  return [
    kind === 'bit-error' || kind === 'quantised' ? condition.format : undefined,
    condition.granularity,
    isNoise(condition) ? condition.calibration : undefined,
    kind === 'memory' ? condition.setting : undefined,
    releaseLabel(release),
  ]
    .filter((part) => part !== undefined)
    .join(', ');
}

function strength(condition: Condition): number {
  return Object.values(condition.rates).reduce((sum, value) => sum + value, 0);
}

/** True if each entry is at least as strong as the one before in every layer, so that a line through them is meaningful. */
function isChain(sorted: readonly SummaryEntry[]): boolean {
  return sorted.every((entry, i) => {
    if (i === 0) return true;
    const before = sorted[i - 1].condition.rates;
    const here = entry.condition.rates;
    return Object.keys({ ...before, ...here }).every((layer) => (before[layer] ?? 0) <= (here[layer] ?? 0));
  });
}

function origin(summary: readonly SummaryEntry[], series: Series): SummaryEntry | undefined {
  const { condition } = [...series.line, ...series.scattered][0];
  const clean = summary.filter(
    (entry) =>
      entry.attack === series.attack && sameRelease(entry.condition, condition) && isErrorFree(entry.condition),
  );
  const none = clean.find((entry) => entry.condition.kind === 'none');
  if (condition.kind !== 'bit-error') return none;
  const quantised = clean.filter(
    (entry) => entry.condition.kind === 'quantised' && entry.condition.format === condition.format,
  );
  return quantised.find((entry) => entry.condition.layers === series.layers) ?? quantised[0] ?? none;
}

/**
 * The entries that may be compared at equal accuracy: if noise was calibrated to the accuracy of bit errors, noise of published
 * strength or of equal moments is left out. It lies on the same lines, but may reach only a small part of them.
 */
export function calibratedOnly(summary: readonly SummaryEntry[]): SummaryEntry[] {
  const calibrated = summary.filter(({ condition }) => !isNoise(condition) || condition.calibration === undefined);
  return calibrated.some(({ condition }) => calibratedTo(condition) !== undefined) ? calibrated : [...summary];
}

/** The numbers of an interval that a figure must have room for. */
export function valuesOf({ mean, ci95 }: Interval): number[] {
  return [...(mean === null ? [] : [mean]), ...(ci95 ?? [])];
}

/** The lift that is shown: without the mean face, which files of earlier versions do not have. */
export function shownLift(entries: readonly SummaryEntry[]): 'liftMeanFree' | 'pccLift' {
  return entries.some(({ liftMeanFree }) => liftMeanFree.mean !== null) ? 'liftMeanFree' : 'pccLift';
}

/** The last entry of a line whose metric was measured. */
export function lastMeasured<T>(
  points: readonly T[],
  of: (point: T) => Interval,
): { point: T; mean: number } | undefined {
  for (const point of [...points].reverse()) {
    const { mean } = of(point);
    if (mean !== null) return { point, mean };
  }
  return undefined;
}
