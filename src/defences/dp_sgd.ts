import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { TrainingDefence } from './defence.ts';

const Noise = v.pipe(
  v.number('must be a number'),
  v.minValue(0.1),
  v.maxValue(1000),
  v.description('Noise multiplier, 0.1..1000: deviation of the noise on a sum of gradients, divided by `clip`.'),
);

const Clip = v.pipe(
  v.number('must be a number'),
  v.minValue(1e-6),
  v.maxValue(1e6),
  v.description('Norm to which the gradient of every photograph is clipped.'),
);

const Delta = v.pipe(
  v.number('must be a number'),
  v.gtValue(0),
  v.ltValue(1),
  v.description('Probability with which the bound of epsilon may fail; choose it below 1 / photographs.'),
);

const DpSgd = v.strictObject({
  noise: Noise,
  clip: v.optional(Clip, 1),
  delta: v.optional(Delta, 1e-5),
});

export type DpSgd = v.InferOutput<typeof DpSgd>;
type Input = Partial<DpSgd>;

/**
 * DP-SGD (Abadi et al., CCS 2016): the gradient of every photograph is clipped, and Gaussian noise is added to their sum. Results
 * have its epsilon (src/metrics/privacy.ts). The noise is computed from the seed of the run, so the guarantee holds against those
 * who do not know the seed.
 */
export const DP_SGD: TrainingDefence<DpSgd, Input> = {
  stage: 'training',
  name: 'dpSgd',
  description: 'Trains by DP-SGD, with clipped gradients and noise; results have its epsilon.',
  schema: DpSgd as unknown as v.GenericSchema<Input, DpSgd>,
  flags: [
    {
      flags: '--dp-sgd <noise>',
      description:
        'train by DP-SGD with this noise multiplier; as many passes and submits per step as it has photographs',
      read(text, before) {
        if (!v.is(Noise, Number(text))) throw new ConfigError(`--dp-sgd ${text}: give a number in 0.1..1000`);
        return { ...before, noise: Number(text) };
      },
    },
    {
      flags: '--dp-clip <norm>',
      description: 'norm to which it clips the gradient of a photograph (default: 1)',
      read(text, before) {
        if (!before) throw new ConfigError('--dp-clip: give --dp-sgd too');
        if (!v.is(Clip, Number(text))) throw new ConfigError(`--dp-clip ${text}: give a number in 1e-6..1e6`);
        return { ...before, clip: Number(text) };
      },
    },
    {
      flags: '--dp-delta <p>',
      description: 'delta of its guarantee (default: 1e-5)',
      read(text, before) {
        if (!before) throw new ConfigError('--dp-delta: give --dp-sgd too');
        if (!v.is(Delta, Number(text))) throw new ConfigError(`--dp-delta ${text}: give a number between 0 and 1`);
        return { ...before, delta: Number(text) };
      },
    },
  ],
  training: ({ clip, noise }) => ({ privacy: { clip, noise } }),
};
