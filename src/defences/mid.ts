import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { TrainingDefence } from './defence.ts';

const Weight = v.pipe(
  v.number('must be a number'),
  v.gtValue(0),
  v.maxValue(1e6),
  v.description('Factor of the information, in nats, that hidden values give about the image, above 0, up to 1e6.'),
);

/**
 * Mutual information regularisation (MID; Wang et al., AAAI 2021): a variational bottleneck before the last dense layer, in
 * training only (src/models/bottleneck.ts).
 */
export const MID: TrainingDefence<number, number> = {
  stage: 'training',
  name: 'mid',
  description: 'Trains with a bottleneck of information before the last layer (MID).',
  schema: Weight,
  flags: [
    {
      flags: '--mid <beta>',
      description:
        'train with a bottleneck before the last layer, and this factor of its information in the loss, such as 0.01',
      read(text) {
        if (!v.is(Weight, Number(text))) throw new ConfigError(`--mid ${text}: give a number above 0, up to 1e6`);
        return Number(text);
      },
    },
  ],
  training: (bottleneck) => ({ bottleneck }),
};
