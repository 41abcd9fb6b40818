import { expect, it } from 'vitest';
import { packCodes, type StorageBits } from '../../src/memory/codec.ts';
import { flippedLines, flipRates, forEachFlip, type TensorRead } from '../../src/memory/flips.ts';

/** A read of two rows of three codes, padded to 16. @param changes bits that flip, by index of the code */
function read(storageBits: StorageBits, bits: number, changes: Record<number, number>): TensorRead {
  const codes = new Array<number>(32).fill(0);
  codes[0] = 0b101;
  codes[17] = 2 ** (bits - 1);
  const returned = codes.map((code, at) => (code ^ (changes[at] ?? 0)) >>> 0);
  return {
    stored: packCodes(codes, storageBits),
    returned: packCodes(returned, storageBits),
    rows: 2,
    columns: 3,
    stride: 16,
    storageBits,
    bits,
  };
}

it.each([
  [4, 4],
  [8, 7],
  [16, 12],
  [32, 32],
] as const)('flips of codes stored in %i bits are counted by plane and by what was stored', (storageBits, bits) => {
  const top = bits - 1;
  const changes = { 0: 0b011, 17: 2 ** top, 18: 2 ** top };
  const flips: [number, number][] = [];
  forEachFlip(read(storageBits, bits, changes), (code, plane) => flips.push([code, plane]));
  expect(flips).toEqual([
    [0, 0],
    [0, 1],
    [17, top],
    [18, top],
  ]);
  const { planes, total } = flipRates(read(storageBits, bits, changes));
  expect(planes).toHaveLength(bits);
  expect(planes[0]).toEqual({ flips: 1, cells: 6, rate: 1 / 6, rateOfZeros: 0, rateOfOnes: 1 });
  expect(planes[1]).toEqual({ flips: 1, cells: 6, rate: 1 / 6, rateOfZeros: 1 / 6, rateOfOnes: Number.NaN });
  expect(planes[top]).toEqual({ flips: 2, cells: 6, rate: 2 / 6, rateOfZeros: 1 / 5, rateOfOnes: 1 });
  expect(total).toMatchObject({ flips: 4, cells: 6 * bits, rateOfOnes: 2 / 3 });
});

it('pads and bits that no code uses are not cells of the tensor, but they belong to its cache lines', () => {
  const padded = read(16, 12, { 5: 1, 20: 1, 1: 0x8000 });
  expect(flipRates(padded).total.flips).toBe(0);
  expect(flippedLines(padded)).toEqual({ lines: 1, flipped: 1 });
  expect(flippedLines(read(16, 12, {}))).toEqual({ lines: 1, flipped: 0 });
  expect(flippedLines(read(32, 32, { 17: 1, 18: 1 }))).toEqual({ lines: 2, flipped: 1 });
  expect(flippedLines(read(4, 4, { 0: 1 }))).toEqual({ lines: 1, flipped: 1 });
});
