/**
 * Convolutions with square kernels, the same stride and padding on every side, and one group: tile kernels of an implicit
 * product of matrices (shaders/conv/conv2d_*), and kernels for images of one channel (shaders/conv/conv2d_*_one_channel).
 */
import type { Arena, Matrix } from '../gpu/arena.ts';
import type { ShaderConstant, ShaderRequest } from '../gpu/composer.ts';
import type { Gpu } from '../gpu/device.ts';
import type { DispatchVariant } from '../gpu/dispatch.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { ACTIVATION_CODE } from './activation.ts';
import {
  type ConvArguments,
  type ConvProduct,
  type ConvWeightGradient,
  checkGrid,
  convOutputSize,
  fetchConstants,
  flops,
  imagesOfGroup,
  normalisationOf,
  type SquareShape,
  withZeroRow,
  workgroupSize,
} from './conv_shape.ts';
import { recordSplitReduction, type StoreConstants } from './gemm.ts';
import { type FlatGrid, flatGrid } from './grid.ts';
import { busyTiles, isQuad, quadTiles, recordVariants, shapeKey, TILES, type TileName, tileGrid } from './tiles.ts';

/**
 * Records a convolution or, with `transposed`, its input gradient, after the checks of recordConv2d and
 * recordConv2dInputGradient (./conv.ts).
 * @throws ShapeError, LimitError
 */
export function recordTiledProduct(
  recorder: Recorder,
  args: ConvArguments & { shape: SquareShape },
  { transposed, gathered: [name, gathered], written }: ConvProduct,
): void {
  const { label, shape, weights, pass } = args;
  const { gpu } = recorder;
  const fused = weights.kind === 'fused';
  const forward = !transposed;
  const images = imagesOfGroup(shape, weights);
  const plan = (forward ? forwardPlan : inputGradientPlan)(gpu, shape);
  const { gridPixels } = plan;
  const groups = (shape.batch / images) * plan.classes;
  const normalisation = normalisationOf(args, written);
  const fixed = {
    ...plan.constants,
    ...kernelConstants(shape),
    N: written.columns,
    STRIDE_C: written.stride,
    BIAS: pass === 'forward' && weights.bias !== undefined,
    ACTIVATION: ACTIVATION_CODE[(pass === 'forward' && args.activation) || 'none'],
    IMAGES: images,
    IMAGES_FIRST: images > 1 && outsideShare(shape, forward) >= OUTSIDE_SHARE,
    STRIDE_A: gathered.stride,
    STRIDE_B: weights.weight.stride,
    ZERO_ROW: gathered.zeroRow ?? 0,
    ...normalisation.constants,
  };
  const request = (tile: TileName) => {
    const grid = tileGrid(TILES[tile], images * gridPixels, written.columns, workgroupSize(gpu));
    const rows = `${isQuad(tile) ? 'quad_' : ''}${TILES[tile].rows}`;
    const includes: ShaderRequest['includes'] = {
      normalisation: normalisation.file,
      ...(!(fused && forward) && { tile: `gemm/tile_${tile}.wgsl`, rows: `conv/rows_${rows}.wgsl` }),
    };
    return {
      name: tile,
      constants: { ...fixed, COLUMNS4: TILES[tile].columns / TILES[tile].invocations / 4, ...grid.constants },
      includes,
      workgroups: checkGrid(label, [...grid.workgroups, groups]),
    };
  };
  const operations = flops(shape) + (args.normalisation ? 3 * written.rows * written.columns : 0);
  const tiles = args.tile ? [args.tile] : pickTiles(gpu, images * gridPixels, written.columns, fused);
  const a = withZeroRow(label, name, gathered);
  if (weights.kind === 'plain') {
    const key = shapeKey(
      `${plan.shader} ${shape.kernelSize}/${shape.stride}`,
      images * gridPixels,
      gathered.columns,
      written.columns,
    );
    const tiled = tiles.map(request).map(({ name, workgroups, ...rest }) => {
      return { name, shader: { path: `conv/${plan.shader}.wgsl`, ...rest }, workgroups };
    });
    const oneChannel = (args.tile || !plan.oneChannel ? [] : [plan.oneChannel]).map(({ workgroups, constants }) => ({
      name: 'one_channel',
      shader: {
        path: `conv/${plan.shader}_one_channel.wgsl`,
        constants: { ...fixed, ...constants },
        includes: { normalisation: normalisation.file },
      },
      workgroups: checkGrid(label, workgroups),
    }));
    recordVariants(recorder, key, withOneChannel(gpu, oneChannel, tiled), {
      label,
      flops: operations,
      bindings: [
        ['read', a],
        ['read', weights.weight],
        ['read', weights.bias ?? weights.weight],
        ['write', written],
        ...normalisation.bindings,
      ],
    });
  } else {
    const { weight, codes, faultTable } = weights;
    const { constants, includes, workgroups } = request(forward ? '16x4' : tiles[0]);
    recorder.record({
      label,
      workgroups,
      flops: operations,
      shader: {
        path: `conv/${plan.shader}_approximate.wgsl`,
        constants: {
          ...constants,
          ...fetchConstants(weights, pass),
        },
        includes: { ...includes, ...weight.fetch.includes },
      },
      bindings: [
        ['read', a],
        ['read', codes],
        ['read', faultTable],
        ['write', written],
        ['uniform', recorder.step],
        ...normalisation.bindings,
      ],
    });
  }
}

