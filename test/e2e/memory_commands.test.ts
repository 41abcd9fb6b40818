/** `midas memory ...`, `midas flips` and `midas bound` as a user meets it: child processes, exit codes, files on disk. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { FaultMapReport } from '../../src/cli/memory.ts';
import { decodePng } from '../../src/cli/render.ts';
import type { FlipReport } from '../../src/experiments/flips.ts';
import { PRESETS } from '../../src/memory/presets.ts';
import { midas as commandLine } from '../support/command_line.ts';
import { binomialSigmas } from '../support/statistics.ts';

const scratch = mkdtempSync(join(tmpdir(), 'midas-memory-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Files of the memories that `midas flips` writes. */
type Paths = Record<'chosen' | 'random', string>;

const midas = (...args: string[]) => commandLine('memory', ...args);

describe('the named memory configurations', () => {
  it('memory configurations are listed, one per line, and then the measured DIMMs', async () => {
    const { code, stdout, stderr } = await midas('list');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const [named, measured] = stdout.trimEnd().split('\n\n');
    expect(named.split('\n').map((line) => line.split(' ')[0])).toEqual(PRESETS.map(({ name }) => name));
    expect(measured).toMatch(/^Measured rows, .*Assumed: /s);
    expect(measured).toContain('  C1: 1.35, 1.3, 1.25, ');
    expect(measured).toContain('Measured early reads, --latency');
  });

  it('memory configurations are listed as JSON for scripts', async () => {
    const { stdout } = await midas('list', '--json');
    expect(JSON.parse(stdout)).toEqual(PRESETS.map(({ name, description }) => ({ name, description })));
  });

  it('a memory configuration is shown as JSON with its defaults', async () => {
    const { code, stdout } = await midas('show', 'uniform-0.01');
    expect(code).toBe(0);
    expect(stdout).toContain('\n  "granularity": "load",\n');
    expect(JSON.parse(stdout).layers['*']).toEqual({
      kind: 'stored',
      format: { kind: 'fixed', bits: 12, exponent: 'per-tensor', headroom: 0, encoding: 'corrected' },
      faults: [{ kind: 'uniform', bitErrorRate: 0.01, drawn: 'read' }],
      protectedBits: 0,
    });
  });

  it('memory configurations have a JSON Schema', async () => {
    const { code, stdout } = await midas('schema', '--json');
    expect(code).toBe(0);
    expect(stdout.trimEnd()).not.toContain('\n');
    expect(JSON.parse(stdout)).toMatchObject({ type: 'object', required: ['layers'] });
  });
});

