/**
 * Decodes PNG files (https://www.w3.org/TR/png-3/). The size is checked before anything is unpacked, no more is unpacked
 * than the image needs, and pixels that the file lacks are an error.
 */
import { Inflate } from 'fflate';
import { DataError } from '../errors.ts';
import { crc32 } from './crc32.ts';
import { checkImageSize, type DecodedImage } from './image.ts';

export const PNG_START = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const GRAY = 0;
const RGB = 2;
const PALETTE = 3;
/** Colour types of the format, with their samples per pixel and the bits that a sample can have. */
const COLOUR_TYPES: Readonly<Record<number, { samples: number; depths: readonly number[] }>> = {
  [GRAY]: { samples: 1, depths: [1, 2, 4, 8, 16] },
  [RGB]: { samples: 3, depths: [8, 16] },
  [PALETTE]: { samples: 1, depths: [1, 2, 4, 8] },
  4: { samples: 2, depths: [8, 16] },
  6: { samples: 4, depths: [8, 16] },
};

/** Bytes of unpacked rows: 40 million pixels of 8 bits with alpha have as many, or 21 million of 16 bits. */
const MAX_UNPACKED = 170_000_000;
/** Compressed bytes that are unpacked in one step: deflate makes at most 1032 bytes of one, so a step makes at most 17 MB. */
const INFLATE_STEP = 2 ** 14;

interface Header {
  width: number;
  height: number;
  depth: number;
  colourType: number;
  interlaced: boolean;
}

/** A file with what is needed of it. */
interface PngFile extends Header {
  /** Red, green and blue of each entry; empty without a palette. */
  palette: Uint8Array;
  /** The zlib stream of all IDAT chunks. */
  data: Uint8Array;
  /** Whether the checksums of all IDAT chunks are right. */
  checked: boolean;
}

/** An image, or one of the seven parts of an interlaced image: every `step`th pixel from `x`, `y`. */
interface Pass {
  x: number;
  y: number;
  stepX: number;
  stepY: number;
  width: number;
  height: number;
}

/**
 * Decodes a PNG as Pillow does: alpha and the transparent colour of tRNS, gamma and profiles are ignored, as is everything
 * after the image data. 16 bits become 8, rounded; palettes become colours.
 *
 * @param name the file, for messages
 * @throws DataError naming the file: truncated, damaged, too large (see checkImageSize)
 */
export function decodePng(bytes: Uint8Array, name: string): DecodedImage {
  const file = readChunks(bytes, name);
  const { width, height, depth, colourType } = file;
  const { samples } = COLOUR_TYPES[colourType];
  const passes = file.interlaced ? interlacedPasses(width, height) : [wholeImage(width, height)];
  const rowBytes = (pass: Pass) => 1 + Math.ceil((pass.width * samples * depth) / 8);
  const scanlines = unpack(
    file,
    passes.reduce((sum, pass) => sum + rowBytes(pass) * pass.height, 0),
    name,
  );

  const channels = colourType === GRAY || colourType === 4 ? 1 : 3;
  const pixels = new Uint8Array(width * height * channels);
  const pixelBytes = Math.max(1, (samples * depth) / 8);
  let at = 0;
  for (const pass of passes) {
    const row = new Uint8Array(pass.width * samples);
    for (let y = 0; y < pass.height; y++, at += rowBytes(pass)) {
      const above = y === 0 ? undefined : scanlines.subarray(at - rowBytes(pass) + 1, at);
      const line = scanlines.subarray(at + 1, at + rowBytes(pass));
      unfilter(scanlines[at], line, above, pixelBytes, name);
      readSamples(line, row, depth, colourType !== PALETTE);
      const start = ((pass.y + y * pass.stepY) * width + pass.x) * channels;
      writeRow(row, pixels, start, pass.stepX * channels, file, name);
    }
  }
  return { width, height, channels, pixels };
}

