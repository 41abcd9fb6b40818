/** Loads or renders the faces of an experiment, as the `data` of its configuration says. */

import { existsSync, statSync } from 'node:fs';
import { type ClassOrder, orderClasses } from '../data/class_names.ts';
import { type ImageDataset, type Split, seededSplit } from '../data/dataset.ts';
import { refuseSharedIdentities } from '../data/identities.ts';
import { isAttLayout, loadAttFaces } from '../data/node/attfaces.ts';
import { readBytes } from '../data/node/files.ts';
import { type ImportFacesOptions, importFaces, readClassNames } from '../data/node/import_faces.ts';
import { isNumpy } from '../data/node/numpy_faces.ts';
import { loadPack } from '../data/node/packs.ts';
import { augment, selectPeople } from '../data/people.ts';
import { ConfigError, DataError } from '../errors.ts';
import type { DataConfig } from '../experiments/config.ts';
import type { ExperimentData } from '../experiments/faces.ts';
import { experimentData, proceduralData, publicFacesOf, splitName } from '../experiments/faces.ts';
import { presetInput } from '../experiments/presets.ts';
import type { Gpu } from '../gpu/device.ts';
import { type Channels, channelsOf } from '../image_size.ts';

type Files = Extract<DataConfig, { kind: 'files' }>;

/** The word that means procedural faces when it is given instead of a path. */
const EMBEDDED = 'embedded';

/** Default share of each person's photographs on which the victim is trained. */
const TRAINED = 0.7;

/** Photographs of `private`, before people are chosen; undefined if the faces are procedural. */
export interface PrivateFiles {
  readonly all: ImageDataset;
  /** Present if the files come with a split into training and test images. */
  readonly split?: Split;
  readonly splitName?: string;
  /** Lines about what was found otherwise than expected, for a warning. */
  readonly notes: readonly string[];
}

export interface LoadedData extends ExperimentData {
  /** Describes in words how the photographs were split. */
  readonly splitName: string;
  /** Lines about files that were found otherwise than expected, for a warning. */
  readonly notes: readonly string[];
}

interface LoadedFaces {
  readonly dataset: ImageDataset;
  readonly notes: readonly string[];
}

/** How files are imported. */
interface ImportOptions extends Pick<ImportFacesOptions, 'size' | 'classNames'> {
  /** Channels of the images; by default those of a pack, and gray of other files. */
  readonly channels?: Channels;
}

/** Loads a pack, files of NumPy, or a folder with one folder per person. @throws DataError, ConfigError */
async function loadFaces(path: string, options: ImportOptions): Promise<LoadedFaces> {
  if (!existsSync(path)) {
    throw new DataError(`${path}: no such file or folder; give a folder of people, a pack or a NumPy file`);
  }
  if (statSync(path).isFile()) {
    if (isNumpy(await readBytes(path))) return importFaces(path, options);
    const { dataset } = await loadPack(path);
    if (options.channels !== undefined && options.channels !== dataset.channels) {
      const [own, wanted] = dataset.channels === 1 ? ['gray', 'rgb'] : ['rgb', 'gray'];
      throw new DataError(
        `${path}: the images of this pack are ${own}, ${wanted} is asked for; import them again with --channels ${wanted}`,
      );
    }
    return { dataset: await inOrderOf(dataset, options.classNames), notes: [] };
  }
  const layout = (await isAttLayout(path)) ? 'attfaces' : 'folders';
  const imported = await importFaces(path, { layout, ...options });
  if (options.size !== undefined || imported.origin.layout === 'numpy') return imported;
  const { dataset, notes } = imported;
  return {
    dataset,
    notes: [...notes, `cropped and resized to ${dataset.width}x${dataset.height}; --size changes this`],
  };
}

/** A data set with its classes in an order, if there is one. @throws DataError */
async function inOrderOf(dataset: ImageDataset, order: ClassOrder | undefined): Promise<ImageDataset> {
  return order ? orderClasses(dataset, order) : dataset;
}

