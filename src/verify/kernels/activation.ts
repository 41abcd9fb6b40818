/** Checks of shaders/activation. */

import {
  type Activation,
  type ElementwiseFunction,
  recordActivationBackward,
  recordActivationForward,
} from '../../kernels/activation.ts';
import { recordDropout } from '../../kernels/dropout.ts';
import { activationBackward, activationForward } from '../../reference/activation.ts';
import { type DropoutDraw, dropout } from '../../reference/dropout.ts';
import { TOLERANCES } from '../../reference/tolerances.ts';
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

export const ACTIVATION_LAYERS: readonly Check[] = [
  // The other functions of common/activation.wgsl differ in a constant only, and the backward checks cover them.
  ...(['sigmoid', ...WITH_PARAMETERS] as const).map(forwardCheck),
  ...[...ACTIVATIONS, ...WITH_PARAMETERS].map(backwardCheck),
  dropoutCheck,
];
