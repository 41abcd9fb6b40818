import { afterEach, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import type { DenseSpec } from '../../src/layers/dense.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { fitRescaling, IntegerNetwork, inputBytes } from '../../src/models/integer_network.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { rescaled } from '../../src/reference/integer_product.ts';
import { integerLogits } from '../../src/verify/memory/integer.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena;
afterEach(() => arena?.destroy());

const dense = (name: string, inputs: number, outputs: number, activation: DenseSpec['activation']): DenseSpec => ({
  ...{ kind: 'dense', name, inputs, outputs, activation },
});
const LAYERS = [dense('fc1', 50, 30, 'relu'), dense('fc2', 30, 20, 'none'), dense('fc3', 20, 7, 'none')];

/** A network of random weights in memory. @param format of all layers */
async function stored(layers: readonly DenseSpec[], format: object) {
  arena = new Arena(device.gpu);
  const parameters = new FlatParameters(arena, 'parameters', new ParameterLayout(layerParameters(layers)));
  for (const [i, { name, rows, columns }] of parameters.layout.slices.entries()) {
    writeMatrix(
      device.gpu,
      parameters.matrix(name),
      randomValues(rows * columns, i + 1, name.endsWith('bias') ? 0.5 : 0.2),
    );
  }
  const memory = await ApproximateMemory.store(arena, parameters);
  const layer = { kind: 'stored', format };
  await memory.configure(
    parseMemoryConfig(
      { layers: { '*': layer } },
      layers.map(({ name }) => name),
    ),
  );
  await memory.load(0);
  return { memory, parameters };
}

it('a million logits of a network of integers under errors have the same SHA-256 on every adapter', async () => {
  expect(await integerLogits(device.gpu)).toEqual({
    count: 1_000_000,
    differences: 0,
    hash: 'b418f10970d1427bc272183a0fc5d8011b4e87c1b73d5e3a932183ae9ae31e92',
  });
}, 240_000);

it('a network of integers answers as the network in floating point does, within the steps of its bytes', async () => {
  const { memory, parameters } = await stored(LAYERS, { kind: 'int8', scale: 'per-tensor' });
  const values = randomValues(40 * 50, 9);
  const images = inputBytes(values);
  const network = await IntegerNetwork.fit(device.gpu, memory, LAYERS, images);
  const pass = await network.forImages(images);
  const logits = await pass.logits();
  pass.destroy();
  const x = arena.matrix('x', 40, 50);
  writeMatrix(device.gpu, x, values);
  const run = stackVictim(LAYERS, plainWeights(parameters)).plan(arena, x, false);
  const recorder = new Recorder(device.gpu);
  run.recordForward(recorder);
  (await recorder.build('forward')).run();
  const expected = await readMatrix(device.gpu, run.logits);
  // Both are proportional: their correlation is that of bytes with numbers, which rounding to 1/127 leaves above 0.999.
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);
  expect(dot(logits, expected) / Math.sqrt(dot(logits, logits) * dot(expected, expected))).toBeGreaterThan(0.999);
});

describe('the rescaling of sums', () => {
  it.each([100, 508, 5000, 123_456, 2 ** 27, 2 ** 30])('a rescaling makes %d a byte of at most 127', (largest) => {
    const rescaling = fitRescaling(largest, false);
    expect(rescaling.multiplier).toBeLessThan(2 ** 16);
    const [high, low, over] = rescaled(Int32Array.of(largest, -largest, Math.min(2 * largest, 2 ** 30)), rescaling);
    expect(high).toBeGreaterThanOrEqual(largest < 508 ? 25 : 126);
    expect(low).toBe(-high);
    expect(over).toBeGreaterThanOrEqual(high);
  });

  it('a rescaling with a ReLU has no negative bytes', () => {
    expect([...rescaled(Int32Array.of(-5000, 5000), fitRescaling(5000, true))]).toEqual([0, 127]);
  });
});

describe('networks that cannot be computed in integers', () => {
  const images = new Int8Array(50);
  it.each([
    ['fixed point', LAYERS, { kind: 'fixed' }, /layer fc1: a network of integers needs it stored as int8/],
    ['a scale for each row', LAYERS, { kind: 'int8', scale: 'per-channel' }, /with one scale for each tensor/],
    ['a sigmoid', [dense('fc1', 50, 30, 'sigmoid'), LAYERS[1]], { kind: 'int8' }, /layer fc1: activation sigmoid/],
    ['a ReLU at the end', [dense('fc1', 50, 7, 'relu')], { kind: 'int8' }, /layer fc1: activation relu/],
  ] as const)('a network with %s is refused', async (_, layers, format, message) => {
    const { memory } = await stored(layers, format);
    await expect(IntegerNetwork.fit(device.gpu, memory, layers, images)).rejects.toThrow(message);
  });

  it('images of another size are refused', async () => {
    const { memory } = await stored(LAYERS, { kind: 'int8' });
    const network = await IntegerNetwork.fit(device.gpu, memory, LAYERS, images);
    await expect(network.forImages(new Int8Array(51))).rejects.toThrow(
      /51 bytes are not a whole number of images of 50/,
    );
  });
});
