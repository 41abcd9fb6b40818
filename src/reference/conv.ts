/** Float64 references of the convolution kernels. Images (NHWC) and weights (rows of taps) have no padding. */
import type { Activation } from '../kernels/activation.ts';
import { type ConvShape, convOutputSize, groupChannels, tapsOf } from '../kernels/conv_shape.ts';
import { edgesOf, pairOf } from '../kernels/geometry.ts';
import { activationForward } from './activation.ts';

/**
 * Calls `visit` for every tap of every output pixel and channel of a convolution, with the indices of its first
 * multiplication into x (or dx) and W [oc, ky, kx, ic], ic being a channel of the group of oc, and the index into y (or dy).
 * The tap has as many multiplications as a group has channels. It skips taps outside the image.
 */
function forEachTap(shape: ConvShape, visit: (x: number, w: number, y: number) => void): void {
  const { batch, height, width, inChannels, outChannels, groups = 1 } = shape;
  const [kernels, strides, dilations] = [shape.kernelSize, shape.stride, shape.dilation ?? 1].map(pairOf);
  const { top, left } = edgesOf(shape.padding);
  const channels = groupChannels(shape);
  const out = convOutputSize(shape);
  for (let n = 0; n < batch; n++) {
    for (let oy = 0; oy < out.height; oy++) {
      for (let ox = 0; ox < out.width; ox++) {
        for (let ky = 0; ky < kernels[0]; ky++) {
          for (let kx = 0; kx < kernels[1]; kx++) {
            const y = oy * strides[0] + ky * dilations[0] - top;
            const x = ox * strides[1] + kx * dilations[1] - left;
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            const from = ((n * height + y) * width + x) * inChannels;
            const to = ((n * out.height + oy) * out.width + ox) * outChannels;
            for (let oc = 0; oc < outChannels; oc++) {
              const row = ((oc * kernels[0] + ky) * kernels[1] + kx) * channels;
              visit(from + Math.floor((oc * groups) / outChannels) * channels, row, to + oc);
            }
          }
        }
      }
    }
  }
}

function addBias(values: Float64Array, bias: ArrayLike<number> | undefined): void {
  if (bias) for (let i = 0; i < values.length; i++) values[i] += bias[i % bias.length];
}

/** y = act(conv(x, W) + bias). */
export function conv2d(
  shape: ConvShape,
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  bias?: ArrayLike<number>,
  activation: Activation = 'none',
): Float64Array {
  const out = convOutputSize(shape);
  const channels = groupChannels(shape);
  const y = new Float64Array(shape.batch * out.height * out.width * shape.outChannels);
  forEachTap(shape, (atX, atW, atY) => {
    let sum = y[atY];
    for (let i = 0; i < channels; i++) sum += x[atX + i] * w[atW + i];
    y[atY] = sum;
  });
  addBias(y, bias);
  return activationForward(activation, y);
}

/** dx = act(convᵀ(dy, W) + bias): the gradient of {@link conv2d}, or a transposed convolution. */
export function conv2dInputGradient(
  shape: ConvShape,
  dy: ArrayLike<number>,
  w: ArrayLike<number>,
  bias?: ArrayLike<number>,
  activation: Activation = 'none',
): Float64Array {
  const channels = groupChannels(shape);
  const dx = new Float64Array(shape.batch * shape.height * shape.width * shape.inChannels);
  forEachTap(shape, (atX, atW, atY) => {
    const factor = dy[atY];
    for (let i = 0; i < channels; i++) dx[atX + i] += factor * w[atW + i];
  });
  addBias(dx, bias);
  return activationForward(activation, dx);
}

/** dW, the gradient of {@link conv2d} with respect to its weights. */
export function conv2dWeightGradient(shape: ConvShape, x: ArrayLike<number>, dy: ArrayLike<number>): Float64Array {
  const channels = groupChannels(shape);
  const dw = new Float64Array(shape.outChannels * tapsOf(shape) * channels);
  forEachTap(shape, (atX, atW, atY) => {
    const factor = dy[atY];
    for (let i = 0; i < channels; i++) dw[atW + i] += factor * x[atX + i];
  });
  return dw;
}
