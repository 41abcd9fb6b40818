import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { roundUp } from '../../src/gpu/arena.ts';
import type { Activation } from '../../src/kernels/activation.ts';
import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../../src/kernels/conv.ts';
import {
  type ConvArguments,
  type ConvShape,
  type ConvWeights,
  convOutputSize,
  convWeightColumns,
  groupChannels,
  tapColumns,
  tapsOf,
} from '../../src/kernels/conv_shape.ts';
import { recordBatchNormInference } from '../../src/kernels/norm.ts';
import { conv2d, conv2dInputGradient, conv2dWeightGradient } from '../../src/reference/conv.ts';
import { sumTolerance, TOLERANCES, type Tolerance } from '../../src/reference/tolerances.ts';
import { image, largeSide, outputImage, pixelCount, smallSide, weightMatrix } from '../support/conv.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';

const device = useGpu();
const ACTIVATIONS: readonly Activation[] = ['none', 'relu', 'tanh', 'sigmoid'];
const DIRECTIONS = ['forward', 'input gradient', 'weight gradient'] as const;
type Direction = (typeof DIRECTIONS)[number];

const shapeOf = (
  batch: number,
  [height, width]: readonly [number, number],
  [inChannels, outChannels]: readonly [number, number],
  windows: Pick<ConvShape, 'kernelSize' | 'stride' | 'padding' | 'dilation' | 'groups'>,
): ConvShape => ({ batch, height, width, inChannels, outChannels, ...windows });

const depthwise = (
  batch: number,
  size: readonly [number, number],
  channels: number,
  windows: Pick<ConvShape, 'kernelSize' | 'stride' | 'padding' | 'dilation'>,
) => shapeOf(batch, size, [channels, channels], { ...windows, groups: channels });

/** Together these cover the shapes that kernels handle differently. */
const CASES: Readonly<Record<string, ConvShape>> = {
  // Lines and strips that end at, before and after the image; all channels of a vec4, or fewer.
  'depthwise 3 x 3': depthwise(3, [6, 17], 5, { kernelSize: 3, stride: 1, padding: 1 }),
  'depthwise 3 x 3, stride 2': depthwise(3, [9, 18], 8, { kernelSize: 3, stride: 2, padding: 1 }),
  'depthwise 3 x 3, stride 2, padding at the end only': depthwise(1, [8, 8], 12, {
    kernelSize: 3,
    stride: 2,
    padding: [0, 0, 1, 1],
  }),
  'depthwise 5 x 5, stride 2': depthwise(1, [11, 12], 4, { kernelSize: 5, stride: 2, padding: 2 }),
  'depthwise 5 x 4, stride 1 x 2': depthwise(2, [7, 9], 6, { kernelSize: [5, 4], stride: [1, 2], padding: [2, 1] }),
  'depthwise 1 x 1, stride 2, so that some pixels meet no tap': depthwise(2, [5, 4], 5, {
    kernelSize: 1,
    stride: 2,
    padding: 0,
  }),
  'depthwise 2 x 1 with more padding than taps': depthwise(1, [3, 4], 4, {
    kernelSize: [2, 1],
    stride: [2, 1],
    padding: [3, 2, 1, 0],
  }),
  'depthwise, dilation 2': depthwise(2, [8, 7], 6, { kernelSize: 3, stride: 1, padding: 2, dilation: 2 }),
  'depthwise, stride 3': depthwise(1, [8, 7], 4, { kernelSize: 3, stride: 3, padding: 1 }),
  'a multiplier of 2': shapeOf(2, [5, 6], [5, 10], { kernelSize: 3, stride: 2, padding: 1, groups: 5 }),
  '2 groups of 3 to 5 channels': shapeOf(3, [5, 4], [6, 10], { kernelSize: 3, stride: 1, padding: 1, groups: 2 }),
  '3 groups of 4 to 8 channels': shapeOf(1, [6, 5], [12, 24], { kernelSize: 3, stride: 2, padding: 1, groups: 3 }),
  '2 groups of 8 to 2 channels': shapeOf(2, [4, 3], [16, 4], { kernelSize: 1, stride: 1, padding: 0, groups: 2 }),
  'dilation 2 with stride 2': shapeOf(2, [9, 10], [5, 7], { kernelSize: 3, stride: 2, padding: 2, dilation: 2 }),
  'dilation 3 x 2 with stride 2 x 4': shapeOf(1, [11, 13], [4, 5], {
    kernelSize: 3,
    stride: [2, 4],
    padding: 3,
    dilation: [3, 2],
  }),
  'a 1 x 3 kernel': shapeOf(3, [5, 7], [3, 6], { kernelSize: [1, 3], stride: 1, padding: [0, 1] }),
  'a 5 x 1 kernel, stride 2 x 1': shapeOf(1, [9, 4], [9, 4], { kernelSize: [5, 1], stride: [2, 1], padding: [2, 0] }),
  'padding 0, 1, 1, 0': shapeOf(3, [6, 5], [8, 9], { kernelSize: 2, stride: 1, padding: [0, 1, 1, 0] }),
};
const NAMES = Object.keys(CASES);

