/** The SwiftShader of the package @sparticuz/chromium, unpacked into the user's cache. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { cacheFolders, isOwnFile, openCacheFolder, reasonOf, temporaryName } from './cache.ts';

const ICD = 'vk_swiftshader_icd.json';
const FILES = ['libvk_swiftshader.so', 'libvulkan.so.1', ICD];
/** Sizes and hashes of the unpacked files, and the hash of the archive that they are from. */
const CHECKSUMS = 'checksums.json';

interface Checksums {
  readonly archive: string;
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
}

/** The path of SwiftShader's ICD file if there is one; otherwise the folders that could not be used, each with the reason. */
export interface UnpackedSwiftShader {
  readonly icd?: string;
  readonly failures: readonly string[];
}

/**
 * Unpacks SwiftShader once. A file that is cut or changed is unpacked again: loading it would end the process.
 * @param folders where to unpack it, in the order of preference
 */
export function unpackSwiftShader(folders: readonly string[] = cacheFolders()): UnpackedSwiftShader {
  const failures: string[] = [];
  const found = findArchive();
  if (found === undefined) return { failures };
  for (const parent of folders) {
    try {
      const folder = openCacheFolder(join(openCacheFolder(parent), `swiftshader-${found.version}`));
      const archive = readFileSync(found.path);
      if (!isIntact(folder, sha256(archive))) unpack(archive, folder);
      return { icd: join(folder, ICD), failures };
    } catch (error) {
      failures.push(`${parent}: ${reasonOf(error)}`);
    }
  }
  return { failures };
}

/** The archive in the package; undefined where the package is missing or the platform is another. */
function findArchive(): { path: string; version: string } | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  try {
    const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
    const root = join(entry.slice(0, entry.lastIndexOf('@sparticuz')), '@sparticuz/chromium');
    const path = join(root, 'bin/swiftshader.tar.br');
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return existsSync(path) ? { path, version } : undefined;
  } catch {
    return undefined;
  }
}

function isIntact(folder: string, archive: string): boolean {
  const intact = (name: string, { files }: Checksums) => {
    const path = join(folder, name);
    const { bytes, sha256: hash } = files[name];
    return isOwnFile(path) && statSync(path).size === bytes && sha256(readFileSync(path)) === hash;
  };
  try {
    if (!isOwnFile(join(folder, CHECKSUMS))) return false;
    const checksums = JSON.parse(readFileSync(join(folder, CHECKSUMS), 'utf8')) as Checksums;
    return checksums.archive === archive && FILES.every((name) => intact(name, checksums));
  } catch {
    // A file is missing, or the checksums themselves are cut.
    return false;
  }
}

/** Each file replaces the one before it in one step, so that processes which start together do not disturb each other. */
function unpack(archive: Uint8Array, folder: string): void {
  const files: Record<string, Checksums['files'][string]> = {};
  for (const [name, bytes] of tarEntries(brotliDecompressSync(archive))) {
    if (!FILES.includes(name)) continue;
    replaceFile(join(folder, name), bytes);
    files[name] = { bytes: bytes.length, sha256: sha256(bytes) };
  }
  const checksums: Checksums = { archive: sha256(archive), files };
  replaceFile(join(folder, CHECKSUMS), JSON.stringify(checksums));
}

function replaceFile(path: string, content: Uint8Array | string): void {
  const temporary = temporaryName(path);
  try {
    writeFileSync(temporary, content, { mode: 0o600 });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** The regular files of an uncompressed ustar archive. */
function* tarEntries(tar: Uint8Array): Generator<[string, Uint8Array]> {
  const text = (from: number, length: number) =>
    new TextDecoder().decode(tar.subarray(from, from + length)).replace(/\0.*$/s, '');
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = text(at, 100);
    if (!name) return;
    const size = Number.parseInt(text(at + 124, 12), 8);
    const isFile = tar[at + 156] === 0 || tar[at + 156] === 0x30;
    if (isFile) yield [name.replace(/^.*\//, ''), tar.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
