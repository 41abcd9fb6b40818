/**
 * The files of a run, as types and as schemas: `results.json` (schema `midas-results/1`) and the rows of `rows.jsonl`.
 *
 * A *row* is one attack on one draw of one condition. A *condition* is what was done to the weights, and to what the model
 * releases. A *summary entry* is all draws of one condition under one attack, with bootstrap intervals. Every field has a
 * description, which `resultsJsonSchema` hands to editors and to other languages.
 */

import * as v from 'valibot';
import { GRANULARITIES, MemoryConfig, NOISE_KINDS } from '../memory/config.ts';

export const RESULTS_SCHEMA = 'midas-results/1';

/**
 * The kinds of changes of the weights. `none` is the float32 model; `quantised` is the number format without errors; `memory` is
 * a memory configuration given whole.
 */
export const CONDITION_KINDS = ['none', 'quantised', 'bit-error', 'memory', 'gaussian', 'laplacian'] as const;
export type ConditionKind = (typeof CONDITION_KINDS)[number];

/** The numbers of a row that are summarised, in the order of the columns. */
export const METRICS = ['accuracy', 'pcc', 'pccLift', 'mse', 'psnr', 'ssim', 'identity'] as const;
export type Metric = (typeof METRICS)[number];

/** A schema with its description, which the JSON Schema shows. */
export function field<S extends v.GenericSchema>(
  schema: S,
  description: string,
): v.SchemaWithPipe<readonly [S, v.DescriptionAction<v.InferOutput<S>, string>]> {
  return v.pipe(schema, v.description(description));
}

// JSON has no NaN or Infinity, so a number that is not finite would come back as null: it is refused on the way in.
const number = v.pipe(v.number(), v.finite());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const positive = v.pipe(number, v.minValue(0));
const share = v.pipe(number, v.minValue(0), v.maxValue(1));

// ------------------------------------------------------------------------------------------------- conditions
// Keys stand in the order in which experiments write them: a row that was read and written again has the same bytes.

const kindOf = <const K extends ConditionKind>(kind: K) =>
  field(v.literal(kind), 'What was done to the weights; the other fields depend on it.');

const format = field(v.string(), "Number format of the stored weights, headroom included: 'fixed12', 'fixed12+3'.");

const granularity = field(
  v.picklist(GRANULARITIES),
  'How often the errors are drawn anew: once per chip, load, forward pass or inference.',
);

const layers = field(
  v.string(),
  "Name of the set of layers in approximate memory: 'fc1', 'fc1+fc2', 'both', or 'none'.",
);

const release = v.optional(
  field(
    v.objectWithRest(
      { kind: field(v.string(), "What is done to the confidences, for example 'rounding'.") },
      v.union([number, v.string(), v.boolean()]),
    ),
    'What the model does to its confidences before anybody sees them; without it they are released as they are.',
  ),
);
/** The change of the model's confidences before their release: a kind of src/defences, and its options. */
export type Release = NonNullable<v.InferOutput<typeof release>>;

const NoneCondition = v.strictObject({
  kind: kindOf('none'),
  rates: field(v.record(v.string(), positive), 'Empty: nothing was done to any layer.'),
  layers,
  release,
});

const QuantisedCondition = v.strictObject({
  kind: kindOf('quantised'),
  format,
  granularity,
  rates: field(v.record(v.string(), share), 'The quantised layers, each with the bit error rate 0.'),
  layers,
  release,
});

const BitErrorCondition = v.strictObject({
  kind: kindOf('bit-error'),
  format,
  granularity,
  rates: field(
    v.record(v.string(), share),
    'Bit error rate per layer: the probability that a stored bit flips. Layers left out are exact.',
  ),
  layers,
  release,
});

const MemoryCondition = v.strictObject({
  kind: kindOf('memory'),
  label: field(v.string(), 'Name of the memory in figures and tables; not part of its identity.'),
  setting: field(
    v.string(),
    'What several memories have in common that differ in how strong they err: a line of a figure.',
  ),
  volts: v.optional(field(number, 'Supply voltage in volts, where the memory is one of a sweep over voltages.')),
  granularity,
  rates: field(v.record(v.string(), share), 'Mean bit error rate per layer, of the first chip.'),
  layers,
  memory: field(MemoryConfig, 'The memory configuration.'),
  release,
});

