/** Reads and writes packs on disk. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Pack, readPack, writePack } from '../pack.ts';
import { fileError, readBytes, writeFileAtomic } from './files.ts';

/**
 * Writes a pack completely or not at all; missing folders are created.
 *
 * @throws DataError when it cannot be written
 */
export async function savePack(path: string, pack: Pack): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (error) {
    throw fileError('write', dirname(path), error);
  }
  await writeFileAtomic(path, writePack(pack));
}

/**
 * Reads a pack and checks it.
 *
 * @throws DataError when the file cannot be read or is not a complete pack
 */
export async function loadPack(path: string): Promise<Pack> {
  return readPack(await readBytes(path), path);
}
