/** The command line as a user meets it: child processes, exit codes, files on disk. Every child has a hard timeout. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { demoEndingLines } from '../../src/cli/ending.ts';
import { decodePng } from '../../src/cli/render.ts';
import { encodePgm } from '../../src/formats/pgm.ts';
import { readSafetensors, writeSafetensors } from '../../src/formats/safetensors.ts';
import { conditionKey, parseResults, type Row } from '../../src/results/results.ts';
import { verdictOf } from '../../src/results/verdict.ts';
import { midas, start } from '../support/command_line.ts';

const scratch = mkdtempSync(join(tmpdir(), 'midas-e2e-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function until(condition: () => boolean, seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 20; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the condition was not met within ${seconds} s`);
}

const lines = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0);
const rowKey = (row: Row) => `${conditionKey(row.condition)} ${row.draw} ${row.attack}`;

/** Results with a profile, as --json prints them. */
interface Answer {
  readonly profile: readonly {
    readonly phase: string;
    readonly runs: number;
    readonly kernels: readonly { readonly calls: number; readonly milliseconds: number }[];
  }[];
  readonly deep?: Answer;
}

describe('the demo command', () => {
  const out = join(scratch, 'demo');

  /** What the first run of the demo printed. */
  let answer: Answer;

  it('the demo trains, attacks, defends and writes results, tables and pictures', async () => {
    const common = ['--json', '--profile', '--adapter', 'software'];
    const { code, stdout, stderr } = await midas('demo', '--tiny', '--out', out, ...common);
    expect(stderr).toContain('training');
    expect(code).toBe(0);
    answer = JSON.parse(stdout);
    const results = parseResults(readFileSync(join(out, 'results.json'), 'utf8'), 'results.json');
    expect(results.manifest.command).toContain('midas demo --tiny');
    const kinds = new Set(results.rows.map((row) => row.condition.kind));
    expect([...kinds]).toEqual(expect.arrayContaining(['none', 'quantised', 'bit-error', 'gaussian']));
    expect(new Set(results.rows.map(rowKey)).size).toBe(results.rows.length);
    expect(lines(join(out, 'rows.jsonl'))).toBe(results.rows.length);
    expect(lines(join(out, 'results.csv'))).toBe(results.rows.length + 1);
    for (const name of ['recon.png', 'recon-all.png', 'recognition.png', 'curve.png', 'layers.png']) {
      const png = decodePng(readFileSync(join(out, name)), name);
      expect(png.width, name).toBe(1400);
      expect(new Set(png.data).size, `${name} is not blank`).toBeGreaterThan(20);
    }
    const report = readFileSync(join(out, 'report.html'), 'utf8');
    expect(report.replaceAll('\u00a0', ' ')).toContain(verdictOf(results).answer);
    expect(report.replaceAll('http://www.w3.org/', '')).not.toMatch(/https?:\/\//);
  });

  it('the demo ends with the deep experiment on the networks that come with the project', () => {
    const dir = join(out, 'deep');
    const { rows, summary, manifest, baselines } = parseResults(readFileSync(join(dir, 'results.json'), 'utf8'), dir);
    const undefended = (attack: string) =>
      summary.find((entry) => entry.condition.kind === 'none' && entry.attack === attack);
    for (const side of ['held-out', 'training']) {
      const entry = undefended(`inversion, ${side}`)!;
      // The networks are trained: the classifier classifies, and the reconstructions beat the mean face and show a person.
      expect(entry.accuracy.mean).toBeGreaterThan(0.9);
      expect(entry.pcc.mean).toBeGreaterThan(baselines.meanFacePcc);
      expect(entry.pccLift.mean).toBeGreaterThan(0.15);
    }
    expect(new Set(rows.map((row) => row.condition.kind))).toEqual(
      new Set(['none', 'quantised', 'bit-error', 'gaussian']),
    );
    expect(rows.every((row) => row.underflow !== undefined)).toBe(true);
    expect(new Set(rows.map(rowKey)).size).toBe(rows.length);
    expect(manifest.config).toMatchObject({
      data: { kind: 'procedural', width: 32 },
      attacks: [{ kind: 'inversion', attackers: [{ name: 'direct' }] }],
    });
    for (const name of ['recon.png', 'curve.png']) {
      const png = decodePng(readFileSync(join(dir, name)), name);
      expect(png.width, name).toBe(1400);
      expect(new Set(png.data).size, `${name} is not blank`).toBeGreaterThan(20);
    }
  });

  it('the demo prints its results and reports where the time went', () => {
    const phasesOf = { '': ['prepare', 'train', 'sweep', 'attack'], deep: ['prepare', 'sweep', 'attack'] };
    for (const [dir, names] of Object.entries(phasesOf)) {
      const { profile, deep: _, ...results } = dir === '' ? answer : answer.deep!;
      expect(JSON.parse(readFileSync(join(out, dir, 'profile.json'), 'utf8'))).toEqual(profile);
      expect(JSON.parse(readFileSync(join(out, dir, 'results.json'), 'utf8'))).toEqual(results);
      expect(profile.map(({ phase }) => phase)).toEqual(names);
      for (const { runs, kernels } of profile) {
        expect(runs).toBeGreaterThan(0);
        for (const { calls, milliseconds } of kernels) {
          expect(calls).toBeGreaterThan(0);
          expect(milliseconds).toBeGreaterThan(0);
        }
      }
    }
  });

  it('the demo without a profile gives the same bits, even when it was interrupted by Ctrl-C and resumed', async () => {
    const again = join(scratch, 'again');
    const common = ['demo', '--tiny', '--out', again, '--adapter', 'software'];
    const rows = join(again, 'rows.jsonl');
    const stopped = start(common);
    await until(() => lines(rows) >= 1, 120);
    stopped.child.kill('SIGINT');
    const { code, stderr } = await stopped.finished;
    expect(code).toBe(130);
    expect(stderr).toMatch(/interrupted; finished work is saved, continue with --resume/);
    expect(lines(rows)).toBeGreaterThanOrEqual(1);
    expect(existsSync(join(again, 'results.json'))).toBe(false);
    const other = await midas(...common, '--resume', '--seed', '2');
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/cannot resume, seed differs from the run there \(was 1, is 2\)/);

    // Cuts the last row off, as a write that was killed would.
    writeFileSync(rows, readFileSync(rows, 'utf8').slice(0, -40));
    const refused = await midas(...common, '--quiet');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/unfinished run: continue with --resume/);
    const resumed = await midas(...common, '--quiet', '--resume');
    expect(resumed.stderr).toBe('');
    expect(resumed.code).toBe(0);
    const read = (dir: string) => parseResults(readFileSync(join(dir, 'results.json'), 'utf8'), dir);
    // It ends with the verdicts of its own rows.
    const runs = [again, join(again, 'deep')].map((dir) => ({ results: read(dir), report: join(dir, 'report.html') }));
    const ending = resumed.stdout.trimEnd().split('\n');
    expect(ending).toEqual(demoEndingLines(runs));
    expect(ending.length).toBeLessThanOrEqual(10);
    for (const [i, { results }] of runs.entries()) expect(ending[1 + i]).toContain(verdictOf(results).answer);
    expect(read(again).rows).toEqual(read(out).rows);
    expect(read(again).summary).toHaveLength(read(out).summary.length);
    for (const name of ['rows.jsonl', 'results.csv', 'victim.safetensors', 'deep/rows.jsonl', 'deep/results.csv'])
      expect(readFileSync(join(again, name)).equals(readFileSync(join(out, name))), name).toBe(true);
  });

  it('the demo refuses a checkpoint with NaN and a checkpoint of another model', async () => {
    const dir = join(scratch, 'checkpoint');
    mkdirSync(join(dir, 'pictures'), { recursive: true });
    const good = readFileSync(join(out, 'victim.safetensors'));
    writeFileSync(join(dir, 'config.json'), readFileSync(join(out, 'config.json')));
    const { tensors, metadata } = readSafetensors(good, 'model');
    (tensors.get('fc1.weight')?.data as Float32Array)[7] = Number.NaN;
    writeFileSync(join(dir, 'victim.safetensors'), writeSafetensors(tensors, metadata));
    const nan = await midas('demo', '--tiny', '--out', dir, '--resume', '--quiet', '--adapter', 'software');
    expect(nan.code).toBe(4);
    expect(nan.stderr).toMatch(/victim\.safetensors: key fc1\.weight: element 7 is not finite/);
    const model = { ...JSON.parse(metadata.model), hidden: [31] };
    writeFileSync(
      join(dir, 'victim.safetensors'),
      writeSafetensors(readSafetensors(good, 'model').tensors, { ...metadata, model: JSON.stringify(model) }),
    );
    const other = await midas('demo', '--tiny', '--out', dir, '--resume', '--quiet', '--adapter', 'software');
    expect(other.code).toBe(4);
    expect(other.stderr).toMatch(/it holds a mlp .*-31-40, this run needs a mlp .*-32-40/);
  });
});

