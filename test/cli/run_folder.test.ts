/** A run's folder without a device: its identity, its rows, its lock, and what it refuses. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RunFolder } from '../../src/cli/run_folder.ts';
import { RunLock } from '../../src/cli/run_lock.ts';
import { createDataset, seededSplit } from '../../src/data/dataset.ts';
import { ConfigError, DataError, InterruptedError } from '../../src/errors.ts';
import { type ExperimentConfig, parseExperiment } from '../../src/experiments/config.ts';
import { type ExperimentData, experimentData } from '../../src/experiments/faces.ts';
import { type RunIdentity, runIdentity } from '../../src/experiments/identity.ts';
import { presetInput } from '../../src/experiments/presets.ts';
import type { Condition, Row } from '../../src/results/results.ts';
import { fakeRow } from '../results/fake.ts';
import { collect } from '../support/command_line.ts';

let scratch: string;
let out: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'midas-folder-'));
  out = join(scratch, 'run');
});
afterEach(() => rmSync(scratch, { recursive: true }));

async function faces(changes: { readonly seed?: number; readonly pixel?: number } = {}): Promise<ExperimentData> {
  const labels = Uint32Array.from({ length: 12 }, (_, i) => i % 3);
  const images = Uint8Array.from({ length: 12 * 8 * 8 }, (_, i) => (i * 7) % 256);
  images[0] = changes.pixel ?? 0;
  const ids = Array.from(labels.keys(), String);
  const dataset = await createDataset({
    name: 'faces',
    width: 8,
    height: 8,
    classNames: ['a', 'b', 'c'],
    images,
    labels,
    ids,
  });
  return experimentData(dataset, seededSplit(dataset, 2, changes.seed ?? 1));
}

const configuration = (changes: Record<string, unknown> = {}): ExperimentConfig =>
  parseExperiment({ ...presetInput('shallow'), ...changes }, 'test');

const identityOf = async (changes: Partial<Parameters<typeof runIdentity>[0]> = {}): Promise<RunIdentity> =>
  runIdentity({ version: '1.0.0', config: configuration(), data: await faces(), adapter: 'test', ...changes });

const none: Condition = { kind: 'none', rates: {}, layers: 'none' };
const rowOf = (draw: number, accuracy = 0.5, attack = 'mi-face zero'): Row =>
  fakeRow(none, draw, { accuracy, pcc: 0.5, lift: 0.1 }, 3, attack);

const rowsFile = () => join(out, 'rows.jsonl');
const textOf = (name: string) => readFileSync(join(out, name), 'utf8');

/** Writes an unfinished run with these rows. */
async function unfinished(identity: RunIdentity, rows: readonly Row[] = [rowOf(0), rowOf(1)]): Promise<void> {
  const folder = await RunFolder.open(out, identity, { resume: false });
  for (const row of rows) await folder.appendRow(row);
  folder.close();
}

async function resume(identity: RunIdentity, warn?: (line: string) => void): Promise<Row[]> {
  const folder = await RunFolder.open(out, identity, { resume: true, warn });
  try {
    return await folder.readRows();
  } finally {
    folder.close();
  }
}

