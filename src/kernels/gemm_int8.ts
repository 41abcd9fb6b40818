import { LimitError, ShapeError } from '../errors.ts';
import { ROW_ALIGNMENT } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes } from './check.ts';
import { MAX_WORKGROUPS } from './grid.ts';

/** Bytes, four to a u32, the first in the lowest byte; a row holds `columns` values in `stride` bytes, a multiple of 16. */
export interface ByteMatrix extends BufferView {
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
}

/** How the sums of a layer become the bytes that the next one reads. */
export interface Rescaling {
  /** 2^15 .. 2^16 - 1. */
  readonly multiplier: number;
  /** Bits, 1..15, by which a sum is shifted after its product with multiplier / 2^16. */
  readonly shift: number;
  /** Negative sums become 0. */
  readonly relu: boolean;
}

/** Invocations of a workgroup in x and y, each of 4 x 4 sums. */
const TILE = 8;

/**
 * y = x wᵀ + b, in integers: x, w and b of 8 bits in two's complement, sums of 32 bits, which are never larger than 2^30.
 * Reference: src/reference/integer_product.ts.
 *
 * @param args.x [rows, inputs], zeros up to its stride
 * @param args.w [outputs, inputs], with the stride of x; its pads may hold anything
 * @param args.b [1, outputs]
 * @param args.bias 256 times the number of sums that one unit of b is worth, a whole number below 2^24
 * @param args.y [rows, outputs]: with `rescaling` bytes with zeros up to the stride, otherwise i32
 * @throws ShapeError, LimitError where sums could be larger than 2^30, or a dispatch too large
 */
export function recordIntegerProduct(
  recorder: Recorder,
  args: {
    readonly label: string;
    readonly x: ByteMatrix;
    readonly w: ByteMatrix;
    readonly b: ByteMatrix;
    readonly bias: number;
    readonly y: ByteMatrix;
    readonly rescaling?: Rescaling;
  },
): void {
  const { label, x, w, b, bias, y, rescaling } = args;
  const kernel = 'gemm_int8';
  for (const [name, matrix] of Object.entries({ x, w, b, y })) {
    const { rows, columns, stride } = matrix;
    if (rows < 1 || columns < 1 || stride < columns || stride % ROW_ALIGNMENT !== 0) {
      throw new ShapeError(
        `${kernel}: ${name} is ${rows} x ${columns} (stride ${stride}); its stride must be a multiple of ${ROW_ALIGNMENT}`,
      );
    }
    requireBytes(kernel, name, matrix, rows * stride * (name === 'y' && !rescaling ? 4 : 1));
  }
  if (w.columns !== x.columns || w.stride !== x.stride || b.columns !== w.rows) {
    throw new ShapeError(
      `${kernel}: w is ${w.rows} x ${w.columns} (stride ${w.stride}), b has ${b.columns} columns, x ${x.columns} (stride ${x.stride})`,
    );
  }
  if (y.rows !== x.rows || y.columns !== w.rows) {
    throw new ShapeError(`${kernel}: y is ${y.rows} x ${y.columns}, the product is ${x.rows} x ${w.rows}`);
  }
  const largest = x.columns * 128 * 128 + (bias * 128) / 256;
  if (!Number.isInteger(bias) || bias < 0 || bias >= 2 ** 24 || largest > 2 ** 30) {
    throw new LimitError(`${kernel}: sums of ${x.columns} products and a bias of ${bias} / 256 units exceed 2^30`);
  }
  const workgroups = [Math.ceil(y.stride / 4 / TILE), Math.ceil(x.rows / 4 / TILE), 1] as const;
  if (workgroups[1] > MAX_WORKGROUPS) throw new LimitError(`${kernel}: ${x.rows} rows are too many for one dispatch`);
  recorder.record({
    label,
    shader: {
      path: 'gemm/gemm_int8.wgsl',
      constants: {
        M: x.rows,
        N: w.rows,
        STRIDE_K: x.stride,
        STRIDE_Y: y.stride,
        BIAS: bias,
        CODES: rescaling !== undefined,
        MULTIPLIER: rescaling?.multiplier ?? 0,
        SHIFT: rescaling?.shift ?? 1,
        RELU: rescaling?.relu ?? false,
      },
    },
    bindings: [
      ['read', x],
      ['read', w],
      ['read', b],
      ['write', y],
    ],
    workgroups,
    flops: 2 * x.rows * x.columns * w.rows,
  });
}
