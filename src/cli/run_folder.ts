/** A run's folder on disk: the store of an experiment in Node, with the identity that a resumed run must match. */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { appendLineDurable, fileError, readBytes, writeFileAtomic } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { dependencies, parseIdentity, RowMarks, type RunIdentity } from '../experiments/identity.ts';
import type { RunStore } from '../experiments/store.ts';
import { CALIBRATION_FILE } from '../experiments/sweep.ts';
import { TRAININGS_FILE } from '../experiments/training.ts';
import { decodeJson, parseJson } from '../formats/json.ts';
import { PRESENTATION_FILE } from '../results/presentation.ts';
import { type Manifest, markedRowToLine, parseRows, type Row, type RowChecks } from '../results/results.ts';
import { makeFolder } from './output_file.ts';
import { type LockWait, RunLock } from './run_lock.ts';

const ROWS = 'rows.jsonl';
const CONFIG = 'config.json';
const RESULTS = 'results.json';
const PICTURES = 'pictures';
/** File that a finished shard has instead of results.json. */
export const SHARD_FILE = 'shard.json';

export class RunFolder implements RunStore {
  readonly dir: string;
  readonly identity: RunIdentity;
  readonly #marks: RowMarks;
  readonly #lock: RunLock | undefined;

  private constructor(dir: string, identity: RunIdentity, marks: RowMarks, lock?: RunLock) {
    this.dir = dir;
    this.identity = identity;
    this.#marks = marks;
    this.#lock = lock;
  }

  /** Opens the folder of a run for reading, without a lock. @throws DataError if it does not hold a run */
  static async read(dir: string): Promise<RunFolder> {
    const identity = await readIdentity(dir);
    return new RunFolder(dir, identity, await RowMarks.of(identity));
  }

  /**
   * Refuses a folder that a run must not replace.
   * @throws ConfigError if `dir` is a file, or holds networks or rows without a run, or an unfinished run and `resume` is false
   */
  static refuseOccupied(dir: string, resume: boolean): void {
    if (!existsSync(dir)) return;
    if (!statSync(dir).isDirectory()) throw new ConfigError(`--out ${dir}: this is a file; give a folder`);
    const has = (name: string) => existsSync(join(dir, name));
    if (!has(CONFIG)) {
      const found = namesIn(dir).find((name) => name === ROWS || name.endsWith('.safetensors'));
      if (found === undefined) return;
      throw new ConfigError(
        `${dir} holds ${found} but no run (no ${CONFIG}): give another --out, or --pretrained for networks to use`,
      );
    }
    if (!resume && !has(RESULTS) && !has(SHARD_FILE)) {
      throw new ConfigError(`${dir} holds an unfinished run: continue with --resume, or give another --out`);
    }
  }

  /**
   * True if the folder holds this run, finished.
   * @param wanted `shard` is absent for a run that is not divided
   * @throws ConfigError if it holds a run that cannot be continued as this one; DataError for a damaged file
   */
  static async isFinished(dir: string, wanted: Pick<RunIdentity, 'version' | 'config' | 'shard'>): Promise<boolean> {
    if (!existsSync(join(dir, CONFIG))) return false;
    const saved = await readIdentity(dir, wanted.version);
    refuseDifference(dir, saved, JSON.parse(JSON.stringify({ ...saved, shard: undefined, ...wanted })));
    const path = join(dir, wanted.shard ? SHARD_FILE : RESULTS);
    if (!existsSync(path)) return false;
    // The file may be older than config.json: a process that was killed at its beginning has not removed it yet.
    const { manifest } = parseJson(await readBytes(path), path, { advice: 'delete it' }) as { manifest: Manifest };
    return difference(manifest.config, JSON.parse(JSON.stringify(wanted.config)), '') === undefined;
  }

  /** True if the folder holds an unfinished run with this identity. @throws DataError if it holds something else */
  static async isUnfinished(dir: string, identity: RunIdentity): Promise<boolean> {
    if (!existsSync(join(dir, CONFIG)) || existsSync(join(dir, RESULTS))) return false;
    return JSON.stringify(await readIdentity(dir)) === JSON.stringify(identity);
  }

  /**
   * Opens a folder for a run, and locks it. A finished run in it is replaced. With `resume` the run in it is continued:
   * everything that its rows depend on must be the same, but rates, memories, noise, draws and attacks may change.
   * @param options.warn called with a sentence about another process that is waited for, or about rows that were dropped because
   * they are repeated
   * @throws ConfigError as {@link refuseOccupied}, if something that its rows depend on differs, or if another process writes
   * into it; DataError for a damaged file, or rows of another run
   */
  static async open(
    dir: string,
    identity: RunIdentity,
    options: { readonly resume: boolean } & LockWait,
  ): Promise<RunFolder> {
    makeFolder(dir);
    const lock = await RunLock.waitFor(dir, options);
    try {
      RunFolder.refuseOccupied(dir, options.resume);
      const folder = new RunFolder(dir, identity, await RowMarks.of(identity), lock);
      makeFolder(join(dir, PICTURES));
      for (const name of namesIn(dir, PICTURES)) if (isTemporary(name)) folder.#remove(name);
      const hasRun = existsSync(join(dir, CONFIG));
      if (hasRun && options.resume) await folder.#resume(options.warn);
      else if (hasRun) folder.#clear();
      await folder.#writeIdentity();
      return folder;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  async #resume(warn: RowChecks['warn']): Promise<void> {
    const saved = await readIdentity(this.dir, this.identity.version);
    refuseDifference(this.dir, saved, JSON.parse(JSON.stringify(this.identity)));
    await this.#cleanRows(warn);
    // Noise is calibrated to means over the draws: another number of draws needs a new calibration.
    if (saved.config.draws !== this.identity.config.draws) this.#remove(CALIBRATION_FILE);
  }

  /** Removes what a later run would read or repeat, but not the results. */
  #clear(): void {
    const isOwn = (name: string) => /^[^/\\]+\.safetensors$/.test(name) || /^pictures[/\\].+\.npy$/.test(name);
    const old = namesIn(this.dir, PICTURES).filter(isOwn);
    const data = [ROWS, CALIBRATION_FILE, TRAININGS_FILE, PRESENTATION_FILE, 'profile.json'];
    for (const name of [...old, ...data]) this.#remove(name);
  }

