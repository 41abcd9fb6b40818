/** Tensors of ONNX files: their elements as bytes, as numbers of variable length, or in a file beside. */
import { PbfReader } from 'pbf';
import { DataError } from '../errors.ts';
import { printable } from '../printable.ts';
import type { ExternalFiles } from './external_files.ts';
import {
  addIntegers,
  bytesOf,
  fixed32Of,
  fixed64Of,
  integerOf,
  readMessage,
  type Source,
  textOf,
  varintsOf,
} from './protobuf.ts';
import { concatenated, type Dtype, itemSize, PartMemory, type TensorData, typedArray } from './safetensors.ts';
import { guardReading } from './stored_tensor.ts';

/** Element types by their numbers in files (TensorProto.DataType): names of safetensors where they can be read, else ONNX's. */
const ELEMENT_TYPES: ReadonlyMap<number, Dtype | string> = new Map([
  [1, 'F32'],
  [2, 'U8'],
  [3, 'I8'],
  [4, 'U16'],
  [5, 'I16'],
  [6, 'I32'],
  [7, 'I64'],
  [8, 'string'],
  [9, 'BOOL'],
  [10, 'F16'],
  [11, 'F64'],
  [12, 'U32'],
  [13, 'U64'],
  [14, 'complex64'],
  [15, 'complex128'],
  [16, 'BF16'],
  [17, 'float8e4m3fn'],
  [18, 'float8e4m3fnuz'],
  [19, 'float8e5m2'],
  [20, 'float8e5m2fnuz'],
  [21, 'uint4'],
  [22, 'int4'],
  [23, 'float4e2m1'],
]);

const READABLE: ReadonlySet<string> = new Set([
  'F64',
  'F32',
  'F16',
  'BF16',
  'I64',
  'I32',
  'I16',
  'I8',
  'U64',
  'U32',
  'U16',
  'U8',
  'BOOL',
]);

/** NumPy allows 64 dimensions. */
const MAX_RANK = 64;
/** Elements of a tensor; more do not fit into any file that is read. */
const MAX_ELEMENTS = 2 ** 32;

/** The name of an element type: safetensors' where its tensors are read, else ONNX's. */
export function elementType(number: number): string {
  return ELEMENT_TYPES.get(number) ?? `type ${number}`;
}

/** A tensor of a file. Its elements are read on demand, and viewed without a copy where they are aligned. */
export interface OnnxTensor {
  readonly name: string;
  /** As safetensors files call it, or ONNX's name of a type that is not read. */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Number of elements. */
  readonly count: number;
  /**
   * The elements from `begin` up to `end`, by default all of them. The next call may overwrite those of a call that did not read all.
   * @throws DataError if their type is not read, or there are fewer or more of them than the shape says
   */
  read(begin?: number, end?: number): TensorData;
}

/** A file whose tensors are read. */
export interface TensorSource extends Source {
  readonly external: ExternalFiles;
  /** Files of tensors that are not there. */
  readonly missing: Set<string>;
}

/** Where the elements of a tensor are. */
type Elements =
  /** Little-endian, without gaps. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** As protocol buffers write integers; half floats are the integers of their bits. */
  | { readonly kind: 'varints'; readonly parts: readonly Uint8Array[] };

/** A key and its value. */
export function readEntry(source: Source, bytes: Uint8Array): [key: string, value: string] {
  let key = '';
  let value = '';
  readMessage(source, bytes, 'entry', (field, reader) => {
    if (field === 1) key = textOf(source, reader);
    else if (field === 2) value = textOf(source, reader);
  });
  return [key, value];
}

/** A tensor of a message. @throws DataError */
export function readTensor(source: TensorSource, bytes: Uint8Array): OnnxTensor {
  let name = '';
  let type = 0;
  const shape: number[] = [];
  let raw: Uint8Array | undefined;
  const floats: Uint8Array[] = [];
  const varints: Uint8Array[] = [];
  let isExternal = false;
  let isSegment = false;
  const external = new Map<string, string>();
  readMessage(source, bytes, 'tensor', (field, reader) => {
    if (field === 1) addIntegers(source, reader, shape);
    else if (field === 2) type = integerOf(source, reader);
    else if (field === 3) isSegment = true;
    else if (field === 4) floats.push(fixed32Of(source, reader));
    else if (field === 10) floats.push(fixed64Of(source, reader));
    else if (field === 5 || field === 7 || field === 11) varints.push(varintsOf(source, reader));
    else if (field === 8) name = textOf(source, reader);
    else if (field === 9) raw = bytesOf(source, reader);
    else if (field === 13) external.set(...readEntry(source, bytesOf(source, reader)));
    else if (field === 14) isExternal = integerOf(source, reader) === 1;
  });
  const where = `${source.file}: tensor ${printable(name, 60) || 'without a name'}`;
  if (isSegment) throw new DataError(`${where}: it is stored in segments, which are not read; export it again`);
  if (isExternal) {
    const count = shape.reduce((product, size) => product * size, 1);
    const found = externalBytes(source, external, where);
    // The tensor of a file that is not there is replaced by an empty one; all such files are named together later.
    return found
      ? onnxTensor(name, type, shape, { kind: 'bytes', bytes: found }, where)
      : onnxTensor(name, type, [0], { kind: 'bytes', bytes: new Uint8Array() }, `${where} [${count}]`);
  }
  let elements: Elements;
  if (raw || varints.length === 0)
    elements = { kind: 'bytes', bytes: raw ?? (floats.length === 1 ? floats[0] : concatenated(floats)) };
  else elements = { kind: 'varints', parts: varints };
  return onnxTensor(name, type, shape, elements, where);
}

