import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { ConfigError, DataError, InterruptedError } from '../../src/errors.ts';
import { type ExperimentConfig, parseExperiment, type VictimKind } from '../../src/experiments/config.ts';
import { linearDrawCost } from '../../src/experiments/draws.ts';
import { type ExperimentOutcome, runExperiment } from '../../src/experiments/experiment.ts';
import { experimentData } from '../../src/experiments/faces.ts';
import { presetInput } from '../../src/experiments/presets.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import type { ExperimentData } from '../../src/experiments/testbed.ts';
import { inOrder } from '../../src/results/order.ts';
import { conditionKey, matchedTo, type Row } from '../../src/results/results.ts';
import { useGpu } from '../support/gpu.ts';

const device = useGpu();
let data: ExperimentData;

beforeAll(async () => {
  const faces = { identities: 4, photographs: 5, width: 14, height: 16, seed: 3 };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const everybody = await renderFaces(device.gpu, { ...faces, population: 'public' });
  data = experimentData(dataset, seededSplit(dataset, 3, 3), everybody);
});

/** A small network trained for two epochs, one rate on all layers, two draws, and MI-Face of five iterations. */
function configuration(kind: Exclude<VictimKind, 'yang'>, changes: Record<string, unknown> = {}): ExperimentConfig {
  const preset = presetInput('shallow', { victim: kind, images: { width: 14, height: 16 } });
  const { victim } = preset;
  if (victim.kind === 'yang') throw new Error('the victim must have dense layers');
  const small = {
    victim: {
      ...victim,
      hidden: victim.hidden.map((width) => Math.ceil(width / 20)),
      training: {
        ...victim.training,
        epochs: 2,
        ...(kind === 'dae' && { reconstruction: { epochs: 2, deviation: 0.1, learningRate: 1e-3 } }),
      },
    },
    sweeps: [{ layers: 'all', rates: [2 ** -4] }],
    draws: 2,
    noise: { kinds: [] },
    attacks: (preset.attacks as object[]).map((attack) => ({ ...attack, iterations: 5 })),
    seed: 5,
  };
  return parseExperiment({ ...preset, ...small, ...changes }, 'test');
}

const run = (config: ExperimentConfig, store = new InMemoryRunStore(), signal = new AbortController().signal) =>
  runExperiment(device.gpu, data, config, { store, progress: SILENT, signal });
const key = (row: Row) => `${conditionKey(row.condition)} ${row.draw} ${row.attack}`;
/** The files of a run except checkpoints, sorted by name. */
const filesOf = (store: InMemoryRunStore) =>
  [...store.files].filter(([name]) => !name.endsWith('.safetensors')).sort(([a], [b]) => (a < b ? -1 : 1));