const TRAINING = {
  epochs: 1,
  batchSize: 32,
  optimizer: { kind: 'sgd', learningRate: 0.001, momentum: 0, weightDecay: 0 },
};

describe('bad input on the command line', () => {
  function faces(name: string, people: number, spoil?: (dir: string) => void): string {
    const dir = join(scratch, name);
    for (let person = 1; person <= people; person++) {
      mkdirSync(join(dir, `s${person}`), { recursive: true });
      for (let i = 1; i <= 4; i++) {
        const pixels = Uint8Array.from({ length: 16 * 12 }, (_, k) => (k * person * 7 + i * 13) % 256);
        writeFileSync(join(dir, `s${person}`, `${i}.pgm`), encodePgm({ width: 12, height: 16, pixels }));
      }
    }
    spoil?.(dir);
    return dir;
  }

  const cases: [string, () => string[], number, RegExp][] = [
    ['an unknown command', () => ['train-everything'], 2, /unknown command/],
    ['an unknown preset', () => ['shallow', '--preset', 'huge'], 2, /Allowed choices are quick, full/],
    ['a bit error rate above 1', () => ['shallow', '--rates', '1.5'], 2, /1\.5 is not a rate in 0\.\.1/],
    [
      'an unknown layer in a rate map',
      () => ['shallow', '--data', faces('layers', 3), '--rate-map', 'fc9=0.1', '--out', join(scratch, 'o1')],
      2,
      /no layer "fc9"; this model has fc1, fc2/,
    ],
    [
      'a number of bits out of range',
      () => ['shallow', '--data', faces('bits', 3), '--bits', '17', '--out', join(scratch, 'o2')],
      2,
      /format\.bits: must be in 2\.\.16/,
    ],
    ['a folder that does not exist', () => ['shallow', '--data', join(scratch, 'nowhere')], 4, /nowhere/],
    [
      'a truncated PGM',
      () => [
        'shallow',
        '--data',
        faces('truncated', 3, (dir) => {
          const file = join(dir, 's2', '3.pgm');
          writeFileSync(file, readFileSync(file).subarray(0, 60));
        }),
      ],
      4,
      /s2\/3\.pgm.*60/,
    ],
    ['a folder with one class', () => ['shallow', '--data', faces('one', 1)], 4, /one|class|person|people/i],
    [
      'a public folder with a private person',
      () => ['deep', '--private', faces('private', 3), '--public', faces('shared', 3), '--out', join(scratch, 'o3')],
      4,
      /s1.*--allow-shared/,
    ],
    [
      'no people left for the public set',
      () => ['deep', '--private', faces('all', 3), '--out', join(scratch, 'o4')],
      2,
      /inversion: this attack learns from other people’s faces; give --public, or --people to leave some/,
    ],
    [
      'an unknown layer in a deep sweep',
      () => {
        const config = join(scratch, 'deep.json');
        writeFileSync(config, JSON.stringify({ sweeps: [{ layers: 'fc1+fc3', rates: [0.01] }] }));
        const people = ['--private', faces('deep', 3), '--people', '2'];
        return ['deep', '--config', config, ...people, '--out', join(scratch, 'o5')];
      },
      2,
      /"fc1\+fc3" is neither a layer \(conv1, bn1, /,
    ],
    [
      'a network of another size in place of a pretrained one',
      () => {
        const config = join(scratch, 'wide.json');
        writeFileSync(config, JSON.stringify({ victim: { kind: 'yang', ndf: 12, training: TRAINING } }));
        return ['deep', '--pretrained', 'data/deep-tiny', '--config', config, '--out', join(scratch, 'o6')];
      },
      4,
      /victim\.safetensors: it holds a yang-classifier 32x32, ndf 8, nz 30, this run needs .* ndf 12/,
    ],
    [
      'networks that are too large for the adapter',
      () => {
        const config = join(scratch, 'large.json');
        writeFileSync(
          config,
          JSON.stringify({ victim: { kind: 'yang', ndf: 1024, training: { ...TRAINING, batchSize: 512 } } }),
        );
        return [
          'deep',
          '--private',
          faces('large', 3),
          '--people',
          '2',
          '--config',
          config,
          '--out',
          join(scratch, 'o7'),
        ];
      },
      3,
      /victim: .* needs a storage buffer of \d+ bytes, this adapter has .*; the largest preset that fits is paper/,
    ],
    [
      'photographs that are all alike',
      () => [
        'shallow',
        '--data',
        faces('alike', 3, (dir) => {
          const same = readFileSync(join(dir, 's1', '1.pgm'));
          for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
            if (name.endsWith('.pgm')) writeFileSync(join(dir, name), same);
          }
        }),
        '--out',
        join(scratch, 'o8'),
      ],
      4,
      /alike: the training photographs are all alike/,
    ],
    [
      'a person whom the victim does not know',
      () => {
        const config = join(scratch, 'people.json');
        writeFileSync(config, JSON.stringify({ people: [999] }));
        return ['shallow', '--data', faces('known', 3), '--config', config, '--out', join(scratch, 'o9')];
      },
      2,
      /people: 999 is not a class of 0\.\.2/,
    ],
    ['an adapter that does not exist', () => ['doctor', '--adapter', 'no-such-gpu'], 3, /no-such-gpu/],
  ];

  it.each(cases)('bad input ends with an error message and the right exit code: %s', async (_, args, code, message) => {
    const result = await midas(...args());
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(code);
    expect(result.stdout).toBe('');
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });

  it('a refused run leaves no folder', () => {
    const left = ['o1', 'o2', 'o3', 'o4', 'o5', 'o6', 'o7', 'o8', 'o9'].filter((dir) => existsSync(join(scratch, dir)));
    expect(left).toEqual([]);
  });
});

