/**
 * The comparisons that a report prints, each paired by draw and person wherever both sides have the same ones, with tests that
 * are corrected for their number. A direction may be claimed only where its corrected interval excludes zero, equality only where
 * an equivalence test shows it; everything else is open.
 */
import {
  type CrossedTable,
  type Estimate,
  equivalencePValue,
  estimate,
  estimateOverVictims,
  intervalOf,
  pValueOf,
} from '../metrics/interval.ts';
import { isAggregated, keyAcrossSeeds } from './aggregate.ts';
import { calibratedTo, isDefended, isUndefended } from './condition.ts';
import type { Condition, Metric, Results, Row, SummaryEntry } from './schema.ts';
import { showsDraws, sortedDraws, tableOf } from './summary.ts';

/**
 * `undefended`: a setting minus the undefended model. `equal accuracy`: bit errors minus the noise that was calibrated to their
 * accuracy, moved to equal accuracy along the noise's own curve.
 */
export type ComparisonKind = 'undefended' | 'equal accuracy';

/** `lower`, `higher`: the first is, with a corrected interval without zero. `equivalent`: shown to be less than the margin apart. */
export type Verdict = 'lower' | 'higher' | 'equivalent' | 'open';

export interface Comparison {
  readonly kind: ComparisonKind;
  readonly attack: string;
  readonly metric: Metric;
  readonly first: Condition;
  readonly second: Condition;
  /** Mean accuracies, 0..1. */
  readonly accuracy: { readonly first: number; readonly second: number };
  /** First minus second. */
  readonly mean: number;
  /**
   * Interval of the difference, corrected by Holm's method: 95 % over the whole family, or 90 % where the verdict is `equivalent`,
   * which it is exactly if this interval lies within the margin. Null where nothing can vary.
   */
  readonly interval: readonly [low: number, high: number] | null;
  /** P-value of the difference, before correction; null as for the interval. */
  readonly p: number | null;
  /** Half the width of the range that counts as no difference. */
  readonly margin: number;
  readonly verdict: Verdict;
  /** Number of comparisons in the family. */
  readonly family: number;
}

/** Metrics that are compared: similarity as published, similarity to the person alone, and identification. */
export const COMPARED = ['pcc', 'liftMeanFree', 'rank1'] as const satisfies readonly Metric[];

/** Differences below these count as none: two points of a correlation, five of a hundred recognised people. */
const MARGINS: Readonly<Record<(typeof COMPARED)[number], number>> = { pcc: 0.02, liftMeanFree: 0.02, rank1: 0.05 };

/** Range of a difference between two correlations or shares. */
const DIFFERENCES = [-2, 2] as const;

/** Error rate of the whole family, of differences and of equivalences each. */
const ALPHA = 0.05;

/** Largest loss of accuracy, 0..1, at which a defence counts as cheap. */
export const CHEAP = 0.02;

/** Images at even positions of the held-out split calibrate noise; comparisons at equal accuracy use the others. */
export function isCalibrationImage(position: number): boolean {
  return position % 2 === 0;
}

/** A pair of conditions under one attack, before any metric. */
interface Pair {
  readonly kind: ComparisonKind;
  readonly attack: string;
  readonly first: SummaryEntry;
  readonly second: SummaryEntry;
}

/**
 * The family of comparisons of one report. For every attack: the strongest setting that costs at most two points of accuracy,
 * with the undefended model; and per set of layers and kind of noise, bit errors with noise at the accuracy halfway between the
 * undefended one and the lowest that both reach. The pairs are chosen by their accuracies only, never by the outcome.
 */
export function comparisons(results: Results): Comparison[] {
  const victims = isAggregated(results) ? results.runs : [results];
  const groups = victims.map(groupedRows);
  const samePeople = victims.every(({ manifest }) => manifest.dataset.sha256 === victims[0].manifest.dataset.sha256);
  const estimates = pairsOf(results).flatMap((pair) =>
    COMPARED.flatMap((metric) => {
      const estimated = differenceOf(pair, metric, groups, samePeople);
      return estimated ? [{ pair, metric, ...estimated }] : [];
    }),
  );
  const tests = holm(estimates.map(({ estimated, isReady }) => (isReady ? pValueOf(estimated) : undefined)));
  const equal = holm(
    estimates.map(({ estimated, isReady, metric }) =>
      isReady ? equivalencePValue(estimated, MARGINS[metric]) : undefined,
    ),
  );
  return estimates.map(({ pair, metric, estimated, isReady }, i) => {
    const { kind, attack, first, second } = pair;
    const rejected = tests[i].rejected;
    const verdict = rejected ? (estimated.mean < 0 ? 'lower' : 'higher') : equal[i].rejected ? 'equivalent' : 'open';
    return {
      kind,
      attack,
      metric,
      first: first.condition,
      second: second.condition,
      accuracy: { first: first.accuracy.mean, second: second.accuracy.mean },
      mean: estimated.mean,
      interval:
        (isReady && intervalOf(estimated, 1 - (verdict === 'equivalent' ? 2 * equal[i].level : tests[i].level))) ||
        null,
      p: (isReady ? pValueOf(estimated) : undefined) ?? null,
      margin: MARGINS[metric],
      verdict,
      family: estimates.length,
    };
  });
}