/** The parameters in which the two directions that read weights differ. */
interface ProductPlan {
  readonly shader: string;
  /** Pixels per image of the grid that tiles run over. */
  readonly gridPixels: number;
  /** Number of grids per image, in workgroup z: classes of pixels that see the same taps. */
  readonly classes: number;
  readonly constants: Readonly<Record<string, number>>;
  /** Present if the shape has a one_channel kernel as a further variant. */
  readonly oneChannel?: OneChannelPlan;
}

function forwardPlan(gpu: Gpu, shape: SquareShape): ProductPlan {
  const { height, width } = convOutputSize(shape);
  return {
    shader: 'conv2d_forward',
    gridPixels: height * width,
    classes: 1,
    constants: {
      A_HEIGHT: shape.height,
      A_WIDTH: shape.width,
      C_HEIGHT: height,
      C_WIDTH: width,
      GRID_STEP: shape.stride,
      TARGET_STEP: 1,
    },
    oneChannel: isOneChannel(shape) ? forwardOfOneChannel(gpu, shape) : undefined,
  };
}

function inputGradientPlan(gpu: Gpu, shape: SquareShape): ProductPlan {
  const { height, width } = convOutputSize(shape);
  const classSize = (n: number) => Math.ceil(n / shape.stride);
  return {
    shader: 'conv2d_input_gradient',
    // Size of the largest class; other classes may have one row or one column of pixels less.
    gridPixels: classSize(shape.height) * classSize(shape.width),
    classes: shape.stride ** 2,
    constants: {
      A_HEIGHT: height,
      A_WIDTH: width,
      C_HEIGHT: shape.height,
      C_WIDTH: shape.width,
      GRID_STEP: 1,
      TARGET_STEP: shape.stride,
      STRIDE: shape.stride,
      DY_CHANNELS4: Math.ceil(shape.outChannels / 4),
    },
    oneChannel: gpu.quads && isOneChannel(shape) ? inputGradientOfOneChannel(gpu, shape) : undefined,
  };
}

/**
 * Records the weight gradient after the checks of recordConv2dWeightGradient (./conv.ts). Output lines are cut into slices,
 * which are summed separately and then added in order.
 * @throws ShapeError, LimitError
 */
