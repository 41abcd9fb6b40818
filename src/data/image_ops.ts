/**
 * Processes decoded photographs before an experiment uses them: converts them to gray, crops and resizes them. Conversion
 * and resizing give the same bytes as Pillow, with which the published data sets were prepared
 * (https://github.com/python-pillow/Pillow, src/libImaging/Convert.c and Resample.c).
 */
import { DataError, ShapeError } from '../errors.ts';
import type { DecodedImage } from '../formats/image.ts';
import type { GrayImage } from '../formats/pgm.ts';

/** Converts an image to the luma of ITU-R 601 in 16-bit fixed point, with the same bytes as Pillow's convert('L'). */
export function toGray(image: DecodedImage): GrayImage {
  const { width, height, channels, pixels } = image;
  if (channels === 1) return { width, height, pixels };
  const gray = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < gray.length; i++, at += 3) {
    gray[i] = (19595 * pixels[at] + 38470 * pixels[at + 1] + 7471 * pixels[at + 2] + 0x8000) >> 16;
  }
  return { width, height, pixels: gray };
}

/**
 * The part of an image whose upper left corner is x, y.
 *
 * @param name the file, for messages
 * @throws DataError naming both sizes when the part does not lie in the image
 */
export function crop(image: GrayImage, x: number, y: number, width: number, height: number, name: string): GrayImage {
  const whole = [x, y, width, height].every((value) => Number.isInteger(value) && value >= 0);
  if (!whole || width === 0 || height === 0 || x + width > image.width || y + height > image.height) {
    throw new DataError(
      `${name}: ${image.width}x${image.height} pixels are too few for a crop of ${width}x${height} at ${x},${y}; ` +
        'give larger images or another layout',
    );
  }
  const pixels = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const start = (y + row) * image.width + x;
    pixels.set(image.pixels.subarray(start, start + width), row * width);
  }
  return { width, height, pixels };
}

/** The largest square in the middle; if it cannot be exactly in the middle, it is one pixel nearer to the upper left. */
export function centreSquare(image: GrayImage): GrayImage {
  const side = Math.min(image.width, image.height);
  const [x, y] = [(image.width - side) >> 1, (image.height - side) >> 1];
  return crop(image, x, y, side, side, 'centre square');
}

/**
 * Resizes with a triangle filter that widens when the image shrinks (no aliasing). It gives the same bytes as Pillow's
 * resize(size, BILINEAR): it filters rows first, then columns, and rounds each pass to 8 bits.
 *
 * @throws ShapeError when a side is not a positive integer
 */
export function resize(image: GrayImage, width: number, height: number): GrayImage {
  if (![width, height].every((side) => Number.isInteger(side) && side > 0)) {
    throw new ShapeError(`resize: ${width}x${height} is not a size of an image; give positive integers`);
  }
  let { pixels } = image;
  if (width !== image.width) {
    const taps = triangleTaps(image.width, width);
    pixels = resample(pixels, taps, { lines: image.height, step: 1, from: image.width, to: width });
  }
  if (height !== image.height) {
    const taps = triangleTaps(image.height, height);
    pixels = resample(pixels, taps, { lines: width, step: width, from: 1, to: 1 });
  }
  return { width, height, pixels: pixels === image.pixels ? pixels.slice() : pixels };
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

/**
 * Resamples every line of an image.
 *
 * @param grid number of lines, distance of two samples of a line, distance of two lines in the input and in the output
 */
function resample(
  pixels: Uint8Array,
  { first, weights }: Taps,
  { lines, step, from, to }: { lines: number; step: number; from: number; to: number },
): Uint8Array {
  const output = new Uint8Array(lines * first.length);
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < first.length; i++) {
      let sum = 1 << (PRECISION_BITS - 1);
      let at = line * from + first[i] * step;
      for (const weight of weights[i]) {
        sum += weight * pixels[at];
        at += step;
      }
      output[line * to + i * step] = Math.min(sum >> PRECISION_BITS, 255);
    }
  }
  return output;
}