function sumOf(count: number): Tolerance {
  const { absolute, relative } = sumTolerance(count);
  return { relative, absolute: absolute + TOLERANCES.tanh.absolute };
}

/** Records one direction of a random convolution; returns its output with the expected values. */
function record(
  bench: Bench,
  direction: Direction,
  shape: ConvShape,
  seed: number,
  { activation, bias, slices }: { activation?: Activation; bias?: boolean; slices?: number } = {},
): Output[] {
  const { batch, inChannels, outChannels, groups = 1 } = shape;
  const [large, small] = [largeSide(shape), smallSide(shape)];
  const x = randomValues(pixelCount(batch, large) * inChannels, seed);
  const w = randomValues(outChannels * tapsOf(shape) * groupChannels(shape), seed + 1);
  const dy = randomValues(pixelCount(batch, small) * outChannels, seed + 2);
  const { recorder } = bench;
  if (direction === 'weight gradient') {
    const dw = bench.output(outChannels, convWeightColumns(shape));
    const [images, gradients] = [image(bench, batch, large, x), image(bench, batch, small, dy)];
    recordConv2dWeightGradient(recorder, bench.arena, {
      label: direction,
      shape,
      x: images,
      dy: gradients,
      dw,
      slices,
    });
    const padded = new Float64Array(outChannels * dw.columns);
    const channels = groupChannels(shape);
    conv2dWeightGradient(shape, x, dy).forEach((value, i) => {
      padded[Math.floor(i / channels) * tapColumns(shape) + (i % channels)] = value;
    });
    return [{ name: direction, view: dw, expected: padded, tolerance: sumOf(pixelCount(batch, small)) }];
  }
  const forward = direction === 'forward';
  const channels = forward ? outChannels : inChannels;
  const biases = bias ? randomValues(channels, seed + 3) : undefined;
  const biasRow = biases && new Float32Array(roundUp(channels, 16)).fill(Number.NaN);
  biasRow?.set(biases!);
  const weights: ConvWeights = {
    kind: 'plain',
    weight: weightMatrix(bench, shape, w),
    bias: biasRow && bench.buffer(biasRow),
  };
  const common = { label: direction, shape, weights, pass: 'forward', activation } as const;
  const output = outputImage(bench, batch, forward ? small : large);
  if (forward) recordConv2d(recorder, { ...common, x: image(bench, batch, large, x), y: output });
  else recordConv2dInputGradient(recorder, { ...common, dy: image(bench, batch, small, dy), dx: output });
  const expected = forward
    ? conv2d(shape, x, w, biases, activation)
    : conv2dInputGradient(shape, dy, w, biases, activation);
  const terms = tapsOf(shape) * (forward ? groupChannels(shape) : outChannels / groups);
  const { rows, stride } = output;
  const behind = { ...output, rows: rows / batch, offset: rows * stride * 4, size: (rows / batch) * stride * 4 };
  return [
    { name: direction, view: output, expected, tolerance: sumOf(terms) },
    {
      name: `${direction}, the image behind`,
      view: behind,
      expected: new Float32Array((rows / batch) * channels).fill(99),
      tolerance: TOLERANCES.exact,
    },
  ];
}

describe.each(DIRECTIONS)('convolutions of other shapes than squares, direction %s', (direction) => {
  it.each(NAMES)('%s: agrees with its reference, keeps pads zero and never reads behind its operands', async (name) => {
    const i = NAMES.indexOf(name);
    await checkKernel(device.gpu, (bench) =>
      record(bench, direction, CASES[name], 10 * i, { activation: ACTIVATIONS[i % 4], bias: i % 2 === 1 }),
    );
  });
});

it('the weight gradient of any shape is the same in any number of slices of lines', async () => {
  await checkKernel(device.gpu, (bench) =>
    [1, 3, 14].flatMap((slices) => [
      ...record(bench, 'weight gradient', depthwise(2, [7, 9], 6, { kernelSize: 3, stride: 1, padding: 1 }), slices, {
        slices,
      }),
      ...record(bench, 'weight gradient', { ...CASES['2 groups of 3 to 5 channels'], height: 7, batch: 2 }, slices, {
        slices,
      }),
    ]),
  );
});

