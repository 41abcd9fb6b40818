/**
 * Runs that are killed, or that find the disk full, at any operation on files or at any moment: continued, they end with the
 * same files as a run that nothing disturbed. A short part, chosen by a seed, is always tried; everything with
 * MIDAS_TEST_LONG=1.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runInto } from '../../src/cli/run.ts';
import type { Session } from '../../src/cli/session.ts';
import { DiskFullError } from '../../src/errors.ts';
import { parseExperiment } from '../../src/experiments/config.ts';
import { WHOLE } from '../../src/experiments/shard.ts';
import { SILENT } from '../../src/experiments/store.ts';
import type { Gpu } from '../../src/gpu/device.ts';
import type { NodeGpuOptions } from '../../src/gpu/node.ts';
import { Random } from '../../src/random.ts';
import { parseResults } from '../../src/results/results.ts';
import { BUILT, collect, midas, start } from '../support/command_line.ts';
import {
  FAULT_VARIABLE,
  FAULTS,
  type FaultKind,
  installFault,
  Killed,
  type OperationKind,
} from '../support/file_faults.ts';
import { filesOfRun } from '../support/run_files.ts';

// Runs in this process share a device and draw no pixels: most of their time would pass with both.
const shared = vi.hoisted((): { gpu?: Gpu; close?: () => Promise<void> } => ({}));
vi.mock('../../src/gpu/node.ts', async (original) => {
  const { openNodeGpu } = await original<typeof import('../../src/gpu/node.ts')>();
  return {
    async openNodeGpu(options: NodeGpuOptions) {
      if (!shared.gpu) {
        shared.gpu = await openNodeGpu(options);
        shared.close = shared.gpu.close.bind(shared.gpu);
        shared.gpu.close = async () => {};
      }
      return shared.gpu;
    },
  };
});
vi.mock('../../src/cli/render.ts', async (original) => ({
  ...(await original<typeof import('../../src/cli/render.ts')>()),
  svgToPng: (svg: string) => new TextEncoder().encode(svg),
}));

const LONG = Boolean(process.env.MIDAS_TEST_LONG);
if (!LONG) console.error('long campaign of killed runs skipped: set MIDAS_TEST_LONG=1 to try every operation');

const SEED = 17;
const scratch = mkdtempSync(join(tmpdir(), 'midas-killed-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Trains two networks, calibrates noise, and attacks in two ways: a few seconds, and every kind of file. */
const INPUT = {
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
  sweeps: [{ layers: 'both', rates: [0.25] }],
  noise: { kinds: ['gaussian'] },
  draws: 2,
  evaluator: 'linear',
  attacks: [
    { kind: 'mi-face', start: 'zero', iterations: 3, step: 1 },
    {
      kind: 'inversion',
      network: { kind: 'dense', hidden: [8] },
      training: { epochs: 2, batchSize: 4, learningRate: 0.001 },
      attackers: [{ name: 'direct' }],
      splits: ['held-out'],
    },
  ],
} as const;

const FILE = join(scratch, 'experiment.json');
const ARGS = ['run', FILE, '--adapter', 'software', '--no-tune', '--quiet'];
writeFileSync(FILE, JSON.stringify(INPUT));

/** Runs the experiment in this process, as the command line does. */
async function run(out: string): Promise<void> {
  const session = {
    options: { out, seed: 1, adapter: 'software', json: false, quiet: true, tune: false },
    progress: SILENT,
    signal: new AbortController().signal,
    command: 'midas',
    version: '0.0.0',
    opened() {},
    say() {},
    answer() {},
  };
  const config = parseExperiment(INPUT, 'test');
  await runInto(session as unknown as Session, { config, files: undefined, notes: [], shard: WHOLE }, out, true);
}

/** Runs the experiment with a fault. @returns the error that ended it */
async function disturbed(out: string, kind: FaultKind, at: number): Promise<unknown> {
  const fault = await installFault({ kind, at, folder: out });
  try {
    return await run(out).then(
      () => undefined,
      (error: unknown) => error,
    );
  } finally {
    fault.remove();
  }
}

/** Files of the run that nothing disturbs, and its operations on files. */
let undisturbed: Map<string, string>;
let operations: readonly OperationKind[];

