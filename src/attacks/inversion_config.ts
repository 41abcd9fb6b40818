/** The options of the inversion network as data: they are validated once and written into the manifest. */
import * as v from 'valibot';
import { SPLITS } from './attack.ts';
import { MOST_READS } from './repeated_reads.ts';

// The type leaves the text out, which would triple the type declarations.
const described = <T>(text: string) => v.description<T, string>(text);
const whole = (low: number, high: number): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const number = (low: number, high: number): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.minValue(low), v.maxValue(high));

const Attacker = v.strictObject({
  name: v.pipe(
    v.string(),
    v.regex(/^[^\p{Cc}\p{Cs}\p{Cn}]{1,80}$/u, 'must have 1 to 80 printable characters'),
    described('Names the attacker in tables and figures.'),
  ),
  truncation: v.optional(
    v.pipe(whole(1, 65_536), described('How many of the largest confidences the attacker sees; all by default.')),
  ),
  floor: v.optional(
    v.pipe(
      v.picklist(['direct', 'faithful']),
      described(
        'direct: logarithms computed from the logits. faithful: as published, confidences that underflow count as -1000.',
      ),
    ),
    'direct',
  ),
  clip: v.optional(
    v.pipe(
      v.union([v.literal('observed'), number(-1000, 0)]),
      described(
        'Log-confidences below this are raised to it: a number, or observed, the smallest on public images before any ' +
          'error, rounded down to a whole number.',
      ),
    ),
  ),
  reads: v.optional(
    v.pipe(
      whole(2, MOST_READS),
      described(
        'How many answers for every photograph the attacker combines, as the mean of their log-confidences after floor and ' +
          'clip. Between answers it waits for a reload where faults are drawn with every load. One answer by default.',
      ),
    ),
  ),
  temperature: v.optional(
    v.pipe(
      v.union([v.literal('matched'), number(0.01, 100)]),
      described(
        'Log-confidences are divided by this before they are inverted: a number, or matched, the temperature at which ' +
          'predictions for the public faces have the same mean entropy with errors as without. It is not changed by default.',
      ),
    ),
  ),
  learns: v.optional(
    v.pipe(
      v.strictObject({
        maps: v.pipe(
          whole(1, 64),
          described(
            'Number of fault maps, none of which is measured, under which the attacker sees every public face.',
          ),
        ),
        chip: v.optional(
          v.pipe(
            v.picklist(['own', 'other']),
            described(
              'At granularity chip: the attacked chip, whose only map the attacker then knows (own), or other chips of its ' +
                'kind (other). At other granularities the attacker always has the attacked chip.',
            ),
          ),
          'own',
        ),
      }),
      described(
        'If present, the attacker trains a network of its own on predictions of the victim with errors, again for every ' +
          'condition, with about as many steps as the others. By default it has only the victim without errors.',
      ),
    ),
  ),
});

export const InversionOptions = v.strictObject({
  kind: v.literal('inversion'),
  network: v.pipe(
    v.variant('kind', [
      v.strictObject({
        kind: v.literal('yang'),
        ngf: v.pipe(whole(1, 1024), described('Channels before the last transposed convolution.')),
      }),
      v.strictObject({
        kind: v.literal('dense'),
        hidden: v.pipe(v.array(whole(1, 100_000)), described('Widths of the hidden layers.')),
      }),
    ]),
    described('yang: transposed convolutions, for square images of 32 or 64 pixels. dense: for images of any size.'),
  ),
  training: v.pipe(
    v.strictObject({
      epochs: whole(1, 100_000),
      batchSize: whole(2, 65_536),
      learningRate: number(0, 1e3),
    }),
    described("The network's training: the published recipe, Adam with AMSGrad, at this learning rate."),
  ),
  attackers: v.optional(
    v.pipe(
      v.array(Attacker),
      v.minLength(1, 'name at least one attacker'),
      described('Attackers that preprocess a prediction vector differently; each has its own result.'),
    ),
    [{ name: 'direct' }],
  ),
  splits: v.optional(
    v.pipe(
      v.array(v.picklist(SPLITS)),
      v.minLength(1, 'name at least one split'),
      described('Photographs that are attacked: held-out ones, or those that the victim was trained on.'),
    ),
    [...SPLITS],
  ),
});
export type InversionConfig = v.InferOutput<typeof InversionOptions>;
/** The options as a user gives them. */
export type InversionInput = v.InferInput<typeof InversionOptions>;
/** One attacker, with every default filled in. */
export type AttackerConfig = InversionConfig['attackers'][number];
