/** Reads and writes the files of a run, and validates them in both directions. */
import * as v from 'valibot';
import { DataError } from '../errors.ts';
import { parseJson } from '../formats/json.ts';
import { canonical, conditionKey } from './condition.ts';
import { conditionLabel } from './labels.ts';
import { RESULTS_SCHEMA, type Results, ResultsSchema, type Row, RowSchema } from './schema.ts';

/**
 * Reads `results.json`.
 *
 * @param json the file's bytes or text, or the value parsed from it
 * @param name the file's name, for messages
 * @throws DataError naming the file and the path that is wrong
 */
export function parseResults(json: unknown, name: string): Results {
  const value = typeof json === 'string' || json instanceof Uint8Array ? parseJson(json, name) : json;
  const schema = (value as { schema?: unknown } | null)?.schema;
  if (typeof schema === 'string' && schema !== RESULTS_SCHEMA) {
    throw new DataError(`${name}: schema is '${schema}', this version reads '${RESULTS_SCHEMA}'`);
  }
  return check(ResultsSchema, value, name);
}

/** How {@link parseRows} treats rows. */
export interface RowChecks {
  /**
   * Returns why a row does not belong to the run; undefined if it does.
   * @param run the line's `run`, which is no part of the row
   */
  readonly refuse?: (row: Row, run: unknown) => string | undefined;
  /** Called with a sentence if rows were dropped because they are repeated. */
  readonly warn?: (line: string) => void;
}

/**
 * Reads `rows.jsonl`, one row per line. A last line without its line feed was cut off by an interruption and is dropped;
 * that row is computed again. A row that is repeated is dropped too.
 *
 * @throws DataError naming file, line and the path that is wrong, or the lines of two rows that contradict each other
 */
export function parseRows(text: string, name: string, { refuse, warn }: RowChecks = {}): Row[] {
  const lines = text.split('\n');
  lines.pop();
  const seen = new Map<string, { readonly line: number; readonly text: string }>();
  let repeated = 0;
  const rows = lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    const place = `${name}:${i + 1}`;
    const value = parseJson(line, place);
    const row = check(RowSchema, value, place);
    const refused = refuse?.(row, (value as { run?: unknown }).run);
    if (refused !== undefined) throw new DataError(`${place}: ${refused}; remove the line`);
    const key = rowKey(row);
    const text = JSON.stringify(canonical(row));
    const other = seen.get(key);
    if (other && other.text !== text) {
      throw new DataError(
        `${place}: draw ${row.draw} of "${conditionLabel(row.condition)}" under ${row.attack} contradicts line ` +
          `${other.line}; remove one of the two lines, or both, and the row is measured again`,
      );
    }
    if (other) {
      repeated++;
      return [];
    }
    seen.set(key, { line: i + 1, text });
    return [row];
  });
  if (repeated > 0) warn?.(`${name}: ${repeated} repeated ${repeated === 1 ? 'row was' : 'rows were'} dropped`);
  return rows;
}

/** Names a row's place in a run: its condition, draw and attack. */
export function rowKey({ condition, draw, attack }: Row): string {
  return `${conditionKey(condition)} ${draw} ${attack}`;
}

/** One line of `rows.jsonl`, its line feed included. @throws DataError if a number is not finite, or a key is missing */
export function rowToLine(row: Row): string {
  return `${JSON.stringify(inLineOrder(row))}\n`;
}

/** {@link rowToLine} of a row with a mark of its run, which a run folder stores beside the row. */
export function markedRowToLine(row: Row, run: string): string {
  return `${JSON.stringify({ ...inLineOrder(row), run })}\n`;
}

// In rows.jsonl the keys of a condition have this fixed order, so that files of all versions can be compared as text.
const LINE_ORDER = ['kind', 'label', 'format', 'rates', 'granularity', 'layers', 'matchedTo'];

function inLineOrder(row: Row): object {
  const checked = check(RowSchema, row, `row ${conditionLabel(row.condition)}, draw ${row.draw}`);
  const condition: Readonly<Record<string, unknown>> = checked.condition;
  const first = LINE_ORDER.filter((key) => condition[key] !== undefined).map((key) => [key, condition[key]]);
  return { ...checked, condition: { ...Object.fromEntries(first), ...condition } };
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
