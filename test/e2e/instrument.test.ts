/** Experiments with any data, victim, defences and attacks on the command line: run, sharded, repeated and reported. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseResults, type Results } from '../../src/results/results.ts';
import { midas } from '../support/command_line.ts';

const scratch = mkdtempSync(join(tmpdir(), 'midas-instrument-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const QUIET = ['--quiet', '--adapter', 'software'];
/** Arguments of a shallow experiment that takes a few seconds. */
const SMALL = [
  '--size',
  '16x20',
  '--epochs',
  '2',
  '--draws',
  '2',
  '--rates',
  '2^-5,2^-3',
  '--layers',
  'both',
  '--evaluator',
  'linear',
  ...QUIET,
];

/** The convolutional evaluator takes seconds to train, and has a test of its own. */
const LINEAR = ['--evaluator', 'linear'];

/** Few faces of 16 x 20 pixels. */
const FEW_FACES = {
  kind: 'procedural',
  width: 16,
  height: 20,
  people: 8,
  photographs: 4,
  trained: 2,
  public: { people: 8, photographs: 4 },
};

const read = (dir: string): Results => parseResults(readFileSync(join(dir, 'results.json'), 'utf8'), dir);
const inScratch = (name: string) => join(scratch, name);

/** Every file below a folder, except those that record when and how it was made. */
function filesIn(dir: string): Map<string, Buffer> {
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name));
  const own = names.filter((name) => !['results.json', 'report.html', 'shard.json'].includes(name));
  return new Map(own.sort().map((name) => [name, readFileSync(join(dir, name))]));
}

describe('repeating, sharding and reporting a run', () => {
  const out = inScratch('whole');

  beforeAll(async () => {
    const { code, stderr } = await midas('run', 'shallow', ...SMALL, '--out', out);
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  it('a run is repeated from its results.json, its config.json or its folder', async () => {
    const printed = await midas('run', 'shallow', ...SMALL, '--print-config');
    const config = JSON.parse(printed.stdout);
    expect(config).toEqual(read(out).manifest.config);
    for (const file of [join(out, 'results.json'), join(out, 'config.json'), out]) {
      const again = await midas('run', file, '--print-config', '--json');
      expect(again.stderr).toBe('');
      expect(JSON.parse(again.stdout)).toEqual(config);
    }
    const named = await midas('shallow', '--config', join(out, 'results.json'), '--print-config');
    expect(JSON.parse(named.stdout)).toEqual(config);
  });

  it('flags override the values of a configuration file, including its seed', async () => {
    const file = inScratch('seeded.json');
    writeFileSync(file, JSON.stringify({ seed: 7, draws: 4 }));
    const config = async (...args: string[]) =>
      JSON.parse((await midas('shallow', '--config', file, '--print-config', ...args)).stdout);
    expect(await config()).toMatchObject({ seed: 7, draws: 4 });
    expect(await config('--seed', '3', '--draws', '1')).toMatchObject({ seed: 3, draws: 1 });
    const memories = await config('--voltages', 'C:1.2');
    expect(memories.memories).toHaveLength(1);
    expect(memories.sweeps.every(({ rates }: { rates: number[] }) => rates.length === 0)).toBe(true);
  });

  it('shards that are merged in any order have the same files as one run', async () => {
    const dirs = ['1/2', '2/2'].map((shard) => inScratch(`shard ${shard.replace('/', ' of ')}`));
    for (const [i, dir] of dirs.entries()) {
      const { code, stderr } = await midas('run', 'shallow', ...SMALL, '--shard', `${i + 1}/2`, '--out', dir);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect(existsSync(join(dir, 'results.json'))).toBe(false);
    }
    const merged = inScratch('merged');
    const alone = await midas('merge', dirs[0], '--out', merged, ...QUIET);
    expect(alone.code).toBe(2);
    expect(alone.stderr).toMatch(/shard 2 of 2 is missing/);
    const { code, stderr } = await midas('merge', dirs[1], dirs[0], '--out', merged, ...QUIET);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(filesIn(merged)).toEqual(filesIn(out));
    const { command: _c, seconds: _s, started: _t, attackSeconds: _a, ...manifest } = read(out).manifest;
    expect(read(merged)).toMatchObject({ ...read(out), manifest });
    // As if the merge had been killed before its last file.
    rmSync(join(merged, 'results.json'));
    writeFileSync(join(merged, 'rows.jsonl'), '');
    expect(await midas('merge', ...dirs, '--out', merged, ...QUIET)).toMatchObject({ code: 0, stderr: '' });
    expect(filesIn(merged)).toEqual(filesIn(out));
    // A shard that was killed while it began to measure more draws.
    const config = JSON.parse(readFileSync(join(dirs[0], 'config.json'), 'utf8'));
    config.config.draws++;
    for (const dir of dirs)
      writeFileSync(
        join(dir, 'config.json'),
        JSON.stringify({ ...config, shard: JSON.parse(readFileSync(join(dir, 'shard.json'), 'utf8')).shard }),
      );
    const stale = await midas('merge', ...dirs, '--out', merged, ...QUIET);
    expect(stale).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/has not measured all of its configuration/),
    });
  });

  it('a run refuses to resume with another victim, naming the field and both values', async () => {
    const other = await midas('run', 'shallow', ...SMALL, '--epochs', '3', '--resume', '--out', out);
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/victim\.training\.epochs differs from the run there \(was 2, is 3\)/);
  });

  it('a run is drawn again as SVG, PNG and PDF, with tables, without measuring', async () => {
    const report = inScratch('report');
    const { code, stderr } = await midas(
      'report',
      out,
      '--format',
      'svg,png,pdf',
      '--latex',
      '--out',
      report,
      ...QUIET,
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const files = readdirSync(report);
    expect(files).toEqual(
      expect.arrayContaining(['curve.svg', 'curve.png', 'curve.pdf', 'summary.csv', 'table.tex', 'report.html']),
    );
  });
});

