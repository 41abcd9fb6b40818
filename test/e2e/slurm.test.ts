/**
 * A run that a real Slurm divides among two nodes, with nodes and the controller killed in its middle: the merged files are those of
 * a run in one process, and nothing that was measured is measured again.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Row, rowKey } from '../../src/results/results.ts';
import { start } from '../support/command_line.ts';
import { longTest } from '../support/long.ts';
import { filesOfRun } from '../support/run_files.ts';
import { hasSlurm, NODES, type NodeName, SlurmCluster } from '../support/slurm.ts';

const IS_INSTALLED = hasSlurm();
if (!IS_INSTALLED) console.error('skipped: a run on a real Slurm (install slurm-wlm and munge of Debian)');

const SHARDS = 6;
const scratch = mkdtempSync(join(tmpdir(), 'midas-slurm-'));
/** Paths with spaces and signs that shells and Slurm read. */
const folder = join(scratch, "my runs, 50%a 'x' $HOME");
const FILE = join(folder, 'tiny.json');

/**
 * A task appends a line when it starts (*), before it writes a row (+) and after that (.): its shard, how often it was requeued, the
 * sign, and the row. It rests after every row, so that it is killed between its rows on a fast machine too.
 */
const MEASURED = join(scratch, 'measured');
const PRELOAD = join(scratch, 'log_rows.mjs');
writeFileSync(
  PRELOAD,
  `import { appendFileSync } from 'node:fs';
  import { open } from 'node:fs/promises';
  import { setTimeout } from 'node:timers/promises';
  const file = await open(process.execPath);
  const prototype = Object.getPrototypeOf(file);
  await file.close();
  const { appendFile } = prototype;
  const { MIDAS_TEST_MEASURED, MIDAS_TEST_PAUSE, SLURM_ARRAY_TASK_ID, SLURM_RESTART_COUNT = 0 } = process.env;
  const log = (...parts) =>
    appendFileSync(MIDAS_TEST_MEASURED, [SLURM_ARRAY_TASK_ID, SLURM_RESTART_COUNT, ...parts].join(' '));
  if (SLURM_ARRAY_TASK_ID) log('*\\n');
  prototype.appendFile = async function (text) {
    log('+', text);
    await appendFile.call(this, text);
    log('.', text);
    await setTimeout(Number(MIDAS_TEST_PAUSE));
  };`,
);

/** The arguments of a run with as many conditions. */
function experiment(rates: number): string[] {
  const list = Array.from({ length: rates }, (_, i) => String((i + 1) / (2 * rates))).join();
  return ['run', FILE, '--rates', list, '--adapter', 'software', '--no-tune'];
}

let cluster: SlurmCluster;

/** Runs the command line as on a machine of the cluster. @param pause of its tasks after a row, ms */
async function midas(args: readonly string[], pause: number): Promise<string> {
  const preload = { NODE_OPTIONS: `--import=${PRELOAD}`, MIDAS_TEST_MEASURED: MEASURED, MIDAS_TEST_PAUSE: `${pause}` };
  const env = { ...cluster.env, ...preload };
  const { code, stdout, stderr } = await start(args, env).finished;
  expect(code, stderr).toBe(0);
  return stdout;
}

const shardOf = (out: string, shard: number) => join(out, 'shards', `${shard}-of-${SHARDS}`);

