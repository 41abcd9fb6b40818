/** Checks of shaders/norm: forward and backward batch normalisation, by the batch and by running statistics. */

import { rowOf } from '../../gpu/arena.ts';
import {
  recordBatchNormBackward,
  recordBatchNormInference,
  recordBatchNormInferenceBackward,
  recordBatchNormTraining,
} from '../../kernels/norm.ts';
import { activationBackward, activationForward } from '../../reference/activation.ts';
import { batchNormBackward, batchNormForward, batchNormStatistics, inverseDeviation } from '../../reference/norm.ts';
import { activatedTolerance, batchNormTolerance, sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, numbers, pixels, type Trial } from './trial.ts';

/** Pixels of a batch and their channels. */
const PIXELS = 35;
const CHANNELS = 5;

const X = numbers(PIXELS * CHANNELS, 1, 2);
const DY = numbers(PIXELS * CHANNELS, 2);
const GAMMA = numbers(CHANNELS, 3);
const BETA = numbers(CHANNELS, 4);
const RUNNING = { mean: numbers(CHANNELS, 5), variance: pixels(CHANNELS, 6).map((value) => value + 0.5) };

const vector = (trial: Trial, values: ArrayLike<number>) => trial.matrix(1, CHANNELS, values);

/** Tolerance of the gradient of gamma, a sum over all pixels: the rounding error of the mean is the same in all terms. */
const gammaTolerance = (inverseDeviations: ArrayLike<number>) => {
  const { relative, absolute } = batchNormTolerance(inverseDeviations);
  return { relative, absolute: absolute + sumTolerance(4 * PIXELS).absolute };
};

export const NORMS: readonly Check[] = [
  {
    kernel: 'batch_norm_training',
    record(trial) {
      const output = trial.imagesOutput(PIXELS, CHANNELS);
      const saved = trial.output(2, CHANNELS);
      const [runningMean, runningVariance] = [vector(trial, RUNNING.mean), vector(trial, RUNNING.variance)];
      recordBatchNormTraining(trial.recorder, trial.arena, {
        input: trial.images(PIXELS, CHANNELS, X),
        gamma: vector(trial, GAMMA),
        beta: vector(trial, BETA),
        runningMean,
        runningVariance,
        saved,
        output,
        activation: 'tanh',
      });
      const statistics = batchNormStatistics(X, RUNNING);
      const tolerance = batchNormTolerance(statistics.inverseDeviation);
      const normalised = batchNormForward(X, { ...statistics, gamma: GAMMA }, BETA);
      trial.expectMatrix(output, activationForward('tanh', normalised), activatedTolerance(tolerance));
      trial.expectMatrix(rowOf(saved, 0), statistics.mean, TOLERANCES.batchNormMean);
      trial.expectMatrix(rowOf(saved, 1), statistics.inverseDeviation, tolerance);
      trial.expectMatrix(runningMean, statistics.runningMean, TOLERANCES.batchNormMean);
      trial.expectMatrix(runningVariance, statistics.runningVariance, TOLERANCES.batchNormVariance);
    },
  },
  {
    kernel: 'batch_norm_inference',
    record(trial) {
      const output = trial.imagesOutput(PIXELS, CHANNELS);
      recordBatchNormInference(trial.recorder, {
        input: trial.images(PIXELS, CHANNELS, X),
        gamma: vector(trial, GAMMA),
        beta: vector(trial, BETA),
        runningMean: vector(trial, RUNNING.mean),
        runningVariance: vector(trial, RUNNING.variance),
        output,
      });
      const inverse = inverseDeviation(RUNNING.variance);
      const expected = batchNormForward(X, { gamma: GAMMA, mean: RUNNING.mean, inverseDeviation: inverse }, BETA);
      trial.expectMatrix(output, expected, batchNormTolerance(inverse));
    },
  },
  {
    kernel: 'batch_norm_backward',
    record(trial) {
      const statistics = batchNormStatistics(X, RUNNING);
      const y = Float32Array.from(
        activationForward('tanh', batchNormForward(X, { ...statistics, gamma: GAMMA }, BETA)),
      );
      const gradInput = trial.imagesOutput(PIXELS, CHANNELS);
      const [gradGamma, gradBeta] = [trial.output(1, CHANNELS), trial.output(1, CHANNELS)];
      recordBatchNormBackward(trial.recorder, trial.arena, {
        input: trial.images(PIXELS, CHANNELS, X),
        gamma: vector(trial, GAMMA),
        saved: trial.matrix(2, CHANNELS, [...statistics.mean, ...statistics.inverseDeviation]),
        activated: { activation: 'tanh', output: trial.images(PIXELS, CHANNELS, y) },
        gradOutput: trial.images(PIXELS, CHANNELS, DY),
        gradGamma,
        gradBeta,
        gradInput,
      });
      const dy = activationBackward('tanh', y, DY);
      const expected = batchNormBackward(X, { ...statistics, gamma: GAMMA }, dy);
      trial.expectMatrix(gradInput, expected.input, batchNormTolerance(statistics.inverseDeviation));
      trial.expectMatrix(gradGamma, expected.gamma, gammaTolerance(statistics.inverseDeviation));
      trial.expectMatrix(gradBeta, expected.beta, sumTolerance(PIXELS));
    },
  },
  {
    kernel: 'batch_norm_inference_backward',
    record(trial) {
      const { mean, variance } = RUNNING;
      const gradInput = trial.imagesOutput(PIXELS, CHANNELS);
      const [gradGamma, gradBeta] = [trial.output(1, CHANNELS), trial.output(1, CHANNELS)];
      recordBatchNormInferenceBackward(trial.recorder, trial.arena, {
        gamma: vector(trial, GAMMA),
        runningVariance: vector(trial, variance),
        gradOutput: trial.images(PIXELS, CHANNELS, DY),
        gradInput,
        parameters: {
          input: trial.images(PIXELS, CHANNELS, X),
          runningMean: vector(trial, mean),
          gradGamma,
          gradBeta,
        },
      });
      const inverse = inverseDeviation(variance);
      const expected = batchNormBackward(X, { gamma: GAMMA, mean, inverseDeviation: inverse }, DY);
      trial.expectMatrix(gradInput, expected.inputOfInference, batchNormTolerance(inverse));
      trial.expectMatrix(gradGamma, expected.gamma, gammaTolerance(inverse));
      trial.expectMatrix(gradBeta, expected.beta, sumTolerance(PIXELS));
    },
  },
];
