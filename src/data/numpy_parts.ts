/** The images in files of NumPy and their labels, which are found by the names of the arrays. */
import { DataError } from '../errors.ts';
import type { DecodedImage } from '../formats/image.ts';
import type { NumberArray } from '../formats/npy.ts';
import { listNpz, readNpz } from '../formats/npz.ts';
import { listed, printable } from '../printable.ts';
import { type ArrayImages, areLabels, imagesOfArray, labelsOfArray } from './face_arrays.ts';

/** Images that belong together, and their labels. */
export interface NumpyPart {
  /** For the ids of its images. */
  readonly name: string;
  readonly images: Omit<ArrayImages, 'read'> & { read(index: number): DecodedImage | Promise<DecodedImage> };
  readonly labels?: readonly number[];
}

/**
 * The arrays of images in an archive, each with its labels.
 *
 * @param path of the file, for messages
 * @throws DataError if it holds no images, or several arrays of images of which some have no labels
 */
export function npzParts(path: string, bytes: Uint8Array): NumpyPart[] {
  const names = listNpz(bytes, path);
  if (names.length === 0) {
    throw new DataError(`${path}: a ZIP archive; unpack it and give the folder with the photographs`);
  }
  const labelsOf = (name: string) =>
    labelNames(name)
      .map((each) => names.find((other) => other.toLowerCase() === each))
      .find(Boolean);
  // An archive can have the same images twice, as pictures and as rows of pixels, with one array of labels.
  const pairs = names.flatMap((name) => {
    const labels = labelsOf(name);
    const others = names.filter((other) => other !== name && labels !== undefined && labelsOf(other) === labels);
    const isSecond = others.some((other) => /image/i.test(other)) && !/image/i.test(name);
    return labels === undefined || isSecond ? [] : [{ name, labels }];
  });
  if (pairs.length === 0 && names.length > 1) {
    const shown = names.map((name) => printable(name, 30));
    throw new DataError(
      `${path}: NumPy file: no array of images with one of labels (${listed(shown, 80)}); ` +
        'save them with numpy.savez(file, images=..., labels=...)',
    );
  }
  const wanted = pairs.length === 0 ? names : pairs.flatMap(({ name, labels }) => [name, labels]);
  const arrays = readNpz(bytes, path, new Set(wanted));
  const get = (name: string) => arrays.get(name) as NumberArray;
  const where = (name: string) => `${path}: ${printable(name, 40)}`;
  if (pairs.length === 0) return [{ name: names[0], images: imagesOfArray(get(names[0]), false, where(names[0])) }];
  return pairs.map(({ name, labels }) => labelledPart(name, where(name), get(name), where(labels), get(labels)));
}

/**
 * The images of an array with the labels of another one.
 *
 * @param where the array of images, for messages
 * @param labelsWhere the array of labels, for messages
 * @throws DataError if there is not one whole number per image
 */
export function labelledPart(
  name: string,
  where: string,
  array: NumberArray,
  labelsWhere: string,
  labels: NumberArray,
): NumpyPart {
  const images = imagesOfArray(array, true, where);
  if (!areLabels(labels, images.count)) {
    throw new DataError(
      `${labelsWhere}: NumPy file: labels of shape (${labels.shape.join(', ')}) for ${images.count} images; ` +
        'save one whole number per image',
    );
  }
  return { name, images, labels: labelsOfArray(labels, labelsWhere) };
}

/** The names, in lower case, that the labels of an array of images can have. */
export function labelNames(images: string): string[] {
  const name = images.toLowerCase();
  const kinds = ['labels', 'label', 'targets', 'target', 'y'];
  const instead = /(images|image|data|faces|x)$/;
  const replaced = instead.test(name) ? kinds.map((kind) => name.replace(instead, kind)) : [];
  const leading = /^x(?=_)/.test(name) ? [name.replace(/^x/, 'y')] : [];
  return [...leading, ...replaced, ...kinds.map((kind) => `${name}_${kind}`)];
}
