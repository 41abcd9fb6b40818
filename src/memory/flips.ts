/** The errors of one read of a tensor: flips by bit plane, by stored bit, and by cache line. */
import { codeAt, type StorageBits } from './codec.ts';

/** A tensor's codes before and after one read. */
export interface TensorRead {
  /** Packed, rows padded to `stride` codes, a multiple of 16. */
  readonly stored: Uint32Array;
  readonly returned: Uint32Array;
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
  readonly storageBits: StorageBits;
  /** Bits of a code that mean something. */
  readonly bits: number;
}

/** Shares of cells, 0..1; NaN where there are no such cells. */
export interface FlipRate {
  readonly flips: number;
  readonly cells: number;
  readonly rate: number;
  readonly rateOfZeros: number;
  readonly rateOfOnes: number;
}

/** Calls back for every flipped bit of a code: the code's place in the padded layout, and the bit, 0 the lowest. */
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

/** Rates of each bit plane, the lowest first, and of all together. The pads of rows do not count. */
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

/** Cache lines of 64 bytes that the tensor lies in, and those of them with a flip; pads count, as they do in hardware. */
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