describe('the identity of a run', () => {
  const networks = (byte: number) => new Map([['victim.safetensors', Uint8Array.of(1, 2, byte)]]);

  test('a run resumes with its own identity, and leaves only its files', async () => {
    await unfinished(await identityOf());
    expect(await resume(await identityOf())).toEqual([rowOf(0), rowOf(1)]);
    expect(readdirSync(out).sort()).toEqual(['config.json', 'pictures', 'rows.jsonl']);
  });

  test.each<[string, () => Promise<Partial<Parameters<typeof runIdentity>[0]>>, RegExp]>([
    ['another pretrained network', async () => ({ data: { ...(await faces()), pretrained: networks(4) } }), /networks/],
    ['no pretrained network', async () => ({}), /networks/],
    [
      'another training half of the split',
      async () => {
        const { split, ...data } = await faces();
        return { data: { ...data, split: { ...split, train: split.train.slice(1) }, pretrained: networks(3) } };
      },
      /split/,
    ],
    [
      'another test half of the split',
      async () => ({ data: { ...(await faces({ seed: 2 })), pretrained: networks(3) } }),
      /split/,
    ],
    ['another pixel', async () => ({ data: { ...(await faces({ pixel: 9 })), pretrained: networks(3) } }), /dataset/],
    [
      'another version',
      async () => ({ data: { ...(await faces()), pretrained: networks(3) }, version: '1.0.1' }),
      /version differs from the run there \(was "1\.0\.0", is "1\.0\.1"\)/,
    ],
    [
      'another adapter',
      async () => ({ data: { ...(await faces()), pretrained: networks(3) }, adapter: 'other' }),
      /adapter/,
    ],
    [
      'another seed',
      async () => ({ data: { ...(await faces()), pretrained: networks(3) }, config: configuration({ seed: 2 }) }),
      /seed differs from the run there \(was 1, is 2\)/,
    ],
  ])('a run does not resume with %s', async (_, changes, message) => {
    await unfinished(await identityOf({ data: { ...(await faces()), pretrained: networks(3) } }));
    const resumed = resume(await identityOf(await changes()));
    await expect(resumed).rejects.toThrow(ConfigError);
    await expect(resumed).rejects.toThrow(message);
    expect(existsSync(join(out, 'lock'))).toBe(false);
  });

  test('a run does not resume with other options of the same attack, but with other attacks and draws', async () => {
    const [zero, mean] = configuration().attacks;
    await unfinished(await identityOf({ config: configuration({ attacks: [zero] }) }));
    const changed = await identityOf({ config: configuration({ attacks: [{ ...zero, iterations: 7 }] }) });
    await expect(resume(changed)).rejects.toThrow(/the attack "mi-face zero"\.iterations differs .* \(was 60, is 7\)/);
    expect(await resume(await identityOf({ config: configuration({ attacks: [mean], draws: 9 }) }))).toHaveLength(2);
    // The configuration with the first attack is gone; its rows still know what they belong to.
    await expect(resume(changed)).rejects.toThrow(/rows\.jsonl:1: the row belongs to another run; remove the line/);
    expect(await resume(await identityOf({ config: configuration({ attacks: [zero, mean] }) }))).toHaveLength(2);
  });

  test('a run resumes where its faces were moved to another folder', async () => {
    const at = (path: string) => configuration({ data: { kind: 'files', private: path } });
    await unfinished(await identityOf({ config: at('faces') }));
    expect(await resume(await identityOf({ config: at('/elsewhere/faces') }))).toHaveLength(2);
  });

  test.each([
    ['empty', ''],
    ['cut', '{"config": {"data'],
    ['null', 'null'],
    ['an array', '[]'],
    ['of two configurations', '{"config": {}, "config": {}}'],
    ['nested without end', '['.repeat(100) + ']'.repeat(100)],
    ['of something else', '{"draws": 3}'],
    ['without a valid configuration', '{"version":"1.0.0","config":{},"dataset":"","split":"","adapter":""}'],
  ])('a config.json that is %s is refused as bad data', async (_, text) => {
    await unfinished(await identityOf());
    writeFileSync(join(out, 'config.json'), text);
    const resumed = resume(await identityOf());
    await expect(resumed).rejects.toThrow(DataError);
    await expect(resumed).rejects.toThrow(/config\.json: .*give another --out$/);
  });
});

