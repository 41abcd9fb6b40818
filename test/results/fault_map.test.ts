import { expect, it } from 'vitest';
import { flipRates, type TensorRead } from '../../src/memory/flips.ts';
import { faultMapFigure } from '../../src/results/figures/fault_map.ts';

interface Picture {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/**
 * Draws codes of 12 bits, stored in 16, 64 per row, with the given bits flipped.
 * @returns the figure, and its pictures: banks, then planes from the highest down, then the scale
 */
function draw(rows: number, flips: readonly (readonly [row: number, column: number, plane: number])[], placed = false) {
  const stored = new Uint32Array(rows * 32);
  const returned = stored.slice();
  for (const [row, column, plane] of flips) returned[row * 32 + (column >> 1)] ^= 1 << (16 * (column & 1) + plane);
  const read: TensorRead = { stored, returned, rows, columns: 64, stride: 64, storageBits: 16, bits: 12 };
  const pictures: Picture[] = [];
  const svg = faultMapFigure({
    title: 'Faults',
    read,
    planes: flipRates(read).planes,
    // A row of the tensor takes two rows of the memory, in two banks.
    geometry: { banks: 4, rows: 1024, rowBytes: 64 },
    address: 0,
    placed,
    encodePng(pixels, width, height) {
      pictures.push({ pixels, width, height });
      return new Uint8Array(1);
    },
  });
  return { svg, pictures };
}

/** Pixels that are not black. */
const bright = ({ pixels, width }: Picture) =>
  Array.from(pixels.keys())
    .filter((i) => pixels[i] > 0)
    .map((i) => [i % width, Math.floor(i / width)]);

it('a bitline is a vertical line of its bank', () => {
  // Column 33 lies in the second half of a tensor row, which is in bank 1 for even rows and in bank 3 for odd rows.
  const { svg, pictures } = draw(
    32,
    Array.from({ length: 16 }, (_, i) => [2 * i, 33, 5]),
  );
  expect(svg.match(/>bank \d</g)).toHaveLength(8);
  const lit = pictures.slice(0, 4).map((picture) => new Set(bright(picture).map(([x]) => x)));
  expect(lit.map(({ size }) => size)).toEqual([0, 2, 0, 0]);
  // Bit 16 + 5 of 512, at two pixels per bit.
  expect([...lit[1]]).toEqual([42, 43]);
  expect(bright(pictures[1])).toHaveLength(2 * pictures[1].height);
});

it('bit planes are drawn from the highest down, with every flip in its place', () => {
  const { svg, pictures } = draw(4, [[2, 10, 11]]);
  expect(svg.match(/font-weight="600"[^>]*>bit \d+</g)?.[0]).toContain('bit 11');
  expect(svg).toContain('>0.39 %<');
  const planes = pictures.slice(4, 16);
  expect(planes.map((plane) => bright(plane).length > 0)).toEqual([true, ...new Array(11).fill(false)]);
  const { width, height } = planes[0];
  expect([width, height]).toEqual([192, 120]);
  const [first, last] = [bright(planes[0])[0], bright(planes[0]).at(-1)];
  expect([first, last]).toEqual([
    [30, 60],
    [32, 89],
  ]);
});

it('a read without errors is drawn black', () => {
  const { svg, pictures } = draw(4, []);
  expect(pictures.slice(0, 16).flatMap(bright)).toEqual([]);
  expect(svg).toContain('no cell failed');
});

it('a tensor within one row of the memory is drawn alone', () => {
  const stored = new Uint32Array(4);
  const read: TensorRead = {
    stored,
    returned: Uint32Array.of(0, 0, 0, 1 << 31),
    rows: 1,
    columns: 16,
    stride: 16,
    storageBits: 8,
    bits: 8,
  };
  const pictures: Picture[] = [];
  const svg = faultMapFigure({
    title: 'Faults',
    read,
    planes: flipRates(read).planes,
    geometry: { banks: 8, rows: 1024, rowBytes: 8192 },
    address: 8192 * 9 + 256,
    encodePng(pixels, width, height) {
      pictures.push({ pixels, width, height });
      return new Uint8Array(1);
    },
  });
  expect(svg).toContain('>bank 1<');
  expect(svg).toContain('>bit 2048 of the row<');
  expect(svg).toContain('>2176<');
  expect(bright(pictures[0])[0]).toEqual([pictures[0].width - 8, 0]);
});

it('a fault map of a placed tensor says that its banks and rows are those of its own addresses', () => {
  expect(draw(4, [[0, 0, 3]]).svg).toContain('>In the memory: a pixel is ');
  const { svg } = draw(4, [[0, 0, 3]], true);
  expect(svg).toContain('>In the addresses of the network: a pixel is ');
  expect(svg).toContain('The DRAM holds these pages elsewhere, as placement.png shows.');
});
