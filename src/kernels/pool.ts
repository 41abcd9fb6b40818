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

/** The sizes of a batch of images and of the square windows over them, in pixels. */
export interface PoolShape {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly kernelSize: number;
  /** Distance from one window to the next; PyTorch's default is kernelSize. */
  readonly stride: number;
  /** Pixels by which windows may extend beyond each edge, at most half of kernelSize. Default 0. */
  readonly padding?: number;
}

/**
 * Height and width of the pooled images: floor((size + 2 padding - kernelSize) / stride) + 1.
 * @throws ShapeError when a size is not a positive integer, padding is out of range or a window is larger than an image
 */
export function poolOutputSize(shape: PoolShape): { height: number; width: number } {
  const { batch, height, width, kernelSize, stride, padding = 0 } = shape;
  const text = `images of ${height} x ${width}, windows of ${kernelSize}, stride ${stride}, padding ${padding}`;
  if (![batch, height, width, kernelSize, stride].every((n) => Number.isInteger(n) && n > 0)) {
    throw new ShapeError(`max_pool2d: batch ${batch}, ${text}; give positive integers`);
  }
  if (!Number.isInteger(padding) || padding < 0 || padding > kernelSize / 2) {
    throw new ShapeError(`max_pool2d: ${text}; padding must be an integer from 0 to half the window`);
  }
  const size = (n: number) => Math.floor((n + 2 * padding - kernelSize) / stride) + 1;
  const output = { height: size(height), width: size(width) };
  if (output.height < 1 || output.width < 1) throw new ShapeError(`max_pool2d: ${text}; the windows are too large`);
  return output;
}

/**
 * output = act(the maximum of every window), channel by channel; chosen = index ky * kernelSize + kx of the maximum in its
 * window. As in PyTorch, the first of equal values wins, and NaN wins over numbers.
 *
 * @param args.input [batch * height * width (NHWC), channels]
 * @param args.output [batch * output height * output width, channels], see {@link poolOutputSize}; its stride may differ
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
  const constants = poolConstants(kernel, shape, 'input', input, 'output', output, chosen);
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
    flops: shape.kernelSize ** 2 * output.rows * output.columns,
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
    ...poolConstants(kernel, shape, 'gradInput', gradInput, 'gradOutput', gradOutput, chosen),
    ...activationConstant(activated),
  };
  requireActivated(kernel, gradOutput, activated);
  const { batch, height, width, kernelSize, stride, padding = 0 } = shape;
  // Windows that do not overlap each have one block of stride x stride pixels, up to the edge.
  const [blocksX, blocksY] = [Math.ceil((width + padding) / stride), Math.ceil((height + padding) / stride)];
  const blocks = kernelSize <= stride ? batch * blocksX * blocksY : 0;
  const grid = flatGrid(((blocks || gradInput.rows) * gradInput.stride) / 4);
  recorder.record({
    label: kernel,
    shader: blocks
      ? {
          path: 'pool/max_pool2d_backward_disjoint.wgsl',
          constants: { ...constants, ...grid.constants, BLOCKS: blocks, BLOCKS_X: blocksX, BLOCKS_Y: blocksY },
        }
      : { path: 'pool/max_pool2d_backward.wgsl', constants: { ...constants, ...grid.constants } },
    bindings: [
      ['read', chosen],
      ['read', activated?.output ?? gradOutput],
      ['read', gradOutput],
      ['write', gradInput],
    ],
    workgroups: grid.workgroups,
    flops: Math.ceil(kernelSize / stride) ** 2 * gradInput.rows * gradInput.columns,
  });
}

/** Constants of both directions: `fine` has the pixels before pooling, `coarse` those after it. */
function poolConstants(
  kernel: string,
  shape: PoolShape,
  fineName: string,
  fine: Matrix,
  coarseName: string,
  coarse: Matrix,
  chosen: BufferView,
) {
  const { batch, height, width, kernelSize, stride, padding = 0 } = shape;
  const pooled = poolOutputSize(shape);
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
  require(coarseName, coarse, pooled);
  requireBytes(kernel, 'chosen', chosen, coarse.rows * coarse.stride * 4);
  return {
    ...before,
    OUT_ROWS: after.ROWS,
    OUT_STRIDE: after.STRIDE,
    HEIGHT: height,
    WIDTH: width,
    OUT_HEIGHT: pooled.height,
    OUT_WIDTH: pooled.width,
    KERNEL_SIZE: kernelSize,
    POOL_STRIDE: stride,
    PADDING: padding,
  };
}
