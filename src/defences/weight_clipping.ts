import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { TrainingDefence } from './defence.ts';

const Bound = v.pipe(
  v.number('must be a number'),
  v.minValue(1e-6),
  v.maxValue(1e6),
  v.description('Weights and biases are clipped to -bound..bound after every step of the optimiser.'),
);

/** Training with clipped weights: a fixed-point format then spends its bits on a smaller range (src/models/trainer.ts). */
export const WEIGHT_CLIPPING: TrainingDefence<number, number> = {
  stage: 'training',
  name: 'weightClip',
  description: 'Trains with weights clipped to a range.',
  schema: Bound,
  flags: [
    {
      flags: '--weight-clip <c>',
      description: 'train with weights clipped to -c..c',
      read(text) {
        if (!v.is(Bound, Number(text))) throw new ConfigError(`--weight-clip ${text}: give a number in 1e-6..1e6`);
        return Number(text);
      },
    },
  ],
  training: (weightClip) => ({ weightClip }),
};