describe('any part of an experiment can be exchanged', () => {
  it('MI-Face attacks the convolutional victim at the given rates', async () => {
    const out = inScratch('conv');
    const few = inScratch('conv.json');
    const faces = { ...FEW_FACES, width: 32, height: 32, people: 30 };
    writeFileSync(few, JSON.stringify({ data: faces, people: [0, 1, 2] }));
    const only = [
      '--config',
      few,
      '--attack',
      'mi-face',
      '--rates',
      '0.01',
      '--layers',
      'fc1',
      '--draws',
      '1',
      '--noise',
      'none',
      ...LINEAR,
    ];
    const { code, stderr } = await midas('deep', '--pretrained', 'data/deep-tiny', ...only, '--out', out, ...QUIET);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const { rows, manifest } = read(out);
    expect(new Set(rows.map(({ attack }) => attack))).toEqual(new Set(['mi-face zero']));
    expect(rows.map(({ condition }) => condition.kind)).toEqual(['none', 'quantised', 'bit-error']);
    expect(manifest.attacks).toEqual([
      { name: 'mi-face zero', kind: 'mi-face', family: 'MI-Face', title: 'MI-Face from a black image' },
    ]);
    expect(manifest.attackSeconds?.['mi-face zero']).toBeGreaterThan(0);
  });

  it('a network of dense layers is inverted, and releases rounded confidences', async () => {
    const out = inScratch('dense');
    const few = inScratch('dense.json');
    const network = { kind: 'dense', hidden: [8] };
    const training = { epochs: 1, batchSize: 8, learningRate: 1e-3 };
    writeFileSync(few, JSON.stringify({ data: FEW_FACES, attacks: [{ kind: 'inversion', network, training }] }));
    const only = ['--config', few, '--attack', 'inversion', '--round', '1', '--epochs', '2', ...LINEAR];
    const { code, stderr } = await midas('attack', 'shallow', ...only, '--out', out, ...QUIET);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const { rows } = read(out);
    expect(rows.map(({ attack, condition }) => [attack, condition.release?.decimals])).toEqual([
      ['inversion, held-out', undefined],
      ['inversion, training', undefined],
      ['inversion, held-out', 1],
      ['inversion, training', 1],
    ]);
  });

  it('a run uses networks that were trained separately', async () => {
    const networks = inScratch('networks');
    const args = ['--size', '16x20', '--epochs', '2', ...LINEAR, ...QUIET];
    const trained = await midas('train', 'shallow', ...args, '--json', '--out', networks);
    expect(trained.stderr).toBe('');
    expect(JSON.parse(trained.stdout)).toMatchObject({ model: 'mlp 320-200-40' });
    const out = inScratch('pretrained');
    const { code } = await midas('attack', 'shallow', ...args, '--pretrained', networks, '--out', out);
    expect(code).toBe(0);
    expect(existsSync(join(out, 'victim.safetensors'))).toBe(false);
    const { rows, manifest } = read(out);
    expect(rows[0].condition.kind).toBe('none');
    const hash = createHash('sha256').update(readFileSync(join(networks, 'victim.safetensors')));
    expect(manifest.networks).toEqual({ 'victim.safetensors': hash.digest('hex') });
    const text = readFileSync(join(networks, 'victim.safetensors'));
    text[text.length - 1] ^= 1;
    writeFileSync(join(networks, 'victim.safetensors'), text);
    const other = await midas('attack', 'shallow', ...args, '--pretrained', networks, '--resume', '--out', out);
    expect(other.stderr).toMatch(/cannot resume, networks\.victim\.safetensors differs from the run there/);
    expect(other.code).toBe(2);
  });

  it.each(['experiment', 'memory', 'results'])('the schema of %s describes its fields', async (what) => {
    const { code, stdout } = await midas('schema', what);
    expect(code).toBe(0);
    const schema = JSON.parse(stdout);
    const fields = Object.values(schema.properties as Record<string, { description?: string }>);
    expect(fields.length).toBeGreaterThan(3);
    expect(fields.filter(({ description }) => description === undefined)).toEqual([]);
  });

  it.each([
    [
      'an unknown attack',
      ['run', 'shallow', '--attack', 'guess'],
      /"guess" is not one of mi-face, generative, inversion, label-only, membership\./,
    ],
    [
      'a number format beside a memory that has one',
      ['run', 'shallow', '--memory', 'eden-em1', '--format', 'int8'],
      /--format: a memory of --memory has/,
    ],
    ['a file that does not exist', ['run', 'huge.json'], /huge\.json: cannot be read; give a preset \(shallow, deep\)/],
    ['a run without a preset', ['run'], /give a preset \(shallow, deep\), a configuration file or the folder of a run/],
    ['a shard out of range', ['run', 'shallow', '--shard', '3/2'], /--shard 3\/2: give a shard and the number of/],
  ])('the command line refuses %s', async (_, args, message) => {
    const { code, stderr, stdout } = await midas(...args, '--out', inScratch('refused'), ...QUIET);
    expect(stderr).toMatch(message);
    expect(code).toBeGreaterThan(0);
    expect(stdout).toBe('');
  });
});

