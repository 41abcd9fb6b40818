/** Whole attacks on memories at the edges of what a configuration may say: test/fixtures/cases/27-memory. */
import { readFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import type { Row } from '../../src/results/results.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
const CASES = ['twice-one', 'rate-one', 'rate-tiny', 'rate-zero', 'no-layers', 'int8-sign-only'];
const rows = new Map<string, Row>();

beforeAll(async () => {
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const everybody = await renderFaces(device.gpu, { ...faces, population: 'public' });
  const memories = CASES.map((name) => {
    const path = new URL(`../fixtures/cases/27-memory/${name}.json`, import.meta.url);
    return { name, setting: name, memory: JSON.parse(readFileSync(path, 'utf8')) };
  });
  const config = configuration('mlp', {
    memories,
    sweeps: [{ layers: 'all', rates: [] }],
    draws: 1,
    attacks: [{ kind: 'mi-face', start: 'mean', iterations: 3, step: 1 }],
  });
  const data = experimentData(dataset, seededSplit(dataset, 3, 3), everybody);
  const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
  for (const row of (await runExperiment(device.gpu, data, config, context)).rows) {
    rows.set(row.condition.kind === 'memory' ? row.condition.label : row.condition.kind, row);
  }
}, 120_000);

/** What was measured, without the memory's own description. */
function measured(name: string): Partial<Row> {
  const { condition: _, rates: __, energy: ___, ...rest } = rows.get(name)!;
  return rest;
}

it('every memory is attacked, with similarities that were computed', () => {
  expect([...rows.keys()].sort()).toEqual(['none', 'quantised', ...CASES].sort());
  for (const { pcc, unmeasured } of rows.values()) {
    expect(pcc).toBeTypeOf('number');
    expect(unmeasured).toBe(0);
  }
});

it('two models that fail every bit fail it once: the memory is that in which every bit is wrong', () => {
  expect(rows.get('twice-one')!.condition.rates).toEqual({ fc1: 1, fc2: 1 });
  expect(measured('twice-one')).toEqual(measured('rate-one'));
  expect(measured('twice-one')).not.toEqual(measured('quantised'));
});

it('a memory without faults, and one in which none occurs, only quantise the weights', () => {
  expect(measured('rate-zero')).toEqual(measured('quantised'));
  expect(measured('rate-tiny')).toEqual(measured('quantised'));
  expect(rows.get('rate-tiny')!.condition.rates).toEqual({ fc1: 1e-12, fc2: 1e-12 });
});

it('a memory that holds no layer leaves the model undefended', () => {
  expect(measured('no-layers')).toEqual(measured('none'));
  expect(rows.get('no-layers')!.condition.rates).toEqual({});
});

it('a memory whose sign bits alone are wrong changes every weight, at the mean rate of one bit in eight', () => {
  expect(rows.get('int8-sign-only')!.condition.rates).toEqual({ fc1: 0.125, fc2: 0.125 });
  expect(measured('int8-sign-only')).not.toEqual(measured('none'));
});
