import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { caseNamed, initialParameters, type NetworkCase, uniform } from '../../bench/peers/cases.ts';
import { checkSame, largestDifference } from '../../bench/peers/compare.ts';
import { missingPackages } from '../../bench/peers/install.ts';
import { pixelByPixel, toNchw, toNhwc, transpose } from '../../bench/peers/layouts.ts';
import { rowsOf } from '../../bench/peers/peers.ts';
import { type Contestant, type Request, startProcess } from '../../bench/peers/process.ts';
import { takeTurns } from '../../bench/peers/turns.ts';
import { tableLines } from '../../bench/rows.ts';

const CASE = { name: 'a product', kind: 'gemm' } as const;

describe('comparison of results', () => {
  it('the comparison measures the largest difference as a share of the largest value', () => {
    expect(largestDifference(Float32Array.of(1, -4.5, 2), Float32Array.of(1, -4, 2))).toBe(0.125);
  });

  it('the comparison never treats a NaN or a missing number as equal', () => {
    expect(largestDifference(Float32Array.of(Number.NaN), Float32Array.of(1))).toBe(Number.POSITIVE_INFINITY);
    expect(largestDifference(Float32Array.of(1), Float32Array.of(1, 2))).toBe(Number.POSITIVE_INFINITY);
    expect(largestDifference(Float32Array.of(1), Float32Array.of(0))).toBe(Number.POSITIVE_INFINITY);
  });

  it('the comparison names case, engine and difference when engines differ', () => {
    const [result, reference] = [Float32Array.of(1, 2.1), Float32Array.of(1, 2)];
    expect(() => checkSame(CASE, 'tfjs', result, reference)).toThrow(/a product: tfjs differs from midas by 5\.0e-2/);
    expect(checkSame(CASE, 'tfjs', reference, reference)).toBe(0);
  });
});

describe('conversion of tensor layouts', () => {
  it('a transposition moves every value to its permuted index', () => {
    const tensor = uniform(1, [2, 3, 4, 5], -1, 1);
    const { shape, values } = transpose(tensor, [2, 0, 3, 1]);
    expect(shape).toEqual([4, 2, 5, 3]);
    for (const [a, b, c, d] of [
      [0, 0, 0, 0],
      [1, 2, 3, 4],
      [1, 0, 2, 3],
      [0, 2, 1, 4],
    ]) {
      expect(values[((c * 2 + a) * 5 + d) * 3 + b]).toBe(tensor.values[((a * 3 + b) * 4 + c) * 5 + d]);
    }
  });

  it('a conversion to NHWC and back to NCHW restores the tensor', () => {
    const tensor = uniform(2, [2, 3, 4, 5], -1, 1);
    expect(toNchw(toNhwc(tensor))).toEqual(tensor);
  });

  it('a conversion puts the channels of a flattened image side by side', () => {
    const weight = { shape: [1, 8], values: Float32Array.of(0, 1, 2, 3, 10, 11, 12, 13) };
    expect([...pixelByPixel(weight, { height: 2, width: 2, channels: 2 }).values]).toEqual([
      0, 10, 1, 11, 2, 12, 3, 13,
    ]);
  });
});

describe('cases of the comparison', () => {
  it('every engine gets the same parameters, none of them zero or shared', () => {
    const { spec } = caseNamed('training step, tiny victim') as NetworkCase;
    const parameters = initialParameters(spec);
    expect(initialParameters(spec)).toEqual(parameters);
    expect(parameters.get('conv1.weight')!.shape).toEqual([8, 1, 3, 3]);
    const firsts = [...parameters.values()].map(({ values }) => values[0]);
    expect(new Set(firsts).size).toBe(firsts.length);
    expect(firsts).not.toContain(0);
  });

  it('the inputs of cases fill their range evenly', () => {
    const { values } = uniform(3, [10_000], -1, 3);
    expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(1, 1);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...values)).toBeLessThanOrEqual(3);
  });
});

/** A contestant with scripted answers that logs when each of its requests begins and ends. */
function actor(name: string, log: string[], answers: { results?: number[]; fails?: Request['kind'] } = {}): Contestant {
  let timings = 0;
  return {
    name,
    stop() {},
    async ask<Value>({ kind }: Request): Promise<Value> {
      log.push(`${name} ${kind} begins`);
      await new Promise((resolve) => setTimeout(resolve, 1));
      log.push(`${name} ${kind} ends`);
      if (kind === answers.fails) throw new Error(`${name} cannot ${kind}`);
      if (kind === 'time') return ++timings as Value;
      return Float32Array.from(answers.results ?? [1, 2]) as Value;
    },
  };
}

