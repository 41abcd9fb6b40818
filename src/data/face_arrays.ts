/** Turns arrays of numbers into images and labels. */

import { DataError } from '../errors.ts';
import type { DecodedImage } from '../formats/image.ts';
import type { NumberArray, NumberData } from '../formats/npy.ts';
import type { Channels } from '../image_size.ts';

/** Images in an array. */
export interface ArrayImages {
  readonly count: number;
  readonly width: number;
  readonly height: number;
  /** The image at an index below `count`. */
  read(index: number): DecodedImage;
}

/** How the values of an array are arranged. */
interface Arrangement {
  readonly width: number;
  readonly height: number;
  readonly channels: Channels;
  /** True if a whole channel comes before the next. */
  readonly isPlanar: boolean;
}

/**
 * The images of an array of the shape [count, height, width], with [1] or [3] channels as the last index or the second, or
 * [count, pixels] of square images. Integers, and floating-point numbers of which some are above 1, are levels 0..255;
 * floating-point numbers of 0..1 are multiplied by 255.
 *
 * @param areFlat true to accept [count, pixels], which an array that is a single picture also looks like
 * @param name the array, for messages
 * @throws DataError for another shape or range
 */
export function imagesOfArray({ shape, data, type }: NumberArray, areFlat: boolean, name: string): ArrayImages {
  const arrangement = arrangementOf(shape, areFlat);
  if (!arrangement || shape.includes(0)) {
    const what = shape.length === 1 ? `(${shape[0]},), as labels have` : `(${shape.join(', ')})`;
    throw new DataError(
      `${name}: NumPy file: an array of shape ${what}; give one of images, (count, height, width) or with 1 or 3 channels`,
    );
  }
  const { width, height, channels, isPlanar } = arrangement;
  const scale = scaleOf(data, type, name);
  const size = width * height * channels;
  return {
    count: shape[0],
    width,
    height,
    read(index) {
      const pixels = new Uint8Array(size);
      for (let i = 0; i < size; i++) {
        const at = isPlanar ? (i % channels) * width * height + Math.floor(i / channels) : i;
        pixels[i] = Math.round(Number(data[index * size + at]) * scale);
      }
      return { width, height, channels, pixels };
    },
  };
}

/** True if an array has the shape of labels: one number for each of `count` images. */
export function areLabels({ shape }: NumberArray, count: number): boolean {
  return shape[0] === count && (shape.length === 1 || (shape.length === 2 && shape[1] === 1));
}

/** The labels of an array. @throws DataError if they are not integers */
export function labelsOfArray({ data, type }: NumberArray, name: string): number[] {
  const labels = Array.from(data as ArrayLike<number | bigint>, Number);
  const bad = labels.findIndex((label) => !Number.isSafeInteger(label));
  if (bad >= 0) {
    throw new DataError(`${name}: NumPy file: label ${bad} is ${labels[bad]} (${type}); save labels as whole numbers`);
  }
  return labels;
}

function arrangementOf(shape: readonly number[], areFlat: boolean): Arrangement | undefined {
  const [, a, b, c] = shape;
  const isChannels = (size: number): size is Channels => size === 1 || size === 3;
  if (shape.length === 2 && areFlat) {
    const side = Math.round(Math.sqrt(a));
    return side * side === a && side > 1 ? { width: side, height: side, channels: 1, isPlanar: false } : undefined;
  }
  if (shape.length === 3) return { width: b, height: a, channels: 1, isPlanar: false };
  if (shape.length !== 4) return undefined;
  if (isChannels(c)) return { width: b, height: a, channels: c, isPlanar: false };
  return isChannels(a) ? { width: c, height: b, channels: a, isPlanar: true } : undefined;
}

/** The factor that turns values into levels 0..255. @throws DataError for values outside both ranges */
function scaleOf(data: NumberData, type: string, name: string): number {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let areNumbers = true;
  for (const each of data as Iterable<number | bigint>) {
    const value = Number(each);
    if (value < low) low = value;
    if (value > high) high = value;
    areNumbers &&= !Number.isNaN(value);
  }
  if (!areNumbers || low < 0 || high > 255) {
    const seen = areNumbers ? `values of ${low} to ${high}` : 'values that are not numbers (NaN)';
    throw new DataError(`${name}: NumPy file: ${seen}; scale them to 0..1 or 0..255 and save them again`);
  }
  return type.slice(1, 2) === 'f' && high <= 1 ? 255 : 1;
}
