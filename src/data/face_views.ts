/**
 * Prepares faces for the face evaluator (src/models/face_evaluator.ts): normalises the local contrast of small images, and
 * makes the views and the variations of a photograph from which it learns.
 */
import { mat2d, vec2 } from 'gl-matrix';
import type { Random } from '../random.ts';
import { resize } from './image_ops.ts';

/**
 * A face from which images of side x side pixels are made: the means of all 2 x 2 neighbouring pixels of the face at
 * 2 side x 2 side pixels, [2 side - 1, 2 side - 1], 0..255. Sampling these means halves the size without aliasing.
 */
export interface FaceSource {
  readonly side: number;
  readonly means: Float32Array;
}

/** Standard deviations between the middle gray and black or white in a stored image. */
const GRAY_RANGE = 3;
/** Width of the mean that, taken twice along both axes, is the neighbourhood for the contrast; as a share of the side. */
const WINDOW = 9 / 32;
/** Added to the local deviation, in units of that of the whole image, so that flat parts are not amplified to noise. */
const FLAT = 0.15;

/**
 * Resizes an image of any size, of any range and unit.
 * @param image [height, width], gray
 * @returns undefined for an image without contrast or with a value that is not finite
 */
export function faceSource(
  image: ArrayLike<number>,
  width: number,
  height: number,
  side: number,
): FaceSource | undefined {
  const { mean, deviation } = moments(image);
  // In an image of one value, rounding may leave a small deviation.
  if (!(deviation > 1e-6 * Math.abs(mean))) return undefined;
  const pixels = Uint8Array.from(image, (value) => toGray((value - mean) / deviation));
  const { pixels: resized } = resize({ width, height, channels: 1, pixels }, 2 * side, 2 * side);
  const knots = 2 * side - 1;
  const means = Float32Array.from({ length: knots * knots }, (_, i) => {
    const at = Math.floor(i / knots) * 2 * side + (i % knots);
    return (resized[at] + resized[at + 1] + resized[at + 2 * side] + resized[at + 2 * side + 1]) / 4;
  });
  return { side, means };
}

/** Mirrored or not, and how far it is moved, in pixels of the source. */
interface FaceView {
  readonly mirrored: boolean;
  readonly shift: readonly [number, number];
}

/** The views of a face over which the evaluator averages: moved by one pixel or not, each also mirrored. */
export const FACE_VIEWS: readonly FaceView[] = [false, true].flatMap((mirrored) =>
  (
    [
      [0, 0],
      [2, 0],
      [-2, 0],
      [0, 2],
      [0, -2],
    ] as const
  ).map((shift) => ({ mirrored, shift })),
);

/** Writes one view of a face with normalised contrast, [side, side], into `output`. */
export function viewFace({ side, means }: FaceSource, { mirrored, shift }: FaceView, output: Uint8Array): void {
  const last = 2 * side - 2;
  const image = new Float32Array(side * side);
  for (let row = 0; row < side; row++) {
    const y = clamp(2 * row + shift[1], 0, last);
    for (let column = 0; column < side; column++) {
      const x = clamp((mirrored ? last - 2 * column : 2 * column) + shift[0], 0, last);
      image[row * side + column] = means[y * (last + 1) + x];
    }
  }
  normaliseContrast(image, side, output);
}

/** How far a variation may differ from the photograph. Lengths are shares of the side. */
const VARIATION = {
  /** Radians. */
  angle: (12 * Math.PI) / 180,
  scale: 0.12,
  /** Difference of the scales along the two axes. */
  stretch: 0.08,
  shift: 0.08,
  /** How far the middle of the face moves against its outline when the head turns to a side; up and down it is 0.7 of that. */
  turn: 0.12,
  /** Amplitude of each of the six waves that deform the image. */
  wave: 0.03,
  /** Relative change of brightness from the middle to a side; to the top or bottom it is 0.6 of that. */
  light: 0.4,
  /** Logarithm of the exponent that changes the gradation. */
  gamma: 0.3,
  /** Standard deviation of the blur in pixels. */
  blur: 0.8,
  /** Standard deviation of the noise, in units of that of the image. */
  noise: 0.15,
  /** Share of the images in which a rectangle is covered. */
  covered: 0.3,
} as const;

