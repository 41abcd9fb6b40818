import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { DataError } from '../../src/errors.ts';
import { type ExperimentInput, parseExperiment } from '../../src/experiments/config.ts';
import { type ExperimentOutcome, runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { graph, network } from '../../src/library/models.ts';
import type { Row } from '../../src/results/results.ts';
import { COLOUR_SIZE, colourDataset, HUES } from '../support/colours.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();

/** A residual network with a depthwise convolution, for the coloured images. */
const NETWORK = graph({ ...COLOUR_SIZE, mean: [0.5], deviation: [0.25] }, [
  { kind: 'conv2d', name: 'stem', channels: 8, kernelSize: 3, stride: 2, padding: 1, bias: false },
  { kind: 'batch_norm', name: 'stem.bn' },
  { kind: 'relu', name: 'stem.relu' },
  { kind: 'conv2d', name: 'block.depthwise', channels: 8, groups: 8, kernelSize: 3, padding: 1, bias: false },
  { kind: 'batch_norm', name: 'block.bn' },
  { kind: 'add', name: 'block.add', inputs: ['block.bn', 'stem.relu'] },
  { kind: 'relu6', name: 'block.relu' },
  { kind: 'global_avg_pool', name: 'pool' },
  { kind: 'dense', name: 'fc', outputs: Object.keys(HUES).length },
]);
const VICTIM = network(NETWORK, { training: { epochs: 40, batchSize: 8 } });

const configuration = (changes: Partial<ExperimentInput> = {}) =>
  parseExperiment(
    {
      data: { kind: 'files', private: 'colours' },
      victim: VICTIM,
      attacks: [
        { kind: 'mi-face', iterations: 10, step: 1, start: 'zero' },
        {
          kind: 'inversion',
          network: { kind: 'dense', hidden: [16] },
          training: { epochs: 10, batchSize: 8, learningRate: 1e-2 },
        },
      ],
      sweeps: [{ layers: 'block.*', rates: [1 / 16] }],
      rateMaps: [{ stem: 0.02, 'block.d*': 0.05 }],
      memories: [
        { name: 'int8', setting: 'int8', memory: { layers: { '*': { kind: 'stored', format: { kind: 'int8' } } } } },
      ],
      draws: 2,
      evaluator: 'linear',
      evaluationBatch: 8,
      seed: 2,
      ...changes,
    },
    'test',
  );

let data: ExperimentData;
beforeAll(async () => {
  const dataset = await colourDataset('private', 6, 1);
  data = experimentData(dataset, seededSplit(dataset, 4, 1), await colourDataset('public', 10, 2));
});

const run = (config = configuration(), store = new InMemoryRunStore(), of = data) =>
  runExperiment(device.gpu, of, config, { store, progress: SILENT, signal: new AbortController().signal });

describe('an experiment on a described network', () => {
  let outcome: ExperimentOutcome;
  let store: InMemoryRunStore;
  beforeAll(async () => {
    store = new InMemoryRunStore();
    outcome = await run(configuration(), store);
  });
  const rowsOf = (test: (row: Row) => boolean) => outcome.rows.filter(test);

  it('the victim learns, and both attacks are measured in every memory', () => {
    expect(new Set(outcome.rows.map(({ attack }) => attack)).size).toBeGreaterThanOrEqual(3);
    const undefended = rowsOf(({ condition }) => condition.kind === 'none');
    for (const { accuracy, pcc } of undefended) {
      expect(accuracy).toBe(1);
      expect(Number.isFinite(pcc)).toBe(true);
    }
    expect(rowsOf(({ condition }) => condition.kind === 'memory').length).toBeGreaterThan(0);
  });

  it('patterns of layers stand for the layers that they match', () => {
    const rates = (kind: string) => {
      const [{ condition }] = rowsOf(({ condition }) => condition.kind === kind && condition.layers !== 'none');
      return 'rates' in condition ? condition.rates : undefined;
    };
    expect(rates('bit-error')).toEqual({ 'block.depthwise': 1 / 16, 'block.bn': 1 / 16 });
    const maps = rowsOf(({ condition }) => condition.kind === 'bit-error' && condition.layers.startsWith('stem'));
    expect(maps[0].condition.rates).toEqual({ stem: 0.02, 'block.depthwise': 0.05 });
  });

  it('trained networks that are given give the same rows', async () => {
    const names = ['victim.safetensors', 'inversion.safetensors'];
    const files = await Promise.all(names.map(async (name) => [name, (await store.read(name))!] as const));
    const again = await run(configuration(), new InMemoryRunStore(), { ...data, pretrained: new Map(files) });
    expect(again.rows).toEqual(outcome.rows);
  });

  it('images of another shape, or another number of classes, are refused with both', async () => {
    const other = graph({ ...COLOUR_SIZE, channels: 1 }, NETWORK.layers);
    await expect(run(configuration({ victim: network(other) }))).rejects.toThrow(
      /images are .* RGB, the network.* takes .* gray; leave --size and --channels out/,
    );
    const wide = graph(
      COLOUR_SIZE,
      NETWORK.layers.map((layer) => (layer.kind === 'dense' ? { ...layer, outputs: 9 } : layer)),
    );
    await expect(run(configuration({ victim: network(wide) }))).rejects.toThrow(DataError);
    await expect(run(configuration({ victim: network(wide) }))).rejects.toThrow(
      /data .*: 4 classes \(.*\), the network.* has 9 outputs; give images of its classes/,
    );
  });
});
