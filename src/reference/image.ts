/** Float64 references of the image kernels. A batch is [images, height * width * channels], row-major; gray has one channel. */
import { pcg4d } from '../memory/hash.ts';

type Value = (line: number, column: number, channel: number) => number;

/** Calls `f` for every value with an accessor of its image that clamps coordinates to the edges. */
function mapValues(
  x: ArrayLike<number>,
  height: number,
  width: number,
  channels: number,
  f: (value: Value, line: number, column: number, channel: number) => number,
): Float64Array {
  const clamp = (value: number, size: number) => Math.min(Math.max(value, 0), size - 1);
  return new Float64Array(x).map((_, i) => {
    const first = i - (i % (height * width * channels));
    const value: Value = (line, column, channel) =>
      x[first + (clamp(line, height) * width + clamp(column, width)) * channels + channel];
    const pixel = Math.floor((i - first) / channels);
    return f(value, Math.floor(pixel / width), pixel % width, (i - first) % channels);
  });
}

/** Parameters of {@link nonLocalMeans}: radii in pixels, strength in pixel units. */
export interface NonLocalMeans {
  patchRadius: number;
  searchRadius: number;
  strength: number;
}

/** Non-local means (Buades, Coll, Morel, CVPR 2005). Patches are compared in all channels together. */
export function nonLocalMeans(
  x: ArrayLike<number>,
  height: number,
  width: number,
  { patchRadius, searchRadius, strength }: NonLocalMeans,
  channels = 1,
): Float64Array {
  return mapValues(x, height, width, channels, (value, line, column, channel) => {
    let [sum, weights] = [0, 0];
    for (let dy = -searchRadius; dy <= searchRadius; dy++) {
      for (let dx = -searchRadius; dx <= searchRadius; dx++) {
        const [qLine, qColumn] = [line + dy, column + dx];
        let squares = 0;
        for (let v = -patchRadius; v <= patchRadius; v++) {
          for (let u = -patchRadius; u <= patchRadius; u++) {
            for (let c = 0; c < channels; c++) {
              squares += (value(line + v, column + u, c) - value(qLine + v, qColumn + u, c)) ** 2;
            }
          }
        }
        const weight = Math.exp(-squares / (channels * (2 * patchRadius + 1) ** 2) / strength ** 2);
        sum += weight * value(qLine, qColumn, channel);
        weights += weight;
      }
    }
    return sum / weights;
  });
}

/** Unsharp mask with a 3 x 3 binomial blur of every channel, clamped to 0..1. */
export function sharpen(
  x: ArrayLike<number>,
  height: number,
  width: number,
  amount: number,
  channels = 1,
): Float64Array {
  const binomial = [1, 2, 1];
  return mapValues(x, height, width, channels, (value, line, column, channel) => {
    let blur = 0;
    for (let v = -1; v <= 1; v++) {
      for (let u = -1; u <= 1; u++) {
        blur += (binomial[v + 1] * binomial[u + 1] * value(line + v, column + u, channel)) / 16;
      }
    }
    const here = value(line, column, channel);
    return Math.min(Math.max(here + amount * (here - blur), 0), 1);
  });
}

/** Calls `visit` for every pair of values of one channel in neighbouring pixels of an image. */
function eachDifference(
  values: number,
  width: number,
  channels: number,
  visit: (from: number, to: number) => void,
): void {
  const row = width * channels;
  for (let i = 0; i < values; i++) {
    if ((i % row) + channels < row) visit(i, i + channels);
    if (i + row < values) visit(i, i + row);
  }
}

/** The smoothed total variation whose gradient the kernel adds: one value per image. */
export function totalVariation(
  x: ArrayLike<number>,
  height: number,
  width: number,
  epsilon: number,
  channels = 1,
): Float64Array {
  const values = height * width * channels;
  return Float64Array.from({ length: x.length / values }, (_, image) => {
    let energy = 0;
    eachDifference(values, width, channels, (from, to) => {
      energy += Math.sqrt((x[image * values + to] - x[image * values + from]) ** 2 + epsilon) / values;
    });
    return energy;
  });
}

/** `weight` times the gradient of {@link totalVariation}. */
export function totalVariationGradient(
  x: ArrayLike<number>,
  height: number,
  width: number,
  weight: number,
  epsilon: number,
  channels = 1,
): Float64Array {
  const values = height * width * channels;
  const gradient = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += values) {
    eachDifference(values, width, channels, (from, to) => {
      const difference = x[first + to] - x[first + from];
      const slope = ((weight / values) * difference) / Math.sqrt(difference ** 2 + epsilon);
      gradient[first + to] += slope;
      gradient[first + from] -= slope;
    });
  }
  return gradient;
}

/**
 * Images [rows, columns] moved by random whole pixels, 0 from outside.
 * @param move.read number of the read
 * @param move.back true for the adjoint
 */
export function translate(
  input: ArrayLike<number>,
  columns: number,
  move: { width: number; channels: number; shift: number; back: boolean; key: number; read: number },
): Float64Array {
  const { width, channels, shift, back, key, read } = move;
  const height = columns / channels / width;
  const output = new Float64Array(input.length);
  for (let row = 0; row < input.length / columns; row++) {
    const random = pcg4d(row, read, key, 0x6d6f7665);
    const [dx, dy] = [0, 1].map((axis) => (((random[axis] >>> 0) % (2 * shift + 1)) - shift) * (back ? -1 : 1));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [fromX, fromY] = [x - dx, y - dy];
        if (fromX < 0 || fromY < 0 || fromX >= width || fromY >= height) continue;
        for (let c = 0; c < channels; c++) {
          output[row * columns + (y * width + x) * channels + c] =
            input[row * columns + (fromY * width + fromX) * channels + c];
        }
      }
    }
  }
  return output;
}