describe('the rows of a run', () => {
  test('a row of another run is refused with file and line', async () => {
    await unfinished(await identityOf({ config: configuration({ seed: 2 }) }));
    const [foreign] = textOf('rows.jsonl').split('\n');
    rmSync(out, { recursive: true });
    const identity = await identityOf();
    await unfinished(identity);
    writeFileSync(rowsFile(), `${textOf('rows.jsonl')}${foreign}\n`);
    const resumed = resume(identity);
    await expect(resumed).rejects.toThrow(DataError);
    await expect(resumed).rejects.toThrow(`${rowsFile()}:3: the row belongs to another run; remove the line`);
  });

  test('a row without the mark of its run is refused', async () => {
    const identity = await identityOf();
    await unfinished(identity);
    const { run: _, ...row } = JSON.parse(textOf('rows.jsonl').split('\n')[0]);
    writeFileSync(rowsFile(), `${JSON.stringify(row)}\n`);
    await expect(resume(identity)).rejects.toThrow(/rows\.jsonl:1: the row belongs to another run/);
  });

  test('repeated rows are dropped from the file with a warning', async () => {
    const identity = await identityOf();
    await unfinished(identity);
    const text = textOf('rows.jsonl');
    writeFileSync(rowsFile(), text + text);
    const warnings: string[] = [];
    expect(await resume(identity, (line) => warnings.push(line))).toEqual([rowOf(0), rowOf(1)]);
    expect(warnings).toEqual([`${rowsFile()}: 2 repeated rows were dropped`]);
    expect(textOf('rows.jsonl')).toBe(text);
  });

  test('rows behind a byte order mark are read, and rows that are no text are refused', async () => {
    const identity = await identityOf();
    await unfinished(identity, [rowOf(0)]);
    const text = textOf('rows.jsonl');
    writeFileSync(rowsFile(), `\ufeff${text}`);
    expect(await resume(identity)).toEqual([rowOf(0)]);
    writeFileSync(rowsFile(), Buffer.concat([Buffer.from(text), Buffer.from([0xff]), Buffer.from('\n')]));
    await expect(resume(identity)).rejects.toThrow(/rows\.jsonl: not text in UTF-8/);
    writeFileSync(rowsFile(), Buffer.concat([Buffer.from(text), Buffer.from('{"label": "é').subarray(0, -1)]));
    expect(await resume(identity)).toEqual([rowOf(0)]);
  });

  test('rows that contradict each other are refused with file and line', async () => {
    const identity = await identityOf();
    await unfinished(identity, [rowOf(0), rowOf(1), rowOf(0, 0.75)]);
    await expect(resume(identity)).rejects.toThrow(/rows\.jsonl:3: draw 0 of "Undefended" .* contradicts line 1/);
  });

  test('a row that was cut off at any byte is dropped, and rows of a dropped attack keep their mark', async () => {
    const identity = await identityOf();
    await unfinished(identity, [rowOf(0), rowOf(1, 0.5, 'mi-face mean')]);
    const text = textOf('rows.jsonl');
    const first = text.indexOf('\n') + 1;
    const other = await identityOf({ config: configuration({ attacks: [configuration().attacks[0]] }) });
    for (const end of [first, first + 1, text.length - 1]) {
      writeFileSync(rowsFile(), text.slice(0, end));
      expect(await resume(identity)).toEqual([rowOf(0)]);
      expect(textOf('rows.jsonl')).toBe(text.slice(0, first));
    }
    writeFileSync(rowsFile(), `${text}{"cut`);
    expect(await resume(other)).toHaveLength(2);
    expect(textOf('rows.jsonl')).toBe(text);
  });
});

describe('what a run leaves in its folder', () => {
  test('a finished run is replaced, and no file of it is read again', async () => {
    await unfinished(await identityOf({ config: configuration({ seed: 2 }) }));
    const left = ['victim.safetensors', 'pictures/a.npy', 'calibration.json', 'trainings.json', 'results.json'];
    const strangers = ['own.npy', 'notes.txt', 'pictures/own.png'];
    for (const name of [...left, ...strangers]) writeFileSync(join(out, name), 'x');
    const folder = await RunFolder.open(out, await identityOf(), { resume: false });
    folder.close();
    expect(left.filter((name) => existsSync(join(out, name)))).toEqual([]);
    expect(strangers.filter((name) => existsSync(join(out, name)))).toEqual(strangers);
    expect(await folder.readRows()).toEqual([]);
  });

  test('files that a killed process was writing are removed, and others that end alike are not', async () => {
    const identity = await identityOf();
    await unfinished(identity);
    const cut = ['config.json.77.0.tmp', 'pictures/a.npy.77.12.tmp'];
    for (const name of [...cut, 'own.tmp']) writeFileSync(join(out, name), 'x');
    await resume(identity);
    expect(cut.filter((name) => existsSync(join(out, name)))).toEqual([]);
    expect(existsSync(join(out, 'own.tmp'))).toBe(true);
  });

  test.each(['victim.safetensors', 'rows.jsonl'])('a folder with %s but without a run is not touched', async (name) => {
    mkdirSync(out);
    writeFileSync(join(out, name), 'mine');
    for (const resumed of [false, true]) {
      const opened = RunFolder.open(out, await identityOf(), { resume: resumed });
      await expect(opened).rejects.toThrow(/holds .* but no run .*: give another --out/);
    }
    expect(readdirSync(out)).toEqual([name]);
    expect(textOf(name)).toBe('mine');
  });

  test('a file in place of the folder is refused', async () => {
    writeFileSync(out, 'mine');
    expect(() => RunFolder.refuseOccupied(out, false)).toThrow(/this is a file; give a folder/);
  });
});

