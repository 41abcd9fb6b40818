/** `midas run --slurm`: submits the shards of an experiment and their merge to Slurm; given again, only what is missing. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Option } from 'commander';
import { writeFileAtomic } from '../data/node/files.ts';
import { ConfigError, MidasError } from '../errors.ts';
import type { Asked } from './asked_experiment.ts';
import type { ExperimentOptions } from './experiment_options.ts';
import { makeFolder } from './output_file.ts';
import { RunFolder } from './run_folder.ts';
import { RunLock } from './run_lock.ts';
import type { Session } from './session.ts';
import { shellQuoted } from './shell.ts';
import {
  arrayScript,
  type ClusterRun,
  indexList,
  mergeName,
  mergeScript,
  passedOn,
  SCRIPTS,
  shardFolder,
} from './slurm_scripts.ts';

/** What the options of `--slurm` are parsed to. */
export interface SlurmOptions {
  readonly slurm?: boolean;
  readonly array?: number;
  readonly partition?: string;
  readonly dryRun?: boolean;
}

/** Number of shards if neither --array nor the folder says it. */
const DEFAULT_COUNT = 8;

/** A job that is queued or running. */
interface Job {
  /** As Slurm names it: `12`, or `12_3` for a task of an array. */
  readonly id: string;
  /** The shard, from 1; undefined for a merge. */
  readonly shard?: number;
}

/** What there is to submit. */
interface Missing {
  /** Shards that are neither finished nor in a job, from 1, ascending. */
  readonly shards: readonly number[];
  /** Shards that are in a job. */
  readonly waiting: readonly Job[];
  /** Jobs of merges that are queued or running. */
  readonly merges: readonly Job[];
  /** True if the shards must be merged by a new job. */
  readonly merge: boolean;
}

/** @throws ConfigError for options that exclude each other, or that --slurm alone has */
export function checkSlurmOptions({ slurm, array, ...options }: ExperimentOptions & SlurmOptions): void {
  const given = { array, partition: options.partition, 'dry-run': options.dryRun };
  const lone = Object.entries(given).find(([, value]) => value !== undefined);
  if (!slurm && lone) throw new ConfigError(`--${lone[0]}: give --slurm too; it has no meaning without`);
  if (!slurm) return;
  if (options.shard !== undefined) throw new ConfigError('--shard: --slurm makes the shards itself; give --array N');
  if (options.resume) throw new ConfigError('--resume: leave it out; --slurm always continues what there is');
  if (array !== undefined && array < 1) throw new ConfigError(`--array ${array}: give the number of shards, 1 or more`);
}

/**
 * Submits one array job for the shards of an experiment that are not finished and not in a job yet, and one job that merges all
 * shards after them. With `dryRun` it prints the two scripts.
 * @param args of the command line
 * @param known the options of the command
 * @throws ConfigError for options or a folder that does not fit, or without Slurm; DataError for a damaged folder; MidasError with
 *   what sbatch says
 */
export async function slurmCommand(
  session: Session,
  asked: Asked,
  { array, partition, dryRun }: SlurmOptions,
  { args, known }: { readonly args: readonly string[]; readonly known: readonly Option[] },
): Promise<void> {
  const out = resolve(session.options.out);
  const folder = process.cwd();
  for (const path of [out, folder]) {
    if (/[\\\p{Cc}]/u.test(path))
      throw new ConfigError(`${path}: sbatch takes no such path; use one of plain characters`);
  }
  RunFolder.refuseOccupied(out, true);
  const name = `midas-${createHash('sha256').update(out).digest('hex').slice(0, 12)}`;
  const program = [process.execPath, ...process.execArgv, resolve(process.argv[1])];
  const passed = passedOn(args, known);
  const run: ClusterRun = { name, program, args: passed, folder, out, count: countOf(out, array), partition };
  if (dryRun) {
    const missing = await missingOf(run, asked, session.version, jobsOf(name, { needed: false }));
    return answerDry(session, run, missing);
  }
  // Leaves no folder behind where there is no Slurm.
  slurm('sbatch', ['--version']);
  makeFolder(join(out, SCRIPTS));
  const lock = RunLock.acquire(join(out, SCRIPTS));
  try {
    const missing = await missingOf(run, asked, session.version, jobsOf(name, { needed: true }));
    await submit(session, run, missing);
  } finally {
    lock.release();
  }
}

/** The number of shards: that of the folder, if it has shards already. @throws ConfigError if --array says another */
function countOf(out: string, array: number | undefined): number {
  const dir = join(out, 'shards');
  const names = existsSync(dir) ? readdirSync(dir) : [];
  const counts = names.flatMap((name) => /^\d+-of-(\d+)$/.exec(name)?.slice(1) ?? []).map(Number);
  const other = counts.find((count) => count !== (array ?? counts[0]));
  if (other !== undefined) {
    throw new ConfigError(
      `--array ${array}: ${dir} holds shards of ${other}; leave --array out, or give another --out`,
    );
  }
  return counts[0] ?? array ?? DEFAULT_COUNT;
}

