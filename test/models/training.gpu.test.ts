import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ImageDataset } from '../../src/data/dataset.ts';
import { toFloat } from '../../src/data/dataset.ts';
import { ConfigError, DataError, MidasError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { fixedCodec, packCodes } from '../../src/memory/codec.ts';
import { fetchTensor, readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { fixedExponent } from '../../src/memory/fixed_point.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import type { ModelKind, ModelSpec } from '../../src/models/model_spec.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { Trainer, type TrainingState } from '../../src/models/trainer.ts';
import type { TrainingConfig } from '../../src/models/training_config.ts';
import { Random } from '../../src/random.ts';
import { mse, softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { type AdamState, adam, sgd } from '../../src/reference/optimizer.ts';
import { corrupt } from '../../src/reference/random.ts';
import { parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { useGpu } from '../support/gpu.ts';
import { uniformSampler } from '../support/memory.ts';
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

/** 22 training images, in batches of 8, 8 and 6. */
const TRAIN = Uint32Array.from({ length: 22 }, (_, i) => (i * 7) % 30);

/** Layers and batches of at most 8 units: every product takes the small tile, which compiles fast. */
const HIDDEN: Record<ModelKind, number[]> = { softmax: [], mlp: [6], 'mlp-sigmoid': [6], dae: [7, 5] };
const specOf = (kind: ModelKind): ModelSpec => modelSpec(kind, TOY.pixels, TOY.classes, HIDDEN[kind]);

const DAE: TrainingConfig = { ...SGD, epochs: 2, reconstruction: { epochs: 2, deviation: 0.2, learningRate: 0.01 } };

async function trainer(
  kind: ModelKind,
  config: TrainingConfig,
  state?: TrainingState,
  indices = TRAIN,
): Promise<Trainer> {
  const arena = new Arena(device.gpu);
  arenas.push(arena);
  return Trainer.create(arena, specOf(kind), uploadDataset(arena, dataset), indices, config, state);
}

/** Trains to the end. @returns the results of the epochs */
async function finish(run: Trainer) {
  const results = [];
  while (run.epoch < run.epochs) results.push(await run.trainEpoch());
  return results;
}

describe('training follows its float64 reference', () => {
  // f32 rounds every product and every step; errors of 1e-7 grow a little with each of the nine steps.
  const TOLERANCE = { relative: 2e-5, absolute: 2e-6 };

  it.each(['softmax', 'mlp', 'mlp-sigmoid'] as const)(
    'training a %s by SGD with momentum and weight decay follows its float64 reference',
    async (kind) => {
      const run = await trainer(kind, SGD);
      const { layers } = specOf(kind);
      const { layout } = run.parameters;
      const parameters = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
      const velocity = new Map([...parameters].map(([name, values]) => [name, new Float64Array(values.length)]));
      for (let epoch = 0; epoch < SGD.epochs; epoch++) {
        const order = new Random(SGD.seed, epoch).shuffle(Uint32Array.from(TRAIN));
        let [loss, correct] = [0, 0];
        for (let at = 0; at < order.length; at += SGD.batchSize) {
          const batch = order.subarray(at, at + SGD.batchSize);
          const values = stackForward(layers, parameters, toFloat(dataset, batch), batch.length);
          const targets = Array.from(batch, (image) => dataset.labels[image]);
          const judged = softmaxCrossEntropy(values[layers.length], targets, TOY.classes);
          for (let i = 0; i < batch.length; i++) {
            loss += judged.results[2 * i];
            correct += judged.results[2 * i + 1];
          }
          const gradients = stackBackward(layers, parameters, values, judged.gradient).parameters;
          const { momentum, weightDecay } = SGD.optimizer as Extract<TrainingConfig['optimizer'], { kind: 'sgd' }>;
          for (const [name, gradient] of gradients) {
            const [w, v] = [parameters.get(name)!, velocity.get(name)!];
            sgd(w, gradient, v, SGD.optimizer.learningRate, { momentum, weightDecay });
          }
        }
        const result = await run.trainEpoch();
        expect(result).toMatchObject({
          epoch: epoch + 1,
          epochs: 3,
          phase: 'classify',
          accuracy: correct / order.length,
        });
        expect(Math.abs(result.loss - loss / order.length)).toBeLessThan(1e-5);
      }
      const trained = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
      for (const [name, values] of trained) expectAllclose(values, parameters.get(name)!, TOLERANCE, name);
    },
  );

  it('training a DAE on corrupted images by Adam follows its float64 reference', async () => {
    const run = await trainer('dae', DAE);
    const spec = specOf('dae');
    const specs = [...spec.layers.slice(0, 2), ...spec.decoder];
    const { layout } = run.parameters;
    const parameters = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
    const before = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
    const states = new Map<string, AdamState>(
      [...parameters].map(([name, { length }]) => [
        name,
        { first: new Float64Array(length), second: new Float64Array(length) },
      ]),
    );
    let step = 0;
    for (let epoch = 0; epoch < 2; epoch++) {
      const order = new Random(DAE.seed, epoch).shuffle(Uint32Array.from(TRAIN));
      let loss = 0;
      for (let at = 0; at < order.length; at += DAE.batchSize) {
        step++;
        const batch = order.subarray(at, at + DAE.batchSize);
        const clean = toFloat(dataset, batch);
        const corrupted = corrupt(clean, batch, Math.fround(0.2), DAE.seed, epoch);
        const values = stackForward(specs, parameters, corrupted, batch.length);
        const judged = mse(values[specs.length], clean, TOY.pixels);
        for (let i = 0; i < batch.length; i++) loss += judged.results[2 * i];
        for (const [name, gradient] of stackBackward(specs, parameters, values, judged.gradient).parameters) {
          const options = { betas: [0.9, 0.999], epsilon: 1e-8 } as const;
          adam(parameters.get(name)!, gradient, states.get(name)!, 0.01, step, options);
        }
      }
      const result = await run.trainEpoch();
      expect(result).toMatchObject({ epoch: epoch + 1, epochs: 4, phase: 'reconstruct', accuracy: Number.NaN });
      expect(Math.abs(result.loss - loss / order.length)).toBeLessThan(1e-5);
    }
    const trained = parametersOf(layout, await device.gpu.readWords(run.parameters.view));
    // Adam divides by the root of the second moment, so the rounding error of a gradient near zero counts in full.
    const tolerance = { relative: 1e-3, absolute: 1e-4 };
    for (const [name, values] of trained) expectAllclose(values, parameters.get(name)!, tolerance, name);
    // The classifier on top is trained only in the next phase.
    for (const name of ['fc3.weight', 'fc3.bias']) expect(trained.get(name)).toEqual(before.get(name));
  });
});

describe('training is reproducible bit for bit', () => {
  it.each([
    ['mlp', SGD],
    ['mlp', ADAM],
    ['dae', DAE],
  ] as const)('two runs of a %s with the same seed have the same bits: case %#', async (kind, config) => {
    const [first, second] = [await trainer(kind, config), await trainer(kind, config)];
    const results = await finish(first);
    expect(await finish(second)).toEqual(results);
    expect(await second.state()).toEqual(await first.state());
    const other = await trainer(kind, { ...config, seed: 4 });
    await finish(other);
    expect((await other.state()).parameters).not.toEqual((await first.state()).parameters);
  });

  it.each([
    ['mlp', SGD, 1],
    ['mlp', ADAM, 2],
    ['dae', DAE, 1],
    ['dae', DAE, 2],
    ['dae', DAE, 3],
    ['dae', { ...DAE, optimizer: ADAM.optimizer }, 3],
  ] as const)(
    'a run of a %s that was interrupted and resumed has the bits of a whole run: case %#',
    async (kind, config, stop) => {
      const whole = await trainer(kind, config);
      const results = await finish(whole);
      const first = await trainer(kind, config);
      for (let epoch = 0; epoch < stop; epoch++) await first.trainEpoch();
      const state = await first.state();
      expect(state.epoch).toBe(stop);
      const second = await trainer(kind, config, state);
      // A resumed trainer can save its state before it has trained anything.
      expect(await second.state()).toEqual(state);
      expect(await finish(second)).toEqual(results.slice(stop));
      expect(await second.state()).toEqual(await whole.state());
    },
  );

  it('the training state can be read at any time without disturbing the training', async () => {
    const [plain, watched] = [await trainer('mlp', SGD), await trainer('mlp', SGD)];
    await watched.state();
    await watched.trainEpoch();
    await watched.state();
    await finish(plain);
    await finish(watched);
    expect(await watched.state()).toEqual(await plain.state());
  });
});

it('a classifier learns the toy set', async () => {
  const run = await trainer('mlp', { ...SGD, epochs: 25 });
  const results = await finish(run);
  expect(results[24].loss).toBeLessThan(0.3 * results[0].loss);
  expect(results[24].accuracy).toBe(1);
  expect(run.plan).toMatch(/^arena \d+\.\d MB, \d+ buffers$/);
  run.finish();
  expect(run.plan).toBe('arena not planned yet');
});

it('a DAE keeps its encoder and decoder, bit for bit, while its classifier is trained', async () => {
  const run = await trainer('dae', DAE);
  await run.trainEpoch();
  await run.trainEpoch();
  const before = await device.gpu.readWords(run.parameters.view);
  const results = await finish(run);
  expect(results.map(({ phase }) => phase)).toEqual(['classify', 'classify']);
  const after = await device.gpu.readWords(run.parameters.view);
  for (const slice of run.parameters.layout.slices) {
    const [was, is] = [before, after].map((words) => String(run.parameters.layout.unpack(slice, words)));
    expect(was === is, slice.name).toBe(slice.layer !== 'fc3');
  }
});

it('pads of parameters stay zero through training', async () => {
  const run = await trainer('mlp-sigmoid', SGD);
  await finish(run);
  const { layout } = run.parameters;
  const words = await device.gpu.readWords(run.parameters.view);
  const logical = new Uint32Array(words.length);
  for (const slice of layout.slices) layout.pack(slice, layout.unpack(slice, words), logical);
  expect(words).toEqual(logical);
});

describe('errors raised by training', () => {
  it('training refuses an invalid configuration', async () => {
    await expect(trainer('mlp', { ...SGD, epochs: 0 })).rejects.toThrow(ConfigError);
    await expect(trainer('mlp', { ...SGD, epochs: 1.5 })).rejects.toThrow(/epochs: 1\.5/);
    await expect(trainer('mlp', { ...SGD, batchSize: 0 })).rejects.toThrow(/batchSize: 0/);
    await expect(trainer('dae', SGD)).rejects.toThrow(/reconstruction: a DAE needs/);
    const done = await trainer('softmax', { ...SGD, epochs: 1 });
    await done.trainEpoch();
    await expect(done.trainEpoch()).rejects.toThrow(/all 1 epochs are done/);
  });

  it('training refuses an empty split', async () => {
    await expect(trainer('mlp', SGD, undefined, new Uint32Array(0))).rejects.toThrow(DataError);
  });

  it('training refuses a state of another model or optimiser', async () => {
    const run = await trainer('mlp', SGD);
    await run.trainEpoch();
    const state = await run.state();
    const short = { ...state, parameters: state.parameters.slice(1) };
    await expect(trainer('mlp', SGD, short)).rejects.toThrow(DataError);
    await expect(trainer('mlp', SGD, short)).rejects.toThrow(
      `the checkpoint has ${modelLayout(specOf('mlp')).length - 1} parameters, this model ${modelLayout(specOf('mlp')).length}`,
    );
    // The momentum of SGD is not a state of Adam, and a part of it is not a state of SGD.
    const asAdam = await trainer('mlp', ADAM, state);
    await expect(asAdam.trainEpoch()).rejects.toThrow(/the checkpoint has another optimiser state/);
    const half = { ...state, optimizer: [state.optimizer[0].slice(16)] };
    await expect((await trainer('mlp', SGD, half)).trainEpoch()).rejects.toThrow(DataError);
  });

  it('training that diverges ends with an error', async () => {
    const optimizer = { ...SGD.optimizer, learningRate: 1e30 };
    const run = await trainer('mlp', { ...SGD, optimizer });
    await expect(finish(run)).rejects.toThrow(MidasError);
    await expect(finish(run)).rejects.toThrow(
      /training diverged in epoch \d+: the loss is .*; use a lower learning rate/,
    );
  });
});

describe('training for a memory with errors', () => {
  const format = { kind: 'fixed', bits: 8, exponent: 'per-tensor', headroom: 0, encoding: 'corrected' } as const;
  const ONE_BATCH: TrainingConfig = { ...SGD, batchSize: 22, epochs: 4 };

  it('a step uses the weights that the reference fetches, and its gradient changes the exact weights', async () => {
    const errors = { format, bitErrorRate: 0.04, rampEpochs: 3 };
    const run = await trainer('mlp', { ...ONE_BATCH, errors });
    const { layers } = specOf('mlp');
    const { layout } = run.parameters;
    const read = async () => parametersOf(layout, await device.gpu.readWords(run.parameters.view));
    const zeros = [...(await read())].map(([name, values]) => [name, new Float64Array(values.length)] as const);
    const velocity = new Map(zeros);
    const optimizer = SGD.optimizer as Extract<TrainingConfig['optimizer'], { kind: 'sgd' }>;
    for (let epoch = 0; epoch < ONE_BATCH.epochs; epoch++) {
      const exact = await read();
      const words = await device.gpu.readWords(run.parameters.view);
      const rate = 0.04 * Math.min(1, (epoch + 1) / 3);
      const noisy = new Uint32Array(words.length);
      for (const { index, rows, columns, stride, offset } of layout.slices) {
        const values = new Float32Array(words.buffer, offset * 4, rows * stride);
        const exponent = fixedExponent(Math.max(...values.map(Math.abs)), 8, 0, 'corrected');
        const codec = fixedCodec(8, exponent, 'corrected');
        const codes = Array.from(values, (value) => codec.encode(value, 0));
        const image = { words: packCodes(codes, 8), rows, columns, stride, codec };
        const key = readKey(tensorKey(SGD.seed, 2 ** 31 + epoch, index), 0);
        noisy.set(fetchTensor(image, uniformSampler(8, key, rate)), offset);
      }
      const fetched = parametersOf(layout, noisy);
      const batch = new Random(SGD.seed, epoch).shuffle(Uint32Array.from(TRAIN));
      const values = stackForward(layers, fetched, toFloat(dataset, batch), batch.length);
      const targets = Array.from(batch, (image) => dataset.labels[image]);
      const judged = softmaxCrossEntropy(values[layers.length], targets, TOY.classes);
      const gradients = stackBackward(layers, fetched, values, judged.gradient).parameters;
      for (const [name, weights] of exact) {
        sgd(weights, gradients.get(name)!, velocity.get(name)!, optimizer.learningRate, optimizer);
      }
      await run.trainEpoch();
      for (const [name, weights] of await read()) {
        expectAllclose(Float32Array.from(weights), exact.get(name)!, { relative: 2e-5, absolute: 2e-6 }, name);
      }
    }
  });

  it('memory errors change the training, and a resumed run has the same errors', async () => {
    const errors = { format, bitErrorRate: 0.1, rampEpochs: 0 };
    const config = { ...SGD, epochs: 3, errors };
    const whole = await trainer('mlp', config);
    await finish(whole);
    const first = await trainer('mlp', config);
    await first.trainEpoch();
    const resumed = await trainer('mlp', config, await first.state());
    await finish(resumed);
    const words = async (run: Trainer) => [...(await run.state()).parameters];
    expect(await words(resumed)).toEqual(await words(whole));
    const exact = await trainer('mlp', { ...SGD, epochs: 3 });
    await finish(exact);
    expect(await words(exact)).not.toEqual(await words(whole));
    const free = await trainer('mlp', { ...config, errors: { ...errors, bitErrorRate: 0 } });
    await finish(free);
    expect(await words(free)).not.toEqual(await words(whole));
  });

  it('clipped weights stay within the bound, and some reach it', async () => {
    const run = await trainer('mlp', { ...SGD, weightClip: 0.05 });
    await finish(run);
    const values = await device.gpu.readFloats(run.parameters.view);
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(largest).toBe(Math.fround(0.05));
  });

  it('errors in a layer that does not exist are refused', async () => {
    const errors = { format, bitErrorRate: 0.1, rampEpochs: 0, layers: ['conv9'] };
    await expect(trainer('mlp', { ...SGD, errors })).rejects.toThrow(/^training\.errors\.layers\.conv9: no such layer/);
  });
});
