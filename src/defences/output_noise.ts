import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { recordNoisyConfidences } from '../kernels/release.ts';
import type { ReleaseDefence } from './defence.ts';

const Deviation = v.pipe(
  v.number('must be a number'),
  v.minValue(1e-6),
  v.maxValue(10),
  v.description('Standard deviation of the noise on a confidence, 1e-6..10.'),
);

const OutputNoise = v.strictObject({ kind: v.literal('output-noise'), deviation: Deviation });

/**
 * Normal noise on the released confidences, of which negative ones are set to 0 before they are divided by their sum, so that a
 * probability distribution is released. The same query gets the same noise however often it is asked, as in MemGuard (Jia et al.,
 * CCS 2019): otherwise an attacker averages it away, and the defence would be measured at its weakest. A query that differs in a
 * single bit gets other noise, so an attacker who varies his query a little can average; no attack here does that on purpose.
 */
export const OUTPUT_NOISE: ReleaseDefence<v.InferOutput<typeof OutputNoise>> = {
  stage: 'release',
  kind: 'output-noise',
  isRandom: true,
  description: 'Releases confidences with normal noise, the same for equal queries.',
  schema: OutputNoise,
  flag: {
    flags: '--output-noise <deviation>',
    description:
      'also measure every condition with normal noise of these deviations on the released confidences, such as 0.01,0.1',
    read(text) {
      return text.split(',').map((part) => {
        const deviation = Number(part);
        if (!v.is(Deviation, deviation)) {
          throw new ConfigError(`--output-noise ${text}: "${part}" is not a number in 1e-6..10`);
        }
        return { kind: 'output-noise' as const, deviation };
      });
    },
  },
  offered: [0.01, 0.05, 0.1, 0.3].map((deviation) => ({ kind: 'output-noise', deviation })),
  record: (recorder, { deviation }, { logits, released, inputs, draws, groups, seed }) =>
    recordNoisyConfidences(recorder, { logits, inputs, draws, groups, deviation, seed, released }),
};
