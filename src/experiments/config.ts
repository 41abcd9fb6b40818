/**
 * The configuration of an experiment: data x victim x defences x attacks, measured draw by draw. One schema validates it
 * on input; after that it is a plain typed object. The manifest of a run holds all of it, so that the run can be repeated.
 */

import * as v from 'valibot';
import { type AttackConfig, AttackSchema, attackOfKind } from '../attacks/registry.ts';
import { RELEASE_DEFENCES, TRAINING_DEFENCES } from '../defences/registry.ts';
import { ConfigError } from '../errors.ts';
import { COLOURS } from '../image_size.ts';
import { FETCH_PATHS, GRANULARITIES, NamedMemories, NOISE_KINDS, NumberFormat, Rate } from '../memory/config.ts';
import { MODEL_KINDS } from '../models/model_spec.ts';
import { NetworkDescription } from '../models/network_description.ts';
import { schemaMessage } from '../schema_message.ts';

const whole = (low: number, high: number): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const number = (low: number, high: number): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.minValue(low), v.maxValue(high));
// The type leaves the description out, which changes no values.
const described = <S extends v.GenericSchema>(text: string, schema: S): S =>
  v.pipe(schema, v.description(text)) as unknown as S;

const side = whole(8, 1024);

/** The first of some texts that occurs twice; undefined if there is none. */
const repeated = (texts: readonly string[]) => texts.find((text, i) => texts.indexOf(text) !== i);

const LayerSet = v.pipe(
  v.string(),
  v.check((set) => repeated(set.split('+')) === undefined, 'names a layer twice'),
);
/** The same for every order in which the layers of a set are named. */
const sorted = (set: string) => set.split('+').sort().join('+');

/**
 * Rows name their attack by its output: two outputs of the same name could not be told apart. Nor may the options of an attack
 * contradict each other.
 */
const attackNames = v.rawCheck<AttackConfig[]>(({ dataset, addIssue }) => {
  if (!dataset.typed) return;
  const seen = new Set<string>();
  for (const [key, attack] of dataset.value.entries()) {
    const wrong = attackOfKind(attack.kind).contradiction?.(attack);
    if (wrong)
      addIssue({
        message: wrong,
        path: [{ type: 'array', origin: 'value', input: dataset.value, key, value: attack }],
      });
    for (const { name } of attackOfKind(attack.kind).outputs(attack)) {
      if (seen.has(name)) {
        addIssue({
          message: `there are two attacks "${name}"; change or drop one`,
          path: [{ type: 'array', origin: 'value', input: dataset.value, key, value: attack }],
        });
      }
      seen.add(name);
    }
  }
});

const trained = described(
  'Photographs of each person that the victim is trained on: a number or, below 1, a share of them.',
  v.pipe(v.number('must be a number'), v.gtValue(0, 'must be above 0'), v.maxValue(10_000)),
);

const Procedural = v.strictObject({
  kind: v.literal('procedural'),
  width: described('Width of the images, pixels.', whole(8, 256)),
  height: described('Height of the images, pixels.', whole(8, 256)),
  people: described('People that the victim is trained to recognise.', whole(2, 65_535)),
  photographs: described('Photographs of each of them.', whole(2, 10_000)),
  trained,
  public: described(
    'Other people, whose faces the attacker has.',
    v.strictObject({ people: whole(1, 65_535), photographs: whole(1, 10_000) }),
  ),
});

const Files = v.strictObject({
  kind: v.literal('files'),
  private: described(
    'People, or classes, of the victim: a folder with one folder per class, a pack, or a NumPy file.',
    v.string(),
  ),
  public: v.optional(
    described(
      'Faces that the attacker has: a folder or pack, or `embedded` for procedural faces. Default: the people of private ' +
        'that `people` leaves over; if it leaves none, only the mean of the training photographs.',
      v.string(),
    ),
  ),
  people: v.optional(
    described(
      'How many people, or classes, of private the victim is trained on, the first in their order; all by default.',
      whole(2, 65_535),
    ),
  ),
  augment: v.optional(described('Variations of every public photograph.', whole(0, 1000)), 0),
  allowShared: v.optional(described('Continue even if private and public people share names.', v.boolean()), false),
  size: v.optional(
    described(
      'Side of the square to which images are cropped and resized, pixels, or width and height of another shape; by default ' +
        'images in the layout of the AT&T faces, and square images of NumPy, stay as they are, and others get 64. Packs keep ' +
        'their size.',
      v.union([side, v.strictObject({ width: side, height: side })]),
    ),
  ),
  channels: v.optional(
    described(
      'Colours of the images: gray (default for folders and NumPy files, into which colours are converted) or rgb. A pack ' +
        'keeps its own, and public images follow those of private.',
      v.picklist(COLOURS),
    ),
  ),
  classNames: v.optional(
    described(
      'File with the names of all classes in their order: a JSON array, or one name per line. Folders must have these names; ' +
        'labels in NumPy files are numbers of these classes. By default the order of the names.',
      v.string(),
    ),
  ),
  split: v.optional(
    described(
      'JSON file with train, test and classes; by default the published split of the AT&T faces, or a seeded split.',
      v.string(),
    ),
  ),
  trained: v.optional(trained),
});