/**
 * Writes a variation of a face with normalised contrast, [side, side], into `output`. The head is turned as if it were an
 * ellipsoid, the image is mirrored or not, turned, scaled, moved and deformed by waves; then light and gradation change,
 * and blur, noise and a covered rectangle are added. Pixels beyond the edge repeat the nearest pixel.
 */
export function varyFace({ side, means }: FaceSource, random: Random, output: Uint8Array): void {
  const share = () => random.nextU32() / 2 ** 32;
  const within = (range: number) => (2 * share() - 1) * range;
  // Coordinates go from -1 to 1, so a share of the side counts twice.
  const place = mat2d.create();
  mat2d.translate(place, place, vec2.fromValues(2 * within(VARIATION.shift), 2 * within(VARIATION.shift)));
  mat2d.rotate(place, place, within(VARIATION.angle));
  const [scale, stretch] = [1 + within(VARIATION.scale), 1 + within(VARIATION.stretch)];
  mat2d.scale(place, place, vec2.fromValues(scale * stretch, scale / stretch));
  const mirrored = share() < 0.5 ? -1 : 1;
  const turn = [2 * within(VARIATION.turn), 1.4 * within(VARIATION.turn)];
  const waves = Array.from({ length: 6 }, () => [2 * within(VARIATION.wave), within(Math.PI)]);
  const light = [within(VARIATION.light), 0.6 * within(VARIATION.light)];
  const gamma = Math.exp(within(VARIATION.gamma));
  const wave = (i: number, at: number) => waves[i][0] * Math.sin(at + waves[i][1]);
  const knots = 2 * side - 1;
  const sample = (column: number, row: number) => {
    const [x, y] = [clamp(column, 0, knots - 1), clamp(row, 0, knots - 1)];
    const [left, top] = [Math.min(Math.floor(x), knots - 2), Math.min(Math.floor(y), knots - 2)];
    const [right, below] = [x - left, y - top];
    const at = top * knots + left;
    const upper = means[at] * (1 - right) + means[at + 1] * right;
    return upper * (1 - below) + (means[at + knots] * (1 - right) + means[at + knots + 1] * right) * below;
  };
  let image: Float32Array = new Float32Array(side * side);
  for (let row = 0; row < side; row++) {
    const v = (2 * row + 1) / side - 1;
    for (let column = 0; column < side; column++) {
      const u = (2 * column + 1) / side - 1;
      const depth = Math.max(0, 1 - u * u * 1.25 - v * v);
      const moved = depth * turn[0] + wave(0, 3 * v) + wave(1, 3 * u) + wave(2, 5 * (u + v));
      const lifted = depth * turn[1] + wave(3, 3 * v) + wave(4, 3 * u) + wave(5, 5 * (u - v));
      const placed = mirrored * (place[0] * u + place[2] * v + place[4] + moved);
      const y = place[1] * u + place[3] * v + place[5] + lifted;
      const value = sample((placed + 1) * side - 1, (y + 1) * side - 1);
      image[row * side + column] = (value / 255) ** gamma * (1 + light[0] * u + light[1] * v);
    }
  }
  const deviation = share() * VARIATION.blur;
  // A narrower window would be no more than its middle.
  if (deviation > 0.3) image = blur(image, side, deviation);
  const noise = share() * share() * VARIATION.noise * moments(image).deviation;
  for (let i = 0; i < image.length; i++) image[i] += noise * nearlyNormal(random.nextU32());
  if (share() < VARIATION.covered) {
    const { mean } = moments(image);
    const [wide, high] = [0, 0].map(() => Math.floor(side * (0.15 + 0.25 * share())));
    const left = Math.floor(share() * (side - wide));
    const top = Math.floor(share() * (side - high));
    for (let row = top; row < top + high; row++) image.fill(mean, row * side + left, row * side + left + wide);
  }
  normaliseContrast(image, side, output);
}

