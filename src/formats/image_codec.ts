/** Decodes image files. Their pixels go through data/image_ops.ts before an experiment uses them. */
import { decode as decodeJpegPixels } from 'jpeg-js';
import { PNG } from 'pngjs';
import { DataError } from '../errors.ts';
import type { DecodedImage } from './image.ts';
import { decodePgm } from './pgm.ts';

const MAX_PIXELS = 40_000_000;
const MAX_JPEG_MEMORY = 1024; // MB; jpeg-js needs four bytes of coefficients per sample, and planes as well
/** Bytes; pngjs unpacks interlaced images without a bound, and deflate expands one byte to at most about a thousand. */
const MAX_INTERLACED_FILE = 2 ** 20;
const PNG_START = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/**
 * Decodes a PNG, a JPEG or a PGM, distinguished by their first bytes and not by the file's name. Alpha is dropped, 16 bits
 * become 8, palettes become colours, and JPEGs have three channels even if they are gray. Orientation tags are ignored, as
 * in Pillow. JPEG decoders agree within a few levels, not exactly.
 *
 * @param name the file, for messages
 * @throws DataError naming the file: empty, another format, truncated or damaged, more than 40 million pixels
 */
export function decodeImage(bytes: Uint8Array, name: string): DecodedImage {
  if (bytes.length === 0) throw new DataError(`${name}: byte 0: the file is empty; fetch it again`);
  if (PNG_START.every((byte, i) => bytes[i] === byte)) return decodePng(bytes, name);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return decodeJpeg(bytes, name);
  if (bytes[0] === 0x50 && (bytes[1] === 0x32 || bytes[1] === 0x35)) {
    return { ...decodePgm(bytes, name), channels: 1 };
  }
  const start = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new DataError(
    `${name}: byte 0: neither PNG, JPEG nor PGM (starts with ${start}); fetch it again, convert or remove it`,
  );
}

function decodePng(bytes: Uint8Array, name: string): DecodedImage {
  if (bytes.length < 29) throw new DataError(`${name}: byte ${bytes.length}: truncated PNG; fetch it again`);
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  checkSize(header.getUint32(16), header.getUint32(20), name);
  if (header.getUint8(28) !== 0 && bytes.length > MAX_INTERLACED_FILE) {
    throw new DataError(`${name}: byte 28: an interlaced PNG of more than 1 MiB; save it without interlacing`);
  }
  try {
    // In a browser pngjs contains its own Buffer class, which is accessible only through an image.
    const PngBuffer = new PNG({ width: 1, height: 1 }).data.constructor as typeof Buffer;
    const file = PngBuffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
    const { width, height, data } = PNG.sync.read(file);
    return dropAlpha(width, height, data);
  } catch (cause) {
    throw new DataError(`${name}: a truncated or damaged PNG (${firstLine(cause)}); fetch it again`, { cause });
  }
}

function decodeJpeg(bytes: Uint8Array, name: string): DecodedImage {
  try {
    const { width, height, data } = decodeJpegPixels(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      // Strict decoding fails on gray images with restart markers; a truncated file is an error in both modes.
      tolerantDecoding: true,
      maxResolutionInMP: MAX_PIXELS / 1e6,
      maxMemoryUsageInMB: MAX_JPEG_MEMORY,
    });
    checkSize(width, height, name);
    return { width, height, channels: 3, pixels: data };
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${name}: a truncated, damaged or too large JPEG (${firstLine(cause)}); fetch it again`, {
      cause,
    });
  }
}

function checkSize(width: number, height: number, name: string): void {
  if (!(width * height > 0 && width * height <= MAX_PIXELS)) {
    throw new DataError(`${name}: ${width}x${height} pixels are not 1 to ${MAX_PIXELS}; give an image of another size`);
  }
}

/** Converts RGBA to gray if every pixel is gray, otherwise to RGB. */
function dropAlpha(width: number, height: number, rgba: Uint8Array): DecodedImage {
  const count = width * height;
  let isGray = true;
  for (let i = 0; i < 4 * count && isGray; i += 4) isGray = rgba[i] === rgba[i + 1] && rgba[i] === rgba[i + 2];
  const channels = isGray ? 1 : 3;
  const pixels = new Uint8Array(count * channels);
  for (let i = 0; i < count; i++) {
    for (let channel = 0; channel < channels; channel++) pixels[i * channels + channel] = rgba[4 * i + channel];
  }
  return { width, height, channels, pixels };
}

function firstLine(error: unknown): string {
  return String((error as Error).message)
    .split('\n')[0]
    .slice(0, 100);
}
