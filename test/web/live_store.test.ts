import { describe, expect, it } from 'vitest';
import { InterruptedError } from '../../src/errors.ts';
import { summarise } from '../../src/results/results.ts';
import { Gate, LiveStore } from '../../src/web/live_store.ts';
import { fakeResults } from '../results/fake.ts';

const fakeRows = () => [...fakeResults().rows];

describe('the gate of a job', () => {
  it('a closed gate holds up a job until it opens', async () => {
    const gate = new Gate();
    const { signal } = new AbortController();
    await gate.pass(signal);
    gate.close();
    let passed = false;
    const waiting = gate.pass(signal).then(() => {
      passed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(passed).toBe(false);
    gate.open();
    await waiting;
    expect(passed).toBe(true);
  });

  it('a gate rejects a waiting job that was stopped', async () => {
    const gate = new Gate();
    const controller = new AbortController();
    gate.close();
    const waiting = gate.pass(controller.signal);
    controller.abort();
    gate.open();
    await expect(waiting).rejects.toThrow(InterruptedError);
  });
});

describe('a live store', () => {
  it('a live store announces every row before the next one is appended', async () => {
    const store = new LiveStore();
    const seen: number[] = [];
    store.onRow = async () => {
      await Promise.resolve();
      seen.push(store.rows.length);
    };
    for (const row of fakeRows().slice(0, 3)) await store.appendRow(row);
    expect(seen).toEqual([1, 2, 3]);
  });

  it('a live store has every draw of a condition once, and its summary is that of all rows', () => {
    const rows = fakeRows();
    const store = new LiveStore();
    for (const row of [...rows, ...rows]) store.add(row);
    expect(store.rows).toEqual(rows);
    expect(store.summary()).toEqual(summarise(rows));
    expect(store.has(rows[0].condition, rows[0].draw)).toBe(true);
    expect(store.has(rows[0].condition, 999)).toBe(false);
  });
});
