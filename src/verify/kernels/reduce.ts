/** Checks of shaders/reduce. */

import {
  columnSumScratchBytes,
  MAX_ABS_SCRATCH_BYTES,
  recordColumnSum,
  recordMaxAbs,
  recordRowMaxAbs,
  recordRowNorm,
} from '../../kernels/reduce.ts';
import { columnSum, maxAbs, rowNorm } from '../../reference/reduce.ts';
import { sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, numbers, ROWS, SIZE } from './trial.ts';

export const REDUCTIONS: readonly Check[] = [
  {
    kernel: 'column_sum',
    record(trial) {
      const [rows, columns] = [261, 7];
      const x = numbers(rows * columns, 1);
      const input = trial.matrix(rows, columns, x);
      const output = trial.output(1, columns);
      const scratch = trial.arena.allocate('checked', columnSumScratchBytes(input));
      recordColumnSum(trial.recorder, { input, output, scratch });
      trial.expectMatrix(output, columnSum(x, columns), sumTolerance(rows));
    },
  },
  {
    kernel: 'row_norm',
    record(trial) {
      const x = numbers(SIZE, 1);
      const output = trial.results(ROWS);
      recordRowNorm(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, x), output });
      trial.expect(output, rowNorm(x, COLUMNS), TOLERANCES.norm);
    },
  },
  {
    kernel: 'row_max_abs',
    record(trial) {
      const x = numbers(SIZE, 1);
      const output = trial.results(ROWS);
      recordRowMaxAbs(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, x), output });
      const rows = Array.from({ length: ROWS }, (_, row) => x.subarray(row * COLUMNS, (row + 1) * COLUMNS));
      trial.expect(
        output,
        rows.map((values) => Math.max(...values.map(Math.abs))),
        TOLERANCES.exact,
      );
    },
  },
  {
    kernel: 'max_abs',
    record(trial) {
      const x = numbers(SIZE, 1);
      const output = trial.results(2);
      const scratch = trial.arena.allocate('checked', MAX_ABS_SCRATCH_BYTES);
      recordMaxAbs(trial.recorder, { input: trial.matrix(ROWS, COLUMNS, x), scratch, output });
      trial.expect(output, maxAbs(x), TOLERANCES.exact);
    },
  },
];