/** The bytes of a tensor in another file; undefined if there is no such file. @throws DataError */
function externalBytes(
  source: TensorSource,
  entries: ReadonlyMap<string, string>,
  where: string,
): Uint8Array | undefined {
  const location = (entries.get('location') ?? '').replace(/^(\.\/)+/, '');
  const parts = location.split('/');
  if (location === '' || /[\\:\0]/.test(location) || parts.includes('') || parts.includes('..')) {
    throw new DataError(
      `${where}: its file ${JSON.stringify(printable(location, 80))} is not in the folder of the network; export it again`,
    );
  }
  const bytes = source.external(location);
  if (!bytes) {
    source.missing.add(location);
    return undefined;
  }
  const offset = Number(entries.get('offset') ?? 0);
  const length = Number(entries.get('length') ?? bytes.length - offset);
  const isCount = (n: number) => Number.isSafeInteger(n) && n >= 0;
  if (!isCount(offset) || !isCount(length) || offset + length > bytes.length) {
    throw new DataError(
      `${where}: it is bytes ${offset} to ${offset + length} of ${printable(location, 60)}, which has ${bytes.length}; ` +
        'fetch both files again',
    );
  }
  return bytes.subarray(offset, offset + length);
}

/**
 * A tensor of these elements.
 * @param where file and tensor, for messages
 * @throws DataError for sizes that are none, and for bytes that are fewer or more than the shape says
 */
function onnxTensor(
  name: string,
  type: number,
  shape: readonly number[],
  elements: Elements,
  where: string,
): OnnxTensor {
  const dtype = elementType(type);
  const count = shape.reduce((product, size) => product * size, 1);
  if (shape.length > MAX_RANK || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new DataError(`${where}: its shape [${shown(shape)}] is not a list of sizes; the file is damaged`);
  }
  if (!(count <= MAX_ELEMENTS)) {
    throw new DataError(`${where}: its shape [${shown(shape)}] has more elements than a file; the file is damaged`);
  }
  if (!isReadable(dtype)) {
    const read = () => {
      throw new DataError(`${where}: tensors of ${dtype} are not read; export the network with float weights`);
    };
    return { name, dtype, shape, count, read };
  }
  if (elements.kind === 'varints') {
    return {
      name,
      dtype,
      shape,
      count,
      read: (begin, end) => guardReading(where, () => readVarints(dtype, count, elements.parts, where, begin, end)),
    };
  }
  const { bytes } = elements;
  if (bytes.length !== count * itemSize(dtype)) {
    throw new DataError(
      `${where}: ${dtype} [${shown(shape)}] needs ${count * itemSize(dtype)} bytes, the file has ${bytes.length}; ` +
        'it is damaged, fetch it again',
    );
  }
  const memory = new PartMemory();
  const read = (begin = 0, end = count) =>
    viewed(
      dtype,
      bytes.subarray(begin * itemSize(dtype), end * itemSize(dtype)),
      end - begin < count ? memory : undefined,
    );
  return { name, dtype, shape, count, read };
}

const isReadable = (dtype: string): dtype is Dtype => READABLE.has(dtype);
const shown = (shape: readonly number[]) => printable(shape.slice(0, 8).join(','), 60);

/** Elements as a view of the bytes if they are aligned, else as a copy. @param memory of the copy; by default its own */
function viewed(dtype: Dtype, bytes: Uint8Array, memory = new PartMemory()): TensorData {
  const length = bytes.length / itemSize(dtype);
  if (bytes.byteOffset % itemSize(dtype) === 0) return typedArray(dtype, bytes.buffer, bytes.byteOffset, length);
  const copy = memory.array(dtype, length);
  new Uint8Array(copy.buffer).set(bytes);
  return copy;
}

const BIGGEST = 2n ** 63n - 1n;

function readVarints(
  dtype: Dtype,
  count: number,
  parts: readonly Uint8Array[],
  where: string,
  begin = 0,
  end = count,
): TensorData {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  const wrong = (has: string) =>
    new DataError(`${where}: needs ${count} elements, the file has ${has}; it is damaged, fetch it again`);
  // A number takes a byte at least: this bounds the memory by the size of the file.
  if (count > total) throw wrong(`at most ${total}`);
  const all = typedArray(dtype, new ArrayBuffer(count * itemSize(dtype)));
  let at = 0;
  for (const part of parts) {
    const reader = new PbfReader(part);
    while (reader.pos < part.length) {
      const value = reader.readVarint(true);
      if (reader.pos > part.length || at === count) throw wrong(at === count ? 'more' : 'a part of one');
      if (all instanceof BigInt64Array || all instanceof BigUint64Array) {
        // The largest integer of 64 bits is rounded to 2^63 as a float.
        const whole = BigInt(value);
        all[at++] = whole > BIGGEST ? BIGGEST : whole;
      } else {
        all[at++] = value;
      }
    }
  }
  if (at !== count) throw wrong(String(at));
  return begin === 0 && end === count ? all : all.subarray(begin, end);
}
