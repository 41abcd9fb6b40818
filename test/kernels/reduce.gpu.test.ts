import { expect, it } from 'vitest';
import { firstRows } from '../../src/gpu/arena.ts';
import { flatGrid, foldGrid } from '../../src/kernels/grid.ts';
import { recordInitialize } from '../../src/kernels/initialize.ts';
import {
  asRow,
  columnSumScratchBytes,
  MAX_ABS_SCRATCH_BYTES,
  recordColumnSum,
  recordMaxAbs,
  recordRowNorm,
} from '../../src/kernels/reduce.ts';
import { columnSum, maxAbs, rowNorm } from '../../src/reference/reduce.ts';
import { sumTolerance, TOLERANCES } from '../../src/reference/tolerances.ts';
import { Bench, checkKernel, type Output, randomValues, readMatrix, useGpu } from '../support/gpu.ts';
import { SHAPES } from '../support/shapes.ts';

const device = useGpu();

it.each([true, false])('column sums agree with their reference, scratch %s', async (withScratch) => {
  const tall = [
    [256, 3],
    [257, 40],
    [1000, 67],
    [5003, 17],
  ] as const;
  await checkKernel(device.gpu, (bench) =>
    [...SHAPES, ...tall].map(([rows, columns], i): Output => {
      const x = randomValues(rows * columns, i);
      const input = bench.matrix(rows, columns, x);
      const output = bench.output(1, columns);
      const scratch = withScratch ? bench.arena.scratch('column_sum', columnSumScratchBytes(input)) : undefined;
      recordColumnSum(bench.recorder, { input, output, scratch });
      return {
        name: `column sum ${rows} x ${columns}`,
        view: output,
        expected: columnSum(x, columns),
        tolerance: sumTolerance(rows),
      };
    }),
  );
});

it('row norms agree with their reference', async () => {
  await checkKernel(device.gpu, (bench) =>
    [...SHAPES, [3, 10304] as const].flatMap(([rows, columns], i): Output[] => {
      const x = randomValues(rows * columns, i);
      const input = bench.matrix(rows, columns, x);
      const norms = bench.arena.allocate('norms', rows * 4);
      recordRowNorm(bench.recorder, { input, output: norms });
      return [
        {
          name: `row norm ${rows} x ${columns}`,
          view: norms,
          expected: rowNorm(x, columns),
          tolerance: TOLERANCES.norm,
        },
      ];
    }),
  );
});

it('largest magnitudes and values are exact, also for negative tensors', async () => {
  await checkKernel(device.gpu, (bench) =>
    [...SHAPES, [130, 257] as const].flatMap(([rows, columns], i): Output[] => {
      const shift = [0, -2, 2][i % 3];
      const x = randomValues(rows * columns, i).map((value) => value + shift);
      const scratch = bench.arena.scratch('max_abs', MAX_ABS_SCRATCH_BYTES);
      const [output, flatOutput] = [bench.arena.allocate('max', 8), bench.arena.allocate('flat max', 8)];
      recordMaxAbs(bench.recorder, { input: bench.matrix(rows, columns, x), scratch, output });
      recordMaxAbs(bench.recorder, { input: asRow(bench.buffer(x), x.length), scratch, output: flatOutput });
      const expected = maxAbs(x);
      const name = `max ${rows} x ${columns}`;
      return [
        { name, view: output, expected, tolerance: TOLERANCES.exact },
        { name: `${name} flat`, view: flatOutput, expected, tolerance: TOLERANCES.exact },
      ];
    }),
  );
});

it('a smaller batch sees only its rows', async () => {
  await checkKernel(device.gpu, (bench) => {
    const x = randomValues(1100 * 20, 1);
    const whole = bench.matrix(1100, 20, x);
    // One view that ends with the rows, and one that continues behind them.
    return [firstRows(whole, 2), { ...whole, rows: 1000 }].map((input): Output => {
      const output = bench.output(1, 20);
      const scratch = bench.arena.allocate('scratch', columnSumScratchBytes(input));
      recordColumnSum(bench.recorder, { input, output, scratch });
      const expected = columnSum(x.subarray(0, input.rows * 20), 20);
      return { name: `${input.rows} rows`, view: output, expected, tolerance: sumTolerance(input.rows) };
    });
  });
});

it('grids fold into y beyond 65535 workgroups', () => {
  expect(foldGrid(65535)).toEqual([65535, 1, 1]);
  expect(foldGrid(65536)).toEqual([32768, 2, 1]);
  expect(foldGrid(0.2)).toEqual([1, 1, 1]);
  expect(flatGrid(65 * 64)).toEqual({ workgroups: [65, 1, 1], constants: { WORKGROUP_SIZE: 64, GRID_WIDTH: 4160 } });
  expect(() => flatGrid(2 ** 32)).toThrow(/2\^32/);
});

it('a folded grid reaches every element once', async () => {
  const bench = new Bench(device.gpu);
  const output = bench.arena.matrix('large', 4200, 4000);
  recordInitialize(bench.recorder, bench.arena, {
    output,
    initialization: { kind: 'constant', value: 1 },
    seed: 0,
    tensor: 0,
  });
  (await bench.recorder.build('large')).run();
  const values = await readMatrix(device.gpu, output);
  expect(values.findIndex((value) => value !== 1)).toBe(-1);
  bench.arena.destroy();
});