describe('running a whole experiment', () => {
  it.each(['softmax', 'mlp', 'mlp-sigmoid', 'dae'] as const)(
    'an experiment runs a %s from training to rows',
    async (model) => {
      const store = new InMemoryRunStore();
      const { rows, presentation } = await run(configuration(model), store);
      expect(rows).toHaveLength(2 * (1 + 1 + 2));
      // Pictures of the first draw of every condition, and of the true and the mean face.
      expect([...store.files.keys()].filter((name) => name.endsWith('.npy'))).toHaveLength(2 * 3 + 2);
      for (const row of rows) {
        expect(row.n).toBe(4);
        expect(row.accuracy).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(row.pccLift)).toBe(true);
      }
      expect(presentation.baselines?.meanFacePcc).toBeGreaterThan(0.2);
    },
  );

  it.each(['chip', 'pass', 'inference'] as const)('an experiment measures at granularity %s', async (granularity) => {
    const { rows } = await run(configuration('mlp', { granularity }));
    const errors = rows.flatMap(({ condition }) => (condition.kind === 'bit-error' ? [condition] : []));
    expect(errors).toHaveLength(4);
    expect(new Set(errors.map((condition) => condition.granularity))).toEqual(new Set([granularity]));
  });

  it('an experiment measures the fused path, the grid, rate maps and a black-box attack', async () => {
    const { rows } = await run(
      configuration('mlp', {
        path: 'fused',
        grid: [0, 2 ** -4],
        rateMaps: [{ fc2: 0.5 }],
        draws: 1,
        attacks: [
          { kind: 'mi-face', start: 'noise', iterations: 3, step: 1, cost: 'oneMinusConfidence' },
          { kind: 'mi-face', start: 'mean', iterations: 3, step: 1, search: { directions: 2, sigma: 0.05, cell: 2 } },
        ],
      }),
    );
    const rates = new Set(rows.map((row) => JSON.stringify(row.condition.rates)));
    expect(rates).toContain('{"fc1":0.0625,"fc2":0}');
    expect(rates).toContain('{"fc2":0.5}');
    expect(new Set(rows.map((row) => row.attack))).toEqual(new Set(['mi-face noise', 'mi-face mean black-box']));
  });

  it('an experiment gives the same bits twice, and the same when it is stopped after a row and resumed', async () => {
    const config = configuration('mlp', { noise: { kinds: ['gaussian'] } });
    const whole = await run(config);
    expect((await run(config)).rows).toEqual(whole.rows);
    const store = new InMemoryRunStore();
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

  // Trained long enough that noise can be matched to the accuracy under bit errors.
  const { victim: UNTRAINED } = configuration('mlp');
  const LEARNED = { ...UNTRAINED, training: { ...UNTRAINED.training, epochs: 40, batchSize: 4 } };
  const BATCHED = {
    victim: LEARNED,
    draws: 3,
    sweeps: [{ layers: 'both', rates: [0.25] }],
    noise: { kinds: ['gaussian'] },
  };

  it.each(['load', 'chip'] as const)(
    'an experiment gives the same bits however many draws are measured together: %s',
    async (granularity) => {
      const [first, second] = configuration('mlp').attacks;
      const attacks = [{ ...first, start: 'noise', beta: 2 }, second];
      const config = configuration('mlp', { ...BATCHED, granularity, attacks });
      const cost = linearDrawCost(14 * 16, 4, 8, 4, [4, 4]);
      const outcomes: (ExperimentOutcome & { store: InMemoryRunStore })[] = [];
      for (const draws of [1, 2, 3]) {
        const never = new AbortController().signal;
        const budget = { bufferBytes: Number.POSITIVE_INFINITY, bytes: draws * cost.bytes, submitFlops: 1e9 };
        const store = new InMemoryRunStore();
        const context = { store, progress: SILENT, signal: never };
        outcomes.push({ ...(await runExperiment(device.gpu, data, config, context, { budget })), store });
      }
      const [alone, ...others] = outcomes;
      expect(outcomes.map(({ plans }) => plans.at(-1)?.split(':')[0])).toEqual([
        '1 draw together',
        '2 draws together',
        '3 draws together',
      ]);
      expect(new Set(alone.rows.map(({ condition }) => condition.kind))).toContain('gaussian');
      expect(new Set(alone.rows.map(({ pcc }) => pcc)).size).toBeGreaterThan(6);
      const pictures = ({ store }: (typeof outcomes)[number]) =>
        filesOf(store).filter(([name]) => name.endsWith('.npy'));
      for (const other of others) {
        expect(other.rows).toEqual(alone.rows);
        expect(pictures(other)).toEqual(pictures(alone));
        expect(other.presentation.baselines).toEqual(alone.presentation.baselines);
      }
    },
  );

  it('an experiment resumes in the middle of a batch of draws and repeats nothing', async () => {
    const config = configuration('mlp', BATCHED);
    const whole = new InMemoryRunStore();
    const { rows } = await run(config, whole);
    // The rows of none and quantised, one draw of two attacks each, come first; then three draws of either attack.
    expect(whole.rows.slice(4, 10).map(({ draw }) => draw)).toEqual([0, 1, 2, 0, 1, 2]);
    for (const killed of [5, 6, 9]) {
      const store = new InMemoryRunStore();
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

  it('an experiment calibrates noise to the accuracy that bit errors left', async () => {
    // The victim is trained long enough that bit errors lower its accuracy.
    const { rows } = await run(
      configuration('mlp', {
        victim: LEARNED,
        noise: { kinds: ['gaussian', 'laplacian'] },
        sweeps: [{ layers: 'both', rates: [0.5] }],
      }),
    );
    const noise = rows.filter((row) => matchedTo(row.condition) !== undefined);
    expect(new Set(noise.map((row) => row.condition.kind))).toEqual(new Set(['gaussian', 'laplacian']));
    const matched = rows.find((row) => row.condition.kind === 'bit-error') as Row;
    expect(matchedTo(noise[0].condition)).toBe(conditionKey(matched.condition));
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

  it('an experiment refuses two attacks of the same name', async () => {
    const [attack] = configuration('mlp').attacks;
    await expect(run(configuration('mlp', { attacks: [attack, attack] }))).rejects.toThrow(
      /two attacks "mi-face zero"/,
    );
  });

  it('an experiment divided into shards measures every row once, and its rows are those of one run', async () => {
    const config = configuration('mlp', BATCHED);
    const whole = await run(config);
    const shards = [];
    for (const index of [1, 0, 2]) {
      const store = new InMemoryRunStore();
      const context = { store, progress: SILENT, signal: new AbortController().signal };
      await runExperiment(device.gpu, data, config, context, { shard: { index, count: 3 } });
      shards.push(store);
    }
    const rows = shards.flatMap((store) => store.rows);
    expect(rows).toHaveLength(whole.rows.length);
    expect(inOrder(rows, whole.presentation.order)).toEqual(whole.rows);
    for (const store of shards) {
      expect(store.files.get('calibration.json')).toEqual(shards[0].files.get('calibration.json'));
      expect(store.rows.length).toBeLessThan(rows.length);
    }
  });

  it('an experiment continued with more rates, draws and attacks measures only what is new', async () => {
    const store = new InMemoryRunStore();
    const first = configuration('mlp', { draws: 2 });
    await run(first, store);
    const before = [...store.rows];
    const more = configuration('mlp', {
      draws: 3,
      sweeps: [{ layers: 'all', rates: [2 ** -4, 2 ** -3] }],
      attacks: [...first.attacks, { kind: 'mi-face', start: 'noise', iterations: 2, step: 1 }],
    });
    const { rows } = await run(more, store);
    expect(store.rows.slice(0, before.length)).toEqual(before);
    const alone = await run(more);
    expect(rows).toEqual(alone.rows);
    expect(store.rows).toHaveLength(rows.length);
  });
});
