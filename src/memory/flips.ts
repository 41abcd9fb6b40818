/** Counts the flips of one read of a tensor by bit plane, by stored bit, and by cache line. */
import { codeAt, type StorageBits } from './codec.ts';

/** A tensor's codes before and after one read. */
export interface TensorRead {
  /** Packed codes, rows padded to `stride` codes, a multiple of 16. */
  readonly stored: Uint32Array;
  readonly returned: Uint32Array;
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
  readonly storageBits: StorageBits;
  /** Bits of a code that carry its value. */
  readonly bits: number;
}

/** Flips among cells. Rates are 0..1: of all cells, of those that store 0 and of those that store 1; NaN if there are none. */
export interface FlipRate {
  readonly flips: number;
  readonly cells: number;
  readonly rate: number;
  readonly rateOfZeros: number;
  readonly rateOfOnes: number;
}

/** Calls `visit` for every flipped bit: with the place of its code in the padded layout, and the bit, 0 for the lowest. */
export function forEachFlip(
  { stored, returned, rows, columns, stride, storageBits, bits }: TensorRead,
  visit: (code: number, plane: number) => void,
): void {
  const each = 32 / storageBits;
  for (let word = 0; word < (rows * stride) / each; word++) {
    for (let flips = stored[word] ^ returned[word]; flips !== 0; flips &= flips - 1) {
      const bit = lowestBit(flips);
      const code = word * each + Math.floor(bit / storageBits);
      if (bit % storageBits < bits && code % stride < columns) visit(code, bit % storageBits);
    }
  }
}

/** Flip rates of each bit plane, the lowest first, and of all planes together. The padding of rows is not counted. */
export function flipRates(read: TensorRead): { planes: FlipRate[]; total: FlipRate } {
  const { stored, rows, columns, stride, storageBits, bits } = read;
  const ones = new Array<number>(bits).fill(0);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let code = codeAt(stored, row * stride + column, storageBits); code !== 0; code &= code - 1) {
        ones[lowestBit(code)]++;
      }
    }
  }
  const [flips, flippedOnes] = [new Array<number>(bits).fill(0), new Array<number>(bits).fill(0)];
  forEachFlip(read, (code, plane) => {
    flips[plane]++;
    flippedOnes[plane] += (codeAt(stored, code, storageBits) >>> plane) & 1;
  });
  const cells = rows * columns;
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
  return {
    planes: ones.map((count, plane) => rateOf(cells, count, flips[plane], flippedOnes[plane])),
    total: rateOf(cells * bits, sum(ones), sum(flips), sum(flippedOnes)),
  };
}

function rateOf(cells: number, ones: number, flips: number, flippedOnes: number): FlipRate {
  const rateOfZeros = (flips - flippedOnes) / (cells - ones);
  return { flips, cells, rate: flips / cells, rateOfZeros, rateOfOnes: flippedOnes / ones };
}

/** Counts the 64-byte cache lines of the tensor, and those with a flip. Padding is included, as it is in hardware. */
export function flippedLines({ stored, returned, rows, stride, storageBits }: TensorRead): {
  lines: number;
  flipped: number;
} {
  const words = (rows * stride * storageBits) / 32;
  let flipped = 0;
  for (let line = 0; line < words; line += 16) {
    for (let word = line; word < Math.min(line + 16, words); word++) {
      if (stored[word] === returned[word]) continue;
      flipped++;
      break;
    }
  }
  return { lines: Math.ceil(words / 16), flipped };
}

/** @param word not zero */
function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}
