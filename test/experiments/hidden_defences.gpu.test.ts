import { describe, expect, it } from 'vitest';
import { labelsOf, seededSplit, toFloat } from '../../src/data/dataset.ts';
import { renderFaces } from '../../src/data/render_faces.ts';
import { runExperiment } from '../../src/experiments/experiment.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { InMemoryRunStore, SILENT } from '../../src/experiments/store.ts';
import { readCheckpoint } from '../../src/models/checkpoint.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import { gaussianKernel, hsic, labelKernel } from '../../src/reference/dependence.ts';
import { parametersOf, stackForward } from '../reference/model.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';

// The defences of hidden values against the same victim without them, over three victims of other people each. Their factors
// were chosen on these victims, so that the effect is large; nothing here says what they cost at equal accuracy.

const device = useGpu();
const SEEDS = [1, 2, 3];
const WIDTH = 16;

const optimizer = { kind: 'sgd', learningRate: 0.02, momentum: 0.9, weightDecay: 5e-4 };
const attacks = [{ kind: 'mi-face', start: 'training-mean', iterations: 40, step: 0.3, totalVariation: 0.1 }];
const { victim: untrained } = configuration('mlp-sigmoid');
const victim = { ...untrained, hidden: [WIDTH], training: { epochs: 150, batchSize: 20, optimizer } };

async function peopleOf(seed: number): Promise<ExperimentData> {
  const faces = { identities: 8, photographs: 8, width: 14, height: 16, seed };
  const dataset = await renderFaces(device.gpu, { ...faces, population: 'private' });
  const everybody = await renderFaces(device.gpu, { ...faces, population: 'public' });
  return experimentData(dataset, seededSplit(dataset, 5, seed), everybody);
}

interface Measured {
  readonly accuracy: number;
  /** What MI-Face finds: lift over wrong persons, without the mean face. */
  readonly lift: number;
  /** HSIC of the hidden values with the training photographs, and with their labels relative to that of each with itself. */
  readonly images: number;
  readonly labels: number;
}

async function measure(seed: number, defences: object): Promise<Measured> {
  const data = await peopleOf(seed);
  const store = new InMemoryRunStore();
  const config = configuration('mlp-sigmoid', { victim, sweeps: [], draws: 1, attacks, defences, seed });
  const context = { store, progress: SILENT, signal: new AbortController().signal };
  const [{ accuracy, liftMeanFree }] = (await runExperiment(device.gpu, data, config, context)).rows;
  const { spec, state } = readCheckpoint(store.files.get('victim.safetensors') as Uint8Array, 'victim');
  const { train } = data.split;
  const x = toFloat(data.dataset, train);
  const [, hidden] = stackForward(spec.layers, parametersOf(modelLayout(spec), state.parameters), x, train.length);
  const kernel = gaussianKernel(hidden, WIDTH);
  const classes = labelKernel(labelsOf(data.dataset, train));
  return {
    accuracy,
    lift: liftMeanFree!,
    images: hsic(gaussianKernel(x, x.length / train.length), kernel),
    labels: hsic(kernel, classes) / Math.sqrt(hsic(kernel, kernel) * hsic(classes, classes)),
  };
}

const measureAll = async (defences: object) => {
  const all: Measured[] = [];
  for (const seed of SEEDS) all.push(await measure(seed, defences));
  return all;
};
const mean = (all: readonly Measured[], key: keyof Measured) =>
  all.reduce((sum, each) => sum + each[key], 0) / all.length;

describe('victims that were trained with a defence of their hidden values', () => {
  let undefended: Measured[];

  it('victims without a defence tell of the photographs, and MI-Face finds their people', async () => {
    undefended = await measureAll({});
    expect(mean(undefended, 'accuracy')).toBeGreaterThan(0.9);
    expect(mean(undefended, 'lift')).toBeGreaterThan(0.5);
  });

  it('under BiDO hidden values depend less on the image, and MI-Face finds less', async () => {
    const defended = await measureAll({ bido: { input: 1e7, labels: 3e3 } });
    for (const [i, { images, lift }] of defended.entries()) {
      expect(images).toBeLessThan(0.5 * undefended[i].images);
      expect(lift).toBeLessThan(undefended[i].lift);
    }
    expect(mean(defended, 'labels')).toBeGreaterThan(mean(undefended, 'labels'));
    expect(mean(defended, 'lift')).toBeLessThan(0.9 * mean(undefended, 'lift'));
    expect(mean(defended, 'accuracy')).toBeGreaterThan(0.7);
  });

  it('under MID hidden values depend less on the image, and MI-Face finds less', async () => {
    const defended = await measureAll({ mid: 0.1 });
    for (const [i, { images, lift }] of defended.entries()) {
      expect(images).toBeLessThan(undefended[i].images);
      expect(lift).toBeLessThan(undefended[i].lift);
    }
    expect(mean(defended, 'lift')).toBeLessThan(0.9 * mean(undefended, 'lift'));
    expect(mean(defended, 'accuracy')).toBeGreaterThan(1 / 8);
  });
});