/**
 * Reads the photographs of `private`. Called before a device is opened, so that a wrong folder is refused without that delay.
 * @param known the classes of a network that names them: they come first, in its order, unless the configuration has an order
 * @throws DataError, ConfigError
 */
export async function readPrivateFiles(
  data: DataConfig,
  seed: number,
  known?: Omit<ClassOrder, 'othersFollow'>,
): Promise<PrivateFiles | undefined> {
  if (data.kind !== 'files' || data.private === EMBEDDED) return undefined;
  const { private: path, size, split: splitFile } = data;
  const asked = data.classNames === undefined ? undefined : await readClassNames(data.classNames);
  const classNames = asked ?? (known && { ...known, othersFollow: true });
  const channels = data.channels && channelsOf(data.channels);
  if (size === undefined && (!existsSync(path) || (statSync(path).isDirectory() && (await isAttLayout(path))))) {
    const { dataset, split, splitName: name, notes } = await loadAttFaces(path, splitFile, seed, channels);
    return { all: await inOrderOf(dataset, classNames), split, splitName: name, notes };
  }
  if (splitFile !== undefined) throw new ConfigError('data.split: a split file needs a folder in the AT&T layout');
  const { dataset, notes } = await loadFaces(path, { size, channels, classNames });
  return { all: dataset, notes };
}

/**
 * Loads or renders the faces of the victim and the attacker, and splits those of the victim.
 * @param files from {@link readPrivateFiles}
 * @throws DataError, ConfigError, DeviceLostError
 */
export async function loadData(
  gpu: Gpu,
  data: DataConfig,
  files: PrivateFiles | undefined,
  seed: number,
): Promise<LoadedData> {
  if (data.kind === 'procedural') {
    return { ...(await proceduralData(gpu, data, seed)), splitName: splitName(data.trained), notes: [] };
  }
  const drawn = embeddedFaces(data);
  const all = files?.all ?? (await proceduralData(gpu, drawn, seed)).dataset;
  const count = data.people ?? all.classNames.length;
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const takesAll = count === all.classNames.length;
  const dataset = takesAll ? all : await selectPeople(all, range(0, count));
  const { dataset: others, notes } = await publicFaces(gpu, data, all, count, seed);
  if (others) refuseSharedIdentities(dataset, others, data.allowShared);
  const known = others && (await augment(others, data.augment, seed));
  const trained = data.trained ?? TRAINED;
  const given = takesAll && data.trained === undefined ? files?.split : undefined;
  const split = given ?? seededSplit(dataset, trained, seed);
  const name = given && files?.splitName ? files.splitName : splitName(trained);
  return { ...experimentData(dataset, split, known), splitName: name, notes: [...(files?.notes ?? []), ...notes] };
}

async function publicFaces(
  gpu: Gpu,
  data: Files,
  all: ImageDataset,
  count: number,
  seed: number,
): Promise<{ readonly dataset?: ImageDataset; readonly notes: readonly string[] }> {
  if (data.public === EMBEDDED || (data.public === undefined && data.private === EMBEDDED)) {
    const { width, height } = all;
    return { dataset: await publicFacesOf(gpu, { ...embeddedFaces(data), width, height }, seed), notes: [] };
  }
  if (data.public !== undefined) return loadFaces(data.public, { size: data.size, channels: all.channels });
  if (data.people === undefined) return { notes: [] };
  if (count >= all.classNames.length) {
    throw new ConfigError(`--people ${count}: no people are left for the attacker; give fewer, or --public`);
  }
  const left = Array.from({ length: all.classNames.length - count }, (_, i) => count + i);
  return { dataset: await selectPeople(all, left), notes: [] };
}

/** The procedural faces that `embedded` means: those of the preset `deep`. */
function embeddedFaces({ size }: Files): Extract<DataConfig, { kind: 'procedural' }> {
  const { data } = presetInput('deep');
  if (data.kind !== 'procedural') throw new Error('the preset has no procedural faces');
  return { ...data, ...(typeof size === 'number' ? { width: size, height: size } : size) };
}
