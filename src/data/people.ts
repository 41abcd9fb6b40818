/** Selects people from a set of faces, and augments a set with variations of its photographs. */

import { mat2d, vec2 } from 'gl-matrix';
import { ConfigError } from '../errors.ts';
import { type ImageSize, imageValues } from '../image_size.ts';
import { Random } from '../random.ts';
import { createDataset, type ImageDataset } from './dataset.ts';

/**
 * The photographs of some people, with new labels in the given order.
 * @param people class indices
 * @throws ConfigError for an index that is no class
 */
export async function selectPeople(dataset: ImageDataset, people: readonly number[]): Promise<ImageDataset> {
  const bad = people.find((person) => !(person >= 0 && person < dataset.classNames.length));
  if (bad !== undefined) {
    throw new ConfigError(`${dataset.name}: there is no person ${bad}; it has ${dataset.classNames.length} people`);
  }
  const newLabel = new Map(people.map((person, label) => [person, label]));
  const values = imageValues(dataset);
  const chosen = [...dataset.labels.keys()].filter((image) => newLabel.has(dataset.labels[image]));
  const images = new Uint8Array(chosen.length * values);
  chosen.forEach((image, i) => {
    images.set(dataset.images.subarray(image * values, (image + 1) * values), i * values);
  });
  return createDataset({
    ...dataset,
    classNames: people.map((person) => dataset.classNames[person]),
    images,
    labels: Uint32Array.from(chosen, (image) => newLabel.get(dataset.labels[image])!),
    ids: chosen.map((image) => dataset.ids[image]),
  });
}

/**
 * Adds `copies` variations to every photograph: mirrored or not, turned by up to 8 degrees, scaled by up to 10 %, moved by
 * up to 6 % of the side, contrast and brightness changed by up to 15 %. All channels of an image are changed alike. The same
 * seed gives the same pixels.
 * @param copies integer >= 0
 * @throws ConfigError
 */
export async function augment(dataset: ImageDataset, copies: number, seed: number): Promise<ImageDataset> {
  if (!(Number.isInteger(copies) && copies >= 0)) throw new ConfigError(`augment: ${copies} is not a number of copies`);
  const { labels, ids } = dataset;
  const values = imageValues(dataset);
  const each = copies + 1;
  const images = new Uint8Array(labels.length * each * values);
  for (let image = 0; image < labels.length; image++) {
    const source = dataset.images.subarray(image * values, (image + 1) * values);
    images.set(source, image * each * values);
    const random = new Random(seed, image);
    for (let copy = 1; copy < each; copy++) {
      images.set(vary(source, dataset, random), (image * each + copy) * values);
    }
  }
  const repeated = Array.from({ length: labels.length * each }, (_, i) => Math.floor(i / each));
  return createDataset({
    ...dataset,
    name: copies > 0 ? `${dataset.name}, ${copies} variations each` : dataset.name,
    images,
    labels: Uint32Array.from(repeated, (image) => labels[image]),
    ids: repeated.map((image, i) => (i % each === 0 ? ids[image] : `${ids[image]}~${i % each}`)),
  });
}

/** One variation of a photograph; pixels beyond its edge repeat the nearest pixel. */
function vary(source: Uint8Array, { width, height, channels }: ImageSize, random: Random): Uint8Array {
  const within = (range: number) => (2 * (random.nextU32() / 2 ** 32) - 1) * range;
  const mirrored = random.nextU32() < 2 ** 31 ? -1 : 1;
  const [angle, scale] = [within((8 * Math.PI) / 180), 1 + within(0.1)];
  const shift = vec2.fromValues(within(0.06 * width), within(0.06 * height));
  const [contrast, brightness] = [1 + within(0.15), within(0.15 * 255)];
  // Maps a pixel of the variation to a place in the photograph, both relative to the middle.
  const place = mat2d.create();
  mat2d.translate(place, place, shift);
  mat2d.rotate(place, place, angle);
  mat2d.scale(place, place, vec2.fromValues(mirrored * scale, scale));
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  const result = new Uint8Array(source.length);
  const point = vec2.create();
  const at = (x: number, y: number) =>
    (Math.min(Math.max(y, 0), height - 1) * width + Math.min(Math.max(x, 0), width - 1)) * channels;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      vec2.transformMat2d(point, vec2.set(point, column - middleX, row - middleY), place);
      const [x, y] = [point[0] + middleX, point[1] + middleY];
      const [left, top] = [Math.floor(x), Math.floor(y)];
      const [right, below] = [x - left, y - top];
      const [a, b, c, d] = [at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1)];
      for (let channel = 0; channel < channels; channel++) {
        const value =
          (source[a + channel] * (1 - right) + source[b + channel] * right) * (1 - below) +
          (source[c + channel] * (1 - right) + source[d + channel] * right) * below;
        const changed = (value - 127.5) * contrast + 127.5 + brightness;
        result[(row * width + column) * channels + channel] = Math.min(Math.max(Math.round(changed), 0), 255);
      }
    }
  }
  return result;
}
