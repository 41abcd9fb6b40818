import { afterEach, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import type { ConvTranspose2dSpec } from '../../src/layers/conv_transpose2d.ts';
import type { Conv2dSpec } from '../../src/layers/conv2d.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { type LayerSpec, layerParameters, outputShape } from '../../src/layers/kinds.ts';
import { sizeOf, vectorShape } from '../../src/layers/layer.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

const BATCH = 2;
const CONV: Conv2dSpec = {
  kind: 'conv2d',
  name: 'conv1',
  input: { height: 6, width: 5, channels: 6 },
  channels: 6,
  kernelSize: 3,
  stride: 1,
  padding: 1,
  activation: 'none',
};
const TRANSPOSED: ConvTranspose2dSpec = {
  ...CONV,
  kind: 'conv_transpose2d',
  input: { height: 3, width: 4, channels: 6 },
};

const LAYERS: Readonly<Record<string, Conv2dSpec | ConvTranspose2dSpec>> = {
  'a depthwise convolution': { ...CONV, groups: 6, stride: 2 },
  'a depthwise convolution with two kernels per channel': { ...CONV, channels: 12, groups: 6 },
  'a grouped convolution': { ...CONV, channels: 4, groups: 2, padding: [0, 1, 1, 0] },
  'a convolution with dilation 2 and stride 2 x 1': { ...CONV, kernelSize: [3, 2], dilation: 2, stride: [2, 1] },
  'a transposed convolution with output padding': {
    ...TRANSPOSED,
    channels: 5,
    stride: [2, 3],
    outputPadding: [1, 2],
    kernelSize: [3, 4],
  },
  'a transposed convolution with groups and dilation': {
    ...TRANSPOSED,
    channels: 4,
    groups: 2,
    dilation: 2,
    stride: 2,
  },
  'a depthwise transposed convolution': { ...TRANSPOSED, groups: 6, stride: 2, outputPadding: 1 },
};

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i], 0);

// The output is linear in the input and in the parameters. So the difference quotient of a step of 1 along a direction is the
// exact derivative, up to rounding, and one direction per tensor, with a random number for every element, checks them all.
it.each(Object.keys(LAYERS))('the gradients of %s agree with differences of its output', async (name) => {
  const { gpu } = device;
  const spec = LAYERS[name];
  arena = new Arena(gpu);
  const layout = new ParameterLayout(layerParameters([spec]));
  const [parameters, gradients] = ['parameters', 'gradients'].map((label) => new FlatParameters(arena!, label, layout));
  const counts = layout.slices.map(({ shape }) => shape.reduce((product, n) => product * n, 1));
  const flat = (tensors: readonly Float32Array<ArrayBuffer>[]) => {
    const words = new Uint32Array(layout.length);
    for (const [i, slice] of layout.slices.entries()) layout.pack(slice, new Uint32Array(tensors[i].buffer), words);
    return words;
  };
  const pixels = sizeOf(spec.input);
  const specs: LayerSpec[] = [{ kind: 'reshape', name: 'image', input: vectorShape(pixels), output: spec.input }, spec];
  const input = arena.matrix('x', BATCH, pixels);
  const run = planGraph(arena, specs, input, { gradients: { input: true, parameters: true } });
  const [forwardPass, backwardPass] = [new Recorder(gpu), new Recorder(gpu)];
  const weights = plainWeights(parameters);
  recordForward(forwardPass, arena, specs, weights, run);
  recordBackward(backwardPass, arena, specs, weights, run, gradients);
  const forward = await forwardPass.build('forward');
  const back = await backwardPass.build('backward');

  const dy = randomValues(BATCH * sizeOf(outputShape(spec)), 1);
  const x = randomValues(BATCH * pixels, 2);
  const tensors = counts.map((count, i) => randomValues(count, 10 + i));
  const lossOf = async (images: Float32Array<ArrayBuffer>, values: readonly Float32Array<ArrayBuffer>[]) => {
    writeMatrix(gpu, input, images);
    gpu.write(parameters.view, flat(values));
    forward.run();
    return dot(await readMatrix(gpu, run.values[2]), dy);
  };
  const loss = await lossOf(x, tensors);
  writeMatrix(gpu, run.gradients[2]!, dy);
  back.run();
  const words = await gpu.readWords(gradients.view);
  const gradientOf = layout.slices.map((slice) => new Float32Array(layout.unpack(slice, words).buffer));
  const gradientOfX = await readMatrix(gpu, run.gradients[0]!);

  const moved = (values: Float32Array, by: Float32Array) => values.map((value, i) => value + by[i]) as typeof x;
  for (const [i, { name: tensor }] of layout.slices.entries()) {
    const by = randomValues(counts[i], 20 + i);
    const other = tensors.map((values, j) => (j === i ? moved(values, by) : values));
    const difference = (await lossOf(x, other)) - loss;
    expect(Math.abs(difference), tensor).toBeGreaterThan(0.1);
    expect(difference, tensor).toBeCloseTo(dot(gradientOf[i], by), 3);
  }
  const by = randomValues(BATCH * pixels, 30);
  expect((await lossOf(moved(x, by), tensors)) - loss, 'input').toBeCloseTo(dot(gradientOfX, by), 3);
});

it('the size of a transposed convolution includes dilation, padding of every edge and output padding', () => {
  const spec: ConvTranspose2dSpec = {
    ...TRANSPOSED,
    stride: [2, 3],
    dilation: [3, 1],
    padding: [1, 0, 0, 2],
    outputPadding: [1, 0],
  };
  // (3 - 1) 2 - 1 + 3 (3 - 1) + 1 + 1 and (4 - 1) 3 - 2 + (3 - 1) + 1.
  expect(outputShape(spec)).toEqual({ height: 11, width: 10, channels: 6 });
});

it.each<readonly [string, Conv2dSpec | ConvTranspose2dSpec, string]>([
  ['an output padding of the stride', { ...TRANSPOSED, stride: 2, outputPadding: 2 }, 'conv1: outputPadding 2 x 2'],
  ['padding that leaves no pixels', { ...TRANSPOSED, padding: 4 }, 'conv1: images of 3 x 4 become -3 x -2'],
  ['a kernel larger than its images', { ...CONV, kernelSize: 9 }, 'conv1: images of 6 x 5, windows of 9 x 9'],
])('a convolution layer refuses %s', (_, spec, message) => {
  expect(() => outputShape(spec)).toThrow(ShapeError);
  expect(() => outputShape(spec)).toThrow(message);
});

it('a convolution layer refuses groups that do not divide its channels', () => {
  expect(() => layerParameters([{ ...CONV, groups: 4 }])).toThrow('conv1: 4 groups do not divide 6 and 6 channels');
  expect(() => layerParameters([{ ...TRANSPOSED, groups: 4 }])).toThrow(ShapeError);
});

it("a depthwise layer's weights are packed from PyTorch's order without pads between taps", () => {
  const layout = new ParameterLayout(layerParameters([{ ...CONV, groups: 6, bias: false }]));
  const [slice] = layout.slices;
  expect([slice.rows, slice.columns, slice.stride, slice.shape]).toEqual([6, 9, 16, [6, 1, 3, 3]]);
  const values = Uint32Array.from({ length: 54 }, (_, i) => i + 1);
  const flat = new Uint32Array(layout.length);
  layout.pack(slice, values, flat);
  expect([...flat.subarray(16, 26)]).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 0]);
  expect(layout.unpack(slice, flat)).toEqual(values);
});
