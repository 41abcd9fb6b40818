import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Resvg } from '@resvg/resvg-js';
import { afterAll, describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { subsetTrueType } from '../../src/formats/truetype.ts';

const path = createRequire(import.meta.url).resolve('@expo-google-fonts/inter/400Regular/Inter_400Regular.ttf');
const whole = new Uint8Array(readFileSync(path));
const folder = mkdtempSync(join(tmpdir(), 'midas-font-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Pixels of the text drawn with this font alone, with letters so far apart that kerning has no effect. */
function drawn(font: Uint8Array, text: string): Buffer {
  const file = join(folder, `${font.length}.ttf`);
  writeFileSync(file, font);
  const letters = [...text].map(
    (letter, i) => `<text x="${10 + 30 * i}" y="30" font-size="24" font-family="Inter">${letter}</text>`,
  );
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${30 * text.length + 20}" height="44">${letters.join('')}</svg>`;
  return new Resvg(svg, { font: { fontFiles: [file], loadSystemFonts: false } }).render().pixels;
}

describe('a subset of a TrueType font', () => {
  // Å and é are composite glyphs in Inter; the minus sign lies beyond Latin-1.
  const text = 'Agé0Å−%';
  const subset = subsetTrueType(whole, text);

  test('a subset draws its characters as the whole font does', () => {
    const pixels = drawn(subset, text);
    expect(pixels.some((value) => value > 0)).toBe(true);
    expect(pixels.equals(drawn(whole, text))).toBe(true);
  });

  test('a subset is a small part of the font', () => {
    expect(whole.length).toBeGreaterThan(300_000);
    expect(subset.length).toBeLessThan(12_000);
    const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));
    expect(subsetTrueType(whole, ascii).length).toBeLessThan(40_000);
  });

  test('a subset has the checksum that the format requires', () => {
    const view = new DataView(subset.buffer);
    let sum = 0;
    for (let i = 0; i < subset.length; i += 4) sum = (sum + view.getUint32(i)) >>> 0;
    expect(sum).toBe(0xb1b0afba);
  });

  test('a subset does not depend on the order of the characters and leaves out those without a glyph', () => {
    expect(subsetTrueType(whole, [...text].reverse())).toEqual(subset);
    expect(subsetTrueType(whole, `${text}\u{10ffff}\n`)).toEqual(subset);
  });

  test('a subset of a file that is not a whole font is refused', () => {
    expect(() => subsetTrueType(new Uint8Array(4), 'a', 'x.ttf')).toThrow(new DataError('x.ttf: not a TrueType font'));
    expect(() => subsetTrueType(whole.subarray(0, 5000), 'a', 'x.ttf')).toThrow(DataError);
  });
});
