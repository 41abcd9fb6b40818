/**
 * Reduces a TrueType font to the glyphs of a few characters, so that a picture can embed its letters. Format: ISO/IEC
 * 14496-22 (Open Font Format). Kerning and substitutions are left out, because they refer to glyphs that were removed.
 */

import { DataError } from '../errors.ts';

/** Tables copied unchanged if they exist: names and licence, metrics, and tables that glyph instructions refer to. */
const COPIED = ['OS/2', 'cvt ', 'fpgm', 'gasp', 'name', 'prep'];

/** Flags of the parts of a composite glyph. */
const ARGUMENTS_ARE_WORDS = 0x1;
const HAS_SCALE = 0x8;
const MORE_COMPONENTS = 0x20;
const HAS_TWO_SCALES = 0x40;
const HAS_MATRIX = 0x80;

/**
 * Returns the font with the glyphs of the given characters only. Characters for which it has no glyph are left out.
 *
 * @param name the font, for messages
 * @throws DataError if the bytes are not a TrueType font with outlines
 */
export function subsetTrueType(
  bytes: Uint8Array,
  characters: Iterable<string>,
  name = 'font',
): Uint8Array<ArrayBuffer> {
  const tables = tablesOf(bytes, name);
  const table = (tag: string): DataView => {
    const found = tables.get(tag);
    if (!found) throw new DataError(`${name}: no table '${tag}'; give a TrueType font`);
    return found;
  };
  const codePoints = [...new Set(Array.from(characters, (character) => character.codePointAt(0)!))].sort(
    (a, b) => a - b,
  );
  const glyphOf = characterMap(table('cmap'), name);
  const mapped = codePoints.flatMap((code) => {
    const glyph = glyphOf(code);
    return glyph > 0 ? [{ code, glyph }] : [];
  });

  const glyphs = outlines(table('glyf'), table('loca'), table('head').getInt16(50) === 1);
  // Glyph 0 stands for missing characters. The parts of composite glyphs are appended behind the glyphs that use them.
  const kept = [...new Set([0, ...mapped.map(({ glyph }) => glyph)])];
  for (const glyph of kept) {
    for (const { part } of partsOf(glyphs(glyph))) if (!kept.includes(part)) kept.push(part);
  }
  const place = new Map(kept.map((glyph, i) => [glyph, i]));

  const loca = new DataView(new ArrayBuffer(4 * (kept.length + 1)));
  const outlinesKept = kept.map((glyph) => {
    const copy = Uint8Array.from(glyphs(glyph));
    for (const { at, part } of partsOf(copy)) viewOf(copy).setUint16(at, place.get(part)!);
    return copy;
  });
  let end = 0;
  for (const [i, outline] of outlinesKept.entries()) {
    end += outline.length + (-outline.length & 3);
    loca.setUint32(4 * (i + 1), end);
  }
  const glyf = new Uint8Array(end);
  for (const [i, outline] of outlinesKept.entries()) glyf.set(outline, loca.getUint32(4 * i));

  const wide = table('hhea').getUint16(34);
  const metrics = table('hmtx');
  const hmtx = new DataView(new ArrayBuffer(4 * kept.length));
  for (const [i, glyph] of kept.entries()) {
    hmtx.setUint16(4 * i, metrics.getUint16(4 * Math.min(glyph, wide - 1)));
    hmtx.setInt16(4 * i + 2, metrics.getInt16(glyph < wide ? 4 * glyph + 2 : 4 * wide + 2 * (glyph - wide)));
  }

  const changed = (tag: string, change: (view: DataView) => void, length?: number): Uint8Array => {
    const { buffer, byteOffset, byteLength } = table(tag);
    const copy = Uint8Array.from(new Uint8Array(buffer, byteOffset, Math.min(byteLength, length ?? byteLength)));
    change(viewOf(copy));
    return copy;
  };
  const parts = new Map<string, Uint8Array>([
    ['cmap', characterTable(mapped.map(({ code, glyph }) => ({ code, glyph: place.get(glyph)! })))],
    ['glyf', glyf],
    [
      'head',
      changed('head', (head) => {
        head.setUint32(8, 0);
        head.setInt16(50, 1);
      }),
    ],
    ['hhea', changed('hhea', (hhea) => hhea.setUint16(34, kept.length))],
    ['hmtx', bytesOf(hmtx)],
    ['loca', bytesOf(loca)],
    ['maxp', changed('maxp', (maxp) => maxp.setUint16(4, kept.length))],
    // Version 3 has no names of glyphs.
    ['post', changed('post', (post) => post.setUint32(0, 0x00030000), 32)],
    ...COPIED.flatMap((tag) => (tables.has(tag) ? [[tag, bytesOf(table(tag))] as const] : [])),
  ]);
  return assemble(parts);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function bytesOf({ buffer, byteOffset, byteLength }: DataView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function tablesOf(bytes: Uint8Array, name: string): Map<string, DataView> {
  const file = viewOf(bytes);
  if (bytes.length < 12 || file.getUint32(0) !== 0x00010000) throw new DataError(`${name}: not a TrueType font`);
  const tables = new Map<string, DataView>();
  for (let i = 0; i < file.getUint16(4); i++) {
    const entry = 12 + 16 * i;
    if (entry + 16 > bytes.length)
      throw new DataError(`${name}: the file ends in its table directory; is it complete?`);
    const [offset, length] = [file.getUint32(entry + 8), file.getUint32(entry + 12)];
    const tag = String.fromCharCode(...bytes.subarray(entry, entry + 4));
    if (offset + length > bytes.length)
      throw new DataError(`${name}: table '${tag}' lies beyond the end of the file; is it complete?`);
    tables.set(tag, new DataView(bytes.buffer, bytes.byteOffset + offset, length));
  }
  return tables;
}

/** @returns a function that gives the glyph of a code point, or 0 if there is none */
function characterMap(cmap: DataView, name: string): (code: number) => number {
  const offsets = Array.from({ length: cmap.getUint16(2) }, (_, i) => cmap.getUint32(4 + 8 * i + 4));
  const segmented = offsets.find((offset) => cmap.getUint16(offset) === 4);
  if (segmented === undefined) throw new DataError(`${name}: has no character map of format 4`);
  const count = cmap.getUint16(segmented + 6) / 2;
  const word = (list: number, i: number) => segmented + 14 + 2 * (list * count + i) + (list > 0 ? 2 : 0);
  return (code) => {
    for (let i = 0; i < count; i++) {
      if (code > cmap.getUint16(word(0, i))) continue;
      const start = cmap.getUint16(word(1, i));
      if (code < start) return 0;
      const delta = cmap.getUint16(word(2, i));
      const range = cmap.getUint16(word(3, i));
      if (range === 0) return (code + delta) & 0xffff;
      const glyph = cmap.getUint16(word(3, i) + range + 2 * (code - start));
      return glyph === 0 ? 0 : (glyph + delta) & 0xffff;
    }
    return 0;
  };
}

function outlines(glyf: DataView, loca: DataView, long: boolean): (glyph: number) => Uint8Array {
  const offset = (i: number) => (long ? loca.getUint32(4 * i) : 2 * loca.getUint16(2 * i));
  return (glyph) => bytesOf(glyf).subarray(offset(glyph), offset(glyph + 1));
}

/** The glyphs that a composite glyph consists of, and the offset at which it names each. */
function partsOf(outline: Uint8Array): { at: number; part: number }[] {
  const view = viewOf(outline);
  if (outline.length === 0 || view.getInt16(0) >= 0) return [];
  const parts: { at: number; part: number }[] = [];
  let at = 10;
  for (;;) {
    const flags = view.getUint16(at);
    parts.push({ at: at + 2, part: view.getUint16(at + 2) });
    at += flags & ARGUMENTS_ARE_WORDS ? 8 : 6;
    if (flags & HAS_SCALE) at += 2;
    else if (flags & HAS_TWO_SCALES) at += 4;
    else if (flags & HAS_MATRIX) at += 8;
    if (!(flags & MORE_COMPONENTS)) return parts;
  }
}

/** A character map of format 12 with one group per character. */
function characterTable(mapped: readonly { code: number; glyph: number }[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(12 + 16 + 12 * mapped.length));
  // One subtable, for Windows and all of Unicode.
  view.setUint16(2, 1);
  view.setUint16(4, 3);
  view.setUint16(6, 10);
  view.setUint32(8, 12);
  view.setUint16(12, 12);
  view.setUint32(16, 16 + 12 * mapped.length);
  view.setUint32(24, mapped.length);
  for (const [i, { code, glyph }] of mapped.entries()) {
    view.setUint32(28 + 12 * i, code);
    view.setUint32(32 + 12 * i, code);
    view.setUint32(36 + 12 * i, glyph);
  }
  return bytesOf(view);
}

function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum = (sum + bytes[i] * 2 ** (8 * (3 - (i & 3)))) % 2 ** 32;
  return sum;
}

function assemble(parts: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const tags = [...parts.keys()].sort();
  const padded = (bytes: Uint8Array) => bytes.length + (-bytes.length & 3);
  const header = 12 + 16 * tags.length;
  const file = new Uint8Array(tags.reduce((sum, tag) => sum + padded(parts.get(tag)!), header));
  const view = viewOf(file);
  const power = Math.floor(Math.log2(tags.length));
  view.setUint32(0, 0x00010000);
  view.setUint16(4, tags.length);
  view.setUint16(6, 16 * 2 ** power);
  view.setUint16(8, power);
  view.setUint16(10, 16 * (tags.length - 2 ** power));
  let offset = header;
  for (const [i, tag] of tags.entries()) {
    const bytes = parts.get(tag)!;
    const entry = 12 + 16 * i;
    for (let k = 0; k < 4; k++) file[entry + k] = tag.charCodeAt(k);
    view.setUint32(entry + 4, checksum(bytes));
    view.setUint32(entry + 8, offset);
    view.setUint32(entry + 12, bytes.length);
    file.set(bytes, offset);
    offset += padded(bytes);
  }
  const head = view.getUint32(12 + 16 * tags.indexOf('head') + 8);
  view.setUint32(head + 8, (0xb1b0afba - checksum(file)) >>> 0);
  return file;
}