describe('what engineers of kernels get from a run', () => {
  it('a trace of host and GPU, and the shaders as they were compiled, without another bit in the results', async () => {
    const experiment = inScratch('traced.json');
    const attack = { kind: 'mi-face', start: 'zero', iterations: 3, step: 1 };
    const training = {
      epochs: 2,
      batchSize: 8,
      optimizer: { kind: 'sgd', learningRate: 0.01, momentum: 0, weightDecay: 0 },
    };
    const config = {
      ...{ data: FEW_FACES, victim: { kind: 'softmax', hidden: [], training }, evaluator: 'linear', draws: 2 },
      ...{ sweeps: [{ layers: 'all', rates: [0.0625] }], noise: { kinds: [] }, attacks: [attack] },
    };
    writeFileSync(experiment, JSON.stringify(config));
    const [trace, shaders] = ['trace.json', 'shaders'].map(inScratch);
    const traced = [
      '--trace',
      trace,
      '--dump-shaders',
      shaders,
      '--dawn',
      'enable:dump_shaders,disable:timestamp_quantization',
    ];
    const runs = await Promise.all([
      midas('run', experiment, ...QUIET, '--out', inScratch('plain')),
      midas('run', experiment, ...QUIET, ...traced, '--out', inScratch('traced')),
    ]);
    expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ]);
    const [plain, other] = ['plain', 'traced'].map((name) => read(inScratch(name)));
    expect(other.rows).toEqual(plain.rows);
    const { traceEvents } = JSON.parse(readFileSync(trace, 'utf8')) as {
      traceEvents: { name: string; cat?: string; args?: { shader?: string } }[];
    };
    expect(new Set(traceEvents.map(({ cat }) => cat))).toEqual(
      new Set([undefined, 'phase', 'submit', 'compile', 'kernel']),
    );
    const kernels = new Set(traceEvents.flatMap(({ args }) => args?.shader ?? []));
    const texts = readdirSync(shaders, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.wgsl'));
    const dumped = new Set(texts.map((name) => name.replace(/-[0-9a-f]{8}\.wgsl$/, '')));
    expect([...kernels].filter((kernel) => !dumped.has(kernel))).toEqual([]);
    expect(kernels).toContain('optimizer/mi_face_step');
    expect(readFileSync(join(shaders, texts[0]), 'utf8')).toContain('@compute');
  });

  it('a toggle that is none is refused with the form of one', async () => {
    const { code, stderr } = await midas('run', 'shallow', ...SMALL, '--dawn', 'fast', '--out', inScratch('toggle'));
    expect(code).toBe(2);
    expect(stderr).toBe('midas: fast: give enable:NAME or disable:NAME, a toggle of Dawn\n');
  });
});
