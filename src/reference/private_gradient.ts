/** Float64 references of the kernels of DP-SGD (src/kernels/private_gradient.ts). */
import { gradientStream } from '../kernels/private_gradient.ts';
import { pcg4d } from '../memory/hash.ts';
import { standardNormals } from './random.ts';

/** A gradient, scaled to a norm of at most `limit`. */
export function clipGradient(gradient: ArrayLike<number>, limit: number): Float64Array {
  const values = Float64Array.from(gradient);
  const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm <= limit ? values : values.map((value) => (value * limit) / norm);
}

/**
 * (sum + deviation z) / examples where an element is learned, else 0.
 * @param learned one number per element, 0 where nothing is learned
 */
export function noisyMean(
  sum: ArrayLike<number>,
  learned: ArrayLike<number>,
  { deviation, examples, seed }: { deviation: number; examples: number; seed: number },
  { iteration, draw }: { iteration: number; draw: number },
): Float64Array {
  const stream = gradientStream(seed);
  return Float64Array.from(sum, (value, i) => {
    if (learned[i] === 0) return 0;
    const words = pcg4d(Math.floor(i / 4), iteration, draw, stream);
    const pair = i % 4 < 2 ? standardNormals(words[0], words[1]) : standardNormals(words[2], words[3]);
    return (value + deviation * pair[i % 2]) / examples;
  });
}
