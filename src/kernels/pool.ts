import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import {
  ACTIVATION_CODE,
  type Activated,
  type Activation,
  activationConstant,
  requireActivated,
} from './activation.ts';
import { requireBytes, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** The sizes of a batch of images and of the windows over them, in pixels. */
export interface PoolShape {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  /** Height and width of the pooled images: the numbers of windows. */
  readonly outHeight: number;
  readonly outWidth: number;
  readonly kernelSize: readonly [vertical: number, horizontal: number];
  /** Distance from one window to the next. */
  readonly stride: readonly [vertical: number, horizontal: number];
  /** Pixels added at each edge, fewer than a window has, so that every window has a pixel of the image. */
  readonly padding: readonly [top: number, left: number, bottom: number, right: number];
}

/** @throws ShapeError unless all sizes are in range and every window, also the last one, has a pixel of the image */
function requireWindows(kernel: string, shape: PoolShape): void {
  const { batch, height, width, outHeight, outWidth, kernelSize, stride, padding } = shape;
  const [top, left, bottom, right] = padding;
  const text =
    `${batch} images of ${height} x ${width}, ${outHeight} x ${outWidth} windows of ${kernelSize.join(' x ')}, ` +
    `stride ${stride.join(' x ')}, padding ${padding.join(', ')}`;
  const sizes = [batch, height, width, outHeight, outWidth, ...kernelSize, ...stride];
  if (!sizes.every((n) => Number.isInteger(n) && n > 0)) {
    throw new ShapeError(`${kernel}: ${text}; give positive integers`);
  }
  const inRange = (n: number, size: number) => Number.isInteger(n) && n >= 0 && n < size;
  if (
    ![top, bottom].every((n) => inRange(n, kernelSize[0])) ||
    ![left, right].every((n) => inRange(n, kernelSize[1]))
  ) {
    throw new ShapeError(`${kernel}: ${text}; padding must be an integer from 0 to below the size of a window`);
  }
  if ((outHeight - 1) * stride[0] >= height + top || (outWidth - 1) * stride[1] >= width + left) {
    throw new ShapeError(`${kernel}: ${text}; the last windows begin beyond the image`);
  }
}

/**
 * output = act(the maximum of every window), channel by channel; chosen = index ky * kernelSize[1] + kx of the maximum in
 * its window. As in PyTorch, the first of equal values wins, and NaN wins over numbers.
 *
 * @param args.input [batch * height * width (NHWC), channels]
 * @param args.output [batch * outHeight * outWidth, channels]; its stride may differ
 * @param args.chosen u32, as many as the output has f32 with pads (rows x stride), for {@link recordMaxPool2dBackward}
 * @param args.activation default none
 * @throws ShapeError
 */
export function recordMaxPool2dForward(
  recorder: Recorder,
  args: { shape: PoolShape; input: Matrix; output: Matrix; chosen: BufferView; activation?: Activation },
): void {
  const { shape, input, output, chosen, activation = 'none' } = args;
  const kernel = 'max_pool2d_forward';
  const constants = poolConstants(kernel, shape, 'input', input, 'output', output);
  requireBytes(kernel, 'chosen', chosen, output.rows * output.stride * 4);
  const grid = flatGrid((output.rows * output.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'pool/max_pool2d_forward.wgsl',
      constants: { ...constants, ...grid.constants, ACTIVATION: ACTIVATION_CODE[activation] },
    },
    bindings: [
      ['read', input],
      ['write', output],
      ['write', chosen],
    ],
    workgroups: grid.workgroups,
    flops: shape.kernelSize[0] * shape.kernelSize[1] * output.rows * output.columns,
  });
}

/**
 * gradInput = for every pixel, the sum of the gradients of the windows that chose it.
 *
 * @param args.chosen written by {@link recordMaxPool2dForward}
 * @param args.activated the activation of the forward pass and its output, where it had one
 * @param args.gradOutput gradient with respect to the output of the forward pass, with its shape and stride
 * @param args.gradInput [batch * height * width (NHWC), channels]
 * @throws ShapeError
 */
