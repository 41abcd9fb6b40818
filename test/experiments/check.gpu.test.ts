/** What is refused before an experiment stores or trains anything. */
import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { ConfigError, DataError } from '../../src/errors.ts';
import type { ExperimentConfig } from '../../src/experiments/config.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
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

const run = (config: ExperimentConfig, store = new InMemoryRunStore()) =>
  runExperiment(device.gpu, data, config, { store, progress: SILENT, signal: new AbortController().signal });

describe('checks before an experiment', () => {
  const inversion = (...names: string[]) => ({
    kind: 'inversion',
    network: { kind: 'dense', hidden: [8] },
    training: { epochs: 1, batchSize: 8, learningRate: 0.001 },
    attackers: names.map((name, i) => ({ name, truncation: i + 1 })),
  });
  const MI_FACE = { kind: 'mi-face', start: 'zero', iterations: 3, step: 1 };
  const stored = (name: string, bitErrorRate: number) => ({
    name,
    setting: name,
    memory: {
      layers: { '*': { kind: 'stored', format: { kind: 'fixed' }, faults: [{ kind: 'uniform', bitErrorRate }] } },
    },
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['a person who is no class', { people: [999] }, /people: 999 is not a class of 0\.\.3/],
    [
      'a set of noise with an unknown layer',
      { noise: { kinds: ['gaussian'], sets: ['fc9'] } },
      /"fc9" is neither a layer/,
    ],
    [
      'two names of the same layers',
      {
        sweeps: [
          { layers: 'fc2+fc1', rates: [0.1] },
          { layers: 'all', rates: [0.2] },
        ],
      },
      /"fc2\+fc1" and "all" are the same layers; name them once/,
    ],
    ['two memories of one name', { memories: [stored('a', 0.1), stored('a', 0.2)] }, /there are two conditions "a"/],
    [
      'a memory called like another condition',
      { memories: [stored('Undefended', 0.1)] },
      /two conditions "Undefended"/,
    ],
    ['memories that differ in case alone', { memories: [stored('a', 0.1), stored('A', 0.2)] }, /would share a file/],
    ['attackers whose files would be the same', { attacks: [inversion('a b', 'a-b')] }, /would share a file/],
    [
      'two attacks that would share a network',
      { attacks: [inversion('a', 'b'), inversion('c', 'd')] },
      /share the network inversion\.safetensors; name all their attackers in one attack/,
    ],
  ])('an experiment refuses %s before it stores anything', async (_, changes, message) => {
    const store = new InMemoryRunStore();
    await expect(run(configuration('mlp', changes), store)).rejects.toThrow(message);
    expect(store.files.size).toBe(0);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['no person', { people: [] }, /people: name at least one/],
    ['a person twice', { people: [1, 1] }, /people: names a person twice/],
    ['two attackers of one name', { attacks: [inversion('a', 'a')] }, /attacks\.0: .* attacks "inversion a, held-out"/],
    ['an attack twice', { attacks: [MI_FACE, MI_FACE] }, /attacks\.1: there are two attacks "mi-face zero"/],
    ['a layer twice', { sweeps: [{ layers: 'fc1+fc1', rates: [0.1] }] }, /sweeps\.0\.layers: names a layer twice/],
    [
      'a set of layers twice',
      {
        sweeps: [
          { layers: 'fc1+fc2', rates: [0.1] },
          { layers: 'fc2+fc1', rates: [0.2] },
        ],
      },
      /sweeps: names the same layers twice/,
    ],
    [
      'a set of noise twice',
      { noise: { kinds: [], sets: ['fc1', 'fc1'] } },
      /noise\.sets: names the same layers twice/,
    ],
    ['noise twice', { noise: { kinds: ['gaussian', 'gaussian'] } }, /noise\.kinds: names a kind twice/],
  ])('a configuration with %s is refused with its path', (_, changes, message) => {
    expect(() => configuration('mlp', changes)).toThrow(ConfigError);
    expect(() => configuration('mlp', changes)).toThrow(message);
  });

  it('photographs without contrast, or all alike, are refused before anything is stored', async () => {
    const { dataset } = data;
    const first = dataset.images.subarray(0, dataset.width * dataset.height);
    const alike = dataset.images.map((_, i) => first[i % first.length]);
    for (const images of [alike, new Uint8Array(dataset.images.length)]) {
      const store = new InMemoryRunStore();
      const context = { store, progress: SILENT, signal: new AbortController().signal };
      const given = { ...data, dataset: { ...dataset, images } };
      await expect(runExperiment(device.gpu, given, configuration('mlp'), context)).rejects.toThrow(DataError);
      expect(store.files.size).toBe(0);
    }
  });

  it('networks of attackers whose names are paths stay in the folder, and are not mixed', async () => {
    const store = new InMemoryRunStore();
    const attacks = [inversion('x', '/../../x', 'x/rounding-1')];
    const releases = [{ kind: 'rounding', decimals: 1 }];
    await run(configuration('mlp', { attacks, releases, sweeps: [], draws: 1 }), store);
    const networks = [...store.files.keys()].filter((name) => name.startsWith('inversion'));
    expect(networks.length).toBeGreaterThan(3);
    for (const name of store.files.keys()) expect(name).toMatch(/^(pictures\/)?[\w.=+~-]+$/);
  });

  it('a network in the store that was trained otherwise is refused', async () => {
    const store = new InMemoryRunStore();
    await run(configuration('mlp'), store);
    await expect(run(configuration('mlp', { seed: 6 }), store)).rejects.toThrow(
      /victim\.safetensors: it was trained on other images, or in another way/,
    );
  });

  it('an experiment refuses one class, an unknown layer and an unknown set before it trains', async () => {
    const { dataset } = data;
    const oneClass = { ...data, dataset: { ...dataset, labels: new Uint32Array(dataset.labels.length) } };
    const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
    await expect(runExperiment(device.gpu, oneClass, configuration('mlp'), context)).rejects.toThrow(DataError);
    await expect(run(configuration('mlp', { sweeps: [{ layers: 'fc3', rates: [0.1] }] }))).rejects.toThrow(
      /"fc3" is neither a layer/,
    );
    await expect(run(configuration('mlp', { rateMaps: [{ conv1: 0.1 }] }))).rejects.toThrow(ConfigError);
  });
});
