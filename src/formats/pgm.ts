/**
 * Portable gray and pixel maps (https://netpbm.sourceforge.net/doc/pgm.html and ppm.html): plain P2 and P3, raw P5 and P6.
 */
import { DataError, ShapeError } from '../errors.ts';
import { checkImageSize, type DecodedImage } from './image.ts';

/** `pixels` is [height, width], row-major, 0 black to 255 white. */
export interface GrayImage {
  width: number;
  height: number;
  pixels: Uint8Array;
}

const HASH = 0x23;
const NEWLINES = [0x0a, 0x0d];
const isSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
const isDigit = (byte: number) => byte >= 0x30 && byte <= 0x39;
/** Samples above 255 take two bytes each, the high one first; there are none above this. */
const MOST = 65535;

/** Whether a file begins like a PGM or a PPM. */
export function isPixelMap(bytes: Uint8Array): boolean {
  const isMagic = bytes[0] === 0x50 && [0x32, 0x33, 0x35, 0x36].includes(bytes[1]);
  return isMagic && (bytes.length === 2 || isSpace(bytes[2]) || bytes[2] === HASH);
}

/**
 * Reads the first image of a PGM or PPM file. Any maximum is scaled so that it becomes 255 (nearest integer). Comments are
 * allowed in the header and in a plain raster; bytes after the image are ignored.
 *
 * @param name the file, for messages
 * @throws DataError (file and byte offset) for an empty file, another format, a bad header, a size beyond
 *   checkImageSize, a sample of a plain image above the maximum, or truncated data
 */
export function decodePixelMap(bytes: Uint8Array, name: string): DecodedImage {
  let at = 0;
  const fail = (offset: number, reason: string) => new DataError(`${name}: byte ${offset}: ${reason}`);

  const skipComment = () => {
    while (at < bytes.length && !NEWLINES.includes(bytes[at])) at++;
  };
  const readNumber = (what: () => string): number => {
    while (isSpace(bytes[at]) || bytes[at] === HASH) {
      if (bytes[at] === HASH) skipComment();
      else at++;
    }
    const start = at;
    let value = 0;
    while (isDigit(bytes[at])) value = value * 10 + bytes[at++] - 0x30;
    if (start === bytes.length) {
      throw fail(start, `the file ends where ${what()} should be (truncated); fetch it again`);
    }
    if (at === start || value > 0xffffffff)
      throw fail(start, `${what()} is not a sensible number; the file is damaged`);
    return value;
  };

  if (bytes.length === 0) throw fail(0, 'the file is empty; fetch it again');
  if (!isPixelMap(bytes)) throw fail(0, 'not a PGM or PPM image; convert it to PGM');
  const isPlain = bytes[1] < 0x34;
  const channels = bytes[1] === 0x33 || bytes[1] === 0x36 ? 3 : 1;
  at = 2;
  const width = readNumber(() => 'the width');
  const height = readNumber(() => 'the height');
  const maximumAt = at;
  const maximum = readNumber(() => 'the maximum value');
  checkImageSize(width, height, name);
  if (maximum < 1 || maximum > MOST) {
    throw fail(maximumAt, `the maximum value is ${maximum}; it must be 1..${MOST}, the file is damaged`);
  }

  // Exactly one whitespace byte ends a raw header: the raster may itself begin with the bytes of a space or a '#'.
  if (!isPlain) {
    if (bytes[at] === HASH) skipComment();
    if (at < bytes.length && !isSpace(bytes[at])) {
      throw fail(at, 'no whitespace after the maximum value; the file is damaged');
    }
    at = Math.min(at + 1, bytes.length);
  }

  const count = width * height * channels;
  const bytesEach = !isPlain && maximum > 255 ? 2 : 1;
  const left = bytes.length - at;
  if (count * bytesEach > left) {
    throw fail(
      bytes.length,
      `truncated: ${width}x${height} pixels begin at byte ${at}, ${left} bytes follow; fetch it again`,
    );
  }
  const pixels = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const start = at;
    let value: number;
    if (isPlain) value = readNumber(() => `sample ${i} of ${count}`);
    else if (bytesEach === 1) value = bytes[at++];
    else value = bytes[at++] * 256 + bytes[at++];
    // As in Pillow, where raw samples above the maximum are white, and plain ones an error.
    if (isPlain && value > maximum) {
      throw fail(start, `sample ${i} is ${value}, above the maximum ${maximum}; the file is damaged`);
    }
    pixels[i] = Math.min(255, Math.round((value * 255) / maximum));
  }
  return { width, height, channels, pixels };
}

/**
 * Reads a PGM file as {@link decodePixelMap} does.
 *
 * @throws DataError as decodePixelMap, and for a PPM
 */
export function decodePgm(bytes: Uint8Array, name: string): GrayImage {
  const { width, height, channels, pixels } = decodePixelMap(bytes, name);
  if (channels !== 1) throw new DataError(`${name}: byte 0: a PPM image, which has colours; convert it to PGM`);
  return { width, height, pixels };
}

/**
 * Writes a raw (P5) image with maximum 255.
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
