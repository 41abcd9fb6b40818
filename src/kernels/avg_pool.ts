import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { flatGrid } from './grid.ts';
import { disjointBlocks, type PoolShape, poolConstants, windowsPerPixel } from './pool.ts';

/** Constants of the divisor, shaders/pool/window_pixels.wgsl. */
const divisorConstants = ({ padding: [, , bottom, right] }: PoolShape, countIncludePad: boolean) => ({
  PADDING_BOTTOM: bottom,
  PADDING_RIGHT: right,
  COUNT_INCLUDE_PAD: countIncludePad,
});

/**
 * output = the mean of every window, channel by channel. As in PyTorch and ONNX, a window is divided by the number of its
 * pixels that lie in the padded image or, without `countIncludePad`, in the image.
 *
 * @param args.input [batch * height * width (NHWC), channels]
 * @param args.output [batch * outHeight * outWidth, channels]; its stride may differ
 * @throws ShapeError
 */
export function recordAvgPool2dForward(
  recorder: Recorder,
  args: { shape: PoolShape; countIncludePad: boolean; input: Matrix; output: Matrix },
): void {
  const { shape, countIncludePad, input, output } = args;
  const kernel = 'avg_pool2d_forward';
  const constants = poolConstants(kernel, shape, 'input', input, 'output', output);
  const grid = flatGrid((output.rows * output.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'pool/avg_pool2d_forward.wgsl',
      constants: { ...constants, ...divisorConstants(shape, countIncludePad), ...grid.constants },
    },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups: grid.workgroups,
    flops: shape.kernelSize[0] * shape.kernelSize[1] * output.rows * output.columns,
  });
}

/**
 * gradInput = for every pixel, the sum of the gradients of the windows that have it, each divided as in the forward pass.
 *
 * @param args.gradOutput [batch * outHeight * outWidth, channels]
 * @param args.gradInput [batch * height * width (NHWC), channels]; its stride may differ
 * @throws ShapeError
 */
export function recordAvgPool2dBackward(
  recorder: Recorder,
  args: { shape: PoolShape; countIncludePad: boolean; gradOutput: Matrix; gradInput: Matrix },
): void {
  const { shape, countIncludePad, gradOutput, gradInput } = args;
  const kernel = 'avg_pool2d_backward';
  const constants = poolConstants(kernel, shape, 'gradInput', gradInput, 'gradOutput', gradOutput);
  const blocks = disjointBlocks(shape);
  const grid = flatGrid(((blocks?.BLOCKS ?? gradInput.rows) * gradInput.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: blocks ? 'pool/avg_pool2d_backward_disjoint.wgsl' : 'pool/avg_pool2d_backward.wgsl',
      constants: { ...constants, ...divisorConstants(shape, countIncludePad), ...grid.constants, ...blocks },
    },
    bindings: [
      ['read', gradOutput],
      ['write', gradInput],
    ],
    workgroups: grid.workgroups,
    flops: 2 * windowsPerPixel(shape) * gradInput.rows * gradInput.columns,
  });
}
