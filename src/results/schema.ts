/**
 * The files of a run, as types and as schemas: `results.json` (schema `midas-results/1`) and the rows of `rows.jsonl`.
 *
 * A *row* is one attack on one draw of one condition. A *condition* is the change made to the weights and to the confidences
 * that the model releases. A *summary entry* averages all draws of one condition under one attack, with bootstrap intervals.
 * Every field has a description, which `resultsJsonSchema` copies into the JSON Schema for editors and other languages.
 */

import * as v from 'valibot';
import { GRANULARITIES, MemoryConfig, NOISE_KINDS } from '../memory/config.ts';

export const RESULTS_SCHEMA = 'midas-results/1';

/**
 * The kinds of changes of the weights. `none` is the float32 model; `quantised` is the number format without errors; `memory` is
 * a complete memory configuration.
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

// JSON has no NaN or Infinity: a number that is not finite would be written as null, so it is refused.
const number = v.pipe(v.number(), v.finite());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const positive = v.pipe(number, v.minValue(0));
const share = v.pipe(number, v.minValue(0), v.maxValue(1));

// ------------------------------------------------------------------------------------------------- conditions
// Keys are in the order in which experiments write them, so a row that is read and written again has the same bytes.

const kindOf = <const K extends ConditionKind>(kind: K) =>
  field(v.literal(kind), 'Kind of change made to the weights; it determines the other fields.');

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
      { kind: field(v.string(), "Kind of change made to the confidences, for example 'rounding'.") },
      v.union([number, v.string(), v.boolean()]),
    ),
    'Change that the model makes to its confidences before it releases them; absent if they are released unchanged.',
  ),
);
/** The change of the model's confidences before their release: a kind of src/defences, and its options. */
export type Release = NonNullable<v.InferOutput<typeof release>>;

const NoneCondition = v.strictObject({
  kind: kindOf('none'),
  rates: field(v.record(v.string(), positive), 'Empty: no layer was changed.'),
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
    'Name shared by memories that differ only in the strength of their errors; they form one line of a figure.',
  ),
  volts: v.optional(field(number, 'Supply voltage in volts; present if the memory is part of a sweep over voltages.')),
  granularity,
  rates: field(v.record(v.string(), share), 'Mean bit error rate per layer on the first chip.'),
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
      'Source of the scales: the mean square change that bit errors cause (moments), or the publication (published). If ' +
        'absent, noise that is matched to bit errors was calibrated to their accuracy.',
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
/** The change made to the weights, and the change of the confidences before their release. */
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
    'the lists differ in length',
  ),
);

export const RowSchema = v.object({
  condition: field(ConditionSchema, 'The changes made to the weights and to the released confidences.'),
  draw: field(
    count,
    'Number of the draw of faults or noise; the same number means the same random stream in every condition: draws are paired.',
  ),
  accuracy: field(share, 'Accuracy of the model under this draw on held-out images, 0..1.'),
  attack: field(v.string(), "Name of the attack, such as 'mi-face zero'."),
  pcc: field(
    number,
    'Signed Pearson correlation of the reconstruction with the right person; the mean over identities.',
  ),
  pccLift: field(number, '`pcc` minus the mean correlation of the same reconstruction with wrong persons.'),
  mse: field(number, 'Mean squared error between the reconstruction and the right person.'),
  psnr: field(number, 'Peak signal-to-noise ratio in dB.'),
  ssim: field(number, 'Structural similarity.'),
  identity: field(number, 'Share of reconstructions that an independent matcher assigns to the right person, 0..1.'),
  underflow: v.optional(
    field(
      number,
      'Share of prediction vectors in which a confidence underflows in float32; present if the attack uses such vectors.',
    ),
  ),
  n: field(count, 'Number of reconstructions that the row averages.'),
  energy: v.optional(
    field(
      v.object({
        bytes: field(positive, 'Bytes of weights that are read.'),
        relative: field(
          positive,
          'Energy of the reads divided by that at nominal voltage, from the square of the voltage alone.',
        ),
      }),
      'Weight reads needed to classify the test images.',
    ),
  ),
  perIdentity: field(
    PerIdentitySchema,
    'One value per attacked identity, in the same order in every row; the bootstrap resamples these values.',
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
  condition: field(ConditionSchema, 'The changes made to the weights and to the released confidences.'),
  attack: field(v.string(), 'Name of the attack.'),
  draws: field(count, 'Number of measured draws.'),
  n: field(count, 'Number of reconstructions over all draws.'),
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
  meanFacePcc: field(number, 'PCC of the mean public or training face with each person: the score without any attack.'),
  wrongIdentityPcc: field(
    number,
    'PCC of a photograph with photographs of other persons: the score of a perfect picture of the wrong person.',
  ),
  shuffledPcc: field(number, 'PCC of each reconstruction with a person other than the one it is meant to show.'),
});
export type Baselines = v.InferOutput<typeof BaselinesSchema>;

export const AttackSchema = v.object({
  name: field(v.string(), 'Name of the attack in rows and summary.'),
  kind: field(v.string(), "Kind of the attack in the configuration, for example 'mi-face'."),
  family: v.optional(field(v.string(), "Display name of the kind: 'MI-Face'.")),
  split: v.optional(
    field(
      v.picklist(['held-out', 'training']),
      'Images that the attack reconstructs: those the victim was trained on, or held-out ones. Absent if it reconstructs none.',
    ),
  ),
  title: field(v.string(), "Display name of the attack: 'MI-Face from a black image'."),
});
/** The description of an attack; rows refer to it by `name`. */
export type AttackDescription = v.InferOutput<typeof AttackSchema>;

const ManifestSchema = v.object({
  version: field(v.string(), 'Version of midas that made the run.'),
  command: field(v.string(), 'The command line that repeats the run, beginning with `midas`.'),
  config: field(
    v.record(v.string(), v.unknown()),
    'The configuration; midas repeats the run when it is given this object.',
  ),
  seed: field(number, 'Seed of all random numbers.'),
  adapter: field(v.string(), 'The GPU adapter, and its driver.'),
  dataset: field(
    v.object({
      name: field(v.string(), 'Name of the data set.'),
      sha256: field(v.string(), 'SHA-256 of its pixels and labels.'),
      split: field(v.string(), 'Description of its split into training and test images.'),
      classes: v.optional(field(count, 'Number of people that the classifier distinguishes.')),
      publicFaces: v.optional(
        field(
          v.object({
            name: field(v.string(), 'Name of the data set.'),
            sha256: field(v.string(), 'SHA-256 of its pixels and labels.'),
          }),
          'Public faces that the attacker has.',
        ),
      ),
    }),
    'The data set of the victim.',
  ),
  started: field(v.string(), 'Start of the run, ISO 8601.'),
  seconds: field(positive, 'Duration of the run in seconds.'),
  attacks: v.optional(field(v.array(AttackSchema), 'Descriptions of the attacks that rows refer to.')),
});
export type Manifest = v.InferOutput<typeof ManifestSchema>;

export const ResultsSchema = v.object({
  schema: field(v.literal(RESULTS_SCHEMA), 'Version of this schema.'),
  manifest: field(ManifestSchema, 'Description of the run: command, configuration, adapter, data and time.'),
  rows: field(v.array(RowSchema), 'One row per condition, draw and attack.'),
  summary: field(v.array(SummarySchema), 'One entry per condition and attack, over all draws.'),
  baselines: field(BaselinesSchema, 'Scores that are reached without any attack.'),
});
/** The content of `results.json`. */
export type Results = v.InferOutput<typeof ResultsSchema>;
