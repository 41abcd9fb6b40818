/** The lock of a run folder: only one process writes into it. */
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { tryLock } from 'fs-native-extensions';
import { fileError } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';

const LOCK = 'lock';

/**
 * The operating system holds the lock for the open file `lock`, and releases it when the process ends in any way: a file that a
 * killed process left behind, whatever it says, locks nothing.
 */
export class RunLock {
  readonly #path: string;
  readonly #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /** @throws ConfigError if another process holds the lock, DataError if the folder cannot be written */
  static acquire(dir: string): RunLock {
    const path = join(dir, LOCK);
    for (;;) {
      let fd: number | undefined;
      try {
        fd = openSync(path, 'a+');
        if (!tryLock(fd))
          throw new ConfigError(`${dir}: ${holder(path)} is writing there; wait for it, or give another --out`);
        // Its last owner may have removed the file after it was opened here; then it locks nothing.
        if (isFile(fd, path)) {
          ftruncateSync(fd);
          writeSync(fd, `${process.pid}\n`);
          return new RunLock(path, fd);
        }
      } catch (error) {
        if (fd !== undefined) closeSync(fd);
        throw fileError('write', path, error);
      }
      closeSync(fd);
    }
  }

  release(): void {
    try {
      rmSync(this.#path, { force: true });
    } catch {
      // A file that stays behind locks nothing.
    }
    closeSync(this.#fd);
  }
}

/** Names the process that wrote its number into the lock, for a message. */
function holder(path: string): string {
  try {
    const text = readFileSync(path, 'utf8').trim();
    if (/^\d+$/.test(text)) return `process ${text}`;
  } catch {
    // Windows lets no other process read a locked file.
  }
  return 'another process';
}

/** True if an open file is still the one with this path. */
function isFile(fd: number, path: string): boolean {
  const [own, there] = [fstatSync(fd, { bigint: true }), statSync(path, { bigint: true, throwIfNoEntry: false })];
  return there !== undefined && own.ino === there.ino && own.dev === there.dev;
}
