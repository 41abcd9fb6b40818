import { type Matrix, roundUp } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** Largest number of rows for which one invocation sums a whole column. */
const SINGLE_PASS_ROWS = 256;

/** Number of partial results of max_abs: enough to keep an adapter busy, few enough for one invocation to combine. */
const MAX_ABS_PARTIALS = 1024;

/** Bytes of scratch that {@link recordMaxAbs} needs. */
export const MAX_ABS_SCRATCH_BYTES = MAX_ABS_PARTIALS * 8;

/** A tall matrix is summed in about sqrt(rows) chunks of about sqrt(rows) rows, and then over the chunks. */
function columnSumChunks(rows: number): { chunks: number; chunkRows: number } {
  if (rows <= SINGLE_PASS_ROWS) return { chunks: 1, chunkRows: rows };
  const chunkRows = Math.ceil(Math.sqrt(rows));
  return { chunks: Math.ceil(rows / chunkRows), chunkRows };
}

/** Bytes of scratch that {@link recordColumnSum} needs to sum a tall matrix in parallel; 0 if one pass suffices. */
export function columnSumScratchBytes(input: Pick<Matrix, 'rows' | 'stride'>): number {
  const { chunks } = columnSumChunks(input.rows);
  return chunks === 1 ? 0 : chunks * input.stride * 4;
}

/**
 * output[0, j] = sum over r of input[r, j], in a fixed order: the gradient of a bias.
 *
 * @param args.input [rows, columns]
 * @param args.output [1, columns] with the stride of input
 * @param args.scratch {@link columnSumScratchBytes} bytes; without it, few invocations sum a tall matrix, which is slow
 * @throws ShapeError
 */
export function recordColumnSum(
  recorder: Recorder,
  args: { input: Matrix; output: Matrix; scratch?: BufferView },
): void {
  const { input, output, scratch } = args;
  const kernel = 'column_sum';
  shapeConstants(kernel, 'input', input);
  requireSameShape(kernel, 'the sum of input', { ...input, rows: 1 }, 'output', output);
  const pass = (from: Matrix, to: Matrix, rowsPerChunk: number): void => {
    const { workgroups, constants } = flatGrid((to.rows * from.stride) / 4);
    recorder.record({
      label: kernel,
      shader: {
        path: 'reduce/column_sum.wgsl',
        constants: {
          ...constants,
          ROWS: from.rows,
          STRIDE: from.stride,
          CHUNKS: to.rows,
          CHUNK_ROWS: rowsPerChunk,
        },
      },
      bindings: [
        ['read', from],
        ['write', to],
      ],
      workgroups,
      flops: from.rows * from.columns,
    });
  };
  const { chunks, chunkRows } = columnSumChunks(input.rows);
  if (chunks === 1 || !scratch) {
    pass(input, output, input.rows);
    return;
  }
  const bytes = columnSumScratchBytes(input);
  requireBytes(kernel, 'scratch', scratch, bytes);
  const partial: Matrix = { ...input, ...scratch, size: bytes, rows: chunks };
  pass(input, partial, chunkRows);
  pass(partial, output, chunks);
}

/**
 * output[r] = sqrt(sum over j of input[r, j]^2).
 *
 * @param args.input [rows, columns], elements below 1e18 in absolute value, because larger squares overflow
 * @param args.output rows f32
 * @throws ShapeError
 */
export function recordRowNorm(recorder: Recorder, args: { input: Matrix; output: BufferView }): void {
  recordRows(recorder, 'row_norm', 2, args);
}

/**
 * output[r] = max over j of |input[r, j]|.
 *
 * @param args.input [rows, columns]
 * @param args.output rows f32
 * @throws ShapeError
 */
export function recordRowMaxAbs(recorder: Recorder, args: { input: Matrix; output: BufferView }): void {
  recordRows(recorder, 'row_max_abs', 1, args);
}

function recordRows(
  recorder: Recorder,
  kernel: string,
  flopsPerElement: number,
  args: { input: Matrix; output: BufferView },
): void {
  const { input, output } = args;
  const shape = shapeConstants(kernel, 'input', input);
  requireBytes(kernel, 'output', output, input.rows * 4);
  const { workgroups, constants } = flatGrid(input.rows);
  recorder.record({
    label: kernel,
    shader: { path: `reduce/${kernel}.wgsl`, constants: { ...shape, ...constants } },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
    flops: flopsPerElement * input.rows * input.columns,
  });
}

/** The first `count` f32 of a buffer as a matrix of one row, for {@link recordMaxAbs}. The view must hold whole vec4s. */
export function asRow(view: BufferView, count: number): Matrix {
  return { ...view, rows: 1, columns: count, stride: roundUp(count, 4) };
}

/**
 * output = (max |w|, max w) over a matrix without its pads. The exponent of a fixed-point format is chosen from the first
 * value; the published code uses the second. NaN elements may be ignored.
 *
 * @param args.input [rows, columns]; {@link asRow} for a flat region
 * @param args.scratch {@link MAX_ABS_SCRATCH_BYTES} bytes
 * @param args.output 2 f32
 * @throws ShapeError
 */
export function recordMaxAbs(
  recorder: Recorder,
  args: { input: Matrix; scratch: BufferView; output: BufferView },
): void {
  const { input, scratch, output } = args;
  const kernel = 'max_abs';
  const shape = shapeConstants(kernel, 'input', input);
  requireBytes(kernel, 'scratch', scratch, MAX_ABS_SCRATCH_BYTES);
  requireBytes(kernel, 'output', output, 8);
  const partials = Math.min(MAX_ABS_PARTIALS, (input.rows * input.stride) / 4);
  const { workgroups, constants } = flatGrid(partials);
  recorder.record({
    label: kernel,
    shader: { path: 'reduce/max_abs.wgsl', constants: { ...shape, ...constants, PARTIALS: partials } },
    bindings: [
      ['read', input],
      ['write', scratch],
    ],
    workgroups,
    flops: 2 * input.rows * input.columns,
  });
  recorder.record({
    label: 'max_abs_finish',
    shader: { path: 'reduce/max_abs_finish.wgsl', constants: { PARTIALS: partials } },
    bindings: [
      ['read', scratch],
      ['write', output],
    ],
    workgroups: [1, 1, 1],
    flops: 2 * partials,
  });
}
