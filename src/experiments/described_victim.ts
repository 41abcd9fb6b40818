/** The victim that a configuration describes: its network, its training and privacy, the people in it, and what the data must be. */
import { attackOfKind } from '../attacks/registry.ts';
import type { ImageDataset } from '../data/dataset.ts';
import { DP_SGD, type DpSgd } from '../defences/dp_sgd.ts';
import { TRAINING_DEFENCES } from '../defences/registry.ts';
import { ConfigError, DataError } from '../errors.ts';
import { type ImageSizeInput, imageValues } from '../image_size.ts';
import { binomialInterval, isNearChance } from '../metrics/binomial.ts';
import type { Evaluation } from '../models/evaluate.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { describedNetwork } from '../models/network.ts';
import { modelSpec } from '../models/specs.ts';
import type { TrainingConfig } from '../models/training_config.ts';
import { type TrainingPrivacy, trainingPrivacy } from '../models/training_privacy.ts';
import { yangClassifier } from '../models/yang.ts';
import { listed, printable, printableEnd } from '../printable.ts';
import type { ExperimentConfig, VictimConfig } from './config.ts';
import type { ExperimentData } from './faces.ts';
import { VICTIM_FILE } from './networks.ts';
import type { RunContext } from './store.ts';

/**
 * The network of the victim that a configuration describes.
 * @throws DataError for images that the network does not take, or too few people
 */
export function victimSpec(
  victim: VictimConfig,
  dataset: ImageSizeInput & Pick<ImageDataset, 'name' | 'classNames' | 'labels'>,
): ModelSpec {
  const { width, height, channels, name, classNames } = dataset;
  const people = new Set(dataset.labels).size;
  if (people < 2) throw new DataError(`${name}: ${people} class; a classifier needs at least 2`);
  if (victim.kind === 'network') {
    const spec = describedNetwork(victim.network);
    const { input } = victim.network;
    const shown = (text: string) => printableEnd(text, 60);
    const called = victim.network.name === undefined ? '' : ` ${shown(victim.network.name)}`;
    if (width !== input.width || height !== input.height || channels !== input.channels) {
      const text = (size: ImageSizeInput) => `${size.width}x${size.height} ${size.channels === 3 ? 'RGB' : 'gray'}`;
      throw new DataError(
        `data ${shown(name)}: images are ${text(dataset)}, the network${called} takes ${text(input as ImageSizeInput)}; ` +
          'leave --size and --channels out, or give those of the network',
      );
    }
    if (spec.outputs !== classNames.length) {
      const some = listed(classNames.map((each) => printable(each, 20)).slice(0, 3), 80);
      const more = classNames.length > 3 ? ', ...' : '';
      throw new DataError(
        `data ${shown(name)}: ${classNames.length} classes (${some}${more}), the network${called} has ${spec.outputs} outputs; ` +
          'give images of its classes, or a network for these',
      );
    }
    return spec;
  }
  if (victim.kind !== 'yang') return modelSpec(victim.kind, imageValues(dataset), classNames.length, victim.hidden);
  if (channels === 3) {
    throw new DataError(
      `${name}: images are RGB, the network yang takes gray images; convert them (channels: gray), or choose another victim`,
    );
  }
  if (width !== height || (width !== 32 && width !== 64)) {
    throw new DataError(`${name}: images are ${width}x${height}, the network yang takes 32x32 or 64x64`);
  }
  return yangClassifier({ kind: 'yang-classifier', size: width, ndf: victim.ndf, classes: classNames.length });
}

/** The victim's training, including its training defences. */
export function victimTraining({ victim, defences, seed }: ExperimentConfig): TrainingConfig {
  const added = TRAINING_DEFENCES.filter(({ name }) => defences[name] !== undefined);
  return Object.assign({ ...victim.training, seed }, ...added.map((each) => each.training(defences[each.name])));
}

/** The privacy of a victim that is trained by DP-SGD; undefined for one that was given, whose training is not known. */
export function privacyOf(
  config: ExperimentConfig,
  { split, pretrained }: ExperimentData,
  spec: ModelSpec,
): TrainingPrivacy | undefined {
  const dpSgd = config.defences[DP_SGD.name] as DpSgd | undefined;
  if (!dpSgd || pretrained?.has(VICTIM_FILE)) return undefined;
  return trainingPrivacy(victimTraining(config), spec, dpSgd.delta, split.train.length);
}

/** The people that are attacked. @throws ConfigError for a number that is no class of the victim */
export function attackedPeople({ people }: ExperimentConfig, spec: ModelSpec): readonly number[] {
  const bad = people?.find((person) => person >= spec.outputs);
  if (bad !== undefined) throw new ConfigError(`people: ${bad} is not a class of 0..${spec.outputs - 1}`);
  return people ?? [...Array(spec.outputs).keys()];
}

/** @throws DataError where the public faces have another size, ConfigError where an attack needs some but has none */
export function checkPublicFaces({ dataset, publicFaces }: ExperimentData, { attacks }: ExperimentConfig): void {
  const needy = attacks.find(({ kind }) => attackOfKind(kind).needsPublicFaces);
  if (!publicFaces && needy) {
    throw new ConfigError(
      `${needy.kind}: this attack learns from other people’s faces; give --public, ` +
        'or --people to leave some of --private to the attacker',
    );
  }
  if (!publicFaces) return;
  const { name, width, height, channels } = publicFaces;
  if (width !== dataset.width || height !== dataset.height || channels !== dataset.channels) {
    const [own, other] = channels === dataset.channels ? ['', ''] : [colourName(publicFaces), colourName(dataset)];
    throw new DataError(
      `${name}: images are ${width}x${height}${own}, those of ${dataset.name} are ` +
        `${dataset.width}x${dataset.height}${other}`,
    );
  }
}

const colourName = ({ channels }: ImageDataset) => (channels === 3 ? ' RGB' : ' gray');

/** Says right after the training that the victim has learned too little: by its answers to held-out photographs. */
export function warnNearChance({ correct }: Evaluation, data: ExperimentData, { progress }: RunContext): void {
  const { classNames } = data.dataset;
  const classes = classNames.length;
  const right = correct.filter(Boolean).length;
  const [low] = binomialInterval(right, correct.length, 0.05);
  if (!isNearChance(right / correct.length, low, classes)) return;
  progress.warn(
    `the victim classifies ${right} of ${correct.length} held-out photographs correctly, about as many as guessing among ` +
      `${classes} people: ${adviceNearChance(data)} before you conclude anything`,
  );
}

function adviceNearChance(data: ExperimentData): string {
  if (!data.pretrained) return 'train it longer (--epochs, --steps)';
  const classes = listed(
    data.dataset.classNames.map((name) => printable(name, 20)),
    60,
  );
  return (
    `see whether its classes have the order ${classes} (else --class-names), and whether its input is normalised as in its ` +
    'training (inside the network, or by input.mean and input.deviation of a description)'
  );
}
