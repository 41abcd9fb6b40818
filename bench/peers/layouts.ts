/** Conversions between PyTorch's layouts (those of the cases) and the engines' layouts. */
import { ShapeError } from '../../src/errors.ts';
import { type Padding, type Pair, squareOf } from '../../src/kernels/geometry.ts';
import type { Tensor } from './cases.ts';

/** The tensor with its axes in another order: axis i of the result is axis `axes[i]` of `tensor`. */
export function transpose({ shape, values }: Tensor, axes: readonly number[]): Tensor {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
  const moved = axes.map((axis) => shape[axis]);
  const result = new Float32Array(values.length);
  const index = moved.map(() => 0);
  let from = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = values[from];
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      from += strides[axes[axis]];
      if (++index[axis] < moved[axis]) break;
      from -= strides[axes[axis]] * moved[axis];
      index[axis] = 0;
    }
  }
  return { shape: moved, values: result };
}

export const toNhwc = (tensor: Tensor): Tensor => transpose(tensor, [0, 2, 3, 1]);
export const toNchw = (tensor: Tensor): Tensor => transpose(tensor, [0, 3, 1, 2]);

/** Reorders the columns of a dense layer's weights from (channels, height, width) to (height, width, channels). */
export function pixelByPixel(weight: Tensor, image: { height: number; width: number; channels: number }): Tensor {
  const { height, width, channels } = image;
  const [rows] = weight.shape;
  const { values } = transpose({ shape: [rows, channels, height, width], values: weight.values }, [0, 2, 3, 1]);
  return { shape: weight.shape, values };
}

/**
 * The windows of a convolution layer as plain numbers: those of the compared networks are the same on both axes.
 * @throws ShapeError for other layers
 */
export function squareLayer(layer: { name: string; kernelSize: Pair; stride: Pair; padding: Padding }): {
  kernelSize: number;
  stride: number;
  padding: number;
} {
  const [kernelSize, stride, padding] = [layer.kernelSize, layer.stride, layer.padding].map(squareOf);
  if (kernelSize === undefined || stride === undefined || padding === undefined) {
    throw new ShapeError(`${layer.name}: only square convolutions are compared`);
  }
  return { kernelSize, stride, padding };
}
