/**
 * Reads zip files (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT): the directory first, then single entries,
 * stored or deflated. Nothing is unpacked beyond the size that the directory states. Checksums are not compared, because
 * torch.save can leave them out and torch.load ignores them.
 */
import { Inflate } from 'fflate';
import { DataError } from '../errors.ts';
import { printable } from '../printable.ts';

const DIRECTORY_END = 0x06054b50;
const DIRECTORY_END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;
const EXTRA_64 = 1;
const MAX_COMMENT = 0xffff;
const MAX_ENTRIES = 100_000;
/** Packed bytes that are inflated before the size is checked again. */
const CHUNK = 2 ** 16;

export interface ZipEntry {
  readonly name: string;
  /** Bytes before packing, as the directory states them. */
  readonly size: number;
  readonly packedSize: number;
  /** 0: stored. 8: deflated. Others cannot be read. */
  readonly method: number;
  readonly encrypted: boolean;
  /** Offset of the local header. */
  readonly header: number;
}

/**
 * Reads the directory of a zip file.
 * @param file name, for messages
 * @returns entries by name, in the directory's order
 * @throws DataError for a truncated or damaged directory
 */
export function readZipDirectory(bytes: Uint8Array, file: string): Map<string, ZipEntry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { offset, end, count } = findDirectory(view, file);
  const damaged = (at: number) =>
    new DataError(`${file}: byte ${at}: the zip's directory is damaged; fetch the file again`);
  if (count > MAX_ENTRIES) throw damaged(end);
  const text = new TextDecoder('utf-8', { ignoreBOM: true });
  const entries = new Map<string, ZipEntry>();
  let at = offset;
  for (let i = 0; i < count; i++) {
    if (at + 46 > end || view.getUint32(at, true) !== DIRECTORY_ENTRY) throw damaged(at);
    const nameEnd = at + 46 + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const next = extraEnd + view.getUint16(at + 32, true);
    if (next > end) throw damaged(at);
    const name = text.decode(bytes.subarray(at + 46, nameEnd));
    const sizes = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)];
    const [size, packedSize, header] = sizes.includes(0xffffffff) ? wideSizes(view, nameEnd, extraEnd, sizes) : sizes;
    const entry: ZipEntry = {
      name,
      size,
      packedSize,
      method: view.getUint16(at + 10, true),
      encrypted: (view.getUint16(at + 8, true) & 1) !== 0,
      header,
    };
    const isWhole = [size, packedSize, header].every(Number.isSafeInteger);
    if (entries.has(name) || !isWhole || header + 30 + packedSize > bytes.length) throw damaged(at);
    entries.set(name, entry);
    at = next;
  }
  return entries;
}

/**
 * The content of an entry. A stored entry is a view of `bytes`.
 * @throws DataError naming file and entry: another method of packing, encrypted, damaged, or of another size than stated
 */
export function readZipEntry(bytes: Uint8Array, entry: ZipEntry, file: string): Uint8Array {
  const { size, packedSize, method, encrypted, header } = entry;
  const where = `${file}: ${printable(entry.name)}`;
  if (encrypted || (method !== 0 && method !== 8)) {
    const what = encrypted ? 'is encrypted' : `is packed by method ${method}`;
    throw new DataError(`${where}: ${what}, which is not read; unpack the file and zip it again`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const from = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
  if (view.getUint32(header, true) !== LOCAL_HEADER || from + packedSize > bytes.length) {
    throw new DataError(`${where}: byte ${header}: its header is damaged; fetch the file again`);
  }
  const packed = bytes.subarray(from, from + packedSize);
  const wrongSize = (found: number | string) =>
    new DataError(`${where}: ${found} of ${size} bytes; the file is damaged, fetch it again`);
  if (method === 0) {
    if (packedSize !== size) throw wrongSize(packedSize);
    return packed;
  }
  const content = new Uint8Array(size);
  let at = 0;
  const inflate = new Inflate((chunk) => {
    if (at + chunk.length > size) throw wrongSize('more');
    content.set(chunk, at);
    at += chunk.length;
  });
  try {
    for (let start = 0; start < packedSize; start += CHUNK) {
      inflate.push(packed.subarray(start, start + CHUNK), start + CHUNK >= packedSize);
    }
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const reason = printable((cause as Error).message);
    throw new DataError(`${where}: cannot be unpacked (${reason}); the file is damaged, fetch it again`, { cause });
  }
  if (at !== size) throw wrongSize(at);
  return content;
}

/** Finds the directory by the record at the end of the file. */
function findDirectory(view: DataView, file: string): { offset: number; end: number; count: number } {
  const last = view.byteLength - 22;
  for (let at = last; at >= Math.max(0, last - MAX_COMMENT); at--) {
    if (view.getUint32(at, true) !== DIRECTORY_END) continue;
    let count = view.getUint16(at + 10, true);
    let size = view.getUint32(at + 12, true);
    let offset = view.getUint32(at + 16, true);
    if (count === 0xffff || size === 0xffffffff || offset === 0xffffffff) {
      const wide = at >= 20 && view.getUint32(at - 20, true) === LOCATOR_64 ? wordAt(view, at - 12) : Number.NaN;
      if (wide + 56 <= at && view.getUint32(wide, true) === DIRECTORY_END_64) {
        count = wordAt(view, wide + 32);
        size = wordAt(view, wide + 40);
        offset = wordAt(view, wide + 48);
      }
    }
    if (offset + size <= at) return { offset, end: offset + size, count };
  }
  throw new DataError(
    `${file}: byte ${view.byteLength}: truncated or damaged zip, the directory at its end is missing; fetch it again`,
  );
}

/** Replaces sizes of 2^32 - 1 by those of 64 bits in the extra fields, which are there in the same order. */
function wideSizes(view: DataView, from: number, to: number, sizes: readonly number[]): number[] {
  for (let at = from; at + 4 <= to; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== EXTRA_64) continue;
    let word = at + 4;
    return sizes.map((size) => {
      if (size !== 0xffffffff) return size;
      word += 8;
      return word <= to ? wordAt(view, word - 8) : Number.NaN;
    });
  }
  return [...sizes];
}

/** A whole number of 64 bits; inexact above 2^53, where it is larger than any file. */
function wordAt(view: DataView, at: number): number {
  return view.getUint32(at, true) + 2 ** 32 * view.getUint32(at + 4, true);
}
