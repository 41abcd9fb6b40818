import { expect, it } from 'vitest';
import { ShapeError } from '../../src/errors.ts';
import { type Activation, recordActivationForward } from '../../src/kernels/activation.ts';
import { recordAdd } from '../../src/kernels/add.ts';
import { activationForward } from '../../src/reference/activation.ts';
import { activatedTolerance, sumTolerance } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, randomValues, readMatrix, useGpu } from '../support/gpu.ts';

const device = useGpu();

const CASES: readonly (readonly [count: number, rows: number, columns: number, activation: Activation])[] = [
  [2, 1, 1, 'none'],
  [2, 5, 67, 'sigmoid'],
  [3, 34, 7, 'relu'],
  [5, 2, 257, 'relu6'],
];

it('a sum of matrices agrees with its reference and keeps pads zero, also if it replaces the first matrix', async () => {
  await checkKernel(device.gpu, (bench) =>
    CASES.flatMap(([count, rows, columns, activation], i) => {
      const values = Array.from({ length: count }, (_, k) => randomValues(rows * columns, 10 * i + k, 2));
      const sum = values[0].map((_, j) => values.reduce((total, each) => total + each[j], 0));
      const expected = activationForward(activation, sum);
      return [false, true].map((inPlace) => {
        const inputs = values.map((each) => bench.matrix(rows, columns, each));
        const output = inPlace ? inputs[0] : bench.output(rows, columns);
        recordAdd(bench.recorder, { inputs, output, activation });
        const tolerance = activatedTolerance(sumTolerance(4 * count));
        return { name: `${count} x ${rows} x ${columns} ${activation} ${inPlace}`, view: output, expected, tolerance };
      });
    }),
  );
});

it('a sum adds its matrices from the first to the last', async () => {
  const bench = new Bench(device.gpu);
  const inputs = [1e8, 1, -1e8, 3].map((value) => bench.matrix(1, 1, [value]));
  const orders = [inputs, [inputs[0], inputs[2], inputs[1], inputs[3]]];
  const outputs = orders.map(() => bench.output(1, 1));
  for (const [i, order] of orders.entries()) recordAdd(bench.recorder, { inputs: order, output: outputs[i] });
  (await bench.recorder.build('sums')).run();
  // 1 is less than half an ulp of 1e8.
  expect(await readMatrix(device.gpu, outputs[0])).toEqual(Float32Array.of(3));
  expect(await readMatrix(device.gpu, outputs[1])).toEqual(Float32Array.of(4));
  bench.arena.destroy();
});

it('a sum refuses matrices that disagree, a single matrix, and outputs that replace a later matrix', () => {
  const bench = new Bench(device.gpu);
  const [a, b, output] = [bench.output(2, 40), bench.output(2, 40), bench.output(2, 40)];
  const record =
    (inputs: (typeof a)[], into = output) =>
    () =>
      recordAdd(bench.recorder, { inputs, output: into });
  expect(record([a, b])).not.toThrow();
  expect(record([a, bench.output(3, 40)])).toThrow(ShapeError);
  expect(record([a])).toThrow(/at least two/);
  expect(record([a, output])).toThrow(/only the first input may share/);
  bench.arena.destroy();
});

it('the sigmoid of a sum is that of a sum and a layer after it', async () => {
  const bench = new Bench(device.gpu);
  const inputs = [1, 2].map((seed) => bench.matrix(3, 5, randomValues(15, seed)));
  const [fused, sum, after] = [bench.output(3, 5), bench.output(3, 5), bench.output(3, 5)];
  recordAdd(bench.recorder, { inputs, output: fused, activation: 'sigmoid' });
  recordAdd(bench.recorder, { inputs, output: sum });
  recordActivationForward(bench.recorder, { activation: 'sigmoid', input: sum, output: after });
  (await bench.recorder.build('sums')).run();
  expect(await readMatrix(device.gpu, fused)).toEqual(await readMatrix(device.gpu, after));
  bench.arena.destroy();
});
