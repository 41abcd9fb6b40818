/**
 * Reference of SECDED(72,64) for src/memory/secded.ts, by its parity-check matrix and a search. Bits of a word are numbered
 * 0..63 for data and 64..71 for check bits; an error pattern is the list of the wrong bits.
 */
import type { Random } from '../random.ts';

/** Number of bits of a codeword. */
export const BITS = 72;

/** Matrix column of each bit, with row r in bit r. Rows 0..6 are the position in the Hamming word, row 7 is all ones. */
export const COLUMNS: readonly number[] = (() => {
  const [data, check]: [number[], number[]] = [[], []];
  for (let position = 1; position <= 71; position++) {
    const isCheck = [1, 2, 4, 8, 16, 32, 64].includes(position);
    (isCheck ? check : data).push(128 + position);
  }
  return [...data, ...check, 128];
})();

/** XOR of the columns of these bits, 0..255; 0 for a codeword. */
export function syndrome(bits: readonly number[]): number {
  return bits.reduce((sum, bit) => sum ^ COLUMNS[bit], 0);
}

/** The check byte of a word of data bits: the one of all 256 that makes a codeword. */
export function check(data: readonly number[]): number {
  return CHECK_OF.get(syndrome(data))!;
}

const CHECK_OF = new Map(Array.from({ length: 256 }, (_, byte) => [syndrome(bitsOf(0, 0, byte)), byte]));

/** Returns the errors after the decoder has flipped the bit whose column equals the syndrome, if there is one. */
export function decode(errors: readonly number[]): {
  readonly errors: readonly number[];
  readonly outcome: 'clean' | 'corrected' | 'detected';
} {
  const sum = syndrome(errors);
  if (sum === 0) return { errors, outcome: 'clean' };
  const named = COLUMNS.indexOf(sum);
  if (named < 0) return { errors, outcome: 'detected' };
  const left = errors.includes(named) ? errors.filter((bit) => bit !== named) : [...errors, named];
  return { errors: left, outcome: 'corrected' };
}

/** Converts a list of bits to two u32 of data, low word first, and 8 check bits, as in src/memory/secded.ts. */
export function wordsOf(bits: readonly number[]): [low: number, high: number, check: number] {
  const words: [number, number, number] = [0, 0, 0];
  for (const bit of bits) words[bit >> 5] += 2 ** (bit & 31);
  return words;
}

/** Inverse of {@link wordsOf}. */
export function bitsOf(low: number, high: number, check: number): number[] {
  const words = [low, high, check];
  return Array.from({ length: BITS }, (_, bit) => bit).filter((bit) => (words[bit >> 5] >>> (bit & 31)) & 1);
}

/** Generates all patterns of `weight` errors. */
export function* allErrors(weight: number, from = 0): Generator<number[]> {
  if (weight === 0) yield [];
  else for (let bit = from; bit < BITS; bit++) for (const rest of allErrors(weight - 1, bit + 1)) yield [bit, ...rest];
}

/** Returns a uniformly random pattern of `weight` errors. @param weight 0..72 */
export function randomErrors(random: Random, weight: number): number[] {
  const bits = Array.from({ length: BITS }, (_, bit) => bit);
  for (let i = 0; i < weight; i++) {
    const j = i + random.uniformInt(BITS - i);
    [bits[i], bits[j]] = [bits[j], bits[i]];
  }
  return bits.slice(0, weight);
}