export const DataConfig = v.variant('kind', [Procedural, Files]);
export type DataConfig = v.InferOutput<typeof DataConfig>;

const trainingConfig = v.strictObject({
  epochs: described('Passes over the training photographs.', whole(1, 100_000)),
  steps: v.optional(
    described(
      'Least number of steps: few photographs are trained on for more epochs, until their steps are as many.',
      whole(1, 10_000_000),
    ),
  ),
  batchSize: described('Photographs per step.', whole(1, 65_536)),
  optimizer: described(
    'Optimiser of the weights.',
    v.variant('kind', [
      v.strictObject({
        kind: v.literal('sgd'),
        learningRate: number(0, 1e3),
        momentum: number(0, 0.999999),
        weightDecay: number(0, 1),
      }),
      v.strictObject({
        kind: v.literal('adam'),
        learningRate: number(0, 1e3),
        betas: v.tuple([number(0, 0.999999), number(0, 0.999999)]),
        epsilon: number(0, 1),
        amsgrad: v.boolean(),
      }),
    ]),
  ),
  dropLast: v.optional(described('Leave out the last batch of an epoch if it is not full.', v.boolean())),
  reconstruction: v.optional(
    described(
      'Only for a denoising autoencoder: its training to reconstruct images, before it is trained to classify.',
      v.strictObject({ epochs: whole(1, 100_000), deviation: number(0, 10), learningRate: number(0, 1e3) }),
    ),
  ),
});

type TrainingConfigType = typeof trainingConfig;
/** The types of schemas have names so that declarations of other types do not repeat them. */
interface TrainingSchema extends TrainingConfigType {}
const Training: TrainingSchema = trainingConfig;

const victimConfig = v.variant('kind', [
  v.strictObject({
    kind: described(
      'softmax: softmax regression. mlp: the published network, one hidden layer without activation. mlp-sigmoid: one hidden ' +
        'sigmoid layer. dae: a softmax on the code of a denoising autoencoder.',
      v.picklist(MODEL_KINDS),
    ),
    hidden: described('Widths of the hidden layers.', v.array(whole(1, 100_000))),
    training: Training,
  }),
  v.strictObject({
    kind: described(
      'yang: the convolutional network of Yang et al., for square gray images of 32 or 64 pixels.',
      v.literal('yang'),
    ),
    ndf: described('Channels of the first convolution.', whole(1, 1024)),
    training: Training,
  }),
  v.strictObject({
    kind: described('network: any network that is described layer by layer.', v.literal('network')),
    network: NetworkDescription,
    training: Training,
  }),
]);
type VictimConfigType = typeof victimConfig;
interface VictimSchema extends VictimConfigType {}
const VictimConfig: VictimSchema = victimConfig;
export type VictimConfig = v.InferOutput<typeof VictimConfig>;

/** Kinds of victims, for help texts. */
export const VICTIM_KINDS = [...MODEL_KINDS, 'yang'] as const;
export type VictimKind = (typeof VICTIM_KINDS)[number];

type ReleaseSchemas = Parameters<
  typeof v.variant<'kind', [v.StrictObjectSchema<{ kind: v.LiteralSchema<string, undefined> }, undefined>], undefined>
>[1];

/** One change of the released confidences; the registry lists the kinds. */
const ReleaseSchema = v.variant(
  'kind',
  RELEASE_DEFENCES.map(({ schema }) => schema) as unknown as ReleaseSchemas,
) as unknown as v.GenericSchema<ReleaseConfig, ReleaseConfig>;
export type ReleaseConfig = { readonly kind: string } & Readonly<Record<string, string | number | boolean>>;

const TrainingDefences = v.strictObject(
  Object.fromEntries(
    TRAINING_DEFENCES.map(({ name, description, schema }) => [name, v.optional(described(description, schema))]),
  ),
) as unknown as v.GenericSchema<Record<string, unknown>, Readonly<Record<string, unknown>>>;

/** Judges of reconstructions, for help texts. */
export const EVALUATORS = ['linear', 'convolutional'] as const;

