import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { activationMemories } from '../../src/experiments/activation_memories.ts';
import { plannedConditions } from '../../src/experiments/conditions.ts';
import { victimSpec } from '../../src/experiments/described_victim.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import type { NetworkDescription } from '../../src/models/network_description.ts';
import { summarise } from '../../src/results/results.ts';
import { seriesOf } from '../../src/results/series.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
const SIZE = { width: 14, height: 16 };
let data: ExperimentData;
beforeAll(async () => {
  const faces = { identities: 8, photographs: 8, ...SIZE, seed: 1 };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const everybody = await renderFaces(device.gpu, { ...faces, population: 'public' });
  data = experimentData(dataset, seededSplit(dataset, 5, 1), everybody);
});

const optimizer = { kind: 'sgd', learningRate: 0.02, momentum: 0.9, weightDecay: 5e-4 };
const training = { epochs: 60, batchSize: 20, optimizer };
const attacks = [{ kind: 'mi-face', start: 'zero', iterations: 1, step: 1 }];
const network: NetworkDescription = {
  kind: 'network',
  input: { ...SIZE, channels: 1 },
  layers: [
    { kind: 'conv2d', name: 'c', channels: 4, kernelSize: 3, stride: 2 },
    { kind: 'batch_norm', name: 'n' },
    { kind: 'relu', name: 'r' },
    { kind: 'flatten', name: 'f' },
    { kind: 'dense', name: 'd', outputs: 8 },
  ],
};
const RATES = [0, 0.05, 0.4];

describe('a victim whose activations lie in approximate memory', () => {
  // MI-Face is not part of this: its gradient goes straight through the errors, and it finds as much as without them.
  it('its accuracy falls with the rate, and the rates make one line of a figure', async () => {
    const memories = activationMemories(RATES, { kind: 'int8' });
    const victim = { ...configuration('mlp').victim, hidden: [16], training };
    const config = configuration('mlp', { victim, sweeps: [], memories, draws: 3, attacks, evaluationBatch: 24 });
    const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
    const { rows } = await runExperiment(device.gpu, data, config, context);
    const [none, ...stored] = summarise(rows);
    // The memory without errors costs little: its formats hold the largest activations.
    expect(Math.abs(stored[0].accuracy.mean - none.accuracy.mean)).toBeLessThan(0.05);
    expect(none.accuracy.mean).toBeGreaterThan(0.8);
    for (let i = 1; i < stored.length; i++) {
      expect(stored[i].accuracy.mean).toBeLessThanOrEqual(stored[i - 1].accuracy.mean);
    }
    expect(stored[2].accuracy.mean).toBeLessThan(0.5 * none.accuracy.mean);
    const [{ line }] = seriesOf(summarise(rows));
    expect(line.map(({ condition }) => condition.kind)).toEqual(['none', ...RATES.map(() => 'memory')]);
    expect(line.slice(1).map(({ condition }) => Object.values(condition.rates)[0])).toEqual(RATES);
  });

  it('a condition names the activations of dense layers and convolutions that are stored, and no weights', () => {
    const config = configuration('mlp', {
      victim: { kind: 'network', network, training },
      sweeps: [],
      memories: activationMemories([2 ** -6]),
    });
    const conditions = plannedConditions(config, victimSpec(config.victim, data.dataset));
    expect(conditions).toHaveLength(2);
    expect(conditions[1]).toMatchObject({
      label: 'activations, 1.56 %',
      setting: 'activations',
      layers: 'none',
      rates: { 'c output': 2 ** -6, 'd output': 2 ** -6 },
      granularity: 'inference',
    });
  });
});
