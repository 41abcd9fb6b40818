/** Float64 references of shaders/pool, over pixels (NHWC) of `channels` values without padding. */
import { type PoolShape, poolOutputSize } from '../kernels/pool.ts';

/** Result of max pooling, one element per output pixel and channel. */
export interface Pooled {
  /** The chosen values, before any activation. */
  readonly output: Float64Array;
  /** Index of the chosen value in its window, ky * kernelSize + kx. */
  readonly chosen: Uint32Array;
}

/** The row of an input pixel, or -1 if it lies outside the image. */
function inputRow(shape: PoolShape, image: number, oy: number, ox: number, place: number): number {
  const { height, width, kernelSize, stride, padding = 0 } = shape;
  const y = oy * stride - padding + Math.floor(place / kernelSize);
  const x = ox * stride - padding + (place % kernelSize);
  return y >= 0 && y < height && x >= 0 && x < width ? (image * height + y) * width + x : -1;
}

function forEachWindow(shape: PoolShape, visit: (image: number, oy: number, ox: number, row: number) => void): void {
  const { height, width } = poolOutputSize(shape);
  for (let row = 0; row < shape.batch * height * width; row++) {
    visit(Math.floor(row / (height * width)), Math.floor(row / width) % height, row % width, row);
  }
}

/** Max pooling; the first of equal values wins, and NaN wins over numbers. */
export function maxPool2d(shape: PoolShape, x: ArrayLike<number>, channels: number): Pooled {
  const { height, width } = poolOutputSize(shape);
  const output = new Float64Array(shape.batch * height * width * channels);
  const chosen = new Uint32Array(output.length);
  forEachWindow(shape, (image, oy, ox, row) => {
    for (let c = 0; c < channels; c++) {
      let best: number | undefined;
      for (let place = 0; place < shape.kernelSize ** 2; place++) {
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