it.each([
  ['depthwise 3 x 3', 'forward'],
  ['depthwise 3 x 3, stride 2', 'input gradient'],
  ['2 groups of 3 to 5 channels', 'forward'],
  ['dilation 2 with stride 2', 'input gradient'],
] as const)('%s, %s: a fused epilogue gives the bits of a separate batch normalisation', async (name, direction) => {
  const shape = CASES[name];
  const { batch } = shape;
  const forward = direction === 'forward';
  const [from, to] = forward ? [largeSide(shape), smallSide(shape)] : [smallSide(shape), largeSide(shape)];
  const bench = new Bench(device.gpu);
  const { recorder } = bench;
  const weights: ConvWeights = {
    kind: 'plain',
    weight: weightMatrix(bench, shape, randomValues(shape.outChannels * tapsOf(shape) * groupChannels(shape), 1)),
    bias: bench.matrix(1, to[2], randomValues(to[2], 2)),
  };
  const vector = (seed: number, offset: number) =>
    bench.matrix(
      1,
      to[2],
      randomValues(to[2], seed).map((value) => value + offset),
    );
  const [gamma, beta, runningMean, runningVariance] = [vector(3, 0.5), vector(4, 0), vector(5, 1), vector(6, 1.1)];
  const normalisation = { gamma, beta, runningMean, runningVariance };
  const input = image(bench, batch, from, randomValues(pixelCount(batch, from) * from[2], 7));
  const convolve = (args: Pick<ConvArguments, 'normalisation' | 'activation'>) => {
    const output = outputImage(bench, batch, to);
    const common = { label: 'convolution', shape, weights, pass: 'forward', ...args } as const;
    if (forward) recordConv2d(recorder, { ...common, x: input, y: output });
    else recordConv2dInputGradient(recorder, { ...common, dy: input, dx: output });
    return output;
  };
  const apart = outputImage(bench, batch, to);
  recordBatchNormInference(recorder, { ...normalisation, input: convolve({}), output: apart, activation: 'tanh' });
  const together = convolve({ normalisation, activation: 'tanh' });
  (await recorder.build('convolutions')).run();
  const expected = await readMatrix(device.gpu, apart);
  expect(new Set(expected).size).toBeGreaterThan(100);
  expect(await readMatrix(device.gpu, together)).toEqual(expected);
  bench.arena.destroy();
});

describe('shapes that are refused', () => {
  const operands = (shape: ConvShape, columns = convWeightColumns(shape)) => {
    const bench = new Bench(device.gpu);
    const [large, small] = [largeSide(shape), smallSide(shape)];
    return {
      recorder: bench.recorder,
      args: {
        label: 'conv1',
        shape,
        x: bench.arena.image('x', shape.batch, ...large),
        y: bench.arena.image('y', shape.batch, ...small),
        weights: { kind: 'plain', weight: bench.arena.matrix('w', shape.outChannels, columns) },
        pass: 'forward',
      },
    } as const;
  };

  it.each<readonly [string, RegExp, ConvShape]>([
    [
      'groups that do not divide the channels',
      /conv1: 4 groups do not divide 6 and 10 channels; give a common divisor/,
      { ...CASES['2 groups of 3 to 5 channels'], groups: 4 },
    ],
    [
      'a dilation of 0',
      /conv1: a 3 x 3 kernel of 5 to 7 channels, stride 2, padding 2, dilation 0, does not fit/,
      { ...CASES['dilation 2 with stride 2'], dilation: 0 },
    ],
    [
      'negative padding at one edge',
      /padding \[0, 1, -1, 0\], does not fit 3 images of 6 x 5/,
      { ...CASES['padding 0, 1, 1, 0'], padding: [0, 1, -1, 0] },
    ],
  ])('a convolution refuses %s', (_, message, shape) => {
    const { recorder, args } = operands(shape, 16);
    expect(() => recordConv2d(recorder, args)).toThrow(ShapeError);
    expect(() => recordConv2d(recorder, args)).toThrow(message);
  });

  it('a depthwise convolution refuses weights with the columns of other convolutions and names both', () => {
    const { recorder, args } = operands(CASES['depthwise 3 x 3'], 36);
    expect(() => recordConv2d(recorder, args)).toThrow(
      'conv1: weight is 5 x 36 (stride 48) but 5 to 5 channels of 3 x 3 taps in 5 groups are 5 x 9 with a stride',
    );
  });
});

it('the size of a result follows from kernels, strides, dilations and the padding of every edge', () => {
  const size = convOutputSize({
    height: 9,
    width: 12,
    kernelSize: [3, 2],
    stride: [2, 3],
    padding: [0, 1, 2, 3],
    dilation: [2, 1],
  });
  // floor((9 + 0 + 2 - 4 - 1) / 2) + 1 and floor((12 + 1 + 3 - 1 - 1) / 3) + 1.
  expect(size).toEqual({ height: 4, width: 5 });
});
