/**
 * Imports folders of photographs, as they are published, into one data set: finds, crops, converts and resizes them.
 * Files and people are in the order of their names (NFC, UTF-16 code units; for attfaces the order of loadAttFaces), so the
 * same folder gives the same bytes.
 */

import { stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { ConfigError, DataError, InterruptedError } from '../../errors.ts';
import { type Channels, type ImageSize, imageValues, sizeName } from '../../image_size.ts';
import { listed, printable, printableEnd } from '../../printable.ts';
import { type ClassOrder, orderClasses, parseClassNames } from '../class_names.ts';
import { createDataset, type ImageDataset } from '../dataset.ts';
import { normaliseIdentity } from '../identities.ts';
import { centreOfShape, resize, withChannels } from '../image_ops.ts';
import { type BadFile, FACE_LAYOUTS, type FaceLayout, type PackOrigin } from '../pack.ts';
import { listAttFaces } from './attfaces.ts';
import { BadFilesError, badFile } from './bad_files.ts';
import { findCelebA, IDENTITY_FILE } from './celeba.ts';
import { fileError, readBytes, readText } from './files.ts';
import { readImage } from './images.ts';
import { listFolder } from './listing.ts';
import { findInNumpyFile, findInNumpyFolder, isNumpy, numpyFiles } from './numpy_faces.ts';
import { hashInPlace } from './packs.ts';
import { PartialImport } from './partial_import.ts';
import { findPeople } from './person_folders.ts';
import type { Found, Photograph } from './photographs.ts';

export interface ImportFacesOptions {
  /** Layout of a folder of photographs; files of NumPy have none. */
  readonly layout?: FaceLayout;
  /**
   * Side of the result, or its width and height, in pixels, 1..1024; by default 64, or those of files of NumPy with square
   * images. Where the layout has no crop of its own, the
   * largest part in the middle of the shape of the result is imported.
   */
  readonly size?: number | { readonly width: number; readonly height: number };
  /** Channels of the result: 1 for gray (default), into which colours are converted, or 3 for RGB. */
  readonly channels?: Channels;
  /**
   * The names of the classes in their order. Labels in files of NumPy are numbers of these classes; folders have their names.
   * Without it the classes are in the order of their names.
   */
  readonly classNames?: ClassOrder;
  /** Only the first `limit` images are imported; all by default. */
  readonly limit?: number;
  /** A text file with one name per line; all images of these people are left out; # begins a comment. */
  readonly exclude?: string;
  /** True to leave out files that cannot be used; by default they are an error. */
  readonly skipBad?: boolean;
  /**
   * A file that keeps the images of a long import until it is finished. An import that was stopped takes them from there
   * instead of decoding them again, where the photographs are the same.
   */
  readonly partial?: string;
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
  /** Number of names in the exclusion list, and those of them that nobody has. */
  readonly listed: number;
  readonly unmatched: readonly string[];
  /** Lines about what was found otherwise than expected, for a warning. */
  readonly notes: readonly string[];
}

const DEFAULT_SIZE = 64;
const MAX_BYTES = 2 ** 30;
/** Number of images from which `partial` is used: fewer take seconds. */
const LONG = 300;

/** The class names in a file, see {@link parseClassNames}. @throws DataError */
export async function readClassNames(file: string): Promise<ClassOrder> {
  return { names: parseClassNames(await readText(file), file), where: file };
}

/**
 * Imports a folder of photographs, or files of NumPy with images. Hidden files, those of the system, and lists beside the
 * photographs (.txt, .csv, .json, .md, ...) are ignored; anything else must be a picture, whatever its name says.
 *
 * @throws ConfigError when an option is out of range, or the layout of a folder is not given
 * @throws BadFilesError naming all files that are empty, not a picture, of another size than the layout has, or not in the
 *   identity list, unless `skipBad`
 * @throws DataError naming the folder: missing, empty, in another layout, an exclusion list without names, or fewer than two
 *   people where several are needed
 * @throws InterruptedError when `signal` is aborted
 */
export async function importFaces(dir: string, options: ImportFacesOptions): Promise<ImportedFaces> {
  const { layout, limit = Number.MAX_SAFE_INTEGER, exclude, skipBad = false, channels = 1 } = options;
  if (layout !== undefined && !FACE_LAYOUTS.includes(layout)) {
    throw new ConfigError(`layout: "${layout}" is unknown; choose one of ${FACE_LAYOUTS.join(', ')}`);
  }
  const given = typeof options.size === 'number' ? { width: options.size, height: options.size } : options.size;
  for (const side of given ? [given.width, given.height] : []) requireWhole('size', side, 1024);
  requireWhole('limit', limit, Number.MAX_SAFE_INTEGER);
  const exclusions = exclude === undefined ? new Map<string, string>() : await readExclusions(exclude);
  const { classNames: order } = options;
  const { found: asFound, layout: foundLayout } = await find(dir, layout);
  const found = order ? withNames(asFound, order) : asFound;
  const side = found.size !== undefined && found.size <= 1024 ? found.size : DEFAULT_SIZE;
  const size: ImageSize = { width: side, height: side, ...given, channels };
  if (found.photographs.length === 0) {
    if (found.bad.length > 0) throw new BadFilesError(found.dir, found.bad, found.bad.length);
    throw new DataError(`${dir}: no photographs; check the path and the layout (${foundLayout})`);
  }
  if (exclude !== undefined && !found.areIdentified) {
    const needed =
      foundLayout === 'numpy' ? 'labels; add them' : `${IDENTITY_FILE}; put it into the folder or beside it`;
    throw new DataError(`${dir}: excluding people needs ${needed}`);
  }

  const excluded = found.people.filter((name) => exclusions.has(normaliseIdentity(name)));
  const isExcluded = new Set(excluded);
  const chosen = found.photographs.filter(({ person }) => !isExcluded.has(person)).slice(0, limit);
  // A list of people, or of labels: one set of images without names is no mistake.
  const atLeast = foundLayout === 'celeba' || !found.areIdentified ? 1 : 2;
  requirePeople(dir, new Set(chosen.map(({ person }) => person)).size, atLeast, excluded.length, found.notes);
  const bytes = chosen.length * imageValues(size);
  if (bytes > MAX_BYTES) {
    throw new DataError(
      `${dir}: ${chosen.length} images of ${sizeName(size)} need ${bytes} bytes, a data set can have at ` +
        `most ${MAX_BYTES}; give a smaller size or a limit`,
    );
  }

  const { images, good, bad } = await decodeAll(chosen, size, found, options);
  bad.unshift(...found.bad);
  if (bad.length > 0 && (!skipBad || good.length === 0)) {
    throw new BadFilesError(found.dir, bad, chosen.length + found.bad.length);
  }
  const present = new Set(good.map(({ person }) => person));
  const notes = [...found.notes, ...notesOnPeople(chosen, good)];
  requirePeople(dir, present.size, atLeast, excluded.length, notes);
  const people = found.people.filter((name) => present.has(name));
  const labelOf = new Map(people.map((name, label) => [name, label]));
  const parts = {
    name: found.name ?? basename(resolve(dir)),
    ...size,
    classNames: people,
    images,
    labels: Uint32Array.from(good, ({ person }) => labelOf.get(person) as number),
    ids: good.map(({ id }) => id),
  };
  const inOrder = await createDataset(parts, hashInPlace);
  const dataset = order ? await orderClasses(inOrder, order, hashInPlace) : inOrder;
  const preparation: Record<string, string> = {
    crop: cropName(found, size),
    ...(channels === 1 ? { gray: 'ITU-R 601' } : { colour: 'RGB' }),
    filter: 'bilinear, antialiased',
    size: `${size.width}x${size.height}`,
    ...(exclude !== undefined && { excluded: `${excluded.length} of ${exclusions.size} listed identities` }),
    ...(chosen.length < found.photographs.length && {
      images: `${chosen.length} of ${found.photographs.length}`,
    }),
  };
  const known = new Set(found.people.map(normaliseIdentity));
  return {
    dataset,
    origin: { layout: foundLayout, preparation, ...(bad.length > 0 && { skipped: bad }) },
    excluded,
    listed: exclusions.size,
    unmatched: [...exclusions].filter(([normal]) => !known.has(normal)).map(([, name]) => name),
    notes,
  };
}

/** The people whose photographs were all left out, and those with a single one. */
function notesOnPeople(chosen: readonly Photograph[], good: readonly Photograph[]): string[] {
  const counts = new Map<string, number>(chosen.map(({ person }) => [person, 0]));
  for (const { person } of good) counts.set(person, (counts.get(person) ?? 0) + 1);
  const named = (count: number) =>
    [...counts].filter(([, each]) => each === count).map(([name]) => printable(name, 40));
  const [none, one] = [named(0), named(1)];
  return [
    ...(none.length > 0 ? [`left out, because none of their files can be used: ${listed(none, 200)}`] : []),
    ...(one.length > 0 && counts.size > 1
      ? [`only one photograph each, so no victim can be trained and tested on them: ${listed(one, 200)}`]
      : []),
  ];
}

/** Decodes photographs into one array. Those that cannot be used are reported, and leave no gap. */
async function decodeAll(
  chosen: readonly Photograph[],
  size: ImageSize,
  found: Found,
  { partial, onProgress, signal }: ImportFacesOptions,
): Promise<{ images: Uint8Array; good: Photograph[]; bad: BadFile[] }> {
  const values = imageValues(size);
  const images = new Uint8Array(chosen.length * values);
  const good: Photograph[] = [];
  const bad: BadFile[] = [];
  const kept =
    partial !== undefined && chosen.length >= LONG
      ? await PartialImport.open(partial, chosen.length, values)
      : undefined;
  try {
    for (const [index, photograph] of chosen.entries()) {
      if (signal?.aborted) {
        throw new InterruptedError(`interrupted: ${kept ? 'run it again to continue' : 'nothing was written'}`);
      }
      onProgress?.(index, chosen.length, printable(photograph.id, 80));
      const target = images.subarray(good.length * values, (good.length + 1) * values);
      const stamp = kept && (await stampOf(photograph, cropName(found, size), size));
      const isKept = stamp !== undefined && (await kept?.read(index, stamp, target));
      const problem = isKept ? undefined : await decodeInto(target, photograph, size, takesCentre(found, size));
      if (problem) {
        bad.push(problem);
        continue;
      }
      if (stamp !== undefined && !isKept) await kept?.write(index, stamp, target);
      good.push(photograph);
    }
  } finally {
    await kept?.close();
  }
  onProgress?.(chosen.length, chosen.length, '');
  return { images: images.subarray(0, good.length * values), good, bad };
}

/** True if the centre of each image is imported, in the shape of the result. A crop of a layout is only reshaped if it must. */
function takesCentre({ crop }: Found, { width, height }: ImageSize): boolean {
  return crop === undefined || width !== height;
}

/** The part of each image that is imported, in words. */
function cropName({ crop }: Found, { width, height }: ImageSize): string {
  const centre = width === height ? 'centre square' : `centre in the shape ${width}x${height}`;
  if (crop === undefined) return centre;
  return width === height ? crop : `${crop}, ${centre}`;
}

/** Decodes a photograph into `target`. @returns the problem if it cannot be used */
async function decodeInto(
  target: Uint8Array,
  photograph: Photograph,
  size: ImageSize,
  isCentre: boolean,
): Promise<BadFile | undefined> {
  const { width, height, channels } = size;
  try {
    const image = await photograph.read();
    const cut = isCentre ? centreOfShape(image, width, height) : image;
    target.set(resize(withChannels(cut, channels), width, height).pixels);
    return undefined;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return badFile(photograph.id, photograph.path ?? photograph.id, error);
  }
}

/** What an imported image depends on, in one line; undefined if it has no file of its own, or the file is gone. */
async function stampOf({ id, path }: Photograph, cropped: string, size: ImageSize): Promise<string | undefined> {
  const file = path === undefined ? undefined : await stat(path).catch(() => undefined);
  return file && JSON.stringify([id, file.size, file.mtimeMs, cropped, sizeName(size)]);
}

/** Finds the photographs of a folder in its layout, or of files of NumPy, which are told by their content. */
async function find(dir: string, layout: FaceLayout | undefined): Promise<{ found: Found; layout: string }> {
  if (await isFile(dir)) {
    const bytes = await readBytes(dir);
    if (isNumpy(bytes)) return { found: await findInNumpyFile(dir, bytes), layout: 'numpy' };
    throw new DataError(`${dir}: neither a folder nor a NumPy file; give the folder with the photographs`);
  }
  const folder = await listFolder(dir);
  const arrays = numpyFiles(folder);
  if (arrays.length > 0 && arrays.length === folder.files.length && (await haveOnlyArrays(dir, folder.folders))) {
    return { found: await findInNumpyFolder(dir, arrays), layout: 'numpy' };
  }
  if (layout === undefined) {
    throw new ConfigError(
      `--layout: ${printableEnd(dir, 80)} is a folder; say which of ${FACE_LAYOUTS.join(', ')} it is`,
    );
  }
  return { found: await FINDERS[layout](dir), layout };
}

/** True if no folder has other files than those of NumPy: people have photographs. */
async function haveOnlyArrays(dir: string, folders: readonly string[]): Promise<boolean> {
  for (const name of folders) {
    const folder = await listFolder(join(dir, name));
    if (folder.folders.length > 0 || numpyFiles(folder).length < folder.files.length) return false;
  }
  return true;
}

const FINDERS: Readonly<Record<FaceLayout, (dir: string) => Promise<Found>>> = {
  attfaces: findAttFaces,
  facescrub: (dir) => findPeople(dir, 'none'),
  celeba: findCelebA,
  folders: (dir) => findPeople(dir),
};

async function findAttFaces(path: string): Promise<Found> {
  const { dir, people, photographs, bad, notes } = await listAttFaces(path);
  return {
    dir,
    people,
    photographs: photographs.map(({ id, person }) => {
      return { id, person, path: join(dir, id), read: () => readImage(join(dir, id)) };
    }),
    areIdentified: true,
    bad,
    notes,
  };
}

/** Gives numbered classes their names. @throws DataError if a number has none */
function withNames(found: Found, { names, where }: ClassOrder): Found {
  const { numbers } = found;
  if (!numbers) return found;
  const bad = numbers.find((number) => names[number] === undefined);
  if (bad !== undefined) {
    throw new DataError(
      `${where}: ${names.length} class names, but ${printable(found.dir, 60)} has a label ${bad}; labels begin at 0`,
    );
  }
  const nameOf = new Map(found.people.map((person, index) => [person, names[numbers[index]]]));
  const photographs = found.photographs.map((each) => ({ ...each, person: nameOf.get(each.person) as string }));
  return { ...found, people: numbers.map((number) => names[number]), photographs };
}

/** @param notes which say, among others, who was left out and why */
function requirePeople(dir: string, count: number, atLeast: number, excluded: number, notes: readonly string[]): void {
  if (count >= atLeast) return;
  const left = excluded > 0 ? `, ${excluded} were excluded` : '';
  const reason = notes.find((note) => note.startsWith('left out, because'));
  const advice = 'add some, exclude fewer or raise the limit';
  throw new DataError(
    `${dir}: ${count === 1 ? '1 person' : `${count} people`}${left}; at least ${atLeast} are needed: ${advice}` +
      `${reason === undefined ? '' : ` (${printable(reason, 100)})`}`,
  );
}

/** Reads names: normalised -> as they are written. */
async function readExclusions(path: string): Promise<Map<string, string>> {
  const lines = (await readText(path)).split('\n').map((line) => line.replace(/#.*$/, '').trim());
  const names = new Map(lines.filter((line) => line !== '').map((line) => [normaliseIdentity(line), line]));
  names.delete('');
  if (names.size === 0) throw new DataError(`${path}: no names; give one identity per line`);
  return names;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    throw fileError('read', path, error);
  }
}

function requireWhole(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new ConfigError(`${name}: ${value} is not an integer in 1..${most}`);
  }
}
