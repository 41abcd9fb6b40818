/** The two batch scripts of a run that is divided among the machines of a cluster: its shards as one array job, and their merge. */
import { join } from 'node:path';
import type { Option } from 'commander';
import { shellQuoted } from './shell.ts';

/** A run that is divided among machines. */
export interface ClusterRun {
  /** Name of the array job. */
  readonly name: string;
  /** What starts midas: Node, its options and the program's file. */
  readonly program: readonly string[];
  /** Arguments of `midas run` that every shard gets. */
  readonly args: readonly string[];
  /** Absolute path of the folder to which paths in `args` are relative. */
  readonly folder: string;
  /** Absolute path of the merged run. */
  readonly out: string;
  /** Number of shards. */
  readonly count: number;
  readonly partition?: string;
}

/** The flags that `--slurm` gives to each shard itself, or that only concern the submission. */
const OWN_FLAGS = ['--slurm', '--dry-run', '--array', '--partition', '--out', '--json'];

/**
 * How long a task waits for its folder, minutes. A file system of several machines keeps the lock of a machine that died for one
 * or two; a process that lives on where Slurm no longer sees it keeps it until it ends.
 */
const WAIT_MINUTES = 10;

/** Name of the job that merges the shards of {@link ClusterRun.name}. */
export const mergeName = (name: string) => `${name}-merge`;

/** Folder of a shard inside `out`. @param index from 1 */
export const shardFolder = (index: number | string, count: number) => join('shards', `${index}-of-${count}`);

/** Folder of scripts and logs inside `out`. */
export const SCRIPTS = 'slurm';

/** The arguments of a command without {@link OWN_FLAGS} and the name of the command. @param options of the command */
export function passedOn(args: readonly string[], options: readonly Option[]): string[] {
  const kept: string[] = [];
  for (let i = 1; i < args.length; i++) {
    if (args[i] === '--') return [...kept, ...args.slice(i)];
    const flag = args[i].split('=', 1)[0];
    const takesNext =
      flag === args[i] && options.some((option) => (option.long === flag || option.short === flag) && option.required);
    const own = args.slice(i, takesNext ? i + 2 : i + 1);
    if (!OWN_FLAGS.includes(flag)) kept.push(...own);
    i += own.length - 1;
  }
  return kept;
}

/** `[1, 3, 4, 5]` as Slurm writes it: `1,3-5`. */
export function indexList(indices: readonly number[]): string {
  const runs: [first: number, last: number][] = [];
  for (const index of indices) {
    const last = runs.at(-1);
    if (last && last[1] + 1 === index) last[1] = index;
    else runs.push([index, index]);
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join();
}

/** The script of an array job. @param shards the shards that it measures, from 1, in ascending order */
export function arrayScript(run: ClusterRun, shards: readonly number[]): string {
  const { program, args, out, count, name } = run;
  const task = '"$SLURM_ARRAY_TASK_ID"';
  return script(run, [`--job-name=${name}`, `--array=${indexList(shards)}`], 'shard-%a.log', [
    ...[...program, 'run'].map(shellQuoted),
    `--shard ${task}/${count} --resume --wait-minutes ${WAIT_MINUTES}`,
    `--out ${shellQuoted(out)}/${shardFolder(task, count)}`,
    ...args.map(shellQuoted),
  ]);
}

/** The script that merges all shards. It is submitted with a dependency on them. */
export function mergeScript(run: ClusterRun): string {
  const { program, out, count, name } = run;
  return script(run, [`--job-name=${mergeName(name)}`, '--kill-on-invalid-dep=yes'], 'merge.log', [
    ...[...program, 'merge'].map(shellQuoted),
    `${shellQuoted(out)}/${shardFolder(`{1..${count}}`, count)} --wait-minutes ${WAIT_MINUTES}`,
    `--out ${shellQuoted(out)}`,
  ]);
}

/** A task that is requeued appends to its log. The shell becomes the program, so that it gets the signals of Slurm. */
function script(
  { folder, out, partition }: ClusterRun,
  settings: readonly string[],
  log: string,
  command: readonly string[],
): string {
  const all = [
    ...settings,
    '--requeue',
    '--open-mode=append',
    `--chdir=${settingQuoted(folder)}`,
    `--output=${settingQuoted(`${join(out, SCRIPTS).replaceAll('%', '%%')}/${log}`)}`,
    ...(partition === undefined ? [] : [`--partition=${settingQuoted(partition)}`]),
  ];
  return ['#!/usr/bin/env bash', ...all.map((setting) => `#SBATCH ${setting}`), `exec ${command.join(' ')}`, ''].join(
    '\n',
  );
}

/** A value in a line that sbatch reads itself. */
function settingQuoted(text: string): string {
  return `"${text.replaceAll('"', '\\"')}"`;
}
