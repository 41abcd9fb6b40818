/**
 * The style of every picture of a run. Each picture is a self-contained SVG string, laid out for 1200 px, in one of three
 * themes: `light`, on white in the colours of Okabe and Ito, which colour-blind readers can distinguish; `dark`, for pages with
 * a dark background; `print`, in greys, with lines that differ in lightness and in dash pattern. A kind of condition has the
 * same symbol in all themes. Observable Plot draws the charts into an injected `document` (jsdom in Node, the page's own in a
 * browser). This code places them in one outer SVG, because a Plot facet does not allow separate scales per panel, a shared
 * legend and labels in the margin. The text is in Inter where it is installed (the command line ships it); its width comes
 * from a table of advances.
 */
import type { Channels } from '../../image_size.ts';
import type { ConditionKind } from '../schema.ts';

export const FONT_FAMILY = "Inter, 'Helvetica Neue', Arial, sans-serif";
export const WIDTH = 1200;
export const MARGIN = 32;
export const INK = '#1a1a1a';
export const SOFT = '#5a5a5a';
export const GRID = '#e4e4e4';

/** Okabe and Ito's palette, without the yellow, which is hard to see on white. */
export const PALETTE = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000', '#8a8a8a'];

export type SymbolName = 'circle' | 'square' | 'triangle' | 'diamond';
export const KIND_STYLE: Record<ConditionKind, { color: string; symbol: SymbolName }> = {
  none: { color: '#000000', symbol: 'diamond' },
  quantised: { color: '#6e6e6e', symbol: 'diamond' },
  'bit-error': { color: PALETTE[0], symbol: 'circle' },
  memory: { color: PALETTE[3], symbol: 'circle' },
  gaussian: { color: PALETTE[1], symbol: 'square' },
  laplacian: { color: PALETTE[2], symbol: 'triangle' },
};
export const DASHES = ['', '7 4', '2 3', '10 3 2 3'];

export const THEME_NAMES = ['light', 'dark', 'print'] as const;
export type ThemeName = (typeof THEME_NAMES)[number];

/** The colours of a figure. */
export interface Theme {
  readonly paper: string;
  readonly ink: string;
  /** Colour of small print and of marks behind the data. */
  readonly soft: string;
  readonly grid: string;
  readonly axis: string;
  /** Background of cells without data, and background and border of a picture that is crossed out. */
  readonly empty: string;
  readonly crossed: string;
  readonly border: string;
  /** Colour of the line between the true faces and the reconstructions. */
  readonly divider: string;
  readonly palette: readonly string[];
  readonly kinds: Readonly<Record<ConditionKind, { color: string; symbol: SymbolName }>>;
  /** A colour of the palette, changed if necessary so that small text in it is legible on the paper. */
  text(color: string): string;
  /** Dash pattern of line number `i` among the lines that take their colours from the palette. */
  dash(i: number): string;
}

const LIGHT: Theme = {
  paper: '#ffffff',
  ink: INK,
  soft: SOFT,
  grid: GRID,
  axis: '#9a9a9a',
  empty: '#f1f1f1',
  crossed: '#f4f4f4',
  border: '#bbbbbb',
  divider: '#c8c8c8',
  palette: PALETTE,
  kinds: KIND_STYLE,
  text: darker,
  dash: (i) => DASHES[Math.floor(i / PALETTE.length) % DASHES.length],
};

const DARK_PALETTE = ['#56B4E9', '#E69F00', '#35C69B', '#E59BC9', '#F0E442', '#8FB8FF', '#f2f2f0', '#a0a4aa'];

const DARK: Theme = {
  paper: '#16181b',
  ink: '#e8e8e6',
  soft: '#a8abb0',
  grid: '#2c3035',
  axis: '#6d7278',
  empty: '#26292e',
  crossed: '#26292e',
  border: '#4a4e54',
  divider: '#4a4e54',
  palette: DARK_PALETTE,
  kinds: {
    none: { color: '#ffffff', symbol: 'diamond' },
    quantised: { color: '#b4b4b4', symbol: 'diamond' },
    'bit-error': { color: DARK_PALETTE[0], symbol: 'circle' },
    memory: { color: DARK_PALETTE[3], symbol: 'circle' },
    gaussian: { color: DARK_PALETTE[1], symbol: 'square' },
    laplacian: { color: DARK_PALETTE[2], symbol: 'triangle' },
  },
  text: (color) => color,
  dash: LIGHT.dash,
};

const PRINT_PALETTE = ['#000000', '#5c5c5c', '#8f8f8f', '#333333', '#767676', '#999999', '#000000', '#666666'];

