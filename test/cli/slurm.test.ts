import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Option } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Asked } from '../../src/cli/asked_experiment.ts';
import type { ExperimentOptions } from '../../src/cli/experiment_options.ts';
import type { Session } from '../../src/cli/session.ts';
import { checkSlurmOptions, type SlurmOptions, slurmCommand } from '../../src/cli/slurm.ts';
import { arrayScript, indexList, mergeScript, passedOn } from '../../src/cli/slurm_scripts.ts';
import { ConfigError, MidasError } from '../../src/errors.ts';
import { parseExperiment } from '../../src/experiments/config.ts';
import { presetInput } from '../../src/experiments/presets.ts';
import { WHOLE } from '../../src/experiments/shard.ts';

let scratch: string;
let out: string;
const { PATH } = process.env;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'midas-slurm-'));
  out = join(scratch, 'run');
});
afterEach(() => {
  process.env.PATH = PATH;
  rmSync(scratch, { recursive: true });
});

const OPTIONS = ['--out <dir>', '--array <n>', '--partition <name>', '--memory <name>', '--slurm', '--weights [n]'].map(
  (flags) => new Option(flags),
);

describe('the arguments that every shard gets', () => {
  test.each([
    [
      ['run', 'a.json', '--slurm', '--array', '6', '--draws', '3'],
      ['a.json', '--draws', '3'],
    ],
    [
      ['run', '--array=6', '--partition=p', '--out=x', 'a.json', '--rates=1,2'],
      ['a.json', '--rates=1,2'],
    ],
    [['run', '--json', '--out', '--slurm', 'a.json', '--dry-run'], ['a.json']],
    [
      ['run', '--memory', '--out', '--weights', '--slurm', 'a.json'],
      ['--memory', '--out', '--weights', 'a.json'],
    ],
    [
      ['run', '--slurm', '--', '--out'],
      ['--', '--out'],
    ],
  ])('of the arguments %j the shards get %j', (args, kept) => {
    expect(passedOn(args, OPTIONS)).toEqual(kept);
  });
});

test.each([
  [[1], '1'],
  [[1, 2, 3], '1-3'],
  [[1, 3, 4, 7, 9, 10, 11], '1,3-4,7,9-11'],
])('the shards %j are written for Slurm as %s', (indices, text) => {
  expect(indexList(indices)).toBe(text);
});

describe('the two scripts of a run', () => {
  const odd = 'a b \'c\' "d" $HOME `e` 50%a #f;*';
  const program = [process.execPath, '--eval', 'console.log(JSON.stringify(process.argv.slice(1)))', '--'];
  const run = () => ({
    name: 'midas-1',
    program,
    args: ['--config', `${odd}\nnew line.json`, ''],
    folder: join('/', odd),
    out: join('/', odd, 'run'),
    count: 12,
    partition: 'long jobs',
  });
  const argumentsOf = (script: string, task: string): string[] =>
    JSON.parse(
      execFileSync('bash', ['--norc', '-c', script], { encoding: 'utf8', env: { SLURM_ARRAY_TASK_ID: task } }),
    );

  test('bash gives each task its shard, and every argument unchanged', () => {
    const { args } = run();
    const own = ['--shard', '11/12', '--resume', '--wait-minutes', '10', '--out', `/${odd}/run/shards/11-of-12`];
    expect(argumentsOf(arrayScript(run(), [3, 11]), '11')).toEqual(['run', ...own, ...args]);
  });

  test('bash gives the merge all shards', () => {
    const shards = Array.from({ length: 12 }, (_, i) => `/${odd}/run/shards/${i + 1}-of-12`);
    const all = ['merge', ...shards, '--wait-minutes', '10', '--out', `/${odd}/run`];
    expect(argumentsOf(mergeScript(run()), '')).toEqual(all);
  });

  test('the settings for Slurm quote paths, and double a percent sign only in the name of a log', () => {
    const quoted = odd.replaceAll('"', '\\"');
    const settings = (script: string) => script.split('\n').filter((line) => line.startsWith('#SBATCH'));
    const common = [
      '#SBATCH --requeue',
      '#SBATCH --open-mode=append',
      `#SBATCH --chdir="/${quoted}"`,
      `#SBATCH --output="/${quoted.replace('%', '%%')}/run/slurm/shard-%a.log"`,
      '#SBATCH --partition="long jobs"',
    ];
    expect(settings(arrayScript(run(), [3, 11]))).toEqual([
      '#SBATCH --job-name=midas-1',
      '#SBATCH --array=3,11',
      ...common,
    ]);
    expect(settings(mergeScript(run()))).toEqual([
      '#SBATCH --job-name=midas-1-merge',
      '#SBATCH --kill-on-invalid-dep=yes',
      ...common.map((line) => line.replace('shard-%a', 'merge')),
    ]);
  });
});

