import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { recordAvgPool2dBackward, recordAvgPool2dForward } from '../../src/kernels/avg_pool.ts';
import { type PoolShape, windowsPerPixel } from '../../src/kernels/pool.ts';
import { type PoolWindows, poolShape } from '../../src/layers/pool_shape.ts';
import { avgPool2d, avgPool2dBackward } from '../../src/reference/pool.ts';
import { sumTolerance } from '../../src/reference/tolerances.ts';
import { expectAllclose } from '../support/allclose.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';
import { imageRows, imageRowsToWrite } from '../support/nhwc.ts';

const device = useGpu();

const WINDOWS: readonly (readonly [batch: number, height: number, width: number, windows: PoolWindows])[] = [
  [2, 7, 10, { kernelSize: 2 }],
  [1, 32, 32, { kernelSize: 32 }],
  [3, 7, 5, { kernelSize: [7, 5] }],
  [1, 1, 9, { kernelSize: 1, stride: 2 }],
  [2, 7, 9, { kernelSize: [2, 3], stride: [4, 3], padding: [1, 0, 1, 2], ceilMode: true }],
  [3, 9, 8, { kernelSize: 3, stride: 2, padding: 1 }],
  [2, 7, 9, { kernelSize: [2, 3], stride: [1, 2], padding: [1, 0] }],
  [1, 8, 5, { kernelSize: [3, 1], stride: [3, 2], ceilMode: true }],
  [3, 6, 7, { kernelSize: 3, stride: 2, padding: [0, 2, 1, 1] }],
  [1, 6, 6, { kernelSize: 3, stride: 2, padding: [1, 0, 2, 2], ceilMode: true }],
];

/** Two channel counts per shape, with and without padding in the mean. */
const CASES = WINDOWS.flatMap(([batch, height, width, windows], i) =>
  [true, false].map((countIncludePad, j) => {
    const channels = [1, 3, 5, 8, 17][(2 * i + j) % 5];
    const shape = poolShape('pool', batch, { height, width }, windows);
    const name = `${batch} x ${height} x ${width} x ${channels} ${JSON.stringify(windows)} ${countIncludePad}`;
    return { shape, channels, countIncludePad, name, seed: 2 * i + j };
  }),
);

function rowsOf({ batch, height, width, outHeight, outWidth }: PoolShape): { before: number; after: number } {
  return { before: batch * height * width, after: batch * outHeight * outWidth };
}

it('average pooling agrees with its reference', async () => {
  await checkKernel(device.gpu, (bench) =>
    CASES.map(({ shape, channels, countIncludePad, name, seed }): Output => {
      const { before, after } = rowsOf(shape);
      const x = randomValues(before * channels, seed);
      // Vectors have wider rows than images.
      const output = seed % 4 ? imageRowsToWrite(bench, after, channels) : bench.output(after, channels);
      recordAvgPool2dForward(bench.recorder, { shape, countIncludePad, input: imageRows(bench, before, x), output });
      const expected = avgPool2d(shape, x, channels, countIncludePad);
      return { name, view: output, expected, tolerance: sumTolerance(shape.kernelSize[0] + shape.kernelSize[1]) };
    }),
  );
});

it('average pooling backward agrees with its reference', async () => {
  await checkKernel(device.gpu, (bench) =>
    CASES.map(({ shape, channels, countIncludePad, name, seed }): Output => {
      const { before, after } = rowsOf(shape);
      const dy = randomValues(after * channels, seed);
      const gradOutput = seed % 4 ? imageRows(bench, after, dy) : bench.matrix(after, channels, dy);
      const gradInput = imageRowsToWrite(bench, before, channels);
      recordAvgPool2dBackward(bench.recorder, { shape, countIncludePad, gradOutput, gradInput });
      const expected = avgPool2dBackward(shape, dy, channels, countIncludePad);
      return { name, view: gradInput, expected, tolerance: sumTolerance(windowsPerPixel(shape)) };
    }),
  );
});

it('the reference of average pooling backward is the transpose of the reference forward', () => {
  // The forward pass is linear, so (dy, A x) = (Aᵀ dy, x) for all x and dy means that the gradient is right.
  for (const { shape, channels, countIncludePad, name } of CASES) {
    const { before, after } = rowsOf(shape);
    for (const seed of [1, 2, 3]) {
      const [x, dy] = [randomValues(before * channels, seed), randomValues(after * channels, seed + 10)];
      const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
        Array.from(a, (v, i) => v * b[i]).reduce((s, v) => s + v);
      const forward = dot(avgPool2d(shape, x, channels, countIncludePad), dy);
      expect(forward, name).toBeCloseTo(dot(avgPool2dBackward(shape, dy, channels, countIncludePad), x), 10);
    }
  }
});

it('average pooling divides as PyTorch does at the edges', () => {
  const averaged = (windows: PoolWindows, countIncludePad: boolean) => {
    const shape = poolShape('pool', 1, { height: 1, width: 5 }, windows);
    return avgPool2d(shape, [2, 4, 6, 8, 10], 1, countIncludePad);
  };
  const row = { kernelSize: [1, 3], stride: [1, 2] } as const;
  const near = { relative: 1e-12, absolute: 0 };
  const padded = { ...row, padding: [0, 1] } as const;
  expectAllclose(averaged(padded, true), [6 / 3, 18 / 3, 18 / 3], near, 'with padding in the mean');
  expectAllclose(averaged(padded, false), [6 / 2, 18 / 3, 18 / 2], near, 'without padding in the mean');
  // The window that only partly fits counts its pixels up to the end of the padded image.
  const partly = { kernelSize: [1, 4], stride: [1, 3], ceilMode: true } as const;
  expectAllclose(averaged(partly, true), [20 / 4, 18 / 2], near, 'ceilMode');
  expectAllclose(averaged({ ...partly, padding: [0, 1] }, true), [12 / 4, 24 / 4], near, 'ceilMode and padding');
  expectAllclose(averaged({ ...partly, padding: [0, 0, 0, 1] }, true), [20 / 4, 18 / 3], near, 'padding at the right');
  expectAllclose(
    averaged({ ...partly, padding: [0, 0, 0, 1] }, false),
    [20 / 4, 18 / 2],
    near,
    'padding not in the mean',
  );
});

it('average pooling names the shapes that disagree', () => {
  const bench = new Bench(device.gpu);
  const shape = poolShape('pool', 2, { height: 6, width: 6 }, { kernelSize: 2 });
  const [input, output] = [imageRowsToWrite(bench, 72, 3), imageRowsToWrite(bench, 18, 3)];
  const record = (changed: object) => () =>
    recordAvgPool2dForward(bench.recorder, { shape, countIncludePad: true, input, output, ...changed });
  expect(record({})).not.toThrow();
  expect(record({ output: input })).toThrow(ShapeError);
  expect(record({ shape: { ...shape, padding: [2, 0, 0, 0] } })).toThrow(/avg_pool2d_forward: .*padding must be/);
  bench.arena.destroy();
});
