/**
 * Imports folders of photographs, as they are published, into one data set: finds, converts to gray, crops and resizes them.
 * Files and people are in the order of their names (UTF-16 code units; for attfaces the order of loadAttFaces), so the same
 * folder gives the same bytes.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigError, DataError, InterruptedError } from '../../errors.ts';
import type { GrayImage } from '../../formats/pgm.ts';
import { createDataset, type ImageDataset } from '../dataset.ts';
import { normaliseIdentity } from '../identities.ts';
import { centreSquare, crop, resize, toGray } from '../image_ops.ts';
import { FACE_LAYOUTS, type FaceLayout, type PackOrigin } from '../pack.ts';
import { loadAttFaces } from './attfaces.ts';
import { fileError, readBytes } from './files.ts';
import { readImage } from './images.ts';

export interface ImportFacesOptions {
  readonly layout: FaceLayout;
  /** Width and height of the result in pixels, 1..1024; 64 by default. */
  readonly size?: number;
  /** Only the first `limit` images are imported; all by default. */
  readonly limit?: number;
  /** A text file with one name per line; all images of these people are left out; # begins a comment. */
  readonly exclude?: string;
  /** Called with the number of images finished so far, and the id of the next one, or '' at the end. */
  readonly onProgress?: (finished: number, total: number, id: string) => void;
  readonly signal?: AbortSignal;
}

/** The result of {@link importFaces}. */
export interface ImportedFaces {
  readonly dataset: ImageDataset;
  readonly origin: PackOrigin;
  /** Names of the people who were left out. */
  readonly excluded: readonly string[];
  /** Number of names in the exclusion list. */
  readonly listed: number;
}

/** Photographs that were found, before any is decoded. */
interface Found {
  /** All names, in the order of the labels. */
  readonly people: readonly string[];
  readonly photographs: readonly Photograph[];
  /** True if `people` names people, and not just the folder. */
  readonly areIdentified: boolean;
}

interface Photograph {
  /** Path inside the folder, with slashes. */
  readonly id: string;
  readonly person: string;
  read(): Promise<GrayImage>;
}

const CELEBA_SIZE = { width: 178, height: 218 };
const CELEBA_CROP = { x: 35, y: 70, width: 108, height: 108 };
const IDENTITY_FILE = 'identity_CelebA.txt';
const MAX_BYTES = 2 ** 30;

const CROPS: Readonly<Record<FaceLayout, string>> = {
  attfaces: 'centre square',
  facescrub: 'none',
  celeba: `${CELEBA_CROP.width}x${CELEBA_CROP.height} at ${CELEBA_CROP.x},${CELEBA_CROP.y}`,
  folders: 'centre square',
};

/**
 * Imports a folder. Hidden files and lists beside the photographs (.txt, .csv, .json, .md) are ignored; anything else
 * must be a PNG, a JPEG, a PGM or a PPM, whatever its name says.
 *
 * @throws ConfigError when an option is out of range
 * @throws DataError naming the folder or file: missing, empty, not an image, of another size than the layout has, not in
 *   the identity list, an exclusion list without names, or fewer than two people where several are needed
 * @throws InterruptedError when `signal` is aborted
 */
export async function importFaces(dir: string, options: ImportFacesOptions): Promise<ImportedFaces> {
  const { layout, size = 64, limit = Number.MAX_SAFE_INTEGER, exclude, onProgress, signal } = options;
  if (!FACE_LAYOUTS.includes(layout)) {
    throw new ConfigError(`layout: "${layout}" is unknown; choose one of ${FACE_LAYOUTS.join(', ')}`);
  }
  requireWhole('size', size, 1024);
  requireWhole('limit', limit, Number.MAX_SAFE_INTEGER);
  const unwanted = exclude === undefined ? new Set<string>() : await readExclusions(exclude);
  const found = await FINDERS[layout](dir);
  if (found.photographs.length === 0) {
    throw new DataError(`${dir}: no photographs; check the path and the layout (${layout})`);
  }
  if (exclude !== undefined && !found.areIdentified) {
    throw new DataError(`${dir}: excluding people needs ${IDENTITY_FILE}; put it into the folder or beside it`);
  }

  const excluded = found.people.filter((name) => unwanted.has(normaliseIdentity(name)));
  const isExcluded = new Set(excluded);
  const chosen = found.photographs.filter(({ person }) => !isExcluded.has(person)).slice(0, limit);
  const present = new Set(chosen.map(({ person }) => person));
  const people = found.people.filter((name) => present.has(name));
  const atLeast = layout === 'celeba' ? 1 : 2;
  if (people.length < atLeast) {
    const left = excluded.length > 0 ? `, ${excluded.length} were excluded` : '';
    throw new DataError(
      `${dir}: ${people.length === 1 ? '1 person' : `${people.length} people`}${left}; at least ${atLeast} are needed: add some, exclude fewer or raise the limit`,
    );
  }
  const pixels = size * size;
  if (chosen.length * pixels > MAX_BYTES) {
    throw new DataError(
      `${dir}: ${chosen.length} images of ${size}x${size} need ${chosen.length * pixels} bytes, a data set can have at ` +
        `most ${MAX_BYTES}; give a smaller size or a limit`,
    );
  }

  const images = new Uint8Array(chosen.length * pixels);
  for (const [index, photograph] of chosen.entries()) {
    if (signal?.aborted) throw new InterruptedError('interrupted: nothing was written');
    onProgress?.(index, chosen.length, photograph.id);
    images.set(resize(await photograph.read(), size, size).pixels, index * pixels);
  }
  onProgress?.(chosen.length, chosen.length, '');
  const labelOf = new Map(people.map((name, label) => [name, label]));
  const dataset = await createDataset({
    name: basename(resolve(dir)),
    width: size,
    height: size,
    classNames: people,
    images,
    labels: Uint32Array.from(chosen, ({ person }) => labelOf.get(person) as number),
    ids: chosen.map(({ id }) => id),
  });
  const preparation: Record<string, string> = {
    crop: CROPS[layout],
    gray: 'ITU-R 601',
    filter: 'bilinear, antialiased',
    size: `${size}x${size}`,
    ...(exclude !== undefined && { excluded: `${excluded.length} of ${unwanted.size} listed identities` }),
    ...(chosen.length < found.photographs.length && {
      images: `${chosen.length} of ${found.photographs.length}`,
    }),
  };
  return { dataset, origin: { layout, preparation }, excluded, listed: unwanted.size };
}