async function missingOf(
  { out, count }: ClusterRun,
  { config }: Asked,
  version: string,
  jobs: readonly Job[],
): Promise<Missing> {
  const merged = await RunFolder.isFinished(out, { version, config });
  const shards: number[] = [];
  const waiting: Job[] = [];
  for (let index = 1; index <= count; index++) {
    const wanted = { version, config, shard: { index: index - 1, count } };
    const finished = await RunFolder.isFinished(join(out, shardFolder(index, count)), wanted);
    const job = jobs.find(({ shard }) => shard === index);
    if (job) waiting.push(job);
    else if (!finished) shards.push(index);
  }
  const merges = jobs.filter(({ shard }) => shard === undefined);
  // A merge that is queued waits for the shards that were missing when it was submitted.
  const isAwaited = merges.length > 0 || (merged && waiting.length === 0);
  return { shards, waiting, merges, merge: shards.length > 0 || !isAwaited };
}

/** The commands that submit the scripts. @param arrayJob its number, if there is an array job */
function mergeDependency({ waiting }: Missing, arrayJob: string | undefined): string[] {
  const all = [...(arrayJob === undefined ? [] : [arrayJob]), ...waiting.map(({ id }) => id)];
  return all.length > 0 ? [`--dependency=afterok:${all.join(':')}`] : [];
}

const scriptFile = ({ out }: ClusterRun, name: 'array' | 'merge') => join(out, SCRIPTS, `${name}.sh`);

function answerDry(session: Session, run: ClusterRun, missing: Missing): void {
  const array = missing.shards.length > 0 ? arrayScript(run, missing.shards) : undefined;
  const merge = missing.merge ? mergeScript(run) : undefined;
  const command = (name: 'array' | 'merge', ...flags: string[]) =>
    `# sbatch ${[...flags, scriptFile(run, name)].map(shellQuoted).join(' ')}`;
  const lines = [
    ...(array ? [command('array'), ...array.split('\n')] : []),
    ...(merge ? [command('merge', ...mergeDependency(missing, array && 'JOB')), ...merge.split('\n')] : []),
  ];
  session.answer({ ...described(run, missing), array, merge }, lines.length > 0 ? lines : stateLines(run, missing));
}

async function submit(session: Session, run: ClusterRun, missing: Missing): Promise<void> {
  let array: string | undefined;
  let merge: string | undefined;
  if (missing.shards.length > 0) {
    const path = scriptFile(run, 'array');
    await writeFileAtomic(path, arrayScript(run, missing.shards));
    array = sbatch([path]);
    // They say how many shards there are until the tasks begin.
    for (const index of missing.shards) makeFolder(join(run.out, shardFolder(index, run.count)));
  }
  if (missing.merge) {
    // A merge that does not wait for the new shards would fail.
    if (missing.merges.length > 0)
      slurm(
        'scancel',
        missing.merges.map(({ id }) => id),
      );
    const path = scriptFile(run, 'merge');
    await writeFileAtomic(path, mergeScript(run));
    merge = sbatch([...mergeDependency(missing, array), path]);
  }
  const lines = [
    ...(array === undefined ? [] : [`job ${array}: shards ${indexList(missing.shards)} of ${run.count}`]),
    ...stateLines(run, missing),
    ...(merge === undefined ? [] : [`job ${merge}: merges them into ${run.out}`]),
    `scripts and logs: ${join(run.out, SCRIPTS)}; the same command again submits what is missing then`,
  ];
  session.answer({ ...described(run, missing), job: array, mergeJob: merge }, lines);
}

/** What need not be submitted, as JSON and as lines. */
function described({ out, count }: ClusterRun, { shards, waiting }: Missing): object {
  return { out, shards: count, missing: shards, waiting: waiting.map(({ shard }) => shard) };
}

function stateLines({ out, count }: ClusterRun, { shards, waiting, merges, merge }: Missing): string[] {
  const finished = count - shards.length - waiting.length;
  return [
    ...(waiting.length > 0
      ? [`queued or running already: shards ${indexList(waiting.map(({ shard }) => shard!))}`]
      : []),
    ...(finished > 0 ? [`finished already: ${finished} of ${count} shards`] : []),
    ...(merge
      ? []
      : [merges.length > 0 ? `the merge is queued or running already: job ${merges[0].id}` : `merged already: ${out}`]),
  ];
}

/** The jobs with this name that are queued or running. @param options.needed false if a machine without Slurm has none */
function jobsOf(name: string, { needed }: { readonly needed: boolean }): Job[] {
  const names = [name, mergeName(name)].join();
  const answer = slurm('squeue', ['--noheader', '--array', `--name=${names}`, '--format=%i %K %j'], needed);
  return answer.split('\n').flatMap((line): Job[] => {
    const [id, index, own] = line.trim().split(' ');
    if (!own) return [];
    return [own === name ? { id, shard: Number(index) } : { id }];
  });
}

/** Submits a script. @returns the number of the job */
function sbatch(args: readonly string[]): string {
  return slurm('sbatch', ['--parsable', ...args]).split(/[;\n]/)[0];
}

/**
 * Runs a command of Slurm.
 * @param needed false if the answer is empty where there is no such command
 * @returns what it prints
 */
function slurm(command: 'sbatch' | 'squeue' | 'scancel', args: readonly string[], needed = true): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    if (!needed) return '';
    throw new ConfigError(
      `--slurm: there is no command ${command} here; go to a machine of a cluster with Slurm, or print the scripts with --dry-run`,
    );
  }
  if (status !== 0) {
    const reason = error?.message ?? stderr.trim().replace(/\s*\n\s*/g, '; ');
    throw new MidasError(`${command} refused: ${reason}; give the command again when this is changed`);
  }
  return stdout;
}
