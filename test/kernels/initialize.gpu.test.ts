import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { type Initialization, recordInitialize } from '../../src/kernels/initialize.ts';
import { initialize } from '../../src/reference/random.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, readMatrix, useGpu } from '../support/gpu.ts';
import { SHAPES } from '../support/shapes.ts';

const device = useGpu();

const INITIALIZATIONS: Initialization[] = [
  { kind: 'constant' },
  { kind: 'constant', value: 1.5 },
  { kind: 'xavierNormal', fanIn: 3, fanOut: 5 },
  { kind: 'kaimingNormal', fanOut: 2 },
  { kind: 'uniform', fanIn: 4 },
];

describe.each(INITIALIZATIONS)('$kind', (initialization) => {
  it('an initialisation agrees with its reference and writes zeros to pads', async () => {
    const seed = 2 ** 40 + 7;
    await checkKernel(device.gpu, (bench) =>
      SHAPES.map(([rows, columns], tensor): Output => {
        const output = bench.output(rows, columns);
        recordInitialize(bench.recorder, bench.arena, { output, initialization, seed, tensor });
        return {
          name: `${initialization.kind} ${rows} x ${columns}`,
          view: output,
          expected: initialize(initialization, seed, tensor, rows, columns),
          tolerance: TOLERANCES.normal,
        };
      }),
    );
  });
});

/** 512 x 1000 numbers of one tensor. */
async function sample(initialization: Initialization, seed = 1, tensor = 1): Promise<Float64Array> {
  const bench = new Bench(device.gpu);
  const output = bench.output(512, 1000);
  recordInitialize(bench.recorder, bench.arena, { output, initialization, seed, tensor });
  (await bench.recorder.build('sample')).run();
  const values = await readMatrix(device.gpu, output);
  bench.arena.destroy();
  return Float64Array.from(values);
}

const mean = (values: Float64Array, f: (value: number, i: number) => number) =>
  values.reduce((sum, value, i) => sum + f(value, i), 0) / values.length;

it('normal numbers have the moments and tails of a normal distribution, and no correlations', async () => {
  // Variance 2 / (1 + 1) = 1.
  const z = await sample({ kind: 'xavierNormal', fanIn: 1, fanOut: 1 });
  const sigma = (variance: number) => 4 * Math.sqrt(variance / z.length);
  expect(Math.abs(mean(z, (x) => x))).toBeLessThan(sigma(1));
  expect(Math.abs(mean(z, (x) => x * x) - 1)).toBeLessThan(sigma(2));
  expect(Math.abs(mean(z, (x) => x ** 3))).toBeLessThan(sigma(15));
  expect(Math.abs(mean(z, (x) => x ** 4) - 3)).toBeLessThan(sigma(96));
  expect(Math.abs(mean(z, (x) => Number(Math.abs(x) > 3)) - 0.0026998)).toBeLessThan(sigma(0.0027));
  for (const lag of [1, 2, 4, 16, 1000]) {
    expect(Math.abs(mean(z, (x, i) => x * z[(i + lag) % z.length]))).toBeLessThan(sigma(1));
    expect(Math.abs(mean(z, (x, i) => (x * x - 1) * (z[(i + lag) % z.length] ** 2 - 1)))).toBeLessThan(sigma(4));
  }
});

it('another seed or another tensor gives unrelated numbers', async () => {
  const unit: Initialization = { kind: 'xavierNormal', fanIn: 1, fanOut: 1 };
  const [z, ...others] = [
    await sample(unit),
    await sample(unit, 2),
    await sample(unit, 2 ** 33 + 1),
    await sample(unit, 1, 2),
  ];
  for (const other of others) {
    expect(Math.abs(mean(z, (x, i) => x * other[i]))).toBeLessThan(4 / Math.sqrt(z.length));
  }
});

it('uniform numbers fill their range evenly', async () => {
  const bound = 1 / Math.sqrt(9);
  const u = await sample({ kind: 'uniform', fanIn: 9 });
  const cells = new Float64Array(64);
  for (const value of u) {
    if (Math.abs(value) > bound) throw new Error(`${value} is beyond ${bound}`);
    cells[Math.min(63, Math.floor(((value / bound + 1) / 2) * 64))]++;
  }
  const expected = u.length / 64;
  const chiSquared = cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  expect(chiSquared).toBeLessThan(63 + 4 * Math.sqrt(2 * 63));
});

it('a seed that is not a whole number is refused', () => {
  const bench = new Bench(device.gpu);
  const args = { output: bench.output(1, 1), initialization: { kind: 'constant' }, tensor: 0 } as const;
  expect(() => recordInitialize(bench.recorder, bench.arena, { ...args, seed: 0.5 })).toThrow(ConfigError);
  bench.arena.destroy();
});
