/**
 * Drawing in Node: a document for Plot, conversion of SVG to PNG with the font Inter, and encoding and decoding of PNG.
 * jsdom takes half a second to load, so import this module only when there is something to draw.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Resvg } from '@resvg/resvg-js';
import { JSDOM } from 'jsdom';
import { PNG } from 'pngjs';
import { DataError, ShapeError } from '../errors.ts';
import type { Channels } from '../image_size.ts';
import { embedFont, type FontFile } from '../results/figures/font.ts';

/** An empty document with the APIs that Observable Plot draws with. */
export function createDocument(): Document {
  return new JSDOM('<!doctype html><title>figures</title>').window.document;
}

// Inter by Rasmus Andersson (OFL-1.1), from a package, because a machine without fonts would draw figures without text. The
// weights are those that the figures use; any other weight is replaced by the nearest of them.
const FONT_FILES = [
  { weight: 400, file: '400Regular/Inter_400Regular.ttf' },
  { weight: 500, file: '500Medium/Inter_500Medium.ttf' },
  { weight: 600, file: '600SemiBold/Inter_600SemiBold.ttf' },
];

/** Paths of the font files of Inter, one per weight. */
function fontPaths(): { weight: number; path: string }[] {
  const { resolve } = createRequire(import.meta.url);
  return FONT_FILES.map(({ weight, file }) => ({ weight, path: resolve(`@expo-google-fonts/inter/${file}`) }));
}

let fonts: readonly FontFile[] | undefined;

/** The font files of Inter, one per weight that figures use. */
export function figureFonts(): readonly FontFile[] {
  fonts ??= fontPaths().map(({ weight, path }) => ({ weight, bytes: new Uint8Array(readFileSync(path)) }));
  return fonts;
}

/** The SVG of a figure with its font embedded, for files that are opened on machines without the font. */
export function svgFile(svg: string): string {
  return embedFont(svg, figureFonts());
}

let fontFiles: string[] | undefined;

/**
 * Renders an SVG as a PNG, on white.
 *
 * @param width of the PNG in pixels; the height follows from the SVG's proportions
 * @throws DataError if the text is not an SVG
 */
export function svgToPng(svg: string, width: number): Uint8Array {
  fontFiles ??= fontPaths().map(({ path }) => path);
  try {
    const image = new Resvg(svg, {
      fitTo: { mode: 'width', value: width },
      background: '#ffffff',
      font: { fontFiles, loadSystemFonts: false, defaultFontFamily: 'Inter', sansSerifFamily: 'Inter' },
    });
    return new Uint8Array(image.render().asPng());
  } catch (cause) {
    throw new DataError(`SVG does not render: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Encodes 8-bit pixels, row by row from the top, as a PNG: gray, or RGB where `channels` is 3.
 *
 * @throws ShapeError if there are not `width * height * channels` values
 */
export function encodePng(pixels: Uint8Array, width: number, height: number, channels: Channels = 1): Uint8Array {
  const values = width * height * channels;
  if (pixels.length !== values) {
    const size = channels === 1 ? `${width} x ${height}` : `${width} x ${height} x ${channels}`;
    throw new ShapeError(`png: ${pixels.length} pixels for ${size}, expected ${values}`);
  }
  const png = new PNG({ width, height });
  png.data = Buffer.from(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  // Colour type 0 is gray, 2 is RGB; pngjs reads as many bytes per pixel of the input as its colour type has.
  const colorType = channels === 1 ? 0 : 2;
  return new Uint8Array(
    PNG.sync.write(png, { colorType, inputColorType: colorType, inputHasAlpha: false, bitDepth: 8 }),
  );
}

export interface DecodedPng {
  width: number;
  height: number;
  /** RGBA, 8 bits each, row by row from the top. */
  data: Uint8Array;
}

/** Decodes a PNG of any kind to RGBA. @param name for error messages. @throws DataError if the bytes are not a PNG */
export function decodePng(bytes: Uint8Array, name = 'png'): DecodedPng {
  try {
    const { width, height, data } = PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return { width, height, data: new Uint8Array(data) };
  } catch (cause) {
    throw new DataError(`${name}: not a PNG: ${(cause as Error).message}`, { cause });
  }
}
