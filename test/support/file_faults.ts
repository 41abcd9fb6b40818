/**
 * Faults of the file system for tests: at a given operation the process is killed, or the disk is full. Operations are counted
 * in one folder; reading is not counted. Loaded with `--import` it takes the fault from the environment and really kills.
 */
import fs from 'node:fs';
import promises, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { resolve, sep } from 'node:path';

/**
 * `kill`: the operation and all later ones have no effect, as if the process had been killed before it. `torn`: likewise, but
 * half of what it writes is written. `full`: half is written, then this and all later writes fail because the disk is full.
 */
export const FAULTS = ['kill', 'torn', 'full'] as const;
export type FaultKind = (typeof FAULTS)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** Number of the operation, from 0; with Infinity operations are only counted. */
  readonly at: number;
  /** Operations outside this folder are neither counted nor disturbed. */
  readonly folder: string;
}

/** The end of a simulated process. */
export class Killed extends Error {}

/** Variable of the environment with a fault as JSON. */
export const FAULT_VARIABLE = 'MIDAS_TEST_FILE_FAULT';

type AnyFunction = (...args: unknown[]) => unknown;
/** An operation that writes bytes, makes a file, or does neither. */
export type OperationKind = 'write' | 'create' | 'change';

/**
 * Installs a fault in this process.
 * @param die ends the process; by default every operation from then on throws {@link Killed}
 * @returns `remove` undoes it and returns the operations, with those that had no effect
 */
export async function installFault(
  { kind, at, folder }: Fault,
  die: () => never = () => {
    throw new Killed('killed');
  },
): Promise<{ readonly remove: () => OperationKind[] }> {
  const root = resolve(folder) + sep;
  const isInside = (path: unknown) => `${resolve(String(path))}${sep}`.startsWith(root);
  const descriptors = new Set<number>();
  const handles = new WeakSet<object>();
  const operations: OperationKind[] = [];
  const undo: (() => void)[] = [];

  /** Lets an operation happen, or not. @param half performs a half of it */
  const passes = (of: OperationKind, half: () => unknown = () => {}): unknown => {
    const now = operations.push(of) - 1;
    if (now < at) return undefined;
    const started = now === at && of === 'write' && kind !== 'kill';
    const refuse = () => {
      if (kind !== 'full') die();
      if (of !== 'change') throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    };
    const done = started ? half() : undefined;
    return done instanceof Promise ? done.then(refuse) : refuse();
  };
  const replace = (object: object, name: string, make: (original: AnyFunction) => AnyFunction) => {
    const target = object as Record<string, AnyFunction>;
    const original = target[name];
    target[name] = make(original);
    undo.push(() => {
      target[name] = original;
    });
  };
  const halfOf = (data: unknown) => {
    const bytes = typeof data === 'string' ? Buffer.from(data) : (data as Uint8Array);
    return bytes.subarray(0, bytes.length >> 1);
  };
  const isReading = (flags: unknown) => flags === undefined || flags === 'r';

  for (const name of ['rmSync', 'mkdirSync', 'copyFileSync']) {
    replace(fs, name, (original) => (...args) => {
      if (isInside(args[name === 'copyFileSync' ? 1 : 0])) passes(name === 'rmSync' ? 'change' : 'create');
      return original(...args);
    });
  }
  replace(fs, 'openSync', (original) => (...args) => {
    const own = isInside(args[0]) && !isReading(args[1]);
    if (own) passes('create');
    const fd = original(...args) as number;
    if (own) descriptors.add(fd);
    return fd;
  });
  for (const name of ['writeSync', 'ftruncateSync']) {
    replace(fs, name, (original) => (...args) => {
      if (descriptors.has(args[0] as number)) {
        passes(name === 'writeSync' ? 'write' : 'change', () => original(args[0], halfOf(args[1])));
      }
      return original(...args);
    });
  }
  for (const name of ['rename', 'unlink']) {
    replace(promises, name, (original) => async (...args) => {
      if (isInside(args[0])) await passes('change');
      return original(...args);
    });
  }
  replace(promises, 'open', (original) => async (...args) => {
    const own = isInside(args[0]);
    if (own && !isReading(args[1])) await passes('create');
    const handle = (await original(...args)) as FileHandle;
    if (own) handles.add(handle);
    return handle;
  });
  const sample = await promises.open(process.execPath);
  const prototype = Object.getPrototypeOf(sample) as object;
  await sample.close();
  for (const name of ['writeFile', 'appendFile', 'truncate', 'sync']) {
    replace(
      prototype,
      name,
      (original) =>
        async function (this: object, ...args: unknown[]) {
          if (handles.has(this)) {
            const writes = name === 'writeFile' || name === 'appendFile';
            await passes(writes ? 'write' : 'change', () => original.call(this, halfOf(args[0])));
          }
          return original.apply(this, args);
        },
    );
  }
  syncBuiltinESMExports();
  return {
    remove() {
      for (const each of undo.reverse()) each();
      syncBuiltinESMExports();
      return operations;
    },
  };
}

const asked = process.env[FAULT_VARIABLE];
if (asked !== undefined) {
  await installFault(JSON.parse(asked), () => {
    process.kill(process.pid, 'SIGKILL');
    throw new Killed('killed');
  });
}
