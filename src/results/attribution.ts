/** Which layer and which bits do the work: what a part of the errors does alone, as a share of what all of them do. */
import { formatName } from '../memory/format_name.ts';
import { planeOf } from '../memory/planes.ts';
import { type CrossedTable, estimate, estimateOverVictims, intervalOf } from '../metrics/interval.ts';
import { isAggregated, keyAcrossSeeds } from './aggregate.ts';
import { attackTitle } from './attacks.ts';
import { differencesBetween, pairedDraws } from './comparisons.ts';
import { sameRelease } from './condition.ts';
import { formatNumber, formatPercent, type Table } from './format.ts';
import { groupedBy } from './groups.ts';
import { conditionLabel, METRIC_LABELS } from './labels.ts';
import type { Metric } from './metrics.ts';
import type { Condition, Interval, Results, Row } from './schema.ts';
import { shownLift } from './series.ts';
import { intervalFor, showsDraws, sortedDraws, tableOf } from './summary.ts';

/** What a part of the errors does alone to one metric. */
export interface Attribution {
  readonly whole: Condition;
  readonly part: Condition;
  readonly attack: string;
  readonly metric: Metric;
  /** Expected share of the flips of the whole; undefined if the part is in fewer layers, whose sizes rows do not say. */
  readonly flips: number | undefined;
  /** Change by the part, divided by that by the whole; its mean is null if the whole has no effect that an interval shows. */
  readonly share: Interval;
}

/**
 * The shares of every part in every whole that were both measured: a whole is bit errors at one rate per layer, a part the same rates
 * in some of its layers or in one kind of their bits. Changes are from the model without errors, paired by draw, and by person or
 * image. The interval of a share is that of its linear approximation (delta method), over draws and people, or over victims. Shares of
 * parts need not add up to 1: each part was measured alone.
 */
export function attributions(results: Results): Attribution[] {
  const victims = isAggregated(results) ? results.runs : [results];
  const groups = victims.map(({ rows }) =>
    groupedBy(rows, ({ attack, condition }) => `${attack}\n${keyAcrossSeeds(condition)}`),
  );
  const people = victims.every(({ manifest }) => manifest.dataset.sha256 === victims[0].manifest.dataset.sha256);
  const { summary } = results;
  const conditions = [...new Map(summary.map(({ condition }) => [keyAcrossSeeds(condition), condition])).values()];
  const attacks = [...new Set(summary.map(({ attack }) => attack))];
  const lift = shownLift(summary);
  const measured = attacks.flatMap((attack, i) =>
    (i === 0 ? (['accuracy', lift] as const) : [lift]).map((metric) => ({ attack, metric })),
  );
  return conditions.flatMap((whole) => {
    const base = conditions.find((each) => isBaseOf(each, whole)) ?? conditions.find(({ kind }) => kind === 'none');
    const parts = conditions.filter((part) => isPartOf(part, whole));
    if (!base) return [];
    return parts.flatMap((part) =>
      measured.map(({ attack, metric }) => {
        const tables = groups.flatMap((group) => {
          const of = (condition: Condition) => group.get(`${attack}\n${keyAcrossSeeds(condition)}`);
          const [own, all, exact] = [of(part), of(whole), of(base)];
          return own && all && exact ? [{ ...changes(own, all, exact, metric), draws: all }] : [];
        });
        return { whole, part, attack, metric, flips: flipsOf(part, whole), share: shareOf(tables, people) };
      }),
    );
  });
}

function isBaseOf(base: Condition, whole: Condition): boolean {
  return (
    base.kind === 'quantised' &&
    whole.kind === 'bit-error' &&
    base.format === whole.format &&
    base.granularity === whole.granularity &&
    sameRelease(base, whole)
  );
}

