import { describe, expect, it } from 'vitest';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { type Matrix, rowOf } from '../../src/gpu/arena.ts';
import type { Activation } from '../../src/kernels/activation.ts';
import {
  recordBatchNormBackward,
  recordBatchNormInference,
  recordBatchNormInferenceBackward,
  recordBatchNormTraining,
} from '../../src/kernels/norm.ts';
import { activationBackward, activationForward } from '../../src/reference/activation.ts';
import {
  batchNormBackward,
  batchNormForward,
  batchNormStatistics,
  inverseDeviation,
} from '../../src/reference/norm.ts';
import {
  activatedTolerance,
  batchNormTolerance,
  sumTolerance,
  TOLERANCES,
  type Tolerance,
} from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { imageRows, imageRowsToWrite } from '../support/nhwc.ts';

const device = useGpu();

/** Rows are batch * height * width: two pixels, one image, odd numbers, more than one stage can sum. */
const SHAPES = [2, 3, 6, 35, 128, 1000, 5003].flatMap((rows) =>
  [1, 3, 4, 5, 8, 17].map((channels) => [rows, channels] as const),
);

/** Random values of every input of a case. */
function caseOf(rows: number, channels: number, seed: number) {
  const vector = (shift: number, offset: number) => randomValues(channels, 10 * seed + shift).map((v) => v + offset);
  return {
    x: randomValues(rows * channels, 10 * seed, 2).map((value, i) => value + (i % channels) - 2),
    dy: randomValues(rows * channels, 10 * seed + 1),
    gamma: vector(2, 0.5),
    beta: vector(3, 0),
    running: { mean: vector(4, 1), variance: vector(5, 1.1) },
  };
}

const ACTIVATIONS: readonly Activation[] = ['none', 'relu', 'tanh', 'sigmoid'];

/** Every channel count with every activation. */
const CASES = SHAPES.map(([rows, channels], seed) => ({
  rows,
  channels,
  activation: ACTIVATIONS[(seed + Math.floor(seed / 12)) % 4],
  ...caseOf(rows, channels, seed),
}));

/** The tolerance of an output after its activation. */
const toleranceOf = (activation: Activation, tolerance: Tolerance) =>
  activation === 'none' ? tolerance : activatedTolerance(tolerance);

/** Every third case has rows as wide as those of vectors. */
function inputOf(bench: Bench, i: number, rows: number, channels: number, values: ArrayLike<number>): Matrix {
  return i % 3 ? imageRows(bench, rows, values) : bench.matrix(rows, channels, values);
}

function outputOf(bench: Bench, i: number, rows: number, channels: number): Matrix {
  return i % 3 ? imageRowsToWrite(bench, rows, channels) : bench.output(rows, channels);
}

