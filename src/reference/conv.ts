/** Float64 references of the convolution kernels. Images (NHWC) and weights (rows of taps) have no padding. */
import type { Activation } from '../kernels/activation.ts';
import { type ConvShape, convOutputSize, groupChannels, tapsOf } from '../kernels/conv_shape.ts';
import { edgesOf, pairOf } from '../kernels/geometry.ts';
import { activationForward } from './activation.ts';

/**
 * Calls `visit` for every multiplication of a convolution, with indices into x (or dx), W [oc, ky, kx, ic], ic being a
 * channel of the group of oc, and y (or dy). It skips taps outside the image.
 */
function forEachProduct(shape: ConvShape, visit: (x: number, w: number, y: number) => void): void {
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
              const first = from + Math.floor((oc * groups) / outChannels) * channels;
              for (let ic = 0; ic < channels; ic++) visit(first + ic, row + ic, to + oc);
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
  const y = new Float64Array(shape.batch * out.height * out.width * shape.outChannels);
  forEachProduct(shape, (atX, atW, atY) => {
    y[atY] += x[atX] * w[atW];
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
  const dx = new Float64Array(shape.batch * shape.height * shape.width * shape.inChannels);
  forEachProduct(shape, (atX, atW, atY) => {
    dx[atX] += dy[atY] * w[atW];
  });
  addBias(dx, bias);
  return activationForward(activation, dx);
}

/** dW, the gradient of {@link conv2d} with respect to its weights. */
export function conv2dWeightGradient(shape: ConvShape, x: ArrayLike<number>, dy: ArrayLike<number>): Float64Array {
  const dw = new Float64Array(shape.outChannels * tapsOf(shape) * groupChannels(shape));
  forEachProduct(shape, (atX, atW, atY) => {
    dw[atW] += dy[atY] * x[atX];
  });
  return dw;
}
