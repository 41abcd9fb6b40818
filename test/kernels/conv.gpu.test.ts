import { afterEach, describe, expect, it } from 'vitest';
import { LimitError, ShapeError } from '../../src/errors.ts';
import { type Matrix, roundUp } from '../../src/gpu/arena.ts';
import type { Activation } from '../../src/kernels/activation.ts';
import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../../src/kernels/conv.ts';
import {
  type ConvArguments,
  type ConvShape,
  type ConvWeights,
  convOutputSize,
  convWeightColumns,
  tapsOf,
} from '../../src/kernels/conv_shape.ts';
import { recordMaterialise } from '../../src/kernels/memory.ts';
import { recordBatchNormInference } from '../../src/kernels/norm.ts';
import { isQuad, type TileName } from '../../src/kernels/tiles.ts';
import { readKey, tensorKey } from '../../src/memory/fault_sampler.ts';
import { conv2d, conv2dInputGradient, conv2dWeightGradient } from '../../src/reference/conv.ts';
import { sumTolerance, TOLERANCES, type Tolerance } from '../../src/reference/tolerances.ts';
import { expectAllclose } from '../support/allclose.ts';
import {
  image,
  largeSide,
  outputImage,
  padChannels,
  pixelCount,
  smallSide,
  unpadWeights,
  weightMatrix,
} from '../support/conv.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { faultTableWords, fixedFetch, memoryImage, testTensor } from '../support/memory.ts';

const device = useGpu();
const ACTIVATIONS: readonly Activation[] = ['none', 'relu', 'tanh', 'sigmoid'];

function shapeOf(
  batch: number,
  [height, width]: readonly [number, number],
  [inChannels, outChannels]: readonly [number, number],
  [kernelSize, stride, padding]: readonly [number, number, number],
): ConvShape {
  return { batch, height, width, inChannels, outChannels, kernelSize, stride, padding };
}

const name = ({ batch, height, width, inChannels, outChannels, kernelSize, stride, padding }: ConvShape) =>
  `${batch} x ${height} x ${width} x ${inChannels} -> ${outChannels}, k${kernelSize} s${stride} p${padding}`;

/** Together these cover the channel counts, kernels, strides and paddings that kernels handle differently. */
const CASES: readonly ConvShape[] = [
  shapeOf(1, [1, 1], [1, 1], [1, 1, 0]),
  shapeOf(1, [5, 7], [3, 5], [3, 1, 1]),
  shapeOf(2, [6, 5], [1, 8], [3, 1, 2]),
  shapeOf(3, [9, 4], [4, 3], [5, 2, 2]),
  shapeOf(2, [7, 8], [17, 4], [4, 2, 1]),
  shapeOf(1, [10, 11], [5, 33], [3, 3, 2]),
  shapeOf(2, [4, 4], [8, 16], [2, 1, 0]),
  // More images than a tile has rows, so that whole tiles hang over an edge.
  shapeOf(17, [3, 3], [16, 17], [3, 1, 1]),
  shapeOf(2, [8, 3], [33, 1], [3, 2, 0]),
  // A transposed convolution from a vector.
  shapeOf(3, [4, 4], [5, 6], [4, 1, 0]),
  // Pixels that no tap reaches.
  shapeOf(2, [2, 7], [4, 4], [1, 3, 0]),
  // Too few taps lie outside the image for rows to run over images first.
  shapeOf(2, [21, 22], [4, 5], [3, 1, 1]),
];

interface Options {
  readonly activation?: Activation;
  readonly bias?: boolean;
  readonly tile?: TileName;
  readonly slices?: number;
}

type Direction = 'forward' | 'input gradient' | 'weight gradient';

/** The image behind an output, which must remain unchanged. */
function rowsBehind(title: string, matrix: Matrix, images: number): Output {
  const { rows, stride, columns } = matrix;
  const count = rows / images;
  const view = { ...matrix, rows: count, offset: rows * stride * 4, size: count * stride * 4 };
  return {
    name: `${title}, the image behind`,
    view,
    expected: new Float32Array(count * columns).fill(99),
    tolerance: TOLERANCES.exact,
  };
}

function sumOf(count: number): Tolerance {
  const { absolute, relative } = sumTolerance(count);
  return { relative, absolute: absolute + TOLERANCES.tanh.absolute };
}

