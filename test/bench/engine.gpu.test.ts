import { afterAll, beforeAll, expect, it } from 'vitest';
import { caseNamed, type GemmCase, gemmInputs, type NetworkCase } from '../../bench/peers/cases.ts';
import { COMPARED_STEPS } from '../../bench/peers/engine.ts';
import { type Contestant, startEngine } from '../../bench/peers/process.ts';

// Our own engine, started as in the comparison. The other engines need not be installed.
let engine: Contestant;

beforeAll(() => {
  engine = startEngine('midas', 'auto', 'wall');
});

afterAll(() => engine.stop());

it('the engine reports its name and its adapter', async () => {
  const { version, adapter } = await engine.ask<{ version: string; adapter: string }>({ kind: 'describe' });
  expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  expect(adapter).not.toBe('');
});

it('the engine computes the product of the factors of a case and times it', async () => {
  const compared = caseNamed('GEMM 512^3') as GemmCase;
  const results = await engine.ask<Float32Array>({ kind: 'build', name: compared.name });
  const { a, b } = gemmInputs(compared);
  const { n, k } = compared;
  for (const [row, column] of [
    [0, 0],
    [3, 500],
    [511, 511],
  ]) {
    let sum = 0;
    for (let i = 0; i < k; i++) sum += a.values[row * k + i] * b.values[i * n + column];
    expect(results[row * n + column]).toBeCloseTo(sum, 4);
  }
  expect(await engine.ask<number>({ kind: 'warm' })).toBeGreaterThanOrEqual(1);
  expect(await engine.ask<number>({ kind: 'time' })).toBeGreaterThan(0);
});

it('the engine trains from the parameters of a case: the first loss is that of a guess, and the loss falls', async () => {
  const compared = caseNamed('training step, tiny victim') as NetworkCase;
  const losses = [...(await engine.ask<Float32Array>({ kind: 'build', name: compared.name }))];
  expect(losses).toHaveLength(COMPARED_STEPS);
  expect(losses[0]).toBeGreaterThan(Math.log(compared.spec.outputs) / 2);
  expect(losses[0]).toBeLessThan(Math.log(compared.spec.outputs) * 2);
  expect(losses).toEqual([...losses].sort((x, y) => y - x));
  const again = await engine.ask<Float32Array>({ kind: 'build', name: compared.name });
  expect([...again]).toEqual(losses);
});

it('the engine answers an unknown case with an error and continues', async () => {
  await expect(engine.ask({ kind: 'build', name: 'GEMM 1^3' })).rejects.toThrow('no case is called "GEMM 1^3"');
  expect(await engine.ask({ kind: 'describe' })).toHaveProperty('version');
});
