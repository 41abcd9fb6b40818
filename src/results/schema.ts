/**
 * The files of a run, as types and as schemas: `results.json` (schema `midas-results/1`) and the rows of `rows.jsonl`.
 *
 * A *row* is one attack on one draw of one condition. A *condition* is the change made to the weights and to the confidences
 * that the model releases. A *summary entry* averages all draws of one condition under one attack, with confidence intervals.
 * Every field has a description, which `resultsJsonSchema` copies into the JSON Schema for editors and other languages.
 */

import * as v from 'valibot';
import { GRANULARITIES, MemoryConfig, NOISE_KINDS } from '../memory/config.ts';
import { PERSON_MEASURES } from '../metrics/scoring.ts';
import { FIRST_METRICS, METRIC_TEXTS, type PersonMetric } from './metrics.ts';

export const RESULTS_SCHEMA = 'midas-results/1';

/**
 * The kinds of changes of the weights. `none` is the float32 model; `quantised` is the number format without errors; `memory` is
 * a complete memory configuration.
 */
export const CONDITION_KINDS = ['none', 'quantised', 'bit-error', 'memory', 'gaussian', 'laplacian'] as const;
export type ConditionKind = (typeof CONDITION_KINDS)[number];

/** A schema with its description, which the JSON Schema shows and which its type leaves out. */
export function field<S extends v.GenericSchema>(schema: S, description: string): S {
  return v.pipe(schema, v.description(description)) as unknown as S;
}

// JSON has no NaN or Infinity: a number that is not finite would be written as null, so it is refused.
const number: v.GenericSchema<number> = v.pipe(v.number(), v.finite());
const count: v.GenericSchema<number> = v.pipe(v.number(), v.integer(), v.minValue(0));
const positive: v.GenericSchema<number> = v.pipe(number, v.minValue(0));
const share: v.GenericSchema<number> = v.pipe(number, v.minValue(0), v.maxValue(1));

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
  rates: field(
    v.record(v.string(), share),
    'Mean bit error rate per layer over the whole first chip, and per stored activation: `input`, `fc1 output`.',
  ),
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

const conditionSchema = v.variant('kind', [
  NoneCondition,
  QuantisedCondition,
  BitErrorCondition,
  MemoryCondition,
  NoiseCondition,
]);
type ConditionSchemaType = typeof conditionSchema;
/** The type of the schema, which has a name so that declarations of other types do not repeat it. */
export interface ConditionSchema extends ConditionSchemaType {}
export const ConditionSchema: ConditionSchema = conditionSchema;
/** The change made to the weights, and the change of the confidences before their release. */
export type Condition = v.InferOutput<typeof ConditionSchema>;
export type MemoryCondition = v.InferOutput<typeof MemoryCondition>;
export type NoiseCondition = v.InferOutput<typeof NoiseCondition>;

// ------------------------------------------------------------------------------------------------- rows

const measured: v.GenericSchema<number | null> = v.nullable(number);

/** One field per metric. */
function fields<M extends PersonMetric, S extends v.GenericSchema>(
  metrics: readonly M[],
  schema: S,
  more = '',
): { [name in M]: v.SchemaWithPipe<readonly [S, v.DescriptionAction<v.InferOutput<S>, string>]> } {
  const all = metrics.map((metric) => [metric, field(schema, `${METRIC_TEXTS[metric]}${more}.`)]);
  return Object.fromEntries(all);
}

const list = v.array(measured);
const EACH = '; one value per attacked person, null where it could not be measured';

const PerIdentitySchema = v.pipe(
  v.object({
    ...fields(['pcc', 'pccLift', 'identity'], list, EACH),
    ...fields(['mse', 'psnr', 'ssim'], v.optional(list), EACH),
    ...fields(PERSON_MEASURES, v.optional(list), EACH),
  }),
  v.check(
    (p) => Object.values(p).every((values) => values === undefined || values.length === p.pcc.length),
    'the lists differ in length',
  ),
);
export type PerIdentity = v.InferOutput<typeof PerIdentitySchema>;

const MEAN = '; the mean over the people for whom it could be measured, null if there are none';

