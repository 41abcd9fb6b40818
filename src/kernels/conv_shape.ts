/** Shapes and operands of convolutions, which all kernels of shaders/conv share. */
import { LimitError, ShapeError } from '../errors.ts';
import { type Matrix, roundUp } from '../gpu/arena.ts';
import type { ShaderConstant } from '../gpu/composer.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Dispatch } from '../gpu/dispatch.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Activation } from './activation.ts';
import { requireBytes } from './check.ts';
import { edgesOf, type Padding, type Pair, pairOf, squareOf } from './geometry.ts';
import { type FlatGrid, MAX_WORKGROUPS } from './grid.ts';
import { BATCH_NORM_EPSILON, type BatchNormVectors, requireVectors, spreadOf } from './norm.ts';
import type { StoredTensor } from './stored.ts';
import type { TileName } from './tiles.ts';

/**
 * A convolution of a batch of images of height x width pixels. It also describes the transposed convolution that is its
 * input gradient: height, width and inChannels are then those of the result, the larger side, so that no output padding has
 * to be given.
 */
export interface ConvShape {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: Pair;
  readonly stride: Pair;
  /** Zero pixels added at the edges. */
  readonly padding: Padding;
  /** Distance of neighbouring taps in pixels. Default 1. */
  readonly dilation?: Pair;
  /**
   * Groups of channels that are convolved separately: output channel oc reads the input channels of group
   * floor(oc groups / outChannels). Divides both numbers of channels. Default 1.
   */
  readonly groups?: number;
}

type Windows = Pick<ConvShape, 'kernelSize' | 'stride' | 'padding' | 'dilation'>;

/** Height and width of the result in pixels: floor((n + padding - dilation (kernelSize - 1) - 1) / stride) + 1. */
export function convOutputSize(shape: Windows & { height: number; width: number }): { height: number; width: number } {
  const { top, left, bottom, right } = edgesOf(shape.padding);
  const [kernels, strides, dilations] = [shape.kernelSize, shape.stride, shape.dilation ?? 1].map(pairOf);
  const size = (n: number, axis: 0 | 1) =>
    Math.floor((n - dilations[axis] * (kernels[axis] - 1) - 1) / strides[axis]) + 1;
  return { height: size(shape.height + top + bottom, 0), width: size(shape.width + left + right, 1) };
}

/** Number of taps of a kernel. */
export function tapsOf({ kernelSize }: Pick<ConvShape, 'kernelSize'>): number {
  const [height, width] = pairOf(kernelSize);
  return height * width;
}

/** Number of input channels that an output channel reads. */
export function groupChannels({ inChannels, groups = 1 }: Pick<ConvShape, 'inChannels' | 'groups'>): number {
  return inChannels / groups;
}

/**
 * Number of columns per tap of a weight matrix: the channels of a group with pads up to a multiple of 4. Groups of one
 * channel have no pads, so that depthwise weights do not fill a memory with them, and 16 taps lie in one block of codes.
 */
export function tapColumns(shape: Pick<ConvShape, 'inChannels' | 'groups'>): number {
  const channels = groupChannels(shape);
  return (shape.groups ?? 1) > 1 && channels === 1 ? 1 : roundUp(channels, 4);
}

/**
 * Number of columns of a weight matrix, which has one row per output channel. The weight of tap (ky, kx) and channel ic of
 * the row's group is in column (ky kernelWidth + kx) {@link tapColumns} + ic; the columns of padding channels hold zeros.
 */
export function convWeightColumns(shape: Pick<ConvShape, 'inChannels' | 'kernelSize' | 'groups'>): number {
  return tapsOf(shape) * tapColumns(shape);
}

/** A convolution with square kernels, the same stride and padding on every side, no dilation and one group. */
export interface SquareShape extends ConvShape {
  readonly kernelSize: number;
  readonly stride: number;
  readonly padding: number;
}

/** The shape with plain numbers if it is square. */
export function squareShape(shape: ConvShape): SquareShape | undefined {
  const [kernelSize, stride, padding] = [shape.kernelSize, shape.stride, shape.padding].map(squareOf);
  if (kernelSize === undefined || stride === undefined || padding === undefined) return undefined;
  const spread = kernelSize > 1 && squareOf(shape.dilation ?? 1) !== 1;
  return spread || (shape.groups ?? 1) > 1 ? undefined : { ...shape, kernelSize, stride, padding };
}

/**
 * The source of the weights, outChannels x {@link convWeightColumns}, and of the bias: plain f32, or approximate memory
 * fetched inside the kernel. Rows up to the next multiple of 4 are read and must hold finite numbers.
 */
export type ConvWeights =
  | { readonly kind: 'plain'; readonly weight: Matrix; readonly bias?: BufferView }
  | {
      readonly kind: 'fused';
      readonly weight: StoredTensor;
      readonly bias?: StoredTensor;
      readonly codes: BufferView;
      readonly faultTable: BufferView;
      /** True at granularity `inference`: every image of the batch reads the weights separately. */
      readonly perImage: boolean;
    };

