import { afterEach, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { recordConv2d, recordConv2dInputGradient } from '../../src/kernels/conv.ts';
import { convOutputSize } from '../../src/kernels/conv_shape.ts';
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

/** Convolutions whose fused kernels add in the order of the plain ones, so that they give the same bits. */
const OTHER_SPECS: Readonly<Record<string, Conv2dSpec>> = {
  depthwise: { ...SPEC, channels: 5, groups: 5 },
  'depthwise with 25 taps': { ...SPEC, channels: 5, groups: 5, kernelSize: 5, stride: [2, 1], padding: 2 },
  'grouped with dilation': {
    ...SPEC,
    input: { height: 6, width: 5, channels: 6 },
    channels: 4,
    groups: 2,
    dilation: 2,
  },
  'dense with a 1 x 3 kernel': { ...SPEC, kernelSize: [1, 3], padding: [0, 1] },
};

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
async function convolve(layer: Layer, path: 'fused' | 'materialised', spec = SPEC) {
  const layout = new ParameterLayout(layerParameters([spec]));
  const { input, kernelSize, stride, padding, dilation, groups } = spec;
  const { height, width, channels: inChannels } = input;
  const windows = { kernelSize, stride, padding, dilation, groups };
  const shape = { batch: 2, height, width, inChannels, outChannels: spec.channels, ...windows };
  const small = convOutputSize(shape);
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
  const images = (size: { height: number; width: number }, channels: number, seed: number) => {
    const matrix = arena!.image('images', 2, size.height, size.width, channels);
    const values = new Float32Array(matrix.rows * matrix.stride);
    const some = randomValues(matrix.rows * channels, seed);
    for (let row = 0; row < matrix.rows; row++) {
      values.set(some.subarray(row * channels, (row + 1) * channels), row * matrix.stride);
    }
    device.gpu.write(matrix, values);
    return matrix;
  };
  const [x, dy] = [images(input, inChannels, 11), images(small, spec.channels, 12)];
  const y = arena.image('y', 2, small.height, small.width, spec.channels);
  const dx = arena.image('dx', 2, height, width, inChannels);
  const weights = memory.weightsOf('conv1');
  expect(weights.kind).toBe(path === 'fused' ? 'fused' : 'plain');
  const recorder = new Recorder(device.gpu);
  recordConv2d(recorder, { label: 'forward', shape, x, weights, y, pass: 'forward' });
  recordConv2dInputGradient(recorder, { label: 'backward', shape, dy, weights, dx, pass: 'backward' });
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

const [INT8, , FP16, ECC] = Object.values(MEMORIES);
const FP32: Layer = { kind: 'stored', format: { kind: 'fp32', nonFinite: 'zero' }, faults };
const FIXED: Layer = { kind: 'stored', format: { kind: 'fixed', bits: 10 }, faults };
it.each([
  ['depthwise', 'int8 with a scale per channel', INT8],
  ['depthwise', 'fp32 with SECDED and stuck cells', ECC],
  ['depthwise with 25 taps', 'fp16', FP16],
  ['grouped with dilation', 'fp32', FP32],
  ['dense with a 1 x 3 kernel', 'fixed point', FIXED],
] as const)('a fused convolution, %s, has the bits of one with materialised weights, in %s', async (name, _, layer) => {
  const spec = OTHER_SPECS[name];
  const [materialised, fused] = [await convolve(layer, 'materialised', spec), await convolve(layer, 'fused', spec)];
  for (const [i, direction] of ['forward', 'backward'].entries()) {
    expect(new Set(materialised[i]).size, direction).toBeGreaterThan(50);
    expect(new Uint32Array(fused[i].buffer), direction).toEqual(new Uint32Array(materialised[i].buffer));
  }
});
