/** The options of an attack with a generative prior as data: they are validated once and written into the manifest. */
import * as v from 'valibot';
import { MOST_READS } from './repeated_reads.ts';

const whole = (low: number, high: number): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const number = (low: number, high: number): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.minValue(low), v.maxValue(high));
const described = <T>(text: string) => v.description<T, string>(text);

export const GenerativeOptions = v.strictObject({
  kind: v.literal('generative'),
  filters: v.pipe(
    whole(1, 256),
    described('Channels after the first convolution of the autoencoder; they double with every further one.'),
  ),
  code: v.optional(v.pipe(whole(1, 512), described('Length of the code: of the vector that is searched.')), 64),
  training: v.strictObject({
    steps: v.pipe(whole(1, 1_000_000), described('Least number of training steps of the autoencoder.')),
    batchSize: v.pipe(whole(2, 1024), described('Public faces per step.')),
    learningRate: v.pipe(number(1e-8, 1), described('Learning rate of Adam.')),
  }),
  candidates: v.optional(
    v.pipe(
      whole(1, 100_000),
      described('Faces drawn from the prior, the same for all people, among which the search finds its starts.'),
    ),
    256,
  ),
  starts: v.optional(v.pipe(whole(1, 64), described('Searches per person, from as many candidates.')), 2),
  iterations: v.optional(v.pipe(whole(1, 1_000_000), described('Steps of a search.')), 60),
  step: v.optional(
    v.pipe(
      number(1e-6, 10),
      described('Learning rate of Adam in a search, in deviations of the prior; it falls to zero.'),
    ),
    0.1,
  ),
  priorWeight: v.optional(
    v.pipe(
      number(0, 100),
      described(
        'Weight of the squared distance from the average face, in deviations of the prior, beside -2 log f_c(x): 1 finds the ' +
          'most probable face given the prior and the victim, less trusts the victim more.',
      ),
    ),
    0.2,
  ),
  reads: v.optional(
    v.pipe(
      whole(2, MOST_READS),
      described(
        'How often the attacker reads the weights, as for MI-Face: the gradient of every step is the mean over these reads. One ' +
          'read by default.',
      ),
    ),
  ),
  control: v.optional(
    v.pipe(
      v.boolean(),
      described(
        'Also measure what the prior draws without the victim; false where another attack with this prior does.',
      ),
    ),
    true,
  ),
  shift: v.optional(
    v.pipe(
      whole(0, 64),
      described('Results are compared by the confidence in images moved by up to this number of pixels, at random.'),
    ),
    1,
  ),
  views: v.optional(
    v.pipe(whole(1, 1024), described('Number of these moved images per result; their log-confidences are averaged.')),
    8,
  ),
});
/** The options of an attack with a generative prior, with every default filled in. */
export type GenerativeConfig = v.InferOutput<typeof GenerativeOptions>;
