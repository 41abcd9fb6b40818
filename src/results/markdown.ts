/** The summary and the comparisons of a report as Markdown, for the README of a study. */
import { attackTitle } from './attacks.ts';
import { attributionTable } from './attribution.ts';
import { type Comparison, comparisons, type Untested } from './comparisons.ts';
import { formatDifferenceWithInterval, formatNumber, type Table } from './format.ts';
import { conditionLabel, METRIC_LABELS } from './labels.ts';
import { membershipTable } from './membership.ts';
import type { Results } from './schema.ts';
import { ENERGY_NOTE, energyTable, summaryTable, worstCaseTable } from './tables.ts';

/**
 * Tables: the conditions with their intervals, the comparisons with their corrected intervals and verdicts, the
 * worst of several attackers, what reduced voltages and timings save, and where they were measured membership inference and parts of
 * the errors.
 */
export function markdownReport(results: Results): string {
  const compared = comparisons(results);
  const list = compared.length === 0 ? [] : ['### Comparisons', markdownTable(comparisonTable(compared, results))];
  const worst = worstCaseTable(results);
  if (worst) list.push('### The worst of all attackers', markdownTable(worst));
  const memberships = membershipTable(results);
  if (memberships) list.push('### Membership inference', markdownTable(memberships));
  const parts = attributionTable(results);
  if (parts) list.push('### Which errors do the work', markdownTable(parts));
  const energy = energyTable(results);
  const costs = energy === undefined ? [] : ['### Energy and time of reads', markdownTable(energy), ENERGY_NOTE];
  return `${['### Conditions', markdownTable(summaryTable(results)), ...list, ...costs].join('\n\n')}\n`;
}

function comparisonTable(compared: readonly Comparison[], { manifest }: Results): Table {
  const rows = compared.map(
    ({ kind, attack, metric, first, second, accuracy, mean, interval, untested, margin, verdict }) => [
      attackTitle(manifest.attacks, attack),
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

function markdownTable({ columns, rows }: Table): string {
  const line = (cells: readonly (string | number)[]) =>
    `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(columns), `|${columns.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}
