/** Small image files for tests of decoders. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { zlibSync } from 'fflate';
import { compileJpegDecoder } from '../../src/data/node/images.ts';
import { DataError } from '../../src/errors.ts';
import { crc32 } from '../../src/formats/crc32.ts';
import type { DecodedImage } from '../../src/formats/image.ts';
import { decodeImage } from '../../src/formats/image_codec.ts';

export const CASES = fileURLToPath(new URL('../fixtures/cases', import.meta.url));

/** A file of test/fixtures/cases, for example `jpeg/plain.jpg`. */
export const caseFile = (path: string) => new Uint8Array(readFileSync(join(CASES, path)));

export const decode = (bytes: Uint8Array, name = 'a.jpg'): Promise<DecodedImage> =>
  decodeImage(bytes, name, compileJpegDecoder);

/** The image, or the message of the DataError; it must be one short line that says what to do. */
export async function attempt(bytes: Uint8Array): Promise<DecodedImage | string> {
  try {
    return await decode(bytes);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const { message } = error;
    if (/^a\.jpg: [ -~]+[;,] [ -~]+$/.test(message) && message.length < 300) return message;
    throw new Error(`not a line that says what to do: ${JSON.stringify(message)}`);
  }
}

/** The message with which a file is refused. */
export async function refusal(bytes: Uint8Array): Promise<string> {
  const outcome = await attempt(bytes);
  if (typeof outcome === 'string') return outcome;
  throw new Error('the input was accepted');
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export const text = (value: string) => new TextEncoder().encode(value);

/** A chunk of a PNG. @param checksum a wrong one, for tests */
export function chunk(type: string, data: Uint8Array, checksum?: number): Uint8Array {
  const body = concat(text(type), data);
  const whole = new Uint8Array(body.length + 8);
  const view = new DataView(whole.buffer);
  view.setUint32(0, data.length);
  whole.set(body, 4);
  view.setUint32(4 + body.length, checksum ?? crc32(body));
  return whole;
}

export function ihdr(width: number, height: number, depth: number, colourType: number, interlace = 0): Uint8Array {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  data.set([depth, colourType, 0, 0, interlace], 8);
  return chunk('IHDR', data);
}

/** A PNG of these chunks. */
export const png = (...chunks: readonly Uint8Array[]) =>
  concat(Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a), ...chunks);

/** Rows that begin with their filter, packed. */
export const idat = (rows: Uint8Array) => chunk('IDAT', zlibSync(rows));

export const END = chunk('IEND', new Uint8Array(0));
