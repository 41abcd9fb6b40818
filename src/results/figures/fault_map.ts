/** A picture of the faults in one read of a tensor: in the rows of the DRAM, and in the bit planes of its codes. */
import type { Geometry } from '../../memory/config.ts';
import { type FlipRate, forEachFlip, type TensorRead } from '../../memory/flips.ts';
import { formatPercent } from '../format.ts';
import {
  type EncodePng,
  escapeXml,
  heading,
  MARGIN,
  round,
  smallPrint,
  svgRoot,
  svgText,
  THEMES,
  type ThemeName,
  toBase64,
  WIDTH,
} from './style.ts';

export interface FaultMapFigureOptions {
  readonly title: string;
  readonly subtitle?: string;
  readonly read: TensorRead;
  /** Rates of the bit planes, the lowest first. */
  readonly planes: readonly FlipRate[];
  readonly geometry: Geometry;
  /** First byte of the tensor in the memory. */
  readonly address: number;
  /** True if the DRAM holds the pages of the network elsewhere: banks and rows are then those of the network's own addresses. */
  readonly placed?: boolean;
  readonly theme?: ThemeName;
  readonly encodePng: EncodePng;
}

/** Largest size in pixels of the map of the memory, and of the picture of a bit plane. */
const MAP = { width: 1024, height: 512 };
const PLANE = { width: 200, height: 120 };
/** Approximate height in pixels to which a map of few rows is enlarged. */
const MAP_USUAL_HEIGHT = 360;
const PLANES_PER_LINE = 5;
const BANK_GAP = 3;
/** Lowest gray level of a pixel with failures; a pixel without failures is black. */
const LEAST_GRAY = 60;

/** Failed cells, counted in rectangles of `across * down` cells. */
interface Bins {
  readonly width: number;
  readonly height: number;
  readonly across: number;
  readonly down: number;
  readonly counts: Uint32Array;
  /** Number of cells in a whole rectangle that hold a bit of a code. */
  readonly cells: number;
}

/** @param density share of the cells that hold a bit of a code */
function makeBins(columns: number, rows: number, across: number, down: number, density = 1): Bins {
  const [width, height] = [Math.ceil(columns / across), Math.ceil(rows / down)];
  const counts = new Uint32Array(width * height);
  return { width, height, across, down, counts, cells: Math.max(1, across * down * density) };
}

function count(bins: Bins, column: number, row: number): void {
  bins.counts[Math.floor(row / bins.down) * bins.width + Math.floor(column / bins.across)]++;
}

/**
 * Draws the faults of a read in two parts with one gray scale. In the map of the memory a column of pixels is a range of bit
 * columns, and a row of pixels is a range of rows of one bank, bank below bank: weak bitlines are vertical, weak wordlines
 * horizontal, and a bad cache line is a dash. Below it, rows and columns of the tensor are drawn for each bit plane, highest
 * first.
 */