/**
 * Holm's correction (Scandinavian Journal of Statistics 6, 1979) of a family of tests.
 *
 * @param ps p-values; undefined for tests that could not be made, which count in the family
 * @returns per test whether it is rejected, and the level at which it was tested: an interval of confidence 1 - level excludes
 *   zero exactly if the test is rejected
 */
export function holm(ps: readonly (number | undefined)[]): { readonly rejected: boolean; readonly level: number }[] {
  const order = [...ps.keys()].sort((a, b) => (ps[a] ?? 2) - (ps[b] ?? 2));
  const result = ps.map(() => ({ rejected: false, level: ALPHA }));
  let level = ALPHA;
  let stopped = false;
  for (const [rank, i] of order.entries()) {
    if (!stopped) level = ALPHA / (ps.length - rank);
    stopped ||= (ps[i] ?? 2) > level;
    result[i] = { rejected: !stopped, level };
  }
  return result;
}

function pairsOf({ summary }: Results): Pair[] {
  const attacks = [...new Set(summary.map(({ attack }) => attack))];
  return attacks.flatMap((attack) => {
    const entries = summary.filter((entry) => entry.attack === attack);
    const base = entries.find(({ condition }) => isUndefended(condition));
    if (!base) return [];
    const cheap = strongestCheap(entries, base);
    const undefended: Pair[] = cheap ? [{ kind: 'undefended', attack, first: cheap, second: base }] : [];
    return [...undefended, ...equalAccuracyPairs(entries, base, attack)];
  });
}

/** The setting with the lowest accuracy among those that cost at most two points; of equal ones, the one measured last. */
export function strongestCheap(entries: readonly SummaryEntry[], base: SummaryEntry): SummaryEntry | undefined {
  const cheap = entries.filter(
    ({ condition, accuracy }) => isDefended(condition) && accuracy.mean >= base.accuracy.mean - CHEAP,
  );
  return cheap.reduce<SummaryEntry | undefined>(
    (best, entry) => (best && best.accuracy.mean < entry.accuracy.mean ? best : entry),
    undefined,
  );
}

function equalAccuracyPairs(entries: readonly SummaryEntry[], base: SummaryEntry, attack: string): Pair[] {
  const byKey = new Map(entries.map((entry) => [keyAcrossSeeds(entry.condition), entry]));
  const lines = new Map<string, Pair[]>();
  for (const noise of entries) {
    const target = calibratedTo(noise.condition);
    const bits = target === undefined ? undefined : byKey.get(canonicalKey(target));
    // Noise on other layers than the bit errors is another question, which the tables answer.
    if (!bits || bits.condition.layers !== noise.condition.layers) continue;
    const line = JSON.stringify([noise.condition.kind, noise.condition.layers, noise.condition.release]);
    const pair: Pair = { kind: 'equal accuracy', attack, first: bits, second: noise };
    lines.set(line, [...(lines.get(line) ?? []), pair]);
  }
  return [...lines.values()].map((pairs) => {
    const lowest = Math.min(...pairs.map(({ first }) => first.accuracy.mean));
    const middle = (base.accuracy.mean + lowest) / 2;
    const distance = ({ first }: Pair) => Math.abs(first.accuracy.mean - middle);
    return pairs.reduce((a, b) => (distance(b) < distance(a) ? b : a));
  });
}

/** The key across seeds of the condition with this key. */
function canonicalKey(key: string): string {
  return keyAcrossSeeds(JSON.parse(key) as Condition);
}

type RowGroups = ReadonlyMap<string, readonly Row[]>;

function groupedRows({ rows }: Results): RowGroups {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = groupKey(row.attack, row.condition);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}

function groupKey(attack: string, condition: Condition): string {
  return `${attack}\n${keyAcrossSeeds(condition)}`;
}