/** Number of rows that a shard has written. */
function rowsOf(out: string, shard: number): number {
  const path = join(shardOf(out, shard), 'rows.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
}

const isFinished = (out: string, shard: number) => existsSync(join(shardOf(out, shard), 'shard.json'));

/** The shard whose task runs on a node; 0 if none does. */
function taskOn(node: NodeName): number {
  return Number(
    cluster.run('squeue', '--noheader', '--array', `--nodelist=${node}`, '--states=RUNNING', '--format=%K'),
  );
}

/**
 * Waits until the task on the first of the nodes has written a row, kills these nodes with their tasks and the controller, and
 * starts them again. @returns the shard of the task, which was not finished
 */
async function kill(out: string, nodes: readonly NodeName[], deadline: number): Promise<number> {
  for (let shard = 0, before = 0; ; await setTimeout(20)) {
    const all = Array.from({ length: SHARDS }, (_, i) => isFinished(out, i + 1));
    if (performance.now() > deadline || all.every(Boolean)) throw new Error(`no task on ${nodes[0]} is measuring`);
    const now = taskOn(nodes[0]) || 0;
    if (now !== shard) before = rowsOf(out, now);
    shard = now;
    if (rowsOf(out, shard) <= before) continue;
    for (const node of nodes) cluster.killNode(node);
    cluster.killController();
    const wasFinished = isFinished(out, shard);
    cluster.startController();
    for (const node of nodes) await cluster.dead(node);
    for (const node of nodes) cluster.startNode(node);
    await cluster.ready();
    if (!wasFinished) return shard;
  }
}

/** Submits a run, kills as often as asked, and compares the merged run with `whole`. */
async function disturbed(
  name: string,
  options: { rates: number; kills: number; pause: number; minutes: number },
): Promise<void> {
  const { rates, kills, pause, minutes } = options;
  const deadline = performance.now() + minutes * 60_000;
  const [whole, out] = [join(folder, `${name} whole`), join(folder, `${name} merged`)];
  const args = experiment(rates);
  const once = await start([...args, '--quiet', '--out', whole]).finished;
  expect(once).toMatchObject({ code: 0, stderr: '' });
  writeFileSync(MEASURED, '');

  const submit = [...args, '--slurm', '--json', '--out', out];
  const first = JSON.parse(await midas([...submit, '--array', String(SHARDS)], pause));
  expect(first).toMatchObject({ missing: [1, 2, 3, 4, 5, 6], waiting: [], job: expect.stringMatching(/^\d+$/) });
  const again = JSON.parse(await midas(submit, pause));
  expect(again).toEqual({ out, shards: SHARDS, missing: [], waiting: [1, 2, 3, 4, 5, 6] });

  const killed = new Set<number>();
  for (let i = 0; i < kills; i++) {
    // Many kills hit both nodes: the tasks of the other one would have finished everything before the last kill.
    const [first, second] = i % 2 === 0 ? NODES : NODES.toReversed();
    killed.add(await kill(out, kills === 1 ? [first] : [first, second], deadline));
    if (kills > 1) console.error(`killed ${i + 1} of ${kills}`);
  }
  while (!existsSync(join(out, 'results.json')) || cluster.run('squeue', '--noheader') !== '') {
    if (performance.now() > deadline) throw new Error(`not merged in time: ${cluster.run('squeue', '--array')}`);
    await setTimeout(500);
  }

  const own = filesOfRun(out);
  for (const file of own.keys()) if (/^(shards|slurm)\//.test(file)) own.delete(file);
  expect(own).toEqual(filesOfRun(whole));

  const signs = new Map<string, string>();
  const starts = new Map<number, number>();
  for (const line of readFileSync(MEASURED, 'utf8').trimEnd().split('\n')) {
    const [, shard, restarts, sign, row] = /^(\d+) (\d+) ([*+.]) ?(.*)$/.exec(line)!;
    if (sign === '*') {
      // A task is requeued before it is started again; one that is killed while it starts has no line.
      const before = starts.get(Number(shard)) ?? 0;
      expect(Number(restarts)).toBeGreaterThanOrEqual(before);
      starts.set(Number(shard), before + 1);
      continue;
    }
    const key = rowKey(JSON.parse(row) as Row);
    signs.set(key, (signs.get(key) ?? '') + sign);
  }
  const rows = readFileSync(join(whole, 'rows.jsonl'), 'utf8').trimEnd().split('\n');
  expect([...signs.keys()].sort()).toEqual(rows.map((row) => rowKey(JSON.parse(row) as Row)).sort());
  // No row was measured again after it had been written, although the shards that were killed were started again.
  expect([...signs].filter(([, own]) => !/^\++\.?$/.test(own))).toEqual([]);
  for (const shard of killed) expect(starts.get(shard), `starts of shard ${shard}`).toBeGreaterThan(1);

  const done = JSON.parse(await midas(submit, pause));
  expect(done).toEqual({ out, shards: SHARDS, missing: [], waiting: [] });
  expect(cluster.run('squeue', '--noheader')).toBe('');
}

describe.skipIf(!IS_INSTALLED)('a run on a cluster with Slurm', () => {
  beforeAll(async () => {
    mkdirSync(folder);
    writeFileSync(
      FILE,
      JSON.stringify({
        data: {
          kind: 'procedural',
          width: 14,
          height: 16,
          people: 4,
          photographs: 5,
          trained: 3,
          public: { people: 4, photographs: 5 },
        },
        victim: {
          kind: 'mlp',
          hidden: [10],
          training: {
            epochs: 12,
            batchSize: 4,
            optimizer: { kind: 'sgd', learningRate: 0.004, momentum: 0.9, weightDecay: 0.0005 },
          },
        },
        sweeps: [{ layers: 'both', rates: [] }],
        noise: { kinds: [] },
        draws: 2,
        evaluator: 'linear',
        attacks: [{ kind: 'mi-face', start: 'zero', iterations: 30, step: 1 }],
      }),
    );
    cluster = await SlurmCluster.start(join(scratch, 'slurm'));
  });
  afterAll(async () => {
    await cluster?.stop();
    rmSync(scratch, { recursive: true, force: true });
  });

  test('a run whose node and controller are killed has the same files, and measures nothing twice', () =>
    disturbed('short', { rates: 10, kills: 1, pause: 300, minutes: 8 }));

  longTest('a run that is killed twenty times has the same files, and measures nothing twice', 60, () =>
    disturbed('long', { rates: 94, kills: 20, pause: 1500, minutes: 55 }),
  );
});
