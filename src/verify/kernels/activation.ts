/** Checks of shaders/activation, and of the softmaxes of shaders/loss. */

import { type Activation, recordActivationBackward, recordActivationForward } from '../../kernels/activation.ts';
import { recordDropout } from '../../kernels/dropout.ts';
import {
  recordLogSoftmaxBackward,
  recordLogSoftmaxForward,
  recordSoftmaxBackward,
  recordSoftmaxForward,
} from '../../kernels/softmax.ts';
import { activationBackward, activationForward } from '../../reference/activation.ts';
import { type DropoutDraw, dropout } from '../../reference/dropout.ts';
import { logSoftmaxBackward, logSoftmaxForward, softmaxBackward, softmaxForward } from '../../reference/softmax.ts';
import { TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, ITERATION, numbers, ROWS, SIZE } from './trial.ts';

const ACTIVATIONS: readonly Activation[] = ['relu', 'tanh', 'sigmoid'];

function activationChecks(activation: Activation): Check[] {
  return [
    {
      kernel: `activation_forward ${activation}`,
      record(trial) {
        const x = numbers(SIZE, 1, 4);
        const output = trial.output(ROWS, COLUMNS);
        recordActivationForward(trial.recorder, { activation, input: trial.matrix(ROWS, COLUMNS, x), output });
        trial.expectMatrix(output, activationForward(activation, x), TOLERANCES[activation]);
      },
    },
    {
      kernel: `activation_backward ${activation}`,
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
    },
  ];
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
  prepare({ stepWords }) {
    stepWords[3] = ITERATION;
  },
};

function softmaxChecks(): Check[] {
  const forward = [
    ['softmax_forward', recordSoftmaxForward, softmaxForward, TOLERANCES.softmax],
    ['log_softmax_forward', recordLogSoftmaxForward, logSoftmaxForward, TOLERANCES.log_softmax],
  ] as const;
  const backward = [
    ['softmax_backward', recordSoftmaxBackward, softmaxForward, softmaxBackward],
    ['log_softmax_backward', recordLogSoftmaxBackward, logSoftmaxForward, logSoftmaxBackward],
  ] as const;
  const logits = numbers(SIZE, 1, 6);
  return [
    ...forward.map(
      ([kernel, record, twin, tolerance]): Check => ({
        kernel,
        record(trial) {
          const output = trial.output(ROWS, COLUMNS);
          record(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, logits), output });
          trial.expectMatrix(output, twin(logits, COLUMNS), tolerance);
        },
      }),
    ),
    ...backward.map(
      ([kernel, record, outputOf, twin]): Check => ({
        kernel,
        record(trial) {
          const y = Float32Array.from(outputOf(logits, COLUMNS));
          const gradient = numbers(SIZE, 2);
          const gradInput = trial.output(ROWS, COLUMNS);
          record(trial.recorder, {
            output: trial.matrix(ROWS, COLUMNS, y),
            gradOutput: trial.matrix(ROWS, COLUMNS, gradient),
            gradInput,
          });
          trial.expectMatrix(gradInput, twin(y, gradient, COLUMNS), TOLERANCES.softmaxBackward);
        },
      }),
    ),
  ];
}

export const ACTIVATION_LAYERS: readonly Check[] = [
  ...ACTIVATIONS.flatMap(activationChecks),
  dropoutCheck,
  ...softmaxChecks(),
];