describe('turns of the engines', () => {
  it('engines are compared first, then timed in rounds, never two simultaneously', async () => {
    const log: string[] = [];
    const [{ outcomes }] = await takeTurns([CASE], [actor('a', log), actor('b', log)], 2, () => {});
    const begun = log.filter((_, i) => i % 2 === 0).map((line) => line.replace(' begins', ''));
    expect(begun).toEqual(['a build', 'b build', 'a warm', 'b warm', 'a time', 'b time', 'a time', 'b time']);
    expect(log.filter((_, i) => i % 2 === 1)).toEqual(begun.map((line) => `${line} ends`));
    expect(outcomes.get('b')).toEqual({ times: [1, 2] });
  });

  it('an engine with different results is not timed', async () => {
    const log: string[] = [];
    const engines = [actor('a', log), actor('b', log, { results: [1, 3] })];
    const [{ outcomes }] = await takeTurns([CASE], engines, 1, () => {});
    expect(outcomes.get('b')).toEqual({ failure: expect.stringMatching(/b differs from midas by 5/), differs: true });
    expect(log.join()).not.toContain('b time');
    expect(outcomes.get('a')).toEqual({ times: [1] });
  });

  it.each(['build', 'warm', 'time'] as const)(
    'the comparison continues without a peer whose %s fails, and reports its error',
    async (fails) => {
      const engines = [actor('a', []), actor('b', [], { fails })];
      const [first, second] = await takeTurns([CASE, CASE], engines, 2, () => {});
      expect([...first.outcomes]).toEqual([
        ['a', { times: [1, 2] }],
        ['b', { failure: `b cannot ${fails}`, differs: false }],
      ]);
      expect(second.outcomes.get('a')).toEqual({ times: [3, 4] });
    },
  );

  it('the comparison fails when our own engine fails', async () => {
    const engines = [actor('a', [], { fails: 'time' }), actor('b', [])];
    await expect(takeTurns([CASE], engines, 1, () => {})).rejects.toThrow('a product: a cannot time');
  });
});

describe('rows of the comparison', () => {
  const outcomes = new Map([
    ['midas', { times: [2, 4, 3] }],
    ['tfjs', { times: [20, 16, 15] }],
    ['jax-js', { failure: 'no such op\nat line 3', differs: false }],
  ]);

  it('rows have ratios of the same round, and a target for training steps only', () => {
    const rows = rowsOf({ compared: { name: 'step', kind: 'training' }, outcomes });
    const ratio = rows.find(({ name }) => name === 'step: times faster than tfjs')!;
    expect(ratio).toMatchObject({ measured: 5, min: 4, max: 10, target: 5, better: 'higher', met: true });
    const [row] = rowsOf({ compared: CASE, outcomes }).filter(({ name }) => name.includes('times faster'));
    expect(row.target).toBeUndefined();
  });

  it('a row without a number states the reason', () => {
    const rows = rowsOf({ compared: CASE, outcomes });
    expect(rows.map(({ name }) => name)).toEqual([
      'a product: midas',
      'a product: tfjs',
      'a product: jax-js',
      'a product: times faster than tfjs',
    ]);
    expect(JSON.parse(JSON.stringify(rows[2]))).toMatchObject({ measured: null, failure: 'no such op\nat line 3' });
    expect(tableLines(rows)[3]).toMatch(/a product: jax-js +- +ms .*no such op$/);
  });
});

describe('engines in separate processes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'midas-peers-'));
  const script = join(folder, 'engine.mjs');
  writeFileSync(
    script,
    `process.on('message', ({ kind }) => {
      if (kind === 'build') process.send({ value: Float32Array.of(1.5, 2.5) });
      if (kind === 'warm') process.send({ error: 'no such op' });
      if (kind === 'time') { console.error('Error: out of memory'); process.exit(7); }
    });`,
  );
  afterAll(() => rmSync(folder, { recursive: true }));
  const start = (seconds: number) => startProcess('peer', script, [], { seconds, execArgv: [] });

  it('typed arrays and errors are passed between processes', async () => {
    const engine = start(30);
    expect(await engine.ask({ kind: 'build', name: 'x' })).toEqual(Float32Array.of(1.5, 2.5));
    await expect(engine.ask({ kind: 'warm' })).rejects.toThrow('no such op');
    engine.stop();
  });

  it('every request to an engine whose process has ended reports how it ended', async () => {
    const engine = start(30);
    await expect(engine.ask({ kind: 'time' })).rejects.toThrow('peer ended (exit code 7): Error: out of memory');
    await expect(engine.ask({ kind: 'build', name: 'x' })).rejects.toThrow('peer ended (exit code 7)');
  });

  it('a process that takes too long is ended', async () => {
    const engine = start(0.3);
    await expect(engine.ask({ kind: 'describe' })).rejects.toThrow('peer took longer than 0.3 s');
    await expect(engine.ask({ kind: 'build', name: 'x' })).rejects.toThrow('peer ended (SIGKILL)');
  });
});

describe('installation of the peers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'midas-install-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('packages that are absent or of another version are requested', () => {
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ dependencies: { a: '1.0.0', b: '2.0.0', c: '3.0.0' } }),
    );
    for (const [name, version] of [
      ['a', '1.0.0'],
      ['b', '2.0.1'],
    ]) {
      mkdirSync(join(folder, 'node_modules', name), { recursive: true });
      writeFileSync(join(folder, 'node_modules', name, 'package.json'), JSON.stringify({ version }));
    }
    expect(missingPackages(folder)).toEqual(['b@2.0.0', 'c@3.0.0']);
  });

  it('the lock file pins exact versions, with hashes and without the name of a registry', () => {
    const read = (name: string) => readFileSync(new URL(`../../bench/peers/${name}`, import.meta.url), 'utf8');
    const versions = Object.values<string>(JSON.parse(read('package.json')).dependencies);
    for (const version of versions) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
    const lock = read('package-lock.json');
    expect(lock).not.toContain('resolved');
    const packages = Object.entries<{ integrity?: string }>(JSON.parse(lock).packages).filter(([path]) => path !== '');
    for (const [path, { integrity }] of packages) expect(integrity, path).toMatch(/^sha512-/);
  });
});
