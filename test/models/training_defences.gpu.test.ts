import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ImageDataset, toFloat } from '../../src/data/dataset.ts';
import { ConfigError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { type ParameterLayout, positionOf } from '../../src/layers/parameters.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { Trainer, type TrainingState } from '../../src/models/trainer.ts';
import type { TrainingConfig } from '../../src/models/training_config.ts';
import { trainingPrivacy } from '../../src/models/training_privacy.ts';
import { yangClassifier } from '../../src/models/yang.ts';
import { Random } from '../../src/random.ts';
import { softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { sgd } from '../../src/reference/optimizer.ts';
import { clipGradient, noisyMean } from '../../src/reference/private_gradient.ts';
import { erase, erasedRectangle } from '../../src/reference/random.ts';
import { parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { readMatrix, useGpu } from '../support/gpu.ts';
import { SGD, TOY, toyDataset } from '../support/toy.ts';

const device = useGpu();
let dataset: ImageDataset;
beforeAll(async () => {
  dataset = await toyDataset();
});

let arenas: Arena[] = [];
afterEach(() => {
  for (const arena of arenas) arena.destroy();
  arenas = [];
});

/** 13 training images, in batches of 8 and 5. */
const TRAIN = Uint32Array.from({ length: 13 }, (_, i) => (i * 7) % 30);
const MLP: ModelSpec = modelSpec('mlp', TOY.pixels, TOY.classes, [6]);
const DAE = modelSpec('dae', TOY.pixels, TOY.classes, [7, 5]);
const OPTIMIZER = SGD.optimizer as Extract<TrainingConfig['optimizer'], { kind: 'sgd' }>;
const ERASING = { probability: 0.8, least: 0.1, most: 0.5 };
const PRIVACY = { clip: 0.5, noise: 0.6 };

async function trainer(
  config: TrainingConfig,
  { spec = MLP, state }: { spec?: ModelSpec; state?: TrainingState } = {},
) {
  const arena = new Arena(device.gpu);
  arenas.push(arena);
  return Trainer.create(arena, spec, uploadDataset(arena, dataset), TRAIN, config, state);
}

/** One flat array in a model's layout from values by tensor, zero in pads. */
function flatten(layout: ParameterLayout, values: ReadonlyMap<string, ArrayLike<number>>): Float64Array {
  const flat = new Float64Array(layout.length);
  for (const slice of layout.slices) {
    const own = values.get(slice.name)!;
    for (let i = 0; i < own.length; i++) flat[slice.offset + positionOf(slice, i)] = own[i];
  }
  return flat;
}

describe('training with a defence follows its float64 reference', () => {
  it.each<[string, Partial<TrainingConfig>]>([
    ['positive label smoothing', { labelSmoothing: 0.25 }],
    ['negative label smoothing', { labelSmoothing: -0.5 }],
    ['random erasing', { erasing: ERASING }],
    ['DP-SGD', { privacy: PRIVACY }],
    ['DP-SGD with the others', { privacy: PRIVACY, labelSmoothing: -0.5, erasing: ERASING }],
  ])('training by %s follows its float64 reference', async (_, defence) => {
    const config = { ...SGD, epochs: 2, ...defence };
    const run = await trainer(config);
    const { layers } = MLP;
    const { layout } = run.parameters;
    const parameters = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
    const learned = flatten(
      layout,
      new Map([...parameters].map(([name, { length }]) => [name, new Array(length).fill(1)])),
    );
    const velocity = new Map([...parameters].map(([name, values]) => [name, new Float64Array(values.length)]));
    const { erasing, privacy, labelSmoothing, batchSize, seed } = config;
    let step = 0;
    for (let epoch = 0; epoch < config.epochs; epoch++) {
      const order = new Random(seed, epoch).shuffle(Uint32Array.from(TRAIN));
      let [loss, correct] = [0, 0];
      const gradientsOf = (images: Uint32Array) => {
        const seen = toFloat(dataset, images);
        const input = erasing ? erase(seen, images, { ...erasing, ...TOY }, seed, epoch) : seen;
        const values = stackForward(layers, parameters, input, images.length);
        const targets = Array.from(images, (image) => dataset.labels[image]);
        const judged = softmaxCrossEntropy(values[layers.length], targets, TOY.classes, labelSmoothing);
        for (let i = 0; i < images.length; i++) {
          loss += judged.results[2 * i];
          correct += judged.results[2 * i + 1];
        }
        return stackBackward(layers, parameters, values, judged.gradient).parameters;
      };
      for (let at = 0; at < order.length; at += batchSize) {
        step++;
        const batch = order.subarray(at, at + batchSize);
        let gradients: ReadonlyMap<string, Float64Array>;
        if (privacy) {
          const sum = new Float64Array(layout.length);
          for (let i = 0; i < batch.length; i++) {
            const clipped = clipGradient(flatten(layout, gradientsOf(batch.subarray(i, i + 1))), privacy.clip);
            for (let j = 0; j < sum.length; j++) sum[j] += clipped[j];
          }
          const options = { deviation: privacy.noise * privacy.clip, examples: batchSize, seed };
          const flat = noisyMean(sum, learned, options, { iteration: step, draw: epoch });
          gradients = new Map(
            layout.slices.map((slice) => [
              slice.name,
              parameters.get(slice.name)!.map((__, i) => flat[slice.offset + positionOf(slice, i)]),
            ]),
          );
        } else gradients = gradientsOf(batch);
        const { learningRate, momentum, weightDecay } = OPTIMIZER;
        for (const [name, gradient] of gradients) {
          sgd(parameters.get(name)!, gradient, velocity.get(name)!, learningRate, { momentum, weightDecay });
        }
      }
      const result = await run.trainEpoch();
      expect(result).toMatchObject({ epoch: epoch + 1, phase: 'classify', accuracy: correct / order.length });
      expect(Math.abs(result.loss - loss / order.length)).toBeLessThan(1e-5);
    }
    const trained = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
    const tolerance = { relative: 2e-5, absolute: 4e-6 };
    for (const [name, values] of trained) expectAllclose(values, parameters.get(name)!, tolerance, name);
    // Noise must not reach the pads, from which products read zeros.
    for (const { name } of layout.slices) await readMatrix(device.gpu, run.parameters.matrix(name), name);
  });
});

describe('training by DP-SGD', () => {
  const config: TrainingConfig = { ...SGD, epochs: 2, privacy: PRIVACY };

  it('a training by DP-SGD that was interrupted and resumed has the bits of a whole one', async () => {
    const whole = await trainer(config);
    await whole.trainEpoch();
    const resumed = await trainer(config, { state: await whole.state() });
    await whole.trainEpoch();
    await resumed.trainEpoch();
    expect(await resumed.state()).toEqual(await whole.state());
  });

  it('DP-SGD adds noise in both phases of an autoencoder', async () => {
    const dae = { ...config, epochs: 1, reconstruction: { epochs: 1, deviation: 0.2, learningRate: 0.01 } };
    const [noisy, quiet] = [
      await trainer(dae, { spec: DAE }),
      await trainer({ ...dae, privacy: { ...PRIVACY, noise: 0 } }, { spec: DAE }),
    ];
    const different = async (name: string) => {
      const [a, b] = await Promise.all(
        [noisy, quiet].map(({ parameters }) => readMatrix(device.gpu, parameters.matrix(name))),
      );
      return a.filter((value, i) => value !== b[i]).length / a.length;
    };
    for (const run of [noisy, quiet]) await run.trainEpoch();
    expect(await different('fc1.weight')).toBeGreaterThan(0.99);
    expect(await different('fc3.weight')).toBe(0);
    for (const run of [noisy, quiet]) await run.trainEpoch();
    expect(await different('fc3.weight')).toBeGreaterThan(0.99);
  });

  it('DP-SGD refuses batch normalisation', async () => {
    const spec = yangClassifier({ kind: 'yang-classifier', size: 32, ndf: 2, classes: TOY.classes });
    const creating = trainer(config, { spec });
    await expect(creating).rejects.toThrow(ConfigError);
    await expect(creating).rejects.toThrow(/^defences\.dpSgd: \S+ is batch normalisation/);
  });

  it('the account of a training counts the steps of all its phases', () => {
    const dae = { ...config, reconstruction: { epochs: 3, deviation: 0.2, learningRate: 0.01 } };
    expect(trainingPrivacy(dae, DAE, 1e-5, 13)).toMatchObject({ steps: 10, rate: 8 / 13, delta: 1e-5, ...PRIVACY });
    expect(trainingPrivacy(dae, MLP, 1e-5, 13)).toMatchObject({ steps: 4 });
    expect(trainingPrivacy({ ...dae, batchSize: 100 }, MLP, 1e-5, 13)).toMatchObject({ steps: 2, rate: 1 });
    expect(trainingPrivacy(SGD, MLP, 1e-5, 13)).toBeUndefined();
  });
});

it('erased rectangles have the published shares and shapes, and another place in every epoch', () => {
  const options = { probability: 0.5, least: 0.02, most: 0.4, width: 92, height: 112 };
  const found = Array.from({ length: 2000 }, (_, image) => erasedRectangle(image, options, 3, 0));
  const areas = found.flatMap((area) => area ?? []).map(({ top, left, bottom, right }) => [bottom - top, right - left]);
  // Binomial with 2000 trials: four deviations are 90.
  expect(Math.abs(areas.length - 1000)).toBeLessThan(90);
  for (const [height, width] of areas) {
    const share = (height * width) / (92 * 112);
    // Sides are rounded to whole pixels.
    expect(share).toBeGreaterThan(0.02 * 0.9);
    expect(share).toBeLessThan(0.4 * 1.05);
    expect(height / width).toBeGreaterThan(0.3 * 0.9);
    expect(height / width).toBeLessThan((1 / 0.3) * 1.1);
  }
  const mean = areas.reduce((sum, [height, width]) => sum + (height * width) / (92 * 112), 0) / areas.length;
  // Uniform in 0.02..0.4, of which large ones fit a little less often.
  expect(Math.abs(mean - 0.21)).toBeLessThan(0.02);
  expect(erasedRectangle(5, { ...options, probability: 1 }, 3, 0)).not.toEqual(
    erasedRectangle(5, { ...options, probability: 1 }, 3, 1),
  );
});