/** Records one direction of a random convolution; returns its outputs and the image behind with the expected values. */
function record(bench: Bench, direction: Direction, shape: ConvShape, seed: number, options: Options = {}): Output[] {
  const { batch, inChannels, outChannels } = shape;
  const { activation, bias, tile, slices } = options;
  const [large, small] = [largeSide(shape), smallSide(shape)];
  const taps = tapsOf(shape);
  const x = randomValues(pixelCount(batch, large) * inChannels, seed);
  const w = randomValues(outChannels * taps * inChannels, seed + 1);
  const dy = randomValues(pixelCount(batch, small) * outChannels, seed + 2);
  const title = `${direction} ${name(shape)} ${JSON.stringify(options)}`;
  const { recorder } = bench;
  if (direction === 'weight gradient') {
    const dw = bench.output(outChannels, convWeightColumns(shape));
    recordConv2dWeightGradient(recorder, bench.arena, {
      label: title,
      shape,
      x: image(bench, batch, large, x),
      dy: image(bench, batch, small, dy),
      dw,
      slices,
      tile: tile as '16x16',
    });
    const expected = conv2dWeightGradient(shape, x, dy);
    const padded = new Float64Array(outChannels * dw.columns);
    const channels = roundUp(inChannels, 4);
    expected.forEach((value, i) => {
      padded[Math.floor(i / inChannels) * channels + (i % inChannels)] = value;
    });
    return [{ name: title, view: dw, expected: padded, tolerance: sumOf(pixelCount(batch, small)) }];
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
  const common = { label: title, shape, weights, pass: 'forward', activation, tile: tile as '16x16' } as const;
  const output = outputImage(bench, batch, forward ? small : large);
  if (forward) recordConv2d(recorder, { ...common, x: image(bench, batch, large, x), y: output });
  else recordConv2dInputGradient(recorder, { ...common, dy: image(bench, batch, small, dy), dx: output });
  const expected = forward
    ? conv2d(shape, x, w, biases, activation)
    : conv2dInputGradient(shape, dy, w, biases, activation);
  return [
    { name: title, view: output, expected, tolerance: sumOf(taps * (forward ? inChannels : outChannels)) },
    rowsBehind(title, output, batch),
  ];
}

/**
 * Indices of the cases for which the launcher chooses the tile. The others have the smallest, because a software adapter
 * takes a second or more to compile a large one.
 */
const OWN_TILE = [1, 3, 7];

describe.each(['forward', 'input gradient', 'weight gradient'] as const)('convolutions, direction %s', (direction) => {
  it.each(CASES.map((shape, i) => [name(shape), shape, i] as const))(
    'a convolution agrees with its reference, keeps pads zero and never reads behind its operands: %s',
    async (_, shape, i) => {
      const tile = OWN_TILE.includes(i) ? undefined : '8x8';
      await checkKernel(device.gpu, (bench) =>
        record(bench, direction, shape, 10 * i, { activation: ACTIVATIONS[i % 4], bias: i % 2 === 1, tile }),
      );
    },
  );

  const tiles = (
    direction === 'weight gradient'
      ? ['quad_16x32', 'quad_32x16', 'quad_32x32', 'quad_16x16', '16x16', '8x8']
      : ['quad_16x32', 'quad_32x16', 'quad_32x32', 'quad_16x16', '16x16', '16x8', '16x4', '8x8']
  ) as TileName[];
  it('every tile of a convolution gives the same bits', async () => {
    const bench = new Bench(device.gpu);
    const shape = shapeOf(2, [5, 6], [6, 9], [3, 2, 1]);
    const here = tiles.filter((tile) => !isQuad(tile) || device.gpu.quads);
    const outputs = here.map((tile) => record(bench, direction, shape, 1, { tile })[0]);
    (await bench.recorder.build('tiles')).run();
    const results = await Promise.all(outputs.map(({ view }) => readMatrix(bench.gpu, view as Matrix)));
    expectAllclose(results[0], outputs[0].expected, outputs[0].tolerance, 'the first tile');
    for (const result of results) expect(result).toEqual(results[0]);
    bench.arena.destroy();
  });
});

/** Convolutions of one input channel, kernels up to 4 x 4 and strides 1 and 2: they have special kernels. */
const ONE_CHANNEL_CASES: readonly ConvShape[] = [
  // Every kernel size with every stride; lines of 1, 2, 3 pixels more than a multiple of 4; 1 to 17 channels out.
  shapeOf(2, [5, 6], [1, 1], [1, 1, 0]),
  shapeOf(2, [7, 9], [1, 3], [1, 2, 1]),
  shapeOf(1, [5, 7], [1, 5], [2, 1, 1]),
  shapeOf(2, [8, 5], [1, 4], [2, 2, 0]),
  shapeOf(3, [9, 10], [1, 9], [3, 1, 1]),
  shapeOf(2, [6, 11], [1, 12], [3, 2, 2]),
  shapeOf(2, [6, 5], [1, 17], [4, 1, 3]),
  shapeOf(2, [8, 12], [1, 16], [4, 2, 1]),
  // More images than a tile has rows, so that whole tiles hang over an edge.
  shapeOf(17, [4, 4], [1, 8], [4, 2, 1]),
  shapeOf(33, [3, 2], [1, 6], [3, 1, 1]),
  // More lines than an invocation has.
  shapeOf(40, [12, 13], [1, 8], [3, 1, 1]),
];

describe.each(['forward', 'input gradient', 'weight gradient'] as const)('one channel, direction %s', (direction) => {
  it.each(ONE_CHANNEL_CASES.map((shape, i) => [name(shape), shape, i] as const))(
    'a special kernel agrees with its reference, keeps pads zero, reads only its operands and has the bits of a tile: %s',
    async (_, shape, i) => {
      const { gpu } = device;
      const options = { activation: ACTIVATIONS[i % 4], bias: i % 2 === 0 };
      await checkKernel(gpu, (bench) => record(bench, direction, shape, 10 * i, options));
      const bench = new Bench(gpu);
      const outputs = [undefined, '8x8' as const].map(
        (tile) => record(bench, direction, shape, 10 * i, { ...options, tile })[0],
      );
      (await bench.recorder.build('one channel')).run();
      const [own, tiled] = await Promise.all(outputs.map(({ view }) => readMatrix(gpu, view as Matrix)));
      expect(bits(own)).toEqual(bits(tiled));
      bench.arena.destroy();
    },
  );

  it.each(
    [shapeOf(2, [9, 8], [1, 5], [5, 1, 2]), shapeOf(2, [9, 8], [1, 5], [3, 3, 1])].map((s) => [name(s), s] as const),
  )('a convolution of one channel without a special kernel agrees with its reference: %s', async (_, shape) => {
    await checkKernel(device.gpu, (bench) => record(bench, direction, shape, 1));
  });
});

it('the weight gradient of one channel is the same in any number of slices of lines', async () => {
  await checkKernel(device.gpu, (bench) =>
    [1, 2, 3, 7, 14].flatMap((slices) =>
      record(bench, 'weight gradient', shapeOf(2, [7, 5], [1, 12], [3, 1, 1]), slices, { slices }),
    ),
  );
});

it('the weight gradient of several channels is the same in any number of slices of lines', async () => {
  await checkKernel(device.gpu, (bench) =>
    [1, 2, 3, 7, 14].flatMap((slices) =>
      record(bench, 'weight gradient', shapeOf(2, [7, 5], [16, 5], [3, 1, 1]), slices, { slices }),
    ),
  );
});

it('a backward pass of a convolution adds no bias and applies no activation', async () => {
  const shape = shapeOf(2, [4, 5], [3, 6], [3, 1, 1]);
  const { batch, inChannels, outChannels } = shape;
  const [large, small] = [largeSide(shape), smallSide(shape)];
  await checkKernel(device.gpu, (bench) => {
    const x = randomValues(pixelCount(batch, large) * inChannels, 1);
    const dy = randomValues(pixelCount(batch, small) * outChannels, 2);
    const w = randomValues(outChannels * 9 * inChannels, 3);
    const bias = bench.buffer(new Float32Array(16).fill(5));
    const weights: ConvWeights = { kind: 'plain', weight: weightMatrix(bench, shape, w), bias };
    const common = { label: 'backward', shape, weights, pass: 'backward', activation: 'relu' } as const;
    const [y, dx] = [outputImage(bench, batch, small), outputImage(bench, batch, large)];
    recordConv2d(bench.recorder, { ...common, x: image(bench, batch, large, x), y });
    recordConv2dInputGradient(bench.recorder, { ...common, dy: image(bench, batch, small, dy), dx });
    return [
      { name: 'y', view: y, expected: conv2d(shape, x, w), tolerance: sumOf(9 * inChannels) },
      { name: 'dx', view: dx, expected: conv2dInputGradient(shape, dy, w), tolerance: sumOf(9 * outChannels) },
    ];
  });
});

describe('operands that do not fit a convolution', () => {
  const shape = shapeOf(2, [6, 5], [3, 5], [3, 2, 1]);
  const operands = (bench: Bench) => ({
    x: bench.arena.image('x', 2, 6, 5, 3),
    y: bench.arena.image('y', 2, 3, 3, 5),
    weight: bench.arena.matrix('w', 5, 36),
  });
  type Operands = ReturnType<typeof operands>;

  /** Launches of all three directions, with operands that fit except for those that `change` replaces. */
  function launches(change: (operands: Operands, bench: Bench) => { shape?: ConvShape } & Partial<Operands>) {
    const bench = new Bench(device.gpu);
    const good = operands(bench);
    const args = { label: 'conv1', shape, ...good, ...change(good, bench) };
    const { x, y, weight } = args;
    const product = { ...args, weights: { kind: 'plain', weight }, pass: 'forward' } as const;
    return {
      forward: () => recordConv2d(bench.recorder, product),
      inputGradient: () => recordConv2dInputGradient(bench.recorder, { ...product, dy: y, dx: x }),
      weightGradient: () => recordConv2dWeightGradient(bench.recorder, bench.arena, { ...args, dy: y, dw: weight }),
    };
  }

  it('operands that fit are recorded without an error', () => {
    for (const launch of Object.values(launches(() => ({})))) expect(launch).not.toThrow();
  });

  it.each<readonly [string, RegExp, Parameters<typeof launches>[0]]>([
    ['a stride of 0', /conv1: a 3 x 3 kernel of 3 to 5 channels, stride 0/, () => ({ shape: { ...shape, stride: 0 } })],
    [
      'a kernel larger than the image',
      /9 x 9 kernel .* does not fit 2 images of 6 x 5/,
      () => ({ shape: { ...shape, kernelSize: 9 } }),
    ],
    ['a padding of -1', /padding -1/, () => ({ shape: { ...shape, padding: -1 } })],
    [
      'one image too few',
      /conv1: d?x is 30 x 3 \(stride 4\) but 2 images of 6 x 5 x 3 are 60 x 3/,
      ({ x }) => ({ x: { ...x, rows: 30 } }),
    ],
    ['other channels', /conv1: d?y is 18 x 4 \(stride 8\)/, ({ y }) => ({ y: { ...y, columns: 4 } })],
    ['a stride that is no multiple of 4', /\(stride 6\)/, ({ y }) => ({ y: { ...y, stride: 6 } })],
    [
      'weights without pad channels',
      /conv1: (weight|dw) is 5 x 27 \(stride 32\) but 3 to 5 channels of 3 x 3 taps are 5 x 36 with/,
      (_, bench) => ({ weight: bench.arena.matrix('w', 5, 27) }),
    ],
    ['views that are too small', /has 16 bytes/, ({ x, y }) => ({ x: { ...x, size: 16 }, y: { ...y, size: 16 } })],
  ])('a convolution refuses %s', (_, message, change) => {
    for (const launch of Object.values(launches(change))) {
      expect(launch).toThrow(ShapeError);
      expect(launch).toThrow(message);
    }
  });

  it('gathered operands without a row of zeros are refused', () => {
    const without = launches(({ x, y }) => ({ x: { ...x, zeroRow: undefined }, y: { ...y, zeroRow: undefined } }));
    expect(without.forward).toThrow(/conv1: x has no row of zeros/);
    expect(without.inputGradient).toThrow(/conv1: dy has no row of zeros/);
    expect(without.weightGradient).toThrow(/conv1: x has no row of zeros/);
    const elsewhere = launches(({ x }) => ({ x: { ...x, zeroRow: 3 } }));
    expect(elsewhere.forward).toThrow(/conv1: x has its row of zeros at 3, which is not behind its 60 rows/);
    const outside = launches(({ x }) => ({ x: { ...x, zeroRow: 61 } }));
    expect(outside.forward).toThrow(ShapeError);
  });

  it('biases of another layer and more images than workgroups are refused', () => {
    const bench = new Bench(device.gpu);
    const { x, y, weight } = operands(bench);
    const bias = bench.buffer(new Float32Array(4));
    const plain = { label: 'conv1', shape, x, y, pass: 'forward', weights: { kind: 'plain', weight, bias } } as const;
    expect(() => recordConv2d(bench.recorder, plain)).toThrow(/conv1: bias has 16 bytes, 20 are needed/);
    const fused = (batch: number, columns: number) => () => {
      const pixel = { ...shapeOf(batch, [1, 1], [4, 4], [1, 1, 0]) };
      const images = bench.arena.image('pixels', batch, 1, 1, 4);
      recordConv2d(bench.recorder, {
        label: 'conv1',
        shape: pixel,
        x: images,
        y: images,
        pass: 'forward',
        weights: {
          kind: 'fused',
          weight: { map: 0, origin: 0, rows: 4, columns: 4, stride: 16, fetch: fixedFetch(12) },
          bias: { map: 1, origin: 4, rows: 1, columns, stride: 16, fetch: fixedFetch(12) },
          codes: bias,
          faultTable: bias,
          perImage: true,
        },
      });
    };
    expect(fused(2, 5)).toThrow('conv1: bias is 1 x 5 but the result has 4 channels');
    expect(fused(70000, 4)).toThrow(LimitError);
    bench.arena.destroy();
  });
});

// Weights and bias in approximate memory, as in test/injection/fused.gpu.test.ts.
const [BITS, EXPONENT, RATE, READ, PASS] = [12, -11, 0.15, 40, 6];
const KEYS = { weight: tensorKey(1, 2, 3), bias: tensorKey(1, 2, 4) };

let bench: Bench;
afterEach(() => bench?.arena.destroy());

/**
 * Random codes of a convolution on the device, and the values that its reference returns for a read of a pass: weights
 * [oc, ky, kx, ic] and biases.
 * @param biasCount outChannels, or inChannels of a transposed convolution
 */
function memory(shape: ConvShape, biasCount: number, granularity: 0 | 1 | 2) {
  bench = new Bench(device.gpu);
  const columns = convWeightColumns(shape);
  const stride = roundUp(columns, 16);
  const rows = shape.outChannels;
  const weight = testTensor({ map: 1, origin: 2, rows, columns, stride }, BITS, EXPONENT, 1);
  const biasStride = roundUp(biasCount, 16);
  const biasTensor = { map: 0, origin: 2 + (roundUp(rows, 4) * stride) / 16, rows: 1, columns: biasCount };
  const bias = testTensor({ ...biasTensor, stride: biasStride }, BITS, EXPONENT, 2);
  const format = { bits: BITS, exponent: EXPONENT, rate: RATE, read: READ, granularity };
  const faultTable = bench.buffer(
    faultTableWords([
      { key: KEYS.bias, ...format },
      { key: KEYS.weight, ...format },
    ]),
  );
  const codes = memoryImage(bench, [weight, bias], biasTensor.origin + biasStride / 16);
  const key = (tensor: readonly [number, number], pass: number, image?: number) =>
    readKey(tensor, READ + (granularity > 0 ? PASS + pass : 0), image);
  const padded = (pass: number, image?: number) => weight.fetch(key(KEYS.weight, pass, image), RATE);
  const perImage = granularity === 2;
  return {
    fused: {
      kind: 'fused',
      weight: weight.tensor,
      bias: bias.tensor,
      codes,
      faultTable,
      perImage,
    } satisfies ConvWeights,
    weights: (pass: number, image?: number) => unpadWeights(shape, padded(pass, image), stride),
    pads: (pass: number) => padChannels(shape, padded(pass), stride),
    biases: (pass: number, image?: number) => bias.fetch(key(KEYS.bias, pass, image), RATE).subarray(0, biasCount),
  };
}

async function run(firstImage = 0): Promise<void> {
  const program = await bench.recorder.build('fused');
  program.setStep({ passIndex: PASS });
  program.setStep({ firstImage: firstImage });
  program.run();
}

const read = (matrix: Matrix) => readMatrix(device.gpu, matrix);

/** Bits of f32, with minus zero as zero: a sum that starts at +0 cannot keep the sign of a zero weight. */
const bits = (values: ArrayLike<number>) => new Uint32Array(Float32Array.from(values, (value) => value + 0).buffer);

const oneHot = (n: number) => Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));

