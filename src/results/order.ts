/** Sorts rows into the order of `results.json` and into that of `rows.jsonl`. */
import { conditionKey } from './condition.ts';
import type { Row } from './schema.ts';

/** The rows of a run, and the order in which an uninterrupted run writes them. */
export interface RowOrder {
  /** Keys of the conditions, in the order in which they are measured. */
  readonly conditions: readonly string[];
  /** How many draws of each condition are measured together. */
  readonly together: readonly number[];
  /** Draws of each condition. */
  readonly draws: readonly number[];
  /** Names of the attacks, in the order of the columns. */
  readonly attacks: readonly string[];
}

interface OrderedRow {
  readonly row: Row;
  readonly condition: number;
  readonly attack: number;
}

/** The rows that belong to a run, with indices into its order; others come from an earlier configuration in the same folder. */
function orderedRows(rows: readonly Row[], { conditions, draws, attacks }: RowOrder): OrderedRow[] {
  const places = new Map(conditions.map((key, i) => [key, i]));
  return rows.flatMap((row) => {
    const condition = places.get(conditionKey(row.condition)) ?? -1;
    const attack = attacks.indexOf(row.attack);
    return condition >= 0 && attack >= 0 && row.draw < draws[condition] ? [{ row, condition, attack }] : [];
  });
}

/** The rows of a run in the order of results.json: by condition, then by draw, then by attack. */
export function inOrder(rows: readonly Row[], order: RowOrder): Row[] {
  const own = orderedRows(rows, order);
  own.sort((a, b) => a.condition - b.condition || a.row.draw - b.row.draw || a.attack - b.attack);
  return own.map(({ row }) => row);
}

/**
 * The rows of a run in the order in which it writes rows.jsonl without interruption: by condition, then by the batch of draws
 * that are measured together, then by attack, then by draw.
 */
export function asWritten(rows: readonly Row[], order: RowOrder): Row[] {
  const own = orderedRows(rows, order);
  const batch = ({ row, condition }: OrderedRow) => Math.floor(row.draw / order.together[condition]);
  own.sort(
    (a, b) => a.condition - b.condition || batch(a) - batch(b) || a.attack - b.attack || a.row.draw - b.row.draw,
  );
  return own.map(({ row }) => row);
}