beforeAll(async () => {
  const out = join(scratch, 'undisturbed');
  const fault = await installFault({ kind: 'kill', at: Number.POSITIVE_INFINITY, folder: out });
  await run(out);
  operations = fault.remove();
  undisturbed = filesOfRun(out);
}, 600_000);
afterAll(() => shared.close?.());

it('the undisturbed run has rows of all kinds, and leaves no lock and no temporary file', () => {
  expect(operations.length).toBeGreaterThan(100);
  const rows = Buffer.from(undisturbed.get('rows.jsonl')!, 'base64').toString();
  for (const kind of ['none', 'quantised', 'bit-error', 'gaussian']) expect(rows).toContain(`"kind":"${kind}"`);
  const known = /\.(json|jsonl|csv|npy|png|svg|html|safetensors)$/;
  expect([...undisturbed.keys()].filter((name) => !known.test(name))).toEqual([]);
});

/**
 * Operations at which a fault is tried: in the long campaign all at which it differs from others (every third for a full disk),
 * otherwise a few that the seed chooses.
 */
function chosen(kind: FaultKind): number[] {
  const differs = { kill: ['write', 'create', 'change'], torn: ['write'], full: ['write', 'create'] }[kind];
  const all = [...operations.keys()].filter((i) => differs.includes(operations[i]));
  if (LONG) return kind === 'full' ? all.filter((_, i) => i % 3 === 0) : all;
  const random = new Random(SEED, FAULTS.indexOf(kind));
  return Array.from({ length: 3 }, () => all[random.nextU32() % all.length]).sort((a, b) => a - b);
}

/** Errors of files have the end of the simulated process as their cause. */
const isKilled = (error: unknown) => error instanceof Killed || (error as Error | undefined)?.cause instanceof Killed;

describe('a fault at an operation on files', () => {
  it.each(FAULTS)(
    'a run with the fault "%s" at any operation continues to the same files',
    async (kind) => {
      const all = chosen(kind);
      const failed: string[] = [];
      for (const at of all) {
        const out = join(scratch, `${kind} ${at}`);
        try {
          const error = await disturbed(out, kind, at);
          const results = join(out, 'results.json');
          const isFinished = existsSync(results);
          if (isFinished) parseResults(readFileSync(results, 'utf8'), results);
          // After results.json only the lock is left to remove, and a run ends without an error where it cannot be.
          const ended = kind === 'full' ? error instanceof DiskFullError : isKilled(error);
          expect(ended || (isFinished && error === undefined), String(error)).toBe(true);
          await run(out);
          expect(filesOfRun(out)).toEqual(undisturbed);
        } catch (cause) {
          failed.push(`${at}: ${(cause as Error).message.slice(0, 300)}`);
        }
        rmSync(out, { recursive: true, force: true });
      }
      if (LONG)
        console.error(`${kind}: ${all.length} tried, ${all.length - failed.length} survived, ${failed.length} failed`);
      expect(failed).toEqual([]);
    },
    7_200_000,
  );

  it('a run that is killed again and again continues to the same files', async () => {
    const out = join(scratch, 'chain');
    const random = new Random(SEED, 9);
    let kills = 0;
    for (let i = 0; i < (LONG ? 40 : 4); i++) {
      const kind = FAULTS[random.nextU32() % FAULTS.length];
      if ((await disturbed(out, kind, random.nextU32() % operations.length)) !== undefined) kills++;
    }
    expect(kills).toBeGreaterThan(0);
    await run(out);
    expect(filesOfRun(out)).toEqual(undisturbed);
  }, 7_200_000);
});

/** The files of an undisturbed run of the command line, whose manifest and identity name the version of the package. */
const ofCommandLine = (() => {
  let files: Promise<Map<string, string>> | undefined;
  const make = async () => {
    const out = join(scratch, 'command line');
    const started = performance.now();
    const { code, stderr } = await midas(...ARGS, '--out', out);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    milliseconds = performance.now() - started;
    return filesOfRun(out);
  };
  return () => {
    files ??= make();
    return files;
  };
})();
let milliseconds = 0;

