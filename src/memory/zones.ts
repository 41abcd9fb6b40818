/** The banks and bad rows in which the parts of a tensor lie. */
import { pcg4d } from './hash.ts';

/**
 * One word for each unit of a tensor that lies in one row: the bank in the lowest 16 bits, and bit 16 + i set if the row is bad
 * for the i-th source with a zone of rows.
 */
export interface Zones {
  /** Block b of the tensor lies in unit (first + b) >> shift. */
  readonly shift: number;
  readonly first: number;
  readonly words: Uint32Array;
}

/** The bit of the first source with a zone of rows in a word of {@link Zones}. */
export const BAD_ROW = 1 << 16;

/** Number in the hash of a row; lines have the numbers 1 to 3 (LINE_KIND). */
const ROW_KIND = 4;

/**
 * True if a row is bad. Rows that are bad at one share are bad at every larger one.
 * @param device hash key of the chip, from deviceKey
 * @param row number of the row among those of all banks
 * @param share share of bad rows there, 0..1
 */
export function inBadRow(device: readonly [number, number], row: number, share: number): boolean {
  return pcg4d(row, ROW_KIND, device[0], device[1])[0] < Math.round(share * 2 ** 32);
}