const PRINT: Theme = {
  ...LIGHT,
  ink: '#000000',
  soft: '#404040',
  grid: '#dddddd',
  axis: '#555555',
  palette: PRINT_PALETTE,
  kinds: {
    none: { color: '#000000', symbol: 'diamond' },
    quantised: { color: '#6e6e6e', symbol: 'diamond' },
    'bit-error': { color: PRINT_PALETTE[0], symbol: 'circle' },
    memory: { color: PRINT_PALETTE[3], symbol: 'circle' },
    gaussian: { color: PRINT_PALETTE[1], symbol: 'square' },
    laplacian: { color: PRINT_PALETTE[2], symbol: 'triangle' },
  },
  dash: (i) => DASHES[i % DASHES.length],
};

export const THEMES: Readonly<Record<ThemeName, Theme>> = { light: LIGHT, dark: DARK, print: PRINT };

/** A colour dark enough to read as small text on white. */
export function darker(color: string): string {
  const parts = [1, 3, 5].map((i) => Math.round(Number.parseInt(color.slice(i, i + 2), 16) * 0.72));
  return `#${parts.map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}

/** Writes 8-bit pixels, [height, width, channels], as a PNG file: gray by default. Injected, so that Node and browser may differ. */
export type EncodePng = (pixels: Uint8Array, width: number, height: number, channels?: Channels) => Uint8Array;

// ------------------------------------------------------------------------------------------------- SVG by hand

/**
 * Drops the characters that XML 1.0 cannot hold: most control characters, halves of surrogate pairs, U+FFFE and U+FFFF. A name
 * with one of them would make a whole figure unreadable.
 */
export function xmlCharacters(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is to be removed.
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Cs}/gu, '');
}

/** Escapes text for XML or HTML content and attribute values; it has only {@link xmlCharacters}. */
export function escapeXml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return xmlCharacters(text).replace(/[&<>"']/g, (c) => entities[c]);
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

export function svgText(x: number, y: number, content: string, style: TextStyle = {}, theme = LIGHT): string {
  const { size = 13, weight = 400, fill = theme.ink, anchor = 'start' } = style;
  return `<text x="${round(x)}" y="${round(y)}" font-size="${size}" font-weight="${weight}" fill="${fill}" text-anchor="${anchor}">${escapeXml(content)}</text>`;
}

export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

// Advance widths of Inter SemiBold, the widest weight used here, in hundredths of the font size, for ' ' to '~': Node cannot
// measure fonts, and labels must not overlap. The fallback fonts of FONT_FAMILY are narrower.
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

/** Width of a line in px; slightly too large for regular weight and for characters beyond ASCII. */
export function textWidth(text: string, size: number): number {
  let hundredths = 0;
  for (const c of text) hundredths += advances[c.charCodeAt(0) - 32] ?? FURTHER_ADVANCES[c] ?? 105;
  return (hundredths / 100) * size;
}

/** Breaks text into lines of at most `width` px; a longer word is cut with an ellipsis. */
export function wrap(text: string, size: number, width: number): string[] {
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

/** The outer SVG, with background, title and font. */
export function svgRoot(width: number, height: number, title: string, content: string, theme = LIGHT): string {
  const [w, h] = [Math.ceil(width), Math.ceil(height)];
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" ` +
    `role="img" aria-label="${escapeXml(title)}" font-family="${escapeXml(FONT_FAMILY)}" color="${theme.ink}">` +
    `<title>${escapeXml(title)}</title><rect width="${w}" height="${h}" fill="${theme.paper}"/>${content}</svg>`
  );
}

/** A heading of one or more lines; returns its SVG and the y at which the next element may begin. */
export function heading(
  title: string,
  subtitle: string | undefined,
  width: number,
  theme = LIGHT,
): { svg: string; bottom: number } {
  let svg = '';
  let y = MARGIN;
  for (const line of wrap(title, 21, width - 2 * MARGIN)) {
    y += 15;
    svg += svgText(MARGIN, y, line, { size: 21, weight: 600 }, theme);
    y += 12;
  }
  for (const line of subtitle === undefined ? [] : wrap(subtitle, 14, width - 2 * MARGIN)) {
    y += 10;
    svg += svgText(MARGIN, y, line, { size: 14, fill: theme.soft });
    y += 10;
  }
  return { svg, bottom: y };
}

/** Small print under a figure. */
export function smallPrint(
  footnote: string | undefined,
  y: number,
  width: number,
  theme = LIGHT,
): { svg: string; bottom: number } {
  if (footnote === undefined) return { svg: '', bottom: y };
  const lines = wrap(footnote, 12.5, width - 2 * MARGIN);
  const svg = lines.map((line, i) => svgText(MARGIN, y + 12 + i * 18, line, { size: 12.5, fill: theme.soft })).join('');
  return { svg, bottom: y + 12 + lines.length * 18 };
}
