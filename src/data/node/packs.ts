/** Reads and writes packs on disk. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type HashedParts, hashedWords } from '../dataset.ts';
import { type Pack, packParts, readPack } from '../pack.ts';
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
  await writeFileAtomic(path, packParts(pack));
}

/**
 * Reads a pack and checks it.
 *
 * @throws DataError when the file cannot be read or is not a complete pack
 */
export async function loadPack(path: string): Promise<Pack> {
  return readPack(await readBytes(path), path, hashInPlace);
}

/** The same as `datasetHash`, without a copy of the images: a data set may have a GiB of them. */
export function hashInPlace(dataset: HashedParts): string {
  return createHash('sha256').update(hashedWords(dataset)).update(dataset.images).digest('hex');
}
