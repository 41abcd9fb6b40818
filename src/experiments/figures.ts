/**
 * The pictures of a run, each a self-contained SVG string: the sheet of reconstructions, the privacy curve, the grid of
 * two error rates, and the metrics of one layer at a time. They are laid out for 1200 px, on white, in the colours of
 * Okabe and Ito (told apart by colour-blind readers) with a symbol a kind, so that they survive a grey printer.
 *
 * Charts are drawn by Observable Plot into an injected `document` (jsdom in Node, the page's own in a browser) and
 * placed by hand into one outer SVG, because panels with scales of their own, a shared legend and labels in the margin
 * are not a Plot facet. The text is Inter where it is installed (the command line ships it).
 */

import * as Plot from '@observablehq/plot';
import { ConfigError, ShapeError } from '../errors.ts';
import {
  type Baselines,
  type Condition,
  type ConditionKind,
  equalRate,
  formatPercent,
  formatRate,
  type Interval,
  KIND_LABELS,
  kindInText,
  METRIC_LABELS,
  type Metric,
  type Series,
  type SummaryEntry,
  seriesOf,
} from './results.ts';

export const FONT_FAMILY = "Inter, 'Helvetica Neue', Arial, sans-serif";
const WIDTH = 1200;
const MARGIN = 32;
const INK = '#1a1a1a';
const SOFT = '#5a5a5a';
const GRID = '#e4e4e4';

/** Okabe and Ito's palette, without the yellow that white paper swallows. */
const PALETTE = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000', '#8a8a8a'];

type SymbolName = 'circle' | 'square' | 'triangle' | 'diamond';
const KIND_STYLE: Record<ConditionKind, { color: string; symbol: SymbolName }> = {
  none: { color: '#000000', symbol: 'diamond' },
  quantised: { color: '#6e6e6e', symbol: 'diamond' },
  'bit-error': { color: PALETTE[0], symbol: 'circle' },
  gaussian: { color: PALETTE[1], symbol: 'square' },
  laplacian: { color: PALETTE[2], symbol: 'triangle' },
};
const DASHES = ['', '7 4', '2 3', '10 3 2 3'];

/** Writes 8-bit gray pixels (row by row) as a PNG file; injected, so that Node and browser may differ. */
export type EncodeGrayPng = (pixels: Uint8Array, width: number, height: number) => Uint8Array;

// ------------------------------------------------------------------------------------------------- SVG by hand

/** Text as XML or HTML content or attribute value; characters that XML 1.0 cannot hold are dropped. */
export function escapeXml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is to be removed.
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '').replace(/[&<>"']/g, (c) => entities[c]);
}

/** Base64 of bytes without Buffer, which a browser lacks. */
export function toBase64(bytes: Uint8Array): string {
  let binary = '';
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(binary);
}

interface TextStyle {
  size?: number;
  weight?: number;
  fill?: string;
  anchor?: 'start' | 'middle' | 'end';
}

function svgText(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { size = 13, weight = 400, fill = INK, anchor = 'start' } = style;
  return `<text x="${round(x)}" y="${round(y)}" font-size="${size}" font-weight="${weight}" fill="${fill}" text-anchor="${anchor}">${escapeXml(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

// Advance widths of Inter SemiBold, the widest weight used here, in hundredths of the font size, for ' ' to '~': nothing
// in Node measures a font, and labels must not touch. The fallback fonts of FONT_FAMILY are narrower.
const ADVANCES =
  '25 32 52 64 65 100 66 33 37 37 54 67 32 47 32 38 66 42 62 64 67 61 64 58 64 64 32 33 67 67 67 54 100 73 66 74 72 61 59 75 ' +
  '75 28 58 70 57 92 76 77 65 77 65 65 66 74 73 102 72 71 65 37 38 37 48 47 35 57 62 58 62 59 39 63 61 26 26 57 26 90 61 61 ' +
  '62 62 40 55 35 61 59 84 57 59 57 45 36 45 67';
const advances = ADVANCES.split(' ').map(Number);
const FURTHER_ADVANCES: Record<string, number> = {
  '–': 50,
  '−': 67,
  '×': 67,
  '…': 96,
  '·': 32,
  '“': 51,
  '”': 50,
  '’': 29,
};

/** Width of a line in px; a little generous for regular weight and for letters beyond ASCII. */
function textWidth(text: string, size: number): number {
  let hundredths = 0;
  for (const c of text) hundredths += advances[c.charCodeAt(0) - 32] ?? FURTHER_ADVANCES[c] ?? 105;
  return (hundredths / 100) * size;
}

/** Breaks text into lines of at most `width` px; a longer word is cut with an ellipsis. */
function wrap(text: string, size: number, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(/\s+/)) {
      const longer = line === '' ? word : `${line} ${word}`;
      if (line !== '' && textWidth(longer, size) > width) {
        lines.push(line);
        line = word;
      } else line = longer;
      line = shorten(line, size, width);
    }
    lines.push(line);
  }
  return lines;
}

function shorten(text: string, size: number, width: number): string {
  if (textWidth(text, size) <= width) return text;
  let end = text.length;
  while (end > 1 && textWidth(`${text.slice(0, end)}…`, size) > width) end--;
  return `${text.slice(0, end)}…`;
}

/** The outer SVG: white, titled, with its text in the house font. */
function svgRoot(width: number, height: number, title: string, content: string): string {
  const [w, h] = [Math.ceil(width), Math.ceil(height)];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" ` +
    `role="img" aria-label="${escapeXml(title)}" font-family="${escapeXml(FONT_FAMILY)}" color="${INK}">` +
    `<title>${escapeXml(title)}</title><rect width="${w}" height="${h}" fill="#ffffff"/>${content}</svg>`
  );
}

