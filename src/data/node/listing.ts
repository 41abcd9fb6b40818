/** Lists folders of photographs as people have them: between the photographs lie files of systems, lists and dead links. */
import type { Dirent, Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { byName, LIST, SYSTEM } from '../file_names.ts';
import type { BadFile } from '../pack.ts';
import { fileError } from './files.ts';

/** The content of a folder. Names are in the order of their composed Unicode form (NFC), by UTF-16 code units. */
export interface Folder {
  /** All files that may be photographs. */
  readonly files: readonly string[];
  readonly folders: readonly string[];
  /** Links that lead nowhere, and what is neither a file nor a folder. */
  readonly bad: readonly BadFile[];
}

/** How many folders that hold nothing but one folder are entered; an archive unpacked twice needs one. */
const DEEPEST = 8;

/**
 * Lists a folder, without files of the system and without lists. Links are followed.
 *
 * @throws DataError when the folder cannot be read
 */
export async function listFolder(path: string): Promise<Folder> {
  const files: string[] = [];
  const folders: string[] = [];
  const bad: BadFile[] = [];
  for (const entry of await entriesOf(path)) {
    if (SYSTEM.test(entry.name)) continue;
    const kind = await kindOf(path, entry);
    if (kind === 'folder') folders.push(entry.name);
    else if (kind === 'file' && !LIST.test(entry.name)) files.push(entry.name);
    else if (kind !== 'file') bad.push({ file: entry.name, reason: kind });
  }
  return { files: files.sort(byName), folders: folders.sort(byName), bad };
}

/**
 * Enters folders that hold one folder and no photographs, as an archive unpacked into a folder of its own name leaves them.
 *
 * @param isGoal tells whether a folder is the one that was sought; where none is, `dir` is returned
 */
export async function descend(
  dir: string,
  isGoal: (folder: Folder, path: string) => Promise<boolean> | boolean,
): Promise<{ readonly path: string; readonly folder: Folder }> {
  const first = await listFolder(dir);
  let [path, folder] = [dir, first];
  for (let depth = 0; depth <= DEEPEST; depth++) {
    if (await isGoal(folder, path)) return { path, folder };
    if (folder.files.length > 0 || folder.folders.length !== 1) break;
    path = join(path, folder.folders[0]);
    folder = await listFolder(path);
  }
  return { path: dir, folder: first };
}

async function entriesOf(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    throw fileError('read', path, error);
  }
}

/** 'file', 'folder', or the reason why an entry is neither. */
async function kindOf(path: string, entry: Dirent): Promise<string> {
  let found: Dirent | Stats = entry;
  const isRenamed = entry.name.includes('\ufffd');
  if (entry.isSymbolicLink() || isRenamed) {
    try {
      found = await stat(join(path, entry.name));
    } catch {
      return isRenamed ? 'its name is not UTF-8' : 'a link to a file that is not there';
    }
  }
  if (found.isDirectory()) return 'folder';
  return found.isFile() ? 'file' : 'neither a file nor a folder';
}
