/** Fused convolutions in every memory: every kernel that fetches weights, every stored format and every fault model. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Arena, type Matrix } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { recordConv2d, recordConv2dInputGradient } from '../../src/kernels/conv.ts';
import type { ConvShape } from '../../src/kernels/conv_shape.ts';
import type { ConvTranspose2dSpec } from '../../src/layers/conv_transpose2d.ts';
import type { Conv2dSpec } from '../../src/layers/conv2d.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout, valueCount } from '../../src/layers/parameters.ts';
import { plainWeights, type WeightsOf } from '../../src/layers/weights.ts';
import { NUMBER_FORMAT_KINDS, parseMemoryConfig } from '../../src/memory/config.ts';
import { fetchTensor } from '../../src/memory/fault_sampler.ts';
import { FAULT_MODELS } from '../../src/memory/faults/registry.ts';
import { conv2d, conv2dInputGradient } from '../../src/reference/conv.ts';
import { sumTolerance } from '../../src/reference/tolerances.ts';
import { expectAllclose } from '../support/allclose.ts';
import { largeSide, pixelCount, smallSide, unpadWeights } from '../support/conv.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { encodedImage, type Layer, MEMORIES, SMALL_GEOMETRY } from '../support/memories.ts';

const device = useGpu();

const BATCH = 2;
/** Terms of a sum: at most 9 taps of 6 channels, or 25 taps of one. */
const MOST_TERMS = 54;
const INPUT = { height: 5, width: 6, channels: 6 };
const CONV = {
  kind: 'conv2d',
  input: INPUT,
  channels: 6,
  kernelSize: 3,
  stride: 1,
  padding: 1,
  activation: 'none',
  bias: false,
} as const;

/**
 * A layer for each kernel that fetches weights, with few pixels. The direct kernel fetches four channels of a group together or
 * each for itself, and 25 taps of a depthwise kernel lie in two blocks of codes.
 */
const LAYERS: readonly (Conv2dSpec | ConvTranspose2dSpec)[] = [
  { ...CONV, name: 'direct', kernelSize: [1, 3], padding: [0, 1], bias: true },
  { ...CONV, name: 'grouped', channels: 4, groups: 2, dilation: 2, padding: [1, 2, 2, 1] },
  { ...CONV, name: 'depthwise', groups: 6, kernelSize: 5, stride: [2, 1], padding: 2 },
  {
    ...CONV,
    name: 'transposed',
    kind: 'conv_transpose2d',
    input: { height: 3, width: 3, channels: 6 },
    channels: 5,
    stride: 2,
  },
];

const NAMES = LAYERS.map(({ name }) => name);

/** The convolution of a layer; of a transposed one, that from its output back to its input. */
const SHAPES: readonly ConvShape[] = LAYERS.map((spec) => {
  const { input, channels, kernelSize, stride, padding, dilation, groups } = spec;
  const windows = { batch: BATCH, kernelSize, stride, padding, dilation, groups };
  if (spec.kind === 'conv2d') return { ...windows, ...input, inChannels: input.channels, outChannels: channels };
  return { ...windows, height: 5, width: 5, inChannels: channels, outChannels: input.channels };
});

/** A product of every layer: the forward pass or the input gradient of its convolution. */
const PRODUCTS = LAYERS.map(({ name }, i) => {
  const shape = SHAPES[i];
  const transposed = name === 'grouped' || name === 'transposed';
  const [from, to] = transposed ? [smallSide(shape), largeSide(shape)] : [largeSide(shape), smallSide(shape)];
  // So small that sums of weights near the largest float are finite.
  const images = randomValues(pixelCount(BATCH, from) * from[2], i, 2 ** -10);
  return { name, shape, transposed, from, to, images };
});

const layout = new ParameterLayout(layerParameters(LAYERS));
const packed = new Float32Array(layout.length);
for (const [i, slice] of layout.slices.entries()) {
  const values = randomValues(valueCount(slice), i, 0.5);
  layout.pack(slice, new Uint32Array(values.buffer), new Uint32Array(packed.buffer));
}

let arena: Arena;
let memory: ApproximateMemory;
let materialised: FlatParameters;
let gathered: Matrix[];
let written: Matrix[];

beforeAll(async () => {
  const { gpu } = device;
  arena = new Arena(gpu);
  const parameters = new FlatParameters(arena, 'parameters', layout);
  gpu.write(parameters.view, packed);
  memory = await ApproximateMemory.store(arena, parameters);
  materialised = new FlatParameters(arena, 'materialised weights', layout);
  gathered = PRODUCTS.map(({ from, images }) => {
    const matrix = arena.image('images', BATCH, ...from);
    writeMatrix(gpu, matrix, images);
    return matrix;
  });
  written = PRODUCTS.map(({ to }) => arena.image('result', BATCH, ...to));
});
afterAll(() => arena?.destroy());

/** Results of the products of `layers`. */
async function multiply(layers: readonly string[], weightsOf: WeightsOf): Promise<Map<string, Float32Array>> {
  const recorder = new Recorder(device.gpu);
  const chosen = [...PRODUCTS.entries()].filter(([, { name }]) => layers.includes(name));
  for (const [i, { name, shape, transposed }] of chosen) {
    const common = { label: name, shape, weights: weightsOf(name), pass: 'forward' } as const;
    if (transposed) recordConv2dInputGradient(recorder, { ...common, dy: gathered[i], dx: written[i] });
    else recordConv2d(recorder, { ...common, x: gathered[i], y: written[i] });
  }
  (await recorder.build('convolutions')).run();
  return new Map(
    await Promise.all(chosen.map(async ([i, { name }]) => [name, await readMatrix(device.gpu, written[i])] as const)),
  );
}