/** A heading of one or more lines; returns its SVG and the y where the next thing may begin. */
function heading(title: string, subtitle: string | undefined, width: number): { svg: string; bottom: number } {
  let svg = '';
  let y = MARGIN;
  for (const line of wrap(title, 21, width - 2 * MARGIN)) {
    y += 15;
    svg += svgText(MARGIN, y, line, { size: 21, weight: 600 });
    y += 12;
  }
  for (const line of subtitle === undefined ? [] : wrap(subtitle, 14, width - 2 * MARGIN)) {
    y += 10;
    svg += svgText(MARGIN, y, line, { size: 14, fill: SOFT });
    y += 10;
  }
  return { svg, bottom: y };
}

/** Small print under a figure. */
function smallPrint(footnote: string | undefined, y: number, width: number): { svg: string; bottom: number } {
  if (footnote === undefined) return { svg: '', bottom: y };
  const lines = wrap(footnote, 12.5, width - 2 * MARGIN);
  const svg = lines.map((line, i) => svgText(MARGIN, y + 12 + i * 18, line, { size: 12.5, fill: SOFT })).join('');
  return { svg, bottom: y + 12 + lines.length * 18 };
}

// --------------------------------------------------------------------------------- (a) the sheet of reconstructions

export interface SheetRow {
  /** The condition, in a few words. */
  label: string;
  /** Its numbers: 'accuracy 0.84\nPCC 0.59, lift 0.21'. Line feeds are kept, longer lines are broken. */
  detail?: string;
  /** One picture a column, `width * height` gray pixels: floats are 0..1, bytes 0..255; what lies outside is clamped. */
  images: (Float32Array | Uint8Array)[];
}

export interface SheetOptions {
  /** The persons' names. */
  columns: string[];
  /** The truth first. */
  rows: SheetRow[];
  /** Of each picture, in pixels. */
  width: number;
  height: number;
  /** Size on the sheet of one pixel of a picture; by default such that a picture is about 112 px high. */
  scale?: number;
  /** Smooth when enlarged (the default), or square pixels. */
  smooth?: boolean;
  title: string;
  footnote?: string;
  encodeGrayPng: EncodeGrayPng;
}

/**
 * One row of pictures a condition, labelled at the left, one column a person; the first row, the truth, is set apart. A
 * picture with a pixel that is not a number is crossed out rather than drawn.
 *
 * @throws ShapeError where a row has not one picture a column or a picture not `width * height` pixels
 */
export function reconstructionSheet(options: SheetOptions): string {
  const { columns, rows, width, height, title, footnote, smooth = true, encodeGrayPng } = options;
  const scale = options.scale ?? (height >= 112 ? 112 / height : Math.round(112 / height));
  const [cellWidth, cellHeight] = [width * scale, height * scale];
  const [gap, rowGap, truthGap] = [8, 14, 26];
  const [labelSize, detailSize, nameSize] = [15, 12.5, 12.5];

  const longest = Math.max(
    ...rows.flatMap((row) => [
      textWidth(row.label, labelSize),
      ...(row.detail ?? '').split('\n').map((line) => textWidth(line, detailSize)),
    ]),
    0,
  );
  const labelWidth = Math.min(Math.max(longest + 2, 90), 230);
  const left = MARGIN + labelWidth + 18;
  // Wide enough for the title's words even with a single column.
  const sheetWidth = Math.max(left + columns.length * (cellWidth + gap) - gap + MARGIN, 460);

  const head = heading(title, undefined, sheetWidth);
  let svg = head.svg;
  let y = head.bottom + 8;

  const names = columns.map((name) => wrap(name.replaceAll('_', ' '), nameSize, cellWidth).slice(0, 2));
  const nameLines = Math.max(...names.map((lines) => lines.length), 1);
  y += nameLines * 16;
  for (const [c, lines] of names.entries()) {
    const x = left + c * (cellWidth + gap) + cellWidth / 2;
    for (const [i, line] of lines.entries()) {
      // Bottom-aligned, so that one-line names stay next to their pictures.
      const lineY = y - (lines.length - 1 - i) * 16 - 4;
      svg += svgText(x, lineY, line, { size: nameSize, fill: SOFT, anchor: 'middle' });
    }
  }
  y += 4;

  for (const [r, row] of rows.entries()) {
    if (row.images.length !== columns.length) {
      throw new ShapeError(`sheet row '${row.label}': ${row.images.length} images for ${columns.length} columns`);
    }
    const labelLines = wrap(row.label, labelSize, labelWidth);
    const detailLines = row.detail === undefined ? [] : wrap(row.detail, detailSize, labelWidth);
    const textHeight = labelLines.length * 20 + detailLines.length * 18;
    const rowHeight = Math.max(cellHeight, textHeight);
    let textY = y + (rowHeight - textHeight) / 2 + 15;
    for (const line of labelLines) {
      svg += svgText(MARGIN, textY, line, { size: labelSize, weight: 600 });
      textY += 20;
    }
    for (const line of detailLines) {
      svg += svgText(MARGIN, textY - 1, line, { size: detailSize, fill: SOFT });
      textY += 18;
    }
    const imageY = y + (rowHeight - cellHeight) / 2;
    for (const [c, image] of row.images.entries()) {
      const x = left + c * (cellWidth + gap);
      const place = `x="${round(x)}" y="${round(imageY)}" width="${round(cellWidth)}" height="${round(cellHeight)}"`;
      const bytes = grayBytes(image, width * height, `sheet row '${row.label}', column '${columns[c]}'`);
      if (bytes === undefined) {
        const [x2, y2] = [round(x + cellWidth), round(imageY + cellHeight)];
        svg +=
          `<rect ${place} fill="#f4f4f4" stroke="#bbbbbb"/>` +
          `<path d="M${round(x)},${round(imageY)}L${x2},${y2}M${x2},${round(imageY)}L${round(x)},${y2}" stroke="#bbbbbb"/>` +
          svgText(x + cellWidth / 2, imageY + cellHeight / 2 + 4, 'not finite', {
            size: 12,
            fill: SOFT,
            anchor: 'middle',
          });
        continue;
      }
      // Square pixels are enlarged here: viewers and renderers do not agree on `image-rendering`.
      const factor = smooth ? 1 : Math.ceil(scale);
      const png = encodeGrayPng(enlarge(bytes, width, height, factor), width * factor, height * factor);
      const href = `data:image/png;base64,${toBase64(png)}`;
      svg +=
        `<image ${place} preserveAspectRatio="none" href="${href}" xlink:href="${href}">` +
        `<title>${escapeXml(`${columns[c]}, ${row.label}`)}</title></image>`;
    }
    y += rowHeight;
    if (r === 0 && rows.length > 1) {
      const lineY = round(y + truthGap / 2);
      svg += `<line x1="${MARGIN}" x2="${round(sheetWidth - MARGIN)}" y1="${lineY}" y2="${lineY}" stroke="#c8c8c8"/>`;
      y += truthGap;
    } else if (r + 1 < rows.length) y += rowGap;
  }
  const foot = smallPrint(footnote, y + 12, sheetWidth);
  return svgRoot(sheetWidth, foot.bottom + 16, title, svg + foot.svg);
}

