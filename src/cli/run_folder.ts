/** A run's folder on disk: what an experiment's store is in Node, with the configuration that a resumed run must match. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { appendLineDurable, fileError, readBytes, readJsonLines, writeFileAtomic } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import type { RunStore } from '../experiments/store.ts';
import { parseRows, type Row, rowToLine } from '../results/results.ts';

const ROWS = 'rows.jsonl';
const CONFIG = 'config.json';
const RESULTS = 'results.json';

export class RunFolder implements RunStore {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  /** @throws ConfigError when the folder holds an unfinished run and `resume` is not given */
  static refuseUnfinished(dir: string, resume: boolean): void {
    const unfinished = existsSync(join(dir, CONFIG)) && !existsSync(join(dir, RESULTS));
    if (unfinished && !resume) {
      throw new ConfigError(`${dir} holds an unfinished run: go on with --resume, or give another --out`);
    }
  }

  /**
   * Opens a folder for a run. A finished run there is replaced; an unfinished one is continued with `resume`, if it has
   * the same configuration, and never touched otherwise.
   * @param identity everything that rows depend on: configuration, data set hash, adapter
   * @throws ConfigError when the folder holds an unfinished run and `resume` is not given, or another configuration
   */
  static async open(dir: string, identity: Record<string, unknown>, resume: boolean): Promise<RunFolder> {
    const folder = new RunFolder(dir);
    const text = JSON.stringify(identity, null, 2);
    try {
      mkdirSync(join(dir, 'pictures'), { recursive: true });
    } catch (cause) {
      throw fileError('write', dir, cause);
    }
    RunFolder.refuseUnfinished(dir, resume);
    if (resume && existsSync(join(dir, CONFIG))) {
      const saved = JSON.parse(new TextDecoder().decode(await readBytes(join(dir, CONFIG)))) as Record<string, unknown>;
      const changed = difference(saved, JSON.parse(text), '');
      if (changed) throw new ConfigError(`${dir}: cannot resume, ${changed} is another than in the run there`);
      return folder;
    }
    const stale = readdirSync(dir).filter((name) => name.endsWith('.safetensors'));
    for (const name of [ROWS, RESULTS, 'calibration.json', 'profile.json', ...stale])
      rmSync(join(dir, name), { force: true });
    await folder.write(CONFIG, text);
    return folder;
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

/** Path of the first value that differs, or undefined. */
function difference(a: unknown, b: unknown, path: string): string | undefined {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return Object.is(a, b) ? undefined : path || 'the configuration';
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
