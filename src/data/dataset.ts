/** A set of equally large 8-bit images, gray or RGB, with class labels, and functions that split, hash and convert it. */
import { ConfigError, DataError, ShapeError } from '../errors.ts';
import { type Channels, type ImageSizeInput, imageValues, sizeName } from '../image_size.ts';
import { Random } from '../random.ts';
import { sha256 } from './sha256.ts';

export interface ImageDataset {
  name: string;
  /** Pixels. */
  width: number;
  height: number;
  /** Values per pixel of every image: 1 for gray, 3 for red, green and blue. */
  channels: Channels;
  /** Class index -> name, for example 's40'. */
  classNames: string[];
  /** [count, height, width, channels], row-major, 8 bits per value. */
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

/** The parts of a dataset from which {@link createDataset} makes one. */
export type DatasetParts = Omit<ImageDataset, 'sha256' | 'channels'> & Partial<Pick<ImageDataset, 'channels'>>;

/**
 * Creates a dataset: checks that the parts fit together and adds the hash.
 *
 * @param given images are gray unless `channels` is 3
 * @param hash computes it; in Node there is one that copies nothing
 * @throws ShapeError when images, labels or ids disagree on the count
 * @throws DataError when a label names no class
 */
export async function createDataset(given: DatasetParts, hash: HashFunction = datasetHash): Promise<ImageDataset> {
  const parts = { ...given, channels: given.channels ?? 1 };
  const { name, classNames, images, labels, ids } = parts;
  if (images.length !== labels.length * imageValues(parts) || ids.length !== labels.length) {
    throw new ShapeError(
      `dataset ${name}: ${images.length} bytes and ${ids.length} ids do not fit ${labels.length} labels of ` +
        `${sizeName(parts)} images; give one image and one id per label`,
    );
  }
  const bad = labels.findIndex((label) => label >= classNames.length);
  if (bad >= 0) {
    throw new DataError(
      `dataset ${name}: ${ids[bad]} has label ${labels[bad]} but there are ${classNames.length} classes; fix the label`,
    );
  }
  return { ...parts, sha256: await hash(parts) };
}

/** The parts of a dataset that its hash covers. */
export type HashedParts = ImageSizeInput & Pick<ImageDataset, 'labels' | 'images'>;

/** Computes what {@link datasetHash} computes. */
export type HashFunction = (parts: HashedParts) => string | Promise<string>;

/**
 * The words that are hashed before the images: width, height, count, for colour images the number of channels, and the labels,
 * all u32, little-endian.
 */
export function hashedWords({ width, height, channels = 1, labels }: HashedParts): Uint8Array<ArrayBuffer> {
  const words = [width, height, labels.length, ...(channels === 1 ? [] : [channels])];
  const bytes = new Uint8Array((words.length + labels.length) * 4);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => {
    view.setUint32(i * 4, word, true);
  });
  labels.forEach((word, i) => {
    view.setUint32((words.length + i) * 4, word, true);
  });
  return bytes;
}

/**
 * SHA-256, in hex, over the words of {@link hashedWords}, then the image bytes. Names and ids are not included.
 *
 * @throws MidasError where the page has no `crypto.subtle`
 */
export async function datasetHash(dataset: HashedParts): Promise<string> {
  const words = hashedWords(dataset);
  const bytes = new Uint8Array(words.length + dataset.images.length);
  bytes.set(words);
  bytes.set(dataset.images, words.length);
  return sha256(bytes);
}

/** Labels of the images at `indices`, in that order. */
export function labelsOf({ labels }: ImageDataset, indices: Uint32Array): Uint32Array {
  return Uint32Array.from(indices, (image) => labels[image]);
}

/**
 * The mean of the images at `indices`: [height, width, channels], 0..1 (bytes / 255), summed exactly.
 *
 * @throws DataError when `indices` is empty or an index is out of range
 */
export function meanImage(dataset: ImageDataset, indices: ArrayLike<number>): Float32Array<ArrayBuffer> {
  if (indices.length === 0) throw new DataError(`dataset ${dataset.name}: no images to average; give some indices`);
  const sums = new Float64Array(imageValues(dataset));
  eachImage(dataset, indices, (image) => {
    for (let i = 0; i < sums.length; i++) sums[i] += image[i];
  });
  return Float32Array.from(sums, (sum) => sum / indices.length / 255);
}

/**
 * The images at `indices` as [indices.length, height, width, channels], 0..1 (bytes / 255).
 *
 * @throws DataError when an index is out of range
 */
export function toFloat(dataset: ImageDataset, indices: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const values = imageValues(dataset);
  const floats = new Float32Array(indices.length * values);
  eachImage(dataset, indices, (image, position) => {
    for (let i = 0; i < values; i++) floats[position * values + i] = image[i] / 255;
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
  const membersOf: number[][] = dataset.classNames.map(() => []);
  dataset.labels.forEach((label, index) => {
    membersOf[label].push(index);
  });
  const shareOf = (count: number) => Math.min(Math.max(Math.round(trainPerClass * count), 1), count - 1);
  const wantedOf = (count: number) => (isShare ? shareOf(count) : trainPerClass);
  const isTooSmall = ({ length }: number[]) => wantedOf(length) < 1 || wantedOf(length) >= length;
  const small = membersOf.findIndex(isTooSmall);
  if (small >= 0) {
    const { length } = membersOf[small];
    const least = Math.max(wantedOf(length), 1);
    const others = membersOf.filter(isTooSmall).length - 1;
    throw new DataError(
      `dataset ${dataset.name}: class ${dataset.classNames[small]} has ${length} images, a split with ` +
        `${least} for training needs at least ${least + 1}${others > 0 ? `, and so do ${others} other classes` : ''}; ` +
        'add images or leave it out',
    );
  }
  membersOf.forEach((members, label) => {
    for (const index of new Random(seed, label).shuffle(members).slice(0, wantedOf(members.length))) {
      inTraining[index] = 1;
    }
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
  const values = imageValues(dataset);
  const count = dataset.labels.length;
  for (let position = 0; position < indices.length; position++) {
    const index = indices[position];
    if (!Number.isInteger(index) || index < 0 || index >= count) {
      throw new DataError(`dataset ${dataset.name}: index ${index} is not in 0..${count - 1}; fix the index list`);
    }
    visit(dataset.images.subarray(index * values, (index + 1) * values), position);
  }
}