/** Pixels as bytes, or undefined where one is not a number. */
function grayBytes(image: Float32Array | Uint8Array, length: number, name: string): Uint8Array | undefined {
  if (image.length !== length) throw new ShapeError(`${name}: ${image.length} pixels, expected ${length}`);
  if (image instanceof Uint8Array) return image;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    if (!Number.isFinite(image[i])) return undefined;
    bytes[i] = Math.round(Math.min(Math.max(image[i], 0), 1) * 255);
  }
  return bytes;
}

/** Every pixel as a square of `factor * factor`. */
function enlarge(pixels: Uint8Array, width: number, height: number, factor: number): Uint8Array {
  if (factor === 1) return pixels;
  const wide = width * factor;
  return Uint8Array.from(
    { length: wide * height * factor },
    (_, i) => pixels[Math.floor(i / wide / factor) * width + Math.floor((i % wide) / factor)],
  );
}

// ------------------------------------------------------------------------------------------- panels drawn by Plot

/** One chart inside a figure. */
interface Panel {
  width: number;
  height: number;
  marginLeft: number;
  marginRight: number;
  marginBottom: number;
}

function panelSvg(document: Document, x: number, y: number, panel: Panel, options: Plot.PlotOptions): string {
  const element = Plot.plot({
    marginTop: 12,
    ...panel,
    ...options,
    document,
    style: { fontFamily: FONT_FAMILY, fontSize: '13px', background: 'none', color: INK, overflow: 'visible' },
  });
  element.setAttribute('x', String(round(x)));
  element.setAttribute('y', String(round(y)));
  // Plot's style sheet is for pages (responsive width, CSS variables); an SVG renderer knows neither.
  for (const style of element.querySelectorAll('style')) style.remove();
  element.removeAttribute('class');
  const view = document.defaultView as (Window & typeof globalThis) | null;
  const Serializer = view?.XMLSerializer ?? globalThis.XMLSerializer;
  return new Serializer().serializeToString(element).replaceAll('var(--plot-background)', '#ffffff');
}

/** A span of values with some air, and round ends that the ticks of an axis like. */
function paddedDomain(values: number[], { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = {}) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.06 || Math.max(Math.abs(high) * 0.05, 0.01);
  return [Math.max(low - pad, Math.min(min, low)), Math.min(high + pad, Math.max(max, high))] as [number, number];
}

/** The room the metric can take at all: accuracy and the like end at 0 and 1, and so do their axes. */
function bounds(metric: Metric): { min?: number; max?: number } {
  if (metric === 'accuracy' || metric === 'identity') return { min: 0, max: 1 };
  if (metric === 'mse') return { min: 0 };
  return metric === 'psnr' ? {} : { max: 1 };
}

interface MarginLabel {
  value: number;
  text: string;
  fill: string;
  weight?: number;
}

/** Labels at the right of a panel beside the values they name, moved apart where they would overlap. */
function marginLabels(labels: MarginLabel[], domain: [number, number], panel: Panel): Plot.Markish[] {
  const [top, bottom] = [12, panel.height - panel.marginBottom];
  const pixel = (value: number) => bottom - ((value - domain[0]) / (domain[1] - domain[0])) * (bottom - top);
  const placed = labels.map((label) => ({ ...label, at: pixel(label.value), y: pixel(label.value) }));
  placed.sort((a, b) => a.y - b.y);
  const step = 16;
  // Down and then up again: each label as near to its value as its neighbours and the panel's ends allow.
  for (let i = 1; i < placed.length; i++) placed[i].y = Math.max(placed[i].y, placed[i - 1].y + step);
  for (let i = placed.length - 1; i >= 0; i--) {
    placed[i].y = Math.min(placed[i].y, (placed[i + 1]?.y ?? bottom + step / 2) - step);
  }
  return placed.map((label) =>
    Plot.text([label.value], {
      y: (value: number) => value,
      text: () => label.text,
      frameAnchor: 'right',
      textAnchor: 'start',
      dx: 8,
      dy: label.y - label.at,
      fill: label.fill,
      fontWeight: label.weight ?? 400,
      fontSize: 12.5,
    }),
  );
}

