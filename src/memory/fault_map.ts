/**
 * Fault maps: which bits of a block of 16 codes come back flipped in one read. Nothing is stored; a map is a hash of
 * (seed, chip, tensor, read, image, block). Twin of shaders/common/fetch_approximate.wgsl, bit for bit.
 *
 * A draw is exact and nested: one u32 picks the number K of flips of a block's 16 n bits by inverting the binomial
 * distribution function in steps of 2^-32, and the first K places of a random sequence without repeats flip. Only the
 * table depends on the error rate, so what fails at one rate fails at every higher one.
 */

import { BLOCK_CODES, decodeFixed } from './fixed_point.ts';
import { pcg4d } from './hash.ts';

/** Words of a tensor's map in the device's table; layout in shaders/common/fetch_approximate.wgsl. */
export const MAP_WORDS = 264;

/** When faults are drawn anew (memory-model: granularity). */
export type Granularity = 'chip' | 'load' | 'pass' | 'inference';

/**
 * Table entry k: a block has at least k + 1 flips when its draw is <= the entry. Entries whose probability rounds to zero
 * in steps of 2^-32 are left out, so rate 0 gives an empty table; at rate 1 every entry is 2^32 - 1.
 * Only + - * / are used, so every engine computes the same table.
 * @param bits n of a code, 2..16
 * @param rate bit error rate, 0..1
 */
export function flipTable(bits: number, rate: number): Uint32Array {
  const n = BLOCK_CODES * bits;
  if (rate === 0) return new Uint32Array(0);
  if (rate === 1) return new Uint32Array(n).fill(0xffffffff);
  // Binomial weights relative to the mode, by recurrence in both directions, then tails from the small end.
  const weights = new Float64Array(n + 1);
  const mode = Math.min(n, Math.floor((n + 1) * rate));
  const odds = rate / (1 - rate);
  weights[mode] = 1;
  for (let k = mode; k < n; k++) weights[k + 1] = ((weights[k] * (n - k)) / (k + 1)) * odds;
  for (let k = mode; k > 0; k--) weights[k - 1] = (weights[k] * k) / (n - k + 1) / odds;
  const tails = new Float64Array(n + 2);
  for (let k = n; k >= 0; k--) tails[k] = tails[k + 1] + weights[k];
  const thresholds: number[] = [];
  for (let k = 0; k < n; k++) {
    const threshold = Math.round((tails[k + 1] / tails[0]) * 2 ** 32);
    if (threshold === 0) break;
    thresholds.push(threshold - 1);
  }
  return Uint32Array.from(thresholds);
}

/** Key of all that one tensor ever draws. `seed` is any safe integer >= 0, `chip` and `tensor` are u32. */
export function tensorKey(seed: number, chip: number, tensor: number): [number, number] {
  const [x, y] = pcg4d(seed >>> 0, Math.floor(seed / 2 ** 32), chip, tensor);
  return [x, y];
}

/** Key of one read of a tensor; `image` only at granularity `inference`. Twin of read_key. */
export function readKey(key: readonly [number, number], read: number, image?: number): [number, number] {
  const [x, y] = pcg4d(key[0], key[1], read, image === undefined ? 0 : image + 1);
  return [x, y];
}

/** The eight mask words of block `block`. Twin of block_mask. */
export function blockMask(
  key: readonly [number, number],
  block: number,
  bits: number,
  table: Uint32Array,
): Uint32Array {
  const mask = new Uint32Array(8);
  const random = new Uint32Array(4);
  pcg4d(block, 0, key[0], key[1], random);
  const draw = random[0];
  let next = 4; // byte of `random` to use next; the first four are `draw`
  let slice = 0;
  for (let flips = 0; flips < table.length && draw <= table[flips]; ) {
    if (next === 16) {
      pcg4d(block, ++slice, key[0], key[1], random);
      next = 0;
    }
    const place = (random[next >> 2] >>> (8 * (next & 3))) & 0xff;
    next++;
    const bit = place & 15;
    const code = place >> 4;
    if (bit >= bits) continue;
    const flip = 1 << (bit + 16 * (code & 1));
    if (mask[code >> 1] & flip) continue;
    mask[code >> 1] |= flip;
    flips++;
  }
  return mask;
}

/** One tensor's memory image and how it is read, as the twin of the device sees it. */
export interface MemoryImage {
  /** Packed codes, rows padded to `stride`. */
  readonly words: Uint32Array;
  readonly rows: number;
  readonly columns: number;
  /** Codes a row, a multiple of 16. */
  readonly stride: number;
  readonly bits: number;
  readonly exponent: number;
}

/** Fetches a whole tensor: rows x stride f32, zeros in the pads. Twin of shaders/memory/materialise_fixed.wgsl. */
export function fetchTensor(image: MemoryImage, key: readonly [number, number], table: Uint32Array): Float32Array {
  const { words, rows, columns, stride, bits, exponent } = image;
  const fetched = new Float32Array(rows * stride);
  for (let block = 0; block < (rows * stride) / BLOCK_CODES; block++) {
    const mask = blockMask(key, block, bits, table);
    for (let code = 0; code < BLOCK_CODES; code++) {
      const at = block * BLOCK_CODES + code;
      if (at % stride >= columns) continue;
      const word = words[at >> 1] ^ mask[code >> 1];
      fetched[at] = decodeFixed((word >>> (16 * (at & 1))) & 0xffff, bits, exponent);
    }
  }
  return fetched;
}
