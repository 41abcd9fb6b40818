/** The checks of an experiment that are made before its first file is written and its first network is trained. */

import { attackOfKind } from '../attacks/registry.ts';
import type { ImageDataset } from '../data/dataset.ts';
import { ConfigError, DataError } from '../errors.ts';
import { imageValues } from '../image_size.ts';
import { standardise } from '../metrics/similarity.ts';
import { readCheckpoint } from '../models/checkpoint.ts';
import { refuseBatchNorm } from '../models/private_gradients.ts';
import { printable } from '../printable.ts';
import { type Condition, conditionKey, conditionLabel, pictureFile } from '../results/results.ts';
import { plannedConditions } from './conditions.ts';
import type { ExperimentConfig } from './config.ts';
import { attackedPeople, checkPublicFaces, victimSpec, victimTraining } from './described_victim.ts';
import type { ExperimentData } from './faces.ts';
import { isTrainedElsewhere, VICTIM_FILE } from './networks.ts';
import { trainedNetworks } from './plan.ts';

/** @throws DataError where the network names its classes, and the data set has others or another order */
function checkClassNames({ victim }: ExperimentConfig, { name, classNames }: ImageDataset): void {
  const known = victim.kind === 'network' ? victim.network.classNames : undefined;
  const at = known?.findIndex((each, i) => each !== classNames[i]) ?? -1;
  if (!known || at < 0) return;
  throw new DataError(
    `${name}: class ${at} is ${printable(classNames[at])}, that of the network is ${printable(known[at])}; give images of its classes, ` +
      'in folders with their names',
  );
}

/**
 * Checks that an experiment can be run to its end: its data, people, layers, memories, names and given networks.
 * @returns its conditions, from plannedConditions
 * @throws ConfigError, DataError
 */
export function checkExperiment(config: ExperimentConfig, data: ExperimentData): Condition[] {
  // Files are known to the user by their path.
  const name = config.data.kind === 'files' ? config.data.private : data.dataset.name;
  const spec = victimSpec(config.victim, { ...data.dataset, name });
  attackedPeople(config, spec);
  checkClassNames(config, data.dataset);
  checkPublicFaces(data, config);
  if (victimTraining(config).privacy) refuseBatchNorm(spec.layers);
  const planned = plannedConditions(config, spec);
  refuseSharedFiles(config, planned);
  checkNetworks(config, data);
  if (config.attacks.some(({ kind }) => attackOfKind(kind).infersMembership) && isTrainedElsewhere(data)) {
    throw new ConfigError(
      'attacks: the victim was given, and which photographs it was trained on is not known; leave membership inference out, or train ' +
        'the victim here',
    );
  }
  refuseAlike(data.dataset, data.split.train, 'training');
  refuseAlike(data.dataset, data.split.test, 'test');
  return planned;
}

const outputsOf = ({ attacks }: ExperimentConfig) =>
  attacks.flatMap((attack, i) =>
    attackOfKind(attack.kind)
      .outputs(attack)
      .map(({ name }) => ({ name, i })),
  );

/**
 * Pictures are stored in a file per condition and attack; some file systems do not tell upper from lower case.
 * @throws ConfigError where two conditions or two attacks would share a file
 */
function refuseSharedFiles(config: ExperimentConfig, planned: readonly Condition[]): void {
  const files = new Map<string, { readonly condition: Condition; readonly name: string }>();
  for (const condition of planned) {
    for (const { name, i } of outputsOf(config)) {
      const file = pictureFile(condition, name).toLowerCase();
      const other = files.get(file);
      files.set(file, { condition, name });
      if (!other || (other.name === name && conditionKey(other.condition) === conditionKey(condition))) continue;
      if (other.name !== name) {
        throw new ConfigError(`attacks.${i}: "${name}" and "${other.name}" would share a file; rename one`);
      }
      const labels = [condition, other.condition].map((each) => `"${conditionLabel(each)}"`);
      throw new ConfigError(`memories: ${labels.join(' and ')} would share a file; rename one`);
    }
  }
}

/** @throws DataError if a given network is not the one that is needed, ConfigError where two attacks would share one */
function checkNetworks(config: ExperimentConfig, { dataset, pretrained }: ExperimentData): void {
  const { width, height, channels } = dataset;
  const shape = { classes: dataset.classNames.length, width, height, channels };
  const seen = new Map<string, string>();
  for (const { name, spec, training, isShared } of trainedNetworks(config, shape)) {
    const file = `${name}.safetensors`;
    const what = JSON.stringify([spec.description, training]);
    if (isShared && seen.get(file) === what) continue;
    if (seen.has(file)) {
      throw new ConfigError(
        isShared
          ? `attacks: two attacks would train ${file} differently; give them the same network and training`
          : `attacks: two attacks would share the network ${file}; name all their attackers in one attack`,
      );
    }
    seen.set(file, what);
    const bytes = pretrained?.get(file);
    if (bytes) readCheckpoint(bytes, file, spec);
    else if (pretrained && file === VICTIM_FILE) {
      throw new DataError(`no ${file} among the trained networks (${[...pretrained.keys()].join(', ')}); train it`);
    }
  }
}

/** @throws DataError where similarities with the photographs of a split would mean nothing */
function refuseAlike(dataset: ImageDataset, split: Uint32Array, of: string): void {
  const { name, images, labels } = dataset;
  const pixels = imageValues(dataset);
  const people = new Set<number>();
  let first: Float64Array | undefined;
  let differ = false;
  for (const index of split) {
    const image = standardise(Float32Array.from(images.subarray(index * pixels, (index + 1) * pixels)));
    if (Number.isNaN(image[0])) continue;
    people.add(labels[index]);
    first ??= image;
    const [own, other] = [image, first];
    differ ||= own.some((value, i) => Math.abs(value - other[i]) > 1e-9);
    if (differ && people.size > 1) return;
  }
  const what =
    people.size > 1
      ? 'are all alike'
      : `show fewer than two people with contrast (${people.size}); at least two are needed`;
  throw new DataError(`${name}: the ${of} photographs ${what}; give other photographs, or another split`);
}
