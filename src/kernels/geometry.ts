/** Sizes of windows over images, as PyTorch and ONNX give them: one number for both axes, or one an axis, or one an edge. */
import { ShapeError } from '../errors.ts';

/** One value for both axes, or [vertical, horizontal]. */
export type Pair = number | readonly [number, number];

/** Pixels added at the edges: the same everywhere, [vertical, horizontal], or [top, left, bottom, right] as in ONNX. */
export type Padding = number | readonly [number, number] | readonly [number, number, number, number];

/** The windows of a convolution or a pooling layer. */
export interface Windows {
  readonly kernelSize: Pair;
  readonly stride: Pair;
  readonly padding: Padding;
  /** Distance between neighbouring taps of a window, in pixels. Default 1. */
  readonly dilation?: Pair;
  /** True to count a last window that only partly fits. Default false. */
  readonly ceilMode?: boolean;
}

export interface Edges {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

export function pairOf(value: Pair): readonly [vertical: number, horizontal: number] {
  return typeof value === 'number' ? [value, value] : value;
}

export function edgesOf(padding: Padding): Edges {
  if (typeof padding === 'number') return { top: padding, left: padding, bottom: padding, right: padding };
  if (padding.length === 2) return { top: padding[0], left: padding[1], bottom: padding[0], right: padding[1] };
  const [top, left, bottom, right] = padding;
  return { top, left, bottom, right };
}

/** The value if both axes or all edges share it. */
export function squareOf(value: Pair | Padding): number | undefined {
  if (typeof value === 'number') return value;
  return value.every((each) => each === value[0]) ? value[0] : undefined;
}

/**
 * Height and width of the result of sliding windows over an image, floor((n + padding - dilation (kernelSize - 1) - 1) /
 * stride) + 1; with `ceilMode` ceil, but as in PyTorch no window starts beyond the image and its leading padding.
 * @param layer name, for the message
 * @throws ShapeError if a size is no positive integer, or no window fits
 */
export function windowedSize(
  layer: string,
  image: { readonly height: number; readonly width: number },
  { kernelSize, stride, padding, dilation = 1, ceilMode = false }: Windows,
): { height: number; width: number } {
  const [kernels, strides, dilations] = [pairOf(kernelSize), pairOf(stride), pairOf(dilation)];
  const { top, left, bottom, right } = edgesOf(padding);
  const text = `images of ${image.height} x ${image.width}, windows of ${kernels.join(' x ')}`;
  const whole = (low: number) => (n: number) => Number.isInteger(n) && n >= low;
  if (![...kernels, ...strides, ...dilations].every(whole(1)) || ![top, left, bottom, right].every(whole(0))) {
    throw new ShapeError(`${layer}: ${text}: kernelSize, stride and dilation are integers above 0, padding from 0 on`);
  }
  const size = (n: number, axis: 0 | 1, before: number, after: number) => {
    const room = n + before + after - dilations[axis] * (kernels[axis] - 1) - 1;
    if (room < 0) throw new ShapeError(`${layer}: ${text}: the windows are larger than the padded images`);
    if (!ceilMode) return Math.floor(room / strides[axis]) + 1;
    const count = Math.ceil(room / strides[axis]) + 1;
    return (count - 1) * strides[axis] >= n + before ? count - 1 : count;
  };
  return { height: size(image.height, 0, top, bottom), width: size(image.width, 1, left, right) };
}
