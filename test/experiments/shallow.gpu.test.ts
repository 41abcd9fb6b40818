import { beforeAll, describe, expect, it } from 'vitest';
import { meanImage, seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { ConfigError, DataError, InterruptedError } from '../../src/errors.ts';
import { linearDrawCost } from '../../src/experiments/draws.ts';
import { runShallow, type ShallowInput } from '../../src/experiments/shallow.ts';
import { parseShallowConfig, type ShallowConfig, shallowPreset } from '../../src/experiments/shallow_config.ts';
import { MemoryStore } from '../../src/experiments/store.ts';
import { conditionKey, matchedTo, type Row } from '../../src/results/results.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
const silent = { start() {}, advance() {}, done() {}, warn() {} };
let input: ShallowInput;

beforeAll(async () => {
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const everybody = await renderFaces(device.gpu, { ...faces, population: 'public' });
  input = {
    dataset,
    split: seededSplit(dataset, 3, 3),
    meanFace: meanImage(everybody, Uint32Array.from(everybody.labels.keys())),
  };
});

function configuration(model: ShallowConfig['model'], changes: Record<string, unknown> = {}): ShallowConfig {
  const preset = shallowPreset('quick', model, 14 * 16, 5) as Record<string, unknown>;
  const attacks = (preset.attacks as Record<string, unknown>[]).map((attack) => ({ ...attack, iterations: 5 }));
  const small = {
    hidden: (preset.hidden as number[]).map((width) => Math.ceil(width / 20)),
    training: {
      ...(preset.training as object),
      epochs: 2,
      ...(model === 'dae' && { reconstruction: { epochs: 2, deviation: 0.1, learningRate: 1e-3 } }),
    },
    rates: [2 ** -4],
    layerSets: [model === 'softmax' || model === 'dae' ? 'all' : 'both'],
    draws: 2,
    noise: [],
    attacks,
  };
  return parseShallowConfig({ ...preset, ...small, ...changes }, 'test');
}

const run = (config: ShallowConfig, store = new MemoryStore(), signal = new AbortController().signal) =>
  runShallow(device.gpu, input, config, store, silent, signal);
const key = (row: Row) => `${conditionKey(row.condition)} ${row.draw} ${row.attack}`;

describe('the shallow experiment', () => {
  it.each(['softmax', 'mlp', 'mlp-sigmoid', 'dae'] as const)('runs a %s from training to rows', async (model) => {
    const { rows, pictures, baselines } = await run(configuration(model));
    expect(rows).toHaveLength(2 * (1 + 1 + 2));
    expect(pictures).toHaveLength(2 * 3);
    for (const row of rows) {
      expect(row.n).toBe(4);
      expect(row.accuracy).toBeGreaterThanOrEqual(0);
      expect(Number.isFinite(row.pccLift)).toBe(true);
    }
    expect(baselines.meanFacePcc).toBeGreaterThan(0.2);
  });

  it.each(['chip', 'pass', 'inference'] as const)('measures at granularity %s', async (granularity) => {
    const { rows } = await run(configuration('mlp', { granularity }));
    const errors = rows.flatMap(({ condition }) => (condition.kind === 'bit-error' ? [condition] : []));
    expect(errors).toHaveLength(4);
    expect(new Set(errors.map((condition) => condition.granularity))).toEqual(new Set([granularity]));
  });

  it('measures the fused path, the grid, rate maps, rounding and a black-box attack', async () => {
    const { rows } = await run(
      configuration('mlp', {
        path: 'fused',
        grid: [0, 2 ** -4],
        rateMaps: [{ fc2: 0.5 }],
        draws: 1,
        attacks: [
          { start: 'noise', iterations: 3, step: 1, decimals: 1, cost: 'oneMinusConfidence' },
          { start: 'mean', iterations: 3, step: 1, search: { directions: 2, sigma: 0.05, cell: 2 } },
        ],
      }),
    );
    const rates = new Set(rows.map((row) => JSON.stringify(row.condition.rates)));
    expect(rates).toContain('{"fc1":0.0625,"fc2":0}');
    expect(rates).toContain('{"fc2":0.5}');
    expect(new Set(rows.map((row) => row.attack))).toEqual(
      new Set(['mi-face noise rounded 1', 'mi-face mean black-box']),
    );
  });

  it('gives the same bits twice, and the same when stopped after any row and resumed', async () => {
    const config = configuration('mlp', { noise: ['gaussian'] });
    const whole = await run(config);
    expect((await run(config)).rows).toEqual(whole.rows);
    const store = new MemoryStore();
    const controller = new AbortController();
    const append = store.appendRow.bind(store);
    store.appendRow = async (row) => {
      await append(row);
      if (store.rows.length === 3) controller.abort();
    };
    await expect(run(config, store, controller.signal)).rejects.toThrow(InterruptedError);
    expect(store.rows).toHaveLength(3);
    const resumed = await run(config, store);
    expect(new Set(resumed.rows.map(key)).size).toBe(resumed.rows.length);
    expect(resumed.rows).toEqual(whole.rows);
  });

  // Trained until noise has accuracies to be matched to.
  const LEARNED = { ...configuration('mlp').training, epochs: 40, batchSize: 4 };
  const BATCHED = { training: LEARNED, draws: 3, rates: [0.25], noise: ['gaussian'] };

  it.each(['load', 'chip'] as const)(
    'gives the same bits however many draws are measured at once: %s',
    async (granularity) => {
      const [first, second] = configuration('mlp').attacks;
      const attacks = [{ ...first, start: 'noise', beta: 2 }, second];
      const config = configuration('mlp', { ...BATCHED, granularity, attacks });
      const cost = linearDrawCost(14 * 16, 4, 8, 4, config.attacks);
      const outcomes = [];
      for (const draws of [1, 2, 3]) {
        const never = new AbortController().signal;
        const budget = { bufferBytes: Number.POSITIVE_INFINITY, bytes: draws * cost.bytes, submitFlops: 1e9 };
        outcomes.push(await runShallow(device.gpu, input, config, new MemoryStore(), silent, never, budget));
      }
      const [alone, ...others] = outcomes;
      expect(outcomes.map(({ plans }) => plans.at(-1)?.split(':')[0])).toEqual([
        '1 draw at once',
        '2 draws at once',
        '3 draws at once',
      ]);
      expect(new Set(alone.rows.map(({ condition }) => condition.kind))).toContain('gaussian');
      expect(new Set(alone.rows.map(({ pcc }) => pcc)).size).toBeGreaterThan(6);
      for (const { rows, pictures, baselines } of others) {
        expect(rows).toEqual(alone.rows);
        expect(pictures).toEqual(alone.pictures);
        expect(baselines).toEqual(alone.baselines);
      }
    },
  );

  it('goes on in the middle of a batch of draws, and repeats nothing', async () => {
    const config = configuration('mlp', BATCHED);
    const whole = new MemoryStore();
    const { rows } = await run(config, whole);
    // None and quantised have a draw each, of two attacks; then three draws of the first attack, and of the second.
    expect(whole.rows.slice(4, 10).map(({ draw }) => draw)).toEqual([0, 1, 2, 0, 1, 2]);
    for (const killed of [5, 6, 9]) {
      const store = new MemoryStore();
      const append = store.appendRow.bind(store);
      store.appendRow = async (row) => {
        if (store.rows.length === killed) throw new Error('killed');
        await append(row);
      };
      await expect(run(config, store)).rejects.toThrow('killed');
      store.appendRow = append;
      const resumed = await run(config, store);
      expect(resumed.rows).toEqual(rows);
      expect(new Set(store.rows.map(key)).size).toBe(store.rows.length);
      expect(store.rows).toHaveLength(rows.length);
    }
  });

  it('calibrates noise to the accuracy that bit errors left', async () => {
    // Trained until bit errors have something to spoil.
    const { training } = configuration('mlp');
    const learned = { training: { ...training, epochs: 40, batchSize: 4 } };
    const { rows } = await run(configuration('mlp', { ...learned, noise: ['gaussian', 'laplacian'], rates: [0.5] }));
    const noise = rows.filter((row) => matchedTo(row.condition) !== undefined);
    expect(new Set(noise.map((row) => row.condition.kind))).toEqual(new Set(['gaussian', 'laplacian']));
    const matched = rows.find((row) => row.condition.kind === 'bit-error') as Row;
    expect(matchedTo(noise[0].condition)).toBe(conditionKey(matched.condition));
  });

  it('refuses one class, an unknown layer and an unknown set before it trains', async () => {
    const { dataset } = input;
    const oneClass = { ...input, dataset: { ...dataset, labels: new Uint32Array(dataset.labels.length) } };
    const never = new AbortController().signal;
    await expect(
      runShallow(device.gpu, oneClass, configuration('mlp'), new MemoryStore(), silent, never),
    ).rejects.toThrow(DataError);
    await expect(run(configuration('mlp', { layerSets: ['fc3'] }))).rejects.toThrow(/"fc3" is neither a layer/);
    await expect(run(configuration('mlp', { rateMaps: [{ conv1: 0.1 }] }))).rejects.toThrow(ConfigError);
  });
});
