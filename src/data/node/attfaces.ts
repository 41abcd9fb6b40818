/**
 * The AT&T faces (AT&T Laboratories Cambridge, "The Database of Faces") and folders laid out like them: one folder sN per
 * person, one photograph per file M.pgm.
 */

import { access } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import * as v from 'valibot';
import { DataError } from '../../errors.ts';
import type { DecodedImage } from '../../formats/image.ts';
import { parseJson } from '../../formats/json.ts';
import { packageFile } from '../../gpu/node/package.ts';
import { type Channels, imageValues } from '../../image_size.ts';
import { listed, printable } from '../../printable.ts';
import { createDataset, type ImageDataset, type Split, seededSplit } from '../dataset.ts';
import { withChannels } from '../image_ops.ts';
import type { BadFile } from '../pack.ts';
import { BadFilesError, badFile } from './bad_files.ts';
import { readBytes } from './files.ts';
import { readImage } from './images.ts';
import { descend, type Folder, listFolder } from './listing.ts';

const SPLIT_FILE = 'att-split.json';
const PUBLISHED_SPLIT = packageFile(`data/${SPLIT_FILE}`);

const PERSON = /^s(\d+)$/i;
const PHOTOGRAPH = /^(\d+)\.pgm$/i;

const id = v.pipe(v.string(), v.regex(/^s\d+\/\d+\.pgm$/i, 'expected a file name like "s1/3.pgm"'));
const splitSchema = v.object({
  train: v.pipe(v.array(id), v.minLength(1, 'expected at least one file')),
  test: v.pipe(v.array(id), v.minLength(1, 'expected at least one file')),
  classes: v.pipe(v.array(v.string()), v.minLength(2, 'expected at least two classes')),
});
type SplitFile = v.InferOutput<typeof splitSchema>;

/** The photographs of a folder in the layout of the AT&T faces, before any is read. */
export interface AttListing {
  /** The folder that holds the folders sN: the given one, or one inside it. */
  readonly dir: string;
  /** Names of the folders sN with photographs: in the order of the split file or, without one, of their numbers. */
  readonly people: readonly string[];
  readonly photographs: readonly { readonly id: string; readonly person: string }[];
  readonly bad: readonly BadFile[];
  /** Lines about what was found otherwise than expected. */
  readonly notes: readonly string[];
  /** Present if there is a split file; indices of photographs. */
  readonly split?: Split;
  readonly splitName?: string;
}

/** The result of {@link loadAttFaces}. */
export interface AttFaces {
  dataset: ImageDataset;
  split: Split;
  /** Name of the split in the manifest: that of the split file, or a text such as "seeded 7/3, seed 0". */
  splitName: string;
  /** Lines about what was found otherwise than expected, for a warning. */
  notes: readonly string[];
}

/** True if a folder, or the only folder inside it, has a folder of the name sN. @throws DataError when it cannot be read */
export async function isAttLayout(dir: string): Promise<boolean> {
  return hasPeople((await descend(dir, hasPeople)).folder);
}

const hasPeople = ({ folders }: Folder) => folders.some((name) => PERSON.test(name));

/**
 * Loads `dir/sN/M.pgm`; images are stored by N, then M. `s01/01.pgm` and `S1/1.PGM` are the same as `s1/1.pgm`. The split and
 * the order of the classes come from the first of: `splitFile`; att-split.json in `dir` or beside it; the published split
 * shipped with this project, when `dir` holds exactly s1..s40 with 1..10.pgm each. Without a split file, classes are in
 * numeric order and 7 of 10 photographs of every person are for training (`seededSplit`). Other files beside the sN folders,
 * files of the system, and people without photographs are left out.
 *
 * @param seed seed of the split without a split file
 * @param channels of the images: 1 for gray, 3 for RGB
 * @throws BadFilesError naming all photographs that are not a picture, or of another size than the first
 * @throws DataError naming the folder or file: missing, empty, fewer than two persons, or a split file that is malformed or
 *   does not fit the folder
 */