describe('batch normalisation in training', () => {
  it('the forward pass agrees with its reference: output, saved and running statistics', async () => {
    await checkKernel(device.gpu, (bench) =>
      CASES.flatMap(({ rows, channels, activation, x, gamma, beta, running }, i): Output[] => {
        const vector = (values: ArrayLike<number>) => bench.matrix(1, channels, values);
        const output = outputOf(bench, i, rows, channels);
        const saved = bench.output(2, channels);
        const [runningMean, runningVariance] = [vector(running.mean), vector(running.variance)];
        recordBatchNormTraining(bench.recorder, bench.arena, {
          input: inputOf(bench, i, rows, channels, x),
          gamma: vector(gamma),
          beta: vector(beta),
          runningMean,
          runningVariance,
          saved,
          output,
          activation,
        });
        const statistics = batchNormStatistics(x, running);
        const expected = activationForward(activation, batchNormForward(x, { ...statistics, gamma }, beta));
        const tolerance = batchNormTolerance(statistics.inverseDeviation);
        const name = `${rows} x ${channels}, ${activation}`;
        return [
          { name, view: output, expected, tolerance: toleranceOf(activation, tolerance) },
          {
            name: `${name} mean`,
            view: rowOf(saved, 0),
            expected: statistics.mean,
            tolerance: TOLERANCES.batchNormMean,
          },
          {
            name: `${name} inverse deviation`,
            view: rowOf(saved, 1),
            expected: statistics.inverseDeviation,
            tolerance,
          },
          {
            name: `${name} running mean`,
            view: runningMean,
            expected: statistics.runningMean,
            tolerance: TOLERANCES.batchNormMean,
          },
          {
            name: `${name} running variance`,
            view: runningVariance,
            expected: statistics.runningVariance,
            tolerance: TOLERANCES.batchNormVariance,
          },
        ];
      }),
    );
  });

  it('the backward pass agrees with its reference', async () => {
    await checkKernel(device.gpu, (bench) =>
      CASES.flatMap(({ rows, channels, activation, x, dy, gamma, beta, running }, i): Output[] => {
        const vector = (values: ArrayLike<number>) => bench.matrix(1, channels, values);
        const statistics = batchNormStatistics(x, running);
        const normalised = batchNormForward(x, { ...statistics, gamma }, beta);
        const y = Float32Array.from(activationForward(activation, normalised));
        const gradInput = outputOf(bench, i, rows, channels);
        const [gradGamma, gradBeta] = [bench.output(1, channels), bench.output(1, channels)];
        recordBatchNormBackward(bench.recorder, bench.arena, {
          input: inputOf(bench, i, rows, channels, x),
          gamma: vector(gamma),
          saved: bench.matrix(2, channels, [...statistics.mean, ...statistics.inverseDeviation]),
          activated: activation === 'none' ? undefined : { activation, output: inputOf(bench, i, rows, channels, y) },
          gradOutput: inputOf(bench, i, rows, channels, dy),
          gradGamma,
          gradBeta,
          gradInput,
        });
        const expected = batchNormBackward(x, { ...statistics, gamma }, activationBackward(activation, y, dy));
        const tolerance = batchNormTolerance(statistics.inverseDeviation);
        // The rounding error of the mean is the same in all terms, so it adds up.
        const gammaTolerance = { ...tolerance, absolute: tolerance.absolute + sumTolerance(4 * rows).absolute };
        const name = `${rows} x ${channels}, ${activation}`;
        return [
          { name, view: gradInput, expected: expected.input, tolerance },
          { name: `${name} gamma`, view: gradGamma, expected: expected.gamma, tolerance: gammaTolerance },
          { name: `${name} beta`, view: gradBeta, expected: expected.beta, tolerance: sumTolerance(rows) },
        ];
      }),
    );
  });

  it('batch normalisation keeps its precision if the mean is a thousand deviations away or the variance is zero', async () => {
    const [rows, channels] = [1031, 3];
    // Multiples of 2^-9 are exact in f32 near 1000.
    const x = randomValues(rows * channels, 1).map((v, i) => (i % 3 === 2 ? 7 : 1000 + Math.round(v * 512) / 512));
    const running = { mean: [0, 0, 0], variance: [1, 1, 1] };
    await checkKernel(device.gpu, (bench) => {
      const vector = (value: number) => bench.matrix(1, channels, new Float32Array(channels).fill(value));
      const output = imageRowsToWrite(bench, rows, channels);
      const saved = bench.output(2, channels);
      recordBatchNormTraining(bench.recorder, bench.arena, {
        input: imageRows(bench, rows, x),
        gamma: vector(1),
        beta: vector(0),
        runningMean: vector(0),
        runningVariance: vector(1),
        saved,
        output,
      });
      const statistics = batchNormStatistics(x, running);
      return [
        {
          name: 'inverse deviation',
          view: rowOf(saved, 1),
          expected: statistics.inverseDeviation,
          tolerance: { relative: 2e-6, absolute: 0 },
        },
        {
          name: 'output',
          view: output,
          expected: batchNormForward(x, { ...statistics, gamma: [1, 1, 1] }, [0, 0, 0]),
          // Rounding the mean, near 1000, to f32 costs 6e-5 / 2, times 1.7; a sum that is off by some ulp costs more.
          tolerance: { relative: 1e-5, absolute: 5e-4 },
        },
      ];
    });
  });

  it('running statistics are updated once per run', async () => {
    const { rows, channels, x, gamma, beta, running } = CASES[20];
    const bench = new Bench(device.gpu);
    const vector = (values: ArrayLike<number>) => bench.matrix(1, channels, values);
    const [runningMean, runningVariance] = [vector(running.mean), vector(running.variance)];
    recordBatchNormTraining(bench.recorder, bench.arena, {
      input: imageRows(bench, rows, x),
      gamma: vector(gamma),
      beta: vector(beta),
      runningMean,
      runningVariance,
      saved: bench.output(2, channels),
      output: imageRowsToWrite(bench, rows, channels),
      momentum: 0.25,
    });
    const program = await bench.recorder.build('twice');
    let [mean, variance]: ArrayLike<number>[] = [running.mean, running.variance];
    for (let i = 0; i < 2; i++) {
      program.run();
      ({ runningMean: mean, runningVariance: variance } = batchNormStatistics(x, { mean, variance }, 1e-5, 0.25));
    }
    (await readMatrix(device.gpu, runningMean)).forEach((value, c) => {
      expect(value).toBeCloseTo(mean[c], 5);
    });
    (await readMatrix(device.gpu, runningVariance)).forEach((value, c) => {
      expect(value).toBeCloseTo(variance[c], 5);
    });
    bench.arena.destroy();
  });
});

