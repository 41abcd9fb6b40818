import { ConfigError } from '../errors.ts';
import { pcg4d } from '../memory/hash.ts';

/**
 * A word that separates the random numbers of one use and one seed from all others.
 * @param use of the numbers, in ASCII
 * @throws ConfigError when the seed is not an integer in 0..2^53-1
 */
export function streamWord(use: number, seed: number): number {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ConfigError(`seed: ${seed} is not an integer in 0..2^53-1; give a whole number`);
  }
  return pcg4d(0, use, seed % 2 ** 32, Math.floor(seed / 2 ** 32))[0];
}
