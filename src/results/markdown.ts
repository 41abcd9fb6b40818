/** The summary and the comparisons of a report as Markdown, for the README of a study. */
import { type AggregatedEntry, isAggregated } from './aggregate.ts';
import { attackTitle } from './attacks.ts';
import { type Comparison, comparisons, type Untested } from './comparisons.ts';
import { formatNumber } from './format.ts';
import { conditionLabel, METRIC_LABELS, metricHeading } from './labels.ts';
import type { Interval, Metric, Results, SummaryEntry } from './schema.ts';

const COLUMNS: readonly Metric[] = [
  'accuracy',
  'pcc',
  'pccLift',
  'liftMeanFree',
  'liftMeanFreeOther',
  'rank1',
  'auc',
  'identity',
  'top1',
  'flagged',
];

/** Two tables: the conditions with their intervals, and the comparisons with their corrected intervals and verdicts. */
export function markdownReport(results: Results): string {
  const { summary, manifest } = results;
  const attacks = [...new Set(summary.map(({ attack }) => attack))];
  const columns = COLUMNS.filter((metric) => summary.some((entry) => entry[metric].mean !== null));
  const sections = attacks.map((attack) => {
    const entries = summary.filter((entry) => entry.attack === attack);
    const head = ['condition', ...(isAggregated(results) ? ['victims'] : []), 'draws'];
    const lines = entries.map((entry) => [
      conditionLabel(entry.condition),
      ...(isAggregated(results) ? [String((entry as AggregatedEntry).seeds)] : []),
      String(entry.draws),
      ...columns.map((metric) => cell(entry, metric)),
    ]);
    return [
      `### ${attackTitle(manifest.attacks, attack)}`,
      table([...head, ...columns.map((metric) => metricHeading(metric, manifest))], lines),
    ];
  });
  const compared = comparisons(results);
  const list = compared.length === 0 ? [] : ['### Comparisons', comparisonTable(compared, results)];
  return `${[...sections.flat(), ...list].join('\n\n')}\n`;
}

function cell(entry: SummaryEntry, metric: Metric): string {
  const { mean, ci95 }: Interval = entry[metric];
  return ci95 === null
    ? formatNumber(mean)
    : `${formatNumber(mean)} [${ci95.map((end) => formatNumber(end)).join(', ')}]`;
}

function comparisonTable(compared: readonly Comparison[], { manifest }: Results): string {
  const lines = compared.map(
    ({ kind, attack, metric, first, second, accuracy, mean, interval, untested, margin, verdict }) => [
      attackTitle(manifest.attacks, attack),
      `${conditionLabel(first)} − ${conditionLabel(second)}`,
      kind,
      `${formatNumber(accuracy.first)}, ${formatNumber(accuracy.second)}`,
      METRIC_LABELS[metric],
      interval === null
        ? formatNumber(mean)
        : `${formatNumber(mean)} [${interval.map((end) => formatNumber(end)).join(', ')}]`,
      verdict === 'equivalent' ? `same within ±${margin}` : verdict === 'open' ? openText(untested) : verdict,
    ],
  );
  return table(
    ['attack', 'difference', 'compared at', 'accuracies', 'metric', 'difference, corrected interval', 'verdict'],
    lines,
  );
}

const UNTESTED = {
  draws: 'one draw or victim only',
  unmeasured: 'too little measured',
  accuracy: 'accuracies not made equal',
} as const;

function openText(untested: Untested | undefined): string {
  return untested === undefined ? 'no difference shown' : UNTESTED[untested];
}

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) => `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;
  return [row(head), `|${head.map(() => '---').join('|')}|`, ...lines.map(row)].join('\n');
}
