import { ConfigError, ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { pcg4d } from '../memory/hash.ts';
import { requireBytes, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** Separates the random streams of corruption from all other uses of the hash ("corr" in ASCII). */
const CORRUPT_STREAM = 0x636f7272;

/** Number of u32 words that an image of `pixels` bytes takes in a packed data set. */
export function packedImageWords(pixels: number): number {
  return Math.ceil(pixels / 4);
}

/**
 * Packs 8-bit images for {@link recordGatherBatch}, so that each starts on a multiple of 4 bytes.
 *
 * @param images [count, pixels], 8-bit, without gaps
 * @param pixels bytes per image
 * @returns [count, 4 * packedImageWords(pixels)], the rest of each image zero
 * @throws ShapeError when `images` does not hold a whole number of images
 */
export function packImages(images: Uint8Array, pixels: number): Uint8Array<ArrayBuffer> {
  const count = images.length / pixels;
  if (!Number.isInteger(count)) {
    throw new ShapeError(`gather_batch: ${images.length} bytes are not a whole number of images of ${pixels} bytes`);
  }
  const stride = 4 * packedImageWords(pixels);
  const packed = new Uint8Array(count * stride);
  for (let i = 0; i < count; i++) packed.set(images.subarray(i * pixels, (i + 1) * pixels), i * stride);
  return packed;
}

/**
 * Copies one batch out of a data set on the device: row r is image order[batch_offset + r], divided by 255. The step
 * uniform's `batch_offset` is the position in the epoch; `order` must have at least batch_offset + rows entries.
 *
 * @param args.pixels all images, as returned by {@link packImages}
 * @param args.labels one u32 per image
 * @param args.order image indices, u32
 * @param args.images [rows, pixels], 0..1
 * @param args.targets labels of the rows, rows u32
 * @throws ShapeError
 */
export function recordGatherBatch(
  recorder: Recorder,
  args: { pixels: BufferView; labels: BufferView; order: BufferView; images: Matrix; targets: BufferView },
): void {
  const { pixels, labels, order, images, targets } = args;
  const kernel = 'gather_batch';
  const shape = shapeConstants(kernel, 'images', images);
  const words = packedImageWords(images.columns);
  requireBytes(kernel, 'pixels', pixels, words * 4);
  requireBytes(kernel, 'order', order, images.rows * 4);
  requireBytes(kernel, 'targets', targets, images.rows * 4);
  const { workgroups, constants } = flatGrid((images.rows * images.stride) / 4);
  recorder.record({
    label: kernel,
    shader: { path: 'image/gather_batch.wgsl', constants: { ...shape, ...constants, IMAGE_WORDS: words } },
    bindings: [
      ['read', pixels],
      ['read', labels],
      ['read', order],
      ['write', images],
      ['write', targets],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/**
 * Copies the rows of a table that belong to a batch: row r of the output is row order[batch_offset + r] of the table, as in
 * {@link recordGatherBatch}.
 *
 * @param args.table one row per image of the data set
 * @param args.output [rows, columns of the table], with the stride of the table
 * @throws ShapeError
 */
export function recordGatherRows(recorder: Recorder, args: { table: Matrix; order: BufferView; output: Matrix }): void {
  const { table, order, output } = args;
  const kernel = 'gather_rows';
  const { ROWS, STRIDE } = shapeConstants(kernel, 'output', output);
  requireSameShape(kernel, 'a batch of the table', { ...table, rows: output.rows }, 'output', output);
  requireBytes(kernel, 'order', order, output.rows * 4);
  const { workgroups, constants } = flatGrid((output.rows * output.stride) / 4);
  recorder.record({
    label: kernel,
    shader: { path: 'image/gather_rows.wgsl', constants: { ...constants, ROWS, STRIDE } },
    bindings: [
      ['read', table],
      ['read', order],
      ['write', output],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/**
 * output = input + deviation * normal noise, not clamped: the corrupted input of a denoising autoencoder. The noise
 * depends on seed, the image's index in the data set, the pixel and the step uniform's `draw`, not on the batch.
 *
 * @param args.input [rows, pixels]
 * @param args.order image indices, u32, read at batch_offset + row as in {@link recordGatherBatch}
 * @param args.output the same shape, another buffer
 * @param args.deviation standard deviation, in units of the input
 * @param args.seed integer in 0..2^53-1
 * @throws ShapeError, ConfigError
 */
export function recordCorrupt(
  recorder: Recorder,
  args: { input: Matrix; order: BufferView; output: Matrix; deviation: number; seed: number },
): void {
  const { input, order, output, deviation, seed } = args;
  const kernel = 'corrupt';
  const shape = shapeConstants(kernel, 'input', input);
  requireSameShape(kernel, 'input', input, 'output', output);
  requireBytes(kernel, 'order', order, input.rows * 4);
  const { workgroups, constants } = flatGrid((input.rows * input.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'image/corrupt.wgsl',
      constants: { ...shape, ...constants, DEVIATION: f32(deviation), STREAM: corruptionStream(seed) },
    },
    bindings: [
      ['read', input],
      ['read', order],
      ['write', output],
      ['uniform', recorder.step],
    ],
    workgroups,
    flops: 20 * input.rows * input.columns,
  });
}

/**
 * The stream word that {@link recordCorrupt} derives from a seed.
 * @throws ConfigError when the seed is not an integer in 0..2^53-1
 */
export function corruptionStream(seed: number): number {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ConfigError(`seed: ${seed} is not an integer in 0..2^53-1; give a whole number`);
  }
  return pcg4d(0, CORRUPT_STREAM, seed % 2 ** 32, Math.floor(seed / 2 ** 32))[0];
}