interface LegendItem {
  label: string;
  color: string;
  dash?: string;
  symbol?: SymbolName;
  hollow?: boolean;
  line?: boolean;
  band?: boolean;
}

/** Keys in one or more lines from (MARGIN, y); returns the SVG and its lower end. */
function legend(items: LegendItem[], y: number, width: number): { svg: string; bottom: number } {
  let svg = '';
  let x = MARGIN;
  for (const item of items) {
    // A symbol without a line takes less room.
    const key = item.line === false ? 14 : 30;
    const advance = key + 8 + textWidth(item.label, 13.5) + 14;
    if (x > MARGIN && x + advance > width - MARGIN) {
      x = MARGIN;
      y += 24;
    }
    if (item.band) {
      svg += `<rect x="${round(x)}" y="${y}" width="30" height="14" fill="${item.color}" fill-opacity="0.18"/>`;
    } else if (item.line !== false) {
      svg += `<line x1="${round(x)}" x2="${round(x + 30)}" y1="${y + 7}" y2="${y + 7}" stroke="${item.color}" stroke-width="2" stroke-dasharray="${item.dash || 'none'}"/>`;
    }
    if (item.symbol) svg += symbolPath(item.symbol, x + key / 2, y + 7, item.color, item.hollow);
    svg += svgText(x + key + 8, y + 12, item.label, { size: 13.5 });
    x += advance;
  }
  return { svg, bottom: y + 18 };
}

/** The symbols of Plot's dots, at the size of the legend. */
function symbolPath(symbol: SymbolName, x: number, y: number, color: string, hollow = false): string {
  const paint = hollow ? `fill="#ffffff" stroke="${color}" stroke-width="1.8"` : `fill="${color}"`;
  if (symbol === 'circle') return `<circle cx="${round(x)}" cy="${y}" r="4.6" ${paint}/>`;
  const shape = {
    square: 'M-4,-4H4V4H-4Z',
    triangle: 'M0,-5.4L5,3.4H-5Z',
    diamond: 'M0,-6.6L4.6,0L0,6.6L-4.6,0Z',
  }[symbol];
  return `<path transform="translate(${round(x)},${y})" d="${shape}" ${paint}/>`;
}

/** A colour dark enough to read as small text on white. */
function darker(color: string): string {
  const parts = [1, 3, 5].map((i) => Math.round(Number.parseInt(color.slice(i, i + 2), 16) * 0.72));
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}

// --------------------------------------------------------------------------------------------- (b) privacy curve

export interface PrivacyCurveOptions {
  summary: readonly SummaryEntry[];
  baselines: Baselines;
  title: string;
  subtitle?: string;
  footnote?: string;
  /** One panel each, side by side; by default the raw correlation and its lift, since the raw one alone misleads. */
  metrics?: Metric[];
  /** Only this attack; by default a row of panels each. */
  attack?: string;
  document: Document;
}

/**
 * Similarity against accuracy: one line a kind of noise, with its 95 % band and whiskers, a row of panels for each set of
 * layers (and attack), the undefended model and the null baselines marked. Right and low is where a defence wants to be.
 *
 * @throws ConfigError where no condition has errors or noise
 */
