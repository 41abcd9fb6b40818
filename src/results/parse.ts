/** Reads and writes the files of a run, and validates them in both directions. */
import * as v from 'valibot';
import { DataError } from '../errors.ts';
import { conditionLabel } from './labels.ts';
import { RESULTS_SCHEMA, type Results, ResultsSchema, type Row, RowSchema } from './schema.ts';

/**
 * Reads `results.json`.
 *
 * @param json the file's text, or the value parsed from it
 * @param name the file's name, for messages
 * @throws DataError naming the file and the path that is wrong
 */
export function parseResults(json: unknown, name: string): Results {
  const value = typeof json === 'string' ? parseJson(json, name) : json;
  const schema = (value as { schema?: unknown } | null)?.schema;
  if (typeof schema === 'string' && schema !== RESULTS_SCHEMA) {
    throw new DataError(`${name}: schema is '${schema}', this version reads '${RESULTS_SCHEMA}'`);
  }
  return check(ResultsSchema, value, name);
}

/**
 * Reads `rows.jsonl`, one row per line. A last line without its line feed was cut off by an interruption and is dropped;
 * that row is computed again.
 *
 * @throws DataError naming file, line and the path that is wrong
 */
export function parseRows(text: string, name: string): Row[] {
  const lines = text.split('\n');
  lines.pop();
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    const place = `${name}:${i + 1}`;
    return [check(RowSchema, parseJson(line, place), place)];
  });
}

/** One line of `rows.jsonl`, its line feed included. @throws DataError if a number is not finite, or a key is missing */
export function rowToLine(row: Row): string {
  const checked = check(RowSchema, row, `row ${conditionLabel(row.condition)}, draw ${row.draw}`);
  return `${JSON.stringify({ ...checked, condition: inLineOrder(checked.condition) })}\n`;
}

// In rows.jsonl the keys of a condition have this fixed order, so that files of all versions can be compared as text.
const LINE_ORDER = ['kind', 'label', 'format', 'rates', 'granularity', 'layers', 'matchedTo'];

function inLineOrder(condition: Readonly<Record<string, unknown>>): object {
  const first = LINE_ORDER.filter((key) => condition[key] !== undefined).map((key) => [key, condition[key]]);
  return { ...Object.fromEntries(first), ...condition };
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${name}: not JSON: ${(cause as Error).message}`, { cause });
  }
}

function check<S extends v.GenericSchema>(schema: S, value: unknown, name: string): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = (issue.path ?? [])
    .map(({ key }) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');
  const more = result.issues.length > 1 ? ` (and ${result.issues.length - 1} more)` : '';
  throw new DataError(`${name}: ${path === '' ? '' : `${path}: `}${issue.message}${more}`);
}
