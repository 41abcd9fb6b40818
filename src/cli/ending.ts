/** The lines with which a run, a merge, a report and the demo end: question, answer, a small table, and where the rest is. */
import { conditionLabel, type Results, victimTitleOf } from '../results/results.ts';
import { accuracyText, recognisedText, type VerdictTable, verdictOf } from '../results/verdict.ts';

/** The ending of one run: at most nine lines. @param report path of its report */
export function endingLines(results: Results, report: string): string[] {
  const { question, answer, notes, table } = verdictOf(results);
  return [
    question,
    answer,
    ...(notes.length > 0 ? [notes.join(' ')] : []),
    ...(table ? tableLines(cellsOf(table, table.rows.slice(1))) : []),
    `report: ${report}`,
  ];
}

const DEMO_QUESTION = 'Does approximate memory hide the people whom a network was trained on, and what does it cost?';

/** The ending of the demo, whose runs attack different victims: at most ten lines for two runs. */
export function demoEndingLines(runs: readonly { readonly results: Results; readonly report: string }[]): string[] {
  const all = runs.map(({ results }) => ({
    name: capital(victimTitleOf(results.manifest)),
    verdict: verdictOf(results),
  }));
  const cells = all.flatMap(({ name, verdict: { table } }) =>
    table ? cellsOf(table, twoRows(table)).map((row, i) => [i === 0 ? name : '', ...row]) : [],
  );
  return [
    DEMO_QUESTION,
    ...all.map(({ name, verdict }) => `${name}. ${[verdict.answer, ...verdict.notes].join(' ')}`),
    ...tableLines(cells),
    `report: ${runs.map(({ report }) => report).join(' and ')}`,
  ];
}

/** The setting that costs the least, and the one that the answer names; the one that costs the most if these are the same. */
function twoRows({ rows, decisive }: VerdictTable): VerdictTable['rows'][number][] {
  // Noise of equal accuracy says nothing of the owner: its cost is that of the errors.
  const settings = rows.slice(1).filter(({ owner }) => owner !== '');
  const other = decisive === settings[0] ? settings.at(-1) : decisive;
  return [...new Set([settings[0], other].filter((row) => row !== undefined))];
}

function cellsOf(table: VerdictTable, rows: readonly VerdictTable['rows'][number][]): string[][] {
  const [base] = table.rows;
  return rows.map((row) => [
    conditionLabel(row.condition),
    `${accuracyText(base)} → ${accuracyText(row)}`,
    `${recognisedText(base, table)} → ${recognisedText(row, table)}`,
    row.attacker,
  ]);
}

/** Rows under their headings, in columns; the headings of the last three columns are those of {@link cellsOf}. */
function tableLines(rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const headings = ['owner’s accuracy', 'evaluator recognises', 'change of the recognised, in points of 100'];
  const all = [[...Array(rows[0].length - headings.length).fill(''), ...headings], ...rows];
  const widths = rows[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
}

function capital(title: string): string {
  const name = title.replace(/^the /, '');
  return `${name[0].toUpperCase()}${name.slice(1)}`;
}
