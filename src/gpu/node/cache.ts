/**
 * The folders in which this package keeps files between processes. A library is loaded from them, so another user must not be able to
 * write there, nor to replace one of the folders above.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';

/** The user's home folder; undefined if neither the environment nor the list of users has an absolute one. */
export function homeFolder(): string | undefined {
  for (const find of [homedir, () => userInfo().homedir]) {
    try {
      const folder = find();
      if (isAbsolute(folder)) return folder;
    } catch {
      // A user without an entry in the list of users, as in some containers.
    }
  }
  return undefined;
}

/**
 * The folder in the user's cache, and one in the temporary folder to use where nothing can be written there. As the XDG
 * specification says, an empty or relative XDG_CACHE_HOME counts as absent.
 */
export function cacheFolders(): string[] {
  const { XDG_CACHE_HOME: given = '' } = process.env;
  const home = homeFolder();
  const cache = isAbsolute(given) ? given : home && join(home, '.cache');
  const owner = process.getuid ? `-${process.getuid()}` : '';
  return [...(cache ? [join(cache, 'midas-webgpu')] : []), join(resolve(tmpdir()), `midas-webgpu${owner}`)];
}

/** Bits of a file's mode: group and others may write; in a folder, only owners may rename and remove. */
const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;

/**
 * Makes a cache folder if it does not exist, ensures that only this user can write there, and removes what killed processes
 * left.
 *
 * @returns its path without symbolic links
 * @throws Error with the reason if it cannot be made, or if another user made it or could replace it
 */
export function openCacheFolder(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const folder = realpathSync(path);
  const user = process.getuid?.();
  // Windows has no such modes, and its cache and temporary folders belong to one user.
  if (user !== undefined) {
    for (const place of [path, folder]) {
      if (lstatSync(place).uid !== user) throw new Error('it belongs to another user');
    }
    if (statSync(folder).mode & OTHERS_WRITE) chmodSync(folder, 0o700);
    for (let above = dirname(folder); ; above = dirname(above)) {
      const { uid, mode } = statSync(above);
      const isShared = (mode & OTHERS_WRITE) !== 0 && (mode & STICKY) === 0;
      if ((uid !== user && uid !== 0) || isShared) throw new Error(`other users can change ${above}`);
      if (above === dirname(above)) break;
    }
  }
  removeLeftovers(folder);
  return folder;
}

/** The name under which a file is written before it gets its own; {@link openCacheFolder} removes it if this process is killed. */
export function temporaryName(path: string): string {
  return `${path}.${process.pid}.tmp`;
}

/** True if only this user could have written a file of {@link openCacheFolder}. */
export function isOwnFile(path: string): boolean {
  const stats = lstatSync(path);
  const user = process.getuid?.();
  return stats.isFile() && (user === undefined || (stats.uid === user && (stats.mode & OTHERS_WRITE) === 0));
}

/** The reason of a system error without its code and path: 'no space left on device'. */
export function reasonOf(error: unknown): string {
  const { message } = error as Error;
  return message.replace(/^[A-Z]\w*: /, '').replace(/, \w+( '.*)?$/, '');
}

function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, pid] = /\.(\d+)\.tmp$/.exec(name) ?? [];
    const isLeft = pid === undefined ? /\.tmp$|^unpacking-/.test(name) : !isRunning(Number(pid));
    try {
      if (isLeft) rmSync(join(folder, name), { recursive: true, force: true });
    } catch {
      // The file system is read-only: leftovers do no harm.
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process runs, but belongs to another user and cannot be signalled.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