/** Images as large as the kernel have one window. One image per weight of a row, each with a single 1, shows all weights. */
const windows = (inChannels: number, outChannels: number, kernelSize: number) => ({
  forward: shapeOf(
    kernelSize ** 2 * inChannels,
    [kernelSize, kernelSize],
    [inChannels, outChannels],
    [kernelSize, 1, 0],
  ),
  backward: shapeOf(outChannels, [kernelSize, kernelSize], [inChannels, outChannels], [kernelSize, 1, 0]),
});

describe.each([
  ['that are the same in all passes', 0, [3]],
  // Blocks of 16 codes lie in one tap, in two, in four, or start anywhere in one.
  ['drawn per pass', 1, [16, 20, 3, 5, 8, 33]],
  ['drawn per image', 2, [20, 5]],
] as const)('a fused convolution with faults %s', (_, granularity, channelCounts) => {
  const perImage = granularity === 2;
  const FIRST_IMAGE = 1000;

  it.each(channelCounts)(
    'forward: images with a single 1 return exactly the fetched weights and biases, %i channels',
    async (channels) => {
      const shape = windows(channels, 7, 3).forward;
      const { fused, weights, biases } = memory(shape, 7, granularity);
      const x = image(bench, shape.batch, largeSide(shape), oneHot(shape.batch));
      const [y, unbiased] = [0, 1].map(() => outputImage(bench, shape.batch, smallSide(shape)));
      recordConv2d(bench.recorder, { label: 'fused', shape, x, y, weights: fused, pass: 'forward' });
      recordConv2d(bench.recorder, { label: 'fused', shape, x, y: unbiased, weights: fused, pass: 'backward' });
      await run(FIRST_IMAGE);
      const imageOf = (n: number) => (perImage ? FIRST_IMAGE + n : undefined);
      const table = (value: (n: number, oc: number) => number) =>
        Float32Array.from({ length: shape.batch * 7 }, (_unused, i) => value(Math.floor(i / 7), i % 7));
      const of = (pass: number) => {
        const all = Array.from({ length: perImage ? shape.batch : 1 }, (_unused, n) => weights(pass, imageOf(n)));
        return (n: number, oc: number) => all[perImage ? n : 0][oc * shape.batch + n];
      };
      const [first, second] = [of(0), of(1)];
      const b = Array.from({ length: perImage ? shape.batch : 1 }, (_unused, n) => biases(0, imageOf(n)));
      // Weights and biases are multiples of one unit below 1, so f32 adds them exactly.
      expect(bits(await read(y))).toEqual(bits(table((n, oc) => first(n, oc) + b[perImage ? n : 0][oc])));
      expect(bits(await read(unbiased))).toEqual(bits(table(second)));
      expect(bits(table(first)).join() === bits(table(second)).join()).toBe(granularity === 0);
    },
  );

  it.each(channelCounts)(
    'input gradient: images with a single 1 return exactly the fetched weights and biases, %i channels',
    async (channels) => {
      const shape = windows(channels, 7, 3).backward;
      const { fused, weights, biases } = memory(shape, channels, granularity);
      const dy = image(bench, shape.batch, smallSide(shape), oneHot(shape.batch));
      const [dx, biased] = [0, 1].map(() => outputImage(bench, shape.batch, largeSide(shape)));
      recordConv2dInputGradient(bench.recorder, { label: 'fused', shape, dy, dx, weights: fused, pass: 'backward' });
      recordConv2dInputGradient(bench.recorder, {
        label: 'fused',
        shape,
        dy,
        dx: biased,
        weights: fused,
        pass: 'forward',
      });
      await run(FIRST_IMAGE);
      const length = 9 * channels;
      const table = (pass: number, bias: boolean) =>
        Array.from({ length: 7 }, (_unused, n) => {
          const image = perImage ? FIRST_IMAGE + n : undefined;
          const b = biases(pass, image);
          return Array.from(weights(pass, image).subarray(n * length, (n + 1) * length), (value, i) =>
            bias ? value + b[i % channels] : value,
          );
        }).flat();
      expect(bits(await read(dx))).toEqual(bits(table(1, false)));
      expect(bits(await read(biased))).toEqual(bits(table(0, true)));
    },
  );
});