export interface ConvArguments {
  readonly label: string;
  readonly shape: ConvShape;
  readonly weights: ConvWeights;
  /**
   * `forward` applies bias, normalisation and activation. `backward` ignores bias and activation, and at granularity `pass`
   * it fetches the weights as the read that follows the forward pass.
   */
  readonly pass: 'forward' | 'backward';
  readonly activation?: Activation;
  /**
   * In the forward pass: batch normalisation with running statistics, between bias and activation. The
   * result has the same bits as recordBatchNormInference after the convolution.
   */
  readonly normalisation?: BatchNormVectors & { readonly epsilon?: number };
  /**
   * Tile of pixels x channels, for square shapes only; no quad tile where weights are fused. Default: chosen by adapter and
   * channels.
   */
  readonly tile?: TileName;
}

/** The images that a convolution or, with `transposed`, its input gradient reads at its taps, and those that it writes. */
export interface ConvProduct {
  readonly transposed: boolean;
  readonly gathered: readonly [name: string, matrix: Matrix];
  readonly written: Matrix;
}

/** The operands of a weight gradient; see recordConv2dWeightGradient (./conv.ts). */
export interface ConvWeightGradient {
  readonly label: string;
  readonly shape: ConvShape;
  readonly x: Matrix;
  readonly dy: Matrix;
  readonly dw: Matrix;
  /**
   * Number of slices of the output pixels, summed separately and then added in order; default: enough to keep every core
   * busy.
   */
  readonly slices?: number;
  /** Tile of output channels x columns, for square shapes only; default: chosen by adapter and channels. */
  readonly tile?: Exclude<TileName, '16x8' | '16x4'>;
}

/** Maximum number of invocations per workgroup of the kernels of convolutions. */
export const workgroupSize = (gpu: Gpu) => (gpu.adapter.software ? 16 : 64);

/** Twice the multiply-adds of the convolution, including those with padding; the same for all passes. */
export function flops(shape: ConvShape): number {
  const { height, width } = convOutputSize(shape);
  return 2 * shape.batch * height * width * shape.outChannels * tapsOf(shape) * groupChannels(shape);
}

/** Number of images whose pixels may share a tile, because they read the same weights. */
export function imagesOfGroup(shape: ConvShape, weights: ConvWeights): number {
  return weights.kind === 'fused' && weights.perImage ? 1 : shape.batch;
}

/** The constants, the <normalisation> and the bindings of the batch normalisation that follows a convolution, if any. */
export function normalisationOf(
  { label, weights, normalisation }: ConvArguments,
  written: Matrix,
): { constants: Record<string, ShaderConstant>; file: string; bindings: Dispatch['bindings'] } {
  if (!normalisation) return { constants: { NORMALISE: false }, file: 'conv/normalisation_none.wgsl', bindings: [] };
  const { gamma, beta, runningMean, runningVariance, epsilon = BATCH_NORM_EPSILON } = normalisation;
  const vectors = { gamma, beta, runningMean, runningVariance };
  requireVectors(label, written, vectors);
  return {
    constants: { NORMALISE: true, ...spreadOf(epsilon), FIRST_VECTOR: weights.kind === 'fused' ? 5 : 4 },
    file: 'conv/normalisation.wgsl',
    bindings: Object.values(vectors).map((vector) => ['read', vector] as const),
  };
}

/** The constants with which a convolution fetches its weights from approximate memory. */
export function fetchConstants(
  { weight, bias, perImage }: Extract<ConvWeights, { kind: 'fused' }>,
  pass: ConvArguments['pass'],
): Record<string, ShaderConstant> {
  return {
    PER_IMAGE: perImage,
    WEIGHT_MAP: weight.map,
    WEIGHT_ORIGIN: weight.origin,
    BIAS_MAP: bias?.map ?? 0,
    BIAS_ORIGIN: bias?.origin ?? 0,
    PASS_OFFSET: pass === 'forward' ? 0 : 1,
    ...weight.fetch.constants,
  };
}

/** @throws LimitError when a dimension is longer than WebGPU allows */
export function checkGrid(label: string, workgroups: FlatGrid['workgroups']): FlatGrid['workgroups'] {
  if (Math.max(...workgroups) > MAX_WORKGROUPS) {
    throw new LimitError(
      `${label}: needs ${workgroups.join(' x ')} workgroups, at most ${MAX_WORKGROUPS} per dimension; split the batch`,
    );
  }
  return workgroups;
}

