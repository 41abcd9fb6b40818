import { describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { mergeRows } from '../../src/results/merge.ts';
import type { Condition, Row } from '../../src/results/results.ts';
import { fakeRow } from './fake.ts';

const none: Condition = { kind: 'none', rates: {}, layers: 'none' };
const bits: Condition = {
  kind: 'bit-error',
  format: 'fixed12',
  granularity: 'load',
  rates: { fc1: 0.1 },
  layers: 'fc1',
};
const order = { conditions: [none, bits], attacks: ['zero', 'mean'] };

/** The rows of one run, in its order. */
const run = order.conditions.flatMap((condition, c) =>
  Array.from({ length: c === 0 ? 1 : 12 }, (_, draw) => draw).flatMap((draw) =>
    order.attacks.map((attack) => fakeRow(condition, draw, { accuracy: 0.8, pcc: 0.5, lift: 0.1 }, 2, attack)),
  ),
);

function shardsOf(rows: readonly Row[], count: number): Row[][] {
  return Array.from({ length: count }, (_, shard) => rows.filter((_, i) => i % count === shard));
}

describe('merged shards', () => {
  test.each([1, 2, 3, 7])('give the rows of one run whatever their order: %i shards', (count) => {
    const shards = shardsOf(run, count);
    const expected = JSON.stringify(run);
    expect(JSON.stringify(mergeRows(shards, order))).toBe(expected);
    expect(
      JSON.stringify(
        mergeRows(
          [...shards].reverse().map((rows) => [...rows].reverse()),
          order,
        ),
      ),
    ).toBe(expected);
  });

  test('take a row once that several of them measured', () => {
    expect(mergeRows([run, shardsOf(run, 2)[0]], order)).toEqual(run);
    // A row that was read from a file may have its keys in another order.
    const { perIdentity, ...rest } = run[0];
    expect(mergeRows([[{ perIdentity, ...rest }], run], order)).toHaveLength(run.length);
  });

  test('are refused where two of them measured a row differently', () => {
    const other = { ...run[5], pcc: run[5].pcc + 1e-9 };
    expect(() => mergeRows([run, [other]], order)).toThrow(
      new DataError('row Bit errors 10 %, fc1, draw 1, mean: shards 1 and 2 measured different values'),
    );
  });

  test('are refused where a row is not of the experiment', () => {
    expect(() => mergeRows([[], run], { ...order, conditions: [none] })).toThrow(
      'shard 2: row Bit errors 10 %, fc1, draw 0, zero: no such condition in this experiment',
    );
    expect(() => mergeRows([run], { ...order, attacks: ['zero'] })).toThrow('no such attack in this experiment');
  });
});
