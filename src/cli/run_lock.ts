/** The lock of a run folder: only one process writes into it. */
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { tryLock } from 'fs-native-extensions';
import { fileError } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { refuseAborted } from '../experiments/store.ts';

const LOCK = 'lock';

/** How long to wait for another process that writes into the folder. */
export interface LockWait {
  /** 0 by default. */
  readonly waitMinutes?: number;
  readonly signal?: AbortSignal;
  /** Called with a sentence when the waiting begins. */
  readonly warn?: (line: string) => void;
}

/** Another process writes into the folder. */
class LockedError extends ConfigError {}

/**
 * The operating system holds the lock for the open file `lock`, and releases it when the process ends in any way: a file that a
 * killed process left behind, whatever it says, locks nothing. On a file system of several machines its server releases the lock
 * of a machine that died or lost touch, but some minutes later: a task that is started again elsewhere has to wait.
 */
export class RunLock {
  readonly #path: string;
  readonly #fd: number;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  /** As {@link acquire}, but waits first. @throws InterruptedError if the signal ends the waiting */
  static async waitFor(dir: string, { waitMinutes = 0, signal, warn }: LockWait): Promise<RunLock> {
    const end = performance.now() + waitMinutes * 60_000;
    for (let waited = false; ; waited = true) {
      if (signal) refuseAborted(signal);
      try {
        return RunLock.acquire(dir);
      } catch (error) {
        if (!(error instanceof LockedError) || performance.now() >= end) throw error;
        if (!waited) {
          warn?.(`${dir}: ${holder(join(dir, LOCK))} is writing there; waiting for up to ${waitMinutes} minutes`);
        }
      }
      await setTimeout(1000, undefined, { signal }).catch(() => {});
    }
  }

  /** @throws ConfigError if another process holds the lock, DataError if the folder cannot be written */
  static acquire(dir: string): RunLock {
    const path = join(dir, LOCK);
    for (;;) {
      let fd: number | undefined;
      try {
        fd = openSync(path, 'a+');
        if (!tryLock(fd))
          throw new LockedError(`${dir}: ${holder(path)} is writing there; wait for it, or give another --out`);
        // Its last owner may have removed the file after it was opened here; then it locks nothing.
        if (isFile(fd, path)) {
          ftruncateSync(fd);
          writeSync(fd, `${process.pid} ${hostname()}\n`);
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

/** Names the process that wrote its number and its machine into the lock, for a message. */
function holder(path: string): string {
  try {
    const [, pid, host] = /^(\d+) (.+)\n$/.exec(readFileSync(path, 'utf8')) ?? [];
    if (pid) return host === hostname() ? `process ${pid}` : `process ${pid} on ${host}`;
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
