/** `midas merge`: combines the shards of one experiment into the run that they would be without sharding. */
import { copyFileSync, existsSync, readdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { fileError, readBytes } from '../data/node/files.ts';
import { ConfigError, DataError } from '../errors.ts';
import { CALIBRATION_FILE } from '../experiments/sweep.ts';
import { TRAININGS_FILE } from '../experiments/training.ts';
import { parseJson } from '../formats/json.ts';
import { asWritten } from '../results/order.ts';
import { PRESENTATION_FILE, type Presentation } from '../results/presentation.ts';
import { type Manifest, ManifestSchema, type Row, rowKey } from '../results/results.ts';
import { endingLines } from './ending.ts';
import { readPresentation, resultsOf, writeRunFiles } from './run_files.ts';
import { RunFolder, SHARD_FILE } from './run_folder.ts';
import type { Session } from './session.ts';

/** The content of a finished shard's file. */
const FinishedSchema = v.object({
  shard: v.object({ index: v.number(), count: v.number() }),
  manifest: ManifestSchema,
});

interface FinishedShard {
  readonly dir: string;
  readonly folder: RunFolder;
  readonly shard: { readonly index: number; readonly count: number };
  readonly manifest: Manifest;
  readonly presentation: Presentation;
  readonly rows: readonly Row[];
}

/**
 * Merges finished shards into `--out`.
 * @throws ConfigError if shards are missing, given twice, or of different experiments; DataError if one is not finished
 */
export async function mergeCommand(session: Session, dirs: readonly string[]): Promise<void> {
  const shards = await Promise.all(dirs.map(readShard));
  shards.sort((a, b) => a.shard.index - b.shard.index);
  const [first] = shards;
  const identityOf = ({ folder }: FinishedShard) => JSON.stringify({ ...folder.identity, shard: undefined });
  for (const shard of shards) {
    if (shard.shard.count !== first.shard.count || identityOf(shard) !== identityOf(first)) {
      throw new ConfigError(`${shard.dir}: the shard belongs to another experiment than that in ${first.dir}`);
    }
  }
  for (let index = 0; index < first.shard.count; index++) {
    const found = shards.filter(({ shard }) => shard.index === index);
    if (found.length !== 1) {
      const what = found.length === 0 ? 'is missing' : `was given ${found.length} times`;
      throw new ConfigError(`shard ${index + 1} of ${first.shard.count} ${what}; give every shard once`);
    }
  }
  const { out } = session.options;
  if (existsSync(out) && dirs.some((dir) => realpathSync(dir) === realpathSync(out))) {
    throw new ConfigError(`--out ${out}: this is one of the shards; give another folder`);
  }
  const { shard: _, ...identity } = first.folder.identity;
  // A merge that was killed is made again: its folder holds nothing that the shards do not have.
  const resume = await RunFolder.isUnfinished(out, identity);
  RunFolder.refuseOccupied(out, resume);
  const rows = uniqueRows(shards);
  const withBaselines = shards.find(({ presentation }) => presentation.baselines !== undefined);
  const presentation = withBaselines?.presentation ?? first.presentation;
  const started = shards.map(({ manifest }) => manifest.started).sort()[0];
  const seconds = shards.reduce((sum, { manifest }) => sum + manifest.seconds, 0);
  const manifest = { ...first.manifest, command: session.command, started, seconds };
  const results = resultsOf(manifest, rows, presentation);
  const { signal, progress } = session;
  const { waitMinutes } = session.options;
  const folder = await RunFolder.open(out, identity, { resume, waitMinutes, signal, warn: progress.warn });
  try {
    for (const { dir } of shards) copyFiles(dir, out);
    await folder.write(PRESENTATION_FILE, `${JSON.stringify(presentation, null, 1)}\n`);
    await folder.rewriteRows(asWritten(rows, presentation.order));
    await writeRunFiles(folder, { results, presentation });
    session.answer(results, endingLines(results, join(out, 'report.html')));
  } finally {
    folder.close();
  }
}

async function readShard(dir: string): Promise<FinishedShard> {
  const path = join(dir, SHARD_FILE);
  if (!existsSync(path))
    throw new DataError(`${dir}: no finished shard in this folder; continue the run with --resume`);
  const advice = 'continue the run with --resume';
  const result = v.safeParse(FinishedSchema, parseJson(await readBytes(path), path, { advice }));
  if (!result.success) throw new DataError(`${path}: ${result.issues[0].message}; ${advice}`);
  const folder = await RunFolder.read(dir);
  if (!(await RunFolder.isFinished(dir, folder.identity))) {
    throw new DataError(`${dir}: the shard has not measured all of its configuration; ${advice}`);
  }
  return { dir, folder, ...result.output, presentation: await readPresentation(folder), rows: await folder.readRows() };
}

/** The rows of all shards, without duplicates. @throws DataError if two shards have different rows for the same draw */
function uniqueRows(shards: readonly FinishedShard[]): Row[] {
  const rows = new Map<string, Row>();
  for (const shard of shards) {
    for (const row of shard.rows) {
      const key = rowKey(row);
      const other = rows.get(key);
      if (other && JSON.stringify(other) !== JSON.stringify(row)) {
        throw new DataError(`${shard.dir}: draw ${row.draw} under ${row.attack} differs from that of another shard`);
      }
      rows.set(key, row);
    }
  }
  return [...rows.values()];
}

/** Copies the files that are equal in every shard or that only one shard has: networks, calibration, pictures. */
function copyFiles(from: string, to: string): void {
  try {
    const networks = readdirSync(from).filter((name) => name.endsWith('.safetensors'));
    const pictures = readdirSync(join(from, 'pictures')).map((name) => join('pictures', name));
    for (const name of [...networks, CALIBRATION_FILE, TRAININGS_FILE, ...pictures]) {
      if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
    }
  } catch (cause) {
    throw fileError('write', to, cause);
  }
}