export function privacyCurve(options: PrivacyCurveOptions): string {
  const { baselines, title, metrics = ['pcc', 'pccLift'], attack, document } = options;
  const summary = options.summary.filter((entry) => attack === undefined || entry.attack === attack);
  const series = seriesOf(summary);
  if (series.length === 0) throw new ConfigError(`figure '${title}': no condition with bit errors or noise to draw`);
  const attacks = new Set(series.map((s) => s.attack));

  const rowKeys = [...new Set(series.map((s) => JSON.stringify([s.attack, s.layers])))];
  const rows = rowKeys.map((key) => series.filter((s) => JSON.stringify([s.attack, s.layers]) === key));
  const dashes = new Map(series.map((s) => [s, dashOf(s, series)]));

  const undefended = summary.filter((entry) => entry.condition.kind === 'none' && attacks.has(entry.attack));
  const entries = [...undefended, ...series.flatMap((s) => [...s.line, ...s.scattered])];
  const xDomain = paddedDomain(
    entries.flatMap((entry) => [entry.accuracy.mean, ...entry.accuracy.ci95]),
    bounds('accuracy'),
  );
  // Margins for the labels of the baselines differ, the plotting areas do not.
  const [gap, marginLeft] = [24, 46];
  const marginRight = (metric: Metric) =>
    Math.max(0, ...baselinesOf(metric, baselines).map((rule) => textWidth(rule.text, 12.5))) + 14;
  const margins = metrics.reduce((sum, metric) => sum + marginLeft + marginRight(metric), 0);
  const inner = (WIDTH - 2 * MARGIN - gap * (metrics.length - 1) - margins) / metrics.length;
  const panelOf = (metric: Metric): Panel => ({
    width: marginLeft + inner + marginRight(metric),
    height: rows.length > 1 ? 310 : 410,
    marginLeft,
    marginRight: marginRight(metric),
    marginBottom: 48,
  });

  const head = heading(title, options.subtitle, WIDTH);
  const keys = legend(curveLegend(series, dashes, undefended.length > 0), head.bottom + 10, WIDTH);
  let svg = head.svg + keys.svg;
  let y = keys.bottom + 18;
  for (const row of rows) {
    if (rows.length > 1) {
      const name = attacks.size > 1 ? `${row[0].layers}, attack: ${row[0].attack}` : row[0].layers;
      svg += svgText(MARGIN, y + 12, name, { size: 15, weight: 600 });
      y += 24;
    }
    let x = MARGIN;
    for (const metric of metrics) {
      const panel = panelOf(metric);
      const nulls = baselinesOf(metric, baselines);
      const values = entries.flatMap((entry) => [entry[metric].mean, ...entry[metric].ci95]);
      const yDomain = paddedDomain([...values, ...nulls.map((rule) => rule.value)], bounds(metric));
      svg += svgText(x, y + 12, METRIC_LABELS[metric], { size: 14, weight: 500 });
      svg += panelSvg(document, x, y + 16, panel, {
        x: { domain: xDomain, label: 'accuracy', labelAnchor: 'center', labelArrow: 'none', ticks: 6 },
        y: { domain: yDomain, label: null, ticks: 6 },
        marks: curveMarks(
          row,
          undefended.find((entry) => entry.attack === row[0].attack),
          metric,
          nulls,
          yDomain,
          panel,
          dashes,
        ),
      });
      x += panel.width + gap;
    }
    y += panelOf(metrics[0]).height + 34;
  }
  const foot = smallPrint(options.footnote, y, WIDTH);
  return svgRoot(WIDTH, foot.bottom + 14, title, svg + foot.svg);
}

/** The first series of a kind has a solid line, its variants (another format, another calibration) are dashed. */
function dashOf(series: Series, all: readonly Series[]): string {
  const variants = [...new Set(all.filter((s) => s.kind === series.kind).map((s) => s.variant))];
  return DASHES[variants.indexOf(series.variant) % DASHES.length];
}

function curveLegend(
  series: readonly Series[],
  dashes: ReadonlyMap<Series, string>,
  undefended: boolean,
): LegendItem[] {
  const items = new Map<string, LegendItem>();
  for (const s of series) {
    const { color, symbol } = KIND_STYLE[s.kind];
    const several = series.some((other) => other.kind === s.kind && other.variant !== s.variant);
    const alike = series.filter((other) => other.kind === s.kind && other.variant === s.variant);
    const rates = alike.flatMap((other) =>
      [...other.line, ...other.scattered].flatMap((e) =>
        e.condition.kind === s.kind ? Object.values(e.condition.rates) : [],
      ),
    );
    const label = `${KIND_LABELS[s.kind]}${several ? ` (${s.variant})` : ''}${rateRange(s.kind, rates)}`;
    items.set(label, { label, color, symbol, dash: dashes.get(s) });
  }
  for (const kind of ['none', 'quantised'] as const) {
    if (!(kind === 'none' && undefended) && !series.some((s) => s.line[0]?.condition.kind === kind)) continue;
    items.set(kind, {
      label: KIND_LABELS[kind],
      color: KIND_STYLE[kind].color,
      symbol: 'diamond',
      hollow: kind === 'quantised',
      line: false,
    });
  }
  return [...items.values(), { label: '95 % interval', color: INK, band: true }];
}

/** ' 0.39–6.25 %': from where to where a line goes. */
function rateRange(kind: ConditionKind, rates: number[]): string {
  const positive = rates.filter((rate) => rate > 0);
  if (positive.length === 0) return '';
  const [low, high] = [formatRate(kind, Math.min(...positive)), formatRate(kind, Math.max(...positive))];
  return ` ${low === high ? high : `${low.replace(' %', '')}–${high}`}`;
}

interface NullBaseline {
  value: number;
  text: string;
}

/** What the metric is without any attack worth the name. */
function baselinesOf(metric: Metric, baselines: Baselines): NullBaseline[] {
  if (metric === 'pccLift') return [{ value: 0, text: 'no lift' }];
  if (metric !== 'pcc') return [];
  const named = [
    { value: baselines.meanFacePcc, name: 'mean face' },
    { value: baselines.wrongIdentityPcc, name: 'someone else' },
    { value: baselines.shuffledPcc, name: 'shuffled' },
  ];
  return named.map(({ value, name }) => ({ value, text: `${name} ${value.toFixed(2).replace('-', '−')}` }));
}

