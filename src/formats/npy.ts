/**
 * Reads and writes arrays of bytes in NumPy's file format, which `numpy.load(file)` reads.
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0.
 */
import { DataError, ShapeError } from '../errors.ts';

export interface NpyArray {
  readonly shape: readonly number[];
  /** In C order: the last index runs fastest. */
  readonly data: Uint8Array;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** Magic, version, and the length of the header. */
const PREFIX = 10;
const ALIGNMENT = 64;
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

/**
 * Reads an array of uint8 in C order.
 *
 * @param name the file, for messages
 * @throws DataError if the bytes are not such a file, or not a complete one
 */
export function readNpy(bytes: Uint8Array, name: string): NpyArray {
  if (!isNpy(bytes)) throw new DataError(`${name}: not an NPY file`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6];
  if (version !== 1 || bytes.length < PREFIX)
    throw new DataError(`${name}: NPY version ${version}; only version 1 can be read`);
  const start = PREFIX + view.getUint16(8, true);
  const header = new TextDecoder('latin1').decode(bytes.subarray(PREFIX, start));
  const of = (key: string, value: string) => new RegExp(`'${key}':\\s*${value}`).exec(header)?.[1];
  const type = of('descr', "'([^']*)'");
  if (type !== '|u1') throw new DataError(`${name}: values of type ${type ?? 'unknown'}, expected bytes ('|u1')`);
  if (of('fortran_order', '(\\w+)') !== 'False') throw new DataError(`${name}: not in C order`);
  const tuple = of('shape', '\\(([\\d, ]*)\\)');
  if (tuple === undefined) throw new DataError(`${name}: the header has no shape; is the file complete?`);
  const shape = (tuple.match(/\d+/g) ?? []).map(Number);
  const length = shape.reduce((product, each) => product * each, 1);
  if (bytes.length !== start + length) {
    throw new DataError(
      `${name}: ${bytes.length - start} values for a shape of ${shape.join(' x ')}; is the file complete?`,
    );
  }
  return { shape, data: bytes.subarray(start) };
}