function readChunks(bytes: Uint8Array, name: string): PngFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const damaged = (at: number, reason: string) =>
    new DataError(`${name}: byte ${at}: a damaged PNG, ${reason}; fetch it again`);
  let header: Header | undefined;
  let palette = new Uint8Array(0);
  const data = new Uint8Array(bytes.length);
  let used: number | undefined;
  let checked = true;
  let at = PNG_START.length;
  while (at + 8 <= bytes.length) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (used !== undefined && type !== 'IDAT') break;
    const content = bytes.subarray(at + 8, at + 8 + length);
    const end = at + 12 + length;
    const matches = end <= bytes.length && crc32(bytes.subarray(at + 4, end - 4)) === view.getUint32(end - 4);
    if (type === 'IDAT') {
      used ??= 0;
      data.set(content, used);
      used += content.length;
      checked &&= matches;
    } else {
      if (!/^[A-Za-z]{4}$/.test(type)) throw damaged(at, 'there is no chunk where one should begin');
      if (end > bytes.length) break;
      if (!matches) throw damaged(at, `the checksum of its chunk ${type} is wrong`);
      if (type === 'IHDR') {
        if (header || length !== 13) throw damaged(at, 'its header is not one of 13 bytes');
        header = readHeader(new DataView(bytes.buffer, content.byteOffset, length), name);
      }
      if (type === 'PLTE') palette = content.slice(0, 3 * 256);
      if (type === 'IEND') throw damaged(at, 'it has no image data');
    }
    at = end;
  }
  if (header && used !== undefined) return { ...header, palette, data: data.subarray(0, used), checked };
  throw new DataError(`${name}: byte ${bytes.length}: a truncated PNG; fetch it again`);
}

function readHeader(chunk: DataView, name: string): Header {
  const [width, height] = [chunk.getUint32(0), chunk.getUint32(4)];
  const [depth, colourType, compression, filter, interlace] = new Uint8Array(chunk.buffer, chunk.byteOffset + 8, 5);
  checkImageSize(width, height, name);
  if (!COLOUR_TYPES[colourType]?.depths.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1) {
    throw new DataError(
      `${name}: a PNG with colour type ${colourType}, ${depth} bits, compression ${compression}, filter ${filter} and interlacing ` +
        `${interlace}, which do not exist; fetch it again`,
    );
  }
  return { width, height, depth, colourType, interlaced: interlace === 1 };
}

/**
 * Unpacks the first `size` bytes of the image data. More are ignored; fewer are an error. The checksum of the unpacked
 * bytes also vouches for them, for files of programs that write wrong checksums of chunks.
 */
function unpack({ data, checked }: PngFile, size: number, name: string): Uint8Array {
  const damaged = (reason: string, cause?: unknown) =>
    new DataError(`${name}: a truncated or damaged PNG, ${reason}; fetch it again`, { cause });
  if (data.length < 2) throw damaged('its image data is missing');
  const isZlib = (data[0] & 0x0f) === 8 && (data[1] & 0x20) === 0 && (data[0] * 256 + data[1]) % 31 === 0;
  if (!isZlib) throw damaged('its image data is not compressed as PNG demands');
  if (size > MAX_UNPACKED) {
    throw new DataError(
      `${name}: a PNG of ${size} bytes, more than ${MAX_UNPACKED}; make it smaller or save it with 8 bits`,
    );
  }
  // Every byte of compressed data gives at most 1032 bytes.
  if (size > 1032 * data.length) throw damaged(`${data.length} bytes of image data are too few for its size`);

  const scanlines = new Uint8Array(size);
  let filled = 0;
  const inflate = new Inflate((part) => {
    scanlines.set(part.subarray(0, size - filled), filled);
    filled = Math.min(size, filled + part.length);
  });
  try {
    for (let at = 2; at < data.length && filled < size; at += INFLATE_STEP) {
      inflate.push(data.subarray(at, at + INFLATE_STEP));
    }
  } catch (cause) {
    throw damaged(`its image data cannot be unpacked (${(cause as Error).message})`, cause);
  }
  if (filled < size) throw damaged(`its image data ends after ${filled} of ${size} bytes`);
  const end = new DataView(data.buffer, data.byteOffset + data.length - 4, 4);
  if (!checked && adler32(scanlines) !== end.getUint32(0)) throw damaged('the checksum of its image data is wrong');
  return scanlines;
}

const wholeImage = (width: number, height: number): Pass => ({ x: 0, y: 0, stepX: 1, stepY: 1, width, height });