/** Starts a process that locks the folder, says so, and waits to be killed. */
async function locker(): Promise<{ readonly child: ChildProcess; readonly answer: Promise<string> }> {
  const script = `import { RunLock } from '${new URL('../../src/cli/run_lock.ts', import.meta.url)}';
    try { RunLock.acquire(process.argv[1]); console.log('locked'); setInterval(() => {}, 1000); }
    catch (error) { console.log(error.message); }`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script, out]);
  const answer = new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data).trim())));
  return { child, answer };
}

describe('the lock of a run folder', () => {
  beforeEach(() => mkdirSync(out));

  test('a second writer is refused with the number of the first, until that has finished', () => {
    const first = RunLock.acquire(out);
    expect(() => RunLock.acquire(out)).toThrow(ConfigError);
    expect(() => RunLock.acquire(out)).toThrow(`process ${process.pid} is writing there; wait for it`);
    first.release();
    expect(readdirSync(out)).toEqual([]);
    RunLock.acquire(out).release();
  });

  test.each([
    ['the number of a process that lives', String(process.pid)],
    ['the number 1', '1'],
    ['nothing, because its owner was killed while it wrote', ''],
    ['no number', 'x\n'],
  ])('a lock file of a dead owner locks nothing when it holds %s', (_, text) => {
    writeFileSync(join(out, 'lock'), text);
    RunLock.acquire(out).release();
    expect(readdirSync(out)).toEqual([]);
  });

  test('a process on another machine is named with it', () => {
    const first = RunLock.acquire(out);
    writeFileSync(join(out, 'lock'), '77 node-5.cluster\n');
    expect(() => RunLock.acquire(out)).toThrow('process 77 on node-5.cluster is writing there; wait for it');
    first.release();
  });

  test('a writer that waits gets the lock of a process that is killed meanwhile', async () => {
    const { child, answer } = await locker();
    expect(await answer).toBe('locked');
    const warnings: string[] = [];
    const waiting = RunLock.waitFor(out, { waitMinutes: 5, warn: (line) => warnings.push(line) });
    expect(warnings).toEqual([`${out}: process ${child.pid} is writing there; waiting for up to 5 minutes`]);
    child.kill('SIGKILL');
    (await waiting).release();
    expect(warnings).toHaveLength(1);
    expect(readdirSync(out)).toEqual([]);
  });

  test('a writer waits no longer than it was told to, or until it is interrupted', async () => {
    const first = RunLock.acquire(out);
    await expect(RunLock.waitFor(out, { waitMinutes: 0.0001 })).rejects.toThrow('is writing there; wait for it');
    const signal = AbortSignal.timeout(20);
    await expect(RunLock.waitFor(out, { waitMinutes: 5, signal })).rejects.toThrow(InterruptedError);
    first.release();
  });

  test('a process that was killed leaves no lock', async () => {
    const { child, answer } = await locker();
    expect(await answer).toBe('locked');
    expect(() => RunLock.acquire(out)).toThrow(`process ${child.pid} is writing there`);
    const ended = collect(child);
    child.kill('SIGKILL');
    await ended;
    expect(existsSync(join(out, 'lock'))).toBe(true);
    RunLock.acquire(out).release();
  });

  test('one of several processes that start together has the lock', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, locker));
    const answers = await Promise.all(all.map(({ answer }) => answer));
    expect(answers.filter((answer) => answer === 'locked')).toHaveLength(1);
    expect(answers.filter((answer) => answer.includes('is writing there'))).toHaveLength(3);
    for (const { child } of all) child.kill('SIGKILL');
  });
});
