/** References of the kernels that move values between images (NHWC without padding). */
import type { WindowCopy } from '../kernels/copy_window.ts';

/**
 * Copies channels of images into `output`, whose other channels keep their values.
 * @param input images with `inputChannels` channels
 * @param output images with `outputChannels` channels
 */
export function copyWindow(
  copy: WindowCopy,
  input: ArrayLike<number>,
  inputChannels: number,
  output: Float64Array,
  outputChannels: number,
): void {
  const { batch, from, to, top = 0, left = 0, fromChannel = 0, toChannel = 0, channels, fill = 0 } = copy;
  for (let row = 0; row < batch * to.height * to.width; row++) {
    const image = Math.floor(row / (to.height * to.width));
    const [y, x] = [(Math.floor(row / to.width) % to.height) + top, (row % to.width) + left];
    const inside = y >= 0 && y < from.height && x >= 0 && x < from.width;
    const source = (image * from.height + y) * from.width + x;
    for (let c = 0; c < channels; c++) {
      const value = inside ? input[source * inputChannels + fromChannel + c] : fill;
      output[row * outputChannels + toChannel + c] = value;
    }
  }
}

/** Images of another shape with the same values in the order channels, height, width. Sizes are those of one image. */
export function reshapeChannelsFirst(
  x: ArrayLike<number>,
  from: { readonly pixels: number; readonly channels: number },
  to: { readonly pixels: number; readonly channels: number },
): Float64Array {
  const size = from.pixels * from.channels;
  const y = new Float64Array(x.length);
  for (let j = 0; j < x.length; j++) {
    const [image, i] = [Math.floor(j / size), j % size];
    const source = (i % from.pixels) * from.channels + Math.floor(i / from.pixels);
    y[image * size + (i % to.pixels) * to.channels + Math.floor(i / to.pixels)] = x[image * size + source];
  }
  return y;
}
