/** Checks of shaders/activation. */

import {
  type Activation,
  type ElementwiseFunction,
  recordActivationBackward,
  recordActivationForward,
} from '../../kernels/activation.ts';
import { recordAdd } from '../../kernels/add.ts';
import { recordBottleneckBackward, recordBottleneckForward } from '../../kernels/bottleneck.ts';
import { recordDropout } from '../../kernels/dropout.ts';
import { recordNormalise } from '../../kernels/normalise.ts';
import { recordSoftmaxBackward, recordSoftmaxForward } from '../../kernels/softmax.ts';
import { activationBackward, activationForward } from '../../reference/activation.ts';
import { bottleneckBackward, bottleneckForward, bottleneckNoise } from '../../reference/bottleneck.ts';
import { type DropoutDraw, dropout } from '../../reference/dropout.ts';
import { normalise } from '../../reference/norm.ts';
import { logSoftmaxForward, softmaxBackward, softmaxForward } from '../../reference/softmax.ts';
import { sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, ITERATION, numbers, ROWS, SIZE } from './trial.ts';

const ACTIVATIONS: readonly Activation[] = ['relu', 'relu6', 'tanh', 'sigmoid'];
const WITH_PARAMETERS: readonly ElementwiseFunction[] = [
  { name: 'clip', low: -1.25, high: 2.5 },
  { name: 'leaky_relu', slope: 0.1 },
];

const nameOf = (activation: ElementwiseFunction) => (typeof activation === 'string' ? activation : activation.name);

function forwardCheck(activation: ElementwiseFunction): Check {
  return {
    kernel: `activation_forward ${nameOf(activation)}`,
    record(trial) {
      const x = numbers(SIZE, 1, 4);
      const output = trial.output(ROWS, COLUMNS);
      recordActivationForward(trial.recorder, { activation, input: trial.matrix(ROWS, COLUMNS, x), output });
      trial.expectMatrix(output, activationForward(activation, x), TOLERANCES.sigmoid);
    },
  };
}

function backwardCheck(activation: ElementwiseFunction): Check {
  return {
    kernel: `activation_backward ${nameOf(activation)}`,
    record(trial) {
      const y = Float32Array.from(activationForward(activation, numbers(SIZE, 1, 4)));
      const gradient = numbers(SIZE, 2);
      const gradInput = trial.output(ROWS, COLUMNS);
      recordActivationBackward(trial.recorder, {
        activation,
        output: trial.matrix(ROWS, COLUMNS, y),
        gradOutput: trial.matrix(ROWS, COLUMNS, gradient),
        gradInput,
      });
      trial.expectMatrix(gradInput, activationBackward(activation, y, gradient), TOLERANCES.activationBackward);
    },
  };
}

const dropoutCheck: Check = {
  kernel: 'dropout',
  record(trial) {
    const draw: DropoutDraw = { probability: 0.4, seed: 2 ** 40 + 3, tensor: 6, iteration: ITERATION };
    const x = numbers(SIZE, 1);
    const output = trial.output(ROWS, COLUMNS);
    recordDropout(trial.recorder, { ...draw, input: trial.matrix(ROWS, COLUMNS, x), output });
    trial.expectMatrix(output, dropout(x, COLUMNS, draw), TOLERANCES.exact);
  },
  prepare(program) {
    program.setStep({ iteration: ITERATION });
  },
};

/** Means, and raw deviations from those of which f32 has no exponential up to 10. */
const bottleneckInputs = () => [numbers(SIZE, 1, 2), numbers(SIZE, 2, 60).map((value) => value - 50)] as const;
const BOTTLENECK = { seed: 2 ** 40 + 3, beta: 0.4, rows: ROWS };
const noise = () => bottleneckNoise(ROWS, COLUMNS, BOTTLENECK.seed, ITERATION);

