/**
 * Decodes JPEG files (ITU-T T.81). The pixels come from libjpeg-turbo, the decoder of Pillow and of browsers, compiled to
 * WebAssembly; it does not convert CMYK, which jpeg-js does. This file reads the headers: it names what neither decodes,
 * bounds time and memory before anything is decoded, and finds where the file was cut.
 */
import { DataError } from '../errors.ts';
import { checkImageSize, type DecodedImage } from './image.ts';

/** Compiles the decoder: the file @jsquash/jpeg/codec/dec/mozjpeg_dec.wasm. Called for the first JPEG. */
export type JpegDecoderSource = () => Promise<WebAssembly.Module>;

/** Cameras and encoders write up to about 15 scans; this is the limit with which libjpeg-turbo itself is fuzzed. */
const MAX_SCANS = 500;
/**
 * Blocks of 8 x 8 samples that all scans visit together, which takes up to 1.5 s. Encoders visit at most about 20 times as
 * many blocks as a component has, which is 12.5 million for 40 million pixels.
 */
const MAX_BLOCK_VISITS = 2 ** 24;
/** jpeg-js needs about 55 bytes per pixel of CMYK. */
const MAX_CMYK_PIXELS = 8_000_000;
/** WebAssembly never returns memory: after a larger image the decoder is opened anew. */
const KEPT_PIXELS = 4_000_000;

const START_OF_IMAGE = 0xd8;
const END_OF_IMAGE = 0xd9;
const START_OF_SCAN = 0xda;
const ARITHMETIC = 'with arithmetic coding';
const LOSSLESS = 'of the lossless kind';
const HIERARCHICAL = 'of the hierarchical kind';
/** Frames that are not decoded; 0xc0 to 0xc2 are. 0xc4, 0xc8 and 0xcc are no frames. */
const OTHER_FRAMES = new Map([
  [0xc3, LOSSLESS],
  ...[0xc5, 0xc6, 0xc7].map((marker) => [marker, HIERARCHICAL] as const),
  ...[0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf].map((marker) => [marker, ARITHMETIC] as const),
]);

/** The segment APP14 of Adobe: version 100, no flags, no transform. */
const ADOBE_CMYK = Uint8Array.of(0xff, 0xee, 0, 14, ...new TextEncoder().encode('Adobe'), 0, 100, 0, 0, 0, 0, 0);

interface Frame {
  width: number;
  height: number;
  components: number;
  /** Blocks of 8 x 8 samples of each component, by its identifier. */
  blocks: ReadonlyMap<number, number>;
}

interface JpegFile extends Frame {
  /** The file without bytes that belong to no segment. */
  data: Uint8Array;
}

/**
 * Decodes a JPEG as Pillow does: orientation tags, profiles, and bytes between and after the segments are ignored. A gray
 * JPEG has one channel.
 *
 * @param name the file, for messages
 * @throws DataError naming the file: truncated, damaged, of a kind that is not decoded, too large (see checkImageSize)
 */
export async function decodeJpeg(bytes: Uint8Array, name: string, source: JpegDecoderSource): Promise<DecodedImage> {
  const file = readSegments(bytes, name);
  return file.components === 4 ? decodeCmyk(file, name) : decodeWithLibjpeg(file, name, source);
}