describe('batch normalisation in inference', () => {
  it('the forward pass agrees with its reference', async () => {
    await checkKernel(device.gpu, (bench) =>
      CASES.map(({ rows, channels, activation, x, gamma, beta, running }, i): Output => {
        const vector = (values: ArrayLike<number>) => bench.matrix(1, channels, values);
        const output = outputOf(bench, i, rows, channels);
        recordBatchNormInference(bench.recorder, {
          input: inputOf(bench, i, rows, channels, x),
          gamma: vector(gamma),
          beta: vector(beta),
          runningMean: vector(running.mean),
          runningVariance: vector(running.variance),
          output,
          activation,
        });
        const spread = inverseDeviation(running.variance);
        const normalised = batchNormForward(x, { gamma, mean: running.mean, inverseDeviation: spread }, beta);
        const expected = activationForward(activation, normalised);
        const tolerance = toleranceOf(activation, batchNormTolerance(spread));
        return { name: `${rows} x ${channels}, ${activation}`, view: output, expected, tolerance };
      }),
    );
  });

  it('inference normalises a single row', async () => {
    const { x, gamma, beta, running } = caseOf(1, 5, 3);
    await checkKernel(device.gpu, (bench) => {
      const output = imageRowsToWrite(bench, 1, 5);
      const vector = (values: ArrayLike<number>) => bench.matrix(1, 5, values);
      recordBatchNormInference(bench.recorder, {
        input: imageRows(bench, 1, x),
        gamma: vector(gamma),
        beta: vector(beta),
        runningMean: vector(running.mean),
        runningVariance: vector(running.variance),
        output,
        epsilon: 0.5,
      });
      const spread = inverseDeviation(running.variance, 0.5);
      const expected = batchNormForward(x, { gamma, mean: running.mean, inverseDeviation: spread }, beta);
      return [{ name: 'one row', view: output, expected, tolerance: batchNormTolerance(spread) }];
    });
  });

  it('the backward pass agrees with its reference, with and without the gradients of parameters', async () => {
    await checkKernel(device.gpu, (bench) =>
      CASES.flatMap(({ rows, channels, activation, x, dy, gamma, beta, running }, i): Output[] => {
        const vector = (values: ArrayLike<number>) => bench.matrix(1, channels, values);
        const spread = inverseDeviation(running.variance);
        const normalisation = { gamma, mean: running.mean, inverseDeviation: spread };
        const y = Float32Array.from(activationForward(activation, batchNormForward(x, normalisation, beta)));
        const gradInput = outputOf(bench, i, rows, channels);
        const [gradGamma, gradBeta] = [bench.output(1, channels), bench.output(1, channels)];
        const input = inputOf(bench, i, rows, channels, x);
        recordBatchNormInferenceBackward(bench.recorder, bench.arena, {
          gamma: vector(gamma),
          runningVariance: vector(running.variance),
          activated: activation === 'none' ? undefined : { activation, output: inputOf(bench, i, rows, channels, y) },
          gradOutput: inputOf(bench, i, rows, channels, dy),
          gradInput,
          parameters: i % 2 ? { input, runningMean: vector(running.mean), gradGamma, gradBeta } : undefined,
        });
        const expected = batchNormBackward(x, normalisation, activationBackward(activation, y, dy));
        const name = `${rows} x ${channels}, ${activation}`;
        const tolerance = batchNormTolerance(spread);
        const untouched = new Float32Array(channels).fill(99);
        const sums = sumTolerance(rows * 4 * Math.max(...spread));
        return [
          { name, view: gradInput, expected: expected.inputOfInference, tolerance },
          { name: `${name} gamma`, view: gradGamma, expected: i % 2 ? expected.gamma : untouched, tolerance: sums },
          { name: `${name} beta`, view: gradBeta, expected: i % 2 ? expected.beta : untouched, tolerance: sums },
        ];
      }),
    );
  });
});

