import { beforeAll, describe, expect, it } from 'vitest';
import type { AttackContext } from '../../src/attacks/attack.ts';
import { GenerativePrior } from '../../src/attacks/generative_prior.ts';
import { recordCostGradient } from '../../src/attacks/mi_face_gradient.ts';
import { seededSplit } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { type ExperimentOutcome, runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, type ProgressSink, SILENT } from '../../src/experiments/store.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { loadParameters, readCheckpoint } from '../../src/models/checkpoint.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { isUndefended } from '../../src/results/condition.ts';
import { decodePictures } from '../../src/results/pictures.ts';
import { caveatsOf } from '../../src/results/presentation.ts';
import { pictureFile } from '../../src/results/results.ts';
import { configuration } from '../support/experiment.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
const SIDE = 16;
const PEOPLE = 8;
const SIZE = { width: SIDE, height: SIDE, channels: 1 } as const;
const TRAINING = { steps: 200, batchSize: 16, learningRate: 3e-3 };
const ATTACK = { kind: 'generative', filters: 4, code: 16, training: TRAINING, candidates: 64 };
const [FOUND, DRAWN] = ['generative prior', 'generative prior, no victim'];

let data: ExperimentData;
beforeAll(async () => {
  const faces = { width: SIDE, height: SIDE, seed: 3 };
  const dataset = await renderFaces(device.gpu, {
    ...faces,
    identities: PEOPLE,
    photographs: 6,
    population: 'private',
  });
  const others = await renderFaces(device.gpu, { ...faces, identities: 60, photographs: 4, population: 'public' });
  data = experimentData(dataset, seededSplit(dataset, 4, 3), others);
});

function run(
  changes: object,
  of = data,
  store = new InMemoryRunStore(),
  progress: ProgressSink = SILENT,
): Promise<ExperimentOutcome> {
  const victim = {
    kind: 'mlp',
    hidden: [20],
    training: {
      epochs: 60,
      batchSize: 8,
      optimizer: { kind: 'sgd', learningRate: 0.05, momentum: 0.9, weightDecay: 5e-4 },
    },
  };
  const config = configuration('mlp', { victim, attacks: [ATTACK], evaluationBatch: 16, ...changes });
  return runExperiment(device.gpu, of, config, { store, progress, signal: new AbortController().signal });
}

