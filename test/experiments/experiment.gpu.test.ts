import { beforeAll, describe, expect, it } from 'vitest';
import { seededSplit } from '../../src/data/dataset.ts';
import { selectPeople } from '../../src/data/people.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { InterruptedError } from '../../src/errors.ts';
import type { ExperimentConfig } from '../../src/experiments/config.ts';
import { linearDrawCost } from '../../src/experiments/draws.ts';
import { type ExperimentOutcome, runExperiment } from '../../src/experiments/experiment.ts';
import type { ExperimentData } from '../../src/experiments/faces.ts';
import { experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { meanErrorRate } from '../../src/memory/faults.ts';
import { findPreset } from '../../src/memory/presets.ts';
import { inOrder } from '../../src/results/order.ts';
import {
  type Condition,
  conditionKey,
  type MemoryCondition,
  matchedTo,
  parseRows,
  type Row,
  rowToLine,
  summarise,
} from '../../src/results/results.ts';
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

const run = (config: ExperimentConfig, store = new InMemoryRunStore(), signal = new AbortController().signal) =>
  runExperiment(device.gpu, data, config, { store, progress: SILENT, signal });
const labelOf = (condition: Condition) => (condition.kind === 'memory' ? condition.label : undefined);
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
        expect(row.correct).toMatch(/^[01]{8}$/);
        expect(row.accuracy).toBe([...row.correct!].filter((answer) => answer === '1').length / 8);
        expect(row.personAccuracy).toHaveLength(4);
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

  it('a run that was killed after its last row, and a shard without conditions, know the order of the rows', async () => {
    const config = configuration('mlp', { ...BATCHED, noise: { kinds: [] } });
    const store = new InMemoryRunStore();
    const first = await run(config, store);
    const again = await run(config, store);
    expect(again.presentation).toEqual(first.presentation);
    expect(store.rows).toHaveLength(first.rows.length);
    const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
    const empty = await runExperiment(device.gpu, data, config, context, { shard: { index: 40, count: 41 } });
    expect(empty.rows).toEqual([]);
    expect(empty.presentation.order).toEqual(first.presentation.order);
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

  it('noise is calibrated alike whatever draws are measured, because it has draws of its own', async () => {
    const changes = { victim: LEARNED, noise: { kinds: ['gaussian'] }, sweeps: [{ layers: 'both', rates: [0.5] }] };
    const noiseOf = async (draws: number) => {
      const { rows } = await run(configuration('mlp', { ...changes, draws }));
      return new Set(rows.filter((row) => matchedTo(row.condition)).map((row) => conditionKey(row.condition)));
    };
    const two = await noiseOf(2);
    expect(two.size).toBeGreaterThan(0);
    expect(await noiseOf(3)).toEqual(two);
  });

  it('every draw of a memory whose faults belong to a chip is another chip, with rates of its own', async () => {
    const memories = ['eden-em1', 'stuck-at', 'dram-c-1.150v'].map((name) => {
      const { memory } = findPreset(name);
      return { name, setting: name, memory };
    });
    const { rows } = await run(configuration('mlp', { victim: LEARNED, sweeps: [], memories, draws: 3 }));
    for (const { name } of memories) {
      const own = rows.filter(({ condition, attack }) => labelOf(condition) === name && attack === 'mi-face zero');
      // The weights of another chip give other reconstructions.
      expect(new Set(own.map(({ pcc }) => pcc)).size).toBe(3);
      const stored = (own[0].condition as MemoryCondition).memory.layers.fc1;
      if (stored.kind !== 'stored') throw new Error('the layer must be stored');
      for (const { draw, rates } of own) expect(rates?.fc1).toBe(meanErrorRate(stored, draw, 'fc1'));
    }
    const dimms = rows.filter(({ condition }) => labelOf(condition) === 'dram-c-1.150v');
    expect(new Set(dimms.map(({ rates }) => rates?.fc1)).size).toBe(3);
  });

  it('what could not be computed is not measured: NaN under propagating floats, and an attack that never moved', async () => {
    const changes = {
      format: { kind: 'fp32', nonFinite: 'propagate' },
      sweeps: [{ layers: 'all', rates: [0.25] }],
      attacks: [
        { kind: 'mi-face', start: 'mean', iterations: 3, step: 1 },
        { kind: 'mi-face', start: 'zero', iterations: 3, step: 0 },
        {
          kind: 'inversion',
          network: { kind: 'dense', hidden: [8] },
          training: { epochs: 1, batchSize: 4, learningRate: 1e-3 },
          splits: ['held-out'],
        },
      ],
    };
    const { rows } = await run(configuration('mlp', changes));
    const broken = rows.filter(({ condition, attack }) => condition.kind === 'bit-error' && attack !== 'mi-face zero');
    expect(broken).toHaveLength(4);
    for (const row of broken) {
      expect(row.unmeasured).toBe(4);
      for (const value of [row.pcc, row.liftMeanFree, row.identity, row.rank1, row.mse]) expect(value).toBeNull();
      expect(row.perIdentity.pcc).toEqual([null, null, null, null]);
    }
    // The step of length 0 leaves the black start, also in the error-free model.
    const still = rows.filter(({ attack }) => attack === 'mi-face zero');
    for (const row of still) expect([row.pcc, row.unmeasured]).toEqual([null, 4]);
    const measured = rows.find(({ condition, attack }) => condition.kind === 'none' && attack === 'mi-face mean')!;
    expect(measured.pcc).not.toBeNull();
    const summary = summarise(rows).find(({ condition }) => condition.kind === 'bit-error')!;
    expect(summary.pcc).toEqual({ mean: null, ci95: null });
    expect(parseRows(rows.map(rowToLine).join(''), 'rows')).toEqual(rows);
  });

  it('the directions of a black-box attack depend on the seed', async () => {
    const search = { directions: 2, sigma: 0.05, cell: 2 };
    const attacks = [{ kind: 'mi-face', start: 'mean', iterations: 3, step: 1, search }];
    let victimOfSeed5: Uint8Array | undefined;
    const pictures = async (seed: number) => {
      // The same victim and the same memory without errors: only the directions can differ.
      const store = new InMemoryRunStore();
      const given = victimOfSeed5 && new Map([['victim.safetensors', victimOfSeed5]]);
      const context = { store, progress: SILENT, signal: new AbortController().signal };
      const config = configuration('softmax', { attacks, sweeps: [], draws: 1, seed });
      await runExperiment(device.gpu, { ...data, pretrained: given }, config, context);
      victimOfSeed5 ??= store.files.get('victim.safetensors');
      return [...store.files].filter(([name]) => name.includes('black-box')).map(([, bytes]) => bytes);
    };
    const first = await pictures(5);
    expect(first).toHaveLength(1);
    expect(await pictures(5)).toEqual(first);
    expect(await pictures(6)).not.toEqual(first);
  });

  it('a victim near chance is announced right after its training', async () => {
    const warningsOf = async (victim: typeof LEARNED) => {
      const warnings: string[] = [];
      const progress = { ...SILENT, warn: (line: string) => warnings.push(line) };
      const context = { store: new InMemoryRunStore(), progress, signal: new AbortController().signal };
      await runExperiment(device.gpu, data, configuration('mlp', { victim, sweeps: [], draws: 1 }), context);
      return warnings;
    };
    const untrained = { ...UNTRAINED, training: { ...UNTRAINED.training, epochs: 1 } };
    expect(await warningsOf(untrained)).toEqual([
      expect.stringMatching(/classifies \d of 8 held-out photographs correctly/),
    ]);
    expect(await warningsOf(LEARNED)).toEqual([]);
  });

  it('a start at the mean of the training photographs is called so, with and without public faces', async () => {
    const attacks = [
      { kind: 'mi-face', start: 'mean', iterations: 1, step: 1 },
      { kind: 'mi-face', start: 'training-mean', iterations: 1, step: 1 },
    ];
    const config = configuration('softmax', { attacks, sweeps: [], draws: 1 });
    const titles = async (given: ExperimentData) => {
      const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
      const { presentation } = await runExperiment(device.gpu, given, config, context);
      return presentation.attacks.map(({ title }) => title);
    };
    const own = 'MI-Face from the mean of the victim’s training photographs';
    expect(await titles(data)).toEqual(['MI-Face from the mean of public faces', own]);
    expect(await titles(experimentData(data.dataset, data.split))).toEqual([own, own]);
  });

  it('a convolutional evaluator is trained once, judges every row, and is read again by a run that continues', async () => {
    const store = new InMemoryRunStore();
    const config = configuration('softmax', { evaluator: 'convolutional', sweeps: [], draws: 1 });
    const whole = await run(config, store);
    for (const row of whole.rows) {
      expect(row.top1).not.toBeNull();
      expect(row.top5!).toBeGreaterThanOrEqual(row.top1!);
      expect(row.featureDistance === null || row.featureDistance > 0).toBe(true);
    }
    expect(whole.presentation.evaluators.convolutional).toBeGreaterThan(0.5);
    expect([...store.files.keys()]).toContain('evaluator-training.safetensors');
    store.rows.length = 0;
    const again = await run(config, store);
    expect(again.rows).toEqual(whole.rows);
  });

  it('two people are enough for an experiment, and one photograph per person is refused', async () => {
    const two = await selectPeople(data.dataset, [0, 1]);
    const config = configuration('softmax', { sweeps: [], draws: 1 });
    const context = { store: new InMemoryRunStore(), progress: SILENT, signal: new AbortController().signal };
    const { rows } = await runExperiment(device.gpu, experimentData(two, seededSplit(two, 3, 1)), config, context);
    for (const row of rows) expect([row.auc === null, row.rank5]).toEqual([false, 1]);
    const faces = { identities: 3, photographs: 1, width: 14, height: 16, seed: 3, population: 'private' } as const;
    const single = await renderFaces(device.gpu, faces);
    expect(() => seededSplit(single, 0.7, 1)).toThrow(/has 1 images, a split .* needs at least 2/);
  });
});