it('the references of batch normalisation backward are derivatives of the references forward', () => {
  for (const [rows, channels] of [
    [2, 1],
    [6, 3],
    [35, 4],
  ]) {
    const { x, dy, gamma, beta, running } = caseOf(rows, channels, rows);
    const spread = inverseDeviation(running.variance);
    const frozen = (scale: ArrayLike<number>) => ({ gamma: scale, mean: running.mean, inverseDeviation: spread });
    const dot = (y: Float64Array) => y.reduce((sum, value, i) => sum + value * dy[i], 0);
    const training = (input: ArrayLike<number>, scale: ArrayLike<number>, shift: ArrayLike<number>) =>
      dot(batchNormForward(input, { ...batchNormStatistics(input, running), gamma: scale }, shift));
    const inference = (input: ArrayLike<number>, scale: ArrayLike<number>) =>
      dot(batchNormForward(input, frozen(scale), beta));
    const difference = (values: ArrayLike<number>, i: number, f: (values: Float64Array) => number) => {
      const moved = (by: number) => Float64Array.from(values, (value, j) => (i === j ? value + by : value));
      return (f(moved(1e-5)) - f(moved(-1e-5))) / 2e-5;
    };
    const learned = batchNormBackward(x, { ...batchNormStatistics(x, running), gamma }, dy);
    const constant = batchNormBackward(x, frozen(gamma), dy);
    for (let i = 0; i < x.length; i++) {
      expect(difference(x, i, (moved) => training(moved, gamma, beta))).toBeCloseTo(learned.input[i], 6);
      expect(difference(x, i, (moved) => inference(moved, gamma))).toBeCloseTo(constant.inputOfInference[i], 6);
    }
    for (let c = 0; c < channels; c++) {
      expect(difference(gamma, c, (moved) => training(x, moved, beta))).toBeCloseTo(learned.gamma[c], 6);
      expect(difference(beta, c, (moved) => training(x, gamma, moved))).toBeCloseTo(learned.beta[c], 6);
      expect(difference(gamma, c, (moved) => inference(x, moved))).toBeCloseTo(constant.gamma[c], 6);
    }
  }
});

it('batch normalisation refuses a batch without variance, and shapes that disagree', () => {
  const bench = new Bench(device.gpu);
  const vectors = () => ({
    gamma: bench.output(1, 5),
    beta: bench.output(1, 5),
    runningMean: bench.output(1, 5),
    runningVariance: bench.output(1, 5),
    saved: bench.output(2, 5),
  });
  const record = (rows: number, changed: object) => () =>
    recordBatchNormTraining(bench.recorder, bench.arena, {
      ...vectors(),
      input: imageRowsToWrite(bench, rows, 5),
      output: imageRowsToWrite(bench, rows, 5),
      ...changed,
    });
  expect(record(2, {})).not.toThrow();
  expect(record(1, {})).toThrow(ShapeError);
  expect(record(1, {})).toThrow(/needs at least 2 rows/);
  expect(record(4, { saved: bench.output(1, 5) })).toThrow(/saved is 1 x 5 .* but the tensor is 4 x 5/);
  expect(record(4, { runningMean: bench.output(1, 6) })).toThrow(/runningMean is 1 x 6 but the tensor is 4 x 5/);
  expect(record(4, { beta: bench.output(2, 5) })).toThrow(/beta is 2 x 5/);
  expect(record(4, { output: bench.output(4, 5) })).toThrow(/stride 16.*stride 8/);
  expect(record(4, { epsilon: 0 })).toThrow(ConfigError);
  expect(record(4, { momentum: 1.5 })).toThrow(ConfigError);
  bench.arena.destroy();
});
