/** Counts the hashes that the faults of a block take. */
import { drawCells } from '../src/memory/fault_sampler.ts';
import { pcg4d } from '../src/memory/hash.ts';

/**
 * Counts the hashes that {@link drawCells} evaluates for one block, by repeating its algorithm and comparing the result.
 * @throws Error if the result differs, because drawCells has changed and this copy has not
 */
export function drawsOfBlock(key: readonly [number, number], block: number, bits: number, table: Uint32Array): number {
  const mask = new Uint32Array(8);
  let random = pcg4d(block, 0, key[0], key[1]);
  const draw = random[0];
  let draws = 1;
  let used = 4;
  for (let flips = 0; flips < table.length && draw <= table[flips]; used++) {
    if (used === 16) {
      random = pcg4d(block, draws++, key[0], key[1]);
      used = 0;
    }
    const place = (random[used >> 2] >>> (8 * (used & 3))) & 0xff;
    const flip = 1 << ((place & 15) + 16 * ((place >> 4) & 1));
    if ((place & 15) >= bits || mask[place >> 5] & flip) continue;
    mask[place >> 5] |= flip;
    flips++;
  }
  const cells = { storageBits: 16, firstBit: 0, bits, check: false } as const;
  if (drawCells(key, block, 0, cells, table).subarray(0, 8).join() !== mask.join()) {
    throw new Error('bench/draws.ts no longer draws what src/memory/fault_sampler.ts draws');
  }
  return draws;
}
