/** A picture of where layers lie in a DRAM, bank by bank and row by row, and where its rows are bad. */
import { heading, MARGIN, round, smallPrint, svgRoot, svgText, THEMES, type ThemeName, WIDTH } from './style.ts';

export interface PlacementMapOptions {
  readonly title: string;
  readonly subtitle?: string;
  /** Rows per bank. */
  readonly rows: number;
  /** Number of banks of all channels. */
  readonly banks: number;
  /** The rows in which a layer lies, as `bank * rows + row`, in any order. */
  readonly layers: readonly { readonly name: string; readonly rows: ReadonlySet<number> }[];
  /** True if a row of a bank is bad; absent for memories without bad rows. */
  readonly isBad?: (bank: number, row: number) => boolean;
  readonly theme?: ThemeName;
}

const LEFT = MARGIN + 62;
const PLOT_WIDTH = 1024;
/** Heights in pixels of the lanes of a bank: bad rows above, layers below. */
const LANE = { bad: 9, layers: 12, gap: 6 };
const COLUMNS = 512;

/** Draws the whole memory, and below it the rows between the first and the last in which a layer lies. */
export function placementMapFigure(options: PlacementMapOptions): string {
  const { title, subtitle, rows, layers, isBad } = options;
  const theme = THEMES[options.theme ?? 'light'];
  const head = heading(title, subtitle, WIDTH, theme);
  let svg = head.svg;
  let y = head.bottom + 24;
  let x = LEFT;
  for (const [i, { name }] of layers.entries()) {
    svg += `<rect x="${x}" y="${y - 11}" width="13" height="13" fill="${theme.palette[i % theme.palette.length]}"/>`;
    svg += svgText(x + 19, y, name, { size: 14 }, theme);
    x += 42 + 9 * name.length;
  }
  if (isBad) {
    svg += `<rect x="${x}" y="${y - 11}" width="13" height="13" fill="${theme.soft}"/>`;
    svg += svgText(x + 19, y, 'bad rows', { size: 14 }, theme);
  }
  y += 30;
  let [first, last] = [rows, -1];
  for (const layer of layers) {
    for (const at of layer.rows) {
      first = Math.min(first, at % rows);
      last = Math.max(last, at % rows);
    }
  }
  const parts: readonly (readonly [string, number, number])[] = [
    ['The whole memory', 0, rows],
    ['The rows between the first and the last of the layers', first, last + 1],
  ];
  for (const [name, from, to] of parts) {
    if (to <= from) continue;
    svg += svgText(MARGIN, y, `${name}: rows ${from} to ${to - 1}`, { size: 15, weight: 600 }, theme);
    const panel = banksSvg(options, from, to, y + 14);
    svg += panel.svg;
    y = panel.bottom + 40;
  }
  const foot = smallPrint(
    'A bank is a pair of lanes; its rows run from left to right. The upper lane is darker where more rows are bad. In the lower ' +
      'lane a column has the colour of the layer with most rows there, and is at least two pixels wide.',
    y - 16,
    WIDTH,
    theme,
  );
  return svgRoot(WIDTH, foot.bottom + 20, title, svg + foot.svg, theme);
}

function banksSvg(
  { rows, banks, layers, isBad, theme: name }: PlacementMapOptions,
  from: number,
  to: number,
  top: number,
): { svg: string; bottom: number } {
  const theme = THEMES[name ?? 'light'];
  const columns = Math.min(COLUMNS, to - from);
  const width = PLOT_WIDTH / columns;
  const columnOf = (row: number) => Math.floor(((row - from) * columns) / (to - from));
  const counts = layers.map((layer) => {
    const count = new Uint32Array(banks * columns);
    for (const at of layer.rows) {
      const [bank, row] = [Math.floor(at / rows), at % rows];
      if (row >= from && row < to) count[bank * columns + columnOf(row)]++;
    }
    return count;
  });
  const high = isBad ? LANE.bad + LANE.layers : LANE.layers;
  let svg = '';
  for (let bank = 0; bank < banks; bank++) {
    const y = top + bank * (high + LANE.gap);
    const lane = y + high - LANE.layers;
    svg += svgText(LEFT - 8, y + high / 2 + 4.5, `bank ${bank}`, { size: 12.5, fill: theme.soft, anchor: 'end' });
    svg += `<rect x="${LEFT}" y="${y}" width="${PLOT_WIDTH}" height="${high}" fill="${theme.empty}"/>`;
    const bad = new Uint32Array(columns);
    const all = new Uint32Array(columns);
    if (isBad) {
      for (let row = from; row < to; row++) {
        all[columnOf(row)]++;
        if (isBad(bank, row)) bad[columnOf(row)]++;
      }
    }
    for (let column = 0; column < columns; column++) {
      const x = round(LEFT + column * width);
      if (bad[column] > 0) {
        const opacity = round(bad[column] / all[column]);
        svg += `<rect x="${x}" y="${y}" width="${round(width)}" height="${LANE.bad}" fill="${theme.soft}" fill-opacity="${opacity}"/>`;
      }
      let most = -1;
      for (const [i, count] of counts.entries()) {
        const here = count[bank * columns + column];
        if (here > 0 && (most < 0 || here > counts[most][bank * columns + column])) most = i;
      }
      if (most < 0) continue;
      const color = theme.palette[most % theme.palette.length];
      svg += `<rect x="${x}" y="${lane}" width="${round(Math.max(2, width))}" height="${LANE.layers}" fill="${color}"/>`;
    }
  }
  const bottom = top + banks * (high + LANE.gap);
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const anchor = share === 0 ? 'start' : share === 1 ? 'end' : 'middle';
    const row = Math.round(from + share * (to - 1 - from));
    const text = share === 0 ? `row ${row}` : String(row);
    svg += svgText(LEFT + share * PLOT_WIDTH, bottom + 12, text, { size: 12.5, fill: theme.soft, anchor });
  }
  return { svg, bottom: bottom + 12 };
}
