/**
 * Writes rows and summary as CSV for spreadsheets (RFC 4180: lines end in CRLF, quotes are doubled). A text that a spreadsheet
 * would compute as a formula, because it begins with = + - @, a tab or a carriage return, gets an apostrophe before it.
 */
import type { AggregatedEntry } from './aggregate.ts';
import { conditionLabel } from './labels.ts';
import { METRICS } from './metrics.ts';
import type { Condition, Row, SummaryEntry } from './schema.ts';

/**
 * Rows as CSV, one line per row. Rates, those of the row's own chip, are in columns `rate.<layer>`, the further keys of a
 * condition in columns `condition.<key>`; `reloads` is a column if an attack of any row waited for some, and membership inference
 * has columns if there is any. A value that could not be measured is an empty cell. Values per identity are only in the JSON.
 */
export function toCsv(rows: readonly Row[]): string {
  const condition = conditionColumns(rows);
  const reloads = rows.some((row) => row.reloads !== undefined);
  const judges = rows.some((row) => row.membership !== undefined);
  const header = [
    ...condition.header,
    'attack',
    'draw',
    ...METRICS,
    'n',
    'unmeasured',
    'queries',
    ...(reloads ? ['reloads'] : []),
    ...(judges ? ['membershipAuc', 'membershipTprAtOnePercent'] : []),
    'weightBytes',
    'energy',
    'joules',
    'access',
  ];
  const lines = rows.map((row) => [
    ...condition.cells(row),
    row.attack,
    row.draw,
    ...METRICS.map((metric) => row[metric]),
    row.n,
    row.unmeasured,
    row.queries,
    ...(reloads ? [row.reloads ?? 0] : []),
    ...(judges ? [row.membership?.auc, row.membership?.tprAtOnePercent] : []),
    row.energy?.bytes,
    row.energy?.relative,
    row.energy?.joules && Object.values(row.energy.joules).reduce((total, cause) => total + cause, 0),
    row.energy?.access,
  ]);
  return csv([header, ...lines]);
}

/**
 * The summary as CSV, one line per condition and attack: the label of the condition, its fields as in the CSV of rows, and for
 * each metric its mean and the ends of the 95 % interval. Entries over several seeds have a column that counts them.
 */
export function summaryCsv(summary: readonly (SummaryEntry | AggregatedEntry)[]): string {
  const condition = conditionColumns(summary);
  const seeds = summary.some((entry) => 'seeds' in entry) ? ['seeds'] : [];
  const metrics = METRICS.flatMap((metric) => [metric, `${metric}.low`, `${metric}.high`]);
  const header = ['condition', ...condition.header, 'attack', ...seeds, 'draws', 'n', 'unmeasured', ...metrics];
  const lines = summary.map((entry) => [
    conditionLabel(entry.condition),
    ...condition.cells(entry),
    entry.attack,
    ...(seeds.length > 0 ? ['seeds' in entry ? entry.seeds : 1] : []),
    entry.draws,
    entry.n,
    entry.unmeasured,
    ...METRICS.flatMap((metric) => [entry[metric].mean, ...(entry[metric].ci95 ?? [null, null])]),
  ]);
  return csv([header, ...lines]);
}

/** Columns of {@link toCsv} whose names differ from their fields in results.json, and the paths of these fields in a row. */
export const CSV_FIELDS: Readonly<Record<string, string>> = {
  kind: 'condition.kind',
  label: 'condition.label',
  format: 'condition.format',
  granularity: 'condition.granularity',
  layers: 'condition.layers',
  matchedTo: 'condition.matchedTo',
  membershipAuc: 'membership.auc',
  membershipTprAtOnePercent: 'membership.tprAtOnePercent',
  weightBytes: 'energy.bytes',
  energy: 'energy.relative',
  joules: 'energy.joules',
  access: 'energy.access',
};

interface OfCondition {
  readonly condition: Condition;
  /** Rates of the chip of a draw, where they differ from those of the condition. */
  readonly rates?: Readonly<Record<string, number>>;
}

/** One column per field of any of the conditions. */
function conditionColumns(entries: readonly OfCondition[]): {
  header: string[];
  cells: (entry: OfCondition) => unknown[];
} {
  const fieldsOf = ({ condition }: OfCondition): Readonly<Record<string, unknown>> => condition;
  const layers = [...new Set(entries.flatMap(({ condition }) => Object.keys(condition.rates)))].sort();
  const named = ['kind', 'label', 'format', 'granularity', 'layers', 'matchedTo'];
  const own = [...new Set(entries.flatMap(({ condition }) => Object.keys(condition)))]
    .filter((key) => key !== 'rates' && !named.includes(key))
    .sort();
  return {
    header: [...named, ...layers.map((layer) => `rate.${layer}`), ...own.map((key) => `condition.${key}`)],
    cells: (entry) => [
      ...named.map((key) => fieldsOf(entry)[key]),
      ...layers.map((layer) => (entry.rates ?? entry.condition.rates)[layer]),
      ...own.map((key) => fieldsOf(entry)[key]),
    ],
  };
}

function csv(lines: readonly (readonly unknown[])[]): string {
  return lines.map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(value: unknown): string {
  if (value === undefined || value === null) return '';
  const text =
    typeof value === 'object' ? JSON.stringify(value) : typeof value === 'string' ? guarded(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function guarded(text: string): string {
  return /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}
