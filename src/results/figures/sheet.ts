/** The contact sheet: one row of pictures per condition. */

import { ShapeError } from '../../errors.ts';
import type { Channels } from '../../image_size.ts';
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
  textWidth,
  toBase64,
  wrap,
} from './style.ts';

export interface SheetRow {
  /** The condition, in a few words. */
  label: string;
  /** Its numbers: 'accuracy 0.84\nPCC 0.59, lift 0.21'. Line feeds are kept, longer lines are broken. */
  detail?: string;
  /** One picture per column, [height, width, channels]: floats are 0..1, bytes 0..255; values outside are clamped. */
  images: (Float32Array | Uint8Array)[];
}

export interface SheetOptions {
  /** Names of the persons, one per column. */
  columns: string[];
  /** The first row shows the true faces. */
  rows: SheetRow[];
  /** Size of each picture in pixels. */
  width: number;
  height: number;
  /** Values per pixel: 1 for gray (default), 3 for red, green and blue. */
  channels?: Channels;
  /** Size on the sheet of one pixel of a picture; by default such that a picture is about 112 px high. */
  scale?: number;
  /** True (default): enlarged pictures are smoothed. False: their pixels are squares. */
  smooth?: boolean;
  title: string;
  footnote?: string;
  theme?: ThemeName;
  encodePng: EncodePng;
}

/**
 * Draws one row of pictures per condition, labelled at the left, and one column per person; the first row, the truth, is set
 * apart. A picture with a pixel that is not finite is crossed out instead.
 *
 * @throws ShapeError if a row does not have one picture per column, or a picture does not have `width * height * channels`
 *   values
 */
export function reconstructionSheet(options: SheetOptions): string {
  const { columns, rows, width, height, channels = 1, title, footnote, smooth = true, encodePng } = options;
  const theme = THEMES[options.theme ?? 'light'];
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

  const head = heading(title, undefined, sheetWidth, theme);
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
      svg += svgText(x, lineY, line, { size: nameSize, fill: theme.soft, anchor: 'middle' });
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
      svg += svgText(MARGIN, textY, line, { size: labelSize, weight: 600 }, theme);
      textY += 20;
    }
    for (const line of detailLines) {
      svg += svgText(MARGIN, textY - 1, line, { size: detailSize, fill: theme.soft });
      textY += 18;
    }
    const imageY = y + (rowHeight - cellHeight) / 2;
    for (const [c, image] of row.images.entries()) {
      const x = left + c * (cellWidth + gap);
      const place = `x="${round(x)}" y="${round(imageY)}" width="${round(cellWidth)}" height="${round(cellHeight)}"`;
      const bytes = pixelBytes(image, width * height * channels, `sheet row '${row.label}', column '${columns[c]}'`);
      if (bytes === undefined) {
        const [x2, y2] = [round(x + cellWidth), round(imageY + cellHeight)];
        svg +=
          `<rect ${place} fill="${theme.crossed}" stroke="${theme.border}"/>` +
          `<path d="M${round(x)},${round(imageY)}L${x2},${y2}M${x2},${round(imageY)}L${round(x)},${y2}" stroke="${theme.border}"/>` +
          svgText(x + cellWidth / 2, imageY + cellHeight / 2 + 4, 'not finite', {
            size: 12,
            fill: theme.soft,
            anchor: 'middle',
          });
        continue;
      }
      // Square pixels are enlarged here: viewers and renderers do not agree on `image-rendering`.
      const factor = smooth ? 1 : Math.ceil(scale);
      const png = encodePng(
        enlarge(bytes, { width, height, channels }, factor),
        width * factor,
        height * factor,
        channels,
      );
      const href = `data:image/png;base64,${toBase64(png)}`;
      svg +=
        `<image ${place} preserveAspectRatio="none" href="${href}" xlink:href="${href}">` +
        `<title>${escapeXml(`${columns[c]}, ${row.label}`)}</title></image>`;
    }
    y += rowHeight;
    if (r === 0 && rows.length > 1) {
      const lineY = round(y + truthGap / 2);
      svg += `<line x1="${MARGIN}" x2="${round(sheetWidth - MARGIN)}" y1="${lineY}" y2="${lineY}" stroke="${theme.divider}"/>`;
      y += truthGap;
    } else if (r + 1 < rows.length) y += rowGap;
  }
  const foot = smallPrint(footnote, y + 12, sheetWidth, theme);
  return svgRoot(sheetWidth, foot.bottom + 16, title, svg + foot.svg, theme);
}

/** Pixels as bytes; undefined if one is not finite. @throws ShapeError if there are not `length` values */
export function pixelBytes(image: Float32Array | Uint8Array, length: number, name: string): Uint8Array | undefined {
  if (image.length !== length) throw new ShapeError(`${name}: ${image.length} pixels, expected ${length}`);
  if (image instanceof Uint8Array) return image;
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    if (!Number.isFinite(image[i])) return undefined;
    bytes[i] = Math.round(Math.min(Math.max(image[i], 0), 1) * 255);
  }
  return bytes;
}

/** Turns every pixel into a square of `factor * factor` pixels. */
function enlarge(
  values: Uint8Array,
  { width, height, channels }: { width: number; height: number; channels: Channels },
  factor: number,
): Uint8Array {
  if (factor === 1) return values;
  const wide = width * factor;
  return Uint8Array.from({ length: wide * height * factor * channels }, (_, i) => {
    const at = Math.floor(i / channels);
    const pixel = Math.floor(at / wide / factor) * width + Math.floor((at % wide) / factor);
    return values[pixel * channels + (i % channels)];
  });
}

/**
 * The image with the mean and standard deviation of `like`, over all channels together, so that its hues stay: attacks that start
 * from black leave faces too dark to see.
 */
export function levelled(image: Float32Array, like: Float32Array): Float32Array {
  const moments = (x: Float32Array) => {
    const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
    return { mean, deviation: Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length) };
  };
  const [from, to] = [moments(image), moments(like)];
  if (from.deviation === 0) return image;
  return image.map((value) => to.mean + ((value - from.mean) * to.deviation) / from.deviation);
}
