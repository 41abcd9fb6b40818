/**
 * SECDED(72,64): the extended Hamming code (R. W. Hamming, "Error detecting and error correcting codes", 1950) of 64 data
 * and 8 check bits. Check bits 0..6 stand at positions 1, 2, 4, .. 64 of a word of 71 bits, data bit i at the i-th position
 * that is not a power of two; check bit 7 is the parity of the other 71. The code is linear, so the action of a decoder
 * depends on the errors alone and not on the stored data. Reference of shaders/memory/secded.wgsl.
 */

/** Masks (low and high word) of the data bits that check bit j covers: those at positions whose bit j is set. */
const COVER: readonly (readonly [number, number])[] = [0, 1, 2, 3, 4, 5, 6].map((j) => {
  const words: [number, number] = [0, 0];
  for (let bit = 0, position = 1; bit < 64; position++) {
    if ((position & (position - 1)) === 0) continue;
    if ((position >>> j) & 1) words[bit >> 5] |= 1 << (bit & 31);
    bit++;
  }
  return words;
});

function parity(word: number): number {
  let x = word ^ (word >>> 16);
  x ^= x >>> 8;
  x ^= x >>> 4;
  return (0x6996 >>> (x & 15)) & 1;
}

function hamming(low: number, high: number): number {
  let check = 0;
  for (let j = 0; j < 7; j++) check |= parity((low & COVER[j][0]) ^ (high & COVER[j][1])) << j;
  return check;
}

/** The 8 check bits of 64 data bits, given as two u32 words. */
export function secdedCheck(low: number, high: number): number {
  const check = hamming(low, high);
  return check | (parity(low ^ high ^ check) << 7);
}

/** The result of decoding one word. */
export interface Decoded {
  /** Data bits that are wrong after the decoder has acted. */
  readonly low: number;
  readonly high: number;
  readonly outcome: 'clean' | 'corrected' | 'detected';
}

/**
 * Decodes a word whose wrong bits are given as masks. With odd parity the decoder flips the bit that the syndrome names; for
 * three or more errors this adds an error. With even parity and a nonzero syndrome, or if there is no such bit, it reports a
 * detected error.
 */
export function secdedDecode(errorLow: number, errorHigh: number, errorCheck: number): Decoded {
  const syndrome = hamming(errorLow, errorHigh) ^ (errorCheck & 0x7f);
  const odd = parity(errorLow ^ errorHigh ^ errorCheck) === 1;
  const word = { low: errorLow >>> 0, high: errorHigh >>> 0 };
  if (!odd) return { ...word, outcome: syndrome === 0 ? 'clean' : 'detected' };
  if (syndrome > 71) return { ...word, outcome: 'detected' };
  if ((syndrome & (syndrome - 1)) !== 0) {
    const bit = syndrome - 2 - (31 - Math.clz32(syndrome));
    if (bit < 32) word.low = (word.low ^ (1 << bit)) >>> 0;
    else word.high = (word.high ^ (1 << (bit - 32))) >>> 0;
  }
  return { ...word, outcome: 'corrected' };
}
