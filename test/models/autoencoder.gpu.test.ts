import { afterEach, describe, expect, it } from 'vitest';
import { createDataset } from '../../src/data/dataset.ts';
import { ConfigError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { inputShape, outputShape } from '../../src/layers/kinds.ts';
import { sizeOf } from '../../src/layers/layer.ts';
import { FlatParameters } from '../../src/layers/parameters.ts';
import { autoencoder, planAutoencoder, recordAutoencoder } from '../../src/models/autoencoder.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { initializeParameters, modelLayout } from '../../src/models/model_parameters.ts';
import { planNetwork } from '../../src/models/plan.ts';
import { modelName } from '../../src/models/specs.ts';
import { Trainer } from '../../src/models/trainer.ts';
import type { TrainingConfig } from '../../src/models/training_config.ts';
import { Random } from '../../src/random.ts';
import { randomValues, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena;
afterEach(() => arena?.destroy());

describe('the layers of an autoencoder', () => {
  it.each([
    [32, 32, 1],
    [92, 112, 1],
    [17, 9, 3],
    [7, 5, 1],
  ] as const)(
    'images of %i x %i pixels and %i channels become a code, and images of that size again',
    (width, height, channels) => {
      arena = new Arena(device.gpu);
      const colour = channels === 3 ? { channels } : {};
      const { layers, decoder } = autoencoder({ kind: 'autoencoder', width, height, ...colour, filters: 4, code: 10 });
      const values = width * height * channels;
      expect(sizeOf(inputShape(layers[0]))).toBe(values);
      expect(outputShape(layers.at(-1)!)).toEqual({ height: 1, width: 1, channels: 10 });
      expect(outputShape(decoder.at(-1)!)).toEqual({ height: 1, width: 1, channels: values });
    },
  );
});

const SIZE = { width: 11, height: 10 } as const;
const SPEC = autoencoder({ kind: 'autoencoder', ...SIZE, filters: 4, code: 6 });
const BATCH = 5;

it('the gradients of a training step agree with finite differences of its loss', async () => {
  const { gpu } = device;
  arena = new Arena(gpu);
  const code = { noise: 0.3, penalty: 0.2 };
  const parameters = new FlatParameters(arena, 'parameters', modelLayout(SPEC));
  const gradients = new FlatParameters(arena, 'gradients', modelLayout(SPEC));
  await initializeParameters(gpu, parameters, 4);
  const images = arena.matrix('images', BATCH, SPEC.inputs);
  writeMatrix(
    gpu,
    images,
    randomValues(BATCH * SPEC.inputs, 1).map((value) => (value + 1) / 2),
  );
  const order = arena.allocate('order', BATCH * 4);
  gpu.write(order, Uint32Array.of(7, 3, 9, 1, 4));
  const results = arena.allocate('results', BATCH * 8);
  const planned = planAutoencoder(arena, SPEC, images, 2);
  const recorder = new Recorder(gpu);
  const step = { spec: SPEC, planned, images, order, results, parameters, gradients, code, seed: 2 };
  recordAutoencoder(recorder, arena, step);
  const program = await recorder.build('step');
  program.setStep({ draw: 3 });
  const codes = planned.encoder.values[SPEC.layers.length];
  const lossOf = async () => {
    program.run();
    const errors = (await gpu.readFloats(results)).filter((_, i) => i % 2 === 0).subarray(0, BATCH);
    const squares = (await gpu.readFloats(codes)).reduce((sum, value) => sum + value * value, 0);
    const error = errors.reduce((sum, value) => sum + value, 0) / BATCH;
    return error + (code.penalty * squares) / (BATCH * codes.columns);
  };
  const start = await gpu.readFloats(parameters.view);
  await lossOf();
  const gradient = await gpu.readFloats(gradients.view);
  const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
  // Along the gradient, and along signs that are 0 in pads and for parameters that are not learned.
  const signs = new Float32Array(gradient.length);
  for (const slice of modelLayout(SPEC).slices.filter(({ trainable }) => trainable !== false)) {
    const values = randomValues(
      slice.shape.reduce((a, b) => a * b, 1),
      slice.index,
    ).map(Math.sign);
    const bits = new Uint32Array(signs.buffer);
    modelLayout(SPEC).pack(slice, new Uint32Array(values.buffer), bits);
  }
  const length = Math.sqrt(signs.reduce((sum, value) => sum + value * value, 0));
  for (const direction of [gradient.map((value) => value / norm), signs.map((value) => value / length)]) {
    const h = 2e-3;
    const at = (side: number) => start.map((value, i) => value + side * h * direction[i]);
    gpu.write(parameters.view, at(1));
    const above = await lossOf();
    gpu.write(parameters.view, at(-1));
    const below = await lossOf();
    const expected = gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
    expect(Math.abs((above - below) / (2 * h) - expected)).toBeLessThan(0.01 * norm);
  }
});

/** Images that differ only in the brightness of their left and right halves. */
async function halves(count: number) {
  const images = new Uint8Array(count * SPEC.inputs);
  const random = new Random(6);
  for (let image = 0; image < count; image++) {
    const sides = [random.uniformInt(256), random.uniformInt(256)];
    for (let i = 0; i < SPEC.inputs; i++) images[image * SPEC.inputs + i] = sides[i % SIZE.width < 5 ? 0 : 1];
  }
  const labels = new Uint32Array(count);
  const ids = Array.from(labels, (_, i) => String(i));
  return createDataset({ name: 'halves', ...SIZE, classNames: ['all'], images, labels, ids });
}

describe('the training of an autoencoder', () => {
  const optimizer = { kind: 'adam', learningRate: 5e-3, betas: [0.9, 0.99], epsilon: 1e-8, amsgrad: false } as const;
  const code = { noise: 0.1, penalty: 1e-3 };
  const config: TrainingConfig = { epochs: 6, batchSize: 8, optimizer, dropLast: true, seed: 3, code };

  it('learns, and a training that was interrupted, stored and resumed has the bits of a whole one', async () => {
    arena = new Arena(device.gpu);
    const data = uploadDataset(arena, await halves(44));
    const all = Uint32Array.from({ length: 44 }, (_, i) => i);
    const whole = await Trainer.create(arena, SPEC, data, all, config);
    const losses: number[] = [];
    while (whole.epoch < whole.epochs) losses.push((await whole.trainEpoch()).loss);
    // The variance of these images, the error of their mean, is 0.08.
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]);
    const first = await Trainer.create(arena, SPEC, data, all, config);
    await first.trainEpoch();
    const bytes = writeCheckpoint({ spec: SPEC, state: await first.state(), metadata: {} });
    const { spec, state } = readCheckpoint(bytes, 'prior.safetensors', SPEC);
    const resumed = await Trainer.create(arena, spec, data, all, config, state);
    while (resumed.epoch < resumed.epochs) await resumed.trainEpoch();
    expect((await resumed.state()).parameters).toEqual((await whole.state()).parameters);
    for (const trainer of [whole, first, resumed]) trainer.finish();
  });

  it('needs the noise and the penalty of its codes', async () => {
    arena = new Arena(device.gpu);
    const data = uploadDataset(arena, await halves(8));
    const { code: _, ...without } = config;
    await expect(Trainer.create(arena, SPEC, data, Uint32Array.of(0, 1), without)).rejects.toThrow(ConfigError);
  });

  it('is planned with its decoder', () => {
    arena = new Arena(device.gpu);
    const { parameters, stepFlops, inferenceFlops } = planNetwork(SPEC, config);
    const slices = modelLayout(SPEC).slices.filter(({ trainable }) => trainable !== false);
    const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
    expect(parameters).toBe(slices.reduce((sum, { shape }) => sum + size(shape), 0));
    expect(stepFlops).toBeGreaterThan(4 * config.batchSize * inferenceFlops);
    expect(modelName(SPEC)).toBe('autoencoder 11x10, filters 4, code 6');
  });
});
