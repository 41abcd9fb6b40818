/** The tables of a report: conditions, comparisons, costs of attacks, and what reduced voltages and timings save. */
import { ENERGY_LEAVES_OUT, TIME_LEAVES_OUT } from '../memory/energy.ts';
import { isAggregated } from './aggregate.ts';
import { attackTitle } from './attacks.ts';
import type { Comparison, Untested } from './comparisons.ts';
import { conditionKey } from './condition.ts';
import { formatDifferenceWithInterval, formatInterval, formatNumber, type Table } from './format.ts';
import { conditionLabel, METRIC_LABELS, metricHeading } from './labels.ts';
import type { Metric } from './metrics.ts';
import type { Results, SummaryEntry } from './schema.ts';
import { type LiftChange, worstCases } from './worst_case.ts';

/** Columns of the table of all conditions, where they were measured. */
const SHOWN_METRICS: readonly Metric[] = [
  'accuracy',
  'pcc',
  'pccLift',
  'liftMeanFree',
  'liftMeanFreeOther',
  'rank1',
  'rank5',
  'auc',
  'identity',
  'top1',
  'flagged',
];

/**
 * The summary as a table: one line per condition and attack, each metric with its 95 % interval.
 *
 * @param keep selects the entries; default: all
 */
export function summaryTable(
  results: Results,
  keep: (entry: SummaryEntry) => boolean = () => true,
  metrics: Metric[] = SHOWN_METRICS.filter((metric) => results.summary.some((entry) => entry[metric].mean !== null)),
): Table {
  const entries = results.summary.filter(keep);
  const hasUnmeasured = entries.some(({ unmeasured }) => unmeasured > 0);
  return {
    columns: [
      'Condition',
      'Attack',
      ...(isAggregated(results) ? ['Seeds'] : []),
      'Draws',
      ...(hasUnmeasured ? ['Not measured'] : []),
      ...metrics.map((metric) => metricHeading(metric, results.manifest)),
    ],
    rows: entries.map((entry) => [
      conditionLabel(entry.condition),
      attackTitle(results.manifest.attacks, entry.attack),
      ...('seeds' in entry && isAggregated(results) ? [Number(entry.seeds)] : []),
      entry.draws,
      ...(hasUnmeasured ? [entry.unmeasured] : []),
      ...metrics.map((metric) => formatInterval(entry[metric])),
    ]),
  };
}

/** Tested differences with their corrected intervals and verdicts, one line each. */
export function comparisonTable(compared: readonly Comparison[], { manifest }: Results): Table {
  const rows = compared.map(
    ({ kind, attack, metric, first, second, accuracy, mean, interval, untested, margin, verdict }) => [
      // The accuracy does not depend on the attack.
      metric === 'accuracy' ? '–' : attackTitle(manifest.attacks, attack),
      `${conditionLabel(first)} − ${conditionLabel(second)}`,
      kind,
      `${formatNumber(accuracy.first)}, ${formatNumber(accuracy.second)}`,
      METRIC_LABELS[metric],
      formatDifferenceWithInterval(mean, interval),
      verdict === 'equivalent' ? `same within ±${margin}` : verdict === 'open' ? openText(untested) : verdict,
    ],
  );
  const columns = [
    'Attack',
    'Difference',
    'Compared at',
    'Accuracies',
    'Metric',
    'Difference, corrected interval',
    'Verdict',
  ];
  return { columns, rows };
}

const UNTESTED = {
  draws: 'one draw or victim only',
  unmeasured: 'too little measured',
  accuracy: 'accuracies not made equal',
} as const;

function openText(untested: Untested | undefined): string {
  return untested === undefined ? 'no difference shown' : UNTESTED[untested];
}

/**
 * The cost of every attack: queries per reconstruction, mean over rows, further loads of the weights, and seconds per draw.
 * Undefined if no row says how many queries it took.
 */
export function costTable({ rows, manifest }: Results): Table | undefined {
  const names = [...new Set(rows.map(({ attack }) => attack))];
  const seconds = manifest.attackSeconds;
  const cost = names.flatMap((name) => {
    const own = rows.filter(({ attack, queries }) => attack === name && queries !== undefined);
    if (own.length === 0) return [];
    const queries = own.reduce((sum, row) => sum + row.queries!, 0) / own.length;
    const reloads = Math.max(...own.map((row) => row.reloads ?? 0));
    const time = seconds?.[name];
    const title = attackTitle(manifest.attacks, name);
    return [
      [
        title,
        formatNumber(queries, 1),
        reloads,
        ...(seconds ? [time === undefined ? '–' : formatNumber(time, 2)] : []),
      ],
    ];
  });
  if (cost.length === 0) return undefined;
  const columns = ['Attack', 'Queries per picture', 'Further loads', ...(seconds ? ['Seconds per draw'] : [])];
  return { columns, rows: cost };
}

