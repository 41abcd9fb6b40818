/**
 * Convolutions without tile kernels: rectangular kernels and strides, asymmetric padding, dilation, and groups of channels.
 * Depthwise convolutions have kernels of their own (shaders/conv/conv2d_depthwise_*), because they multiply no matrices; all
 * others run in shaders/conv/conv2d_direct_*.
 */
import type { Arena } from '../gpu/arena.ts';
import type { ShaderConstant } from '../gpu/composer.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Dispatch } from '../gpu/dispatch.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { ACTIVATION_CODE } from './activation.ts';
import {
  type ConvArguments,
  type ConvProduct,
  type ConvShape,
  type ConvWeightGradient,
  checkGrid,
  convOutputSize,
  fetchConstants,
  flops,
  groupChannels,
  imagesOfGroup,
  normalisationOf,
  tapColumns,
  withZeroRow,
  workgroupSize,
} from './conv_shape.ts';
import { recordSplitReduction, type StoreConstants } from './gemm.ts';
import { edgesOf, pairOf } from './geometry.ts';
import { flatGrid } from './grid.ts';
import { busyTiles, TILES, tileGrid } from './tiles.ts';

/** Pixels of a line that an invocation of a depthwise product computes at a time, and the limits of its shape. */
const DEPTHWISE = { strip: 4, kernel: 5, stride: 2 } as const;

/** Invocations of a depthwise product that keep an adapter busy. On a software adapter more of them only cost time. */
const BUSY_INVOCATIONS = { hardware: 65_536, software: 1024 } as const;

/** Size of a block of the weight gradient: output channels x columns. */
const GRADIENT_TILE = { rows: 4, columns: 4, invocations: 1 } as const;

/** One axis of a convolution. */
interface Axis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  /** Pixels of padding before the first. */
  readonly padding: number;
}

function axesOf({ kernelSize, stride, padding, dilation = 1 }: ConvShape): readonly [vertical: Axis, horizontal: Axis] {
  const { top, left } = edgesOf(padding);
  const [kernels, strides, dilations] = [kernelSize, stride, dilation].map(pairOf);
  const axis = (i: 0 | 1, before: number): Axis => ({
    kernel: kernels[i],
    stride: strides[i],
    // A single tap has no neighbours.
    dilation: kernels[i] === 1 ? 1 : dilations[i],
    padding: before,
  });
  return [axis(0, top), axis(1, left)];
}

/** True if the depthwise kernels support the shape. */
function isDepthwise(shape: ConvShape): boolean {
  const { inChannels, outChannels, groups } = shape;
  return (
    groups === inChannels &&
    outChannels === inChannels &&
    axesOf(shape).every(
      ({ kernel, stride, dilation }) => kernel <= DEPTHWISE.kernel && stride <= DEPTHWISE.stride && dilation === 1,
    )
  );
}

/** True if four adjacent channels of either side lie in one group, and the channels of groups are whole vec4. */
function hasVectors(shape: ConvShape): boolean {
  const { outChannels, groups = 1 } = shape;
  return groups === 1 || (groupChannels(shape) % 4 === 0 && (outChannels / groups) % 4 === 0);
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));

/** The constants of shaders/conv/windows.wgsl. */
function windowConstants(shape: ConvShape, transposed: boolean): Record<string, ShaderConstant> {
  const constants = axesOf(shape).map(({ kernel, stride, dilation, padding }, i) => {
    const period = greatestCommonDivisor(stride, dilation);
    const [step, by] = [stride / period, dilation / period];
    let inverse = 0;
    while ((inverse * by) % step !== 1 % step) inverse++;
    const name = ['Y', 'X'][i];
    return {
      [`KERNEL_${name}`]: kernel,
      [`STRIDE_${name}`]: stride,
      [`DILATION_${name}`]: dilation,
      [`PADDING_${name}`]: padding,
      [`PERIOD_${name}`]: period,
      [`INVERSE_${name}`]: inverse,
    };
  });
  return { ...constants[0], ...constants[1], TRANSPOSED: transposed };
}

