/** The rows of one experiment that was measured in several parts. */
import { DataError } from '../errors.ts';
import { canonical, conditionKey } from './condition.ts';
import { conditionLabel } from './labels.ts';
import type { Condition, Row } from './schema.ts';

/** The order in which one run writes its rows. */
export interface RowOrder {
  /** All conditions of the experiment, calibrated noise included. */
  readonly conditions: readonly Condition[];
  /** Names of the attacks. */
  readonly attacks: readonly string[];
}

/**
 * The rows that one run of the whole experiment has, in its order: by condition, then by draw, then by attack. Neither the
 * order of the shards nor that of their rows matters, and a row that several shards measured is taken once.
 *
 * @throws DataError naming the row, where two shards measured it differently, or where it is not of the experiment
 */
export function mergeRows(shards: readonly (readonly Row[])[], order: RowOrder): Row[] {
  const conditions = new Map(order.conditions.map((condition, i) => [conditionKey(condition), i]));
  const attacks = new Map(order.attacks.map((name, i) => [name, i]));
  interface Placed {
    readonly row: Row;
    readonly shard: number;
    readonly place: readonly [condition: number, draw: number, attack: number];
  }
  const merged = new Map<string, Placed>();
  for (const [shard, rows] of shards.entries()) {
    for (const row of rows) {
      const name = `row ${conditionLabel(row.condition)}, draw ${row.draw}, ${row.attack}`;
      const condition = conditions.get(conditionKey(row.condition));
      const attack = attacks.get(row.attack);
      if (condition === undefined)
        throw new DataError(`shard ${shard + 1}: ${name}: no such condition in this experiment`);
      if (attack === undefined) throw new DataError(`shard ${shard + 1}: ${name}: no such attack in this experiment`);
      const key = `${condition} ${row.draw} ${attack}`;
      const other = merged.get(key);
      if (!other) merged.set(key, { row, shard, place: [condition, row.draw, attack] });
      else if (textOf(other.row) !== textOf(row)) {
        throw new DataError(`${name}: shards ${other.shard + 1} and ${shard + 1} measured different values`);
      }
    }
  }
  const sorted = [...merged.values()].sort(({ place: a }, { place: b }) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
  return sorted.map(({ row }) => row);
}

const textOf = (row: Row) => JSON.stringify(canonical(row));
