/** Reads archives of arrays, as `numpy.savez` and `numpy.savez_compressed` write them: a ZIP of one NPY file per array. */
import { type UnzipFileInfo, unzipSync } from 'fflate';
import { DataError } from '../errors.ts';
import { printable } from '../printable.ts';
import { type NumberArray, readNpyNumbers } from './npy.ts';

/** Bytes of all arrays together, unpacked. */
const MAX_BYTES = 2 ** 30;
const MAX_ENTRIES = 10_000;
/** Deflate expands one byte to at most this many. */
const MAX_EXPANSION = 1032;

/** True if bytes begin as a ZIP does. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && (bytes[2] === 0x03 || bytes[2] === 0x05);
}

/**
 * Names of the arrays in an archive, in the order of the archive; empty for a ZIP of other files.
 *
 * @param name the file, for messages
 * @throws DataError if the bytes are not a complete ZIP
 */
export function listNpz(bytes: Uint8Array, name: string): string[] {
  return entriesOf(bytes, name).map(({ name: file }) => file.slice(0, -'.npy'.length));
}

/**
 * Reads the arrays of an archive that `wanted` names, and only these.
 *
 * @param name the file, for messages
 * @throws DataError if the bytes are not a complete ZIP, an array is larger than 1 GiB, or it does not hold numbers
 */
export function readNpz(bytes: Uint8Array, name: string, wanted: ReadonlySet<string>): Map<string, NumberArray> {
  const entries = entriesOf(bytes, name).filter(({ name: file }) => wanted.has(file.slice(0, -'.npy'.length)));
  let total = 0;
  for (const { name: file, size, originalSize } of entries) {
    total += originalSize;
    if (originalSize > MAX_EXPANSION * (size + 64)) {
      throw new DataError(`${name}: ${printable(file, 60)}: a damaged ZIP entry; write the archive again`);
    }
  }
  if (total > MAX_BYTES) {
    throw new DataError(`${name}: ${total} bytes of arrays, at most ${MAX_BYTES} can be read; save them as uint8`);
  }
  const names = new Set(entries.map(({ name: file }) => file));
  const files = unzip(bytes, name, ({ name: file }) => names.has(file));
  return new Map(
    [...names].map((file) => {
      const where = `${name}: ${printable(file, 60)}`;
      return [file.slice(0, -'.npy'.length), readNpyNumbers(files[file] ?? new Uint8Array(), where)];
    }),
  );
}

function entriesOf(bytes: Uint8Array, name: string): UnzipFileInfo[] {
  const entries: UnzipFileInfo[] = [];
  const names = new Set<string>();
  let count = 0;
  unzip(bytes, name, (entry) => {
    if (++count > MAX_ENTRIES || names.has(entry.name)) {
      throw new DataError(`${name}: ${printable(entry.name, 60)}: the ZIP's directory is damaged; write it again`);
    }
    names.add(entry.name);
    if (entry.name.endsWith('.npy')) entries.push(entry);
    return false;
  });
  return entries;
}

function unzip(bytes: Uint8Array, name: string, filter: (entry: UnzipFileInfo) => boolean) {
  try {
    return unzipSync(bytes, { filter });
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const reason = printable((cause as Error).message, 60);
    throw new DataError(`${name}: a truncated or damaged ZIP (${reason}); fetch it again`, { cause });
  }
}