const rowSchema = v.object({
  condition: field(ConditionSchema, 'The changes made to the weights and to the released confidences.'),
  draw: field(
    count,
    'Number of the draw of faults or noise; the same number means the same random stream in every condition: draws are paired.',
  ),
  accuracy: field(share, 'Accuracy of the model under this draw on held-out images, 0..1.'),
  attack: field(v.string(), "Name of the attack, such as 'mi-face zero'."),
  ...fields(FIRST_METRICS, measured, MEAN),
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
        joules: v.optional(
          field(
            v.object({
              activate: field(positive, 'Opening rows.'),
              read: field(positive, 'Bursts of reads.'),
              background: field(positive, 'Standby.'),
              refresh: field(positive, 'Refreshes.'),
            }),
            'Energy of a rank of DDR3L chips by cause, joules, while it reads the weights in order at its peak rate: the maxima ' +
              'of a data sheet, scaled by the square of the voltage.',
          ),
        ),
        access: v.optional(
          field(
            positive,
            'Time of a read that first closes one row and opens another, divided by that at standard timings; mean over bytes.',
          ),
        ),
      }),
      'Weight reads needed to classify the test images.',
    ),
  ),
  ...fields(PERSON_MEASURES, v.optional(measured, null), MEAN),
  unmeasured: v.optional(
    field(
      count,
      'Number of attacked people whose reconstructions could not be measured: the attack got NaN, never moved, or returned an ' +
        'image without contrast. They are left out of all means.',
    ),
    0,
  ),
  queries: v.optional(
    field(positive, 'Queries to the victim per reconstruction; for a white-box attack, evaluations of its gradient.'),
  ),
  reloads: v.optional(
    field(
      count,
      'Further loads of the weights that the attacker waited for and read; absent if the attack read only the measured one.',
    ),
  ),
  dimm: v.optional(
    field(
      v.string(),
      'Name of the measured DIMM that the memory is in this draw; present where draws are the DIMMs of a population. Draws of one ' +
        'DIMM are one sample of it.',
    ),
  ),
  rates: v.optional(
    field(
      v.record(v.string(), share),
      'Mean bit error rate per layer over the whole chip of this draw, also where a layer is placed in a part of it; present where chips differ.',
    ),
  ),
  correct: v.optional(
    field(
      v.pipe(v.string(), v.regex(/^[01]+$/)),
      'One character per held-out image, in the order of the split: 1 where the model classified it correctly.',
    ),
  ),
  personAccuracy: v.optional(
    field(
      v.array(share),
      'Accuracy on the held-out images of each person, in the order of their classes; people without any are left out.',
    ),
  ),
  membership: v.optional(
    field(
      v.object({
        auc: field(
          measured,
          'AUC of membership: probability that a training photograph has a higher score than a held-out one, 0.5 by guessing.',
        ),
        tprAtOnePercent: field(
          measured,
          'Share of the training photographs above a score that at most 1 % of the held-out ones exceed; null with fewer than 100 of these.',
        ),
        members: field(list, 'Scores of training photographs, null where there is none.'),
        nonMembers: field(list, 'Scores of as many held-out photographs of the same people: half of all are members.'),
      }),
      'Present if the attack infers whether the model was trained on a photograph: such a row has no reconstructions.',
    ),
  ),
  perIdentity: field(
    PerIdentitySchema,
    'One value per attacked identity, in the same order in every row; intervals and paired comparisons use these values.',
  ),
});
type RowSchemaType = typeof rowSchema;
/** The type of the schema, which has a name so that declarations of other types do not repeat it. */
export interface RowSchema extends RowSchemaType {}
export const RowSchema: RowSchema = rowSchema;
/** One attack on one draw of one condition. */
export type Row = v.InferOutput<typeof RowSchema>;

// ------------------------------------------------------------------------------------------------- summary

const intervalSchema = v.object({
  mean: field(measured, 'Mean of the measured values; null if there are none.'),
  ci95: field(
    v.nullable(v.tuple([number, number])),
    'Lower and upper end of the 95 % confidence interval; null if the values cannot show how much they vary.',
  ),
  unmeasured: v.optional(field(count, 'Number of values that could not be measured, if there are any.')),
});
type IntervalSchemaType = typeof intervalSchema;
interface IntervalSchema extends IntervalSchemaType {}
const IntervalSchema: IntervalSchema = intervalSchema;
/** A mean and its 95 % confidence interval. */
export type Interval = v.InferOutput<typeof IntervalSchema>;

const NOTHING: Interval = { mean: null, ci95: null };