describe('submitting a run', () => {
  const config = parseExperiment(presetInput('shallow'), 'test');
  const asked = (changes: object = {}): Asked => ({
    config: parseExperiment({ ...presetInput('shallow'), ...changes }, 'test'),
    files: undefined,
    notes: [],
    shard: WHOLE,
  });

  /** Commands that write down how they were called, and the answer of squeue. */
  function installSlurm({ queue = [] as string[], refusal = '' } = {}): void {
    const log = join(scratch, 'calls');
    const bin = join(scratch, 'bin');
    mkdirSync(bin, { recursive: true });
    const command = (name: string, body: string) => {
      writeFileSync(join(bin, name), `#!/bin/sh\necho "${name} $*" >>'${log}'\n${body}\n`);
      chmodSync(join(bin, name), 0o755);
    };
    const number = `echo "$(grep -c parsable '${log}')0;cluster"`;
    const refuse = `[ "$1" = --version ] && exit; echo '${refusal}' >&2; exit 1`;
    command('sbatch', refusal ? refuse : number);
    command('scancel', '');
    command('squeue', `name=$(expr "$*" : '.*--name=\\([^,]*\\),')\ncat <<end\n${queue.join('\n')}\nend`);
    process.env.PATH = [bin, PATH].join(delimiter);
  }

  /** The calls since the last one, without folders and the name of the job. */
  function calls(): string[] {
    const log = join(scratch, 'calls');
    const lines = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : [];
    rmSync(log, { force: true });
    return lines.filter((line) => !/^squeue|--version$/.test(line)).map((line) => line.replace(`${out}/slurm/`, ''));
  }

  async function submit(
    options: SlurmOptions = {},
    experiment = asked(),
  ): Promise<{ readonly json: Record<string, unknown>; readonly lines: readonly string[] }> {
    let answer: Awaited<ReturnType<typeof submit>> | undefined;
    const session = {
      options: { out },
      version: '1.0.0',
      answer(json: Record<string, unknown>, lines: readonly string[]) {
        answer = { json, lines };
      },
    };
    const args = ['run', 'shallow', '--slurm', '--array', '3', '--draws', '2'];
    await slurmCommand(session as unknown as Session, experiment, options, { args, known: OPTIONS });
    return answer!;
  }

  /** Writes what a finished run leaves, as far as it is read here. @param index of a shard from 1; 0 for the merged run */
  function finish(index: number, changes: object = {}): void {
    const dir = index === 0 ? out : join(out, 'shards', `${index}-of-3`);
    const shard = index > 0 && { shard: { index: index - 1, count: 3 } };
    const identity = { version: '1.0.0', config, dataset: 'd', split: 's', adapter: 'a', ...shard, ...changes };
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'config.json'), JSON.stringify(identity));
    writeFileSync(join(dir, index === 0 ? 'results.json' : 'shard.json'), JSON.stringify({ manifest: { config } }));
  }

  test('the first submission is one array job and a merge that depends on it', async () => {
    installSlurm();
    const { json, lines } = await submit({ array: 3 });
    expect(calls()).toEqual(['sbatch --parsable array.sh', 'sbatch --parsable --dependency=afterok:10 merge.sh']);
    expect(json).toEqual({ out, shards: 3, missing: [1, 2, 3], waiting: [], job: '10', mergeJob: '20' });
    expect(lines.slice(0, 2)).toEqual(['job 10: shards 1-3 of 3', `job 20: merges them into ${out}`]);
    const array = readFileSync(join(out, 'slurm', 'array.sh'), 'utf8');
    expect(array).toContain('#SBATCH --array=1-3\n');
    expect(array).toMatch(/ shallow --draws 2\n$/);
    expect(readFileSync(join(out, 'slurm', 'merge.sh'), 'utf8')).toContain('/{1..3}-of-3 ');
  });

  test('a dry run prints the two scripts and leaves nothing, with Slurm and without', async () => {
    installSlurm();
    const { lines, json } = await submit({ array: 3, dryRun: true });
    expect(calls()).toEqual([]);
    expect(existsSync(out)).toBe(false);
    expect(lines.filter((line) => line === '#!/usr/bin/env bash')).toHaveLength(2);
    expect(lines.filter((line) => line.startsWith('# '))).toEqual([
      `# sbatch ${out}/slurm/array.sh`,
      `# sbatch --dependency=afterok:JOB ${out}/slurm/merge.sh`,
    ]);
    process.env.PATH = join(scratch, 'nothing');
    expect((await submit({ array: 3, dryRun: true })).json).toEqual(json);
  });

  test('shards that are finished, queued or running are not submitted again, and the merge waits for all', async () => {
    installSlurm({ queue: ['7_2 2 $name'] });
    finish(1);
    const { json } = await submit({ array: 3 });
    expect(calls()).toEqual(['sbatch --parsable array.sh', 'sbatch --parsable --dependency=afterok:10:7_2 merge.sh']);
    expect(json).toMatchObject({ missing: [3], waiting: [2] });
    expect(readFileSync(join(out, 'slurm', 'array.sh'), 'utf8')).toContain('#SBATCH --array=3\n');
  });

  test('a merge that does not wait for the missing shards is replaced', async () => {
    installSlurm({ queue: ['7_2 2 $name', '8 N/A $name-merge'] });
    finish(1);
    await submit({ array: 3 });
    expect(calls()).toEqual([
      'sbatch --parsable array.sh',
      'scancel 8',
      'sbatch --parsable --dependency=afterok:10:7_2 merge.sh',
    ]);
  });

  test('a run that is queued whole, or merged, has nothing to submit', async () => {
    installSlurm({ queue: ['7_1 1 $name', '7_2 2 $name', '7_3 3 $name', '8 N/A $name-merge'] });
    expect((await submit({ array: 3 })).lines).toContain('the merge is queued or running already: job 8');
    expect(calls()).toEqual([]);
    installSlurm();
    for (const index of [0, 1, 2, 3]) finish(index);
    expect((await submit()).lines).toContain(`merged already: ${out}`);
    expect(calls()).toEqual([]);
  });

  test('finished shards that nothing has merged are merged without waiting', async () => {
    installSlurm();
    for (const index of [1, 2, 3]) finish(index);
    expect((await submit()).json).toMatchObject({ missing: [], mergeJob: '10' });
    expect(calls()).toEqual(['sbatch --parsable merge.sh']);
  });

  test('shards of a smaller configuration are continued, and of another one refused', async () => {
    installSlurm();
    for (const index of [0, 1, 2, 3]) finish(index);
    const { json } = await submit({}, asked({ draws: 99 }));
    expect(json).toMatchObject({ missing: [1, 2, 3], mergeJob: '20' });
    const other = submit({}, asked({ seed: 5 }));
    await expect(other).rejects.toThrow(ConfigError);
    await expect(other).rejects.toThrow(/seed differs from the run there \(was 1, is 5\)/);
    finish(2, { version: '0.9.0' });
    await expect(submit()).rejects.toThrow(/2-of-3: .*version differs/);
  });

  test('a shard that was killed while it began a larger configuration is not finished', async () => {
    installSlurm();
    for (const index of [1, 2, 3]) finish(index);
    // Its configuration was written, and the file of the finished shard not removed yet.
    finish(2, { config: asked({ draws: 99 }).config });
    expect((await submit({}, asked({ draws: 99 }))).json).toMatchObject({ missing: [1, 2, 3] });
  });

  test('another number of shards than that of the folder is refused', async () => {
    installSlurm();
    await submit({ array: 3 });
    await expect(submit({ array: 4 })).rejects.toThrow(/--array 4: .*shards holds shards of 3; leave --array out/);
  });

  test('what sbatch says is passed on, and the next try may have another number of shards', async () => {
    installSlurm({ refusal: 'sbatch: error: invalid partition specified: x' });
    const refused = submit({ array: 3 });
    await expect(refused).rejects.toThrow(MidasError);
    await expect(refused).rejects.toThrow(/^sbatch refused: sbatch: error: invalid partition specified: x; /);
    installSlurm();
    expect((await submit({ array: 2 })).json).toMatchObject({ shards: 2, missing: [1, 2] });
  });

  test('a machine without Slurm is named', async () => {
    process.env.PATH = join(scratch, 'nothing');
    const submitted = submit({ array: 3 });
    await expect(submitted).rejects.toThrow(ConfigError);
    await expect(submitted).rejects.toThrow(/no command sbatch here; .* or print the scripts with --dry-run/);
    expect(existsSync(out)).toBe(false);
  });

  test('a folder whose name Slurm cannot read is refused', async () => {
    out = join(scratch, 'back\\slash');
    await expect(submit({ array: 3, dryRun: true })).rejects.toThrow(/sbatch takes no such path/);
  });
});

test.each<[object, RegExp]>([
  [{ array: 3 }, /^--array: give --slurm too/],
  [{ partition: 'p' }, /^--partition: give --slurm too/],
  [{ dryRun: true }, /^--dry-run: give --slurm too/],
  [{ slurm: true, array: 0 }, /^--array 0: give the number of shards, 1 or more$/],
  [{ slurm: true, shard: '1/2' }, /^--shard: --slurm makes the shards itself/],
  [{ slurm: true, resume: true }, /^--resume: leave it out/],
])('the options %j are refused', (options, message) => {
  const check = () => checkSlurmOptions(options as ExperimentOptions & SlurmOptions);
  expect(check).toThrow(ConfigError);
  expect(check).toThrow(message);
});
