/** References of shaders/memory/flip_codes.wgsl, shaders/memory/rank_flips.wgsl and shaders/loss/weigh_rows.wgsl. */
import { BLOCK_CODES, codeAt } from '../memory/codec.ts';
import type { MemoryImage } from '../memory/fault_sampler.ts';
import { floatOfBits } from '../memory/floating_point.ts';

/** The image with the masks applied to their words. */
export function flipCodes(image: Uint32Array, words: readonly (readonly [number, number])[]): Uint32Array {
  const flipped = Uint32Array.from(image);
  for (const [word, mask] of words) flipped[word] ^= mask;
  return flipped;
}

/** One stored bit, by the position of its value in the padded tensor, and the first-order change of the cost if it flips. */
export interface RankedFlip {
  readonly score: number;
  readonly position: number;
  readonly bit: number;
}

/** Calls `visit` for every bit of a run of blocks whose flip has a finite score, in the order of rank_flips.wgsl. */
export function forEachFlipScore(
  { words, columns, stride, codec }: MemoryImage,
  gradient: ArrayLike<number>,
  { bits, excluded, from, to }: { bits: number; excluded: Uint32Array; from: number; to: number },
  visit: (flip: RankedFlip) => void,
): void {
  const { storageBits } = codec;
  for (let four = from * 4; four < to * 4; four++) {
    for (let bit = 0; bit < bits; bit++) {
      for (let position = four * 4; position < four * 4 + 4; position++) {
        if (position % stride >= columns) continue;
        if ((codeAt(excluded, position, storageBits) >>> bit) & 1) continue;
        const code = codeAt(words, position, storageBits);
        const row = Math.floor(position / stride);
        const changed = floatOfBits(codec.decode((code ^ (1 << bit)) >>> 0, row));
        // A difference beyond the range of f32 is infinite on the device.
        const change = Math.fround(changed - floatOfBits(codec.decode(code, row)));
        const score = gradient[position] * change;
        if (Number.isFinite(change) && Number.isFinite(Math.fround(score))) visit({ score, position, bit });
      }
    }
  }
}

/** The best flip of every chunk of `blocks` blocks; undefined where none raises the cost. */
export function rankFlips(
  image: MemoryImage,
  gradient: ArrayLike<number>,
  options: { bits: number; excluded: Uint32Array; blocks: number },
): (RankedFlip | undefined)[] {
  const all = (image.rows * image.stride) / BLOCK_CODES;
  return Array.from({ length: Math.ceil(all / options.blocks) }, (_, chunk) => {
    let best: RankedFlip | undefined;
    const from = chunk * options.blocks;
    const to = Math.min(from + options.blocks, all);
    forEachFlipScore(image, gradient, { ...options, from, to }, (flip) => {
      if (flip.score > (best?.score ?? 0)) best = flip;
    });
    return best;
  });
}

/** Every row of a matrix times its weight. */
export function weighRows(values: ArrayLike<number>, columns: number, weights: ArrayLike<number>): Float64Array {
  return Float64Array.from(values, (value, i) => value * weights[Math.floor(i / columns)]);
}
