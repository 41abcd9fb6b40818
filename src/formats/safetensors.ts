/**
 * Reads and writes safetensors files (https://huggingface.co/docs/safetensors): a u64 header length, a JSON header, then
 * the tensors' bytes. Tensors are copied as bytes, so the bits of every NaN survive. Numbers are little-endian, as on every
 * machine with WebGPU.
 */
import { DataError } from '../errors.ts';
import { printable } from '../printable.ts';
import { foreignFormat } from './foreign.ts';

const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  /** The bits of IEEE binary16. */
  F16: Uint16Array,
  /** The bits of bfloat16. */
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

/** Types of the format whose numbers no typed array holds, and their bits. Tensors of these types are not read. */
const UNREAD_BITS: ReadonlyMap<string, number> = new Map([
  ['C64', 64],
  ['F8_E4M3', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2', 8],
  ['F8_E5M2FNUZ', 8],
  ['F8_E8M0', 8],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['F4', 4],
]);

export type Dtype = keyof typeof ARRAYS;
export type TensorData = InstanceType<(typeof ARRAYS)[Dtype]>;

/** `data` has as many elements as the product of `shape`; `[]` is a scalar. */
export interface Tensor {
  dtype: Dtype;
  shape: number[];
  data: TensorData;
}

/** A tensor that is read from its file part by part. Its `data` are read as a whole, again at every use. */
export interface LazyTensor extends Tensor {
  /** The elements from `begin` up to `end`. The next call may overwrite those of a call that did not read all. */
  read(begin: number, end: number): TensorData;
}

/**
 * Memory for parts of a tensor that are read one after another: each overwrites the one before. With new memory for every part, a large
 * file would leave garbage faster than it is collected.
 */
export class PartMemory {
  #buffer = new ArrayBuffer(0);

  /** An array of any content. @param length elements */
  array(dtype: Dtype, length: number): TensorData {
    const bytes = length * itemSize(dtype);
    if (this.#buffer.byteLength < bytes) this.#buffer = new ArrayBuffer(bytes);
    return typedArray(dtype, this.#buffer, 0, length);
  }
}

/** Elements of a lazy tensor that are in memory together: 1 MiB of float32. */
const PART = 2 ** 18;

export interface Safetensors {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
  /** Types and shapes of the tensors that are not read: complex numbers, and floats of 8 bits and fewer. */
  unread: Map<string, { readonly dtype: string; readonly shape: number[] }>;
}

/** A header of 100,000 tensors is about a third of this; the reference implementation allows three times as much. */
const MAX_HEADER = 2 ** 25;
/** Objects and lists of a header; a tensor has three. */
const MAX_CONTAINERS = 2 ** 19;
const METADATA = '__metadata__';

/** The typed array of an element type over a buffer: the whole of it, or `length` elements from an aligned offset on. */
export function typedArray(dtype: Dtype, buffer: ArrayBufferLike, byteOffset = 0, length?: number): TensorData {
  return new ARRAYS[dtype](buffer as ArrayBuffer, byteOffset, length);
}

/** True if the bytes begin as a safetensors file does: eight bytes, and then an object of JSON. */
export function isSafetensors(bytes: Uint8Array): boolean {
  const begin = new TextDecoder().decode(bytes.subarray(8, 64));
  return /^\s*\{\s*["}]/.test(begin);
}

/**
 * Reads a whole file. Tensors are in the order of their bytes; their data are copies. As in the reference implementation,
 * the tensors must fill the data exactly, without overlaps, gaps or trailing bytes, and metadata of null are none.
 *
 * @param name the file, for messages
 * @throws DataError (file, and key or offset) for any other content
 */
export function readSafetensors(bytes: Uint8Array, name: string): Safetensors {
  const { entries, metadata, dataStart } = readHeader(bytes, name);
  const dataLength = bytes.length - dataStart;
  const layouts = entries.map(([key, entry]) => readEntry(key, entry, dataLength, `${name}: key ${printable(key)}`));
  layouts.sort((a, b) => a.begin - b.begin || a.end - b.end);

  const tensors: Safetensors['tensors'] = new Map();
  const unread: Safetensors['unread'] = new Map();
  let covered = 0;
  for (const { key, dtype, shape, begin, end } of layouts) {
    if (begin !== covered) {
      const problem =
        begin < covered
          ? 'overlaps the tensor before it, which ends'
          : 'leaves a gap after the tensor before it, which ends';
      throw new DataError(
        `${name}: key ${printable(key)}: begins at data offset ${begin}, ${problem} at ${covered}; write it again`,
      );
    }
    covered = end;
    if (!isDtype(dtype)) {
      unread.set(key, { dtype, shape });
      continue;
    }
    // A fresh copy: the bytes may be unaligned, and `slice` of a Node Buffer would only be a view.
    const copy = new Uint8Array(end - begin);
    copy.set(bytes.subarray(dataStart + begin, dataStart + end));
    tensors.set(key, { dtype, shape, data: typedArray(dtype, copy.buffer) });
  }
  if (covered !== dataLength) {
    throw new DataError(
      `${name}: byte ${dataStart + covered}: ${dataLength - covered} bytes belong to no tensor; the file is damaged`,
    );
  }
  return { tensors, metadata, unread };
}

/** Reads the header alone. @throws DataError */
function readHeader(bytes: Uint8Array, name: string) {
  const format = isSafetensors(bytes) ? undefined : foreignFormat(bytes, 'network');
  if (format) throw new DataError(`${name}: ${format.name}, not a safetensors file; ${format.advice}`);
  if (bytes.length < 8) {
    throw new DataError(`${name}: byte 0: ${bytes.length} bytes are too few for a safetensors file; fetch it again`);
  }
  const headerLength = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const dataStart = 8 + headerLength;
  if (headerLength > MAX_HEADER || dataStart > bytes.length) {
    throw new DataError(
      `${name}: byte 0: header of ${headerLength} bytes in a file of ${bytes.length}; truncated or not safetensors`,
    );
  }
  const { [METADATA]: stated, ...entries } = parseHeader(bytes.subarray(8, dataStart), name);
  const metadata = stated ?? {};
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === 'string')) {
    throw new DataError(`${name}: key ${METADATA}: not a map of strings; write it again`);
  }
  return { entries: Object.entries(entries), metadata: metadata as Record<string, string>, dataStart };
}

/**
 * Writes a file that `readSafetensors` and the reference implementation read: header padded with spaces to a multiple
 * of 8 bytes, wider element types first so that every tensor is aligned, otherwise in the map's order.
 *
 * @throws DataError when a tensor's data do not fit its dtype and shape, or a key is reserved
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const { start, ordered, length } = layOut(tensors, metadata);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of fileParts(start, ordered)) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * The bytes of {@link writeSafetensors} in several parts, for files that should not be in memory twice: the header, then every
 * tensor in its own memory, and lazy tensors part by part.
 *
 * @throws DataError as writeSafetensors does
 */
export function safetensorsParts(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Iterable<Uint8Array<ArrayBuffer>> {
  const { start, ordered } = layOut(tensors, metadata);
  return fileParts(start, ordered);
}

function* fileParts(start: Uint8Array<ArrayBuffer>, tensors: readonly Tensor[]) {
  yield start;
  for (const tensor of tensors) {
    for (const { buffer, byteOffset, byteLength } of dataParts(tensor)) {
      yield new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
    }
  }
}

/** The elements of a tensor: all together, or those of a lazy one part by part. */
function* dataParts(tensor: Tensor): Generator<TensorData> {
  if (!isLazy(tensor)) {
    yield tensor.data;
    return;
  }
  const count = elementCount(tensor.shape);
  for (let begin = 0; begin < count; begin += PART) yield tensor.read(begin, Math.min(count, begin + PART));
}

/** The header of a file, its tensors in their order, and the length of the file. @throws DataError */
function layOut(tensors: ReadonlyMap<string, Tensor>, metadata: Readonly<Record<string, string>>) {
  const ordered = [...tensors].sort(([, a], [, b]) => itemSize(b.dtype) - itemSize(a.dtype));
  let end = 0;
  const entries = ordered.map(([key, tensor]) => {
    const { dtype, shape } = tensor;
    if (key === METADATA) throw new DataError(`safetensors: key ${key} is reserved; rename the tensor`);
    const data = isLazy(tensor) ? undefined : tensor.data;
    if (data && (!(data instanceof ARRAYS[dtype]) || elementCount(shape) !== data.length)) {
      throw new DataError(
        `safetensors: key ${key}: a ${data.constructor.name} of ${data.length} is not ${dtype} [${shape}]; ` +
          `give a ${ARRAYS[dtype].name} of ${elementCount(shape)}`,
      );
    }
    const begin = end;
    end += elementCount(shape) * itemSize(dtype);
    return [key, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const header = Object.keys(metadata).length > 0 ? [[METADATA, metadata] as const, ...entries] : entries;
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries<unknown>(header)));
  const headerLength = Math.ceil(json.length / 8) * 8;

  const start = new Uint8Array(8 + headerLength);
  new DataView(start.buffer).setBigUint64(0, BigInt(headerLength), true);
  start.fill(0x20, 8);
  start.set(json, 8);
  return { start, ordered: ordered.map(([, tensor]) => tensor), length: start.length + end };
}

/** One array with the bytes of all parts, in their order. */
export function concatenated(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * Refuses a tensor with a NaN or an infinity, which it detects by their bits (exponent all ones). Integers always pass.
 *
 * @throws DataError naming file, key and element index
 */
export function requireFinite(tensor: Tensor, name: string, key: string): void {
  const exponent = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 }[tensor.dtype as string];
  if (exponent === undefined) return;
  let first = 0;
  for (const data of dataParts(tensor)) {
    const { buffer, byteOffset, length } = data;
    const bits = tensor.dtype === 'F32' ? new Uint32Array(buffer, byteOffset, length) : (data as Uint16Array);
    for (let i = 0; i < length; i++) {
      if ((bits[i] & exponent) === exponent) {
        const hex = bits[i].toString(16).padStart(tensor.dtype === 'F32' ? 8 : 4, '0');
        throw new DataError(
          `${name}: key ${key}: element ${first + i} is not finite (0x${hex}); train or export it again`,
        );
      }
    }
    first += length;
  }
}

function parseHeader(bytes: Uint8Array, name: string): Record<string, unknown> {
  let containers = 0;
  for (const byte of bytes) if (byte === 0x5b || byte === 0x7b) containers++;
  if (containers > MAX_CONTAINERS) {
    throw new DataError(`${name}: byte 8: the header has more lists than any model; damaged or not safetensors`);
  }
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw new DataError(`${name}: byte 8: the header is not JSON; damaged or not safetensors`, { cause });
  }
  if (!isRecord(header)) throw new DataError(`${name}: byte 8: the header is not an object; not safetensors`);
  return header;
}

function readEntry(key: string, entry: unknown, dataLength: number, where: string) {
  const { dtype, shape, data_offsets: offsets } = isRecord(entry) ? entry : {};
  const shown = (value: unknown) => printable(String(JSON.stringify(value)));
  const bits = isDtype(dtype) ? 8 * itemSize(dtype) : UNREAD_BITS.get(dtype as string);
  if (bits === undefined) {
    const known = Object.keys(ARRAYS).join(', ');
    throw new DataError(`${where}: dtype ${printable(String(dtype))} is not one of ${known}; convert the tensor`);
  }
  if (!isCountList(shape)) {
    throw new DataError(`${where}: shape ${shown(shape)} is not a list of sizes; write it again`);
  }
  if (!isCountList(offsets) || offsets.length !== 2 || offsets[0] > offsets[1] || offsets[1] > dataLength) {
    throw new DataError(
      `${where}: data offsets ${shown(offsets)} are not a range within the file's ${dataLength} data bytes; ` +
        'truncated or damaged, fetch it again',
    );
  }
  const [begin, end] = offsets;
  const needed = (elementCount(shape) * bits) / 8;
  if (needed !== end - begin) {
    const size = `[${printable(shape.join(','))}]`;
    throw new DataError(
      `${where}: ${dtype} ${size} needs ${needed} bytes, its data offsets hold ${end - begin}; write it again`,
    );
  }
  return { key, dtype: dtype as string, shape, begin, end };
}

const isLazy = (tensor: Tensor): tensor is LazyTensor => 'read' in tensor;
const isDtype = (dtype: unknown): dtype is Dtype => typeof dtype === 'string' && Object.hasOwn(ARRAYS, dtype);
/** Bytes per element. */
export const itemSize = (dtype: Dtype) => ARRAYS[dtype].BYTES_PER_ELEMENT;
const elementCount = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCountList = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
