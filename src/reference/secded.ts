/**
 * SECDED(72,64) by its parity-check matrix and a search over it, against src/memory/secded.ts. Bits of a word are numbered
 * 0..63 for data and 64..71 for check bits; an error pattern is the list of bits that are wrong.
 */
import type { Random } from '../random.ts';

export const BITS = 72;

/** Column of each bit: row r of the matrix in bit r. Rows 0..6 are the position in the Hamming word, row 7 is all ones. */
export const COLUMNS: readonly number[] = (() => {
  const [data, check]: [number[], number[]] = [[], []];
  for (let position = 1; position <= 71; position++) {
    const isCheck = [1, 2, 4, 8, 16, 32, 64].includes(position);
    (isCheck ? check : data).push(128 + position);
  }
  return [...data, ...check, 128];
})();

/** Sum of the columns of these bits, 0..255; 0 for a codeword. */
export function syndrome(bits: readonly number[]): number {
  return bits.reduce((sum, bit) => sum ^ COLUMNS[bit], 0);
}

/** The check bits of a word of data bits: of all 256 choices the one that makes a codeword. */
export function check(data: readonly number[]): number {
  return CHECK_OF.get(syndrome(data))!;
}

const CHECK_OF = new Map(Array.from({ length: 256 }, (_, byte) => [syndrome(bitsOf(0, 0, byte)), byte]));

/** What is wrong after the decoder flipped the bit whose column is the syndrome, where there is one. */
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

/** Data in two u32, low word first, and 8 check bits, as src/memory/secded.ts has them. */
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

/** All patterns of `weight` errors. */
export function* allErrors(weight: number, from = 0): Generator<number[]> {
  if (weight === 0) yield [];
  else for (let bit = from; bit < BITS; bit++) for (const rest of allErrors(weight - 1, bit + 1)) yield [bit, ...rest];
}

/** One of the patterns of `weight` errors, all equally likely. @param weight 0..72 */
export function randomErrors(random: Random, weight: number): number[] {
  const bits = Array.from({ length: BITS }, (_, bit) => bit);
  for (let i = 0; i < weight; i++) {
    const j = i + random.uniformInt(BITS - i);
    [bits[i], bits[j]] = [bits[j], bits[i]];
  }
  return bits.slice(0, weight);
}