/**
 * Subtracts from every pixel the mean of its neighbourhood, divides it by the deviation there, and stores it in 8 bits, as
 * the data sets of the engine are: 0 deviations are 127.5, black and white lie GRAY_RANGE deviations away.
 */
function normaliseContrast(image: Float32Array, side: number, output: Uint8Array): void {
  const { mean, deviation } = moments(image);
  const standardised = image.map((value) => (value - mean) / (deviation + 1e-6));
  const local = neighbourhood(standardised, side);
  const differences = standardised.map((value, i) => value - local[i]);
  const squares = neighbourhood(
    differences.map((value) => value * value),
    side,
  );
  for (let i = 0; i < image.length; i++) output[i] = toGray(differences[i] / (Math.sqrt(squares[i]) + FLAT));
}

/** The sum of a word's four bytes, which is nearly normal, less its mean and in units of its deviation. */
function nearlyNormal(word: number): number {
  const sum = (word & 255) + ((word >>> 8) & 255) + ((word >>> 16) & 255) + (word >>> 24);
  return (sum - 510) / Math.sqrt((256 ** 2 - 1) / 3);
}

/** The weighted mean around every pixel, by a triangle along both axes; pixels beyond the edge repeat the nearest pixel. */
function neighbourhood(image: Float32Array, side: number): Float32Array {
  const reach = Math.floor((side * WINDOW) / 2);
  const width = 2 * reach + 1;
  const result = image.slice();
  const line = new Float64Array(side);
  for (const [along, across] of [
    [1, side],
    [side, 1],
    [1, side],
    [side, 1],
  ]) {
    for (let i = 0; i < side; i++) {
      for (let j = 0; j < side; j++) line[j] = result[i * across + j * along];
      let sum = line[0] * (reach + 1);
      for (let j = 1; j <= reach; j++) sum += line[j];
      for (let j = 0; j < side; j++) {
        result[i * across + j * along] = sum / width;
        sum += line[Math.min(j + reach + 1, side - 1)] - line[Math.max(j - reach, 0)];
      }
    }
  }
  return result;
}

function toGray(deviations: number): number {
  return Math.round(clamp(127.5 + (deviations * 127.5) / GRAY_RANGE, 0, 255));
}

/** Filters a square image with a Gaussian; pixels beyond the edge repeat the nearest pixel. */
function blur(image: Float32Array, side: number, deviation: number): Float32Array {
  const reach = Math.ceil(2.5 * deviation);
  const taps = Float64Array.from({ length: 2 * reach + 1 }, (_, i) =>
    Math.exp(-((i - reach) ** 2) / 2 / deviation ** 2),
  );
  const total = taps.reduce((sum, tap) => sum + tap, 0);
  const line = new Float64Array(side + 2 * reach);
  const filtered = image.slice();
  for (const [along, across] of [
    [1, side],
    [side, 1],
  ]) {
    for (let i = 0; i < side; i++) {
      for (let j = 0; j < line.length; j++) line[j] = filtered[i * across + clamp(j - reach, 0, side - 1) * along];
      for (let j = 0; j < side; j++) {
        let sum = 0;
        for (let tap = 0; tap < taps.length; tap++) sum += taps[tap] * line[j + tap];
        filtered[i * across + j * along] = sum / total;
      }
    }
  }
  return filtered;
}

function moments(image: ArrayLike<number>): { mean: number; deviation: number } {
  let [sum, squares] = [0, 0];
  for (let i = 0; i < image.length; i++) sum += image[i];
  const mean = sum / image.length;
  for (let i = 0; i < image.length; i++) squares += (image[i] - mean) ** 2;
  return { mean, deviation: Math.sqrt(squares / image.length) };
}

function clamp(value: number, low: number, high: number): number {
  return value < low ? low : Math.min(value, high);
}
