/**
 * The comparisons that a verdict and a report claim, each paired by draw and person wherever both sides have the same ones, with tests that
 * are corrected for their number. A direction may be claimed only where its corrected interval excludes zero, equality only where
 * an equivalence test shows it; everything else is open.
 */
import {
  type CrossedTable,
  type Estimate,
  type EstimateOptions,
  equivalencePValue,
  estimate,
  estimateOverVictims,
  intervalOf,
  pValueOf,
} from '../metrics/interval.ts';
import { type AggregatedEntry, haveSameDimms, isAggregated, keyAcrossSeeds } from './aggregate.ts';
import { calibratedTo, isDefended, isErrorFree, isNoise, isUndefended } from './condition.ts';
import { canBeMoved, meanAccuracy, moveOf, partsOfMoves, type RowGroups, type Sides, STILL } from './equal_accuracy.ts';
import { groupedBy } from './groups.ts';
import { type Metric, SHARES } from './metrics.ts';
import type { Condition, Results, Row, SummaryEntry } from './schema.ts';
import { lessCertain, sampled, showsDraws, sortedDraws, tableOf } from './summary.ts';

/**
 * `undefended`: a setting minus the undefended model. `equal accuracy`: bit errors minus the noise that was calibrated to their
 * accuracy, moved to equal accuracy along the noise's own curve.
 */
export type ComparisonKind = 'undefended' | 'equal accuracy';

/** `lower`, `higher`: the first is, with a corrected interval without zero. `equivalent`: shown to be less than the margin apart. */
export type Verdict = 'lower' | 'higher' | 'equivalent' | 'open';

/**
 * `draws`: there is a single draw of errors, or a single victim of several. `unmeasured`: more than a tenth of the pairs could not be
 * measured; what is left would not be a sample of people. `accuracy`: the accuracies are too far apart to be made equal.
 */
export type Untested = 'draws' | 'unmeasured' | 'accuracy';

export interface Comparison {
  readonly kind: ComparisonKind;
  readonly attack: string;
  readonly metric: Metric;
  readonly first: Condition;
  readonly second: Condition;
  /** Mean accuracies of the victims that have both sides, 0..1. */
  readonly accuracy: { readonly first: number; readonly second: number };
  /** First minus second; null if no pair could be measured. */
  readonly mean: number | null;
  /**
   * Interval of the difference at the level of its own test in Holm's method: it excludes zero exactly if the verdict is `lower` or
   * `higher`. Where the verdict is `equivalent`, the interval of that test, which lies within the margin. Null without a test.
   */
  readonly interval: readonly [low: number, high: number] | null;
  /** The reason why there is no test. */
  readonly untested?: Untested;
  /** P-value of the difference, before correction; null as for the interval. */
  readonly p: number | null;
  /** Half the width of the range that counts as no difference. */
  readonly margin: number;
  readonly verdict: Verdict;
  /** Number of comparisons in the family. */
  readonly family: number;
}

/** Metrics that reports compare: similarity as published, similarity to the person alone, and identification. */
const COMPARED = ['pcc', 'liftMeanFree', 'rank1'] as const;

/** Largest loss of accuracy, 0..1, at which a defence counts as cheap. */
export const CHEAP = 0.02;

/** Differences below these count as none: two points of an accuracy or a correlation, five of a hundred recognised people. */
const MARGINS = { accuracy: CHEAP, pcc: 0.02, liftMeanFree: 0.02, rank1: 0.05, identity: 0.05, top1: 0.05 } as const;

/** A metric for which it is fixed which difference counts as none. */
export type ComparedMetric = keyof typeof MARGINS;

/** Largest share of pairs that may be missing. */
const MOST_MISSING = 0.1;

/** Range of a difference between two correlations. */
const DIFFERENCES = [-2, 2] as const;

/** Error rate of the whole family, of differences and of equivalences each. */
const ALPHA = 0.05;

/** A pair of conditions under one attack, before any metric. */
export interface Pair {
  readonly kind: ComparisonKind;
  readonly attack: string;
  readonly first: SummaryEntry;
  readonly second: SummaryEntry;
}

/**
 * The family of comparisons of one report. For every attack: the strongest setting that costs at most two points of accuracy, and the
 * memory that costs the most accuracy, each with the undefended model; and per set of layers and kind of noise, bit errors with noise at
 * the accuracy halfway between the undefended one and the lowest that both reach. The pairs are chosen by their accuracies only, never by
 * the outcome.
 */
export function comparisons(results: Results): Comparison[] {
  const wanted = pairsOf(results).flatMap((pair) => COMPARED.map((metric) => ({ pair, metric })));
  return tested(results, wanted);
}