/** @returns undefined where no victim has both sides; `isReady` is false where draws cannot show their variation */
function differenceOf(
  { kind, attack, first, second }: Pair,
  metric: Metric,
  groups: readonly RowGroups[],
  samePeople: boolean,
): { estimated: Estimate; isReady: boolean } | undefined {
  const sides = groups.flatMap((group) => {
    const [a, b] = [first, second].map(({ condition }) => group.get(groupKey(attack, condition)));
    return a && b ? [{ a: sortedDraws(a), b: sortedDraws(b), group }] : [];
  });
  if (sides.length === 0) return undefined;
  const differences = sides.map(({ a, b, group }) => {
    const plain = pairedTable(tableOf(a, metric), tableOf(b, metric));
    if (kind === 'undefended') return { table: plain };
    const slope = slopeOf(group, attack, second.condition, metric, meanAccuracy(b));
    const accuracy = accuracyDifference(a, b);
    const table = plain.map((row, draw) => {
      const moved = slope * (accuracy.draws[draw] ?? 0);
      return row.map((value) => (value === null ? null : value - moved));
    });
    return { table, images: { variance: slope ** 2 * accuracy.imageVariance, freedom: accuracy.images - 1 } };
  });
  if (differences.some(({ table }) => table.length === 0)) return undefined;
  const isReady = sides.length > 1 || sides.every(({ a, b }) => showsDraws(a) && showsDraws(b));
  if (differences.length > 1) {
    const estimated = estimateOverVictims(
      differences.map(({ table }) => table),
      samePeople,
      { range: DIFFERENCES },
    );
    return estimated && { estimated, isReady };
  }
  const [{ table, images }] = differences;
  const estimated = estimate(table, { range: DIFFERENCES });
  if (!estimated) return undefined;
  // The accuracies that were made equal are those of a sample of images.
  const parts =
    images && images.freedom > 0 && estimated.parts.length > 0 ? [...estimated.parts, images] : estimated.parts;
  return { estimated: { ...estimated, parts }, isReady };
}

/** Differences by draw and person. The only draw of a model without errors is paired with every draw of the other side. */
function pairedTable(a: CrossedTable, b: CrossedTable): (number | null)[][] {
  if (a[0].length !== b[0].length) return [];
  const draws = a.length === 1 || b.length === 1 ? Math.max(a.length, b.length) : Math.min(a.length, b.length);
  return Array.from({ length: draws }, (_, draw) => {
    const [left, right] = [a[Math.min(draw, a.length - 1)], b[Math.min(draw, b.length - 1)]];
    return left.map((value, person) => {
      const other = right[person];
      return value === null || other === null ? null : value - other;
    });
  });
}

/** Accuracy of the first minus that of the second, on the images that did not calibrate the noise. */
function accuracyDifference(
  a: readonly Row[],
  b: readonly Row[],
): { draws: readonly number[]; imageVariance: number; images: number } {
  const table = pairedTable(tableOf(a, 'accuracy'), tableOf(b, 'accuracy')) as number[][];
  const used = table.map((row) => (row.length < 4 ? row : row.filter((_, image) => !isCalibrationImage(image))));
  const images = used[0]?.length ?? 0;
  const draws = used.map((row) => row.reduce((sum, value) => sum + value, 0) / row.length);
  const byImage = Array.from({ length: images }, (_, i) => used.reduce((sum, row) => sum + row[i], 0) / used.length);
  const mean = byImage.reduce((sum, value) => sum + value, 0) / images;
  const squares = byImage.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { draws, images, imageVariance: images > 1 ? squares / (images - 1) / images : 0 };
}

/** Accuracies within this distance of a condition's own show how a metric changes with accuracy there. */
const NEIGHBOURHOOD = 0.15;

/** Change of a metric per unit of accuracy along the noise of one kind, by least squares; 0 where only one accuracy is known. */
function slopeOf(group: RowGroups, attack: string, noise: Condition, metric: Metric, accuracy: number): number {
  const points: { x: number; y: number }[] = [];
  for (const rows of group.values()) {
    const { condition } = rows[0];
    const isAlike = condition.kind === noise.kind && condition.layers === noise.layers;
    if (rows[0].attack !== attack || !(isAlike || isUndefended(condition))) continue;
    const x = meanAccuracy(rows);
    const values = tableOf(rows, metric)
      .flat()
      .filter((value) => value !== null);
    if (values.length === 0 || Math.abs(x - accuracy) > NEIGHBOURHOOD) continue;
    points.push({ x, y: values.reduce((sum, value) => sum + value, 0) / values.length });
  }
  const mean = (of: (point: { x: number; y: number }) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const spread = mean((point) => (point.x - x) ** 2);
  return points.length < 2 || spread < 1e-6 ? 0 : mean((point) => (point.x - x) * (point.y - y)) / spread;
}

function meanAccuracy(rows: readonly Row[]): number {
  return rows.reduce((sum, { accuracy }) => sum + accuracy, 0) / rows.length;
}