  /** Results are removed last: a folder that has them is not an unfinished run, and can be replaced again after a kill. */
  async #writeIdentity(): Promise<void> {
    await this.write(CONFIG, JSON.stringify(this.identity, null, 2));
    for (const name of [RESULTS, SHARD_FILE]) this.#remove(name);
  }

  /** Removes rows that are repeated or cut off from the file. */
  async #cleanRows(warn: RowChecks['warn']): Promise<void> {
    const text = await this.#rowsText();
    // Rows of attacks that the run no longer has keep their marks.
    const marks = new Map<Row, unknown>();
    const lines = this.#parse(text, { warn, marks }).map((row) => markedRowToLine(row, String(marks.get(row))));
    if (lines.join('') !== text) await this.write(ROWS, lines.join(''));
  }

  #remove(name: string): void {
    const path = join(this.dir, name);
    try {
      rmSync(path, { force: true });
    } catch (cause) {
      throw fileError('write', path, cause);
    }
  }

  /** Releases the lock. */
  close(): void {
    this.#lock?.release();
  }

  async readRows(): Promise<Row[]> {
    return this.#parse(await this.#rowsText());
  }

  async #rowsText(): Promise<string> {
    const bytes = (await this.read(ROWS)) ?? new Uint8Array();
    // An interruption may have cut a character, but only in the last line.
    const end = bytes.lastIndexOf(0x0a) + 1;
    return decodeJson(bytes.subarray(0, end), this.describe(ROWS)) + new TextDecoder().decode(bytes.subarray(end));
  }

  /** @param args.marks receives the mark of every row */
  #parse(text: string, args: { readonly warn?: RowChecks['warn']; readonly marks?: Map<Row, unknown> } = {}): Row[] {
    const refuse = (row: Row, mark: unknown) => {
      args.marks?.set(row, mark);
      return this.#marks.matches(row.attack, mark) ? undefined : 'the row belongs to another run';
    };
    return parseRows(text, this.describe(ROWS), { refuse, warn: args.warn });
  }

  async appendRow(row: Row): Promise<void> {
    await appendLineDurable(join(this.dir, ROWS), markedRowToLine(row, this.#marks.of(row.attack)).trimEnd());
  }

  /** Replaces all rows by `rows`. */
  async rewriteRows(rows: readonly Row[]): Promise<void> {
    await this.write(ROWS, rows.map((row) => markedRowToLine(row, this.#marks.of(row.attack))).join(''));
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

/** True for the file that a killed process was writing. */
function isTemporary(name: string): boolean {
  return /\.\d+\.\d+\.tmp$/.test(name);
}

/** Names of the files in a folder, and of those in a folder inside it. @throws DataError */
function namesIn(dir: string, inside?: string): string[] {
  try {
    const names = readdirSync(dir);
    if (inside === undefined) return names;
    return [...names, ...readdirSync(join(dir, inside)).map((name) => join(inside, name))];
  } catch (cause) {
    throw fileError('read', dir, cause);
  }
}

/**
 * Reads what the rows in a folder depend on.
 * @param version that must have made the run; any by default
 * @throws DataError, ConfigError
 */
async function readIdentity(dir: string, version?: string): Promise<RunIdentity> {
  const path = join(dir, CONFIG);
  const json = parseJson(await readBytes(path), path, { advice: 'delete the folder, or give another --out' });
  const made = (json as { version?: unknown } | null)?.version;
  // The configuration of another version need not be valid in this one.
  if (version !== undefined && json !== null && typeof json === 'object' && 'config' in json && made !== version) {
    throw differs(dir, { path: 'version', before: made, now: version });
  }
  return parseIdentity(json, path);
}

/** @throws ConfigError with the first value that differs among those that rows depend on */
function refuseDifference(dir: string, saved: RunIdentity, wanted: RunIdentity): void {
  const refuse = (found: Difference | undefined) => {
    if (found) throw differs(dir, found);
  };
  const [before, now] = [dependencies(saved.config), dependencies(wanted.config)];
  refuse(difference(before.rows, now.rows, ''));
  for (const [name, value] of Object.entries(now.outputs)) {
    if (Object.hasOwn(before.outputs, name)) refuse(difference(before.outputs[name], value, `the attack "${name}"`));
  }
  const { config: _a, ...savedRest } = saved;
  const { config: _b, ...wantedRest } = wanted;
  refuse(difference(savedRest, wantedRest, ''));
}

function differs(dir: string, { path, before, now }: Difference): ConfigError {
  const text = (value: unknown) => {
    const json = value === undefined ? 'not given' : JSON.stringify(value);
    return json.length > 70 ? `${json.slice(0, 70)}…` : json;
  };
  return new ConfigError(
    `${dir}: cannot resume, ${path} differs from the run there (was ${text(before)}, is ${text(now)})`,
  );
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