/** True if the errors of `part` are some of those of `whole`. */
function isPartOf(part: Condition, whole: Condition): boolean {
  if (whole.kind !== 'bit-error' || part.kind === 'none' || part.granularity !== whole.granularity) return false;
  if (!sameRelease(part, whole)) return false;
  const layers = Object.keys(part.rates);
  if (layers.length === 0 || layers.some((layer) => whole.rates[layer] === undefined)) return false;
  if (part.kind === 'bit-error') {
    const isSmaller = layers.length < Object.keys(whole.rates).length;
    return (
      isSmaller && part.format === whole.format && layers.every((layer) => part.rates[layer] === whole.rates[layer])
    );
  }
  if (part.kind !== 'memory') return false;
  const planes = layers.map((layer) => {
    const memory = part.memory.layers[layer];
    const plane = planeOf(memory);
    const fits = memory.kind === 'stored' && formatName(memory.format) === whole.format;
    return fits && plane?.rate === whole.rates[layer] ? plane?.plane : undefined;
  });
  return planes[0] !== undefined && planes.every((plane) => plane === planes[0]);
}

function flipsOf(part: Condition, whole: Condition): number | undefined {
  const [layer, ...others] = Object.keys(part.rates);
  if (part.kind !== 'memory' || others.length + 1 < Object.keys(whole.rates).length) return undefined;
  return planeOf(part.memory.layers[layer])?.share;
}

/** Changes of a metric from the model without errors, [draw][person or image], in the draws that part and whole share. */
function changes(part: readonly Row[], whole: readonly Row[], base: readonly Row[], metric: Metric) {
  const [own, all] = [part, whole].map((rows) => {
    const paired = pairedDraws(sortedDraws(rows), sortedDraws(base));
    const table = paired && differencesBetween(tableOf(paired.first, metric), tableOf(paired.second, metric));
    return new Map(paired?.first.map(({ draw }, i) => [draw, table![i]]));
  });
  const shared = [...own.keys()].filter((draw) => all.has(draw));
  return { own: shared.map((draw) => own.get(draw)!), all: shared.map((draw) => all.get(draw)!) };
}

interface Changes {
  readonly own: CrossedTable;
  readonly all: CrossedTable;
  readonly draws: readonly Row[];
}

function shareOf(tables: readonly Changes[], people: boolean): Interval {
  const over = (each: readonly CrossedTable[]) =>
    each.length === 1 ? estimate(each[0]) : estimateOverVictims(each, { people, draws: false });
  if (tables.length === 0 || tables.some(({ all }) => all.length === 0)) return { mean: null, ci95: null };
  const whole = over(tables.map(({ all }) => all));
  const part = over(tables.map(({ own }) => own));
  const ends = whole && intervalOf(whole);
  if (!whole || !part || !ends || ends[0] * ends[1] <= 0) return { mean: null, ci95: null };
  const ratio = part.mean / whole.mean;
  const linear = tables.map(({ own, all }) =>
    own.map((row, draw) =>
      row.map((value, i) => {
        const other = all[draw][i];
        return value === null || other === null ? null : ratio + (value - ratio * other) / whole.mean;
      }),
    ),
  );
  return intervalFor(over(linear), tables.length > 1 || showsDraws(tables[0].draws));
}

/** The shares as a table; undefined if no part of any errors was measured alone. */
export function attributionTable(results: Results): Table | undefined {
  const rows = attributions(results).map(({ whole, part, attack, metric, flips, share }) => [
    conditionLabel(whole),
    conditionLabel(part),
    flips === undefined ? '–' : formatPercent(flips),
    metric === 'accuracy'
      ? METRIC_LABELS.accuracy
      : `${METRIC_LABELS[metric]}, ${attackTitle(results.manifest.attacks, attack)}`,
    share.mean === null ? 'all of them show no change' : percentages(share),
  ]);
  if (rows.length === 0) return undefined;
  return { columns: ['Of the errors', 'this part alone', 'has of the flips', 'and changes', 'by a share of'], rows };
}

function percentages({ mean, ci95 }: Interval): string {
  const text = (value: number) => formatNumber(100 * value, 0);
  return `${text(mean!)} %${ci95 === null ? '' : ` [${ci95.map(text).join(', ')}]`}`;
}
