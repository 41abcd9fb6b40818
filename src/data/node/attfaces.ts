/**
 * The AT&T faces (AT&T Laboratories Cambridge, "The Database of Faces") and folders laid out like them: one folder sN per
 * person, one photograph per file M.pgm.
 */
import { access, readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import * as v from 'valibot';
import { DataError } from '../../errors.ts';
import { decodePgm, type GrayImage } from '../../formats/pgm.ts';
import { packageFile } from '../../gpu/node/package.ts';
import { createDataset, type ImageDataset, type Split, seededSplit } from '../dataset.ts';
import { fileError, readBytes } from './files.ts';

const SPLIT_FILE = 'att-split.json';
const PUBLISHED_SPLIT = packageFile(`data/${SPLIT_FILE}`);

const id = v.pipe(v.string(), v.regex(/^s\d+\/\d+\.pgm$/, 'expected a file name like "s1/3.pgm"'));
const splitSchema = v.object({
  train: v.pipe(v.array(id), v.minLength(1, 'expected at least one file')),
  test: v.pipe(v.array(id), v.minLength(1, 'expected at least one file')),
  classes: v.pipe(v.array(v.string()), v.minLength(2, 'expected at least two classes')),
});
type SplitFile = v.InferOutput<typeof splitSchema>;

/** The result of {@link loadAttFaces}. */
export interface AttFaces {
  dataset: ImageDataset;
  split: Split;
  /** Name of the split in the manifest: that of the split file, or a text such as "seeded 7/3, seed 0". */
  splitName: string;
}

/**
 * Loads `dir/sN/M.pgm`; images are stored by N, then M. The split and the order of the classes come from the first of:
 * `splitFile`; att-split.json in `dir` or beside it; the published split shipped with this project, when `dir` holds
 * exactly s1..s40 with 1..10.pgm each. Without a split file, classes are in numeric order and 7 of 10 photographs of every
 * person are for training (`seededSplit`). Other files beside the sN folders, and hidden files, are ignored.
 *
 * @param seed seed of the split without a split file
 * @throws DataError naming the folder or file: missing, empty, not a PGM, of another size than the first, fewer than two
 *   persons, or a split file that is malformed or does not fit the folder
 */
export async function loadAttFaces(dir: string, splitFile?: string, seed = 0): Promise<AttFaces> {
  const folders = await listFolders(dir);
  const splitPath = splitFile ?? (await findSplitFile(dir, folders));
  const classNames = [...folders.keys()];
  const ids = classNames.flatMap((folder) => (folders.get(folder) ?? []).map((file) => `${folder}/${file}`));

  const published = splitPath === undefined ? undefined : await readSplitFile(splitPath);
  if (published && splitPath) checkClasses(published.classes, classNames, splitPath, dir);
  const order = published?.classes ?? classNames;

  const { width, height, images } = await readImages(dir, ids);
  const dataset = await createDataset({
    name: basename(resolve(dir)),
    width,
    height,
    classNames: order,
    images,
    labels: Uint32Array.from(ids, (each) => order.indexOf(dirname(each))),
    ids,
  });
  if (published && splitPath) {
    return { dataset, split: findIndices(published, ids, splitPath, dir), splitName: basename(splitPath) };
  }
  return { dataset, split: seededSplit(dataset, 0.7, seed), splitName: `seeded 7/3, seed ${seed}` };
}

/** The folders and their file names, both in numeric order. */
async function listFolders(dir: string): Promise<Map<string, string[]>> {
  const number = (name: string) => Number(name.replace(/\D/g, ''));
  const names = (await list(dir)).filter((name) => /^s\d+$/.test(name)).sort((a, b) => number(a) - number(b));
  if (names.length < 2) {
    throw new DataError(`${dir}: ${names.length} folders named sN, at least 2 persons are needed; check the path`);
  }
  const folders = new Map<string, string[]>();
  for (const name of names) {
    const files = (await list(join(dir, name))).filter((file) => !file.startsWith('.'));
    const stranger = files.find((file) => !/^\d+\.pgm$/.test(file));
    if (stranger !== undefined) {
      throw new DataError(`${join(dir, name, stranger)}: not named like 1.pgm; convert or remove the file`);
    }
    if (files.length === 0) throw new DataError(`${join(dir, name)}: no photographs; add some or remove the folder`);
    folders.set(
      name,
      files.sort((a, b) => number(a) - number(b)),
    );
  }
  return folders;
}

async function list(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    throw fileError('read', dir, error);
  }
}

async function findSplitFile(dir: string, folders: Map<string, string[]>): Promise<string | undefined> {
  for (const path of [join(dir, SPLIT_FILE), join(dir, '..', SPLIT_FILE)]) {
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  const persons = Array.from({ length: 40 }, (_, i) => `s${i + 1}`);
  const photographs = Array.from({ length: 10 }, (_, i) => `${i + 1}.pgm`);
  const isAtt = folders.size === 40 && persons.every((person) => `${folders.get(person)}` === `${photographs}`);
  return isAtt ? PUBLISHED_SPLIT : undefined;
}

async function readSplitFile(path: string): Promise<SplitFile> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(await readBytes(path)));
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${path}: not JSON; fix or remove the split file`, { cause });
  }
  const result = v.safeParse(splitSchema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new DataError(`${path}: ${v.getDotPath(issue) ?? 'top level'}: ${issue.message}; fix or remove the split file`);
}

function checkClasses(classes: string[], folders: string[], path: string, dir: string): void {
  const missing = classes.find((name) => !folders.includes(name));
  if (missing !== undefined) throw new DataError(`${path}: classes: ${missing} is not a folder of ${dir}; fix either`);
  const repeated = classes.find((name, index) => classes.indexOf(name) !== index);
  if (repeated !== undefined) throw new DataError(`${path}: classes: ${repeated} appears twice; list it once`);
  const unlisted = folders.find((name) => !classes.includes(name));
  if (unlisted !== undefined) throw new DataError(`${path}: classes: ${unlisted} of ${dir} is not listed; add it`);
}

function findIndices(file: SplitFile, ids: string[], path: string, dir: string): Split {
  const positions = new Map(ids.map((each, index) => [each, index]));
  const seen = new Set<string>();
  const find = (part: 'train' | 'test') =>
    Uint32Array.from(file[part], (each, index) => {
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

async function readImages(dir: string, ids: string[]): Promise<{ width: number; height: number; images: Uint8Array }> {
  const decoded: GrayImage[] = [];
  for (const each of ids) {
    const path = join(dir, each);
    const image = decodePgm(await readBytes(path), path);
    const first = decoded[0] ?? image;
    if (image.width !== first.width || image.height !== first.height) {
      throw new DataError(
        `${path}: ${image.width}x${image.height} pixels, but ${join(dir, ids[0])} has ${first.width}x${first.height}; ` +
          'resize one of them',
      );
    }
    decoded.push(image);
  }
  const { width, height } = decoded[0];
  const images = new Uint8Array(ids.length * width * height);
  decoded.forEach((image, index) => {
    images.set(image.pixels, index * width * height);
  });
  return { width, height, images };
}
