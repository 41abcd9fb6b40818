import { describe, expect, it } from 'vitest';
import type { Matrix } from '../../src/gpu/arena.ts';
import type { ElementwiseFunction } from '../../src/kernels/activation.ts';
import { ACTIVATION } from '../../src/layers/activation.ts';
import { ADD } from '../../src/layers/add.ts';
import { AVG_POOL } from '../../src/layers/avg_pool.ts';
import { CONCAT } from '../../src/layers/concat.ts';
import { GLOBAL_AVG_POOL } from '../../src/layers/global_avg_pool.ts';
import {
  type ImageShape,
  INFERENCE,
  type LayerKind,
  type LayerRun,
  planImages,
  sizeOf,
  vectorShape,
} from '../../src/layers/layer.ts';
import { MAX_POOL } from '../../src/layers/max_pool.ts';
import { NORMALISE } from '../../src/layers/normalise.ts';
import { PAD } from '../../src/layers/pad.ts';
import { type PoolWindows, poolShape } from '../../src/layers/pool_shape.ts';
import { RESHAPE_CHANNELS_FIRST } from '../../src/layers/reshape_channels_first.ts';
import { LOG_SOFTMAX, SOFTMAX } from '../../src/layers/softmax.ts';
import { activationBackward, activationForward } from '../../src/reference/activation.ts';
import { copyWindow, reshapeChannelsFirst } from '../../src/reference/copy_window.ts';
import { normalise } from '../../src/reference/norm.ts';
import { avgPool2d, avgPool2dBackward, maxPool2d, maxPool2dBackward } from '../../src/reference/pool.ts';
import { logSoftmaxForward, softmaxBackward, softmaxForward } from '../../src/reference/softmax.ts';
import { sumTolerance, TOLERANCES, type Tolerance } from '../../src/reference/tolerances.ts';
import { expectAllclose } from '../support/allclose.ts';
import { Bench, randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { toNchw, toNhwc } from '../support/nhwc.ts';

const device = useGpu();

type Values = ArrayLike<number>;

/** A layer, its float64 reference, and a batch for it. */
interface Case {
  readonly name: string;
  readonly batch: number;
  readonly inputs: readonly ImageShape[];
  readonly output: ImageShape;
  /** Output for inputs in NHWC order without pads. */
  forward(xs: readonly Values[]): Float64Array;
  /** Gradients by input, from the gradient of the output. */
  backward(xs: readonly Values[], dy: Values): readonly Values[];
  record(bench: Bench, xs: readonly Matrix[], y: Matrix, dy: Matrix, dxs: readonly Matrix[]): void;
  readonly tolerance: Tolerance;
}

function caseOf<Spec extends { name: string }>(
  kind: LayerKind<Spec>,
  spec: Spec,
  batch: number,
  tolerance: Tolerance,
  reference: Pick<Case, 'forward' | 'backward'>,
): Case {
  return {
    ...reference,
    name: `${JSON.stringify(spec)} x ${batch}`,
    batch,
    inputs: kind.inputs?.(spec) ?? [kind.input(spec)],
    output: kind.output(spec),
    tolerance,
    record({ recorder, arena }, xs, y, dy, dxs) {
      const saved = kind.save?.(arena, spec, batch) ?? {};
      const weights = () => {
        throw new Error('this layer has no weights');
      };
      const run: LayerRun<Spec> = { recorder, arena, spec, batch, mode: INFERENCE, x: xs[0], xs, y, saved, weights };
      kind.forward(run);
      kind.backward(run, { dy, dx: dxs[0], dxs });
    },
  };
}

const IMAGES: readonly (readonly [batch: number, height: number, width: number, channels: number])[] = [
  [1, 5, 7, 1],
  [3, 4, 6, 3],
  [1, 6, 5, 17],
  [3, 7, 4, 5],
];
const shapeOf = ([, height, width, channels]: (typeof IMAGES)[number]): ImageShape => ({ height, width, channels });

/** One case per batch of images. */
const forImages = (make: (input: ImageShape, batch: number, index: number) => Case) =>
  IMAGES.map((images, i) => make(shapeOf(images), images[0], i));

const activation = (fn: ElementwiseFunction) =>
  forImages((input, batch) =>
    caseOf(ACTIVATION, { kind: 'activation', name: 'act', input, function: fn }, batch, TOLERANCES.activationBackward, {
      forward: ([x]) => activationForward(fn, x),
      backward: ([x], dy) => [activationBackward(fn, activationForward(fn, x), dy)],
    }),
  );

const WINDOWS: readonly PoolWindows[] = [
  { kernelSize: 2 },
  { kernelSize: [3, 2], stride: [1, 2], padding: [1, 0] },
  { kernelSize: 3, stride: 2, padding: [0, 1, 1, 2] },
  { kernelSize: [2, 3], stride: 2, padding: 1, ceilMode: true },
];

const maxPool = forImages((input, batch, i) => {
  const shape = poolShape('pool', batch, input, WINDOWS[i]);
  const act = i % 2 ? 'relu' : 'relu6';
  const pooled = (x: Values) => maxPool2d(shape, x, input.channels);
  return caseOf(
    MAX_POOL,
    { kind: 'max_pool', name: 'pool', input, ...WINDOWS[i], activation: act },
    batch,
    sumTolerance(9),
    {
      forward: ([x]) => activationForward(act, pooled(x).output),
      backward([x], dy) {
        const { output, chosen } = pooled(x);
        const passed = activationBackward(act, activationForward(act, output), dy);
        return [maxPool2dBackward(shape, chosen, passed, input.channels)];
      },
    },
  );
});

const avgPool = forImages((input, batch, i) => {
  const windows = WINDOWS[(i + 1) % 4];
  const shape = poolShape('pool', batch, input, windows);
  const countIncludePad = i % 2 === 0;
  const spec = { kind: 'avg_pool', name: 'pool', input, ...windows, countIncludePad } as const;
  return caseOf(AVG_POOL, spec, batch, sumTolerance(9), {
    forward: ([x]) => avgPool2d(shape, x, input.channels, countIncludePad),
    backward: (_, dy) => [avgPool2dBackward(shape, dy, input.channels, countIncludePad)],
  });
});

const globalAvgPool = forImages((input, batch) => {
  const { height, width, channels } = input;
  const pixels = height * width;
  return caseOf(GLOBAL_AVG_POOL, { kind: 'global_avg_pool', name: 'pool', input }, batch, sumTolerance(12), {
    forward([x]) {
      const y = new Float64Array(batch * channels);
      for (let i = 0; i < x.length; i++)
        y[Math.floor(i / (pixels * channels)) * channels + (i % channels)] += x[i] / pixels;
      return y;
    },
    backward: ([x], dy) => [
      Float64Array.from(x, (_, i) => dy[Math.floor(i / (pixels * channels)) * channels + (i % channels)] / pixels),
    ],
  });
});

const add = forImages((input, batch, i) => {
  const [count, act] = (
    [
      [2, 'none'],
      [3, 'relu'],
      [5, 'relu6'],
      [2, 'sigmoid'],
    ] as const
  )[i];
  const sum = (xs: readonly Values[]) => Float64Array.from(xs[0], (_, j) => xs.reduce((total, x) => total + x[j], 0));
  return caseOf(
    ADD,
    { kind: 'add', name: 'add', input, count, activation: act },
    batch,
    TOLERANCES.activationBackward,
    {
      forward: (xs) => activationForward(act, sum(xs)),
      backward: (xs, dy) => xs.map(() => activationBackward(act, activationForward(act, sum(xs)), dy)),
    },
  );
});

/** Channels of the inputs: aligned to vectors, all in one vector, and across vectors; then vectors instead of images. */
const CONCATS: readonly (readonly [ImageShape, batch: number, channels: readonly number[]])[] = [
  [{ height: 3, width: 4, channels: 0 }, 1, [4, 8, 5]],
  [{ height: 2, width: 5, channels: 0 }, 3, [1, 1, 2]],
  [{ height: 5, width: 2, channels: 0 }, 3, [3, 5, 17, 1]],
  [vectorShape(0), 3, [17, 3]],
];

const concat = CONCATS.map(([size, batch, channels]) => {
  const inputs = channels.map((each) => ({ ...size, channels: each }));
  const total = channels.reduce((sum, each) => sum + each, 0);
  const rows = batch * size.height * size.width;
  const first = channels.map((_, i) => channels.slice(0, i).reduce((sum, each) => sum + each, 0));
  return caseOf(CONCAT, { kind: 'concat', name: 'concat', inputs }, batch, TOLERANCES.exact, {
    forward: (xs) =>
      Float64Array.from(
        Array.from({ length: rows }, (_, row) =>
          xs.flatMap((x, i) => Array.from(x).slice(row * channels[i], (row + 1) * channels[i])),
        ).flat(),
      ),
    backward: (xs, dy) =>
      xs.map((x, i) => Array.from(x, (_, j) => dy[Math.floor(j / channels[i]) * total + first[i] + (j % channels[i])])),
  });
});

const PADDINGS = [2, [1, 0], [0, 3, 1, 2], [-1, 1, 2, -2]] as const;

const pad = forImages((input, batch, i) => {
  const spec = { kind: 'pad', name: 'pad', input, padding: PADDINGS[i], value: i % 2 ? -1.5 : undefined } as const;
  const output = PAD.output(spec);
  const [top, left] = [
    [2, 2],
    [1, 0],
    [0, 3],
    [-1, 1],
  ][i];
  const { channels } = input;
  return caseOf(PAD, spec, batch, TOLERANCES.exact, {
    forward([x]) {
      const y = new Float64Array(batch * sizeOf(output));
      const copy = { batch, from: input, to: output, top: -top, left: -left, channels, fill: spec.value };
      copyWindow(copy, x, channels, y, channels);
      return y;
    },
    backward([x], dy) {
      const dx = new Float64Array(x.length);
      copyWindow({ batch, from: output, to: input, top, left, channels }, dy, channels, dx, channels);
      return [dx];
    },
  });
});

const normaliseCases = forImages((input, batch) => {
  const mean = Array.from({ length: input.channels }, (_, c) => 0.25 + c / 32);
  const deviation = Array.from({ length: input.channels }, (_, c) => 0.5 + c / 8);
  const spec = { kind: 'normalise', name: 'normalise', input, mean, deviation } as const;
  return caseOf(NORMALISE, spec, batch, TOLERANCES.normalise, {
    forward: ([x]) => normalise(x, mean, deviation),
    backward: (_, dy) => [Float64Array.from(dy as number[], (value, i) => value / deviation[i % input.channels])],
  });
});

const RESHAPES: readonly (readonly [batch: number, from: ImageShape, to: ImageShape])[] = [
  [1, { height: 2, width: 3, channels: 5 }, vectorShape(30)],
  [3, vectorShape(30), { height: 3, width: 2, channels: 5 }],
  [3, { height: 4, width: 3, channels: 5 }, { height: 2, width: 5, channels: 6 }],
  [3, { height: 5, width: 7, channels: 1 }, vectorShape(35)],
];

const reshape = RESHAPES.map(([batch, input, output]) => {
  const [from, to] = [input, output].map(({ height, width, channels }) => ({ pixels: height * width, channels }));
  const spec = { kind: 'reshape_channels_first', name: 'reshape', input, output } as const;
  return caseOf(RESHAPE_CHANNELS_FIRST, spec, batch, TOLERANCES.exact, {
    forward: ([x]) => reshapeChannelsFirst(x, from, to),
    backward: (_, dy) => [reshapeChannelsFirst(dy, to, from)],
  });
});

/** Vectors, whose rows are wider than those of images, and one image. */
const SOFTMAX_SHAPES: readonly (readonly [batch: number, ImageShape])[] = [
  [1, vectorShape(1)],
  [3, vectorShape(17)],
  [3, vectorShape(1001)],
  [3, { height: 2, width: 3, channels: 5 }],
];

const softmax = SOFTMAX_SHAPES.flatMap(([batch, input]) => {
  const { channels } = input;
  const tolerance = { relative: 2e-6, absolute: sumTolerance(channels).absolute + TOLERANCES.cross_entropy.absolute };
  return [
    caseOf(SOFTMAX, { kind: 'softmax', name: 'softmax', input }, batch, tolerance, {
      forward: ([x]) => softmaxForward(x, channels),
      backward: ([x], dy) => [softmaxBackward(softmaxForward(x, channels), dy, channels, false)],
    }),
    caseOf(LOG_SOFTMAX, { kind: 'log_softmax', name: 'log_softmax', input }, batch, tolerance, {
      forward: ([x]) => logSoftmaxForward(x, channels),
      backward: ([x], dy) => [softmaxBackward(logSoftmaxForward(x, channels), dy, channels, true)],
    }),
  ];
});

const KINDS: readonly (readonly [kind: string, cases: readonly Case[]])[] = [
  ['relu6', activation('relu6')],
  ['sigmoid', activation('sigmoid')],
  ['clip', activation({ name: 'clip', low: 0.25, high: 1 })],
  ['leaky_relu', activation({ name: 'leaky_relu', slope: 0.25 })],
  ['max_pool', maxPool],
  ['avg_pool', avgPool],
  ['global_avg_pool', globalAvgPool],
  ['add', add],
  ['concat', concat],
  ['pad', pad],
  ['normalise', normaliseCases],
  ['reshape_channels_first', reshape],
  ['softmax', softmax],
];

/** A batch whose values all differ by more than the steps of finite differences, so that no maximum changes. */
function inputsOf({ inputs, batch }: Case): Float32Array<ArrayBuffer>[] {
  return inputs.map((shape, k) => {
    const count = batch * sizeOf(shape);
    return Float32Array.from({ length: count }, (_, i) => (((i * 7919 + k * 31) % count) + 0.5) * (4 / count) - 2);
  });
}

const gradientOf = ({ output, batch }: Case) => randomValues(batch * sizeOf(output), 7);

describe.each(KINDS)('a layer of kind %s', (_, cases) => {
  it('the layer agrees with its reference forward and backward, and writes zeros to pads', async () => {
    const { gpu } = device;
    const bench = new Bench(gpu);
    const outputs = cases.map((each) => {
      const plan = (shape: ImageShape, values?: Values): Matrix => {
        const matrix = planImages(bench.arena, each.name, each.batch, shape);
        if (values) writeMatrix(gpu, matrix, values);
        else gpu.write(matrix, new Float32Array(matrix.rows * matrix.stride).fill(99));
        return matrix;
      };
      const values = inputsOf(each);
      const xs = each.inputs.map((shape, i) => plan(shape, values[i]));
      const [y, dy] = [plan(each.output), plan(each.output, gradientOf(each))];
      const dxs = each.inputs.map((shape) => plan(shape));
      each.record(bench, xs, y, dy, dxs);
      return { y, dxs };
    });
    (await bench.recorder.build('layers')).run();
    for (const [i, each] of cases.entries()) {
      const xs = inputsOf(each);
      const { y, dxs } = outputs[i];
      expectAllclose(await readMatrix(gpu, y, each.name), each.forward(xs), each.tolerance, each.name);
      for (const [k, expected] of each.backward(xs, gradientOf(each)).entries()) {
        const actual = await readMatrix(gpu, dxs[k], each.name);
        expectAllclose(actual, expected, each.tolerance, `${each.name}: gradient of input ${k}`);
      }
    }
    bench.arena.destroy();
  });

  it('the reference of the layer backward is the derivative of the reference forward', () => {
    for (const each of cases) {
      const [xs, dy] = [inputsOf(each).map((x) => Float64Array.from(x)), gradientOf(each)];
      const gradients = each.backward(xs, dy);
      const loss = () => each.forward(xs).reduce((sum, value, i) => sum + value * dy[i], 0);
      for (const [k, x] of xs.entries()) {
        for (let i = 0; i < x.length; i += Math.ceil(x.length / 23)) {
          const [before, step] = [x[i], 1e-5];
          x[i] = before + step;
          const above = loss();
          x[i] = before - step;
          const slope = (above - loss()) / (2 * step);
          x[i] = before;
          expect(slope, `${each.name}: input ${k}, element ${i}`).toBeCloseTo(gradients[k][i], 6);
        }
      }
    }
  });
});

it('reshaping keeps the order of values that PyTorch has', () => {
  for (const [batch, from, to] of RESHAPES) {
    const planes = randomValues(batch * sizeOf(from), 3);
    const x = toNhwc(planes, [batch, from.channels, from.height, from.width]);
    const pixels = ({ height, width, channels }: ImageShape) => ({ pixels: height * width, channels });
    const y = reshapeChannelsFirst(x, pixels(from), pixels(to));
    expect(toNchw(y, [batch, to.channels, to.height, to.width])).toEqual(planes);
  }
});

it('padding surrounds an image with its value, and negative padding crops it', () => {
  const padded = (padding: readonly [number, number, number, number], value: number) => {
    const from = { height: 2, width: 3, channels: 1 };
    const to = PAD.output({ kind: 'pad', name: 'pad', input: from, padding });
    const y = new Float64Array(sizeOf(to));
    const [top, left] = [-padding[0], -padding[1]];
    copyWindow({ batch: 1, from, to, top, left, channels: 1, fill: value }, [1, 2, 3, 4, 5, 6], 1, y, 1);
    return [...y];
  };
  expect(padded([1, 0, 0, 1], 9)).toEqual([9, 9, 9, 9, 1, 2, 3, 9, 4, 5, 6, 9]);
  expect(padded([0, -1, -1, 1], 9)).toEqual([2, 3, 9]);
});

it('layers name what is wrong with their specification', () => {
  const input = { height: 2, width: 3, channels: 2 };
  expect(() => PAD.output({ kind: 'pad', name: 'crop', input, padding: [-1, 0, -1, 0] })).toThrow(
    /crop: images of 2 x 3 with padding -1, 0, -1, 0 are 0 x 3/,
  );
  const bench = new Bench(device.gpu);
  const [x, y] = [planImages(bench.arena, 'x', 1, input), planImages(bench.arena, 'y', 1, input)];
  const run = { recorder: bench.recorder, arena: bench.arena, batch: 1, mode: INFERENCE, x, xs: [x], y, saved: {} };
  const weights = () => {
    throw new Error('this layer has no weights');
  };
  const record = (mean: number[], deviation: number[]) => () => {
    const spec = { kind: 'normalise', name: 'pixels', input, mean, deviation } as const;
    const saved = NORMALISE.save?.(bench.arena, spec, 1) ?? {};
    NORMALISE.forward({ ...run, saved, weights, spec });
  };
  expect(record([0, 0], [1, 1])).not.toThrow();
  expect(record([0], [1, 1])).toThrow(/pixels.mean: 1 values for 2 channels; give one per channel/);
  expect(record([0, 0], [1, 0])).toThrow(/pixels.deviation\[1\]: 0 is not a number above 0/);
  const one = { ...run, weights, spec: { kind: 'add', name: 'add', input, count: 1, activation: 'none' } as const };
  expect(() => ADD.forward(one)).toThrow(/add: 1 inputs; at least two are needed/);
  bench.arena.destroy();
});
