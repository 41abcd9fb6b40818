/**
 * The random number generator of the host. It is counter-based: the same (seed, stream) gives the same numbers on every
 * machine, and the numbers of one stream do not depend on how many numbers another stream has given.
 */
import { ConfigError } from './errors.ts';

/**
 * Computes four random u32 words from a counter of four words and a key of two: Philox4x32-10 of Salmon, Moraes, Dror and
 * Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011. It uses integer arithmetic only. (With the cheaper pcg4d,
 * tests of shuffles and bootstraps failed, because the lowest bits of its four words are correlated.)
 */
export function philox4x32(counter: readonly number[], key: readonly number[]): [number, number, number, number] {
  let [x, y, z, w] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const highX = multiplyHigh(x, 0xd2511f53);
    const lowX = Math.imul(x, 0xd2511f53);
    const highZ = multiplyHigh(z, 0xcd9e8d57);
    const lowZ = Math.imul(z, 0xcd9e8d57);
    x = highZ ^ y ^ k0;
    y = lowZ;
    z = highX ^ w ^ k1;
    w = lowX;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [x >>> 0, y >>> 0, z >>> 0, w >>> 0];
}

/** The upper 32 bits of the product of two u32, in halves because a double holds 53 bits. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  return aHigh * bHigh + Math.floor(middle / 65536) + Math.floor((aLow * bHigh + (middle & 0xffff)) / 65536);
}

/**
 * A stream of u32 words: words 4k..4k+3 are `philox4x32([k, 0, stream, 0], [low word of seed, high word of seed])`. It
 * repeats after 2^34 words.
 *
 * @example
 * const order = new Random(seed, epoch).permutation(280);
 */
export class Random {
  readonly #key: readonly number[];
  readonly #stream: number;
  #block = 0;
  #words: number[] = [];
  #used = 4;

  /**
   * @param seed integer in 0..2^53-1
   * @param stream integer in 0..2^32-1; distinct streams are unrelated. Streams used with an experiment's seed: 0
   *   (baselines), the epoch (order of training), the class (splits), the image (augmentation), and
   *   1 + 65536 * draw + person (initial noise of MI-Face). These overlap, 2^30 + draw (directions of black-box attacks) and those from 2^31 on (variations of faces for the evaluator) do not, nor does 2^30 + 2^16 + i (the i-th pair of shadow models) and 2^30 + 2^18 + i (the i-th face
   *   that a generative prior draws); a new use that must be unrelated to all of them takes streams from 2^30 + 2^20 on
   * @throws ConfigError when either is out of range
   */
  constructor(seed: number, stream = 0) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new ConfigError(`seed: ${seed} is not an integer in 0..2^53-1; give a whole number`);
    }
    if (!Number.isInteger(stream) || stream < 0 || stream >= 2 ** 32) {
      throw new ConfigError(`stream: ${stream} is not an integer in 0..2^32-1; give a whole number`);
    }
    this.#key = [seed % 2 ** 32, Math.floor(seed / 2 ** 32)];
    this.#stream = stream;
  }

  /** The next word, uniform over 0..2^32-1. */
  nextU32(): number {
    if (this.#used === 4) {
      this.#words = philox4x32([this.#block, 0, this.#stream, 0], this.#key);
      this.#block = (this.#block + 1) >>> 0;
      this.#used = 0;
    }
    return this.#words[this.#used++];
  }

  /**
   * An integer that is exactly uniform over 0..n-1: words at or above the largest multiple of n up to 2^32 are rejected.
   *
   * @param n integer in 1..2^32
   * @throws ConfigError when n is out of range
   */
  uniformInt(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new ConfigError(`uniformInt: ${n} is not an integer in 1..2^32; give the number of outcomes`);
    }
    const limit = 2 ** 32 - (2 ** 32 % n);
    let word = this.nextU32();
    while (word >= limit) word = this.nextU32();
    return word % n;
  }

  /** Shuffles in place (Fisher-Yates, every order equally likely) and returns its argument. */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.uniformInt(i + 1);
      const kept = items[i];
      items[i] = items[j];
      items[j] = kept;
    }
    return items;
  }

  /** The numbers 0..n-1 in random order. */
  permutation(n: number): Uint32Array<ArrayBuffer> {
    return this.shuffle(Uint32Array.from({ length: n }, (_, i) => i));
  }
}
