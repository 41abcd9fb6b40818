import { ShapeError } from '../errors.ts';
import { type Arena, type Matrix, roundUp } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { DispatchVariant } from '../gpu/dispatch.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { STRETCH } from '../memory/sparse_faults.ts';
import { ACTIVATION_CODE, type Activation } from './activation.ts';
import { requireBytes } from './check.ts';
import { flatGrid } from './grid.ts';
import type { Codes16, StoredTensor } from './stored.ts';
import { busyTiles, quadTiles, recordVariants, shapeKey, TILES, type TileName, tileGrid } from './tiles.ts';

/** `nt`: A Bᵀ (forward). `nn`: A B (input gradient). `tn`: Aᵀ B (weight gradient). */
export type Transposition = 'nt' | 'nn' | 'tn';

/** Kernel families: register tiles without barriers, or 64 x 64 blocks in workgroup memory. */
export const GEMM_VARIANTS = [
  'quad_16x32',
  'quad_32x16',
  'quad_32x32',
  'quad_16x16',
  '16x16',
  '8x8',
  'shared',
] as const satisfies readonly (TileName | 'shared')[];
export type GemmVariant = (typeof GEMM_VARIANTS)[number];

/** Operands of a product C = act(op(A) op(B) + bias), all in f32 unless B holds codes. */
export interface GemmArguments {
  readonly label: string;
  readonly transposition: Transposition;
  /** nt, nn: M x K; tn: K x M. */
  readonly a: Matrix;
  /**
   * nt: N x K; nn, tn: K x N. nn reads rows up to the next multiple of 4, which must hold finite numbers: parameters keep
   * zeros there (src/layers/parameters.ts).
   */
  readonly b: Matrix;
  /** For nt and nn: the decoder of B if it holds codes of 16 bits instead of f32. */
  readonly codes16?: Codes16;
  /** N values, added to every row of C. */
  readonly bias?: BufferView;
  /** M x N. */
  readonly c: Matrix;
  readonly activation?: Activation;
  /** Default: chosen by adapter and shape. */
  readonly variant?: GemmVariant;
  /** Number of slices of K, computed separately and added in order; default: enough to keep every core busy. */
  readonly splitK?: number;
  /** Several products of the same shape in one dispatch; default: one. */
  readonly batch?: GemmBatch;
}

/**
 * Several products of one shape with separate operands. The matrices A, B and C describe the first product; their views
 * cover all products. The results C are contiguous, and each has the same bits as a product recorded alone.
 */
export interface GemmBatch {
  readonly count: number;
  /** Distance in f32 from an operand of one product to that of the next, a multiple of 4; 0 if they share the operand. */
  readonly strideA: number;
  readonly strideB: number;
  readonly strideBias: number;
}

const ALONE: GemmBatch = { count: 1, strideA: 0, strideB: 0, strideBias: 0 };

/** M, N and K of a product. @throws ShapeError naming the shapes that disagree. */
function dimensions(label: string, t: Transposition, a: Matrix, b: Matrix, c: Matrix): [number, number, number] {
  const m = t === 'tn' ? a.columns : a.rows;
  const k = t === 'tn' ? a.rows : a.columns;
  const [n, kb] = t === 'nt' ? [b.rows, b.columns] : [b.columns, b.rows];
  const shape = (x: Matrix) => `${x.rows}x${x.columns}`;
  if (k !== kb || c.rows !== m || c.columns !== n) {
    throw new ShapeError(`${label}: gemm ${t} of ${shape(a)} and ${shape(b)} does not give ${shape(c)}`);
  }
  return [m, n, k];
}

/**
 * Records C = act(op(A) op(B) + bias), and the reduction of its slices where K is split. The choice of variant and slices
 * does not depend on the number of products in a batch.
 * @throws ShapeError when the shapes disagree, a view is too small for all products, or B of tn is given as codes
 */