export async function loadAttFaces(
  path: string,
  splitFile?: string,
  seed = 0,
  channels: Channels = 1,
): Promise<AttFaces> {
  const { dir, people, photographs, bad, notes, split, splitName } = await listAttFaces(path, splitFile);
  const { width, height, images } = await readImages(
    dir,
    photographs.map(({ id: each }) => each),
    bad,
    channels,
  );
  const dataset = await createDataset({
    name: basename(resolve(dir)),
    width,
    height,
    channels,
    classNames: [...people],
    images,
    labels: Uint32Array.from(photographs, ({ person }) => people.indexOf(person)),
    ids: photographs.map(({ id: each }) => each),
  });
  if (split && splitName) return { dataset, split, splitName, notes };
  return { dataset, split: seededSplit(dataset, 0.7, seed), splitName: `seeded 7/3, seed ${seed}`, notes };
}

/**
 * Lists a folder in the layout of the AT&T faces. A folder that holds nothing but one such folder is entered.
 *
 * @throws DataError as {@link loadAttFaces} does, apart from the content of the photographs
 */
export async function listAttFaces(path: string, splitFile?: string): Promise<AttListing> {
  const { path: dir, folder } = await descend(path, hasPeople);
  const bad: BadFile[] = [...folder.bad];
  const notes: string[] = dir === path ? [] : [`the photographs were found in ${printable(dir)}`];
  const persons = byNumber(folder.folders, PERSON, 'person', '', bad);
  if (persons.length < 2) throw new DataError(describeMissing(dir, folder, persons.length));

  const files = new Map<string, string[]>();
  for (const { name } of persons) files.set(name, await listPerson(dir, name, bad));
  const empty = persons.filter(({ name }) => files.get(name)?.length === 0).map(({ name }) => name);
  if (empty.length > 0) notes.push(`left out, because they hold no photographs: ${listed(empty, 200)}`);
  const people = persons.map(({ name }) => name).filter((name) => !empty.includes(name));
  const capitals = people.filter((name) => name.startsWith('S'));
  if (capitals.length > 0) notes.push(`read as s1, s2 and so on: ${listed(capitals, 200)}`);
  if (people.length < 2) {
    throw new DataError(`${dir}: ${people.length} folders named sN hold photographs, at least 2 are needed; add some`);
  }
  const photographs = people.flatMap((person) =>
    (files.get(person) ?? []).map((file) => ({ id: `${person}/${file}`, person })),
  );
  const listing = { dir, people, photographs, bad, notes };
  const splitPath = splitFile ?? (await findSplitFile(dir, photographs));
  if (splitPath === undefined) return listing;
  const published = await readSplitFile(splitPath);
  const classes = published.classes.map(canonical);
  checkClasses(classes, people.map(canonical), splitPath, dir);
  return {
    ...listing,
    people: [...people].sort((a, b) => classes.indexOf(canonical(a)) - classes.indexOf(canonical(b))),
    split: findIndices(
      published,
      photographs.map(({ id: each }) => each),
      splitPath,
      dir,
    ),
    splitName: basename(splitPath),
  };
}

/** `S01/01.PGM` as the published files are named: `s1/1.pgm`. */
function canonical(name: string): string {
  return name.toLowerCase().replace(/(?<!\d)0+(?=\d)/g, '');
}

/** The names with a number, in the order of their numbers; those of a number that another name has go to `bad`. */
function byNumber(names: readonly string[], pattern: RegExp, what: string, folder: string, bad: BadFile[]) {
  const numbered = names.flatMap((name) => {
    const digits = pattern.exec(name)?.[1];
    return digits === undefined ? [] : [{ name, number: BigInt(digits) }];
  });
  numbered.sort((a, b) => (a.number < b.number ? -1 : Number(a.number > b.number)));
  return numbered.filter(({ name, number }, index) => {
    const first = numbered.find((other) => other.number === number);
    if (first === numbered[index]) return true;
    bad.push({ file: `${folder}${name}`, reason: `${what} ${number}, as ${first?.name} is` });
    return false;
  });
}

async function listPerson(dir: string, person: string, bad: BadFile[]): Promise<string[]> {
  const { files, folders, bad: unusable } = await listFolder(join(dir, person));
  const add = (name: string, reason: string) => bad.push({ file: `${person}/${name}`, reason });
  for (const { file, reason } of unusable) add(file, reason);
  for (const name of folders) add(name, 'a folder among the photographs');
  for (const name of files) if (!PHOTOGRAPH.test(name)) add(name, 'not named like 1.pgm');
  return byNumber(files, PHOTOGRAPH, 'photograph', `${person}/`, bad).map(({ name }) => name);
}