export function recordTiledWeightGradient(
  recorder: Recorder,
  arena: Arena,
  args: ConvWeightGradient & { shape: SquareShape },
): void {
  const { label, shape, x, dy, dw } = args;
  const small = convOutputSize(shape);
  const { gpu } = recorder;
  const tiles = args.tile ? [args.tile] : pickGradientTiles(gpu, dw);
  const lines = shape.batch * small.height;
  const linesSlice = Math.ceil(lines / (args.slices ?? pickSlices(gpu, dw, lines, small.width)));
  const slices = Math.ceil(lines / linesSlice);
  const store: StoreConstants = {
    M: dw.rows,
    N: dw.columns,
    STRIDE_C: dw.stride,
    SPLIT_K: slices,
    BIAS: false,
    ACTIVATION: ACTIVATION_CODE.none,
  };
  const partial = slices > 1 ? arena.scratch(`split-K ${label}`, slices * dw.rows * dw.stride * 4) : dw;
  const constants = {
    ...store,
    ...kernelConstants(shape),
    IMAGES: shape.batch,
    OUT_HEIGHT: small.height,
    OUT_WIDTH: small.width,
    X_HEIGHT: shape.height,
    X_WIDTH: shape.width,
    STRIDE: shape.stride,
    STRIDE_A: dy.stride,
    STRIDE_B: x.stride,
    ZERO_ROW: x.zeroRow ?? 0,
    LINES_SLICE: linesSlice,
  };
  const tiled = tiles.map((name): DispatchVariant => {
    const grid = tileGrid(TILES[name], dw.rows, dw.columns, workgroupSize(gpu));
    return {
      name,
      shader: {
        path: 'conv/conv2d_weight_gradient.wgsl',
        constants: { ...constants, ...grid.constants },
        includes: { tile: `gemm/tile_${name}.wgsl` },
      },
      workgroups: checkGrid(label, [...grid.workgroups, slices]),
    };
  });
  const key = shapeKey(
    `conv2d_weight_gradient ${shape.kernelSize}/${shape.stride}`,
    lines * small.width,
    dw.rows,
    shape.inChannels,
  );
  // Few invocations: a software adapter has four lanes, and workgroups of four spread over all its cores.
  const oneChannelGrid = flatGrid(Math.ceil(dw.rows / CHANNELS_EACH) * slices, gpu.adapter.software ? 4 : 64);
  const oneChannel: DispatchVariant = {
    name: 'one_channel',
    shader: {
      path: 'conv/conv2d_weight_gradient_one_channel.wgsl',
      constants: { ...constants, ...oneChannelGrid.constants },
    },
    workgroups: oneChannelGrid.workgroups,
  };
  const variants = withOneChannel(gpu, isOneChannel(shape) && !args.tile ? [oneChannel] : [], tiled);
  recordVariants(recorder, key, variants, {
    label,
    flops: flops(shape),
    bindings: [
      ['read', dy],
      ['read', withZeroRow(label, 'x', x)],
      ['write', partial],
    ],
  });
  if (slices > 1) recordSplitReduction(recorder, { label, shape: store, partial, bias: x, c: dw });
}

/** Output channels, and adjacent output pixels, that an invocation of shaders/conv/one_channel.wgsl computes at a time. */
const CHANNELS_EACH = 8;
const PIXELS_EACH = 4;

/** True if the kernels called one_channel support the shape. */
function isOneChannel({ inChannels, kernelSize, stride }: SquareShape): boolean {
  return inChannels === 1 && kernelSize <= 4 && stride <= 2;
}

/** Grid of a one_channel kernel, and its constants that the tile kernels lack or set differently. */
type OneChannelPlan = Pick<FlatGrid, 'workgroups'> & { readonly constants: Readonly<Record<string, ShaderConstant>> };

function forwardOfOneChannel(gpu: Gpu, shape: SquareShape): OneChannelPlan {
  const { height, width } = convOutputSize(shape);
  const lines = shape.batch * height;
  const across = Math.ceil(shape.outChannels / CHANNELS_EACH) * Math.ceil(width / PIXELS_EACH);
  // Every invocation loads its weights. A software adapter runs few at a time: give it no more than keep its cores busy.
  const linesEach = gpu.adapter.software ? Math.ceil((across * lines) / (4 * busyTiles(gpu))) : 1;
  const { workgroups, constants } = flatGrid(across * Math.ceil(lines / linesEach), workgroupSize(gpu));
  const x = { X_HEIGHT: shape.height, X_WIDTH: shape.width, STRIDE: shape.stride };
  return { workgroups, constants: { ...x, LINES: linesEach, COLUMNS4: CHANNELS_EACH / 4, ...constants } };
}

