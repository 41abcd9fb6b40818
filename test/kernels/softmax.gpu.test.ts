import { expect, it } from 'vitest';
import {
  recordLogSoftmaxBackward,
  recordLogSoftmaxForward,
  recordSoftmaxBackward,
  recordSoftmaxForward,
} from '../../src/kernels/softmax.ts';
import { logSoftmaxBackward, logSoftmaxForward, softmaxBackward, softmaxForward } from '../../src/reference/softmax.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { SHAPES } from '../support/shapes.ts';

const device = useGpu();

const FAMILIES = [
  {
    name: 'softmax',
    recordForward: recordSoftmaxForward,
    recordBackward: recordSoftmaxBackward,
    forward: softmaxForward,
    backward: softmaxBackward,
    tolerance: TOLERANCES.softmax,
  },
  {
    name: 'log-softmax',
    recordForward: recordLogSoftmaxForward,
    recordBackward: recordLogSoftmaxBackward,
    forward: logSoftmaxForward,
    backward: logSoftmaxBackward,
    tolerance: TOLERANCES.log_softmax,
  },
];

it.each(FAMILIES)('$name forward agrees with its twin', async ({ name, recordForward, forward, tolerance }) => {
  await checkKernel(device.gpu, (bench) =>
    [...SHAPES, [3, 1000] as const].map(([rows, columns], i): Output => {
      const x = randomValues(rows * columns, i, 10);
      const output = bench.output(rows, columns);
      recordForward(bench.recorder, { input: bench.matrix(rows, columns, x), output });
      return { name: `${name} ${rows} x ${columns}`, view: output, expected: forward(x, columns), tolerance };
    }),
  );
});

it.each(FAMILIES)('$name backward agrees with its twin', async ({ name, recordBackward, forward, backward }) => {
  await checkKernel(device.gpu, (bench) =>
    SHAPES.map(([rows, columns], i): Output => {
      const y = Float32Array.from(forward(randomValues(rows * columns, i, 4), columns));
      const gradient = randomValues(rows * columns, i + 100);
      const gradInput = bench.output(rows, columns);
      recordBackward(bench.recorder, {
        output: bench.matrix(rows, columns, y),
        gradOutput: bench.matrix(rows, columns, gradient),
        gradInput,
      });
      return {
        name: `${name} backward ${rows} x ${columns}`,
        view: gradInput,
        expected: backward(y, gradient, columns),
        tolerance: TOLERANCES.softmaxBackward,
      };
    }),
  );
});

it('log-softmax of a confidence that underflows is still its logarithm', async () => {
  const x = Float32Array.of(0, -200, -1000, 5, 5, -3e38, 3e38, 0, 1, 2, -500, -501, -502, -1000, -600);
  await checkKernel(device.gpu, (bench) => {
    const logs = bench.output(3, 5);
    const probabilities = bench.output(3, 5);
    const input = bench.matrix(3, 5, x);
    recordLogSoftmaxForward(bench.recorder, { input, output: logs });
    recordSoftmaxForward(bench.recorder, { input, output: probabilities });
    const expected = logSoftmaxForward(x, 5);
    // -3e38 - 3e38 is beyond f32: minus infinity.
    const rounded = Float32Array.from(expected);
    return [
      { name: 'log-softmax', view: logs, expected: rounded, tolerance: TOLERANCES.log_softmax },
      { name: 'softmax', view: probabilities, expected: expected.map(Math.exp), tolerance: TOLERANCES.softmax },
    ];
  });
});

it('softmax rows with a NaN or an infinity do not pass for numbers', async () => {
  const bench = new Bench(device.gpu);
  const output = bench.output(2, 5);
  const input = bench.matrix(2, 5, [1, Number.NaN, 3, 4, 5, 1, 2, 3, 4, Number.POSITIVE_INFINITY]);
  recordSoftmaxForward(bench.recorder, { input, output });
  (await bench.recorder.build('softmax')).run();
  const values = await readMatrix(device.gpu, output);
  expect(values.subarray(0, 5).some(Number.isNaN)).toBe(true);
  expect(values.subarray(5).some(Number.isNaN)).toBe(true);
  bench.arena.destroy();
});