function readSegments(bytes: Uint8Array, name: string): JpegFile {
  const truncated = () => new DataError(`${name}: byte ${bytes.length}: a truncated JPEG; fetch it again`);
  const damaged = (at: number, reason: string) =>
    new DataError(`${name}: byte ${at}: a damaged JPEG, ${reason}; fetch it again`);
  if (bytes.length < 3) throw truncated();
  if (bytes[2] !== 0xff) throw damaged(2, 'no segment follows its first two bytes');
  const data = new Uint8Array(bytes.length);
  let used = 0;
  const keep = (start: number, end: number) => {
    data.set(bytes.subarray(start, end), used);
    used += end - start;
  };
  keep(0, 2);
  let frame: Frame | undefined;
  let scans = 0;
  let scanBytes = 0;
  let visits = 0;
  for (let at = 2; ; ) {
    at = bytes.indexOf(0xff, at);
    while (at >= 0 && bytes[at + 1] === 0xff) at++;
    if (at < 0 || at + 1 >= bytes.length) throw truncated();
    const marker = bytes[at + 1];
    if (marker === END_OF_IMAGE) {
      keep(at, at + 2);
      break;
    }
    if (marker === START_OF_IMAGE) throw damaged(at, 'another image begins in it');
    // A stuffed zero, a restart marker and TEM (1) have no content; outside of a scan they mean nothing.
    if (marker <= 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
      at += 2;
      continue;
    }
    if (at + 4 > bytes.length) throw truncated();
    const length = bytes[at + 2] * 256 + bytes[at + 3];
    if (length < 2) throw damaged(at, `a segment has ${length} bytes`);
    let end = at + 2 + length;
    if (end > bytes.length) throw truncated();
    const kind = OTHER_FRAMES.get(marker);
    if (kind) {
      throw new DataError(`${name}: byte ${at}: a JPEG ${kind}, which is not read; save it as baseline JPEG or PNG`);
    }
    if (marker >= 0xc0 && marker <= 0xc2) {
      if (frame) throw damaged(at, 'it has two headers');
      frame = readFrame(bytes.subarray(at + 4, end), name, (reason) => damaged(at, reason));
    }
    if (marker === START_OF_SCAN) {
      if (!frame) throw damaged(at, 'its pixels begin before their size');
      const components = bytes.subarray(at + 5, at + 5 + 2 * bytes[at + 4]).filter((_, i) => i % 2 === 0);
      for (const component of components) visits += frame.blocks.get(component) ?? 0;
      if (++scans > MAX_SCANS || visits > MAX_BLOCK_VISITS) {
        throw new DataError(`${name}: byte ${at}: a JPEG with too many scans for its size; save it anew`);
      }
      const start = end;
      end = endOfScan(bytes, end);
      if (end < 0) throw truncated();
      scanBytes += end - start;
    }
    keep(at, end);
    at = end;
  }
  if (!frame || scans === 0) throw damaged(bytes.length, 'it has no pixels');
  // The code of every block has at least one bit.
  const blocks = [...frame.blocks.values()].reduce((sum, count) => sum + count, 0);
  if (blocks > 8 * scanBytes) throw truncated();
  return { ...frame, data: data.subarray(0, used) };
}

/** The offset of the marker that ends a scan, or -1. Inside a scan 0xff is followed by 0 or by a restart marker. */
function endOfScan(bytes: Uint8Array, start: number): number {
  for (let at = bytes.indexOf(0xff, start); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const next = bytes[at + 1];
    if (next !== 0 && next !== 0xff && (next < 0xd0 || next > 0xd7)) return at;
  }
  return -1;
}

function readFrame(content: Uint8Array, name: string, damaged: (reason: string) => DataError): Frame {
  const [precision, heightHigh, heightLow, widthHigh, widthLow, components] = content;
  if (content.length < 6 || content.length < 6 + 3 * components) throw damaged('its header is too short');
  if (precision !== 8) {
    throw new DataError(
      `${name}: a JPEG of ${precision} bits per sample, which is not read; save it with 8 bits or as PNG`,
    );
  }
  if (components !== 1 && components !== 3 && components !== 4) throw damaged(`it has ${components} components`);
  const width = widthHigh * 256 + widthLow;
  const height = heightHigh * 256 + heightLow;
  checkImageSize(width, height, name);
  if (components === 4 && width * height > MAX_CMYK_PIXELS) {
    throw new DataError(
      `${name}: a CMYK JPEG of ${width}x${height}, more than ${MAX_CMYK_PIXELS} pixels; make it smaller or convert it to RGB`,
    );
  }
  const sampling = Array.from({ length: components }, (_, i) => content[6 + 3 * i + 1]);
  const across = sampling.map((factors) => factors >> 4);
  const down = sampling.map((factors) => factors & 0x0f);
  if ([...across, ...down].some((factor) => factor < 1 || factor > 4)) throw damaged('a sampling factor is not 1..4');
  const blocks = new Map<number, number>();
  for (let i = 0; i < components; i++) {
    const columns = Math.ceil((width * across[i]) / (8 * Math.max(...across)));
    blocks.set(content[6 + 3 * i], columns * Math.ceil((height * down[i]) / (8 * Math.max(...down))));
  }
  return { width, height, components, blocks };
}

