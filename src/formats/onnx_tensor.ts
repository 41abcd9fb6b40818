/** Tensors of ONNX files: their elements as bytes, as numbers of variable length, or in a file beside. */
import { PbfReader } from 'pbf';
import { DataError } from '../errors.ts';
import { printable } from '../printable.ts';
import { type Dtype, itemSize, type TensorData, typedArray } from './safetensors.ts';

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
   * The elements from `begin` up to `end`, by default all of them.
   * @throws DataError if their type is not read, or there are fewer or more of them than the shape says
   */
  read(begin?: number, end?: number): TensorData;
}

/** Where the elements of a tensor are. */
export type Elements =
  /** Little-endian, without gaps. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** As protocol buffers write integers; half floats are the integers of their bits. */
  | { readonly kind: 'varints'; readonly parts: readonly Uint8Array[] };

/**
 * A tensor of these elements.
 * @param where file and tensor, for messages
 * @throws DataError for sizes that are none, and for bytes that are fewer or more than the shape says
 */
export function onnxTensor(
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
      read: (begin, end) => readVarints(dtype, count, elements.parts, where, begin, end),
    };
  }
  const { bytes } = elements;
  if (bytes.length !== count * itemSize(dtype)) {
    throw new DataError(
      `${where}: ${dtype} [${shown(shape)}] needs ${count * itemSize(dtype)} bytes, the file has ${bytes.length}; ` +
        'it is damaged, fetch it again',
    );
  }
  return { name, dtype, shape, count, read: (begin = 0, end = count) => viewed(dtype, bytes, begin, end) };
}

const isReadable = (dtype: string): dtype is Dtype => READABLE.has(dtype);
const shown = (shape: readonly number[]) => printable(shape.slice(0, 8).join(','), 60);

/** Elements as a view of the bytes if they are aligned, else as a copy. */
function viewed(dtype: Dtype, bytes: Uint8Array, begin: number, end: number): TensorData {
  const size = itemSize(dtype);
  const offset = bytes.byteOffset + begin * size;
  if (offset % size === 0) return typedArray(dtype, bytes.buffer, offset, end - begin);
  const copy = new Uint8Array((end - begin) * size);
  copy.set(bytes.subarray(begin * size, end * size));
  return typedArray(dtype, copy.buffer);
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
