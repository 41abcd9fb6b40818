/** Portable gray maps (https://netpbm.sourceforge.net/doc/pgm.html): plain P2 and raw P5, eight bits per pixel. */
import { DataError, ShapeError } from '../errors.ts';

/** `pixels` is [height, width], row-major, 0 black to 255 white. */
export interface GrayImage {
  width: number;
  height: number;
  pixels: Uint8Array;
}

const HASH = 0x23;
const NEWLINES = [0x0a, 0x0d];
const WHITESPACE = [0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d];
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;

/**
 * Reads the first image of a P2 or P5 file. A maxval below 255 is scaled so that maxval becomes 255 (nearest integer).
 * Comments are allowed in the header and in a P2 raster; bytes after the image are ignored.
 *
 * @param name the file, for messages
 * @throws DataError (file and byte offset) for an empty file, another format, 16-bit samples, a bad header, a sample
 *   above maxval, or truncated data
 */
export function decodePgm(bytes: Uint8Array, name: string): GrayImage {
  let at = 0;
  const fail = (offset: number, reason: string) => new DataError(`${name}: byte ${offset}: ${reason}`);

  const skipComment = () => {
    while (at < bytes.length && !NEWLINES.includes(bytes[at])) at++;
  };
  const readNumber = (what: string): number => {
    while (WHITESPACE.includes(bytes[at]) || bytes[at] === HASH) {
      if (bytes[at] === HASH) skipComment();
      else at++;
    }
    const start = at;
    let value = 0;
    while (isDigit(bytes[at])) value = value * 10 + bytes[at++] - 0x30;
    if (start === bytes.length) {
      throw fail(start, `the file ends where ${what} should be (truncated); fetch it again`);
    }
    if (at === start || value > 0xffffffff) throw fail(start, `${what} is not a sensible number; the file is damaged`);
    return value;
  };

  if (bytes.length === 0) throw fail(0, 'the file is empty; fetch it again');
  const magic = String.fromCharCode(...bytes.subarray(0, 2));
  if (magic !== 'P5' && magic !== 'P2') {
    const start = Array.from(bytes.subarray(0, 2), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw fail(0, `not a PGM image (starts with ${start}, not P2 or P5); convert it to 8-bit PGM`);
  }
  at = 2;
  const width = readNumber('the width');
  const height = readNumber('the height');
  const maxvalAt = at;
  const maxval = readNumber('the maximum gray value');
  if (width === 0 || height === 0) throw fail(2, `the image is ${width}x${height}; it needs at least one pixel`);
  if (maxval > 255) throw fail(maxvalAt, `maximum gray value ${maxval} means 16-bit samples; convert it to 8-bit PGM`);
  if (maxval === 0) throw fail(maxvalAt, 'maximum gray value 0; it must be 1..255, the file is damaged');

  // Exactly one whitespace byte ends a raw header: the raster may itself begin with the bytes of a space or a '#'.
  if (magic === 'P5') {
    if (bytes[at] === HASH) skipComment();
    if (at < bytes.length && !WHITESPACE.includes(bytes[at])) {
      throw fail(at, 'no whitespace after the maximum gray value; the file is damaged');
    }
    at = Math.min(at + 1, bytes.length);
  }

  const count = width * height;
  const left = bytes.length - at;
  if (count > left) {
    throw fail(
      bytes.length,
      `truncated: ${width}x${height} pixels begin at byte ${at}, ${left} bytes follow; fetch it again`,
    );
  }
  const pixels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const start = at;
    const value = magic === 'P5' ? bytes[at++] : readNumber(`pixel ${i} of ${count}`);
    if (value > maxval) throw fail(start, `pixel ${i} is ${value}, above the maximum ${maxval}; the file is damaged`);
    pixels[i] = Math.round((value * 255) / maxval);
  }
  return { width, height, pixels };
}

/**
 * Writes a raw (P5) image with maxval 255.
 *
 * @throws ShapeError when there are not width x height pixels
 */
export function encodePgm(image: GrayImage): Uint8Array<ArrayBuffer> {
  const { width, height, pixels } = image;
  if (pixels.length !== width * height || pixels.length === 0) {
    throw new ShapeError(
      `encodePgm: ${pixels.length} pixels are not a ${width}x${height} image; give one byte per pixel`,
    );
  }
  const header = new TextEncoder().encode(`P5\n${width} ${height}\n255\n`);
  const bytes = new Uint8Array(header.length + pixels.length);
  bytes.set(header);
  bytes.set(pixels, header.length);
  return bytes;
}