function groupConstants(shape: ConvShape): Record<string, ShaderConstant> {
  const { outChannels, groups = 1 } = shape;
  return {
    VECTORS: hasVectors(shape),
    GROUPS: groups,
    GROUP_IN: groupChannels(shape),
    GROUP_OUT: outChannels / groups,
    TAP_COLUMNS: tapColumns(shape),
  };
}

/**
 * Records a convolution or, with `transposed`, its input gradient, after the checks of recordConv2d and
 * recordConv2dInputGradient (./conv.ts).
 * @throws ShapeError, LimitError
 */
export function recordDirectProduct(
  recorder: Recorder,
  args: ConvArguments,
  { transposed, gathered: [name, gathered], written }: ConvProduct,
): void {
  const { label, shape, weights, pass } = args;
  const large = { height: shape.height, width: shape.width };
  const small = convOutputSize(shape);
  const [from, to] = transposed ? [small, large] : [large, small];
  const [stepY, stepX] = transposed ? pairOf(shape.stride) : [1, 1];
  // Size of the largest class of pixels of shaders/conv/windows.wgsl.
  const [height, width] = [Math.ceil(to.height / stepY), Math.ceil(to.width / stepX)];
  const classes = stepY * stepX;
  const depthwise = isDepthwise(shape);
  const images = depthwise ? shape.batch : imagesOfGroup(shape, weights);
  const normalisation = normalisationOf(args, written);
  const grid = () => {
    if (depthwise) {
      const across = Math.ceil(written.columns / 4) * Math.ceil(width / DEPTHWISE.strip) * images;
      const lines = linesEach(recorder.gpu, across * classes, height);
      const flat = flatGrid(across * Math.ceil(height / lines), workgroupSize(recorder.gpu));
      const [x, y] = flat.workgroups;
      return { workgroups: [x, y, classes] as const, constants: { ...flat.constants, LINES_EACH: lines } };
    }
    const tiles = tileGrid(TILES['16x4'], images * height * width, written.columns, workgroupSize(recorder.gpu));
    const groups = (shape.batch / images) * classes;
    return { workgroups: [...tiles.workgroups, groups] as const, constants: tiles.constants };
  };
  const { workgroups, constants } = grid();
  const direction = transposed ? 'input_gradient' : 'forward';
  const path = `conv/conv2d_${depthwise ? 'depthwise' : 'direct'}_${direction}`;
  const common = {
    ...windowConstants(shape, transposed),
    ...(!depthwise && groupConstants(shape)),
    ...constants,
    A_HEIGHT: from.height,
    A_WIDTH: from.width,
    C_HEIGHT: to.height,
    C_WIDTH: to.width,
    IMAGES: images,
    N: written.columns,
    STRIDE_A: gathered.stride,
    STRIDE_B: weights.weight.stride,
    STRIDE_C: written.stride,
    ZERO_ROW: gathered.zeroRow ?? 0,
    COLUMNS4: 1,
    BIAS: pass === 'forward' && weights.bias !== undefined,
    ACTIVATION: ACTIVATION_CODE[(pass === 'forward' && args.activation) || 'none'],
    ...normalisation.constants,
  };
  const a = ['read', withZeroRow(label, name, gathered)] as const;
  const dispatch: Pick<Dispatch, 'shader' | 'bindings'> =
    weights.kind === 'plain'
      ? {
          shader: { path: `${path}.wgsl`, constants: common, includes: { normalisation: normalisation.file } },
          bindings: [
            a,
            ['read', weights.weight],
            ['read', weights.bias ?? weights.weight],
            ['write', written],
            ...normalisation.bindings,
          ],
        }
      : {
          shader: {
            path: `${path}_approximate.wgsl`,
            constants: { ...common, ...fetchConstants(weights, pass) },
            includes: { normalisation: normalisation.file, ...weights.weight.fetch.includes },
          },
          bindings: [
            a,
            ['read', weights.codes],
            ['read', weights.faultTable],
            ['write', written],
            ['uniform', recorder.step],
            ...normalisation.bindings,
          ],
        };
  const operations = flops(shape) + (args.normalisation ? 3 * written.rows * written.columns : 0);
  recorder.record({ label, ...dispatch, workgroups: checkGrid(label, workgroups), flops: operations });
}