describe('an attack with a generative prior', () => {
  const store = new InMemoryRunStore();
  let outcome: ExperimentOutcome;
  beforeAll(async () => {
    outcome = await run({ sweeps: [{ layers: 'all', rates: [2 ** -4] }], draws: 2 }, data, store);
  });
  const rowsOf = (name: string) => outcome.rows.filter(({ attack }) => attack === name);

  it('finds the people in a victim who knows them, where the prior alone draws strangers', () => {
    const [found, drawn] = [FOUND, DRAWN].map((name) => rowsOf(name).find(({ condition }) => isUndefended(condition))!);
    expect(found.accuracy).toBe(1);
    expect(found.rank1!).toBeGreaterThanOrEqual(6 / PEOPLE);
    expect(drawn.rank1!).toBeLessThanOrEqual(3 / PEOPLE);
    expect(found.liftMeanFree!).toBeGreaterThan(drawn.liftMeanFree! + 0.2);
    // 2 starts of 60 steps and 8 views each, and 64 candidates for 8 people.
    expect([found.queries, drawn.queries]).toEqual([2 * 68 + 8, 0]);
  });

  it('draws the same faces without the victim, whatever the memory does to it', () => {
    // Four faces per person, of which the first is stored.
    for (const { n } of rowsOf(DRAWN)) expect(n).toBe(4 * PEOPLE);
    const file = pictureFile(rowsOf(DRAWN)[0].condition, DRAWN);
    expect(decodePictures(store.files.get(file)!, file).images).toHaveLength(PEOPLE);
    const scores = rowsOf(DRAWN).map(({ perIdentity }) => perIdentity.pcc);
    expect(scores.length).toBeGreaterThan(2);
    for (const each of scores) expect(each).toEqual(scores[0]);
    const attacked = rowsOf(FOUND).map(({ pcc }) => pcc);
    expect(new Set(attacked).size).toBe(attacked.length);
  });

  it('says how well the prior reconstructs public faces of people whom it has not seen', () => {
    const [{ prior }, control] = outcome.presentation.attacks;
    expect(control.prior).toBeUndefined();
    // One of ten people.
    expect(prior!.faces).toBe(24);
    expect(prior!.explained).toBeGreaterThan(0.3);
    expect(prior!.explained).toBeLessThan(1);
    const percent = Math.round(100 * prior!.explained);
    expect(caveatsOf(outcome.presentation)).toContainEqual(
      expect.stringContaining(`explains ${percent} % of the variance of 24 public faces`),
    );
  });

  // The two draws of a linear victim are measured together.
  it('has the same bits when it is run again with the stored networks, and with one draw of memory at a time', async () => {
    const given = ['victim.safetensors', 'prior.safetensors'].map((file) => [file, store.files.get(file)!] as const);
    const pretrained = { ...data, pretrained: new Map(given) };
    const again = await run({ sweeps: [{ layers: 'all', rates: [2 ** -4] }], draws: 1 }, pretrained);
    const same = outcome.rows.filter(({ draw }) => draw === 0);
    expect(again.rows.map(({ perIdentity }) => perIdentity)).toEqual(same.map(({ perIdentity }) => perIdentity));
  });

  it('follows the gradient with respect to z: it agrees with finite differences of the cost', async () => {
    const { gpu } = device;
    const arena = new Arena(gpu);
    const stored = (file: string) => {
      const { spec, state } = readCheckpoint(store.files.get(file)!, file);
      return { spec, parameters: loadParameters(arena, { spec, parameters: state.parameters }) };
    };
    const { spec, parameters } = stored('victim.safetensors');
    const victim = stackVictim(spec.layers, plainWeights(parameters));
    const indices = Uint32Array.from(data.publicFaces!.labels.keys());
    const context = {
      ...SIZE,
      ...{
        gpu,
        arena,
        publicFaces: { data: uploadDataset(arena, data.publicFaces!), indices },
        seed: 5,
        batchSize: 16,
      },
      ...{ meanFace: data.meanFace, network: async () => stored('prior.safetensors').parameters },
    };
    const prior = await GenerativePrior.train(ATTACK, context as unknown as AttackContext);
    const rows = 2 * PEOPLE;
    const z = arena.matrix('z', rows, prior.size);
    const recorder = new Recorder(gpu);
    const { gradient, results } = recordCostGradient(recorder, arena, prior.before(victim), z, {
      cost: 'negativeLogConfidence',
      space: { width: prior.size, height: 1 },
      targets: Array.from({ length: rows }, (_, i) => i % PEOPLE),
    });
    const program = await recorder.build('cost');
    const start = randomValues(rows * prior.size, 8, 1.5);
    const costs = async (values: ArrayLike<number>) => {
      writeMatrix(gpu, z, values);
      program.run();
      return (await gpu.readFloats(results)).filter((_, i) => i % 2 === 0);
    };
    await costs(start);
    const analytic = await readMatrix(gpu, gradient);
    const direction = randomValues(rows * prior.size, 9);
    const h = 2e-3;
    const at = (side: number) => costs(start.map((value, i) => value + side * h * direction[i]));
    const [above, below] = [await at(1), await at(-1)];
    for (let row = 0; row < rows; row++) {
      const own = analytic.subarray(row * prior.size, (row + 1) * prior.size);
      const expected = own.reduce((sum, value, i) => sum + value * direction[row * prior.size + i], 0);
      const norm = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0));
      expect(norm).toBeGreaterThan(0.05);
      expect(Math.abs((above[row] - below[row]) / (2 * h) - expected)).toBeLessThan(0.02 * norm);
    }
    arena.destroy();
  });
});

describe('several attacks with a prior', () => {
  const short = { ...ATTACK, training: { ...TRAINING, steps: 1 }, iterations: 2, shift: 0, views: 1 };
  const again = { ...short, reads: 2, control: false };

  it('have one prior, which is trained once, and an attacker may read the weights several times', async () => {
    const labels: string[] = [];
    const progress = { ...SILENT, start: (label: string) => labels.push(label) };
    const config = { attacks: [short, again], sweeps: [{ layers: 'all', rates: [2 ** -4] }], draws: 1 };
    const { rows } = await run(config, data, new InMemoryRunStore(), progress);
    expect(labels.filter((label) => label === 'training the generative prior')).toHaveLength(1);
    const under = (kind: string) =>
      [FOUND, DRAWN, `${FOUND} 2 reads`].map(
        (name) => rows.find(({ attack, condition }) => attack === name && condition.kind === kind)!,
      );
    expect(under('bit-error').map(({ queries }) => queries)).toEqual([2 * 3 + 8, 0, 2 * 5 + 8]);
    expect(under('bit-error').map(({ reloads }) => reloads)).toEqual([undefined, undefined, 1]);
    const pccs = (kind: string) => under(kind).map(({ perIdentity }) => perIdentity.pcc);
    expect(pccs('bit-error')[2]).not.toEqual(pccs('bit-error')[0]);
    // Without faults, every read gives the same gradient.
    expect(pccs('none')[2]).toEqual(pccs('none')[0]);
  });

  it('are refused where they would train it differently', async () => {
    await expect(run({ attacks: [short, { ...again, code: 8 }] })).rejects.toThrow(
      'attacks: two attacks would train prior.safetensors differently; give them the same network and training',
    );
  });
});

it('an attacker without public faces is told what to give', async () => {
  const { publicFaces: _, ...without } = data;
  await expect(run({}, without)).rejects.toThrow(
    /^generative: this attack learns from other people’s faces; give --public/,
  );
});
