import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { NumberFormat, Rate } from '../memory/config.ts';
import { parseRate } from '../memory/rate_text.ts';
import type { TrainingDefence } from './defence.ts';

const Errors = v.strictObject({
  format: v.optional(v.pipe(NumberFormat, v.description('Number format of the weights in training.')), {
    kind: 'fixed',
  }),
  bitErrorRate: v.pipe(Rate, v.description('Probability that a stored bit flips, drawn anew in every step, 0..1.')),
  rampEpochs: v.optional(
    v.pipe(
      v.number('must be a number'),
      v.integer('must be a whole number'),
      v.minValue(0),
      v.description('Epochs over which the rate rises to its full value.'),
    ),
    0,
  ),
  layers: v.optional(v.pipe(v.array(v.string()), v.description('Layers whose weights have errors; all by default.'))),
});

/** Training with bit errors in the weights, so that the network learns to tolerate them (src/models/trainer.ts). */
export const ERROR_TRAINING: TrainingDefence<v.InferOutput<typeof Errors>, Partial<v.InferInput<typeof Errors>>> = {
  stage: 'training',
  name: 'errors',
  description: 'Trains with bit errors in the weights.',
  hasFormat: true,
  schema: Errors as v.GenericSchema<Partial<v.InferInput<typeof Errors>>, v.InferOutput<typeof Errors>>,
  flags: [
    {
      flags: '--train-ber <rate>',
      description: 'train with bit errors of this rate, drawn anew in every step',
      read(text, before) {
        return { ...before, bitErrorRate: parseRate(text, '--train-ber') };
      },
    },
    {
      flags: '--train-ramp <epochs>',
      description: 'epochs over which that rate rises to its full value',
      read(text, before) {
        if (!/^\d+$/.test(text)) throw new ConfigError(`--train-ramp ${text}: give a whole number`);
        if (!before) throw new ConfigError('--train-ramp: give --train-ber too');
        return { ...before, rampEpochs: Number(text) };
      },
    },
  ],
  training: (errors) => ({ errors }),
};