/**
 * Records the weight gradient after the checks of recordConv2dWeightGradient (./conv.ts). Output lines are cut into slices,
 * which are summed separately and then added in order.
 * @throws ShapeError, LimitError
 */
export function recordDirectWeightGradient(recorder: Recorder, arena: Arena, args: ConvWeightGradient): void {
  const { label, shape, x, dy, dw } = args;
  const { gpu } = recorder;
  const small = convOutputSize(shape);
  const depthwise = isDepthwise(shape);
  const lines = shape.batch * small.height;
  // Invocations in a slice.
  const blocks = depthwise ? Math.ceil(dw.rows / 4) : Math.ceil(dw.rows / 4) * Math.ceil(dw.stride / 4);
  const linesSlice = Math.ceil(lines / (args.slices ?? pickSlices(gpu, blocks, lines, small.width)));
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
  const common = {
    ...store,
    ...windowConstants(shape, false),
    IMAGES: shape.batch,
    LINES_SLICE: linesSlice,
    ZERO_ROW: x.zeroRow ?? 0,
  };
  const images = ['read', withZeroRow(label, 'x', x)] as const;
  const gradients = ['read', dy] as const;
  if (depthwise) {
    // Few invocations: a software adapter has four lanes, and workgroups of four spread over all its cores.
    const { workgroups, constants } = flatGrid(blocks * slices, gpu.adapter.software ? 4 : 64);
    recorder.record({
      label,
      workgroups,
      flops: flops(shape),
      shader: {
        path: 'conv/conv2d_depthwise_weight_gradient.wgsl',
        constants: {
          ...common,
          ...constants,
          A_HEIGHT: shape.height,
          A_WIDTH: shape.width,
          C_HEIGHT: small.height,
          C_WIDTH: small.width,
          STRIDE_A: x.stride,
          STRIDE_DY: dy.stride,
        },
      },
      bindings: [images, gradients, ['write', partial]],
    });
  } else {
    const { workgroups, constants } = tileGrid(GRADIENT_TILE, dw.rows, dw.stride, workgroupSize(gpu));
    recorder.record({
      label,
      workgroups: checkGrid(label, [...workgroups, slices]),
      flops: flops(shape),
      shader: {
        path: 'conv/conv2d_direct_weight_gradient.wgsl',
        constants: {
          ...common,
          ...constants,
          ...groupConstants(shape),
          X_HEIGHT: shape.height,
          X_WIDTH: shape.width,
          OUT_HEIGHT: small.height,
          OUT_WIDTH: small.width,
          STRIDE_A: dy.stride,
          STRIDE_B: x.stride,
        },
      },
      bindings: [gradients, images, ['write', partial]],
    });
  }
  if (slices > 1) recordSplitReduction(recorder, { label, shape: store, partial, bias: x, c: dw });
}

/**
 * Number of lines that an invocation of a depthwise product computes: it reads a few lines more than it writes, so as many
 * as leave enough invocations to keep the adapter busy.
 * @param across invocations for one line each
 */
function linesEach(gpu: Gpu, across: number, lines: number): number {
  const parts = Math.ceil(BUSY_INVOCATIONS[gpu.adapter.software ? 'software' : 'hardware'] / across);
  return Math.ceil(lines / Math.min(parts, Math.ceil(lines / 4)));
}

/** Number of slices of at least 128 output pixels each that keeps the adapter busy with this many invocations per slice. */
function pickSlices(gpu: Gpu, invocations: number, lines: number, width: number): number {
  const most = Math.floor(lines / Math.ceil(128 / width));
  return Math.max(1, Math.min(Math.floor((4 * busyTiles(gpu)) / invocations), most));
}