export const ExperimentConfig = v.strictObject({
  data: described('The faces that the victim is trained on, and those that the attacker has.', DataConfig),
  victim: described('The network that is attacked, and its training.', VictimConfig),
  defences: v.optional(described('Defences that act in the training of the victim.', TrainingDefences), {}),
  releases: v.optional(
    described(
      'Changes of the released confidences: every condition is measured without any of them, and once with each.',
      v.array(ReleaseSchema),
    ),
    [],
  ),
  format: v.optional(described('Number format of the weights in memory.', NumberFormat), { kind: 'fixed' }),
  granularity: v.optional(
    described(
      'When faults are drawn: once for a chip, with every load of the weights, in every pass, or for every image.',
      v.picklist(GRANULARITIES),
    ),
    'load',
  ),
  path: v.optional(
    described(
      'How weights are read: materialised before the products, fused into them, or auto, which selects one of the two.',
      v.picklist(FETCH_PATHS),
    ),
    'auto',
  ),
  sweeps: v.optional(
    described(
      'Bit error rates, the same on every layer of a set: `fc1`, `fc1+fc2`, `all`, or `both` in a model of two layers.',
      v.pipe(
        v.array(v.strictObject({ layers: LayerSet, rates: v.array(Rate) })),
        v.check(
          (sweeps) => repeated(sweeps.map(({ layers }) => sorted(layers))) === undefined,
          'names the same layers twice; give all their rates in one entry',
        ),
      ),
    ),
    [],
  ),
  planes: v.optional(
    described(
      'Also measure every set of layers and rate of sweeps with errors in the sign bits alone, in the high bits (the upper half of the ' +
        'others, or the exponent) and in the low bits; the report then says which does the work.',
      v.boolean(),
    ),
  ),
  grid: v.optional(described('Bit error rates of the first two layers, crossed.', v.array(Rate)), []),
  rateMaps: v.optional(
    described('Bit error rates by layer; each entry is one condition.', v.array(v.record(v.string(), Rate))),
    [],
  ),
  memories: v.optional(described('Complete memories with their names; each is one condition.', NamedMemories), []),
  noise: v.optional(
    described(
      'Additive noise on the weights to compare bit errors with.',
      v.strictObject({
        kinds: described(
          'Distributions.',
          v.pipe(
            v.array(v.picklist(NOISE_KINDS)),
            v.check((kinds) => repeated(kinds) === undefined, 'names a kind twice'),
          ),
        ),
        sets: v.optional(
          described(
            'Sets of layers whose noise is calibrated to the accuracies under bit errors; those of sweeps by default.',
            v.pipe(
              v.array(LayerSet),
              v.check((sets) => repeated(sets.map(sorted)) === undefined, 'names the same layers twice'),
            ),
          ),
        ),
        matched: v.optional(
          described('The set whose bit errors are matched; by default each set is matched to itself.', LayerSet),
        ),
        levels: v.optional(
          described(
            'Fixed scales in units of the weights, the same on every layer of a set, as in the published tables.',
            v.strictObject({
              layers: LayerSet,
              gaussian: v.array(number(0, 1e6)),
              laplacian: v.array(number(0, 1e6)),
            }),
          ),
        ),
        moments: v.optional(
          described(
            'Also measure noise with the same mean square on every layer as bit errors on `matched` or, without it, on each set.',
            v.boolean(),
          ),
          false,
        ),
      }),
    ),
    { kinds: [] },
  ),
  draws: v.optional(described('Samples of the faults per condition.', whole(1, 10_000)), 3),
  attacks: described(
    'Attacks on the victim.',
    v.pipe(v.array(AttackSchema), v.minLength(1, 'name at least one attack'), attackNames),
  ),
  people: v.optional(
    described(
      'The people that are attacked, as classes of the victim; all by default.',
      v.pipe(
        v.array(whole(0, 65_535)),
        v.minLength(1, 'name at least one person, or leave it out'),
        v.check((people) => new Set(people).size === people.length, 'names a person twice'),
      ),
    ),
  ),
  photographs: v.optional(
    described('Photographs of each person that an attack on photographs takes, per split.', whole(1, 10_000)),
    2,
  ),
  evaluator: v.optional(
    described(
      'Judges of the reconstructions: a linear one alone, or also a convolutional one (convolutional), which is trained first: ' +
        'half a minute for 40 people on two cores.',
      v.picklist(EVALUATORS),
    ),
    'convolutional',
  ),
  evaluationBatch: v.optional(
    described(
      'Photographs that are classified together; at granularity pass they share one read of the weights.',
      whole(1, 65_536),
    ),
    128,
  ),
  seed: v.optional(
    described(
      'Seed of procedural faces, splits, training and faults: the same seed gives the same bits.',
      v.pipe(v.number(), v.safeInteger('must be a whole number'), v.minValue(0)),
    ),
    1,
  ),
});
export type ExperimentConfig = v.InferOutput<typeof ExperimentConfig>;
/** A configuration as a user gives it, before defaults. */
export type ExperimentInput = v.InferInput<typeof ExperimentConfig>;

/** Validates a configuration. @param where its source, for messages. @throws ConfigError naming the path in it */
export function parseExperiment(input: unknown, where: string): ExperimentConfig {
  const result = v.safeParse(ExperimentConfig, input);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const place = [where, v.getDotPath(issue)].filter(Boolean).join(': ');
  throw new ConfigError(`${place}: ${schemaMessage(ExperimentConfig, issue)}`);
}

/** The part of a configuration that determines the conditions under which a testbed is measured. */
export type SweepConfig = Pick<
  ExperimentConfig,
  | 'format'
  | 'granularity'
  | 'path'
  | 'sweeps'
  | 'planes'
  | 'grid'
  | 'rateMaps'
  | 'memories'
  | 'noise'
  | 'releases'
  | 'draws'
  | 'seed'
>;
export type NoiseConfig = ExperimentConfig['noise'];
/** A memory configuration as a condition. */
export type NamedMemory = ExperimentConfig['memories'][number];
