import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { recordTopConfidences } from '../kernels/release.ts';
import type { ReleaseDefence } from './defence.ts';

const Count = v.pipe(
  v.number('must be a number'),
  v.integer('must be a whole number'),
  v.minValue(1),
  v.maxValue(1e6),
  v.description('Number of the largest confidences that are released.'),
);

const TopK = v.strictObject({ kind: v.literal('top-k'), k: Count });

/**
 * Only the largest confidences are released (Shokri et al., S&P 2017, section VIII). An attacker must assume that the others are
 * equal shares of what is missing from 1.
 */
export const TOP_K: ReleaseDefence<v.InferOutput<typeof TopK>> = {
  stage: 'release',
  kind: 'top-k',
  description: 'Releases only the largest confidences.',
  schema: TopK,
  flag: {
    flags: '--top-k <k>',
    description:
      'also measure every condition where only these numbers of largest confidences are released, such as 1,5',
    read(text) {
      return text.split(',').map((part) => {
        const k = Number(part);
        if (!v.is(Count, k)) throw new ConfigError(`--top-k ${text}: "${part}" is not a whole number above 0`);
        return { kind: 'top-k' as const, k };
      });
    },
  },
  offered: [10, 5, 3, 1].map((k) => ({ kind: 'top-k', k })),
  record: (recorder, { k }, { logits, released }) => recordTopConfidences(recorder, { logits, count: k, released }),
};