describe('memories as conditions', () => {
  it('named memories and voltages replace the sweep, and the results have read energy and a voltage figure', async () => {
    const out = join(scratch, 'memories');
    const args = ['--epochs', '2', '--draws', '1', '--size', '16x20', '--format', 'int8', '--adapter', 'software'];
    const memories = ['--memory', 'eden-em1', '--voltages', 'C:1.35,1.2,1.1', '--evaluator', 'linear'];
    const { code, stderr } = await midas('shallow', ...args, ...memories, '--out', out, '--quiet');
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const { rows, manifest } = parseResults(readFileSync(join(out, 'results.json'), 'utf8'), 'results.json');
    const nameOf = ({ condition }: Row) => (condition.kind === 'memory' ? condition.label : condition.kind);
    const labels = [...new Set(rows.map(nameOf))];
    const dram = (volts: string) => `DRAM C, bad rows at 5 % (assumed), ${volts}`;
    expect(labels).toEqual([
      'none',
      'quantised',
      dram('1.350 V'),
      dram('1.200 V (2 of 7 interpolated)'),
      dram('1.100 V'),
      'eden-em1',
    ]);
    const first = (label: string) => rows.find((row) => nameOf(row) === label)!;
    // Codes of eight bits are read in a quarter of the bytes; at 1.1 V a read costs (1.1 / 1.35)^2.
    expect(first('none').energy!.bytes).toBe(4 * first(dram('1.350 V')).energy!.bytes);
    expect(first(dram('1.350 V')).energy!.relative).toBe(1);
    expect(first(dram('1.100 V')).energy!.relative).toBeCloseTo((1.1 / 1.35) ** 2, 12);
    expect(first(dram('1.350 V')).accuracy).toBe(first('quantised').accuracy);
    expect((manifest.config.memories as unknown[]).length).toBe(4);
    expect(decodePng(readFileSync(join(out, 'voltage.png')), 'voltage.png').width).toBe(1400);
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('supply voltage');
  });

  it.each([
    ['an unknown memory', ['--memory', 'eden-em9'], /no memory .*eden-em9.*eden-em0/s],
    [
      'a voltage that was not measured',
      ['--voltages', 'C:0.9'],
      /--voltages: no DIMM has a map of its rows at 0\.9 V; maps are of 1\.35/,
    ],
    [
      'rows of a DIMM that were not measured',
      ['--voltages', 'C8:1.2'],
      /the rows of DIMM C8 were not measured; .* C1, C2/,
    ],
    [
      'a timing that was not measured',
      ['--latency', 'B:tRCD=6'],
      /no DIMM of vendor B was measured at tRCD 6 ns, only/,
    ],
    ['a DIMM without a timing', ['--dimm', 'p1'], /--dimm: give --latency too/],
    ['a vendor that was not measured', ['--voltages', 'D:1.2'], /give a vendor \(A, B, C\), a colon and volts/],
    ['bits for a format that fixes them', ['--format', 'int8', '--bits', '8'], /--format int8: --bits, --headroom/],
    ['a ramp without errors', ['--train-ramp', '3'], /--train-ramp: give --train-ber too/],
  ])('%s is refused with exit code 2', async (_, args, message) => {
    const { code, stderr } = await midas('shallow', ...args, '--out', join(scratch, 'refused'), '--quiet');
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
