import { expect, it } from 'vitest';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { recordNonLocalMeans, recordSharpen, recordTotalVariation } from '../../src/kernels/image.ts';
import { nonLocalMeans, sharpen, totalVariation, totalVariationGradient } from '../../src/reference/image.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';

const device = useGpu();

/** Images, height, width: single pixels, lines, columns and images smaller than a search window. */
const IMAGES: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [2, 1, 7],
  [2, 5, 1],
  [1, 2, 2],
  [5, 8, 5],
  [3, 13, 10],
  [2, 32, 31],
];

/** A smooth face-like pattern with noise, 0..1. */
const picture = (count: number, height: number, width: number, seed: number) =>
  randomValues(count * height * width, seed, 0.1).map((noise, i) => {
    const [line, column] = [Math.floor(i / width) % height, i % width];
    return 0.5 + 0.35 * Math.sin(line * 0.7) * Math.cos(column * 0.5) + noise;
  });

it.each([
  [1, 3, 0.1],
  [2, 5, 0.2],
] as const)(
  'non-local means agrees with its reference, patch %i, search %i',
  async (patchRadius, searchRadius, strength) => {
    const options = { patchRadius, searchRadius, strength };
    await checkKernel(device.gpu, (bench) =>
      IMAGES.map(([count, height, width], i): Output => {
        const x = picture(count, height, width, i);
        const output = bench.output(count, height * width);
        const input = bench.matrix(count, height * width, x);
        recordNonLocalMeans(bench.recorder, { input, output, height, width, ...options });
        return {
          name: `non-local means ${count} x ${height} x ${width}`,
          view: output,
          expected: nonLocalMeans(x, height, width, options),
          tolerance: TOLERANCES.nonLocalMeans,
        };
      }),
    );
  },
);

it('sharpening agrees with its reference and clamps to 0..1', async () => {
  await checkKernel(device.gpu, (bench) =>
    IMAGES.map(([count, height, width], i): Output => {
      const x = picture(count, height, width, i).map((value) => value * 1.4 - 0.2);
      const output = bench.output(count, height * width);
      const input = bench.matrix(count, height * width, x);
      recordSharpen(bench.recorder, { input, output, height, width, amount: 1.5 });
      return {
        name: `sharpen ${count} x ${height} x ${width}`,
        view: output,
        expected: sharpen(x, height, width, 1.5),
        tolerance: TOLERANCES.image,
      };
    }),
  );
});

it('the total variation gradient is added to the gradient in the buffer, and agrees with its reference', async () => {
  const [weight, epsilon] = [0.75, 1e-4];
  await checkKernel(device.gpu, (bench) =>
    IMAGES.map(([count, height, width], i): Output => {
      const x = picture(count, height, width, i);
      const before = randomValues(x.length, i + 50);
      const gradient = bench.matrix(count, height * width, before);
      const input = bench.matrix(count, height * width, x);
      recordTotalVariation(bench.recorder, { input, gradient, height, width, weight, epsilon });
      return {
        name: `total variation ${count} x ${height} x ${width}`,
        view: gradient,
        expected: totalVariationGradient(x, height, width, weight, epsilon).map((value, j) => value + before[j]),
        tolerance: TOLERANCES.image,
      };
    }),
  );
});

it.each([1, 3])(
  'the reference of the total variation gradient is the derivative of its energy, %i channels',
  (channels) => {
    const [height, width, epsilon] = [4, 5, 1e-3];
    const x = Float64Array.from(picture(1, height, width * channels, 3));
    const gradient = totalVariationGradient(x, height, width, 2, epsilon, channels);
    const step = 1e-6;
    for (let i = 0; i < x.length; i++) {
      const energy = (change: number) =>
        totalVariation(
          x.map((value, j) => (j === i ? value + change : value)),
          height,
          width,
          epsilon,
          channels,
        )[0];
      expect(gradient[i]).toBeCloseTo((2 * (energy(step) - energy(-step))) / (2 * step), 6);
    }
  },
);

it('the filters of RGB images agree with their references', async () => {
  const [weight, epsilon, amount] = [0.75, 1e-4, 1.5];
  await checkKernel(device.gpu, (bench) =>
    IMAGES.flatMap(([count, height, width], i): Output[] => {
      const size = { height, width, channels: 3 } as const;
      const columns = height * width * 3;
      const name = `${count} x ${height} x ${width} x 3`;
      const x = picture(count, height, width * 3, i);
      const before = randomValues(x.length, i + 50);
      const values = bench.matrix(count, columns, x);
      const [sharpened, denoised, gradient] = [
        bench.output(count, columns),
        bench.output(count, columns),
        bench.matrix(count, columns, before),
      ];
      const means = i % 2 === 0 ? { patchRadius: 1, searchRadius: 3 } : { patchRadius: 2, searchRadius: 4 };
      const options = { ...means, strength: 0.15 };
      recordSharpen(bench.recorder, { ...size, input: values, output: sharpened, amount });
      recordNonLocalMeans(bench.recorder, { ...size, ...options, input: values, output: denoised });
      recordTotalVariation(bench.recorder, { ...size, input: values, gradient, weight, epsilon });
      const added = totalVariationGradient(x, height, width, weight, epsilon, 3);
      return [
        {
          name: `sharpen ${name}`,
          view: sharpened,
          expected: sharpen(x, height, width, amount, 3),
          tolerance: TOLERANCES.image,
        },
        {
          name: `non-local means ${name}`,
          view: denoised,
          expected: nonLocalMeans(x, height, width, options, 3),
          tolerance: TOLERANCES.nonLocalMeans,
        },
        {
          name: `total variation ${name}`,
          view: gradient,
          expected: added.map((value, j) => value + before[j]),
          tolerance: TOLERANCES.image,
        },
      ];
    }),
  );
});

it('filters of RGB images treat an image of one gray repeated in three channels as the gray image', () => {
  const [height, width] = [6, 5];
  const gray = picture(1, height, width, 4);
  const rgb = Float32Array.from({ length: 3 * gray.length }, (_, i) => gray[Math.floor(i / 3)]);
  const options = { patchRadius: 1, searchRadius: 3, strength: 0.1 };
  for (const [one, three] of [
    [sharpen(gray, height, width, 0.5), sharpen(rgb, height, width, 0.5, 3)],
    [nonLocalMeans(gray, height, width, options), nonLocalMeans(rgb, height, width, options, 3)],
  ]) {
    three.forEach((value, i) => {
      expect(value).toBeCloseTo(one[Math.floor(i / 3)], 12);
    });
  }
  expect(totalVariation(rgb, height, width, 0.01, 3)[0]).toBeCloseTo(totalVariation(gray, height, width, 0.01)[0], 12);
});

it('image filters refuse images that do not fill their rows, and radii out of range', () => {
  const bench = new Bench(device.gpu);
  const [input, output] = [bench.output(2, 35), bench.output(2, 35)];
  const args = { input, output, height: 5, width: 7, amount: 1 };
  expect(() => recordSharpen(bench.recorder, { ...args, width: 6 })).toThrow(ShapeError);
  expect(() => recordSharpen(bench.recorder, { ...args, channels: 3 })).toThrow(/images of 5 x 7 x 3 have 105 values/);
  const means = { ...args, patchRadius: 1, searchRadius: 3, strength: 0.1 };
  expect(() => recordNonLocalMeans(bench.recorder, { ...means, searchRadius: 6 })).toThrow(ConfigError);
  expect(() => recordNonLocalMeans(bench.recorder, { ...means, strength: 0 })).toThrow(ConfigError);
  bench.arena.destroy();
});