describe('a killed process', () => {
  it('a process that signals end at any moment continues to the same files', async () => {
    const expected = await ofCommandLine();
    const out = join(scratch, 'signals');
    const random = new Random(SEED, 10);
    const signals = ['SIGKILL', 'SIGTERM', 'SIGINT'] as const;
    let [tried, ended] = [0, 0];
    for (let i = 0; i < (LONG ? 36 : 2); i++) {
      const { child, finished } = start([...ARGS, '--resume', '--out', out]);
      const timer = setTimeout(() => child.kill(signals[i % 3]), (random.nextU32() / 2 ** 32) * milliseconds);
      const { code, stderr } = await finished;
      clearTimeout(timer);
      tried++;
      // null: the signal ended it; 130: it ended itself; 0: it had finished before.
      expect([null, 130, 0], stderr).toContain(code);
      if (code !== 0) ended++;
      if (code === 0 || (LONG && i % 4 === 3)) {
        expect(await midas(...ARGS, '--resume', '--out', out)).toMatchObject({ code: 0, stderr: '' });
        expect(filesOfRun(out)).toEqual(expected);
        rmSync(out, { recursive: true });
      }
    }
    if (existsSync(out)) {
      expect(await midas(...ARGS, '--resume', '--out', out)).toMatchObject({ code: 0, stderr: '' });
      expect(filesOfRun(out)).toEqual(expected);
    }
    if (LONG) console.error(`signals: ${tried} tried, ${ended} ended the process, all survived`);
  }, 7_200_000);

  it.runIf(LONG)(
    'a process that ends at an operation on files continues to the same files',
    async () => {
      const expected = await ofCommandLine();
      const random = new Random(SEED, 11);
      for (let i = 0; i < 8; i++) {
        const out = join(scratch, `process ${i}`);
        const fault = { kind: FAULTS[i % 2], at: random.nextU32() % operations.length, folder: out };
        const preload = ['--import', 'tsx', '--import', './test/support/file_faults.ts', 'src/cli/main.ts'];
        const env = { ...process.env, [FAULT_VARIABLE]: JSON.stringify(fault) };
        const killed = await collect(spawn(process.execPath, [...preload, ...ARGS, '--out', out], { env }));
        expect(killed.code, JSON.stringify(fault)).toBe(null);
        expect(await midas(...ARGS, '--resume', '--out', out)).toMatchObject({ code: 0, stderr: '' });
        expect(filesOfRun(out)).toEqual(expected);
      }
    },
    7_200_000,
  );

  // A file system of a few kilobytes, which only the processes in its namespace see. (A limit on the size of files would end
  // SwiftShader as well, which keeps its machine code in a file.)
  const mounts = LONG && spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', scratch]).status === 0;
  if (LONG && !mounts) console.error('runs on a full file system skipped: unshare and mount are not allowed here');
  it.runIf(mounts)(
    'a run on a file system that is full ends with exit code 1, and continues when there is space',
    async () => {
      const expected = await ofCommandLine();
      const sizes = [4, 16, 32, 64, 128, 192, 256];
      for (const kilobytes of sizes) {
        const [out, kept] = [join(scratch, `full ${kilobytes}`), join(scratch, `kept ${kilobytes}`)];
        mkdirSync(out);
        mkdirSync(kept);
        const command = [process.execPath, BUILT, ...ARGS, '--resume', '--out', out].map((arg) => `'${arg}'`).join(' ');
        const script = `mount -t tmpfs -o size=${kilobytes}k none '${out}' && { ${command}; code=$?
          mount -o remount,size=64m '${out}' && ${command} && cp -a '${out}/.' '${kept}'; exit $code; }`;
        const limited = await collect(spawn('unshare', ['-rm', 'bash', '-c', script]));
        expect(limited.code, limited.stderr).toBe(1);
        expect(limited.stderr).toMatch(/^midas: cannot write .*: the disk is full; free some space.*\n$/);
        expect(filesOfRun(kept)).toEqual(expected);
      }
      console.error(`full file systems: ${sizes.length} tried, all continued`);
    },
    7_200_000,
  );

  it.runIf(LONG)(
    'of processes that start together in one folder one runs, and the others are refused',
    async () => {
      const expected = await ofCommandLine();
      const out = join(scratch, 'together');
      const all = await Promise.all(Array.from({ length: 6 }, () => midas(...ARGS, '--resume', '--out', out)));
      expect(all.filter(({ code }) => code === 0).length).toBeGreaterThan(0);
      for (const { code, stderr } of all)
        if (code !== 0) expect([code, stderr]).toEqual([2, expect.stringMatching(/is writing there/)]);
      expect(filesOfRun(out)).toEqual(expected);
    },
    7_200_000,
  );
});