/** The view extended by its row of zeros. @throws ShapeError when it has no such row */
export function withZeroRow(label: string, name: string, matrix: Matrix): BufferView {
  const { buffer, offset, zeroRow, rows, stride } = matrix;
  if (zeroRow === undefined) {
    throw new ShapeError(
      `${label}: ${name} has no row of zeros behind it; allocate it with Arena.image or Arena.matrix`,
    );
  }
  const size = (zeroRow + 1) * stride * 4;
  if (zeroRow < rows || offset + size > buffer.size) {
    throw new ShapeError(`${label}: ${name} has its row of zeros at ${zeroRow}, which is not behind its ${rows} rows`);
  }
  return { buffer, offset, size };
}

type Named = readonly [name: string, matrix: Matrix];

/** @throws ShapeError when the groups do not divide both numbers of channels */
export function checkGroups(
  label: string,
  { inChannels, outChannels, groups = 1 }: Pick<ConvShape, 'inChannels' | 'outChannels' | 'groups'>,
): void {
  if (inChannels % groups !== 0 || outChannels % groups !== 0) {
    throw new ShapeError(
      `${label}: ${groups} groups do not divide ${inChannels} and ${outChannels} channels; give a common divisor`,
    );
  }
}

const textOf = (value: Pair | Padding): string => (typeof value === 'number' ? `${value}` : `[${value.join(', ')}]`);

/**
 * Checks a shape and the images of both sides.
 * @throws ShapeError when a size is not a whole number, the result has no pixels, groups do not divide the channels, or a
 * side has other pixels or channels
 */
export function checkShape(label: string, shape: ConvShape, sides: { large: Named; small: Named }): void {
  const {
    batch,
    height,
    width,
    inChannels,
    outChannels,
    kernelSize,
    stride,
    padding,
    dilation = 1,
    groups = 1,
  } = shape;
  const small = convOutputSize(shape);
  const windows = [kernelSize, stride, dilation].flatMap(pairOf);
  const edges = Object.values(edgesOf(padding)).map((edge) => edge + 1);
  const counts = [batch, height, width, inChannels, outChannels, groups, ...windows, ...edges];
  if (!counts.every((n) => Number.isInteger(n) && n >= 1) || small.height < 1 || small.width < 1) {
    throw new ShapeError(
      `${label}: a ${pairOf(kernelSize).join(' x ')} kernel of ${inChannels} to ${outChannels} channels, stride ` +
        `${textOf(stride)}, padding ${textOf(padding)}${dilation === 1 ? '' : `, dilation ${textOf(dilation)}`}, ` +
        `does not fit ${batch} images of ${height} x ${width}`,
    );
  }
  checkGroups(label, shape);
  checkSide(label, sides.large, batch, height, width, inChannels);
  checkSide(label, sides.small, batch, small.height, small.width, outChannels);
}

function checkSide(
  label: string,
  [name, matrix]: Named,
  batch: number,
  height: number,
  width: number,
  channels: number,
): void {
  const { rows, columns, stride } = matrix;
  if (rows !== batch * height * width || columns !== channels || stride < columns || stride % 4 !== 0) {
    throw new ShapeError(
      `${label}: ${name} is ${rows} x ${columns} (stride ${stride}) but ${batch} images of ${height} x ${width} x ` +
        `${channels} are ${batch * height * width} x ${channels} with a stride that is a multiple of 4`,
    );
  }
  requireBytes(label, name, matrix, rows * stride * 4);
}

export function checkWeightMatrix(
  label: string,
  name: string,
  shape: ConvShape,
  weight: Pick<Matrix, 'rows' | 'columns' | 'stride'> & Partial<BufferView>,
): void {
  const columns = convWeightColumns(shape);
  if (weight.rows !== shape.outChannels || weight.columns !== columns || weight.stride % 16 !== 0) {
    const { inChannels, outChannels, kernelSize, groups = 1 } = shape;
    throw new ShapeError(
      `${label}: ${name} is ${weight.rows} x ${weight.columns} (stride ${weight.stride}) but ${inChannels} to ` +
        `${outChannels} channels of ${pairOf(kernelSize).join(' x ')} taps ${groups > 1 ? `in ${groups} groups ` : ''}` +
        `are ${outChannels} x ${columns} with a stride that is a multiple of 16`,
    );
  }
}

export function checkWeights({ label, shape, weights, pass }: ConvArguments, biases: number): void {
  checkWeightMatrix(label, 'weight', shape, weights.weight);
  if (weights.kind === 'plain') {
    const { weight, bias } = weights;
    requireBytes(label, 'weight', weight, weight.rows * weight.stride * 4);
    if (bias && pass === 'forward') requireBytes(label, 'bias', bias, biases * 4);
  } else if (weights.bias && pass === 'forward' && (weights.bias.rows !== 1 || weights.bias.columns !== biases)) {
    const { rows, columns } = weights.bias;
    throw new ShapeError(`${label}: bias is ${rows} x ${columns} but the result has ${biases} channels`);
  }
}
