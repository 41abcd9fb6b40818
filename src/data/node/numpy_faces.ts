/**
 * Faces in files of NumPy: an archive .npz with images and labels, such as facescrub.npz, or files .npy, such as
 * olivetti_faces.npy beside olivetti_faces_target.npy, or celebA_64_1.npy to celebA_64_10.npy without labels.
 */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DataError } from '../../errors.ts';
import { isNpy, readNpyNumbers } from '../../formats/npy.ts';
import { isZip } from '../../formats/npz.ts';
import { listed, printable } from '../../printable.ts';
import { imagesOfArray } from '../face_arrays.ts';
import { byName } from '../file_names.ts';
import { labelledPart, labelNames, type NumpyPart, npzParts } from '../numpy_parts.ts';
import { readBytes } from './files.ts';
import type { Folder } from './listing.ts';
import type { Found, Photograph } from './photographs.ts';

const ENDING = /\.(npy|npz)$/i;

/** True if bytes begin as a file of NumPy does, or as any other ZIP. */
export const isNumpy = (bytes: Uint8Array) => isNpy(bytes) || isZip(bytes);

/** Names of the files of NumPy in a folder. */
export const numpyFiles = ({ files }: Folder) => files.filter((name) => ENDING.test(name));

/**
 * Finds the faces in one file.
 *
 * @param bytes of the file
 * @throws DataError if it holds no images, or several arrays of images of which some have no labels
 */
export async function findInNumpyFile(path: string, bytes: Uint8Array): Promise<Found> {
  const name = basename(path).replace(ENDING, '');
  return isNpy(bytes) ? found(path, name, [await npyPart(path, bytes)]) : found(path, name, npzParts(path, bytes));
}

/**
 * Finds the faces in the files of NumPy of a folder: one archive, or arrays whose names differ in a number, in the order of
 * the numbers.
 *
 * @throws DataError if there are several data sets
 */
export async function findInNumpyFolder(dir: string, names: readonly string[]): Promise<Found> {
  const stems = names.map((name) => name.replace(ENDING, ''));
  const isOfOther = (stem: string) =>
    stems.some((other) => other !== stem && labelNames(other).includes(stem.toLowerCase()));
  const images = names.filter((_, index) => !isOfOther(stems[index]));
  const groups = new Set(images.map((name) => name.replace(/\d+(?=\.\w+$)/, '')));
  if (groups.size !== 1) {
    const shown = images.map((name) => printable(name, 40));
    throw new DataError(`${dir}: NumPy files of several data sets (${listed(shown, 120)}); give one of the files`);
  }
  const number = (name: string) => Number(/(\d+)\.\w+$/.exec(name)?.[1] ?? 0);
  const ordered = [...images].sort((a, b) => number(a) - number(b) || byName(a, b));
  const [first] = ordered;
  if (first.toLowerCase().endsWith('.npz')) {
    if (ordered.length === 1) return findInNumpyFile(join(dir, first), await readBytes(join(dir, first)));
    throw new DataError(
      `${dir}: ${ordered.length} archives of NumPy (${printable(first, 40)}, ...); give one of the files`,
    );
  }
  // Files of 20,000 images each are not all kept in memory.
  let kept: { readonly name: string; readonly part: NumpyPart } | undefined;
  const load = async (name: string): Promise<NumpyPart> => {
    const part = kept?.name === name ? kept.part : await npyPart(join(dir, name), await readBytes(join(dir, name)));
    kept = { name, part };
    return part;
  };
  const parts: NumpyPart[] = [];
  for (const name of ordered) {
    const { images, ...part } = await load(name);
    const { count, width, height } = images;
    parts.push({
      ...part,
      images: { count, width, height, read: async (index) => (await load(name)).images.read(index) },
    });
  }
  return found(dir, [...groups][0].replace(ENDING, '').replace(/[_-]$/, ''), parts);
}

async function npyPart(path: string, bytes: Uint8Array): Promise<NumpyPart> {
  const name = basename(path).replace(ENDING, '');
  const array = readNpyNumbers(bytes, path);
  const wanted = labelNames(name).map((each) => `${each}.npy`);
  const beside = await readdir(dirname(path));
  const labelFile = wanted.map((each) => beside.find((other) => other.toLowerCase() === each)).find(Boolean);
  if (labelFile === undefined) return { name, images: imagesOfArray(array, false, path) };
  const labelPath = join(dirname(path), labelFile);
  return labelledPart(name, path, array, labelPath, readNpyNumbers(await readBytes(labelPath), labelPath));
}

function found(dir: string, name: string, parts: readonly NumpyPart[]): Found {
  const [first] = parts;
  const other = parts.find(
    ({ images }) => images.width !== first.images.width || images.height !== first.images.height,
  );
  if (other) {
    const size = ({ images }: NumpyPart) => `${images.width}x${images.height}`;
    throw new DataError(
      `${dir}: NumPy file: ${printable(other.name, 40)} has images of ${size(other)}, ${printable(first.name, 40)} of ` +
        `${size(first)}; make them equal`,
    );
  }
  const without = parts.find(({ labels }) => labels === undefined);
  if (without && parts.some(({ labels }) => labels !== undefined)) {
    throw new DataError(`${dir}: NumPy file: ${printable(without.name, 40)} has no labels; add or remove its file`);
  }
  // A label is a number within its data set, so that equal labels of two data sets are not the same person.
  const personOf = (label: number | undefined) => (label === undefined ? name : `${name} ${label}`);
  const labels = [...new Set(parts.flatMap((part) => part.labels ?? []))].sort((a, b) => a - b);
  const photographs = parts.flatMap(({ name: part, images, labels: own }) =>
    Array.from({ length: images.count }, (_, index): Photograph => {
      return {
        id: `${part}/${index}`,
        person: personOf(own?.[index]),
        read: () => images.read(index),
      };
    }),
  );
  const { width, height } = first.images;
  return {
    dir,
    name,
    people: labels.length > 0 ? labels.map(personOf) : [name],
    ...(labels.length > 0 && { numbers: labels }),
    photographs,
    areIdentified: labels.length > 0,
    bad: [],
    notes: [],
    ...(width === height && { size: width }),
  };
}