/** What the numbers of {@link energyTable} are and leave out, one paragraph. */
export const ENERGY_NOTE =
  'Reads of the weights that classify the test images once. By V²: relative to nominal voltage, an upper bound of the saving. By cause: ' +
  'a rank of eight DDR3L chips that reads in order at its peak rate, from the maxima of a data sheet (Micron, TN-41-01), scaled by ' +
  `V²; left out: ${ENERGY_LEAVES_OUT.join('; ')}. Time: of a read that closes one row and opens another, relative to standard ` +
  `timings; left out: ${TIME_LEAVES_OUT.join('; ')}.`;

/** Energy and time by condition, for those with a reduced voltage or timing. Undefined if there are none. */
export function energyTable({ rows, summary }: Results): Table | undefined {
  const lines = summary.flatMap(({ condition }, i) => {
    const key = conditionKey(condition);
    if (summary.findIndex((entry) => conditionKey(entry.condition) === key) !== i) return [];
    const energy = rows.find((row) => conditionKey(row.condition) === key)?.energy;
    if (!energy || (energy.relative === 1 && (energy.access ?? 1) === 1)) return [];
    const { bytes, relative, joules, access } = energy;
    const causes = joules
      ? [joules.activate, joules.read, joules.background, joules.refresh]
      : Array(4).fill(undefined);
    return [
      [
        conditionLabel(condition),
        formatNumber(bytes / 1e6, 1),
        formatNumber(relative),
        ...causes.map((cause: number | undefined) => (cause === undefined ? '–' : formatNumber(cause * 1e3))),
        access === undefined ? '–' : formatNumber(access),
      ],
    ];
  });
  if (lines.length === 0) return undefined;
  const causes = ['Activate, mJ', 'Read, mJ', 'Background, mJ', 'Refresh, mJ'];
  return { columns: ['Condition', 'Megabytes', 'Energy by V²', ...causes, 'Time of a read'], rows: lines };
}

/** What the table of worst cases compares. */
export const WORST_CASE_NOTE =
  'Attackers who are after the same pictures. The worst is chosen by its success, which the intervals take into account. The changes ' +
  'of accuracy, those of the lift, and the gains are a family each, corrected by Holm’s method: an interval is at the level of its own ' +
  'test. An attacker of whose pictures more than a tenth could not be measured, with errors or without, is left out.';

/**
 * The worst of several attackers in every defended condition, and what the best of the others gains over the first. Undefined if no
 * pictures have two attackers.
 */
export function worstCaseTable(results: Results): Table | undefined {
  const cases = worstCases(results);
  if (cases.length === 0) return undefined;
  const { attacks } = results.manifest;
  const hasSplits = cases.some(({ split }) => split !== undefined);
  return {
    columns: [
      'Condition',
      ...(hasSplits ? ['Reconstructed'] : []),
      'Change of accuracy, corrected interval',
      'Worst attacker',
      'Its lift',
      'Largest lift, undefended',
      'Change of the largest lift, corrected interval',
      'Gain of the best other attacker over the first, corrected interval',
    ],
    rows: cases.map(({ condition, split, accuracy, worst, undefended, change, adaptive }) => [
      conditionLabel(condition),
      ...(hasSplits ? [split === undefined ? 'persons' : `${split} photographs`] : []),
      formatDifferenceWithInterval(accuracy.mean, accuracy.interval),
      attackTitle(attacks, worst.attack),
      formatNumber(worst.lift),
      `${formatNumber(undefended.lift)} (${attackTitle(attacks, undefended.attack)})`,
      formatChange(change),
      adaptive ? `${attackTitle(attacks, adaptive.attack)}: ${formatChange(adaptive)}` : 'one attacker only',
    ]),
  };
}

function formatChange({ mean, interval, verdict }: LiftChange): string {
  const text = formatDifferenceWithInterval(mean, interval);
  return interval === null ? `${text}, not tested` : verdict === 'open' ? `${text}, no difference shown` : text;
}