function curveMarks(
  row: readonly Series[],
  undefended: SummaryEntry | undefined,
  metric: Metric,
  nulls: readonly NullBaseline[],
  yDomain: [number, number],
  panel: Panel,
  dashes: ReadonlyMap<Series, string>,
): Plot.Markish[] {
  const accuracy = (entry: SummaryEntry) => entry.accuracy.mean;
  const mean = (entry: SummaryEntry) => entry[metric].mean;
  const low = (entry: SummaryEntry) => entry[metric].ci95[0];
  const high = (entry: SummaryEntry) => entry[metric].ci95[1];
  const marks: Plot.Markish[] = [
    Plot.gridX({ stroke: GRID, strokeOpacity: 1, ticks: 6 }),
    Plot.frame({ anchor: 'bottom', stroke: '#9a9a9a' }),
    Plot.frame({ anchor: 'left', stroke: '#9a9a9a' }),
    Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 6 }),
    Plot.ruleY(
      nulls.map((rule) => rule.value),
      { stroke: SOFT, strokeDasharray: '3 4' },
    ),
    ...marginLabels(
      nulls.map((rule) => ({ ...rule, fill: SOFT })),
      yDomain,
      panel,
    ),
  ];
  for (const s of row) {
    const { color } = KIND_STYLE[s.kind];
    marks.push(Plot.areaY(s.line, { x: accuracy, y1: low, y2: high, fill: color, fillOpacity: 0.13 }));
  }
  for (const s of row) {
    const { color, symbol } = KIND_STYLE[s.kind];
    const own = s.line.filter((entry) => entry.condition.kind === s.kind);
    const thin = { stroke: color, strokeOpacity: 0.55, strokeWidth: 1 };
    marks.push(
      Plot.ruleX(own, { x: accuracy, y1: low, y2: high, ...thin }),
      Plot.ruleY(own, {
        y: mean,
        x1: (entry: SummaryEntry) => entry.accuracy.ci95[0],
        x2: (entry: SummaryEntry) => entry.accuracy.ci95[1],
        ...thin,
      }),
      Plot.line(s.line, {
        x: accuracy,
        y: mean,
        stroke: color,
        strokeWidth: 2,
        strokeDasharray: dashes.get(s) || 'none',
      }),
      Plot.dot(s.scattered, { x: accuracy, y: mean, fill: color, fillOpacity: 0.4, r: 2.5, symbol }),
      Plot.dot(own, { x: accuracy, y: mean, fill: color, stroke: '#ffffff', strokeWidth: 0.8, r: 4, symbol }),
    );
  }
  // The error-free points last, on top: every line begins in one of them.
  const starts = new Set(row.flatMap((s) => (s.line[0]?.condition.kind === 'quantised' ? [s.line[0]] : [])));
  for (const entry of [...starts, ...(undefended ? [undefended] : [])]) {
    const none = entry.condition.kind === 'none';
    const { color } = KIND_STYLE[entry.condition.kind];
    const paint = none ? { fill: color, stroke: '#ffffff' } : { fill: '#ffffff', stroke: color };
    marks.push(
      Plot.ruleX([entry], { x: accuracy, y1: low, y2: high, stroke: color }),
      Plot.dot([entry], { x: accuracy, y: mean, symbol: 'diamond', r: 5.5, strokeWidth: none ? 0.8 : 1.6, ...paint }),
    );
  }
  return marks;
}

// ------------------------------------------------------------------------------------- (c) grid of two error rates

export interface BerHeatmapOptions {
  summary: readonly SummaryEntry[];
  /** The two layers whose rates span the grid: across, and up. */
  layers: [string, string];
  /** By default accuracy, raw correlation and lift. */
  metrics?: Metric[];
  attack?: string;
  title: string;
  subtitle?: string;
  footnote?: string;
  document: Document;
}

/**
 * The metrics over a grid of two bit error rates, one panel each, values written into the cells; error-free in the lower
 * left corner. Where several formats or attacks share the grid's rates, the first one found is drawn: filter before.
 *
 * @throws ConfigError where no bit-error condition touches the two layers
 */