const summarySchema = v.object({
  condition: field(ConditionSchema, 'The changes made to the weights and to the released confidences.'),
  attack: field(v.string(), 'Name of the attack.'),
  draws: field(count, 'Number of measured draws.'),
  n: field(count, 'Number of reconstructions over all draws.'),
  unmeasured: v.optional(field(count, 'Number of reconstructions that could not be measured, by person and draw.'), 0),
  accuracy: field(
    v.object({ ...IntervalSchema.entries, mean: field(number, 'Mean.') }),
    'Accuracy on held-out images, over draws and images.',
  ),
  ...fields(FIRST_METRICS, IntervalSchema, ', over draws and people'),
  ...fields(PERSON_MEASURES, v.optional(IntervalSchema, NOTHING), ', over draws and people'),
});
type SummarySchemaType = typeof summarySchema;
interface SummarySchema extends SummarySchemaType {}
const SummarySchema: SummarySchema = summarySchema;
/** All draws of one condition under one attack. `n` is the number of reconstructions over all draws. */
export type SummaryEntry = v.InferOutput<typeof SummarySchema>;

export const BaselinesSchema = v.object({
  meanFacePcc: field(number, 'PCC of the mean public or training face with each person: the score without any attack.'),
  wrongIdentityPcc: field(
    number,
    'PCC of a photograph with photographs of other persons: the score of a perfect picture of the wrong person.',
  ),
  shuffledPcc: field(
    measured,
    'PCC of each reconstruction with a person other than the one it is meant to show; null if no reconstruction could be measured.',
  ),
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
  isControl: v.optional(
    field(
      v.boolean(),
      'True if the result shows what is known without the victim; it is left out where attackers are compared.',
    ),
  ),
  prior: v.optional(
    field(
      v.object({
        faces: field(count, 'Number of public faces of people whom the prior was not trained on.'),
        explained: field(
          number,
          'Share of the variance of these faces around the mean public face that reconstructions explain, mean brightness aside: 0 for the mean face, at most 1.',
        ),
      }),
      'Quality of the generative prior of the attacker; present if it has one.',
    ),
  ),
});
/** The description of an attack; rows refer to it by `name`. */
export type AttackDescription = v.InferOutput<typeof AttackSchema>;

export const EvaluatorsSchema = field(
  v.object({
    linear: field(share, 'Of the linear evaluator.'),
    convolutional: v.optional(field(share, 'Of the convolutional evaluator.')),
  }),
  'Share of real photographs that the evaluators recognise, on photographs that they were not trained on.',
);

export const PrivacySchema = field(
  v.object({
    epsilon: field(
      positive,
      'Epsilon if batches were Poisson samples of the photographs, which shuffled batches are not.',
    ),
    epsilonOncePerEpoch: field(
      positive,
      'Epsilon without that assumption: every photograph is in one batch per epoch.',
    ),
    delta: field(share, 'Probability with which the bounds may fail.'),
    noise: field(positive, 'Noise multiplier.'),
    clip: field(positive, 'Norm to which the gradient of every photograph was clipped.'),
    rate: field(share, 'Share of the photographs in a full batch.'),
    steps: field(count, 'Steps of the training, all phases together.'),
  }),
  'Differential privacy of the victim for one training photograph that is added or removed; present after a training by DP-SGD.',
);

const manifestSchema = v.object({
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
      splitSha256: v.optional(field(v.string(), 'SHA-256 of the indices of the training and the test images.')),
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
  networks: v.optional(
    field(
      v.record(v.string(), v.string()),
      'SHA-256 of the networks that were given instead of being trained, by file.',
    ),
  ),
  trainedElsewhere: v.optional(
    field(
      v.boolean(),
      'True if the victim was given and its file does not name this data set as the one it was trained on: whether it has seen the ' +
        'held-out images is not known.',
    ),
  ),
  evaluators: v.optional(EvaluatorsSchema),
  privacy: v.optional(PrivacySchema),
  started: field(v.string(), 'Start of the run, ISO 8601.'),
  seconds: field(positive, 'Duration of the run in seconds.'),
  attackSeconds: v.optional(
    field(
      v.record(v.string(), positive),
      'Seconds that each attack took per draw on this adapter, by its name; absent after a merge.',
    ),
  ),
  attacks: v.optional(field(v.array(AttackSchema), 'Descriptions of the attacks that rows refer to.')),
});
type ManifestSchemaType = typeof manifestSchema;
/** The type of the schema, which has a name so that declarations of other types do not repeat it. */
export interface ManifestSchema extends ManifestSchemaType {}
export const ManifestSchema: ManifestSchema = manifestSchema;
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