/** Strided and padded convolutions with several images in a tile; the second has classes of pixels without taps. */
const FUSED_CASES = [shapeOf(3, [7, 6], [5, 9], [4, 2, 1]), shapeOf(2, [5, 8], [18, 6], [2, 3, 2])];

describe.each(FUSED_CASES.map((shape) => [name(shape), shape] as const))('a fused convolution %s', (_, shape) => {
  const { batch, inChannels, outChannels } = shape;
  const [large, small] = [largeSide(shape), smallSide(shape)];
  const x = randomValues(pixelCount(batch, large) * inChannels, 5);
  const dy = randomValues(pixelCount(batch, small) * outChannels, 6);
  const terms = tapsOf(shape) * Math.max(inChannels, outChannels);

  it('a fused batch gives the same as materialising and convolving', async () => {
    const { fused, weights, pads } = memory(shape, Math.max(inChannels, outChannels), 0);
    const { bias: _bias, ...unbiased } = fused;
    const fetched = bench.arena.matrix('fetched', roundUp(outChannels, 4), convWeightColumns(shape));
    const { weight: tensor, codes: source, faultTable } = fused;
    recordMaterialise(bench.recorder, { tensor, codes: source, faultTable, fetched, passOffset: 0 });
    const plain: ConvWeights = { kind: 'plain', weight: { ...fetched, rows: outChannels } };
    const common = { label: 'conv', shape, pass: 'forward', activation: 'tanh' } as const;
    const [a, gradient] = [image(bench, batch, large, x), image(bench, batch, small, dy)];
    const results = [unbiased, plain].map((source) => {
      const [y, dx] = [outputImage(bench, batch, small), outputImage(bench, batch, large)];
      recordConv2d(bench.recorder, { ...common, weights: source, x: a, y });
      recordConv2dInputGradient(bench.recorder, { ...common, weights: source, dy: gradient, dx });
      return { y, dx };
    });
    await run();
    // Pad channels are fetched like the others and may flip, but they are multiplied with zeros.
    if (inChannels % 4 !== 0) expect(pads(0).some((value) => value !== 0)).toBe(true);
    const w = weights(0);
    for (const { y, dx } of results) {
      expectAllclose(await read(y), conv2d(shape, x, w, undefined, 'tanh'), sumOf(terms), 'y');
      expectAllclose(await read(dx), conv2dInputGradient(shape, dy, w, undefined, 'tanh'), sumOf(terms), 'dx');
    }
  });

  it('images that read their own weights agree with the reference, however batches are cut', async () => {
    const one = { ...shape, batch: 1 };
    const part = (values: Float32Array, first: number, images: number) =>
      values.subarray((first * values.length) / batch, ((first + images) * values.length) / batch);
    const convolve = async (first: number, images: number) => {
      const cut = { ...shape, batch: images };
      const { fused } = memory(cut, outChannels, 2);
      const { bias: _bias, ...unbiased } = fused;
      const common = { label: 'conv', shape: cut, pass: 'forward' } as const;
      const [y, dx] = [outputImage(bench, images, small), outputImage(bench, images, large)];
      // The buffers fit the whole batch, because a row of zeros at another place needs another shader.
      const a = image(bench, images, large, part(x, first, images), Number.NaN, batch);
      const gradient = image(bench, images, small, part(dy, first, images), Number.NaN, batch);
      recordConv2d(bench.recorder, { ...common, weights: fused, x: a, y });
      recordConv2dInputGradient(bench.recorder, { ...common, weights: unbiased, dy: gradient, dx });
      await run(100 + first);
      const values = [await read(y), await read(dx)] as const;
      bench.arena.destroy();
      return values;
    };
    const [y, dx] = await convolve(0, batch);
    const { weights, biases } = memory(shape, outChannels, 2);
    for (let n = 0; n < batch; n++) {
      const [w, b] = [weights(0, 100 + n), biases(0, 100 + n)];
      expectAllclose(part(y, n, 1), conv2d(one, part(x, n, 1), w, b), sumOf(terms), `y of image ${n}`);
      expectAllclose(part(dx, n, 1), conv2dInputGradient(one, part(dy, n, 1), w), sumOf(terms), `dx of image ${n}`);
    }
    bench.arena.destroy();
    const [head, tail] = [await convolve(0, 1), await convolve(1, batch - 1)];
    expect([...head[0], ...tail[0]]).toEqual([...y]);
    expect([...head[1], ...tail[1]]).toEqual([...dx]);
  });
});

