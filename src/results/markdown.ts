/** The summary and the comparisons of a report as Markdown, for the README of a study. */
import { attributionTable } from './attribution.ts';
import { comparisons } from './comparisons.ts';
import type { Table } from './format.ts';
import { membershipTable } from './membership.ts';
import type { Results } from './schema.ts';
import { comparisonTable, ENERGY_NOTE, energyTable, summaryTable, WORST_CASE_NOTE, worstCaseTable } from './tables.ts';
import { verdictOf } from './verdict.ts';

/**
 * Tables: the conditions with their intervals, the comparisons of the verdict (accuracy and recognition) and of similarity and
 * identification, each a family with its corrected intervals, the worst of several attackers, what reduced voltages and timings save, and where they were measured membership inference and parts of
 * the errors.
 */
export function markdownReport(results: Results): string {
  const families = [
    ['### Comparisons of the verdict', verdictOf(results).table?.comparisons ?? []],
    ['### Comparisons', comparisons(results)],
  ] as const;
  const list = families.flatMap(([title, compared]) =>
    compared.length === 0 ? [] : [title, markdownTable(comparisonTable(compared, results))],
  );
  const worst = worstCaseTable(results);
  if (worst) list.push('### The worst of all attackers', markdownTable(worst), WORST_CASE_NOTE);
  const memberships = membershipTable(results);
  if (memberships) list.push('### Membership inference', markdownTable(memberships));
  const parts = attributionTable(results);
  if (parts) list.push('### Which errors do the work', markdownTable(parts));
  const energy = energyTable(results);
  const costs = energy === undefined ? [] : ['### Energy and time of reads', markdownTable(energy), ENERGY_NOTE];
  return `${['### Conditions', markdownTable(summaryTable(results)), ...list, ...costs].join('\n\n')}\n`;
}

function markdownTable({ columns, rows }: Table): string {
  const line = (cells: readonly (string | number)[]) =>
    `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(columns), `|${columns.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}