function describeMissing(dir: string, { files, folders }: Folder, count: number): string {
  const start = `${dir}: ${count} folders named sN, at least 2 persons are needed`;
  if (count > 0) return `${start}; check the path`;
  if (PERSON.test(basename(resolve(dir))))
    return `${start}; this is the folder of one person, give the folder around it`;
  if (files.length > 0) {
    return `${start}, but ${files.length} files side by side (${printable(files[0], 40)}); put photograph M of person N into sN/M.pgm`;
  }
  const names = folders.map((name) => printable(name, 40));
  const seen = names.length > 0 ? ` (found ${listed(names, 100)})` : '';
  return `${start}${seen}; check the path and the layout`;
}

async function findSplitFile(dir: string, photographs: AttListing['photographs']): Promise<string | undefined> {
  for (const path of [join(dir, SPLIT_FILE), join(dir, '..', SPLIT_FILE)]) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  const expected = Array.from({ length: 400 }, (_, i) => `s${Math.floor(i / 10) + 1}/${(i % 10) + 1}.pgm`);
  const found = photographs.map(({ id: each }) => canonical(each));
  return found.join() === expected.join() ? PUBLISHED_SPLIT : undefined;
}

async function readSplitFile(path: string): Promise<SplitFile> {
  const advice = 'fix or remove the split file';
  const result = v.safeParse(splitSchema, parseJson(await readBytes(path), path, { advice }));
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new DataError(`${path}: ${v.getDotPath(issue) ?? 'top level'}: ${issue.message}; ${advice}`);
}

function checkClasses(classes: string[], folders: string[], path: string, dir: string): void {
  const missing = classes.find((name) => !folders.includes(name));
  if (missing !== undefined) {
    throw new DataError(`${path}: classes: ${printable(missing, 40)} is not a folder of ${dir}; fix either`);
  }
  const repeated = classes.find((name, index) => classes.indexOf(name) !== index);
  if (repeated !== undefined) throw new DataError(`${path}: classes: ${repeated} appears twice; list it once`);
  const unlisted = folders.find((name) => !classes.includes(name));
  if (unlisted !== undefined) throw new DataError(`${path}: classes: ${unlisted} of ${dir} is not listed; add it`);
}

function findIndices(file: SplitFile, ids: string[], path: string, dir: string): Split {
  const positions = new Map(ids.map((each, index) => [canonical(each), index]));
  const seen = new Set<string>();
  const find = (part: 'train' | 'test') =>
    Uint32Array.from(file[part].map(canonical), (each, index) => {
      const position = positions.get(each);
      if (position === undefined) {
        throw new DataError(`${path}: ${part}.${index}: ${each} is not in ${dir}; fetch it or fix the split file`);
      }
      if (seen.has(each)) throw new DataError(`${path}: ${part}.${index}: ${each} appears twice; list it once`);
      seen.add(each);
      return position;
    });
  return { train: find('train'), test: find('test') };
}

async function readImages(
  dir: string,
  ids: string[],
  unusable: readonly BadFile[],
  channels: Channels,
): Promise<{ width: number; height: number; images: Uint8Array }> {
  const decoded: (DecodedImage & { readonly id: string })[] = [];
  const bad: BadFile[] = [...unusable];
  for (const each of ids) {
    const path = join(dir, each);
    try {
      const image = withChannels(await readImage(path), channels);
      const first = decoded[0] ?? { ...image, id: each };
      if (image.width === first.width && image.height === first.height) decoded.push({ ...image, id: each });
      else {
        const sizes = `${image.width}x${image.height} pixels, but ${first.id} has ${first.width}x${first.height}`;
        bad.push({ file: each, reason: sizes });
      }
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      bad.push(badFile(each, path, error));
    }
  }
  if (bad.length > 0) throw new BadFilesError(dir, bad, ids.length + unusable.length);
  const { width, height } = decoded[0];
  const values = imageValues(decoded[0]);
  const images = new Uint8Array(ids.length * values);
  decoded.forEach((image, index) => {
    images.set(image.pixels, index * values);
  });
  return { width, height, images };
}
