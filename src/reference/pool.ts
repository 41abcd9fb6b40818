/** Float64 references of shaders/pool, over pixels (NHWC) of `channels` values without padding. */
import type { PoolShape } from '../kernels/pool.ts';

/** Result of max pooling, one element per output pixel and channel. */
export interface Pooled {
  /** The chosen values, before any activation. */
  readonly output: Float64Array;
  /** Index of the chosen value in its window, ky * kernelSize[1] + kx. */
  readonly chosen: Uint32Array;
}

/** The row of an input pixel, or -1 if it lies outside the image. */
function inputRow(shape: PoolShape, image: number, oy: number, ox: number, place: number): number {
  const { height, width, kernelSize, stride, padding } = shape;
  const y = oy * stride[0] - padding[0] + Math.floor(place / kernelSize[1]);
  const x = ox * stride[1] - padding[1] + (place % kernelSize[1]);
  return y >= 0 && y < height && x >= 0 && x < width ? (image * height + y) * width + x : -1;
}

function forEachWindow(shape: PoolShape, visit: (image: number, oy: number, ox: number, row: number) => void): void {
  const { outHeight: height, outWidth: width } = shape;
  for (let row = 0; row < shape.batch * height * width; row++) {
    visit(Math.floor(row / (height * width)), Math.floor(row / width) % height, row % width, row);
  }
}

/** Max pooling; the first of equal values wins, and NaN wins over numbers. */
export function maxPool2d(shape: PoolShape, x: ArrayLike<number>, channels: number): Pooled {
  const output = new Float64Array(shape.batch * shape.outHeight * shape.outWidth * channels);
  const chosen = new Uint32Array(output.length);
  forEachWindow(shape, (image, oy, ox, row) => {
    for (let c = 0; c < channels; c++) {
      let best: number | undefined;
      for (let place = 0; place < shape.kernelSize[0] * shape.kernelSize[1]; place++) {
        const from = inputRow(shape, image, oy, ox, place);
        if (from < 0) continue;
        const value = x[from * channels + c];
        if (best !== undefined && !(value > best) && !Number.isNaN(value)) continue;
        best = value;
        output[row * channels + c] = value;
        chosen[row * channels + c] = place;
      }
    }
  });
  return { output, chosen };
}

/** Returns the gradient with respect to the input. @param chosen from {@link maxPool2d} */
export function maxPool2dBackward(
  shape: PoolShape,
  chosen: ArrayLike<number>,
  gradOutput: ArrayLike<number>,
  channels: number,
): Float64Array {
  const gradInput = new Float64Array(shape.batch * shape.height * shape.width * channels);
  forEachWindow(shape, (image, oy, ox, row) => {
    for (let c = 0; c < channels; c++) {
      const at = row * channels + c;
      gradInput[inputRow(shape, image, oy, ox, chosen[at]) * channels + c] += gradOutput[at];
    }
  });
  return gradInput;
}

/** Calls `visit` for every pixel of the image in every window, with the divisor of the window. */
function forEachMean(
  shape: PoolShape,
  countIncludePad: boolean,
  visit: (row: number, from: number, divisor: number) => void,
): void {
  const { kernelSize, stride, padding, height, width } = shape;
  const inside = (o: number, axis: 0 | 1, size: number) =>
    Math.min(o * stride[axis] + kernelSize[axis], padding[axis] + size + padding[axis + 2]) - o * stride[axis];
  forEachWindow(shape, (image, oy, ox, row) => {
    const places = Array.from({ length: kernelSize[0] * kernelSize[1] }, (_, place) => place);
    const pixels = places.map((place) => inputRow(shape, image, oy, ox, place)).filter((from) => from >= 0);
    const divisor = countIncludePad ? inside(oy, 0, height) * inside(ox, 1, width) : pixels.length;
    for (const from of pixels) visit(row, from, divisor);
  });
}

/**
 * Average pooling with PyTorch's divisor.
 * @param countIncludePad true to divide by the pixels of a window in the padded image, else by those in the image
 */
export function avgPool2d(
  shape: PoolShape,
  x: ArrayLike<number>,
  channels: number,
  countIncludePad: boolean,
): Float64Array {
  const output = new Float64Array(shape.batch * shape.outHeight * shape.outWidth * channels);
  forEachMean(shape, countIncludePad, (row, from, divisor) => {
    for (let c = 0; c < channels; c++) output[row * channels + c] += x[from * channels + c] / divisor;
  });
  return output;
}

/** Returns the gradient of {@link avgPool2d} with respect to the input. */
export function avgPool2dBackward(
  shape: PoolShape,
  gradOutput: ArrayLike<number>,
  channels: number,
  countIncludePad: boolean,
): Float64Array {
  const gradInput = new Float64Array(shape.batch * shape.height * shape.width * channels);
  forEachMean(shape, countIncludePad, (row, from, divisor) => {
    for (let c = 0; c < channels; c++) gradInput[from * channels + c] += gradOutput[row * channels + c] / divisor;
  });
  return gradInput;
}
