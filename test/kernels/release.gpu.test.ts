import { describe, expect, it } from 'vitest';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { recordNoisyConfidences, recordTopConfidences } from '../../src/kernels/release.ts';
import { noisyConfidences, topConfidences } from '../../src/reference/release.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';

const device = useGpu();
const SHAPES = [
  [1, 3],
  [5, 7],
  [4, 40],
] as const;

describe('releasing the largest confidences only', () => {
  it.each([1, 3, 9])('the kernel for k = %i agrees with its reference', async (count) => {
    await checkKernel(device.gpu, (bench) =>
      SHAPES.map(([rows, columns], i): Output => {
        // Logits are rounded to halves, so that many are equal.
        const x = randomValues(rows * columns, i, 3).map((value) => Math.round(2 * value) / 2);
        const released = bench.output(rows, columns);
        recordTopConfidences(bench.recorder, { logits: bench.matrix(rows, columns, x), count, released });
        const expected = topConfidences(x, columns, count);
        return { name: `${rows} x ${columns}`, view: released, expected, tolerance: TOLERANCES.topConfidences };
      }),
    );
  });

  it('what is not released counts as equal shares of the rest, and the first of equal confidences is the larger', async () => {
    const bench = new Bench(device.gpu);
    const released = bench.output(3, 5);
    const confidences = [0.4, 0.2, 0.2, 0.15, 0.05];
    const rows = [confidences.map(Math.log), [0, 0, 0, 0, 0], [0, -200, -150, -300, -400]];
    recordTopConfidences(bench.recorder, { logits: bench.matrix(3, 5, rows.flat()), count: 2, released });
    (await bench.recorder.build('top')).run();
    const values = Array.from(await readMatrix(device.gpu, released), Math.exp);
    for (const [j, value] of [0.4, 0.2, 0.4 / 3, 0.4 / 3, 0.4 / 3].entries()) expect(values[j]).toBeCloseTo(value, 6);
    for (const value of values.slice(5, 10)) expect(value).toBeCloseTo(0.2, 6);
    // A rest below the smallest f32 leaves finite numbers.
    expect(values[10]).toBe(1);
    expect(values[13]).toBeGreaterThan(0);
    expect(values[13]).toBeLessThan(1e-37);
    bench.arena.destroy();
  });

  it('the sum of what an attacker assumes is 1, and k = 0 is refused', () => {
    const x = randomValues(40, 1, 3);
    const sum = topConfidences(x, 40, 3).reduce((total, value) => total + Math.exp(value), 0);
    expect(sum).toBeCloseTo(1, 12);
    const bench = new Bench(device.gpu);
    const [logits, released] = [bench.output(1, 3), bench.output(1, 3)];
    expect(() => recordTopConfidences(bench.recorder, { logits, count: 0, released })).toThrow(ConfigError);
    bench.arena.destroy();
  });
});

describe('noise on released confidences', () => {
  const options = { deviation: Math.fround(0.1), seed: 2 ** 40 + 5 };

  it('the kernel agrees with its reference, also where several draws share a batch', async () => {
    await checkKernel(device.gpu, (bench) =>
      (
        [
          [1, 3, 5],
          [6, 7, 8],
          [4, 40, 13],
        ] as const
      ).map(([rows, columns, inputs], i): Output => {
        const [x, queries] = [randomValues(rows * columns, i, 3), randomValues(rows * inputs, i + 9)];
        const groups = rows % 2 === 0 ? 2 : 1;
        const draws = Uint32Array.of(7, 3).subarray(0, groups);
        const released = bench.output(rows, columns);
        recordNoisyConfidences(bench.recorder, {
          logits: bench.matrix(rows, columns, x),
          inputs: bench.matrix(rows, inputs, queries),
          draws: bench.buffer(draws.slice()),
          groups,
          released,
          ...options,
        });
        const each = Array.from({ length: rows }, (_, row) => draws[Math.floor((row * groups) / rows)]);
        const expected = noisyConfidences(x, columns, queries, each, options);
        return { name: `${rows} x ${columns}`, view: released, expected, tolerance: TOLERANCES.noisyConfidences };
      }),
    );
  });

  it('equal queries get equal noise in any row; another query, draw or seed gets other noise', async () => {
    const logits = [1, 0, -1];
    const same = [0.25, 0.5, 0.75, 1, 0.5];
    const other = [0.25, 0.5, 0.75, 1, 0.5000001];
    const released = async (draw: number, seed: number) => {
      const bench = new Bench(device.gpu);
      const output = bench.output(3, 3);
      recordNoisyConfidences(bench.recorder, {
        logits: bench.matrix(3, 3, [...logits, ...logits, ...logits]),
        inputs: bench.matrix(3, 5, [...same, ...other, ...same]),
        draws: bench.buffer(Uint32Array.of(draw)),
        groups: 1,
        deviation: 0.1,
        seed,
        released: output,
      });
      (await bench.recorder.build('noise')).run();
      const values = await readMatrix(device.gpu, output);
      bench.arena.destroy();
      return [values.slice(0, 3), values.slice(3, 6), values.slice(6, 9)];
    };
    const [first, changed, again] = await released(4, 1);
    expect(again).toEqual(first);
    expect(changed).not.toEqual(first);
    expect((await released(5, 1))[0]).not.toEqual(first);
    expect((await released(4, 2))[0]).not.toEqual(first);
    expect((await released(4, 1))[0]).toEqual(first);
  });

  it('noise has the deviation that was asked for, and a mean of 0', () => {
    // With ten classes of 0.1 and little noise nothing is cut off; the sum is divided out again.
    const rows = 2000;
    const [x, queries] = [new Float32Array(10 * rows), randomValues(rows * 4, 1)];
    const settings = { deviation: 0.01, seed: 3 };
    const released = noisyConfidences(x, 10, queries, new Uint32Array(rows), settings);
    const errors = Array.from(released, (value) => Math.exp(value) - 0.1);
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    const deviation = Math.sqrt(errors.reduce((sum, error) => sum + error * error, 0) / errors.length);
    expect(Math.abs(mean)).toBeLessThan(1e-9);
    // Division by the sum takes one of ten degrees of freedom. 20000 numbers: one per cent is two deviations.
    expect(Math.abs(deviation / (0.01 * Math.sqrt(0.9)) - 1)).toBeLessThan(0.025);
  });

  it('a deviation of 0 and queries that do not match the answers are refused', () => {
    const bench = new Bench(device.gpu);
    const [logits, released, draws] = [bench.output(4, 3), bench.output(4, 3), bench.buffer(new Uint32Array(4))];
    const args = { logits, released, draws, inputs: bench.output(4, 5), groups: 2, deviation: 0.1, seed: 1 };
    const record = (changed: object) => () => recordNoisyConfidences(bench.recorder, { ...args, ...changed });
    expect(record({})).not.toThrow();
    expect(record({ deviation: 0 })).toThrow(ConfigError);
    expect(record({ inputs: bench.output(3, 5) })).toThrow(ShapeError);
    expect(record({ groups: 3 })).toThrow(ShapeError);
    bench.arena.destroy();
  });
});
