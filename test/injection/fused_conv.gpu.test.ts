import { afterEach, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { recordConv2d, recordConv2dInputGradient } from '../../src/kernels/conv.ts';
import type { Conv2dSpec } from '../../src/layers/conv2d.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { expectAllclose } from '../support/allclose.ts';
import { randomValues, useGpu } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

const SPEC: Conv2dSpec = {
  kind: 'conv2d',
  name: 'conv1',
  input: { height: 6, width: 5, channels: 5 },
  channels: 7,
  kernelSize: 3,
  stride: 1,
  padding: 1,
  activation: 'none',
};
const layout = new ParameterLayout(layerParameters([SPEC]));
const SHAPE = { batch: 2, height: 6, width: 5, inChannels: 5, outChannels: 7, kernelSize: 3, stride: 1, padding: 1 };

type Layer = MemoryConfigInput['layers'][string];
const faults = [{ kind: 'uniform', bitErrorRate: 0.03 } as const];
const MEMORIES: Readonly<Record<string, Layer>> = {
  'int8 with a scale per channel': { kind: 'stored', format: { kind: 'int8', scale: 'per-channel' }, faults },
  int4: { kind: 'stored', format: { kind: 'int4' }, faults },
  'fp16, zeros for what is not finite': { kind: 'stored', format: { kind: 'fp16', nonFinite: 'zero' }, faults },
  'fp32 with SECDED and stuck cells': {
    kind: 'stored',
    format: { kind: 'fp32', nonFinite: 'zero' },
    faults: [...faults, { kind: 'stuck-at', zero: 0.002, one: 0.002 }],
    ecc: {},
  },
};

/** Output and input gradient of a convolution with weights in a memory; images and weights are the same in every call. */
async function convolve(layer: Layer, path: 'fused' | 'materialised') {
  arena = new Arena(device.gpu);
  const parameters = new FlatParameters(arena, 'parameters', layout);
  const packed = new Float32Array(layout.length);
  for (const [i, slice] of layout.slices.entries()) {
    const values = randomValues(
      slice.shape.reduce((product, n) => product * n, 1),
      i,
      0.5,
    );
    layout.pack(slice, new Uint32Array(values.buffer), new Uint32Array(packed.buffer));
  }
  device.gpu.write(parameters.view, packed);
  const memory = await ApproximateMemory.store(arena, parameters);
  await memory.configure(parseMemoryConfig({ seed: 3, path, layers: { conv1: layer } }, ['conv1']));
  await memory.load(1);
  const images = (channels: number, seed: number) => {
    const matrix = arena!.image('images', 2, 6, 5, channels);
    const values = new Float32Array(matrix.rows * matrix.stride);
    const some = randomValues(matrix.rows * channels, seed);
    for (let row = 0; row < matrix.rows; row++) {
      values.set(some.subarray(row * channels, (row + 1) * channels), row * matrix.stride);
    }
    device.gpu.write(matrix, values);
    return matrix;
  };
  const [x, dy] = [images(5, 11), images(7, 12)];
  const [y, dx] = [arena.image('y', 2, 6, 5, 7), arena.image('dx', 2, 6, 5, 5)];
  const weights = memory.weightsOf('conv1');
  expect(weights.kind).toBe(path === 'fused' ? 'fused' : 'plain');
  const recorder = new Recorder(device.gpu);
  recordConv2d(recorder, { label: 'forward', shape: SHAPE, x, weights, y, pass: 'forward' });
  recordConv2dInputGradient(recorder, { label: 'backward', shape: SHAPE, dy, weights, dx, pass: 'backward' });
  (await recorder.build('convolution')).run();
  const read = async (matrix: typeof y) => device.gpu.readFloats({ ...matrix, size: matrix.rows * matrix.stride * 4 });
  const result = [await read(y), await read(dx)] as const;
  arena.destroy();
  return result;
}

it.each(Object.entries(MEMORIES))('a fused convolution fetches the same weights, in %s', async (_, layer) => {
  const [materialised, fused] = [await convolve(layer, 'materialised'), await convolve(layer, 'fused')];
  for (const [i, name] of ['forward', 'backward'].entries()) {
    const largest = Math.max(...materialised[i].map(Math.abs));
    expect(largest).toBeGreaterThan(0);
    expectAllclose(fused[i], materialised[i], { relative: 0, absolute: 1e-5 * largest }, name);
  }
});
