import { expect, it } from 'vitest';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { recordDropout } from '../../src/kernels/dropout.ts';
import { type DropoutDraw, dropout, dropoutKept } from '../../src/reference/dropout.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { imageRows, imageRowsToWrite } from '../support/nhwc.ts';
import { SHAPES } from '../support/shapes.ts';
import { binomialSigmas, correlationSigmas } from '../support/statistics.ts';

const device = useGpu();

const PROBABILITIES = [0, 0.1, 0.5, 0.9];
const narrow = [1, 3, 4, 5, 8, 17].map((columns) => [12, columns] as const);

it.each(PROBABILITIES)('dropout agrees with its reference bit for bit, p = %s', async (probability) => {
  const draw = { probability, seed: 2 ** 40 + 7, iteration: 5 };
  await checkKernel(
    device.gpu,
    (bench) =>
      [...SHAPES, ...narrow].flatMap(([rows, columns], tensor): Output[] => {
        const x = randomValues(rows * columns, tensor);
        const [output, narrowOutput] = [bench.output(rows, columns), imageRowsToWrite(bench, rows, columns)];
        const args = { ...draw, tensor };
        recordDropout(bench.recorder, { ...args, input: bench.matrix(rows, columns, x), output });
        recordDropout(bench.recorder, { ...args, input: imageRows(bench, rows, x), output: narrowOutput });
        const expected = dropout(x, columns, args);
        const name = `dropout ${rows} x ${columns}`;
        return [
          { name, view: output, expected, tolerance: TOLERANCES.exact },
          { name: `${name}, narrow rows`, view: narrowOutput, expected, tolerance: TOLERANCES.exact },
        ];
      }),
    (program) => {
      program.setStep({ iteration: draw.iteration });
    },
  );
});

it('the backward pass drops the elements that the forward pass dropped, and the next iteration drops others', async () => {
  const [rows, columns, probability] = [30, 65, 0.4];
  const bench = new Bench(device.gpu);
  const one = bench.matrix(rows, columns, new Float32Array(rows * columns).fill(1));
  const dy = randomValues(rows * columns, 1);
  const [y, dx] = [bench.output(rows, columns), bench.output(rows, columns)];
  const layer = { probability, seed: 3, tensor: 2 };
  recordDropout(bench.recorder, { ...layer, input: one, output: y });
  recordDropout(bench.recorder, { ...layer, input: bench.matrix(rows, columns, dy), output: dx });
  const program = await bench.recorder.build('dropout');
  const masks: Float32Array[] = [];
  for (const iteration of [1, 2, 1]) {
    program.setStep({ iteration: iteration });
    program.run();
    const mask = await readMatrix(device.gpu, y);
    expect(await readMatrix(device.gpu, dx)).toEqual(dy.map((value, i) => value * mask[i]));
    masks.push(mask);
  }
  expect(masks[2]).toEqual(masks[0]);
  const agreeing = masks[0].filter((value, i) => value === masks[1][i]).length;
  expect(Math.abs(binomialSigmas(agreeing, rows * columns, 0.4 ** 2 + 0.6 ** 2))).toBeLessThan(4);
  bench.arena.destroy();
});

it('dropout does not drop a NaN silently', async () => {
  const bench = new Bench(device.gpu);
  const output = bench.output(2, 40);
  const input = bench.matrix(2, 40, new Float32Array(80).fill(Number.NaN));
  recordDropout(bench.recorder, { input, output, probability: 0.5, seed: 0, tensor: 0 });
  (await bench.recorder.build('dropout')).run();
  expect((await readMatrix(device.gpu, output)).every(Number.isNaN)).toBe(true);
  bench.arena.destroy();
});

it.each([0.1, 0.5, 0.9])(
  'dropout drops a share of %s, without correlation between places, iterations, tensors and seeds',
  (probability) => {
    const [rows, columns] = [200, 501];
    const first: DropoutDraw = { probability, seed: 1, tensor: 1, iteration: 1 };
    const kept = dropoutKept(rows, columns, first);
    const count = (which: readonly boolean[]) => which.filter(Boolean).length;
    expect(Math.abs(binomialSigmas(count(kept), kept.length, 1 - probability))).toBeLessThan(4);
    for (let word = 0; word < 4; word++) {
      const part = kept.filter((_, i) => (i % columns) % 4 === word);
      expect(Math.abs(binomialSigmas(count(part), part.length, 1 - probability))).toBeLessThan(4);
    }
    const sigmas = (a: readonly boolean[], b: readonly boolean[]) => {
      const both = count(a.map((value, i) => value && b[i]));
      return Math.abs(correlationSigmas(both, count(a), count(b), a.length, 1 - probability));
    };
    for (const lag of [1, 2, 4, columns]) {
      const shifted = kept.map((_, i) => kept[(i + lag) % kept.length]);
      expect(sigmas(kept, shifted)).toBeLessThan(4);
    }
    for (const changed of [{ seed: 2 }, { seed: 2 ** 32 + 1 }, { tensor: 0 }, { tensor: 2 }, { iteration: 2 }]) {
      expect(sigmas(kept, dropoutKept(rows, columns, { ...first, ...changed }))).toBeLessThan(4);
    }
  },
);

it('a larger p drops all elements that a smaller p drops, for every batch', () => {
  const draw = { seed: 9, tensor: 4, iteration: 7 };
  const [some, fewer] = [0.2, 0.7].map((probability) => dropoutKept(20, 33, { ...draw, probability }));
  expect(fewer.every((value, i) => !value || some[i])).toBe(true);
  expect(dropoutKept(4, 33, { ...draw, probability: 0.2 })).toEqual(some.slice(0, 4 * 33));
});

it('dropout refuses invalid probabilities, seeds and shapes', () => {
  const bench = new Bench(device.gpu);
  const input = bench.output(2, 5);
  const record = (changed: object) => () =>
    recordDropout(bench.recorder, {
      input,
      output: bench.output(2, 5),
      probability: 0.5,
      seed: 0,
      tensor: 0,
      ...changed,
    });
  expect(record({ probability: 0 })).not.toThrow();
  expect(record({ probability: 1 - 2 ** -40 })).not.toThrow();
  for (const changed of [
    { probability: 1 },
    { probability: -0.1 },
    { probability: Number.NaN },
    { seed: 0.5 },
    { tensor: -1 },
  ]) {
    expect(record(changed)).toThrow(ConfigError);
  }
  expect(record({ output: imageRowsToWrite(bench, 2, 5) })).toThrow(ShapeError);
  bench.arena.destroy();
});
