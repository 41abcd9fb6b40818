import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { recordRoundConfidences } from '../kernels/release.ts';
import type { ReleaseDefence } from './defence.ts';

const Decimals = v.pipe(
  v.number('must be a number'),
  v.integer('must be a whole number'),
  v.minValue(0),
  v.maxValue(6),
  v.description('Decimals that a released confidence keeps, 0..6.'),
);

const Rounding = v.strictObject({ kind: v.literal('rounding'), decimals: Decimals });

/** The countermeasure of Fredrikson et al. (CCS'15, section 6): confidences are released rounded. */
export const ROUNDING: ReleaseDefence<v.InferOutput<typeof Rounding>> = {
  stage: 'release',
  kind: 'rounding',
  description: 'Releases every confidence rounded to a few decimals.',
  schema: Rounding,
  flag: {
    flags: '--round <decimals>',
    description:
      'also measure every condition with released confidences rounded to these numbers of decimals, such as 1,2',
    read(text) {
      return text.split(',').map((part) => {
        const decimals = part.trim() === '' ? Number.NaN : Number(part);
        if (!v.is(Decimals, decimals))
          throw new ConfigError(`--round ${text}: "${part}" is not a whole number in 0..6`);
        return { kind: 'rounding' as const, decimals };
      });
    },
  },
  offered: [3, 2, 1, 0].map((decimals) => ({ kind: 'rounding', decimals })),
  record: (recorder, { decimals }, { logits, released }) =>
    recordRoundConfidences(recorder, { logits, decimals, released }),
};
