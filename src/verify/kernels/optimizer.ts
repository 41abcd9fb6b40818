/** Checks of the optimisers of shaders/optimizer, and of the values that they start from. */

import { type Initialization, recordInitialize } from '../../kernels/initialize.ts';
import { recordAdam, recordClip, recordSgd, writeAdamStep, writeSgdStep } from '../../kernels/optimizer.ts';
import { learnedBits, NORM_SCRATCH_BYTES, recordAddClipped, recordNoisyMean } from '../../kernels/private_gradient.ts';
import { adam, sgd } from '../../reference/optimizer.ts';
import { clipGradient, noisyMean } from '../../reference/private_gradient.ts';
import { initialize } from '../../reference/random.ts';
import { TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, DRAW, ITERATION, numbers, pixels, ROWS, SIZE } from './trial.ts';

function adamCheck(amsgrad: boolean): Check {
  const options = { betas: [0.9, 0.999] as const, epsilon: 1e-8, weightDecay: 0.01 };
  const [learningRate, iteration] = [0.01, 3];
  return {
    kernel: amsgrad ? 'adam amsgrad' : 'adam',
    record(trial) {
      const [w, g, first] = [numbers(SIZE, 1), numbers(SIZE, 2), numbers(SIZE, 3, 0.1)];
      const [second, largest] = [pixels(SIZE, 4), pixels(SIZE, 5)];
      const views = {
        parameters: trial.buffer(w),
        firstMoment: trial.buffer(first),
        secondMoment: trial.buffer(second),
        secondMomentMax: amsgrad ? trial.buffer(largest) : undefined,
      };
      recordAdam(trial.recorder, { count: SIZE, gradients: trial.buffer(g), ...views, ...options });
      const parameters = Float64Array.from(w);
      const secondMax = amsgrad ? Float64Array.from(largest) : undefined;
      const state = { first: Float64Array.from(first), second: Float64Array.from(second), secondMax };
      adam(parameters, g, state, learningRate, iteration, options);
      trial.expect(views.parameters, parameters, TOLERANCES.adam);
      trial.expect(views.firstMoment, state.first, TOLERANCES.firstMoment);
      trial.expect(views.secondMoment, state.second, TOLERANCES.secondMoment);
      if (views.secondMomentMax && secondMax) {
        trial.expect(views.secondMomentMax, secondMax, TOLERANCES.secondMoment);
      }
    },
    prepare(program) {
      writeAdamStep(program, learningRate, options.betas, iteration);
    },
  };
}

function initializeCheck(initialization: Initialization): Check {
  return {
    kernel: `initialize ${initialization.kind}`,
    record(trial) {
      const output = trial.output(ROWS, COLUMNS);
      const [seed, tensor] = [2 ** 40 + 3, 6];
      recordInitialize(trial.recorder, trial.arena, { output, initialization, seed, tensor });
      trial.expectMatrix(output, initialize(initialization, seed, tensor, ROWS, COLUMNS), TOLERANCES.normal);
    },
  };
}

export const OPTIMIZERS: readonly Check[] = [
  {
    kernel: 'sgd',
    record(trial) {
      const options = { momentum: 0.9, weightDecay: 0.01 };
      const [w, g, v] = [numbers(SIZE, 1), numbers(SIZE, 2), numbers(SIZE, 3)];
      const [parameters, velocity] = [trial.buffer(w), trial.buffer(v)];
      const views = { gradients: trial.buffer(g), parameters, velocity };
      recordSgd(trial.recorder, { count: SIZE, ...views, ...options });
      const expected = { w: Float64Array.from(w), v: Float64Array.from(v) };
      sgd(expected.w, g, expected.v, 0.1, options);
      trial.expect(parameters, expected.w, TOLERANCES.sgd);
      trial.expect(velocity, expected.v, TOLERANCES.sgd);
    },
    prepare(program) {
      writeSgdStep(program, 0.1);
    },
  },
  {
    kernel: 'clip',
    record(trial) {
      const values = numbers(SIZE, 1);
      const clipped = trial.buffer(values);
      recordClip(trial.recorder, { values: clipped, limit: 0.25 });
      trial.expect(
        clipped,
        values.map((value) => Math.max(-0.25, Math.min(0.25, value))),
        TOLERANCES.exact,
      );
    },
  },
  {
    kernel: 'add_clipped',
    record(trial) {
      const [before, large, small] = [numbers(SIZE, 1), numbers(SIZE, 2), numbers(SIZE, 3, 0.01)];
      const sum = trial.buffer(before);
      const scratch = { partial: trial.results(NORM_SCRATCH_BYTES / 4), factor: trial.results(1) };
      for (const values of [large, small]) {
        recordAddClipped(trial.recorder, { count: SIZE, gradient: trial.buffer(values), limit: 0.5, sum, ...scratch });
      }
      const [first, second] = [large, small].map((values) => clipGradient(values, 0.5));
      trial.expect(
        sum,
        before.map((value, i) => value + first[i] + second[i]),
        TOLERANCES.sgd,
      );
    },
  },
  {
    kernel: 'noisy_mean',
    record(trial) {
      const values = numbers(SIZE, 1);
      const learned = values.map((_, i) => Number(i % 3 !== 0));
      const options = { deviation: Math.fround(0.7), examples: 5, seed: 2 ** 40 + 3 };
      const [sum, gradient] = [trial.buffer(values), trial.results(SIZE)];
      const views = { learned: trial.buffer(learnedBits(learned)), sum, gradient };
      recordNoisyMean(trial.recorder, { count: SIZE, ...views, ...options });
      const step = { iteration: ITERATION, draw: DRAW };
      trial.expect(gradient, noisyMean(values, learned, options, step), TOLERANCES.normal);
      trial.expect(sum, new Float32Array(SIZE), TOLERANCES.exact);
    },
    prepare(program) {
      program.setStep({ iteration: ITERATION });
      program.setStep({ draw: DRAW });
    },
  },
  adamCheck(false),
  adamCheck(true),
  initializeCheck({ kind: 'constant', value: 0.5 }),
  initializeCheck({ kind: 'xavierNormal', fanIn: 3, fanOut: 5 }),
  initializeCheck({ kind: 'uniform', fanIn: 4 }),
];