/** Compares fused products of weights in a memory with those of the same weights in a buffer, and with the reference. */
async function compareProducts(layers: readonly string[], layer: Layer): Promise<void> {
  const config = { seed: 7, chip: 3, path: 'fused', geometry: SMALL_GEOMETRY } as const;
  const held = Object.fromEntries(layers.map((name) => [name, layer]));
  await memory.configure(parseMemoryConfig({ ...config, layers: held }, NAMES));
  await memory.load(1);
  const fused = await multiply(layers, memory.weightsOf);

  // The weights that materialise would write: sources.gpu.test.ts compares them with the reference, in every memory.
  const read = new Map<string, Float32Array<ArrayBuffer>>();
  for (const slice of layout.slices.filter(({ layer }) => layers.includes(layer))) {
    const image = encodedImage(memory, slice, packed);
    const words = fetchTensor(image, memory.faultSamplerOf(slice.name));
    read.set(slice.name, new Float32Array(words.buffer));
    device.gpu.write(materialised.matrix(slice.name), words);
  }
  const plain = await multiply(layers, plainWeights(materialised));

  for (const { name, shape, transposed, images } of PRODUCTS.filter((product) => layers.includes(product.name))) {
    const weights = unpadWeights(shape, read.get(`${name}.weight`)!, layout.find(`${name}.weight`).stride);
    const biases = read.get(`${name}.bias`)?.subarray(0, shape.outChannels);
    const product = transposed ? conv2dInputGradient : conv2d;
    const expected = product(shape, images, weights, biases);
    // Relative to the sum of the magnitudes of the terms, so that one tolerance suits all magnitudes of weights.
    const magnitudes = product(shape, images.map(Math.abs), weights.map(Math.abs), biases?.map(Math.abs));
    const relative = (values: ArrayLike<number>) => Array.from(values, (value, at) => value / (magnitudes[at] || 1));
    const [ours, theirs] = [fused.get(name)!, plain.get(name)!];
    expectAllclose(relative(ours), relative(expected), sumTolerance(MOST_TERMS), name);
    expectAllclose(relative(theirs), relative(expected), sumTolerance(MOST_TERMS), `${name}, materialised`);
    // All but the tile kernel, which transposed convolutions use, add in the order of the kernels of materialised weights.
    if (name !== 'transposed') expect(ours, name).toEqual(theirs);
  }
}

/**
 * Memories that differ in their format, read without faults because such fetches compile quickly; rows of a transposed
 * convolution have no scale per channel.
 */
const FORMATS = [
  'fixed point of 12 bits',
  'fixed point of 7 bits',
  'fixed point of 3 bits',
  'fixed point of 2 bits',
  'fixed point of 16 bits, truncating',
  "two's complement of 5 bits",
  "two's complement of 16 bits",
  'int8 with a scale per channel',
  'int4 with a scale per channel',
  'fp16, saturating',
  'bf16, saturating',
  'fp32, zeros for what is not finite',
];

it.each(FORMATS)(
  'fused convolutions of all kernels multiply with the weights that a read returns: %s',
  async (kind) => {
    const layers = ['direct', 'depthwise', 'transposed'];
    await compareProducts(/per channel/.test(kind) ? layers.slice(0, 2) : layers, {
      ...MEMORIES[kind],
      faults: [],
    } as Layer);
  },
);

/**
 * Memories that differ in their faults. Those of one shader are read by different kernels in turn, because the shaders of fetches
 * with many sources of faults or with error correction take a second to compile.
 */
const FAULTS = [
  ['grouped', 'fixed point of 7 bits'],
  ['direct', 'fp16, saturating'],
  ['depthwise', 'fp32, zeros for what is not finite'],
  ['grouped', 'asymmetric'],
  ['depthwise', 'stuck cells'],
  ['transposed', 'bit planes'],
  ['direct', 'protected bits'],
  ['depthwise', 'EDEN EM0'],
  ['transposed', 'EDEN EM1'],
  ['direct', 'EDEN EM2'],
  ['grouped', 'EDEN EM3'],
  ['depthwise', 'clustered'],
  ['direct', 'a measured DIMM'],
  ['depthwise', 'the bad rows of a measured DIMM'],
  ['grouped', 'the bad rows of a measured DIMM'],
  ['transposed', 'a measured DIMM that is read early'],
  ['direct', 'a measured DIMM that is read early'],
  ['grouped', 'an SRAM chip'],
  ['depthwise', 'SECDED'],
  ['grouped', 'SECDED over stored values, int4'],
  ['depthwise', 'inverted storage'],
  ['transposed', 'inverted storage under protected bits, int4'],
  ['direct', 'reordered bits'],
] as const;

it.each(FAULTS)('a fused convolution, %s, multiplies with the weights that a read returns: %s', async (layer, kind) => {
  await compareProducts([layer], MEMORIES[kind]);
});

it('fused convolutions are compared in all formats and with all fault models', () => {
  const memories = [...FORMATS, ...FAULTS.map(([, kind]) => kind)].map((kind) => MEMORIES[kind]);
  const stored = memories.flatMap((layer) => (layer.kind === 'stored' ? [layer] : []));
  expect(new Set(stored.map(({ format }) => format?.kind ?? 'fixed'))).toEqual(new Set(NUMBER_FORMAT_KINDS));
  const models = stored.flatMap(({ faults = [] }) => faults.map(({ kind }) => kind));
  expect(new Set(models)).toEqual(new Set(FAULT_MODELS.map(({ kind }) => kind)));
});