export function berHeatmap(options: BerHeatmapOptions): string {
  const { layers, title, metrics = ['accuracy', 'pcc', 'pccLift'], document } = options;
  const cells = new Map<string, { x: number; y: number; entry: SummaryEntry }>();
  for (const entry of options.summary) {
    if (options.attack !== undefined && entry.attack !== options.attack) continue;
    const at = gridPlace(entry.condition, layers);
    if (at && !cells.has(`${at}`)) cells.set(`${at}`, { x: at[0], y: at[1], entry });
  }
  const grid = [...cells.values()];
  if (!grid.some(({ x, y }) => x > 0 || y > 0)) {
    throw new ConfigError(`figure '${title}': no bit errors on ${layers[0]} or ${layers[1]} to draw`);
  }
  const ascending = (values: number[]) => [...new Set(values)].sort((a, b) => a - b);
  const across = ascending(grid.map((cell) => cell.x));
  const up = ascending(grid.map((cell) => cell.y));

  const gap = 26;
  const panelWidth = (WIDTH - 2 * MARGIN - gap * (metrics.length - 1)) / metrics.length;
  const tickWidth = Math.max(...[...across, ...up].map((rate) => textWidth(formatPercent(rate), 13)));
  const marginLeft = tickWidth + 34;
  const cellWidth = (panelWidth - marginLeft - 4) / across.length;
  const cellHeight = Math.min(Math.max(cellWidth * 0.8, 22), 54);
  const slanted = cellWidth < tickWidth + 4;
  const marginBottom = slanted ? slantedHeight(tickWidth) + 34 : 48;
  const panel: Panel = {
    width: panelWidth,
    height: 12 + cellHeight * up.length + marginBottom,
    marginLeft,
    marginRight: 4,
    marginBottom,
  };
  const viridis = Plot.scale({ color: { type: 'linear', domain: [0, 1], scheme: 'viridis' } });

  const head = heading(title, options.subtitle, WIDTH);
  const y = head.bottom + 16;
  let svg = head.svg;
  for (const [m, metric] of metrics.entries()) {
    const x = MARGIN + m * (panelWidth + gap);
    const values = grid.map(({ entry }) => entry[metric].mean);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const share = (value: number) => (high === low ? 0.5 : (value - low) / (high - low));
    const digits = metric === 'mse' ? 3 : metric === 'psnr' ? 1 : 2;
    const format = (value: number) => value.toFixed(digits).replace('-', '−');
    const at = { x: (cell: (typeof grid)[number]) => cell.x, y: (cell: (typeof grid)[number]) => cell.y };
    const value = (cell: (typeof grid)[number]) => cell.entry[metric].mean;
    const numbers = (dark: boolean) =>
      Plot.text(
        grid.filter((cell) => share(value(cell)) > 0.6 === dark),
        {
          ...at,
          text: (cell: (typeof grid)[number]) => format(value(cell)),
          fill: dark ? '#000000' : '#ffffff',
          fontSize: cellWidth < 44 ? 10 : 12,
        },
      );
    svg += svgText(x, y + 12, METRIC_LABELS[metric], { size: 14, weight: 500 });
    svg += panelSvg(document, x, y + 16, panel, {
      x: {
        type: 'band',
        domain: across,
        label: `bit error rate, ${layers[0]}`,
        labelAnchor: 'center',
        labelArrow: 'none',
        labelOffset: marginBottom - 6,
        tickFormat: formatPercent,
        tickRotate: slanted ? -SLANT : 0,
        padding: 0.04,
      },
      y: {
        type: 'band',
        domain: [...up].reverse(),
        label: `bit error rate, ${layers[1]}`,
        labelAnchor: 'center',
        labelArrow: 'none',
        labelOffset: marginLeft - 8,
        tickFormat: formatPercent,
        padding: 0.04,
      },
      marks: [
        Plot.frame({ fill: '#f1f1f1', stroke: 'none' }),
        Plot.cell(grid, { ...at, fill: (cell: (typeof grid)[number]) => String(viridis.apply(share(value(cell)))) }),
        ...(cellWidth < 26 ? [] : [numbers(false), numbers(true)]),
      ],
    });
    svg += colourBar(
      x + panel.marginLeft,
      y + 16 + panel.height + 14,
      panelWidth - marginLeft - 4,
      viridis,
      format(low),
      format(high),
    );
  }
  const foot = smallPrint(options.footnote, y + 16 + panel.height + 52, WIDTH);
  return svgRoot(WIDTH, foot.bottom + 14, title, svg + foot.svg);
}

/** Where a condition lies on the grid, or undefined where it is not of the grid. */
function gridPlace(condition: Condition, [across, up]: [string, string]): [number, number] | undefined {
  if (condition.kind === 'quantised') return [0, 0];
  if (condition.kind !== 'bit-error') return undefined;
  const others = Object.entries(condition.rates).some(([l, value]) => l !== across && l !== up && value > 0);
  return others ? undefined : [condition.rates[across] ?? 0, condition.rates[up] ?? 0];
}

/** In degrees. */
const SLANT = 50;

/** How far below the axis a slanted label of this width reaches, in px. */
function slantedHeight(width: number): number {
  return 14 + width * Math.sin((SLANT * Math.PI) / 180);
}

function colourBar(x: number, y: number, width: number, scale: Plot.Scale, low: string, high: string): string {
  const [lowWidth, steps] = [textWidth(low, 12) + 6, 48];
  const bar = width - lowWidth - textWidth(high, 12) - 6;
  let svg = svgText(x, y + 10, low, { size: 12, fill: SOFT });
  for (let i = 0; i < steps; i++) {
    const left = round(x + lowWidth + (i * bar) / steps);
    // Half a pixel wider than its share, or renderers leave hairlines between the steps.
    svg += `<rect x="${left}" y="${y}" width="${round(bar / steps + 0.5)}" height="11" fill="${scale.apply(i / (steps - 1))}"/>`;
  }
  return svg + svgText(x + width, y + 10, high, { size: 12, fill: SOFT, anchor: 'end' });
}

// ----------------------------------------------------------------------------------------- (d) one layer at a time

export interface PerLayerOptions {
  summary: readonly SummaryEntry[];
  /** Whose rates or scales are on the x axis; by default bit errors. */
  kind?: 'bit-error' | 'gaussian' | 'laplacian';
  /** By default accuracy, raw correlation and lift. */
  metrics?: Metric[];
  attack?: string;
  title: string;
  subtitle?: string;
  footnote?: string;
  document: Document;
}

/**
 * Each metric against the rate (base-2 logarithm), one line a set of layers, with its 95 % band and its name at its end;
 * the error-free model as a dashed rule. Conditions whose layers have different rates are left to `berHeatmap`.
 *
 * @throws ConfigError where nothing has one rate above 0
 */
