/** The multivariate normal distribution: fitted to vectors, and sampled. */
import { ShapeError } from '../errors.ts';
import { choleskyInPlace } from '../metrics/cholesky.ts';
import type { Random } from '../random.ts';

export interface Gaussian {
  /** [size] */
  readonly mean: Float64Array;
  /** Lower triangle of L, row i with i + 1 entries: mean + L z is distributed like the vectors if z is standard normal. */
  readonly factor: readonly Float64Array[];
}

/** Added to the diagonal of a covariance, relative to its mean: fewer vectors than dimensions still give a factor. */
const RIDGE = 1e-3;

/**
 * Mean and full covariance of vectors.
 * @param vectors [count, size], finite
 * @throws ShapeError where they are not a whole number of vectors, or fewer than two
 */
export function fitGaussian(vectors: Float32Array, size: number): Gaussian {
  const count = vectors.length / size;
  if (!Number.isInteger(count) || count < 2) {
    throw new ShapeError(`fitGaussian: ${vectors.length} values are not two vectors of ${size} or more`);
  }
  const mean = new Float64Array(size);
  for (let i = 0; i < vectors.length; i++) mean[i % size] += vectors[i] / count;
  const factor = Array.from({ length: size }, (_, i) => new Float64Array(i + 1));
  const centred = new Float64Array(size);
  for (let row = 0; row < count; row++) {
    for (let k = 0; k < size; k++) centred[k] = vectors[row * size + k] - mean[k];
    for (let i = 0; i < size; i++) for (let j = 0; j <= i; j++) factor[i][j] += centred[i] * centred[j];
  }
  let trace = 0;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) factor[i][j] /= count - 1;
    trace += factor[i][i];
  }
  // Vectors that are all alike have no covariance: their distribution is a point, and nearly so is that of the ridge.
  const ridge = Math.max(RIDGE * (trace / size), Number.MIN_VALUE ** 0.5);
  factor.forEach((row, i) => {
    row[i] += ridge;
  });
  choleskyInPlace(factor);
  return { mean, factor };
}

/** Standard normal numbers (Box and Muller 1958), the same for the same stream. */
export function standardNormals(random: Random, count: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log((random.nextU32() + 1) / 2 ** 32));
    const angle = 2 * Math.PI * (random.nextU32() / 2 ** 32);
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}