export function recordGemm(recorder: Recorder, arena: Arena, args: GemmArguments): void {
  const { label, transposition, a, b, codes16, c, batch = ALONE } = args;
  const [m, n, k] = dimensions(label, transposition, a, b, c);
  if (codes16 && transposition === 'tn') throw new ShapeError(`${label}: codes are multiplied in nt and nn only`);
  checkBatch(args, batch, m);
  const splitK = args.splitK ?? pickSplitK(recorder.gpu, m, n, k);
  const kSlice = roundUp(Math.ceil(k / splitK), 16);
  const slices = Math.ceil(k / kSlice);
  const activation = ACTIVATION_CODE[args.activation ?? 'none'];
  const bias = args.bias ?? b;
  const target = slices > 1 ? arena.scratch(`split-K ${label}`, batch.count * slices * m * c.stride * 4) : c;
  const shape = {
    M: m,
    N: n,
    STRIDE_C: c.stride,
    SPLIT_K: slices,
    BIAS: args.bias !== undefined,
    ACTIVATION: activation,
  };
  const strides = {
    STRIDE_A: a.stride,
    STRIDE_B: b.stride,
    BATCH_A: batch.strideA / 4,
    BATCH_B: batch.strideB / 4,
    BATCH_BIAS: batch.strideBias / 4,
    ...(codes16 && { B_MAP: codes16.map }),
  };
  const bindings = [
    ['read', a],
    ['read', b],
    ['read', bias],
    ['write', target],
    ...(codes16 ? ([['read', codes16.faultTable]] as const) : []),
  ] as const;
  const operand = codes16 ? 'gemm/b_codes16.wgsl' : 'gemm/b_f32.wgsl';
  const range: Record<string, number> =
    transposition === 'tn' ? { K: k, K_SLICE: kSlice } : { K4: Math.ceil(k / 4), K4_SLICE: kSlice / 4 };
  const variantOf = (name: GemmVariant): DispatchVariant => {
    if (name === 'shared') {
      const majors = { A_K_MAJOR: transposition === 'tn', B_K_MAJOR: transposition !== 'nt' };
      return {
        name,
        shader: {
          path: 'gemm/gemm_shared.wgsl',
          constants: { ...shape, ...strides, K: k, K_SLICE: kSlice, ...majors },
          includes: { operand },
        },
        workgroups: [Math.ceil(n / 64), Math.ceil(m / 64), batch.count * slices],
      };
    }
    const { workgroups, constants } = tileGrid(TILES[name], m, n, 64);
    return {
      name,
      shader: {
        path: `gemm/gemm_${transposition}.wgsl`,
        constants: { ...shape, ...strides, ...range, ...constants },
        includes: { tile: `gemm/tile_${name}.wgsl`, ...(transposition !== 'tn' && { operand }) },
      },
      workgroups: [...workgroups, batch.count * slices],
    };
  };
  const names = args.variant ? [args.variant] : pickVariants(recorder.gpu, m, n);
  const flops = 2 * m * n * k * batch.count;
  const key = shapeKey(`gemm_${transposition}${codes16 ? ' codes16' : ''}`, m, n, k);
  recordVariants(recorder, key, names.map(variantOf), {
    label,
    bindings,
    flops,
  });
  if (slices > 1) recordSplitReduction(recorder, { label, shape, partial: target, bias, c, batch });
}

/** @throws ShapeError if an operand of a batch does not start on a vec4, or if the last one lies beyond the view */
function checkBatch({ label, a, b, codes16, bias, c }: GemmArguments, batch: GemmBatch, m: number): void {
  const { count, strideA, strideB, strideBias } = batch;
  const further = (name: string, view: BufferView, stride: number, first: number, bytes = 4) => {
    if (stride % 4 !== 0)
      throw new ShapeError(`${label}: the stride of ${name}, ${stride} f32, is not a multiple of 4`);
    requireBytes(label, `${name} of ${count} products`, view, ((count - 1) * stride + first) * bytes);
  };
  if (count === 1) return;
  further('a', a, strideA, a.rows * a.stride);
  further('b', b, strideB, b.rows * b.stride, codes16 ? 2 : 4);
  if (bias) further('bias', bias, strideBias, c.columns);
  further('c', c, m * c.stride, m * c.stride);
}

/** Constants of gemm/store.wgsl and gemm/reduce_split_k.wgsl: the shape of C, bias and activation. */
export interface StoreConstants {
  readonly M: number;
  readonly N: number;
  readonly STRIDE_C: number;
  readonly SPLIT_K: number;
  readonly BIAS: boolean;
  readonly ACTIVATION: number;
}

/** Adds the SPLIT_K slices of every product in order: C = act(sum of partial + bias). Without BIAS, `bias` is not read. */
export function recordSplitReduction(
  recorder: Recorder,
  args: {
    label: string;
    shape: StoreConstants;
    partial: BufferView;
    bias: BufferView;
    c: Matrix;
    batch?: GemmBatch;
  },
): void {
  const { label, shape, partial, bias, c, batch = ALONE } = args;
  const { workgroups, constants } = flatGrid((batch.count * shape.M * c.stride) / 4);
  const products = { BATCH: batch.count, BATCH_BIAS: batch.strideBias / 4 };
  recorder.record({
    label: `${label} reduce`,
    shader: { path: 'gemm/reduce_split_k.wgsl', constants: { ...shape, ...products, ...constants } },
    bindings: [
      ['read', partial],
      ['read', bias],
      ['write', c],
    ],
    workgroups,
  });
}

/**
 * Variants worth trying, the one expected to be fastest first: quad tiles where the adapter has quads, and the variant with
 * barriers on hardware only.
 */
function pickVariants(gpu: Gpu, m: number, n: number): GemmVariant[] {
  const slim = m <= 8 || n <= 8;
  if (gpu.quads) return [...quadTiles(m, n), ...(slim ? (['8x8'] as const) : [])];
  if (gpu.adapter.software) return slim ? ['8x8', '16x16'] : ['16x16', '8x8'];
  return m < 64 || n < 64 ? ['8x8', 'shared'] : ['shared', '8x8'];
}

/**
 * Number of slices of at least 256 k each that keeps the adapter busy. It depends on the shape and the kind of adapter but
 * not on the variant, so that the order of sums, and with it the bits of C, does not depend on the tile.
 */