export function perLayerPlot(options: PerLayerOptions): string {
  const { title, kind = 'bit-error', metrics = ['accuracy', 'pcc', 'pccLift'], attack, document } = options;
  const summary = options.summary.filter((entry) => attack === undefined || entry.attack === attack);
  const all = seriesOf(summary).filter((s) => s.kind === kind);
  const lines = all
    .map((s) => ({
      name: lineName(s, all),
      start: s.line.find((entry) => entry.condition.kind !== kind),
      points: s.line.flatMap((entry) => {
        const x = entry.condition.kind === kind ? equalRate(entry.condition) : undefined;
        return x !== undefined && x > 0 ? [{ x, entry }] : [];
      }),
    }))
    .filter((line) => line.points.length > 0);
  if (lines.length === 0) throw new ConfigError(`figure '${title}': no ${kindInText(kind)} to draw`);
  type Point = (typeof lines)[number]['points'][number];

  const rates = [...new Set(lines.flatMap((line) => line.points.map((point) => point.x)))].sort((a, b) => a - b);
  const gap = 24;
  const nameWidth = Math.max(...lines.map((line) => textWidth(line.name, 12.5)), textWidth('no errors', 12.5));
  const tickHeight = slantedHeight(Math.max(...rates.map((rate) => textWidth(formatRate(kind, rate), 13))));
  const panel: Panel = {
    width: (WIDTH - 2 * MARGIN - gap * (metrics.length - 1)) / metrics.length,
    height: 360 + tickHeight,
    marginLeft: 46,
    marginRight: nameWidth + 14,
    marginBottom: tickHeight + 30,
  };
  const head = heading(title, options.subtitle, WIDTH);
  const y = head.bottom + 16;
  let svg = head.svg;
  for (const [m, metric] of metrics.entries()) {
    const x = MARGIN + m * (panel.width + gap);
    const starts = [...new Set(lines.flatMap((line) => (line.start ? [line.start] : [])))];
    const shown = [...starts, ...lines.flatMap((line) => line.points.map((point) => point.entry))];
    const nulls = metric === 'pccLift' ? [0] : [];
    const yDomain = paddedDomain(
      [...shown.flatMap((entry) => [entry[metric].mean, ...entry[metric].ci95]), ...nulls],
      bounds(metric),
    );
    const of = (pick: (interval: Interval) => number) => (point: Point) => pick(point.entry[metric]);
    const rate = (point: Point) => point.x;
    svg += svgText(x, y + 12, METRIC_LABELS[metric], { size: 14, weight: 500 });
    svg += panelSvg(document, x, y + 16, panel, {
      x: {
        type: 'log',
        base: 2,
        // A single rate has no span of its own.
        domain: rates.length > 1 ? [rates[0] * 0.9, rates[rates.length - 1] * 1.1] : [rates[0] / 2, rates[0] * 2],
        ticks: sparse(rates, panel.width - panel.marginLeft - panel.marginRight),
        tickFormat: (value: number) => formatRate(kind, value),
        tickRotate: -SLANT,
        label: kind === 'bit-error' ? 'bit error rate' : 'noise scale',
        labelAnchor: 'center',
        labelArrow: 'none',
        labelOffset: panel.marginBottom - 6,
      },
      y: { domain: yDomain, label: null, ticks: 6 },
      marks: [
        Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 6 }),
        Plot.frame({ anchor: 'bottom', stroke: '#9a9a9a' }),
        Plot.frame({ anchor: 'left', stroke: '#9a9a9a' }),
        Plot.ruleY(nulls, { stroke: SOFT }),
        Plot.ruleY(
          starts.map((entry) => entry[metric].mean),
          { stroke: SOFT, strokeDasharray: '3 4' },
        ),
        ...lines.map((line, i) =>
          Plot.areaY(line.points, {
            x: rate,
            y1: of((interval) => interval.ci95[0]),
            y2: of((interval) => interval.ci95[1]),
            fill: PALETTE[i % PALETTE.length],
            fillOpacity: 0.12,
          }),
        ),
        ...lines.flatMap((line, i) => [
          Plot.line(line.points, {
            x: rate,
            y: of((interval) => interval.mean),
            stroke: PALETTE[i % PALETTE.length],
            strokeWidth: 2,
            strokeDasharray: DASHES[Math.floor(i / PALETTE.length) % DASHES.length] || 'none',
          }),
          Plot.dot(line.points, {
            x: rate,
            y: of((interval) => interval.mean),
            fill: PALETTE[i % PALETTE.length],
            stroke: '#ffffff',
            strokeWidth: 0.8,
            r: 3.6,
            symbol: (['circle', 'square', 'triangle', 'diamond'] as const)[i % 4],
          }),
        ]),
        ...marginLabels(
          [
            ...lines.map((line, i) => ({
              value: line.points[line.points.length - 1].entry[metric].mean,
              text: line.name,
              fill: darker(PALETTE[i % PALETTE.length]),
              weight: 600,
            })),
            ...starts.slice(0, 1).map((entry) => ({ value: entry[metric].mean, text: 'no errors', fill: SOFT })),
          ],
          yDomain,
          panel,
        ),
      ],
    });
  }
  const foot = smallPrint(options.footnote, y + 16 + panel.height + 14, WIDTH);
  return svgRoot(WIDTH, foot.bottom + 14, title, svg + foot.svg);
}

/** The layers' name, with whatever else sets the series apart from one of the same layers. */
function lineName(series: Series, all: readonly Series[]): string {
  const others = all.filter((s) => s.layers === series.layers && s !== series);
  return [
    series.layers,
    ...(others.some((s) => s.variant !== series.variant) ? [series.variant] : []),
    ...(others.some((s) => s.attack !== series.attack) ? [series.attack] : []),
  ].join(', ');
}

/** As many of the rates as have room for a slanted label on a logarithmic axis of `width` px. */
function sparse(rates: number[], width: number): number[] {
  const span = Math.log2(rates[rates.length - 1] / rates[0]) || 1;
  const kept: number[] = [];
  // From the strongest down: the strong end is where the lines differ.
  for (const rate of [...rates].reverse()) {
    const last = kept[kept.length - 1];
    if (last === undefined || (Math.log2(last / rate) / span) * width >= 18) kept.push(rate);
  }
  return kept.reverse();
}
