/** CelebA (Liu et al., "Deep Learning Face Attributes in the Wild", 2015): aligned images and a list of identities. */
import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { DataError } from '../../errors.ts';
import { listed, printable } from '../../printable.ts';
import { crop } from '../image_ops.ts';
import type { BadFile } from '../pack.ts';
import { readText } from './files.ts';
import { readImage } from './images.ts';
import { type Folder, listFolder } from './listing.ts';
import type { Found, Photograph } from './photographs.ts';

const SIZE = { width: 178, height: 218 };
const CROP = { x: 35, y: 70, width: 108, height: 108 };
const CROP_NAME = `${CROP.width}x${CROP.height} at ${CROP.x},${CROP.y}`;

/** The published name of the list; upper and lower case are the same here. */
export const IDENTITY_FILE = 'identity_CelebA.txt';
const IDENTITIES = /^identity_celeba\.(txt|csv)$/i;

/** Folders of the published archives that hold the images; the second is the lossless release. */
const IMAGES = /^(img|img_align_celeba|img_align_celeba_png)$/i;

const PICTURE = /\.(jpe?g|png)$/i;

/** How many folders are entered on the way to the images. */
const DEEPEST = 4;

/**
 * Finds the images in a folder, or in the folders of the published archives inside it. The list of identities is looked for
 * in the same folders, in a folder Anno, and beside `path`. The list names .jpg files; images of the same name with
 * another ending, as those of img_align_celeba_png, are found in it too.
 *
 * @throws DataError naming the folder or the line of the list
 */
export async function findCelebA(path: string): Promise<Found> {
  const passed = await enter(path);
  const [dir, { files, folders, bad: unusable }] = passed[passed.length - 1];
  if (files.length === 0) throw new DataError(`${path}: no photographs; check the path and the layout (celeba)`);
  const list = await findList([...passed.map(([each]) => each).reverse(), join(path, '..')]);
  const identities = list === undefined ? undefined : await readIdentities(list);
  const bad: BadFile[] = [...unusable];
  const everybody = basename(resolve(path));
  const photographs: Photograph[] = [];
  const missing: string[] = [];
  for (const file of files) {
    const person = identities ? identities.of.get(stem(file)) : everybody;
    if (person === undefined) missing.push(file);
    else photographs.push({ id: file, person, path: join(dir, file), read: () => readFace(join(dir, file)) });
  }
  if (identities && missing.length > 0) {
    if (identities.of.size === 0) throw new DataError(`${identities.path}: the list is empty; fetch it`);
    // A list that is cut off may also have lost the end of its last identity.
    if (identities.isCut) {
      throw new DataError(
        `${identities.path}:${identities.lines}: the list is cut off after this line and lacks ${missing.length} of ` +
          `${files.length} images, such as ${printable(missing[0], 40)}; fetch the whole list`,
      );
    }
    bad.push(...missing.map((file) => ({ file, reason: `not in ${basename(identities.path)}` })));
  }
  return {
    dir,
    people: [...new Set(photographs.map(({ person }) => person))].sort(),
    photographs,
    areIdentified: identities !== undefined,
    bad,
    notes: [
      ...(dir === path ? [] : [`the photographs were found in ${printable(dir)}`]),
      ...(folders.length === 0 ? [] : [`left out, folders among the photographs: ${listed(folders.map(shown), 150)}`]),
    ],
    crop: CROP_NAME,
  };
}

/** The folders from `path` to the images. */
async function enter(path: string): Promise<[string, Folder][]> {
  const passed: [string, Folder][] = [];
  let at = path;
  for (let depth = 0; depth <= DEEPEST; depth++) {
    const folder = await listFolder(at);
    passed.push([at, folder]);
    const named = folder.folders.filter((name) => IMAGES.test(name));
    const inner = named.length > 0 ? named : folder.folders;
    // Other files than pictures are archives beside their content.
    if (inner.length === 0 || folder.files.some((name) => PICTURE.test(name))) break;
    if (folder.files.length > 0 && named.length === 0) break;
    if (inner.length > 1) {
      throw new DataError(
        `${at}: no photographs, but ${inner.length} folders (${listed(inner.map(shown), 100)}); give the one with the images`,
      );
    }
    at = join(at, inner[0]);
  }
  return passed;
}

async function findList(folders: readonly string[]): Promise<string | undefined> {
  for (const path of folders) {
    for (const dir of [path, join(path, 'Anno')]) {
      const name = (await readdir(dir).catch(() => [])).sort().find((each) => IDENTITIES.test(each));
      if (name !== undefined) return join(dir, name);
    }
  }
  return undefined;
}

interface Identities {
  readonly path: string;
  /** Name of a file without its ending -> person. */
  readonly of: ReadonlyMap<string, string>;
  readonly lines: number;
  /** True if the last line does not end. */
  readonly isCut: boolean;
}

const shown = (name: string) => printable(name, 40);
const stem = (file: string) => file.replace(/\.[^.]*$/, '').toLowerCase();

/** Reads the identity of each file from lines such as `000001.jpg 2880`. */
async function readIdentities(path: string): Promise<Identities> {
  const text = await readText(path);
  const lines = text.split('\n');
  const of = new Map<string, string>();
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    if (line === '') continue;
    const problem = (text: string) => new DataError(`${path}:${index + 1}: ${text}`);
    const [, file, person] = /^(\S+)\s+(.+)$/.exec(line) ?? [];
    if (file === undefined || !file.includes('.')) {
      throw problem(`not a file and an identity, such as 000001.jpg 2880: ${describeLine(line)}; fix the line`);
    }
    const before = of.get(stem(file));
    if (before !== undefined && before !== person) {
      throw problem(
        `${printable(file, 40)} is ${printable(person, 40)}, but was ${printable(before, 40)} before; keep one`,
      );
    }
    of.set(stem(file), person);
  }
  return { path, of, lines: lines.filter((line) => line.trim() !== '').length, isCut: !text.endsWith('\n') };
}

function describeLine(line: string): string {
  const text = `"${printable(line, 40)}"`;
  if (/^\d+$/.test(line)) return `${text} is a count, as other lists have at their beginning`;
  if (line.includes(',')) return `${text} has a comma instead of a space`;
  return `${text} is cut off, or a heading`;
}

async function readFace(path: string) {
  const image = await readImage(path);
  if (image.width !== SIZE.width || image.height !== SIZE.height) {
    throw new DataError(
      `${path}: ${image.width}x${image.height} pixels, but the crop ${CROP_NAME} is meant for the aligned ` +
        `${SIZE.width}x${SIZE.height} images; give img_align_celeba or another layout`,
    );
  }
  return crop(image, CROP.x, CROP.y, CROP.width, CROP.height, path);
}