export function recordMaxPool2dBackward(
  recorder: Recorder,
  args: { shape: PoolShape; chosen: BufferView; activated?: Activated; gradOutput: Matrix; gradInput: Matrix },
): void {
  const { shape, chosen, activated, gradOutput, gradInput } = args;
  const kernel = 'max_pool2d_backward';
  const constants = {
    ...poolConstants(kernel, shape, 'gradInput', gradInput, 'gradOutput', gradOutput),
    ...activationConstant(activated),
  };
  requireBytes(kernel, 'chosen', chosen, gradOutput.rows * gradOutput.stride * 4);
  requireActivated(kernel, gradOutput, activated);
  const blocks = disjointBlocks(shape);
  const grid = flatGrid(((blocks?.BLOCKS ?? gradInput.rows) * gradInput.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: blocks ? 'pool/max_pool2d_backward_disjoint.wgsl' : 'pool/max_pool2d_backward.wgsl',
      constants: { ...constants, ...grid.constants, ...blocks },
    },
    bindings: [
      ['read', chosen],
      ['read', activated?.output ?? gradOutput],
      ['read', gradOutput],
      ['write', gradInput],
    ],
    workgroups: grid.workgroups,
    flops: windowsPerPixel(shape) * gradInput.rows * gradInput.columns,
  });
}

/**
 * Windows that do not overlap each have one block of stride[0] x stride[1] pixels, up to the edge: constants of the backward
 * kernels for such windows, undefined for windows that overlap.
 */
export function disjointBlocks({ batch, height, width, kernelSize, stride, padding }: PoolShape) {
  if (kernelSize[0] > stride[0] || kernelSize[1] > stride[1]) return undefined;
  const [blocksY, blocksX] = [
    Math.ceil((height + padding[0]) / stride[0]),
    Math.ceil((width + padding[1]) / stride[1]),
  ];
  return { BLOCKS: batch * blocksX * blocksY, BLOCKS_X: blocksX, BLOCKS_Y: blocksY };
}

/** The largest number of windows that have a pixel in common. */
export function windowsPerPixel({ kernelSize, stride }: PoolShape): number {
  return Math.ceil(kernelSize[0] / stride[0]) * Math.ceil(kernelSize[1] / stride[1]);
}

/**
 * Constants of both directions: `fine` has the pixels before pooling, `coarse` those after it.
 * @throws ShapeError if the shape is out of range or a matrix disagrees with it
 */
export function poolConstants(
  kernel: string,
  shape: PoolShape,
  fineName: string,
  fine: Matrix,
  coarseName: string,
  coarse: Matrix,
) {
  const { batch, height, width, outHeight, outWidth, kernelSize, stride, padding } = shape;
  requireWindows(kernel, shape);
  const before = shapeConstants(kernel, fineName, fine);
  const after = shapeConstants(kernel, coarseName, coarse);
  const require = (name: string, matrix: Matrix, size: { height: number; width: number }): void => {
    const rows = batch * size.height * size.width;
    if (matrix.rows === rows && matrix.columns === fine.columns) return;
    throw new ShapeError(
      `${kernel}: ${name} is ${matrix.rows} x ${matrix.columns} but ${batch} images of ${size.height} x ${size.width} ` +
        `are ${rows} x ${fine.columns}`,
    );
  };
  require(fineName, fine, { height, width });
  require(coarseName, coarse, { height: outHeight, width: outWidth });
  return {
    ...before,
    OUT_ROWS: after.ROWS,
    OUT_STRIDE: after.STRIDE,
    HEIGHT: height,
    WIDTH: width,
    OUT_HEIGHT: outHeight,
    OUT_WIDTH: outWidth,
    KERNEL_HEIGHT: kernelSize[0],
    KERNEL_WIDTH: kernelSize[1],
    POOL_STRIDE_Y: stride[0],
    POOL_STRIDE_X: stride[1],
    PADDING_TOP: padding[0],
    PADDING_LEFT: padding[1],
  };
}
