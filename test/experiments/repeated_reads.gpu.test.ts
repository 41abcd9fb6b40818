import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { METRICS, parseRows, type Row, rowToLine, toCsv } from '../../src/results/results.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
let data: ExperimentData;
beforeAll(async () => {
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const everybody = await renderFaces(device.gpu, { ...faces, population: 'public' });
  data = experimentData(dataset, seededSplit(dataset, 3, 3), everybody);
});

const PLAIN = { kind: 'mi-face', start: 'mean', iterations: 5, step: 1, keep: 'last' };
const NETWORK = {
  kind: 'inversion',
  network: { kind: 'dense', hidden: [8] },
  training: { epochs: 3, batchSize: 4, learningRate: 1e-3 },
  splits: ['held-out'],
};
const inversion = (...attackers: object[]) => ({ ...NETWORK, attackers });

async function rowsOf(kind: 'mlp' | 'mlp-sigmoid', granularity: string, attacks: object[]): Promise<Row[]> {
  const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
  const config = configuration(kind, { granularity, attacks, sweeps: [{ layers: 'all', rates: [2 ** -6] }] });
  return [...(await runExperiment(device.gpu, data, config, context)).rows];
}

function named(rows: readonly Row[], attack: string, kind = 'bit-error'): Row[] {
  const found = rows.filter((row) => row.attack === attack && row.condition.kind === kind);
  expect(found.length, attack).toBeGreaterThan(0);
  return found;
}
const measures = (row: Row) => METRICS.map((metric) => row[metric]);

describe('an attack that reads the weights again', () => {
  it.each(['mlp', 'mlp-sigmoid'] as const)(
    'reloads of a %s are counted, and leave the rows of all other attacks as they are',
    async (kind) => {
      const plain = await rowsOf(kind, 'load', [PLAIN, inversion({ name: 'one' }, { name: 'again' })]);
      const [again, five] = [
        { ...PLAIN, reads: 3 },
        { name: 'again', reads: 5 },
      ];
      const rows = await rowsOf(kind, 'load', [again, inversion({ name: 'one' }, five), PLAIN]);
      for (const name of ['mi-face mean', 'inversion one, held-out'])
        expect(named(rows, name)).toEqual(named(plain, name));
      for (const [i, row] of named(rows, 'mi-face mean 3 reads').entries()) {
        const once = named(plain, 'mi-face mean')[i];
        expect({ queries: row.queries, reloads: row.reloads }).toEqual({ queries: 3 * once.queries!, reloads: 2 });
        expect(row.pcc).not.toBe(once.pcc);
      }
      for (const [i, row] of named(rows, 'inversion again, held-out').entries()) {
        expect({ queries: row.queries, reloads: row.reloads }).toEqual({ queries: 5, reloads: 4 });
        expect(row.pcc).not.toBe(named(plain, 'inversion again, held-out')[i].pcc);
      }
      expect(parseRows(rows.map(rowToLine).join(''), 'rows')).toEqual(rows);
      expect(toCsv(rows).split('\r\n')[0]).toContain('queries,reloads,');
      expect(toCsv(plain)).not.toContain('reloads');
    },
  );

  it.each(['mlp', 'mlp-sigmoid'] as const)(
    'a majority vote undoes errors per load in a %s, but not those of a chip',
    async (kind) => {
      const attacks = [PLAIN, { ...PLAIN, reads: 15, combine: 'votes' }];
      for (const granularity of ['load', 'chip']) {
        const rows = await rowsOf(kind, granularity, attacks);
        const [quantised] = named(rows, 'mi-face mean', 'quantised');
        for (const [i, row] of named(rows, 'mi-face mean 15 votes').entries()) {
          const once = named(rows, 'mi-face mean')[i];
          const expected = granularity === 'load' ? quantised : once;
          expect(row.pcc).toBeCloseTo(expected.pcc!, 5);
          expect(row.mse).toBeCloseTo(expected.mse!, 6);
          expect(once.pcc).not.toBeCloseTo(quantised.pcc!, 4);
          const reloads = granularity === 'load' ? 14 : undefined;
          expect({ queries: row.queries, reloads: row.reloads }).toEqual({ queries: once.queries, reloads });
        }
      }
    },
  );

  it('reads of a chip cost queries but no reloads, and change nothing', async () => {
    const attacks = [PLAIN, { ...PLAIN, reads: 2 }, inversion({ name: 'one' }, { name: 'again', reads: 4 })];
    const rows = await rowsOf('mlp', 'chip', attacks);
    for (const [name, other, times] of [
      ['mi-face mean 2 reads', 'mi-face mean', 2],
      ['inversion again, held-out', 'inversion one, held-out', 4],
    ] as const) {
      for (const [i, row] of named(rows, name).entries()) {
        const once = named(rows, other)[i];
        expect({ queries: row.queries, reloads: row.reloads }).toEqual({
          queries: times * once.queries!,
          reloads: undefined,
        });
        for (const [k, value] of measures(row).entries()) expect(value).toBeCloseTo(measures(once)[k]!, 4);
      }
    }
  });
});