export function faultMapFigure(options: FaultMapFigureOptions): string {
  const { title, subtitle, read, planes, geometry, address, placed, encodePng } = options;
  const theme = THEMES[options.theme ?? 'light'];
  const banks = mapBanks(read, geometry, address);
  const pictures = planes.map(() =>
    makeBins(read.columns, read.rows, Math.ceil(read.columns / PLANE.width), Math.ceil(read.rows / PLANE.height)),
  );
  forEachFlip(read, (code, plane) => {
    banks.count(code * read.storageBits + plane);
    count(pictures[plane], code % read.stride, Math.floor(code / read.stride));
  });
  const largest = [...banks.bins, ...pictures].reduce(
    (max, { counts, cells }) => counts.reduce((most, n) => Math.max(most, n / cells), max),
    0,
  );
  const picture = (x: number, y: number, bins: Bins, scaleX: number, scaleY: number, name: string): string => {
    const [width, height] = [bins.width * scaleX, bins.height * scaleY];
    const pixels = Uint8Array.from({ length: width * height }, (_, i) => {
      const [row, column] = [Math.floor(i / width / scaleY), Math.floor((i % width) / scaleX)];
      return grayOf(bins.counts[row * bins.width + column] / bins.cells, largest);
    });
    return imageSvg(x, y, width, height, encodePng(pixels, width, height), name);
  };

  const head = heading(title, subtitle, WIDTH, theme);
  let svg = head.svg;
  let y = head.bottom + 26;

  const [first] = banks.bins;
  const left = MARGIN + 62;
  const rowsShown = banks.bins.length * first.height;
  const scaleX = Math.max(1, Math.floor(MAP.width / first.width));
  const scaleY = Math.min(16, Math.max(1, Math.floor(MAP_USUAL_HEIGHT / rowsShown)));
  svg += svgText(
    MARGIN,
    y,
    `${placed ? 'In the addresses of the network' : 'In the memory'}: a pixel is ${cellsOf(first, 'bit', 'row')} of a bank`,
    {
      size: 15,
      weight: 600,
    },
    theme,
  );
  y += 14;
  const bankHeight = first.height * scaleY + BANK_GAP;
  const labelEvery = Math.ceil(15 / bankHeight);
  for (const [i, bins] of banks.bins.entries()) {
    svg += picture(left, y + i * bankHeight, bins, scaleX, scaleY, `bank ${banks.numbers[i]}`);
    if (i % labelEvery !== 0) continue;
    const middle = y + i * bankHeight + (bankHeight - BANK_GAP) / 2 + 4.5;
    svg += svgText(left - 8, middle, `bank ${banks.numbers[i]}`, { size: 12.5, fill: theme.soft, anchor: 'end' });
  }
  y += banks.bins.length * bankHeight - BANK_GAP;
  const mapWidth = first.width * scaleX;
  for (const share of banks.columns > 4096 ? [0, 0.25, 0.5, 0.75, 1] : [0, 1]) {
    const label = String(banks.firstColumn + Math.round(share * banks.columns));
    const [x, anchor] = [left + share * mapWidth, share === 0 ? 'start' : share === 1 ? 'end' : 'middle'] as const;
    svg += svgText(x, y + 17, share === 0 ? `bit ${label} of the row` : label, {
      size: 12.5,
      fill: theme.soft,
      anchor,
    });
  }
  y += 56;

  svg += svgText(
    MARGIN,
    y,
    `In the codes, by bit plane: a pixel is ${cellsOf(pictures[0], 'column', 'row')}`,
    {
      size: 15,
      weight: 600,
    },
    theme,
  );
  y += 12;
  const enlarged = pictures[0];
  const planeX = Math.floor(PLANE.width / enlarged.width);
  const planeY = Math.floor(PLANE.height / enlarged.height);
  const gap = (WIDTH - 2 * MARGIN - PLANES_PER_LINE * PLANE.width) / (PLANES_PER_LINE - 1);
  const lineHeight = enlarged.height * planeY + 36;
  for (let plane = planes.length - 1, i = 0; plane >= 0; plane--, i++) {
    const x = Math.round(MARGIN + (i % PLANES_PER_LINE) * (PLANE.width + gap));
    const top = y + Math.floor(i / PLANES_PER_LINE) * lineHeight;
    svg += svgText(x, top + 14, `bit ${plane}`, { weight: 600 }, theme);
    const rate = formatPercent(planes[plane].rate);
    svg += svgText(x + enlarged.width * planeX, top + 14, rate, { fill: theme.soft, anchor: 'end' });
    svg += picture(x, top + 20, pictures[plane], planeX, planeY, `bit ${plane}`);
  }
  y += Math.ceil(planes.length / PLANES_PER_LINE) * lineHeight + 6;

  const scale = Uint8Array.from({ length: 240 * 12 }, (_, i) => grayOf((i % 240) / 239, 1));
  svg += svgText(MARGIN, y + 11, '0', { size: 12.5, fill: theme.soft });
  svg += imageSvg(MARGIN + 14, y, 240, 12, encodePng(scale, 240, 12), 'scale');
  svg += `<rect x="${MARGIN + 13.5}" y="${y - 0.5}" width="241" height="13" fill="none" stroke="${theme.border}"/>`;
  const most = largest === 0 ? 'no cell failed' : `${formatPercent(largest)} of a pixel’s cells failed`;
  svg += svgText(MARGIN + 262, y + 11, most, { size: 12.5, fill: theme.soft });
  const foot = smallPrint(
    `${placed ? 'The DRAM holds these pages elsewhere, as placement.png shows. ' : ''}In the memory a bitline runs down a bank and a wordline across it; a cache line of 64 bytes is ` +
      `${Math.round(512 / first.across)} columns of pixels wide.`,
    y + 20,
    WIDTH,
    theme,
  );
  return svgRoot(WIDTH, foot.bottom + 20, title, svg + foot.svg, theme);
}

/** `64 bits x 2 rows`. */
function cellsOf({ across, down }: Bins, column: string, row: string): string {
  const some = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;
  return `${some(across, column)} × ${some(down, row)}`;
}

/** The gray level grows with the square root of the share, so one failure in a hundred cells is visible beside failed lines. */
function grayOf(share: number, largest: number): number {
  if (share === 0) return 0;
  return Math.min(255, Math.round(LEAST_GRAY + (255 - LEAST_GRAY) * Math.sqrt(share / largest)));
}

/** The banks that hold a tensor, with the rows that it occupies; if it lies within one row, only its part of that row. */
function mapBanks(read: TensorRead, { banks, rowBytes }: Geometry, address: number) {
  const rowBits = rowBytes * 8;
  const origin = address * 8;
  const last = origin + read.rows * read.stride * read.storageBits - 1;
  const [firstRow, lastRow] = [Math.floor(origin / rowBits), Math.floor(last / rowBits)];
  const rows = lastRow - firstRow + 1;
  const numbers = Array.from({ length: Math.min(rows, banks) }, (_, i) => (firstRow + i) % banks).sort((a, b) => a - b);
  const firstOfBank = Math.floor(firstRow / banks);
  const rowsOfBank = Math.floor(lastRow / banks) - firstOfBank + 1;
  const [firstColumn, columns] = rows === 1 ? [origin % rowBits, last - origin + 1] : [0, rowBits];
  let down = 1;
  while (numbers.length * Math.ceil(rowsOfBank / down) > MAP.height) down++;
  const across = Math.ceil(columns / MAP.width);
  const density = Math.min(read.bits, read.storageBits) / read.storageBits;
  const bins = numbers.map(() => makeBins(columns, rowsOfBank, across, down, density));
  return {
    bins,
    numbers,
    firstColumn,
    columns,
    /** @param bit index within the tensor */
    count(bit: number): void {
      const row = Math.floor((origin + bit) / rowBits);
      const bank = bins[numbers.indexOf(row % banks)];
      count(bank, ((origin + bit) % rowBits) - firstColumn, Math.floor(row / banks) - firstOfBank);
    },
  };
}

function imageSvg(x: number, y: number, width: number, height: number, png: Uint8Array, name: string): string {
  const href = `data:image/png;base64,${toBase64(png)}`;
  return (
    `<image x="${Math.round(x)}" y="${Math.round(y)}" width="${round(width)}" height="${round(height)}" ` +
    `preserveAspectRatio="none" href="${href}" xlink:href="${href}"><title>${escapeXml(name)}</title></image>`
  );
}