describe.each([
  ['forward', 37, 35],
  ['input gradient', 37, 35],
  ['forward', 1, 35],
  ['input gradient', 1, 35],
] as const)('%s with batch normalisation as its epilogue, %i -> %i channels', (direction, inChannels, outChannels) => {
  const shape = shapeOf(2, inChannels === 1 ? [24, 25] : [3, 4], [inChannels, outChannels], [3, 1, 1]);
  const [batch, large, small] = [shape.batch, largeSide(shape), smallSide(shape)];
  const forward = direction === 'forward';
  const [from, to] = forward ? [large, small] : [small, large];
  const channels = to[2];

  it('a fused epilogue gives the bits of a separate batch normalisation, with every kernel', async () => {
    const bench = new Bench(device.gpu);
    const { recorder } = bench;
    const weights: ConvWeights = {
      kind: 'plain',
      weight: weightMatrix(bench, shape, randomValues(outChannels * 9 * inChannels, 1)),
      bias: bench.matrix(1, channels, randomValues(channels, 2)),
    };
    const vector = (seed: number, offset: number) =>
      bench.matrix(
        1,
        channels,
        randomValues(channels, seed).map((value) => value + offset),
      );
    const normalisation = {
      gamma: vector(3, 0.5),
      beta: vector(4, 0),
      runningMean: vector(5, 1),
      runningVariance: vector(6, 1.1),
    };
    const input = image(bench, batch, from, randomValues(pixelCount(batch, from) * from[2], 7));
    const convolve = (args: Pick<ConvArguments, 'tile' | 'normalisation' | 'activation'>) => {
      const output = outputImage(bench, batch, to);
      const common = { label: 'convolution', shape, weights, pass: 'forward', ...args } as const;
      if (forward) recordConv2d(recorder, { ...common, x: input, y: output });
      else recordConv2dInputGradient(recorder, { ...common, dy: input, dx: output });
      return output;
    };
    const apart = outputImage(bench, batch, to);
    recordBatchNormInference(recorder, { ...normalisation, input: convolve({}), output: apart, activation: 'tanh' });
    // The first is what the launcher chooses: for one channel the special kernel, which one tile is enough to compare with.
    const tiles: (TileName | undefined)[] = [undefined, '8x8'];
    if (inChannels > 1) tiles.push('16x16', '16x8', '16x4');
    if (inChannels > 1 && device.gpu.quads) tiles.push('quad_16x32', 'quad_32x16', 'quad_16x16');
    const stored = tiles.map((tile) => convolve({ tile, normalisation, activation: 'tanh' }));
    (await recorder.build('convolutions')).run();
    const expected = await readMatrix(device.gpu, apart);
    expect(new Set(expected).size).toBeGreaterThan(500);
    for (const [i, output] of stored.entries()) {
      expect(await readMatrix(device.gpu, output), tiles[i]).toEqual(expected);
    }
    bench.arena.destroy();
  });

  it('a fused epilogue refuses a vector of another length and names it', () => {
    const bench = new Bench(device.gpu);
    const weights = {
      kind: 'plain',
      weight: weightMatrix(bench, shape, new Float32Array(outChannels * 9 * inChannels)),
    } as const;
    const [gamma, beta, runningMean] = [0, 1, 2].map(() => bench.output(1, channels));
    const normalisation = { gamma, beta, runningMean, runningVariance: bench.output(1, channels + 1) };
    const [input, output] = [outputImage(bench, batch, from), outputImage(bench, batch, to)];
    const args = { label: 'conv', shape, weights, pass: 'forward', normalisation } as const;
    const recorded = () =>
      forward
        ? recordConv2d(bench.recorder, { ...args, x: input, y: output })
        : recordConv2dInputGradient(bench.recorder, { ...args, dy: input, dx: output });
    expect(recorded).toThrow(`runningVariance is 1 x ${channels + 1}`);
    bench.arena.destroy();
  });
});

it("the size of a convolution's result follows from kernel, stride and padding", () => {
  const size = (n: number, kernelSize: number, stride: number, padding: number) =>
    convOutputSize({ height: n, width: n, kernelSize, stride, padding }).height;
  expect([size(5, 3, 1, 1), size(6, 3, 2, 1), size(4, 4, 1, 0), size(16, 4, 2, 1), size(7, 1, 3, 0)]).toEqual([
    5, 3, 1, 8, 3,
  ]);
});
