import { expect, it } from 'vitest';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { recordBottleneckBackward, recordBottleneckForward } from '../../src/kernels/bottleneck.ts';
import {
  bottleneckBackward,
  bottleneckDeviation,
  bottleneckForward,
  bottleneckInformation,
  bottleneckNoise,
} from '../../src/reference/bottleneck.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, useGpu } from '../support/gpu.ts';

const device = useGpu();
const SEED = 2 ** 40 + 7;
const ITERATION = 5;

const SHAPES = [
  [1, 1],
  [5, 37],
  [3, 64],
  [2, 257],
] as const;

/** Means, raw deviations from those of which f32 has no exponential up to 10, and the gradient of the output. */
const inputsOf = (count: number) =>
  [randomValues(count, 1, 2), randomValues(count, 2, 60).map((s) => s - 50), randomValues(count, 3)] as const;

it('a bottleneck agrees with its float64 reference forward and backward, for deviations of any size', async () => {
  await checkKernel(
    device.gpu,
    (bench) =>
      SHAPES.flatMap(([rows, columns]): Output[] => {
        const [x, s, dz] = inputsOf(rows * columns);
        const [mean, raw, gradOutput] = [x, s, dz].map((values) => bench.matrix(rows, columns, values));
        const [output, gradMean, gradRaw] = [0, 1, 2].map(() => bench.output(rows, columns));
        recordBottleneckForward(bench.recorder, { mean, raw, output, seed: SEED });
        const beta = 0.3;
        recordBottleneckBackward(bench.recorder, { mean, raw, gradOutput, gradMean, gradRaw, beta, seed: SEED });
        const noise = bottleneckNoise(rows, columns, SEED, ITERATION);
        const expected = bottleneckBackward(x, s, noise, dz, { rows, beta });
        const name = `bottleneck ${rows} x ${columns}`;
        const tolerance = TOLERANCES.bottleneck;
        return [
          { name, view: output, expected: bottleneckForward(x, s, noise), tolerance },
          { name: `${name}, means`, view: gradMean, expected: expected.mean, tolerance },
          { name: `${name}, deviations`, view: gradRaw, expected: expected.raw, tolerance },
        ];
      }),
    (program) => program.setStep({ iteration: ITERATION }),
  );
});

it('the reference of the gradient of a bottleneck is the derivative of its loss', () => {
  const [rows, columns, beta] = [3, 5, 0.7];
  const x = Float64Array.from(randomValues(rows * columns, 1, 2));
  // Around 5 the deviation is neither the exponential nor the identity.
  const s = Float64Array.from(randomValues(rows * columns, 2, 4), (value) => value + 4);
  const dz = randomValues(rows * columns, 3);
  const noise = bottleneckNoise(rows, columns, 1, 1);
  const loss = () =>
    bottleneckForward(x, s, noise).reduce((sum, value, i) => sum + value * dz[i], 0) +
    beta * bottleneckInformation(x, s, rows);
  const gradient = bottleneckBackward(x, s, noise, dz, { rows, beta });
  for (const [values, slopes] of [
    [x, gradient.mean],
    [s, gradient.raw],
  ]) {
    for (let i = 0; i < values.length; i++) {
      const [before, step] = [values[i], 1e-5];
      values[i] = before + step;
      const above = loss();
      values[i] = before - step;
      expect((above - loss()) / (2 * step)).toBeCloseTo(slopes[i], 6);
      values[i] = before;
    }
  }
});

it('a bottleneck tells nothing at mean 0 and deviation 1, and starts with a deviation of 0.0067', () => {
  const raw = 5 + Math.log(Math.E - 1);
  expect(bottleneckDeviation(raw)).toBeCloseTo(1, 12);
  expect(bottleneckInformation([0, 0], [raw, raw], 1)).toBeCloseTo(0, 12);
  expect(bottleneckInformation([1, 0], [raw, raw], 2)).toBeCloseTo(0.25, 12);
  expect(bottleneckDeviation(0)).toBeCloseTo(0.006715, 6);
});

it('the noise of a bottleneck is standard normal, and new for every step and seed', () => {
  const noise = bottleneckNoise(64, 33, 3, 1);
  const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
  const square = noise.reduce((sum, value) => sum + value ** 2, 0) / noise.length;
  // Four standard errors.
  expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(noise.length));
  expect(Math.abs(square - 1)).toBeLessThan(4 * Math.sqrt(2 / noise.length));
  for (const other of [bottleneckNoise(64, 33, 3, 2), bottleneckNoise(64, 33, 4, 1)]) {
    const product = noise.reduce((sum, value, i) => sum + value * other[i], 0) / noise.length;
    expect(Math.abs(product)).toBeLessThan(4 / Math.sqrt(noise.length));
  }
});

it('a bottleneck refuses invalid seeds and shapes', () => {
  const bench = new Bench(device.gpu);
  const [mean, output] = [bench.output(2, 3), bench.output(2, 3)];
  const record = (changed: object) => () =>
    recordBottleneckForward(bench.recorder, { mean, raw: mean, output, seed: 1, ...changed });
  expect(record({})).not.toThrow();
  expect(record({ seed: 0.5 })).toThrow(ConfigError);
  expect(record({ raw: bench.output(2, 4) })).toThrow(ShapeError);
  bench.arena.destroy();
});
