/** Rows as a table for spreadsheets. */
import { METRICS, type Row } from './schema.ts';

/**
 * Rows as CSV (RFC 4180: CRLF, quotes doubled), one line a row; rates become `rate.<layer>` columns and the condition's
 * own keys `condition.<key>`. The values per identity are left to the JSON.
 */
export function toCsv(rows: readonly Row[]): string {
  const conditionOf = (row: Row): Readonly<Record<string, unknown>> => row.condition;
  const layers = [...new Set(rows.flatMap((row) => Object.keys(row.condition.rates)))].sort();
  const named = ['kind', 'label', 'format', 'granularity', 'layers', 'matchedTo'];
  const own = [...new Set(rows.flatMap((row) => Object.keys(row.condition)))]
    .filter((key) => key !== 'rates' && !named.includes(key))
    .sort();
  const header = [
    ...named,
    ...layers.map((layer) => `rate.${layer}`),
    ...own.map((key) => `condition.${key}`),
    'attack',
    'draw',
    ...METRICS,
    'n',
    'weightBytes',
    'energy',
  ];
  const lines = rows.map((row) => [
    ...named.map((key) => conditionOf(row)[key]),
    ...layers.map((layer) => row.condition.rates[layer]),
    ...own.map((key) => conditionOf(row)[key]),
    row.attack,
    row.draw,
    ...METRICS.map((metric) => row[metric]),
    row.n,
    row.energy?.bytes,
    row.energy?.relative,
  ]);
  return [header, ...lines].map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(value: unknown): string {
  if (value === undefined || value === null) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
