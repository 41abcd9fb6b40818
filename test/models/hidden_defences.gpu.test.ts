import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ImageDataset, toFloat } from '../../src/data/dataset.ts';
import { ConfigError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import type { DenseSpec } from '../../src/layers/dense.ts';
import { hiddenLayers } from '../../src/layers/graph.ts';
import { withBottleneck } from '../../src/models/bottleneck.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import { networkLayers } from '../../src/models/network.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { Trainer, type TrainingState } from '../../src/models/trainer.ts';
import type { TrainingConfig } from '../../src/models/training_config.ts';
import { yangClassifier } from '../../src/models/yang.ts';
import { Random } from '../../src/random.ts';
import {
  bottleneckBackward,
  bottleneckForward,
  bottleneckInformation,
  bottleneckNoise,
} from '../../src/reference/bottleneck.ts';
import { dependenceGradient, dependenceWeights, gaussianKernel, labelKernel } from '../../src/reference/dependence.ts';
import { softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { sgd } from '../../src/reference/optimizer.ts';
import { type Parameters, parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { useGpu } from '../support/gpu.ts';
import { ADAM, SGD, TOY, toyDataset } from '../support/toy.ts';

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

/** 22 training images in batches of 8, 8 and 6, and 17 in batches of 8, 8 and 1. */
const TRAIN = Uint32Array.from({ length: 22 }, (_, i) => (i * 7) % 30);
const WIDTH = 6;
const SPEC = modelSpec('mlp-sigmoid', TOY.pixels, TOY.classes, [WIDTH]);
const DEPENDENCE = { input: 3e6, labels: 2e3 };
const BETA = 0.2;

async function trainer(config: TrainingConfig, state?: TrainingState, indices = TRAIN, spec: ModelSpec = SPEC) {
  const arena = new Arena(device.gpu);
  arenas.push(arena);
  return Trainer.create(arena, spec, uploadDataset(arena, dataset), indices, config, state);
}

async function parametersAfter(run: Trainer, epochs = run.epochs): Promise<Uint32Array> {
  while (run.epoch < epochs) await run.trainEpoch();
  return device.gpu.readWords(run.parameters.view);
}

/** The gradients of one step, by name, and the cross-entropy of its images together. */
interface Step {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, Float64Array>;
}

/** Trains by SGD in float64 and compares the parameters with those of the device. @param step computes one batch */
async function expectReference(
  config: TrainingConfig,
  indices: Uint32Array<ArrayBuffer>,
  added: Readonly<Record<string, number>>,
  step: (parameters: Parameters, x: Float32Array, targets: readonly number[], iteration: number) => Step,
): Promise<void> {
  const run = await trainer(config, undefined, indices);
  const { layout } = run.parameters;
  const parameters = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
  for (const [name, length] of Object.entries(added)) parameters.set(name, new Float64Array(length));
  const velocity = new Map([...parameters].map(([name, { length }]) => [name, new Float64Array(length)]));
  let iteration = 0;
  for (let epoch = 0; epoch < config.epochs; epoch++) {
    const order = new Random(config.seed, epoch).shuffle(Uint32Array.from(indices));
    let sum = 0;
    for (let at = 0; at < order.length; at += config.batchSize) {
      const batch = order.subarray(at, at + config.batchSize);
      const targets = Array.from(batch, (image) => dataset.labels[image]);
      const { loss, gradients } = step(parameters, toFloat(dataset, batch), targets, ++iteration);
      sum += loss;
      const { momentum, weightDecay } = SGD.optimizer as Extract<TrainingConfig['optimizer'], { kind: 'sgd' }>;
      for (const [name, gradient] of gradients) {
        const [w, v] = [parameters.get(name)!, velocity.get(name)!];
        sgd(w, gradient, v, config.optimizer.learningRate, { momentum, weightDecay });
      }
    }
    expect(Math.abs((await run.trainEpoch()).loss - sum / order.length)).toBeLessThan(2e-5);
  }
  const trained = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
  for (const [name, values] of trained) {
    expectAllclose(values, parameters.get(name)!, { relative: 5e-5, absolute: 5e-6 }, name);
  }
}

const [FIRST, SECOND] = SPEC.layers;
const sumOf = ({ results }: { results: ArrayLike<number> }, rows: number) =>
  Array.from({ length: rows }, (_, i) => results[2 * i]).reduce((sum, loss) => sum + loss, 0);

describe('training with a penalty on what hidden values tell (BiDO)', () => {
  it.each([22, 17])(
    'the training of %i images follows its float64 reference, also in a batch of fewer images',
    async (count) => {
      const indices = TRAIN.subarray(0, count);
      await expectReference({ ...SGD, dependence: DEPENDENCE }, indices, {}, (parameters, x, targets) => {
        const rows = targets.length;
        const values = stackForward(SPEC.layers, parameters, x, rows);
        const judged = softmaxCrossEntropy(values[2], targets, TOY.classes);
        const second = stackBackward([SECOND], parameters, values.slice(1), judged.gradient);
        let hidden = second.input;
        if (rows > 1) {
          const equal = labelKernel(targets);
          const target = gaussianKernel(x, TOY.pixels).map(
            (value, i) => DEPENDENCE.input * (value - 1) - DEPENDENCE.labels * equal[i],
          );
          const added = dependenceGradient(dependenceWeights(target, values[1], WIDTH), values[1], WIDTH);
          // The penalty must count as much as the cross-entropy, or the test would say nothing of it.
          const norm = (all: Float64Array) => Math.hypot(...all);
          expect(norm(added)).toBeGreaterThan(0.1 * norm(hidden));
          hidden = hidden.map((value, i) => value + added[i]);
        }
        const first = stackBackward([FIRST], parameters, values, hidden);
        const gradients = new Map([...first.parameters, ...second.parameters]);
        return { loss: sumOf(judged, rows), gradients };
      });
    },
  );

  it('hidden values are what dense layers and convolutions read, after pooling and activations', () => {
    expect(hiddenLayers(SPEC.layers)).toEqual(['fc1']);
    expect(hiddenLayers(modelSpec('softmax', 9, 3).layers)).toEqual([]);
    const yang = yangClassifier({ kind: 'yang-classifier', size: 32, ndf: 2, classes: 3 }).layers;
    const hidden = hiddenLayers(yang);
    expect(hidden).toHaveLength(5);
    for (const name of hidden) expect(yang.find((layer) => layer.name === name)?.kind).not.toMatch(/conv2d|batch_norm/);
    // The normalisation of the input does not depend on parameters; a layer that two layers read is listed once.
    const layers = networkLayers({
      kind: 'network',
      input: { height: 4, width: 6, channels: 1, mean: [0.5] },
      layers: [
        { kind: 'conv2d', name: 'a', channels: 2, kernelSize: 3, padding: 1 },
        { kind: 'relu', name: 'b' },
        { kind: 'conv2d', name: 'c', channels: 2, kernelSize: 3, padding: 1 },
        { kind: 'conv2d', name: 'd', channels: 2, kernelSize: 3, padding: 1, inputs: ['b'] },
        { kind: 'add', name: 'e', inputs: ['c', 'd'] },
        { kind: 'global_avg_pool', name: 'f' },
        { kind: 'dense', name: 'g', outputs: TOY.classes },
      ],
    });
    expect(hiddenLayers(layers)).toEqual([layers[layers.findIndex(({ name }) => name === 'c') - 1].name, 'f']);
  });

  it('a network without hidden values, and one whose hidden values stay as they are, are refused', async () => {
    const dae = { ...SGD, reconstruction: { epochs: 1, deviation: 0.2, learningRate: 0.01 } };
    for (const [config, words] of [
      [{ dependence: DEPENDENCE }, /defences\.bido: this network has no hidden values/],
      [{ bottleneck: BETA }, /defences\.mid: a bottleneck needs a dense layer/],
    ] as const) {
      const softmax = trainer({ ...SGD, ...config }, undefined, TRAIN, modelSpec('softmax', TOY.pixels, TOY.classes));
      await expect(softmax).rejects.toThrow(ConfigError);
      await expect(softmax).rejects.toThrow(words);
      const code = modelSpec('dae', TOY.pixels, TOY.classes, [7, 5]);
      await expect(trainer({ ...dae, ...config }, undefined, TRAIN, code)).rejects.toThrow(words);
    }
  });
});

describe('training with a bottleneck before the last layer (MID)', () => {
  it('the training follows its float64 reference, and the network has no other parameters', async () => {
    const layers = withBottleneck(SPEC.layers, BETA);
    const deviation = layers[1] as DenseSpec;
    const sizes = { 'fc2 deviation.weight': WIDTH ** 2, 'fc2 deviation.bias': WIDTH };
    await expectReference({ ...SGD, bottleneck: BETA }, TRAIN, sizes, (parameters, x, targets, iteration) => {
      const rows = targets.length;
      const [, mean] = stackForward([FIRST], parameters, x, rows);
      const [, raw] = stackForward([deviation], parameters, mean, rows);
      const noise = bottleneckNoise(rows, WIDTH, SGD.seed, iteration);
      const z = bottleneckForward(mean, raw, noise);
      const [, logits] = stackForward([SECOND], parameters, z, rows);
      const judged = softmaxCrossEntropy(logits, targets, TOY.classes);
      const last = stackBackward([SECOND], parameters, [z, logits], judged.gradient);
      const inner = bottleneckBackward(mean, raw, noise, last.input, { rows, beta: BETA });
      const branch = stackBackward([deviation], parameters, [mean, raw], inner.raw);
      const first = stackBackward(
        [FIRST],
        parameters,
        [Float64Array.from(x), mean],
        inner.mean.map((value, i) => value + branch.input[i]),
      );
      const gradients = new Map([...first.parameters, ...branch.parameters, ...last.parameters]);
      return { loss: sumOf(judged, rows), gradients };
    });
  });

  it('the layers of a bottleneck come before the last dense layer, and those after it stay', () => {
    const layers = withBottleneck(modelSpec('mlp', 9, 3, [4]).layers, 1);
    expect(layers.map(({ name }) => name)).toEqual(['fc1', 'fc2 deviation', 'fc2 bottleneck', 'fc2']);
    const yang = yangClassifier({ kind: 'yang-classifier', size: 32, ndf: 2, classes: 3 }).layers;
    const dropout = yang.find(({ kind }) => kind === 'dropout')!;
    expect(withBottleneck(yang, 1).find(({ kind }) => kind === 'bottleneck')?.from?.[0]).toBe(dropout.name);
    const convolution = networkLayers({
      kind: 'network',
      input: { height: 4, width: 6, channels: 1 },
      layers: [
        { kind: 'conv2d', name: 'a', channels: 2, kernelSize: 3 },
        { kind: 'conv2d', name: 'b', channels: 3, kernelSize: 2 },
        { kind: 'global_avg_pool', name: 'c' },
      ],
    });
    expect(() => withBottleneck(convolution, 1)).toThrow(ConfigError);
  });

  it('a stronger bottleneck lets less information through', async () => {
    const informations = [];
    for (const beta of [0.003, 0.03, 0.3]) {
      const config = { ...SGD, epochs: 30, bottleneck: beta };
      const run = await trainer(config);
      const words = await parametersAfter(run, 29);
      const { optimizer } = await run.state();
      const parameters = parametersOf(run.parameters.layout, words);
      // The last buffer of the state holds the parameters of the deviation, padded to rows of 16.
      const added = new Float32Array(optimizer[optimizer.length - 1].buffer);
      const weight = Array.from({ length: WIDTH ** 2 }, (_, i) => added[16 * Math.floor(i / WIDTH) + (i % WIDTH)]);
      parameters.set('deviation.weight', Float64Array.from(weight));
      parameters.set('deviation.bias', Float64Array.from(added.subarray(128, 128 + WIDTH)));
      const [, mean] = stackForward([FIRST], parameters, toFloat(dataset, TRAIN), TRAIN.length);
      const deviation: DenseSpec = { ...SECOND, name: 'deviation', inputs: WIDTH, outputs: WIDTH } as DenseSpec;
      const [, raw] = stackForward([deviation], parameters, mean, TRAIN.length);
      informations.push(bottleneckInformation(mean, raw, TRAIN.length));
    }
    expect(informations[1]).toBeLessThan(0.8 * informations[0]);
    expect(informations[2]).toBeLessThan(0.8 * informations[1]);
  });
});

describe('training with both defences of hidden values', () => {
  const BOTH = { dependence: DEPENDENCE, bottleneck: BETA };

  it.each([
    ['SGD', SGD],
    ['Adam', ADAM],
  ] as const)('a training by %s that was resumed gives the same bits as one that was not', async (_, base) => {
    const config: TrainingConfig = { ...base, ...BOTH };
    const whole = await parametersAfter(await trainer(config));
    const first = await trainer(config);
    await first.trainEpoch();
    const resumed = await parametersAfter(await trainer(config, await first.state()));
    expect(resumed).toEqual(whole);
    expect(await parametersAfter(await trainer(base))).not.toEqual(whole);
  });

  it('the gradients of a network with a sum are the derivative of its loss with both defences', async () => {
    // The sum shares its gradient with one of its inputs, and both are hidden values.
    const layers = networkLayers({
      kind: 'network',
      input: { height: 1, width: 1, channels: TOY.pixels },
      layers: [
        { kind: 'dense', name: 'a', outputs: 4 },
        { kind: 'tanh', name: 'b' },
        { kind: 'dense', name: 'c', outputs: 4 },
        { kind: 'add', name: 'd', inputs: ['b', 'c'] },
        { kind: 'dense', name: 'e', outputs: TOY.classes },
      ],
    });
    const spec: ModelSpec = { ...SPEC, layers };
    const rows = TRAIN.length;
    const step = { kind: 'sgd', learningRate: 1, momentum: 0, weightDecay: 0 } as const;
    const run = await trainer({ ...SGD, ...BOTH, epochs: 1, batchSize: rows, optimizer: step }, undefined, TRAIN, spec);
    const { layout } = run.parameters;
    const parameters = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
    const after = parametersOf(layout, await parametersAfter(run));

    const order = new Random(SGD.seed, 0).shuffle(Uint32Array.from(TRAIN));
    const x = toFloat(dataset, order);
    const targets = Array.from(order, (image) => dataset.labels[image]);
    const equal = labelKernel(targets);
    const target = gaussianKernel(x, TOY.pixels).map(
      (value, i) => DEPENDENCE.input * (value - 1) - DEPENDENCE.labels * equal[i],
    );
    const noise = bottleneckNoise(rows, 4, SGD.seed, 1);
    const dense = layers.filter((layer): layer is DenseSpec => layer.kind === 'dense');
    const loss = () => {
      const [, first] = stackForward([dense[0]], parameters, x, rows);
      const [, second] = stackForward([dense[1]], parameters, first, rows);
      const sum = first.map((value, i) => value + second[i]);
      const raw = new Float64Array(sum.length);
      const [, logits] = stackForward([dense[2]], parameters, bottleneckForward(sum, raw, noise), rows);
      const penalties = [first, sum].map((hidden) => dependenceWeights(target, hidden, 4).reduce((a, b) => a + b, 0));
      const judged = sumOf(softmaxCrossEntropy(logits, targets, TOY.classes), rows) / rows;
      return judged + penalties[0] + penalties[1] + BETA * bottleneckInformation(sum, raw, rows);
    };
    for (const [name, values] of parameters) {
      const slopes = Float64Array.from(values, (before, i) => {
        values[i] = before + 1e-5;
        const above = loss();
        values[i] = before - 1e-5;
        const slope = (above - loss()) / 2e-5;
        values[i] = before;
        return slope;
      });
      const steps = values.map((before, i) => before - after.get(name)![i]);
      expectAllclose(steps, slopes, { relative: 1e-4, absolute: 2e-6 }, name);
    }
  });
});