/** The family of the given comparisons, corrected for their number. Pairs that no victim has both sides of are left out. */
export function tested(
  results: Results,
  wanted: readonly { readonly pair: Pair; readonly metric: ComparedMetric }[],
): Comparison[] {
  const victims = isAggregated(results) ? results.runs : [results];
  const groups = victims.map(groupedRows);
  const samePeople = victims.every(({ manifest }) => manifest.dataset.sha256 === victims[0].manifest.dataset.sha256);
  const differences = wanted.flatMap(({ pair, metric }) => {
    const sides = sidesOf(pair, groups);
    return sides.length === 0
      ? []
      : [{ pair, sides, ...differenceOf(pair, metric, sides, victims.length, samePeople) }];
  });
  const ifTestable = <T>({ estimated, untested }: Difference, test: (estimated: Estimate) => T) =>
    estimated && untested === undefined ? test(estimated) : undefined;
  const ps = differences.map((difference) => ifTestable(difference, pValueOf));
  const tests = holm(ps);
  const equal = holm(
    differences.map((difference) =>
      ifTestable(difference, (estimated) => equivalencePValue(estimated, MARGINS[difference.metric])),
    ),
  );
  return differences.map((difference, i) => {
    const { pair, metric, sides, estimated, untested } = difference;
    const mean = estimated?.mean ?? null;
    const verdict = tests[i].rejected ? (mean! < 0 ? 'lower' : 'higher') : equal[i].rejected ? 'equivalent' : 'open';
    const level = verdict === 'equivalent' ? 2 * equal[i].level : tests[i].level;
    const accuracyOf = (side: 'first' | 'second') =>
      sides.reduce((sum, each) => sum + meanAccuracy(each[side]), 0) / sides.length;
    return {
      kind: pair.kind,
      attack: pair.attack,
      metric,
      first: pair.first.condition,
      second: pair.second.condition,
      accuracy: { first: accuracyOf('first'), second: accuracyOf('second') },
      mean,
      interval: ifTestable(difference, (each) => intervalOf(each, 1 - level)) ?? null,
      ...(untested !== undefined && { untested }),
      p: ps[i] ?? null,
      margin: MARGINS[metric],
      verdict,
      family: differences.length,
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
    const worst = costliestMemory(entries);
    const undefended = [cheap, worst === cheap ? undefined : worst].flatMap((first): Pair[] =>
      first ? [{ kind: 'undefended', attack, first, second: base }] : [],
    );
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

/** The bit errors with the lowest accuracy of all that were measured; of equal ones, the one measured first. */
export function costliestMemory(entries: readonly SummaryEntry[]): SummaryEntry | undefined {
  const memories = entries.filter(({ condition }) => isDefended(condition) && !isNoise(condition));
  return memories.reduce<SummaryEntry | undefined>(
    (worst, entry) => (worst && worst.accuracy.mean <= entry.accuracy.mean ? worst : entry),
    undefined,
  );
}

/**
 * Bit errors with the noise that was calibrated to them, per set of layers and kind of noise: of the pairs that most victims have, the one
 * whose errors take the accuracy halfway down.
 */
export function equalAccuracyPairs(entries: readonly SummaryEntry[], base: SummaryEntry, attack: string): Pair[] {
  const byKey = new Map(entries.map((entry) => [keyAcrossSeeds(entry.condition), entry]));
  const all = entries.flatMap((noise): Pair[] => {
    const target = calibratedTo(noise.condition);
    const bits = target === undefined ? undefined : byKey.get(canonicalKey(target));
    // Noise on other layers than the bit errors is another question, which the tables answer.
    if (!bits || bits.condition.layers !== noise.condition.layers) return [];
    return [{ kind: 'equal accuracy', attack, first: bits, second: noise }];
  });
  const lines = groupedBy(all, ({ second: { condition } }) =>
    JSON.stringify([condition.kind, condition.layers, condition.release]),
  );
  return [...lines.values()].map((line) => {
    const most = Math.max(...line.map(({ second }) => seedsOf(second)));
    const pairs = line.filter(({ second }) => seedsOf(second) === most);
    const lowest = Math.min(...pairs.map(({ first }) => first.accuracy.mean));
    const middle = (base.accuracy.mean + lowest) / 2;
    const distance = ({ first }: Pair) => Math.abs(first.accuracy.mean - middle);
    return pairs.reduce((a, b) => (distance(b) < distance(a) ? b : a));
  });
}

/** Number of victims that an entry is about. */
const seedsOf = (entry: SummaryEntry | AggregatedEntry) => ('seeds' in entry ? entry.seeds : 1);

/** The key across seeds of the condition with this key. */
function canonicalKey(key: string): string {
  return keyAcrossSeeds(JSON.parse(key) as Condition);
}

function groupedRows({ rows }: Results): RowGroups {
  return groupedBy(rows, ({ attack, condition }) => groupKey(attack, condition));
}

function groupKey(attack: string, condition: Condition): string {
  return `${attack}\n${keyAcrossSeeds(condition)}`;
}

/** The sides of every victim that has both. */
function sidesOf({ attack, first, second }: Pair, groups: readonly RowGroups[]): Sides[] {
  return groups.flatMap((group) => {
    const [a, b] = [first, second].map(({ condition }) => group.get(groupKey(attack, condition)));
    if (!a || !b) return [];
    const paired = pairedDraws(sortedDraws(a), sortedDraws(b));
    return paired ? [{ ...paired, group }] : [];
  });
}

/** Rows with the same draw on both sides. The only draw of a model without errors is paired with every draw of the other side. */
export function pairedDraws(a: readonly Row[], b: readonly Row[]): Pick<Sides, 'first' | 'second'> | undefined {
  const isFixed = (rows: readonly Row[]) => rows.length === 1 && isErrorFree(rows[0].condition);
  if (isFixed(a)) return { first: b.map(() => a[0]), second: b };
  if (isFixed(b)) return { first: a, second: a.map(() => b[0]) };
  const common = a.filter(({ draw }) => b.some((row) => row.draw === draw));
  const second = common.flatMap(({ draw }) => b.filter((row) => row.draw === draw));
  return common.length === 0 ? undefined : { first: common, second };
}

interface Difference {
  /** Undefined if no pair could be measured. */
  readonly estimated: Estimate | undefined;
  readonly untested: Untested | undefined;
  readonly metric: ComparedMetric;
}

/** @param victims number of victims of the report, of which some may lack a side */
function differenceOf(
  { kind, second }: Pair,
  metric: ComparedMetric,
  sides: readonly Sides[],
  victims: number,
  samePeople: boolean,
): Difference {
  const dimmsOfPairs = sides.map((side) => side.first.map((row, i) => ({ dimm: row.dimm ?? side.second[i].dimm })));
  const moves = sides.map((side) => (kind === 'undefended' ? STILL : moveOf(side, second.condition, metric)));
  const tablesOf = (of: (rows: readonly Row[]) => CrossedTable) =>
    sides.map((side, i) => {
      const plain = differencesBetween(of(side.first), of(side.second));
      const table = plain.map((row, draw) =>
        row.map((value) => (value === null ? null : value - moves[i].byDraw(draw))),
      );
      return sampled(table, dimmsOfPairs[i]);
    });
  const shared = { people: samePeople, draws: haveSameDimms(dimmsOfPairs) };
  const estimateOf = (each: readonly CrossedTable[], options: EstimateOptions) =>
    each.length === 1 ? estimate(each[0], options) : estimateOverVictims(each, shared, options);
  const tables = tablesOf((rows) => tableOf(rows, metric));
  const options = SHARES.has(metric) ? { shareDifference: true } : { range: DIFFERENCES };
  const byValue = estimateOf(tables, options);
  const hasPeople =
    metric === 'accuracy' &&
    sides.every((side) => [...side.first, ...side.second].every(({ personAccuracy }) => personAccuracy !== undefined));
  const byPerson = hasPeople
    ? estimateOf(
        tablesOf((rows) => rows.map((row) => row.personAccuracy!)),
        { range: [-1, 1] },
      )
    : undefined;
  const estimated = byValue && byPerson ? lessCertain(byValue, byPerson) : byValue;
  const cells = tables.flat(2);
  const missing = cells.filter((value) => value === null).length / cells.length;
  const isSingle = victims > 1 ? sides.length < 2 : !(showsDraws(sides[0].first) && showsDraws(sides[0].second));
  const untested = isSingle
    ? 'draws'
    : missing > MOST_MISSING
      ? 'unmeasured'
      : canBeMoved(moves)
        ? undefined
        : 'accuracy';
  // The accuracies that are made equal are those of a sample of images, and the slope is an estimate.
  const parts = estimated && estimated.parts.length > 0 ? [...estimated.parts, ...partsOfMoves(moves)] : [];
  return { estimated: estimated && { ...estimated, parts }, untested, metric };
}

/** First minus second, cell by cell; null where either was not measured. */
export function differencesBetween(a: CrossedTable, b: CrossedTable): (number | null)[][] {
  return a.map((row, draw) =>
    row.map((value, person) => {
      const other = b[draw][person];
      return value === null || other === null || other === undefined ? null : value - other;
    }),
  );
}
