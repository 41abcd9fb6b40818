/** Reads files, and writes them so that a crash leaves no partial file or line. Failures become errors of one line. */
import { type FileHandle, open, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DataError, DiskFullError, MidasError } from '../../errors.ts';
import { printableMessage } from '../../printable.ts';

const REASONS: Record<string, string> = {
  ENOENT: 'no such file or folder; check the path',
  ENOTDIR: 'a part of the path is not a folder; check the path',
  EISDIR: 'is a folder, not a file; check the path',
  EACCES: 'permission denied; change the permissions or choose another folder',
  EPERM: 'not permitted; change the permissions or choose another folder',
  EROFS: 'the file system is read-only; choose another folder',
  EEXIST: 'there is a file of that name; choose another name',
  ENAMETOOLONG: 'the name is too long; choose a shorter one',
  ELOOP: 'a link that leads back to itself; remove it',
};

/** Why a file does not fit, and what to do. */
const FULL: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space',
  EDQUOT: 'the disk quota is used up; free some space',
  EFBIG: 'the file is larger than the system allows; raise the limit (ulimit -f)',
};

/** Converts a system error to a typed, printable one: "cannot read a/b.pgm: no such file or folder; check the path". */
export function fileError(action: 'read' | 'write', path: string, cause: unknown): MidasError {
  if (cause instanceof MidasError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const line = (reason: string) => printableMessage(`cannot ${action} ${path}: ${reason}`);
  const full = FULL[code ?? ''];
  if (full) {
    const next = 'and give the command again; a run continues with --resume';
    return new DiskFullError(line(`${full} ${next}`), { cause });
  }
  const reason = REASONS[code ?? ''] ?? `${String(message).split('\n')[0]}; try again or choose another path`;
  return new DataError(line(reason), { cause });
}

/**
 * Reads a whole file.
 *
 * @throws DataError when it cannot be read
 */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError('read', path, error);
  }
}

/**
 * Reads a text file in UTF-8 or, with a byte order mark, in UTF-16; the mark is not part of the text.
 *
 * @throws DataError when the file cannot be read, or is in another encoding
 */
export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  const encoding =
    bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
    if (!text.includes('\0')) return text;
  } catch {
    // Bytes that are no UTF-8 are as bad as zeros, which UTF-16 without a byte order mark has.
  }
  throw new DataError(`${path}: neither UTF-8 nor UTF-16 with a byte order mark; save it as UTF-8`);
}

let temporaries = 0;

/**
 * Replaces `path` so that a reader, or a crash, sees the old content or the new one and never a part: writes to a
 * temporary file in the same folder, syncs it to the disk and renames it. A failure removes the temporary file.
 *
 * @param bytes the content, which may come in several parts; an error while they are made leaves no file either
 * @throws DataError when it cannot be written
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array | string | Iterable<Uint8Array>): Promise<void> {
  const parts = typeof bytes === 'string' || bytes instanceof Uint8Array ? [bytes] : bytes;
  const temporary = `${path}.${process.pid}.${temporaries++}.tmp`;
  let created = false;
  try {
    const file = await open(temporary, 'wx');
    created = true;
    try {
      // Each call writes on from where the one before ended.
      for (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    if (created) await unlink(temporary).catch(() => {});
    throw fileError('write', path, error);
  }
  await syncFolder(dirname(path));
}

/**
 * Appends one line of JSON and returns when it is on the disk. An earlier line that a crash left incomplete is removed
 * first, so that the new line does not join it. Only one process may write at a time.
 *
 * @param line a JSON object or array without line breaks
 * @throws DataError when it cannot be written or `line` has a line break
 */
export async function appendLineDurable(path: string, line: string): Promise<void> {
  if (/[\r\n]/.test(line))
    throw new DataError(`cannot write ${path}: the line contains a line break; write one row per line`);
  try {
    const file = await open(path, 'a+');
    try {
      const separator = await repairTail(file);
      await file.appendFile(`${separator}${line}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw fileError('write', path, error);
  }
}

/** No beginning of an object or array is itself JSON, so a last line that parses lacks only its line break. */
function isComplete(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}

/** Cuts off an incomplete last line; returns the line break that a complete last line lacks. */
async function repairTail(file: FileHandle): Promise<'' | '\n'> {
  const { size } = await file.stat();
  if (size === 0 || (await file.read(new Uint8Array(1), 0, 1, size - 1)).buffer[0] === 0x0a) return '';
  const bytes = new Uint8Array(size);
  await file.read(bytes, 0, size, 0);
  const tail = bytes.lastIndexOf(0x0a) + 1;
  if (isComplete(new TextDecoder().decode(bytes.subarray(tail)))) return '\n';
  await file.truncate(tail);
  return '';
}

/** Makes a rename permanent by syncing the folder; on systems that cannot sync a folder it does nothing. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r').catch(() => undefined);
  await folder?.sync().catch(() => {});
  await folder?.close();
}
