/** A run's folder on disk: the store of an experiment in Node, with the configuration that a resumed run must match. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { appendLineDurable, fileError, readBytes, readJsonLines, writeFileAtomic } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import type { ExperimentConfig } from '../experiments/config.ts';
import type { RunStore } from '../experiments/store.ts';
import { CALIBRATION_FILE } from '../experiments/sweep.ts';
import { PRESENTATION_FILE } from '../results/presentation.ts';
import { parseRows, type Row, rowToLine } from '../results/results.ts';

const ROWS = 'rows.jsonl';
const CONFIG = 'config.json';
const RESULTS = 'results.json';
/** File that a finished shard has instead of results.json. */
export const SHARD_FILE = 'shard.json';
const LOCK = 'lock';

/** Everything that the rows of a run depend on. */
export interface RunIdentity {
  readonly config: ExperimentConfig;
  /** SHA-256 of the victim's data set, and of the attacker's faces. */
  readonly dataset: string;
  readonly publicFaces?: string;
  /** Indices of the test images, separated by commas. */
  readonly split: string;
  readonly adapter: string;
  readonly shard?: { readonly index: number; readonly count: number };
}

export class RunFolder implements RunStore {
  readonly dir: string;
  #locked = false;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** Opens a folder for reading or for writing reports, without a lock; makes it if it does not exist. @throws DataError */
  static at(dir: string): RunFolder {
    try {
      mkdirSync(join(dir, 'pictures'), { recursive: true });
    } catch (cause) {
      throw fileError('write', dir, cause);
    }
    return new RunFolder(dir);
  }

  /** @throws ConfigError if the folder holds an unfinished run and `resume` is false */
  static refuseUnfinished(dir: string, resume: boolean): void {
    const finished = existsSync(join(dir, RESULTS)) || existsSync(join(dir, SHARD_FILE));
    const unfinished = existsSync(join(dir, CONFIG)) && !finished;
    if (unfinished && !resume) {
      throw new ConfigError(`${dir} holds an unfinished run: continue with --resume, or give another --out`);
    }
  }

  /**
   * Opens a folder for a run, and locks it. A finished run in it is replaced. With `resume` the run in it is continued:
   * everything that its rows depend on must be the same, but rates, memories, noise, draws and attacks may change.
   * @param partsOf the parts of a configuration that rows depend on
   * @throws ConfigError if the folder holds an unfinished run and `resume` is false, if something that its rows depend on
   * differs, or if another process writes into it
   */
  static async open(
    dir: string,
    identity: RunIdentity,
    partsOf: (config: ExperimentConfig) => { readonly rows: object; readonly outputs: Record<string, unknown> },
    resume: boolean,
  ): Promise<RunFolder> {
    const folder = RunFolder.at(dir);
    RunFolder.refuseUnfinished(dir, resume);
    folder.#lock();
    try {
      const text = JSON.stringify(identity, null, 2);
      const resumed = resume && existsSync(join(dir, CONFIG));
      if (resumed) {
        const saved = JSON.parse(new TextDecoder().decode(await readBytes(join(dir, CONFIG)))) as RunIdentity;
        refuseDifference(dir, saved, JSON.parse(text) as RunIdentity, partsOf);
        // Noise is calibrated to means over the draws: another number of draws needs a new calibration.
        if (saved.config.draws !== identity.config.draws) rmSync(join(dir, CALIBRATION_FILE), { force: true });
        for (const name of [RESULTS, SHARD_FILE]) rmSync(join(dir, name), { force: true });
      } else {
        const stale = readdirSync(dir).filter((name) => name.endsWith('.safetensors'));
        const files = [ROWS, RESULTS, SHARD_FILE, CALIBRATION_FILE, PRESENTATION_FILE, 'profile.json', ...stale];
        for (const name of files) rmSync(join(dir, name), { force: true });
      }
      await folder.write(CONFIG, text);
      return folder;
    } catch (error) {
      folder.close();
      throw error;
    }
  }

  /** Locks the folder against other processes. The lock of a process that no longer runs is removed. @throws ConfigError */
  #lock(): void {
    const path = join(this.dir, LOCK);
    for (let attempt = 0; ; attempt++) {
      try {
        writeFileSync(path, String(process.pid), { flag: 'wx' });
        this.#locked = true;
        return;
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw fileError('write', path, cause);
        const pid = Number(readFileSync(path, 'utf8'));
        if (attempt > 0 || isAlive(pid)) {
          throw new ConfigError(`${this.dir}: process ${pid} is writing there; wait for it, or give another --out`);
        }
        rmSync(path, { force: true });
      }
    }
  }

  /** Releases the lock. */
  close(): void {
    if (this.#locked) rmSync(join(this.dir, LOCK), { force: true });
    this.#locked = false;
  }

  async readRows(): Promise<Row[]> {
    const path = join(this.dir, ROWS);
    if (!existsSync(path)) return [];
    const values = await readJsonLines(path);
    return parseRows(values.map((value) => `${JSON.stringify(value)}\n`).join(''), path);
  }

  async appendRow(row: Row): Promise<void> {
    await appendLineDurable(join(this.dir, ROWS), rowToLine(row).trimEnd());
  }

  /** Replaces all rows by `rows`. */
  async rewriteRows(rows: readonly Row[]): Promise<void> {
    await this.write(ROWS, rows.map(rowToLine).join(''));
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    const path = join(this.dir, name);
    return existsSync(path) ? readBytes(path) : undefined;
  }

  async write(name: string, bytes: Uint8Array | string): Promise<void> {
    await writeFileAtomic(join(this.dir, name), bytes);
  }

  describe(name: string): string {
    return join(this.dir, name);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process runs, but belongs to another user and cannot be signalled.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** @throws ConfigError with the first value that differs among those that rows depend on */
function refuseDifference(
  dir: string,
  saved: RunIdentity,
  wanted: RunIdentity,
  partsOf: Parameters<typeof RunFolder.open>[2],
): void {
  const refuse = (found: Difference | undefined) => {
    if (!found) return;
    const text = (value: unknown) => (value === undefined ? 'not given' : JSON.stringify(value));
    throw new ConfigError(
      `${dir}: cannot resume, ${found.path} differs from the run there (was ${text(found.before)}, is ${text(found.now)})`,
    );
  };
  const [before, now] = [partsOf(saved.config), partsOf(wanted.config)];
  refuse(difference(before.rows, now.rows, ''));
  for (const [name, value] of Object.entries(now.outputs)) {
    if (Object.hasOwn(before.outputs, name)) refuse(difference(before.outputs[name], value, `the attack "${name}"`));
  }
  const { config: _a, ...savedRest } = saved;
  const { config: _b, ...wantedRest } = wanted;
  refuse(difference(savedRest, wantedRest, ''));
}

interface Difference {
  readonly path: string;
  readonly before: unknown;
  readonly now: unknown;
}

/** The first value that differs between two JSON values. */
function difference(a: unknown, b: unknown, path: string): Difference | undefined {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return Object.is(a, b) ? undefined : { path: path || 'the configuration', before: a, now: b };
  }
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const inner = difference(
      (a as Record<string, unknown>)[key],
      (b as Record<string, unknown>)[key],
      path ? `${path}.${key}` : key,
    );
    if (inner) return inner;
  }
  return undefined;
}