function inputGradientOfOneChannel(gpu: Gpu, { batch, height, width, stride, padding }: SquareShape): OneChannelPlan {
  const blocks = (n: number) => Math.floor((n + (padding % stride) + 1) / 2);
  // A quad computes 16 blocks x their four pixels.
  const tile = { rows: 16, columns: 4, invocations: 4 };
  const { workgroups, constants } = tileGrid(tile, batch * blocks(height) * blocks(width), 1, workgroupSize(gpu));
  return {
    workgroups: [...workgroups, 1],
    constants: { GRID_STEP: 2 / stride, TARGET_STEP: 2, COLUMNS4: 1, ...constants },
  };
}

/** Variants, the one expected to be fastest first: one_channel has been measured only on a software adapter. */
function withOneChannel(gpu: Gpu, oneChannel: DispatchVariant[], tiled: DispatchVariant[]): DispatchVariant[] {
  return gpu.adapter.software ? [...oneChannel, ...tiled] : [...tiled, ...oneChannel];
}

const kernelConstants = (shape: SquareShape) => ({
  KERNEL: shape.kernelSize,
  PADDING: shape.padding,
  CHANNELS4: Math.ceil(shape.inChannels / 4),
});

/**
 * If at least this share of all taps lies outside the image, rows run over images first, so that whole tiles skip those
 * taps; otherwise neighbours in memory are neighbours in a tile, which is a little faster.
 */
const OUTSIDE_SHARE = 0.15;

/** The share of the taps of a kernel, in the forward pass or the input gradient, that lie outside the image. */
function outsideShare(shape: SquareShape, forward: boolean): number {
  const { kernelSize, stride, padding } = shape;
  const { height, width } = convOutputSize(shape);
  const inside = (large: number, small: number) => {
    let met = 0;
    let all = 0;
    for (let n = 0; n < (forward ? small : large); n++) {
      for (let k = 0; k < kernelSize; k++) {
        const other = forward ? n * stride + k - padding : (n + padding - k) / stride;
        if (!Number.isInteger(other)) continue;
        all++;
        if (other >= 0 && other < (forward ? large : small)) met++;
      }
    }
    return all > 0 ? met / all : 0;
  };
  return 1 - inside(shape.height, height) * inside(shape.width, width);
}

/**
 * Tiles worth trying, the one expected to be fastest first: as many columns as the channels fill, and quad tiles where the
 * adapter has quads and the kernel does not fetch blocks of weights.
 */
function pickTiles(gpu: Gpu, pixels: number, channels: number, fused: boolean): TileName[] {
  if (channels <= 4) return ['16x4'];
  const slim = channels <= 8 ? (['16x8'] as const) : [];
  if (fused) return channels <= 8 ? ['16x8'] : ['16x16'];
  if (gpu.quads) return [...quadTiles(pixels, channels), ...slim];
  return gpu.adapter.software ? [...slim, '16x16', '8x8'] : ['8x8', ...slim];
}

function pickGradientTiles(gpu: Gpu, { rows, columns }: Matrix): Exclude<TileName, '16x8' | '16x4'>[] {
  if (gpu.quads) return quadTiles(rows, columns);
  return gpu.adapter.software ? ['16x16', '8x8'] : ['8x8'];
}

/**
 * Number of slices of at least 128 output pixels each that keeps the adapter busy. It depends on the shape and the kind of
 * adapter but not on the tile, so that the order of sums does not depend on the tile.
 */
function pickSlices(gpu: Gpu, dw: Matrix, lines: number, width: number): number {
  const tiles = Math.ceil(dw.rows / 16) * Math.ceil(dw.columns / 16);
  const most = Math.floor(lines / Math.ceil(128 / width));
  return Math.max(1, Math.min(Math.floor(busyTiles(gpu) / tiles), most));
}
