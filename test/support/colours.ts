/** A tiny data set in colour. */
import { createDataset, type ImageDataset } from '../../src/data/dataset.ts';
import { Random } from '../../src/random.ts';

export const COLOUR_SIZE = { width: 12, height: 10, channels: 3 } as const;

/** Class -> its hue, 0..1 in red, green and blue. */
export const HUES = { red: [1, 0.1, 0.1], green: [0.1, 1, 0.1], blue: [0.1, 0.1, 1], yellow: [1, 1, 0.1] } as const;
const NAMES = Object.keys(HUES) as (keyof typeof HUES)[];

/**
 * Four classes of images of 12 x 10 pixels: stripes of one hue, at another place and in another direction in each class, with
 * noise of less than 20 levels.
 *
 * @param population other seeds and, except for `private`, class names with it in front
 */
export function colourDataset(population: string, perClass: number, seed: number): Promise<ImageDataset> {
  const { width, height, channels } = COLOUR_SIZE;
  const count = NAMES.length * perClass;
  const labels = Uint32Array.from({ length: count }, (_, i) => i % NAMES.length);
  const random = new Random(seed);
  const values = width * height * channels;
  const images = Uint8Array.from({ length: count * values }, (_, i) => {
    const label = labels[Math.floor(i / values)];
    const pixel = Math.floor((i % values) / channels);
    const along = label % 2 === 0 ? pixel % width : Math.floor(pixel / width);
    const level = (along + label) % 4 < 2 ? 220 : 60;
    return level * HUES[NAMES[label]][i % channels] + random.uniformInt(20);
  });
  return createDataset({
    name: `${population} colours`,
    ...COLOUR_SIZE,
    classNames: NAMES.map((name) => (population === 'private' ? name : `${population} ${name}`)),
    images,
    labels,
    ids: Array.from(labels, (label, i) => `${NAMES[label]}/${Math.floor(i / NAMES.length)}`),
  });
}

/** Means of the channels of an image, [..., 3]. */
export function channelMeans(image: ArrayLike<number>): number[] {
  const sums = [0, 0, 0];
  for (let i = 0; i < image.length; i++) sums[i % 3] += image[i];
  return sums.map((sum) => (3 * sum) / image.length);
}
