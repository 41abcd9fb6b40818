/**
 * Reads and writes arrays in NumPy's file format, which `numpy.load(file)` reads.
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html; versions 1 to 3 are read, 1.0 is written.
 */
import { DataError, ShapeError } from '../errors.ts';
import { printable } from '../printable.ts';

export interface NpyArray {
  readonly shape: readonly number[];
  /** In C order: the last index runs fastest. */
  readonly data: Uint8Array;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** Magic, version, and the length of the header. */
const PREFIX = 10;
const ALIGNMENT = 64;
/** Bytes; NumPy refuses longer ones too, because their text is evaluated. */
const MAX_HEADER = 10_000;
/** NumPy reserves this many digits for the first length, so that an array can grow in its file. */
const GROWTH_DIGITS = 21;

/** True if bytes begin as an NPY file does. */
export function isNpy(bytes: Uint8Array): boolean {
  return MAGIC.every((value, i) => bytes[i] === value);
}

/** The bytes that `numpy.save` writes for an array of uint8. @throws ShapeError where shape and data disagree */
export function writeNpy({ shape, data }: NpyArray): Uint8Array<ArrayBuffer> {
  const length = shape.reduce((product, each) => product * each, 1);
  if (data.length !== length) throw new ShapeError(`npy: ${data.length} values for a shape of ${shape.join(' x ')}`);
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const growth = shape.length > 0 ? GROWTH_DIGITS - String(shape[0]).length : 0;
  const dictionary = `{'descr': '|u1', 'fortran_order': False, 'shape': ${tuple}, }${' '.repeat(growth)}`;
  const padding = ALIGNMENT - ((PREFIX + dictionary.length + 1) % ALIGNMENT);
  const header = `${dictionary}${' '.repeat(padding)}\n`;
  const file = new Uint8Array(PREFIX + header.length + length);
  file.set([...MAGIC, 1, 0, header.length & 0xff, header.length >> 8]);
  file.set(new TextEncoder().encode(header), PREFIX);
  file.set(data, PREFIX + header.length);
  return file;
}

/** An array of numbers, in C order: the last index runs fastest. */
export interface NumberArray {
  readonly shape: readonly number[];
  readonly data: NumberData;
  /** NumPy's name of the type in the file, such as `<f4`. */
  readonly type: string;
}

export type NumberData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

const NUMBER_TYPES = {
  b1: Uint8Array,
  u1: Uint8Array,
  i1: Int8Array,
  u2: Uint16Array,
  i2: Int16Array,
  u4: Uint32Array,
  i4: Int32Array,
  u8: BigUint64Array,
  i8: BigInt64Array,
  f4: Float32Array,
  f8: Float64Array,
} as const;

interface Header {
  readonly type: string;
  readonly isFortran: boolean;
  readonly shape: readonly number[];
  readonly values: Uint8Array;
}

/**
 * Reads an array of uint8 in C order.
 *
 * @param name the file, for messages
 * @throws DataError if the bytes are not such a file, or not a complete one
 */
export function readNpy(bytes: Uint8Array, name: string): NpyArray {
  const { type, isFortran, shape, values } = readHeader(bytes, name);
  if (type !== '|u1') throw new DataError(`${name}: values of type ${type}, expected bytes ('|u1')`);
  if (isFortran) throw new DataError(`${name}: not in C order`);
  requireCount(values.length, shape, name);
  return { shape, data: values };
}

/**
 * Reads an array of any integers or floating-point numbers of 4 or 8 bytes, in any order of bytes and of indices.
 *
 * @param name the file, for messages
 * @throws DataError if the bytes are not an NPY file, not a complete one, or hold other things than numbers
 */
export function readNpyNumbers(bytes: Uint8Array, name: string): NumberArray {
  const { type, isFortran, shape, values } = readHeader(bytes, name);
  const Data = NUMBER_TYPES[type.slice(1) as keyof typeof NUMBER_TYPES];
  if (Data === undefined || !/^[|<>=]/.test(type)) {
    const what = type.startsWith('|O') ? 'Python objects' : `values of type ${printable(type, 40)}`;
    throw new DataError(`${name}: NumPy file: ${what}; convert them with numpy.save(file, array.astype('float32'))`);
  }
  const size = Data.BYTES_PER_ELEMENT;
  requireCount(values.length / size, shape, name);
  // The values need not be aligned in the file.
  const copy = size === 1 ? values : new Uint8Array(values);
  if (type.startsWith('>')) swapBytes(copy, size);
  const data = new Data(copy.buffer as ArrayBuffer, copy.byteOffset, copy.length / size);
  return { shape, data: isFortran ? inCOrder(data, shape) : data, type };
}

function readHeader(bytes: Uint8Array, name: string): Header {
  if (!isNpy(bytes)) throw new DataError(`${name}: not an NPY file`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6];
  const isLong = version === 2 || version === 3;
  if ((version !== 1 && !isLong) || bytes.length < PREFIX + 2) {
    throw new DataError(`${name}: NPY version ${version}; only versions 1 to 3 can be read`);
  }
  const begin = isLong ? PREFIX + 2 : PREFIX;
  const length = isLong ? view.getUint32(8, true) : view.getUint16(8, true);
  if (length > MAX_HEADER) throw new DataError(`${name}: a header of ${length} bytes; is the file complete?`);
  const start = begin + length;
  const header = new TextDecoder('latin1').decode(bytes.subarray(begin, start));
  const of = (key: string, value: string) => new RegExp(`'${key}':\\s*${value}`).exec(header)?.[1];
  const type = of('descr', "'([^']*)'") ?? 'unknown';
  const tuple = of('shape', '\\(([\\d, ]*)\\)');
  if (tuple === undefined) throw new DataError(`${name}: the header has no shape; is the file complete?`);
  const shape = (tuple.match(/\d+/g) ?? []).map(Number);
  return { type, isFortran: of('fortran_order', '(\\w+)') !== 'False', shape, values: bytes.subarray(start) };
}

function requireCount(found: number, shape: readonly number[], name: string): void {
  if (found !== shape.reduce((product, each) => product * each, 1)) {
    throw new DataError(`${name}: ${found} values for a shape of ${shape.join(' x ')}; is the file complete?`);
  }
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let i = 0; i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
}

/** Reorders an array in which the first index runs fastest. */
function inCOrder<T extends NumberData>(data: T, shape: readonly number[]): T {
  const result = new (data.constructor as new (length: number) => T)(data.length);
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    let [at, stride] = [0, 1];
    for (let axis = 0; axis < shape.length; axis++) {
      at += index[axis] * stride;
      stride *= shape[axis];
    }
    result[i] = data[at];
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis] === shape[axis]; axis--) index[axis] = 0;
  }
  return result;
}