const FINDERS: Readonly<Record<FaceLayout, (dir: string) => Promise<Found>>> = {
  attfaces: findAttFaces,
  facescrub: (dir) => findPeople(dir, (image) => image),
  celeba: findCelebA,
  folders: (dir) => findPeople(dir, centreSquare),
};

async function findAttFaces(dir: string): Promise<Found> {
  const { dataset } = await loadAttFaces(dir);
  const { width, height } = dataset;
  const pixels = width * height;
  const photographs = dataset.ids.map((id, index) => ({
    id,
    person: dirname(id),
    read: async () =>
      centreSquare({ width, height, pixels: dataset.images.subarray(index * pixels, (index + 1) * pixels) }),
  }));
  return { people: dataset.classNames, photographs, areIdentified: true };
}

async function findPeople(dir: string, cut: (image: GrayImage) => GrayImage): Promise<Found> {
  const people: string[] = [];
  const photographs: Photograph[] = [];
  for (const person of await list(dir)) {
    const folder = join(dir, person);
    if (!(await isFolder(folder))) continue;
    const files = await list(folder);
    if (files.length === 0) throw new DataError(`${folder}: no photographs; add some or remove the folder`);
    people.push(person);
    for (const file of files) {
      const read = async () => cut(await readGray(join(folder, file)));
      photographs.push({ id: `${person}/${file}`, person, read });
    }
  }
  if (people.length === 0) {
    throw new DataError(`${dir}: no folders; this layout has one folder per person, check the path and the layout`);
  }
  return { people, photographs, areIdentified: true };
}

async function findCelebA(dir: string): Promise<Found> {
  const files = await list(dir);
  const identities = await readIdentities(dir);
  const { x, y, width, height } = CELEBA_CROP;
  const photographs = files.map((file): Photograph => {
    const path = join(dir, file);
    const person = identities ? identities.of.get(file) : basename(resolve(dir));
    if (person === undefined) {
      throw new DataError(`${path}: not in ${identities?.path}; add it to the list or remove the file`);
    }
    const read = async () => {
      const image = await readGray(path);
      if (image.width !== CELEBA_SIZE.width || image.height !== CELEBA_SIZE.height) {
        throw new DataError(
          `${path}: ${image.width}x${image.height} pixels, but the crop ${CROPS.celeba} is meant for the aligned ` +
            `${CELEBA_SIZE.width}x${CELEBA_SIZE.height} images; give img_align_celeba or another layout`,
        );
      }
      return crop(image, x, y, width, height, path);
    };
    return { id: file, person, read };
  });
  const people = [...new Set(photographs.map(({ person }) => person))].sort();
  return { people, photographs, areIdentified: identities !== undefined };
}

/** Reads the identity of each file from lines such as `000001.jpg 2880`; undefined if there is no list. */
async function readIdentities(dir: string): Promise<{ path: string; of: Map<string, string> } | undefined> {
  for (const path of [join(dir, IDENTITY_FILE), join(dir, '..', IDENTITY_FILE)]) {
    if (!(await exists(path))) continue;
    const of = new Map<string, string>();
    for (const [index, line] of (await readLines(path)).entries()) {
      if (line === '') continue;
      const [, file, person] = /^(\S+)\s+(.+)$/.exec(line) ?? [];
      if (file === undefined) {
        throw new DataError(`${path}:${index + 1}: not a file and an identity, such as 000001.jpg 2880; fix the line`);
      }
      of.set(file, person);
    }
    return { path, of };
  }
  return undefined;
}

async function readExclusions(path: string): Promise<Set<string>> {
  const lines = await readLines(path);
  const names = lines.map((line) => normaliseIdentity(line.replace(/#.*$/, ''))).filter((name) => name !== '');
  if (names.length === 0) throw new DataError(`${path}: no names; give one identity per line`);
  return new Set(names);
}

async function readGray(path: string): Promise<GrayImage> {
  return toGray(await readImage(path));
}

async function readLines(path: string): Promise<string[]> {
  return new TextDecoder()
    .decode(await readBytes(path))
    .split('\n')
    .map((line) => line.trim());
}

/** Names in a folder, sorted, without hidden files and lists. */
async function list(dir: string): Promise<string[]> {
  try {
    const names = await readdir(dir);
    return names.filter((name) => !name.startsWith('.') && !/\.(txt|csv|json|md)$/i.test(name)).sort();
  } catch (error) {
    throw fileError('read', dir, error);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    throw fileError('read', path, error);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function requireWhole(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new ConfigError(`${name}: ${value} is not an integer in 1..${most}`);
  }
}
