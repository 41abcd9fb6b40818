import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import type { Matrix } from '../../src/gpu/arena.ts';
import type { BufferView } from '../../src/gpu/guarded_device.ts';
import type { Activation } from '../../src/kernels/activation.ts';
import {
  type PoolShape,
  recordMaxPool2dBackward,
  recordMaxPool2dForward,
  windowsPerPixel,
} from '../../src/kernels/pool.ts';
import { type PoolWindows, poolShape } from '../../src/layers/pool_shape.ts';
import { activationBackward, activationForward } from '../../src/reference/activation.ts';
import { maxPool2d, maxPool2dBackward } from '../../src/reference/pool.ts';
import { sumTolerance, TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { imageRows, imageRowsToWrite } from '../support/nhwc.ts';

const device = useGpu();

const WINDOWS: readonly (readonly [batch: number, height: number, width: number, windows: PoolWindows])[] = [
  [2, 7, 10, { kernelSize: 2 }],
  [1, 2, 2, { kernelSize: 2 }],
  [1, 5, 3, { kernelSize: 1 }],
  [1, 1, 9, { kernelSize: 1, stride: 2 }],
  [3, 9, 8, { kernelSize: 3, stride: 2, padding: 1 }],
  [2, 6, 7, { kernelSize: 3, stride: 1, padding: 1 }],
  [2, 11, 5, { kernelSize: 2, stride: 3 }],
  [2, 5, 13, { kernelSize: 5, stride: 1, padding: 2 }],
  [1, 3, 4, { kernelSize: 4, padding: 2 }],
  [2, 7, 9, { kernelSize: [2, 3], stride: [1, 2], padding: [1, 0] }],
  [1, 8, 5, { kernelSize: [3, 1], stride: [3, 2], ceilMode: true }],
  [3, 6, 7, { kernelSize: 3, stride: 2, padding: [0, 2, 1, 1] }],
  [1, 6, 6, { kernelSize: 3, stride: 2, padding: [1, 0, 2, 2], ceilMode: true }],
];

const SHAPES = WINDOWS.map(([batch, height, width, windows]) => poolShape('pool', batch, { height, width }, windows));

const ACTIVATIONS: readonly Activation[] = ['relu', 'none', 'tanh', 'sigmoid'];

/**
 * Three channel counts per shape. Every second case has many equal values. The first case of a shape has relu, as in the
 * published classifier.
 */
const CASES = SHAPES.flatMap((shape, i) =>
  [0, 1, 3].map((step) => {
    const channels = [1, 3, 4, 5, 8, 17][(i + step) % 6];
    const values = randomValues(shape.batch * shape.height * shape.width * channels, 10 * i + step, 3);
    const activation = ACTIVATIONS[step === 0 ? 0 : (i + step) % 4];
    return { shape, channels, activation, x: (i + step) % 2 ? values.map(Math.round) : values };
  }),
);

function nameOf({ shape, channels, activation }: (typeof CASES)[number]): string {
  const { batch, height, width, kernelSize, stride, padding } = shape;
  return `${batch} x ${height} x ${width} x ${channels}, windows of ${kernelSize} / ${stride} + ${padding}, ${activation}`;
}

function rowsOf({ batch, height, width, outHeight, outWidth }: PoolShape): { before: number; after: number } {
  return { before: batch * height * width, after: batch * outHeight * outWidth };
}

/** Values of rows of `channels` with zero pads up to `stride`. */
function padRows(values: Uint32Array, channels: number, stride: number): Uint32Array<ArrayBuffer> {
  const padded = new Uint32Array((values.length / channels) * stride);
  values.forEach((value, i) => {
    padded[Math.floor(i / channels) * stride + (i % channels)] = value;
  });
  return padded;
}

/** A buffer for the positions of the maxima of an output, with garbage everywhere, also in the pads. */
function placesToWrite(bench: Bench, { rows, stride }: Matrix): BufferView {
  return bench.buffer(new Uint32Array(rows * stride).fill(77));
}

it('max pooling agrees with its reference, also in the positions of the maxima', async () => {
  await checkKernel(device.gpu, (bench) =>
    CASES.flatMap((each, i): Output[] => {
      const { shape, channels, activation, x } = each;
      const { before, after } = rowsOf(shape);
      // Vectors have wider rows than images.
      const output = i % 4 ? imageRowsToWrite(bench, after, channels) : bench.output(after, channels);
      const chosen = placesToWrite(bench, output);
      recordMaxPool2dForward(bench.recorder, { shape, input: imageRows(bench, before, x), output, chosen, activation });
      const pooled = maxPool2d(shape, x, channels);
      const expected = activationForward(activation, pooled.output);
      const places = padRows(pooled.chosen, channels, output.stride);
      const name = nameOf(each);
      return [
        { name, view: output, expected, tolerance: TOLERANCES[activation] },
        { name: `${name}: chosen`, view: chosen, expected: places, tolerance: TOLERANCES.exact, type: 'u32' },
      ];
    }),
  );
});

it('max pooling backward agrees with its reference', async () => {
  await checkKernel(device.gpu, (bench) =>
    CASES.map((each, i): Output => {
      const { shape, channels, activation, x } = each;
      const { before, after } = rowsOf(shape);
      const dy = randomValues(after * channels, i + 500);
      const { chosen, output } = maxPool2d(shape, x, channels);
      const y = Float32Array.from(activationForward(activation, output));
      const coarse = (values: Float32Array) =>
        i % 4 ? imageRows(bench, after, values) : bench.matrix(after, channels, values);
      const gradOutput = coarse(dy);
      const activated = activation === 'none' ? undefined : { activation, output: coarse(y) };
      const gradInput = imageRowsToWrite(bench, before, channels);
      const places = bench.buffer(padRows(chosen, channels, gradOutput.stride));
      recordMaxPool2dBackward(bench.recorder, { shape, chosen: places, activated, gradOutput, gradInput });
      return {
        name: nameOf(each),
        view: gradInput,
        expected: maxPool2dBackward(shape, chosen, activationBackward(activation, y, dy), channels),
        tolerance: sumTolerance(windowsPerPixel(shape)),
      };
    }),
  );
});

it('the reference of max pooling backward is the derivative of the reference forward', () => {
  for (const { shape, channels, x } of CASES) {
    // Maxima far enough apart that a small step changes none: all values differ.
    const values = Float64Array.from(x, (_, i) => ((i * 7919) % x.length) / x.length);
    const { output, chosen } = maxPool2d(shape, values, channels);
    const dy = randomValues(output.length, 1);
    const gradient = maxPool2dBackward(shape, chosen, dy, channels);
    const loss = (at: Float64Array) =>
      maxPool2d(shape, at, channels).output.reduce((sum, value, i) => sum + value * dy[i], 0);
    const step = 0.2 / x.length;
    for (let i = 0; i < values.length; i += 7) {
      const moved = (by: number) => values.map((value, j) => (i === j ? value + by : value));
      expect((loss(moved(step)) - loss(moved(-step))) / (2 * step)).toBeCloseTo(gradient[i], 8);
    }
  }
});

it('max pooling propagates NaN, compares infinities like numbers and chooses the first of equal values', async () => {
  const { NaN: nan, NEGATIVE_INFINITY: low, POSITIVE_INFINITY: high } = Number;
  const windows = [
    [1, nan, 3, 4],
    [nan, 9, nan, 9],
    [low, low, low, low],
    [low, -3e38, high, high],
    [0, -0, 0, 0],
    [-2, -1, -1, -3],
  ];
  const shape = poolShape('pool', 1, { height: 2, width: 2 }, { kernelSize: 2 });
  const x = Float32Array.from({ length: 24 }, (_, i) => windows[i % 6][Math.floor(i / 6)]);
  const bench = new Bench(device.gpu);
  const output = imageRowsToWrite(bench, 1, 6);
  const chosen = placesToWrite(bench, output);
  recordMaxPool2dForward(bench.recorder, { shape, input: imageRows(bench, 4, x), output, chosen });
  (await bench.recorder.build('pool')).run();
  expect([...(await readMatrix(device.gpu, output))]).toEqual([nan, nan, low, high, 0, -1]);
  expect([...(await device.gpu.readWords(chosen))].slice(0, 6)).toEqual([1, 2, 0, 2, 0, 1]);
  expect([...maxPool2d(shape, x, 6).chosen]).toEqual([1, 2, 0, 2, 0, 1]);
  bench.arena.destroy();
});

it('max pooling counts and fills windows as PyTorch does', async () => {
  const pooled = (size: number, windows: PoolWindows, x: number[]) => {
    const shape = poolShape('pool', 1, { height: 1, width: size }, windows);
    return [...maxPool2d(shape, x, 1).output];
  };
  const row = { kernelSize: [1, 2], stride: [1, 2] } as const;
  // The last window of five pixels only partly fits; with padding after the image it would begin beyond it, and is dropped.
  expect(pooled(5, row, [5, 1, 2, 3, 4])).toEqual([5, 3]);
  expect(pooled(5, { ...row, ceilMode: true }, [5, 1, 2, 3, 4])).toEqual([5, 3, 4]);
  expect(pooled(5, { ...row, padding: [0, 1], ceilMode: true }, [5, 1, 2, 3, 4])).toEqual([5, 2, 4]);
  // Padding is not zero: it never wins.
  expect(pooled(3, { ...row, padding: [0, 1] }, [-5, -1, -2])).toEqual([-5, -1]);
});

it('max pooling names the shapes that disagree', () => {
  const bench = new Bench(device.gpu);
  const shape = poolShape('pool', 2, { height: 6, width: 6 }, { kernelSize: 2 });
  const input = imageRowsToWrite(bench, 72, 3);
  const output = imageRowsToWrite(bench, 18, 3);
  const chosen = placesToWrite(bench, output);
  const record = (changed: object) => () =>
    recordMaxPool2dForward(bench.recorder, { shape, input, output, chosen, ...changed });
  expect(record({})).not.toThrow();
  expect(record({ shape: { ...shape, batch: 3 } })).toThrow(ShapeError);
  expect(record({ output: imageRowsToWrite(bench, 17, 3) })).toThrow(
    /output is 17 x 3 but 2 images of 3 x 3 are 18 x 3/,
  );
  expect(record({ chosen: { ...chosen, size: 16 } })).toThrow(/chosen has 16 bytes, 288 are needed/);
  expect(record({ shape: { ...shape, padding: [0, 0, 2, 0] } })).toThrow(/padding must be an integer from 0 to below/);
  expect(record({ shape: { ...shape, outWidth: 4 } })).toThrow(/the last windows begin beyond the image/);
  expect(record({ shape: { ...shape, stride: [0, 2] } })).toThrow(/positive/);
  expect(() => poolShape('pool', 1, { height: 6, width: 6 }, { kernelSize: 7 })).toThrow(/larger than the padded/);
  bench.arena.destroy();
});
