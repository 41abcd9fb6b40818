import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import type { Row } from '../../src/results/results.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
let data: ExperimentData;
beforeAll(async () => {
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const everybody = await renderFaces(device.gpu, { ...faces, identities: 8, population: 'public' });
  data = experimentData(dataset, seededSplit(dataset, 3, 3), everybody);
});

const { victim: UNTRAINED } = configuration('mlp');
const LEARNED = { ...UNTRAINED, training: { ...UNTRAINED.training, epochs: 30, batchSize: 4 } };

/** Attacks a victim with bit errors by several attackers, the first of which knows nothing of errors. */
async function attack(granularity: string, ...attackers: object[]) {
  const store = new InMemoryRunStore();
  const inversion = {
    kind: 'inversion',
    network: { kind: 'dense', hidden: [12] },
    training: { epochs: 16, batchSize: 8, learningRate: 5e-3 },
    splits: ['held-out'],
    attackers: [{ name: 'naive' }, ...attackers],
  };
  const changes = { victim: LEARNED, granularity, attacks: [inversion], sweeps: [{ layers: 'all', rates: [2 ** -4] }] };
  const context = { store, progress: SILENT, signal: new AbortController().signal };
  const { rows } = await runExperiment(device.gpu, data, configuration('mlp', changes), context);
  const of = (name: string, kind = 'bit-error'): Row[] => {
    const found = rows.filter(
      ({ attack, condition }) => attack === `inversion ${name}, held-out` && condition.kind === kind,
    );
    expect(found.length, name).toBeGreaterThan(0);
    return found;
  };
  const mse = (name: string) => of(name).reduce((sum, row) => sum + row.mse!, 0) / of(name).length;
  return { store, of, mse };
}

const networksIn = ({ files }: InMemoryRunStore) =>
  [...files.keys()].filter((name) => name.startsWith('inversion') && name.endsWith('.safetensors'));

describe('an attacker who adapts', () => {
  it('an attacker who trains on errors is closer to the truth than a naive one, for errors per load', async () => {
    const { store, of, mse } = await attack('load', { name: 'learns', learns: { maps: 4 } });
    expect(mse('learns')).toBeLessThan(0.8 * mse('naive'));
    for (const row of of('learns'))
      expect({ queries: row.queries, reloads: row.reloads }).toEqual({ queries: 1, reloads: 4 });
    // Without errors there is nothing to adapt to.
    const [naive, learns] = [of('naive', 'none')[0], of('learns', 'none')[0]];
    expect(Math.abs(learns.mse! - naive.mse!)).toBeLessThan(0.02 * naive.mse!);
    // The victim without errors, and one network per condition: exact, quantised, with errors.
    expect(networksIn(store)).toHaveLength(4);
  });

  it('a persistent map cannot be averaged away, but it can be learned from its own chip or from others', async () => {
    const { store, of, mse } = await attack(
      'chip',
      { name: 'reads', reads: 8 },
      { name: 'own', learns: { maps: 1 } },
      { name: 'other', learns: { maps: 4, chip: 'other' } },
    );
    expect(mse('reads')).toBeCloseTo(mse('naive'), 5);
    expect(mse('own')).toBeLessThan(0.95 * mse('naive'));
    expect(mse('other')).toBeLessThan(0.8 * mse('naive'));
    expect(of('own')[0].reloads).toBeUndefined();
    // Own: one network per condition without errors and one per chip; other: one per condition.
    expect(networksIn(store)).toHaveLength(1 + 2 + 2 + 3);
  });

  it.each([
    ['pass', 0.8],
    // Other faults for every image cost little accuracy here, so there is less to adapt to.
    ['inference', 1],
  ] as const)(
    'attackers adapt to errors per %s by averaging, training and recalibration',
    async (granularity, margin) => {
      const { of, mse } = await attack(
        granularity,
        { name: 'all', reads: 4, learns: { maps: 2 }, temperature: 'matched' },
        { name: 'half', temperature: 2 },
      );
      for (const name of ['all', 'half']) {
        for (const row of of(name)) {
          expect(row.unmeasured).toBe(0);
          expect(row.reloads).toBeUndefined();
          expect(row.mse).not.toBe(of('naive')[row.draw].mse);
        }
      }
      expect(mse('all')).toBeLessThan(margin * mse('naive'));
    },
  );
});