/** The passes of Adam7 that have pixels. */
function interlacedPasses(width: number, height: number): Pass[] {
  const grids = [
    [0, 0, 8, 8],
    [4, 0, 8, 8],
    [0, 4, 4, 8],
    [2, 0, 4, 4],
    [0, 2, 2, 4],
    [1, 0, 2, 2],
    [0, 1, 1, 2],
  ];
  return grids
    .map(([x, y, stepX, stepY]) => ({
      x,
      y,
      stepX,
      stepY,
      width: Math.ceil((width - x) / stepX),
      height: Math.ceil((height - y) / stepY),
    }))
    .filter((pass) => pass.width > 0 && pass.height > 0);
}

/** Reverses the filter of a row in place. @param above the row before, unfiltered @param step bytes per pixel, at least 1 */
function unfilter(filter: number, line: Uint8Array, above: Uint8Array | undefined, step: number, name: string): void {
  const { length } = line;
  if (filter === 1) {
    for (let i = step; i < length; i++) line[i] += line[i - step];
  } else if (filter === 2) {
    if (above) for (let i = 0; i < length; i++) line[i] += above[i];
  } else if (filter === 3) {
    for (let i = 0; i < length; i++) line[i] += ((i < step ? 0 : line[i - step]) + (above ? above[i] : 0)) >> 1;
  } else if (filter === 4) {
    for (let i = 0; i < length; i++) {
      const a = i < step ? 0 : line[i - step];
      const b = above ? above[i] : 0;
      const c = above && i >= step ? above[i - step] : 0;
      const toA = Math.abs(b - c);
      const toB = Math.abs(a - c);
      const toC = Math.abs(a + b - 2 * c);
      line[i] += toA <= toB && toA <= toC ? a : toB <= toC ? b : c;
    }
  } else if (filter !== 0) {
    throw new DataError(`${name}: a damaged PNG, a row has filter ${filter}, which does not exist; fetch it again`);
  }
}

/** Expands a row to one byte per sample. @param scale whether smaller samples are scaled to 0..255 */
function readSamples(line: Uint8Array, row: Uint8Array, depth: number, scale: boolean): void {
  if (depth === 8) {
    row.set(line);
  } else if (depth === 16) {
    // value x 255 / 65535, rounded to the nearest integer
    for (let i = 0; i < row.length; i++) row[i] = ((line[2 * i] * 256 + line[2 * i + 1]) * 255 + 0x807f) >> 16;
  } else {
    const most = 2 ** depth - 1;
    const factor = scale ? 255 / most : 1;
    for (let i = 0; i < row.length; i++) {
      const bit = i * depth;
      row[i] = ((line[bit >> 3] >> (8 - depth - (bit & 7))) & most) * factor;
    }
  }
}

/** Writes the samples of a row as gray or RGB pixels that lie `step` bytes apart. */
function writeRow(
  row: Uint8Array,
  pixels: Uint8Array,
  start: number,
  step: number,
  { colourType, palette }: PngFile,
  name: string,
): void {
  const { samples } = COLOUR_TYPES[colourType];
  const isColour = samples >= 3;
  for (let i = 0, at = start; i < row.length; i += samples, at += step) {
    if (colourType === PALETTE) {
      const entry = 3 * row[i];
      if (entry + 3 > palette.length) {
        throw new DataError(
          `${name}: a damaged PNG, a pixel has colour ${row[i]} of a palette of ${Math.floor(palette.length / 3)}; fetch it again`,
        );
      }
      for (let channel = 0; channel < 3; channel++) pixels[at + channel] = palette[entry + channel];
    } else {
      pixels[at] = row[i];
      if (isColour) {
        pixels[at + 1] = row[i + 1];
        pixels[at + 2] = row[i + 2];
      }
    }
  }
}

/** The checksum at the end of a zlib stream (https://www.rfc-editor.org/rfc/rfc1950). */
function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0];
  for (let i = 0; i < bytes.length; ) {
    // The sums of 3800 bytes stay below 2^32.
    for (const end = Math.min(i + 3800, bytes.length); i < end; i++) {
      a += bytes[i];
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return b * 65536 + a;
}