function pickSplitK(gpu: Gpu, m: number, n: number, k: number): number {
  const tiles = Math.ceil(m / 16) * Math.ceil(n / 16);
  return Math.max(1, Math.min(Math.floor(busyTiles(gpu) / tiles), Math.floor(k / 256)));
}

/** Operands of a product whose weights are fetched from approximate memory inside the kernel. */
export interface ApproximateGemmArguments {
  readonly label: string;
  /** `nt`: C = act(A fetch(W)ᵀ + fetch(bias)). `nn`: C = A fetch(W). */
  readonly transposition: 'nt' | 'nn';
  readonly a: Matrix;
  readonly codes: BufferView;
  readonly faultTable: BufferView;
  readonly weight: StoredTensor;
  readonly bias?: StoredTensor;
  readonly c: Matrix;
  readonly activation?: Activation;
  /** True at granularity `inference`: every row of A reads the weights separately. */
  readonly perImage: boolean;
  /** Added to the step's pass index: 0 for a forward pass, 1 for the backward pass after it. */
  readonly passOffset: number;
}

/** Constants of a kernel that fetches: places of its tensors, the kind of fetch, bias and activation. */
function storedConstants({ a, weight, bias, c, activation, passOffset }: Omit<ApproximateGemmArguments, 'perImage'>) {
  return {
    STRIDE_A: a.stride,
    STRIDE_B: weight.stride,
    STRIDE_C: c.stride,
    BIAS: bias !== undefined,
    ACTIVATION: ACTIVATION_CODE[activation ?? 'none'],
    WEIGHT_MAP: weight.map,
    WEIGHT_ORIGIN: weight.origin,
    BIAS_MAP: bias?.map ?? 0,
    BIAS_ORIGIN: bias?.origin ?? 0,
    PASS_OFFSET: passOffset,
    ...weight.fetch.constants,
  };
}

/**
 * Records a product whose weights are fetched from approximate memory inside the kernel.
 * @throws ShapeError when the shapes disagree
 */
export function recordApproximateGemm(recorder: Recorder, args: ApproximateGemmArguments): void {
  const { label, transposition, a, weight, c } = args;
  const [m, n, k] = dimensions(label, transposition, a, { ...args.codes, ...weight }, c);
  const tile = { rows: args.perImage ? 1 : 16, columns: transposition === 'nt' ? 4 : 16, invocations: 1 };
  const { workgroups, constants } = tileGrid(tile, m, n, 64);
  recorder.record({
    label,
    shader: {
      path: `gemm/gemm_${transposition}_${args.perImage ? 'per_image' : 'approximate'}.wgsl`,
      constants: {
        M: m,
        N: n,
        K: k,
        K4: Math.ceil(k / 4),
        SPLIT_K: 1,
        ...storedConstants(args),
        ...constants,
      },
      includes: weight.fetch.includes,
    },
    bindings: [
      ['read', a],
      ['read', args.codes],
      ['read', args.faultTable],
      ['write', c],
      ['uniform', recorder.step],
    ],
    workgroups: [...workgroups, 1],
    flops: 2 * m * n * k,
  });
}

/**
 * Records a product at granularity `inference`, where every row of A (image) reads the weights separately and all
 * their cells fail with the same probability: first the product with the error-free weights, then for each image the changes
 * by its flips (shaders/memory/sparse_faults.wgsl). The bits of C do not depend on how images are split into batches.
 * @param args.errorFree the weights decoded without errors
 * @throws ShapeError when the shapes disagree
 */
export function recordPerImageGemm(
  recorder: Recorder,
  arena: Arena,
  args: Omit<ApproximateGemmArguments, 'perImage'> & { errorFree: Matrix },
): void {
  const { label, transposition, a, weight, c, errorFree } = args;
  const [m, n, k] = dimensions(label, transposition, a, { ...args.codes, ...weight }, c);
  const { software } = recorder.gpu.adapter;
  // For the same bits at every batch size: one family of tiles, and slices of K as for a single tile of rows.
  const alike = { variant: software ? undefined : '8x8', splitK: pickSplitK(recorder.gpu, 1, n, k) } as const;
  recordGemm(recorder, arena, { label, transposition, a, b: errorFree, c, ...alike });
  const stretches = Math.ceil(weight.stride / STRETCH);
  const columns = transposition === 'nt' ? n : stretches;
  const { workgroups, constants } = tileGrid({ rows: 1, columns: 1, invocations: 1 }, m, columns, 64);
  recorder.record({
    label: `${label} corrections`,
    shader: {
      path: `gemm/correct_${transposition}_per_image.wgsl`,
      constants: {
        M: m,
        N: weight.rows,
        K: weight.columns,
        STRETCHES: stretches,
        ...storedConstants(args),
        ...constants,
      },
      includes: weight.fetch.includes,
    },
    bindings: [
      ['read', a],
      ['read', args.codes],
      ['read', args.codes],
      ['read', args.faultTable],
      ['write', c],
      ['uniform', recorder.step],
    ],
    workgroups: [...workgroups, 1],
  });
}