const NoiseCondition = v.strictObject({
  kind: field(v.picklist(NOISE_KINDS), 'Distribution of the noise that is added to the weights.'),
  rates: field(
    v.record(v.string(), positive),
    'Scale of the noise per layer, in units of the weights: standard deviation (gaussian) or b (laplacian).',
  ),
  granularity,
  layers,
  calibration: v.optional(
    field(
      v.picklist(['moments', 'published']),
      'Where the scales come from: the mean square change that bit errors make, or the publication. Without it, noise that ' +
        'is matched to bit errors was calibrated to their accuracy.',
    ),
  ),
  matchedTo: v.optional(
    field(v.string(), 'Key of the bit-error condition that this noise was matched to: its JSON with sorted keys.'),
  ),
  release,
});

export const ConditionSchema = v.variant('kind', [
  NoneCondition,
  QuantisedCondition,
  BitErrorCondition,
  MemoryCondition,
  NoiseCondition,
]);
/** The changes of the weights before a draw, and of the confidences after it. */
export type Condition = v.InferOutput<typeof ConditionSchema>;
export type MemoryCondition = v.InferOutput<typeof MemoryCondition>;
export type NoiseCondition = v.InferOutput<typeof NoiseCondition>;

// ------------------------------------------------------------------------------------------------- rows

const list = (what: string) => field(v.array(number), `${what}, one value per attacked identity.`);

const PerIdentitySchema = v.pipe(
  v.object({
    pcc: list('Pearson correlation with the right person'),
    pccLift: list('`pcc` minus the mean correlation with wrong persons'),
    identity: list('1 where the matcher names the right person, 0 otherwise'),
    mse: v.optional(list('Mean squared error')),
    psnr: v.optional(list('Peak signal-to-noise ratio in dB')),
    ssim: v.optional(list('Structural similarity')),
  }),
  v.check(
    (p) => Object.values(p).every((values) => values === undefined || values.length === p.pcc.length),
    'the lists are not of one length',
  ),
);

export const RowSchema = v.object({
  condition: field(ConditionSchema, 'What was done to the weights before the draw.'),
  draw: field(
    count,
    'Which fault map or noise sample; the same number means the same random stream in every condition, so draws are paired.',
  ),
  accuracy: field(share, 'Accuracy of the model under this draw on held-out images, 0..1.'),
  attack: field(v.string(), "Name of the attack, such as 'mi-face zero'."),
  pcc: field(number, 'Pearson correlation of reconstruction and the right person, signed; the mean over identities.'),
  pccLift: field(number, '`pcc` minus the mean correlation of the same reconstruction with wrong persons.'),
  mse: field(number, 'Mean squared error of reconstruction and the right person.'),
  psnr: field(number, 'Peak signal-to-noise ratio in dB.'),
  ssim: field(number, 'Structural similarity.'),
  identity: field(number, 'Share of reconstructions that an independent matcher gives to the right person, 0..1.'),
  underflow: v.optional(
    field(
      number,
      'Share of prediction vectors in which a confidence underflows in float32; only where the attack sees such vectors.',
    ),
  ),
  n: field(count, 'How many reconstructions the row averages.'),
  energy: v.optional(
    field(
      v.object({
        bytes: field(positive, 'Bytes of weights that are read.'),
        relative: field(
          positive,
          'Energy of the reads over that at nominal voltage, by the square of the voltage alone.',
        ),
      }),
      'What classifying the test images reads of weights.',
    ),
  ),
  perIdentity: field(
    PerIdentitySchema,
    'One value per attacked identity, in the same order in every row: what the bootstrap resamples.',
  ),
});
/** One attack on one draw of one condition. */
export type Row = v.InferOutput<typeof RowSchema>;

// ------------------------------------------------------------------------------------------------- summary

const IntervalSchema = v.object({
  mean: field(number, 'Mean.'),
  ci95: field(v.tuple([number, number]), 'Lower and upper end of the 95 % bootstrap interval.'),
});
/** A mean and its 95 % bootstrap interval. */
export type Interval = v.InferOutput<typeof IntervalSchema>;

