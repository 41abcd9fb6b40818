/** A set of equally large 8-bit gray images with class labels, and functions that split, hash and convert it to floats. */
import { ConfigError, DataError, ShapeError } from '../errors.ts';
import { Random } from '../random.ts';
import { sha256 } from './sha256.ts';

export interface ImageDataset {
  name: string;
  /** Pixels. */
  width: number;
  height: number;
  /** Class index -> name, for example 's40'. */
  classNames: string[];
  /** [count, height, width], row-major, 8-bit gray. */
  images: Uint8Array;
  /** [count], index into `classNames`. */
  labels: Uint32Array;
  /** [count], the origin of each image, for example 's1/3.pgm'. */
  ids: string[];
  /** `datasetHash` of this dataset. */
  sha256: string;
}

/** Indices into a dataset. */
export interface Split {
  train: Uint32Array;
  test: Uint32Array;
}

/**
 * Creates a dataset: checks that the parts fit together and adds the hash.
 *
 * @throws ShapeError when images, labels or ids disagree on the count
 * @throws DataError when a label names no class
 */
export async function createDataset(parts: Omit<ImageDataset, 'sha256'>): Promise<ImageDataset> {
  const { name, width, height, classNames, images, labels, ids } = parts;
  if (images.length !== labels.length * width * height || ids.length !== labels.length) {
    throw new ShapeError(
      `dataset ${name}: ${images.length} bytes and ${ids.length} ids do not fit ${labels.length} labels of ` +
        `${width}x${height} images; give one image and one id per label`,
    );
  }
  const bad = labels.findIndex((label) => label >= classNames.length);
  if (bad >= 0) {
    throw new DataError(
      `dataset ${name}: ${ids[bad]} has label ${labels[bad]} but there are ${classNames.length} classes; fix the label`,
    );
  }
  return { ...parts, sha256: await datasetHash(parts) };
}

/**
 * SHA-256, in hex, over width, height, count and the labels (all u32, little-endian), then the image bytes. Names and
 * ids are not included.
 *
 * @throws MidasError where the page has no `crypto.subtle`
 */
export async function datasetHash(
  dataset: Pick<ImageDataset, 'width' | 'height' | 'labels' | 'images'>,
): Promise<string> {
  const { width, height, labels, images } = dataset;
  const bytes = new Uint8Array(12 + labels.length * 4 + images.length);
  const view = new DataView(bytes.buffer);
  [width, height, labels.length, ...labels].forEach((word, i) => {
    view.setUint32(i * 4, word, true);
  });
  bytes.set(images, 12 + labels.length * 4);
  return sha256(bytes);
}

/** Labels of the images at `indices`, in that order. */
export function labelsOf({ labels }: ImageDataset, indices: Uint32Array): Uint32Array {
  return Uint32Array.from(indices, (image) => labels[image]);
}

/**
 * The mean of the images at `indices`: [height, width], 0..1 (pixels / 255), summed exactly.
 *
 * @throws DataError when `indices` is empty or an index is out of range
 */
export function meanImage(dataset: ImageDataset, indices: ArrayLike<number>): Float32Array<ArrayBuffer> {
  if (indices.length === 0) throw new DataError(`dataset ${dataset.name}: no images to average; give some indices`);
  const sums = new Float64Array(dataset.width * dataset.height);
  eachImage(dataset, indices, (image) => {
    for (let i = 0; i < sums.length; i++) sums[i] += image[i];
  });
  return Float32Array.from(sums, (sum) => sum / indices.length / 255);
}

/**
 * The images at `indices` as [indices.length, height, width], 0..1 (pixels / 255).
 *
 * @throws DataError when an index is out of range
 */
export function toFloat(dataset: ImageDataset, indices: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const pixels = dataset.width * dataset.height;
  const floats = new Float32Array(indices.length * pixels);
  eachImage(dataset, indices, (image, position) => {
    for (let i = 0; i < pixels; i++) floats[position * pixels + i] = image[i] / 255;
  });
  return floats;
}

/**
 * A stratified split: from every class, a random choice for training and the rest for testing; both lists ascend. The
 * choice within a class depends on the seed, the class index and the class's count only.
 *
 * @param trainPerClass images per class (1, 2, ...), or a share strictly between 0 and 1 (rounded, at least one image on
 *   either side)
 * @throws DataError when a class has too few images to leave one for testing
 * @throws ConfigError when `trainPerClass` or `seed` is out of range
 */
export function seededSplit(dataset: ImageDataset, trainPerClass: number, seed: number): Split {
  const isShare = trainPerClass > 0 && trainPerClass < 1;
  if (!isShare && !(Number.isInteger(trainPerClass) && trainPerClass > 0)) {
    throw new ConfigError(
      `trainPerClass: ${trainPerClass} is neither a positive integer nor a share between 0 and 1; try 7 or 0.7`,
    );
  }
  const inTraining = new Uint8Array(dataset.labels.length);
  dataset.classNames.forEach((className, label) => {
    const members: number[] = [];
    dataset.labels.forEach((each, index) => {
      if (each === label) members.push(index);
    });
    const share = Math.min(Math.max(Math.round(trainPerClass * members.length), 1), members.length - 1);
    const wanted = isShare ? share : trainPerClass;
    if (wanted < 1 || wanted >= members.length) {
      throw new DataError(
        `dataset ${dataset.name}: class ${className} has ${members.length} images, a split with ` +
          `${Math.max(wanted, 1)} for training needs at least ${Math.max(wanted, 1) + 1}; add images or leave it out`,
      );
    }
    for (const index of new Random(seed, label).shuffle(members).slice(0, wanted)) inTraining[index] = 1;
  });
  const all = Array.from(inTraining.keys());
  return {
    train: Uint32Array.from(all.filter((index) => inTraining[index] === 1)),
    test: Uint32Array.from(all.filter((index) => inTraining[index] === 0)),
  };
}

function eachImage(
  dataset: ImageDataset,
  indices: ArrayLike<number>,
  visit: (image: Uint8Array, position: number) => void,
): void {
  const pixels = dataset.width * dataset.height;
  const count = dataset.labels.length;
  for (let position = 0; position < indices.length; position++) {
    const index = indices[position];
    if (!Number.isInteger(index) || index < 0 || index >= count) {
      throw new DataError(`dataset ${dataset.name}: index ${index} is not in 0..${count - 1}; fix the index list`);
    }
    visit(dataset.images.subarray(index * pixels, (index + 1) * pixels), position);
  }
}