it('a fault map has the requested rate, and its report is a configuration that draws it again', async () => {
  const out = join(scratch, 'map');
  const { code, stdout, stderr } = await midas('map', '--json', '--quiet', '--out', out, '--draw', '3');
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const report = JSON.parse(stdout) as FaultMapReport;
  const { planes, total, tensor, cacheLines } = report;
  expect(tensor).toEqual({ name: 'fc1.weight', rows: 200, columns: 3584, bits: 12 });
  expect(report).toMatchObject({ model: 'mlp 3584-200-40', draw: 3, bytes: 200 * 3584 * 2, memory: { seed: 1 } });
  expect(planes.map(({ plane }) => plane)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  for (const { flips, cells } of planes) expect(Math.abs(binomialSigmas(flips, cells, 0.01))).toBeLessThan(5);
  expect(total.cells).toBe(200 * 3584 * 12);
  expect(Math.abs(binomialSigmas(total.flips, total.cells, 0.01))).toBeLessThan(5);
  // A cache line holds 32 codes of 12 bits.
  expect(cacheLines.lines).toBe(22400);
  expect(Math.abs(binomialSigmas(cacheLines.flipped, 22400, 1 - 0.99 ** 384))).toBeLessThan(5);
  const { width, height, data } = decodePng(readFileSync(join(out, 'fault_map.png')));
  expect(width).toBe(1200);
  expect(height).toBeGreaterThan(600);
  expect(new Set(data).size).toBeGreaterThan(10);

  const manifest = join(scratch, 'manifest.json');
  writeFileSync(manifest, stdout);
  const again = await midas(
    'map',
    manifest,
    '--json',
    '--quiet',
    '--out',
    out,
    '--draw',
    '3',
    '--tensor',
    'fc1.weight',
  );
  expect(JSON.parse(again.stdout)).toEqual(report);
});

it('flips that were searched do more damage than random ones, and become a memory that other commands take', async () => {
  const out = join(scratch, 'flips');
  const search = ['flips', 'deep', '--pretrained', 'data/deep-tiny', '--layers', 'fc2', '--images', '16'];
  const few = ['--flips', '2', '--draws', '1', '--no-tune', '--json', '--quiet', '--out', out];
  const { code, stdout } = await commandLine(...search, ...few);
  expect(code).toBe(0);
  const { objective, rows } = JSON.parse(stdout) as {
    objective: string;
    rows: (Omit<FlipReport, 'memories'> & { memories: Paths })[];
  };
  expect(objective).toBe('accuracy');
  const [{ layers, before, steps, random, memories }] = rows;
  expect([rows.length, layers, steps.length, random.length]).toEqual([1, 'fc2', 2, 1]);
  expect(steps[0].cost).toBeGreaterThan(before.cost);
  expect(steps[1].cost).toBeGreaterThan(2 * random[0].cost);
  expect(steps[1].cost).toBeGreaterThan(steps[0].cost);
  expect(JSON.parse(readFileSync(join(out, 'flips.json'), 'utf8')).rows).toEqual(rows);

  const { flips } = JSON.parse(readFileSync(memories.chosen, 'utf8'));
  expect(flips).toEqual(steps.map(({ flip }) => flip));
  const network = ['--checkpoint', 'data/deep-tiny/victim.safetensors', '--tensor', 'fc2.weight'];
  const map = await midas('map', memories.chosen, ...network, '--json', '--quiet', '--out', out);
  // They are written to the memory, so that a read of it has no further faults.
  const { memory, total } = JSON.parse(map.stdout) as FaultMapReport;
  expect(memory.flips).toEqual(flips);
  expect(total.flips).toBe(0);
});

it('the bound of a small network is written beside its sentences, and a given network has none', async () => {
  const out = join(scratch, 'bound');
  const small = ['--size', '16x20', '--epochs', '1', '--layers', 'both', '--rates', '2^-6', '--evaluator', 'linear'];
  const { code, stdout } = await commandLine('bound', 'shallow', ...small, '--no-tune', '--quiet', '--out', out);
  expect(code).toBe(0);
  expect(stdout).toContain('sees the training photographs of a person:');
  expect(stdout).toMatch(/Bit errors 1\.56 %, both layers, 1 read: \S+ \(a guess: /);
  const { rows, secret, reads } = JSON.parse(readFileSync(join(out, 'bound.json'), 'utf8'));
  expect([secret, reads]).toEqual(['person', [1]]);
  expect(rows.map(({ condition }: { condition: { kind: string } }) => condition.kind)).toEqual([
    'bit-error',
    'gaussian',
  ]);
  const given = await commandLine('bound', 'deep', '--pretrained', 'data/deep-tiny', '--quiet', '--out', out);
  expect([given.code, given.stdout]).toEqual([2, '']);
  expect(given.stderr).toContain('leave the given networks out');
});

describe('bad input to the memory command', () => {
  const out = join(scratch, 'refused');
  const written = (name: string, content: string) => {
    const path = join(scratch, name);
    writeFileSync(path, content);
    return path;
  };
  const cases: [string, () => string[], number, RegExp][] = [
    ['an unknown name', () => ['map', 'eden-em4'], 2, /named eden-em4; the closest are eden-em0/],
    ['a file that does not exist', () => ['map', join(scratch, 'no.json')], 4, /no\.json: no such file/],
    ['a file that is not JSON', () => ['map', written('text.json', 'hello')], 2, /text\.json: /],
    [
      'a file with a misspelt key',
      () => ['map', written('key.json', '{"layers":{},"granularty":"chip"}')],
      2,
      /key\.json: memory\.granularty: /,
    ],
    [
      'a memory without stored layers',
      () => ['map', written('none.json', '{"layers":{}}')],
      2,
      /none of them is stored/,
    ],
    [
      'an unknown parameter',
      () => ['map', '--tensor', 'conv1.weight'],
      2,
      /it has fc1\.weight, fc1\.bias, fc2\.weight/,
    ],
  ];

  it.each(cases)('bad input ends with one error line and the right exit code: %s', async (_, args, code, message) => {
    const result = await midas(...args(), '--out', out);
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe('');
    expect(result.stderr.trimEnd()).not.toContain('\n');
    expect(existsSync(out)).toBe(false);
  });
});