const interval = (what: string) => field(IntervalSchema, `${what}, over draws and identities.`);

const SummarySchema = v.object({
  condition: field(ConditionSchema, 'What was done to the weights.'),
  attack: field(v.string(), 'Name of the attack.'),
  draws: field(count, 'How many draws were measured.'),
  n: field(count, 'How many reconstructions there are over all draws.'),
  accuracy: interval('Accuracy on held-out images'),
  pcc: interval('Pearson correlation with the right person'),
  pccLift: interval('`pcc` minus the mean correlation with wrong persons'),
  mse: interval('Mean squared error'),
  psnr: interval('Peak signal-to-noise ratio in dB'),
  ssim: interval('Structural similarity'),
  identity: interval('Share recognised by an independent matcher'),
});
/** All draws of one condition under one attack. `n` is the number of reconstructions over all draws. */
export type SummaryEntry = v.InferOutput<typeof SummarySchema>;

export const BaselinesSchema = v.object({
  meanFacePcc: field(
    number,
    'PCC of the mean public or training face with each person: what one gets without any attack.',
  ),
  wrongIdentityPcc: field(
    number,
    'PCC of a photograph with photographs of other persons: what a perfect picture of somebody else scores.',
  ),
  shuffledPcc: field(number, 'PCC of each reconstruction with another person than the one it is meant to show.'),
});
export type Baselines = v.InferOutput<typeof BaselinesSchema>;

export const AttackSchema = v.object({
  name: field(v.string(), 'Name of the attack in rows and summary.'),
  kind: field(v.string(), "Kind of the attack in the configuration, for example 'mi-face'."),
  family: v.optional(field(v.string(), "The kind for people: 'MI-Face'.")),
  split: v.optional(
    field(
      v.picklist(['held-out', 'training']),
      'Which images of the victim are attacked, where the attack reconstructs images: those it was trained on, or held-out ones.',
    ),
  ),
  title: field(v.string(), "Name of the attack for people: 'MI-Face from a black image'."),
});
/** The description of an attack; rows name it by `name` only. */
export type AttackDescription = v.InferOutput<typeof AttackSchema>;

const ManifestSchema = v.object({
  version: field(v.string(), 'Version of midas that made the run.'),
  command: field(v.string(), 'The command line that repeats the run, from `midas` on.'),
  config: field(v.record(v.string(), v.unknown()), 'The configuration; given back, it repeats the run.'),
  seed: field(number, 'Seed of everything that is random.'),
  adapter: field(v.string(), 'The GPU adapter, and its driver.'),
  dataset: field(
    v.object({
      name: field(v.string(), 'Name of the data set.'),
      sha256: field(v.string(), 'SHA-256 of its pixels and labels.'),
      split: field(v.string(), 'How it was split into training and test images, in words.'),
      classes: v.optional(field(count, 'How many people the classifier tells apart.')),
      publicFaces: v.optional(
        field(
          v.object({
            name: field(v.string(), 'Name of the data set.'),
            sha256: field(v.string(), 'SHA-256 of its pixels and labels.'),
          }),
          'Faces that the attacker has.',
        ),
      ),
    }),
    'The data set of the victim.',
  ),
  started: field(v.string(), 'When the run began, ISO 8601.'),
  seconds: field(positive, 'How long the run took, seconds.'),
  attacks: v.optional(field(v.array(AttackSchema), 'What the attacks are that rows name.')),
});
export type Manifest = v.InferOutput<typeof ManifestSchema>;

export const ResultsSchema = v.object({
  schema: field(v.literal(RESULTS_SCHEMA), 'Version of this schema.'),
  manifest: field(ManifestSchema, 'What was run, where and when.'),
  rows: field(v.array(RowSchema), 'One attack on one draw of one condition each.'),
  summary: field(v.array(SummarySchema), 'All draws of one condition under one attack each.'),
  baselines: field(BaselinesSchema, 'What is reached without any attack.'),
});
/** The content of `results.json`. */
export type Results = v.InferOutput<typeof ResultsSchema>;
