/** The networks of `--pretrained`: read from a folder, and a configuration that fits them. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readBytes } from '../data/node/files.ts';
import { ConfigError, DataError } from '../errors.ts';
import type { ExperimentInput } from '../experiments/config.ts';
import { VICTIM_FILE } from '../experiments/networks.ts';
import { isSafetensors, readSafetensors } from '../formats/safetensors.ts';
import { CHECKPOINT_FORMAT, checkpointSpec, writeCheckpoint } from '../models/checkpoint.ts';
import type { ModelDescription } from '../models/model_spec.ts';
import { importNetwork } from '../models/recognise.ts';
import { describedModel } from '../models/specs.ts';
import type { PrivateFiles } from './experiment_data.ts';

/** Checkpoints by their file names in the folder of a run. */
export type Pretrained = ReadonlyMap<string, Uint8Array>;

const INVERSION_FILE = 'inversion.safetensors';
const ENDING = /\.(safetensors|pth|pt|ckpt|bin|tar)$/i;

/** Files that the networks of Yang et al. have in the folder of a run. */
const FILES: Partial<Record<ModelDescription['kind'], string>> = {
  'yang-classifier': VICTIM_FILE,
  'yang-inversion': INVERSION_FILE,
};

/**
 * Reads the networks in a folder: checkpoints of midas by their names, and files of PyTorch or safetensors, which are imported.
 * A classifier or an inversion network of Yang et al. under any name serves as the victim or the attacker's network if the
 * folder has no file of that name.
 * @throws DataError for a missing or empty folder, a file that is no network, or two that could both be the victim
 */
export async function readNetworks(folder: string): Promise<Pretrained> {
  if (!existsSync(folder)) throw new DataError(`${folder}: no such folder; give one that holds ${VICTIM_FILE}`);
  if (!statSync(folder).isDirectory()) {
    throw new DataError(`${folder}: a file; --pretrained takes a folder, --victim the file of one network`);
  }
  const networks = new Map<string, Uint8Array>();
  const others: { readonly name: string; readonly file: string | undefined; readonly bytes: Uint8Array }[] = [];
  const names = readdirSync(folder).filter((name) => ENDING.test(name) && !name.startsWith('.'));
  for (const name of names.sort()) {
    const path = join(folder, name);
    const bytes = await readBytes(path);
    const metadata = isSafetensors(bytes) ? readSafetensors(bytes, path).metadata : {};
    if (!metadata.format?.startsWith('midas-')) {
      const { spec, parameters } = importNetwork(bytes, path);
      const state = { epoch: 0, parameters, optimizer: [] };
      const checkpoint = writeCheckpoint({ spec, state, metadata: { source: name } });
      others.push({ name, file: FILES[spec.description.kind], bytes: checkpoint });
    } else {
      networks.set(name.toLowerCase(), bytes);
      if (metadata.format === CHECKPOINT_FORMAT) {
        others.push({ name, file: FILES[checkpointSpec(metadata, path).description.kind], bytes });
      }
    }
  }
  if (networks.size + others.length === 0) {
    throw new DataError(`${folder}: holds no networks of midas or PyTorch; an ONNX file is a --victim`);
  }
  for (const file of [VICTIM_FILE, INVERSION_FILE].filter((each) => !networks.has(each))) {
    const fitting = others.filter((other) => other.file === file);
    if (fitting.length > 1) {
      const list = fitting.map(({ name }) => name).join(', ');
      throw new DataError(`${folder}: ${list} could all be ${file}; give one of them that name`);
    }
    if (fitting.length === 1) networks.set(file, fitting[0].bytes);
  }
  return networks;
}

/** What the networks of a folder say about the experiment that they belong to. */
export interface PretrainedShapes {
  readonly victim?: ModelDescription;
  readonly inversion?: ModelDescription;
}

/** @throws DataError if the victim or the inversion network cannot be read, ConfigError if they do not belong together */
export function shapesOf(networks: Pretrained): PretrainedShapes {
  const describe = (file: string) => {
    const bytes = networks.get(file);
    return bytes && checkpointSpec(readSafetensors(bytes, file).metadata, file).description;
  };
  const [victim, inversion] = [describe(VICTIM_FILE), describe(INVERSION_FILE)];
  const [known, taken] = [victim && describedModel(victim).outputs, inversion && describedModel(inversion).inputs];
  if (known !== undefined && taken !== undefined && known !== taken) {
    throw new ConfigError(
      `--pretrained: the classifier knows ${known} people, the inversion network takes predictions of ${taken}; give two ` +
        'that belong together',
    );
  }
  return { victim, inversion };
}

/** The side of the images of the networks in pixels, if they only take squares of one size. */
function sizeOf({ victim, inversion }: PretrainedShapes): number | undefined {
  for (const network of [victim, inversion]) if (network && 'size' in network) return network.size;
  return undefined;
}

/** Attacks whose inversion networks are the given one. */
export function widenedAttacks(
  attacks: ExperimentInput['attacks'],
  { inversion: given }: PretrainedShapes,
): ExperimentInput['attacks'] {
  const network =
    given?.kind === 'yang-inversion'
      ? { kind: 'yang', ngf: given.ngf }
      : given?.kind === 'dense-inversion' && { kind: 'dense', hidden: [...given.hidden] };
  const widened = (attack: unknown) =>
    network && (attack as { kind: unknown }).kind === 'inversion' ? { ...(attack as object), network } : attack;
  return attacks.map(widened) as ExperimentInput['attacks'];
}

/** Procedural faces of the size and the number of people that trained networks know. */
export function fittingData(data: ExperimentInput['data'], shapes: PretrainedShapes): ExperimentInput['data'] {
  if (data.kind !== 'procedural') return data;
  if (shapes.victim?.kind === 'network') {
    const { height, width } = shapes.victim.input;
    return { ...data, width, height, people: describedModel(shapes.victim).outputs };
  }
  const size = sizeOf(shapes);
  return {
    ...data,
    ...(size !== undefined && { width: size, height: size }),
    ...(shapes.victim && { people: describedModel(shapes.victim).outputs }),
  };
}

/** Files whose images have the size and colours that a network takes, unless others are given. */
export function fittingFiles(data: ExperimentInput['data'], { victim }: PretrainedShapes): ExperimentInput['data'] {
  if (data.kind !== 'files' || victim?.kind !== 'network') return data;
  const { height, width, channels } = victim.input;
  return {
    ...data,
    size: data.size ?? (width === height ? width : { width, height }),
    channels: data.channels ?? (channels === 3 ? 'rgb' : 'gray'),
  };
}

/** Of photographs, the victim knows as many people as the trained one does, unless a number is given. */
export function knownPeople(
  data: ExperimentInput['data'],
  files: PrivateFiles | undefined,
  { victim }: PretrainedShapes,
): ExperimentInput['data'] {
  if (data.kind !== 'files' || data.people !== undefined || !victim) return data;
  const people = describedModel(victim).outputs;
  return files && files.all.classNames.length <= people ? data : { ...data, people };
}