/** The decoder of @jsquash/jpeg. */
interface Libjpeg {
  /** Gives RGBA pixels; ends its module by an exception when a file cannot be decoded. */
  readonly module: { decode(data: Uint8Array, preserveOrientation: boolean): ImageData | null };
  /** What libjpeg said about the file: the first of its warnings, then its error. */
  readonly messages: string[];
}

let libjpeg: Promise<Libjpeg> | undefined;
let compiled: Promise<WebAssembly.Module> | undefined;

async function openLibjpeg(source: JpegDecoderSource): Promise<Libjpeg> {
  compiled ??= source();
  const [{ default: open }, wasm] = await Promise.all([import('@jsquash/jpeg/codec/dec/mozjpeg_dec.js'), compiled]);
  const messages: string[] = [];
  const options = {
    noInitialRun: true,
    printErr: (message: string) => messages.push(message),
    instantiateWasm: (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) => {
      const instance = new WebAssembly.Instance(wasm, imports);
      done(instance);
      return instance.exports;
    },
  };
  return { module: (await open(options as object)) as unknown as Libjpeg['module'], messages };
}

async function decodeWithLibjpeg(file: JpegFile, name: string, source: JpegDecoderSource): Promise<DecodedImage> {
  libjpeg ??= openLibjpeg(source).catch((error) => {
    libjpeg = compiled = undefined;
    throw error;
  });
  const { module, messages } = await libjpeg;
  messages.length = 0;
  let decoded: ImageData | null;
  try {
    decoded = module.decode(file.data, false);
  } catch (cause) {
    libjpeg = undefined;
    // The last message is the error; warnings come before it.
    throw damagedJpeg(name, messages.at(-1) ?? (cause as Error).message, cause);
  }
  if (file.width * file.height > KEPT_PIXELS) libjpeg = undefined;
  // Other warnings are about bytes that no pixel depends on.
  const warning = messages.find((message) => /premature end|bad Huffman code|instead of RST/.test(message));
  if (!decoded || warning) throw damagedJpeg(name, warning ?? 'no pixels');
  const rgba = decoded.data;
  const { width, height } = file;
  const channels = file.components === 1 ? 1 : 3;
  // The pixels are moved together in place: a large image needs no second buffer.
  const pixels = new Uint8Array(rgba.buffer, rgba.byteOffset, width * height * channels);
  for (let i = 0, at = 0; at < pixels.length; i += 4) {
    for (let channel = 0; channel < channels; channel++) pixels[at++] = rgba[i + channel];
  }
  return { width, height, channels, pixels };
}

/** Samples of colours that were stored at a lower resolution are repeated, not interpolated as Pillow does. */
async function decodeCmyk(file: JpegFile, name: string): Promise<DecodedImage> {
  const { decode } = await import('jpeg-js');
  // jpeg-js demands an Adobe segment. Without one, Pillow too takes the colours to be CMYK, inverted as Adobe writes them.
  const segments = new Uint8Array(file.data.length + ADOBE_CMYK.length);
  segments.set(file.data.subarray(0, 2));
  segments.set(ADOBE_CMYK, 2);
  segments.set(file.data.subarray(2), 2 + ADOBE_CMYK.length);
  try {
    const { width, height, data } = decode(segments, {
      useTArray: true,
      formatAsRGBA: false,
      maxMemoryUsageInMB: 1024,
    });
    return { width, height, channels: 3, pixels: data };
  } catch (cause) {
    // jpeg-js uses tables without checking that the file has them.
    throw damagedJpeg(name, cause instanceof TypeError ? 'a table is missing' : (cause as Error).message, cause);
  }
}

function damagedJpeg(name: string, reason: string, cause?: unknown): DataError {
  const line = reason.split('\n')[0].slice(0, 100);
  return new DataError(`${name}: a truncated or damaged JPEG (${line}); fetch it again`, { cause });
}
