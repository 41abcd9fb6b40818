/** 8-bit PNG files, gray or RGB (https://www.w3.org/TR/png-3/) for pictures in figures, without pngjs, which needs Node's zlib. */

import { zlibSync } from 'fflate';
import { crc32 } from '../formats/crc32.ts';
import type { Channels } from '../image_size.ts';

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** Encodes pixels as a PNG file. @param pixels [height, width, channels], row-major */
export function encodePng(
  pixels: Uint8Array,
  width: number,
  height: number,
  channels: Channels = 1,
): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  // Bits per value, then the colour type: 0 is gray, 2 is RGB.
  header[8] = 8;
  header[9] = channels === 1 ? 0 : 2;
  // Every row begins with its filter type, 0 (none).
  const line = width * channels;
  const rows = new Uint8Array(height * (line + 1));
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * line, (y + 1) * line), y * (line + 1) + 1);
  const signature = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [signature, chunk('IHDR', header), chunk('IDAT', zlibSync(rows)), chunk('IEND', new Uint8Array(0))];
  const file = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}