const bottleneckChecks: readonly Check[] = [
  {
    kernel: 'bottleneck_forward',
    record(trial) {
      const [x, s] = bottleneckInputs();
      const output = trial.output(ROWS, COLUMNS);
      const [mean, raw] = [x, s].map((values) => trial.matrix(ROWS, COLUMNS, values));
      recordBottleneckForward(trial.recorder, { mean, raw, output, seed: BOTTLENECK.seed });
      trial.expectMatrix(output, bottleneckForward(x, s, noise()), TOLERANCES.bottleneck);
    },
    prepare(program) {
      program.setStep({ iteration: ITERATION });
    },
  },
  {
    kernel: 'bottleneck_backward',
    record(trial) {
      const [x, s] = bottleneckInputs();
      const gradient = numbers(SIZE, 3);
      const [mean, raw, gradOutput] = [x, s, gradient].map((values) => trial.matrix(ROWS, COLUMNS, values));
      const [gradMean, gradRaw] = [trial.output(ROWS, COLUMNS), trial.output(ROWS, COLUMNS)];
      recordBottleneckBackward(trial.recorder, { mean, raw, gradOutput, gradMean, gradRaw, ...BOTTLENECK });
      const expected = bottleneckBackward(x, s, noise(), gradient, BOTTLENECK);
      trial.expectMatrix(gradMean, expected.mean, TOLERANCES.activationBackward);
      trial.expectMatrix(gradRaw, expected.raw, TOLERANCES.bottleneck);
    },
    prepare(program) {
      program.setStep({ iteration: ITERATION });
    },
  },
];

const addCheck: Check = {
  kernel: 'add',
  record(trial) {
    const values = [1, 2, 3].map((seed) => numbers(SIZE, seed));
    const output = trial.output(ROWS, COLUMNS);
    const inputs = values.map((each) => trial.matrix(ROWS, COLUMNS, each));
    recordAdd(trial.recorder, { inputs, output, activation: 'relu6' });
    const sums = values[0].map((value, i) => value + values[1][i] + values[2][i]);
    trial.expectMatrix(output, activationForward('relu6', sums), sumTolerance(3));
  },
};

const normaliseCheck: Check = {
  kernel: 'normalise',
  record(trial) {
    const x = numbers(SIZE, 1);
    const mean = numbers(COLUMNS, 2);
    const deviation = numbers(COLUMNS, 3).map((value) => value + 1.5);
    const output = trial.output(ROWS, COLUMNS);
    const constants = trial.matrix(2, COLUMNS, [...mean, ...deviation]);
    recordNormalise(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, x), constants, output });
    trial.expectMatrix(output, normalise(x, mean, deviation), TOLERANCES.normalise);
  },
};

function softmaxChecks(logarithm: boolean): Check[] {
  const name = logarithm ? 'log-softmax' : 'softmax';
  const forward = logarithm ? logSoftmaxForward : softmaxForward;
  return [
    {
      kernel: `softmax_forward ${name}`,
      record(trial) {
        const x = numbers(SIZE, 1, 4);
        const output = trial.output(ROWS, COLUMNS);
        recordSoftmaxForward(trial.recorder, { logarithm, input: trial.matrix(ROWS, COLUMNS, x), output });
        trial.expectMatrix(output, forward(x, COLUMNS), TOLERANCES.cross_entropy);
      },
    },
    {
      kernel: `softmax_backward ${name}`,
      record(trial) {
        const y = Float32Array.from(forward(numbers(SIZE, 1, 4), COLUMNS));
        const gradient = numbers(SIZE, 2);
        const gradInput = trial.output(ROWS, COLUMNS);
        recordSoftmaxBackward(trial.recorder, {
          logarithm,
          output: trial.matrix(ROWS, COLUMNS, y),
          gradOutput: trial.matrix(ROWS, COLUMNS, gradient),
          gradInput,
        });
        trial.expectMatrix(gradInput, softmaxBackward(y, gradient, COLUMNS, logarithm), sumTolerance(COLUMNS));
      },
    },
  ];
}

export const ACTIVATION_LAYERS: readonly Check[] = [
  // The other functions of common/activation.wgsl differ in a constant only, and the backward checks cover them.
  ...(['sigmoid', ...WITH_PARAMETERS] as const).map(forwardCheck),
  ...[...ACTIVATIONS, ...WITH_PARAMETERS].map(backwardCheck),
  dropoutCheck,
  ...bottleneckChecks,
  addCheck,
  normaliseCheck,
  ...[false, true].flatMap(softmaxChecks),
];
