/**
 * Processes decoded photographs before an experiment uses them: converts them to gray or RGB, crops and resizes them. Conversion
 * and resizing give the same bytes as Pillow, with which the published data sets were prepared
 * (https://github.com/python-pillow/Pillow, src/libImaging/Convert.c and Resample.c).
 */

import { DataError, ShapeError } from '../errors.ts';
import type { DecodedImage } from '../formats/image.ts';
import type { Channels } from '../image_size.ts';

/** Converts an image to the luma of ITU-R 601 in 16-bit fixed point, with the same bytes as Pillow's convert('L'). */
export function toGray(image: DecodedImage): DecodedImage {
  const { width, height, channels, pixels } = image;
  if (channels === 1) return image;
  const gray = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < gray.length; i++, at += 3) {
    gray[i] = (19595 * pixels[at] + 38470 * pixels[at + 1] + 7471 * pixels[at + 2] + 0x8000) >> 16;
  }
  return { width, height, channels: 1, pixels: gray };
}

/** Converts an image to RGB; gray becomes three equal channels. */
export function toRgb(image: DecodedImage): DecodedImage {
  const { width, height, channels, pixels } = image;
  if (channels === 3) return image;
  return {
    width,
    height,
    channels: 3,
    pixels: Uint8Array.from({ length: 3 * pixels.length }, (_, i) => pixels[Math.floor(i / 3)]),
  };
}

/** Converts an image to gray or RGB, as {@link toGray} and {@link toRgb} do. */
export function withChannels(image: DecodedImage, channels: Channels): DecodedImage {
  return channels === 1 ? toGray(image) : toRgb(image);
}

/** Luma of ITU-R 601 of an image of any range: [height, width, 3] -> [height, width]; a gray image is returned itself. */
export function luma<Values extends ArrayLike<number>>(image: Values, channels: Channels): Values | Float32Array {
  if (channels === 1) return image;
  return Float32Array.from(
    { length: image.length / 3 },
    (_, i) => 0.299 * image[3 * i] + 0.587 * image[3 * i + 1] + 0.114 * image[3 * i + 2],
  );
}

/**
 * The part of an image whose upper left corner is x, y.
 *
 * @param name the file, for messages
 * @throws DataError naming both sizes when the part does not lie in the image
 */
export function crop(
  image: DecodedImage,
  x: number,
  y: number,
  width: number,
  height: number,
  name: string,
): DecodedImage {
  const whole = [x, y, width, height].every((value) => Number.isInteger(value) && value >= 0);
  if (!whole || width === 0 || height === 0 || x + width > image.width || y + height > image.height) {
    throw new DataError(
      `${name}: ${image.width}x${image.height} pixels are too few for a crop of ${width}x${height} at ${x},${y}; ` +
        'give larger images or another layout',
    );
  }
  const { channels } = image;
  const line = width * channels;
  const pixels = new Uint8Array(line * height);
  for (let row = 0; row < height; row++) {
    const start = ((y + row) * image.width + x) * channels;
    pixels.set(image.pixels.subarray(start, start + line), row * line);
  }
  return { width, height, channels, pixels };
}

/** The largest square in the middle; if it cannot be exactly in the middle, it is one pixel nearer to the upper left. */
export function centreSquare(image: DecodedImage): DecodedImage {
  return centreOfShape(image, 1, 1);
}

/**
 * The largest part in the middle whose sides are in the ratio width : height, rounded to whole pixels; if it cannot be exactly
 * in the middle, it is one pixel nearer to the upper left.
 */
export function centreOfShape(image: DecodedImage, width: number, height: number): DecodedImage {
  const scale = Math.min(image.width / width, image.height / height);
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  return crop(image, (image.width - w) >> 1, (image.height - h) >> 1, w, h, 'centre');
}

/**
 * Resizes with a triangle filter that widens when the image shrinks (no aliasing). It gives the same bytes as Pillow's
 * resize(size, BILINEAR): it filters rows first, then columns, and rounds each pass to 8 bits.
 *
 * @throws ShapeError when a side is not a positive integer
 */
export function resize(image: DecodedImage, width: number, height: number): DecodedImage {
  if (![width, height].every((side) => Number.isInteger(side) && side > 0)) {
    throw new ShapeError(`resize: ${width}x${height} is not a size of an image; give positive integers`);
  }
  const { channels } = image;
  let { pixels } = image;
  if (width !== image.width) {
    const taps = triangleTaps(image.width, width);
    const lines = { lines: image.height, from: image.width * channels, to: width * channels };
    pixels = resample(pixels, taps, { ...lines, step: channels, samples: channels });
  }
  if (height !== image.height) {
    const taps = triangleTaps(image.height, height);
    const row = width * channels;
    pixels = resample(pixels, taps, { lines: 1, from: 0, to: 0, step: row, samples: row });
  }
  return { width, height, channels, pixels: pixels === image.pixels ? pixels.slice() : pixels };
}

/** For every output sample: the first input sample, and weights that sum to about 2^22. */
interface Taps {
  readonly first: Uint32Array;
  readonly weights: readonly Int32Array[];
}

/** Of 32 bits, two are reserved for overshoot of the sum and eight for the pixel (Pillow's PRECISION_BITS). */
const PRECISION_BITS = 32 - 8 - 2;

function triangleTaps(inputSize: number, outputSize: number): Taps {
  const scale = inputSize / outputSize;
  const support = Math.max(scale, 1);
  const first = new Uint32Array(outputSize);
  const weights = Array.from(first, (_, i) => {
    const centre = (i + 0.5) * scale;
    const begin = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), inputSize);
    first[i] = begin;
    // The order of operations is Pillow's: another order would round some weights differently.
    const shrink = 1 / support;
    const raw = Array.from({ length: end - begin }, (_, x) => {
      return Math.max(1 - Math.abs((x + begin - centre + 0.5) * shrink), 0);
    });
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return Int32Array.from(raw, (weight) => Math.trunc(0.5 + (weight / sum) * 2 ** PRECISION_BITS));
  });
  return { first, weights };
}

/** Samples that are resampled alike: every line has `samples` of them side by side, each with its next one `step` further. */
interface Grid {
  readonly lines: number;
  readonly samples: number;
  readonly step: number;
  /** Distance of two lines in the input and in the output. */
  readonly from: number;
  readonly to: number;
}

/** Resamples every line of an image. */
function resample(pixels: Uint8Array, { first, weights }: Taps, { lines, samples, step, from, to }: Grid): Uint8Array {
  const output = new Uint8Array(lines * samples * first.length);
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < first.length; i++) {
      for (let sample = 0; sample < samples; sample++) {
        let sum = 1 << (PRECISION_BITS - 1);
        let at = line * from + first[i] * step + sample;
        for (const weight of weights[i]) {
          sum += weight * pixels[at];
          at += step;
        }
        output[line * to + i * step + sample] = Math.min(sum >> PRECISION_BITS, 255);
      }
    }
  }
  return output;
}
