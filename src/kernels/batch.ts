import { ConfigError, ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { ImageSizeInput } from '../image_size.ts';
import { requireBytes, requireImages, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';
import { streamWord } from './stream.ts';

/** Separates the random streams of corruption from all other uses of the hash ("corr" in ASCII). */
const CORRUPT_STREAM = 0x636f7272;

/** The same for erasing ("eras"). */
const ERASE_STREAM = 0x65726173;

/** Ratio of height to width of an erased rectangle: this to its inverse, as published. */
export const ERASE_RATIO = 0.3;

/** Rectangles that are drawn until one fits; with the published areas, 4 % of them do not. */
export const ERASE_ATTEMPTS = 32;

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

/** Random erasing of training images (Zhong et al., AAAI 2020, whose values are 0.5, 0.02 and 0.4). */
export interface Erasing {
  /** Probability that a rectangle of an image is erased, 0..1. */
  readonly probability: number;
  /** Smallest and largest area of the rectangle as shares of the image, 0 < least <= most < 1. */
  readonly least: number;
  readonly most: number;
}

/**
 * Erases a rectangle of every image of a batch with some probability: its values become uniform noise in 0..1. Rectangle and
 * noise depend on seed, the image's index in the data set and the step uniform's `draw`, not on the batch.
 *
 * @param args.images [rows, height x width x channels], changed in place
 * @param args.order image indices, u32, read at batch_offset + row as in {@link recordGatherBatch}
 * @param args.seed integer in 0..2^53-1
 * @throws ShapeError, ConfigError
 */
export function recordErase(
  recorder: Recorder,
  args: { images: Matrix; order: BufferView; seed: number } & Erasing & ImageSizeInput,
): void {
  const { images, order, seed, probability, least, most, height, width, channels = 1 } = args;
  const kernel = 'erase';
  if (!(probability >= 0 && probability <= 1)) throw new ConfigError(`probability: ${probability} is not in 0..1`);
  if (!(least > 0 && least <= most && most < 1)) {
    throw new ConfigError(`least, most: ${least} and ${most} are not areas with 0 < least <= most < 1`);
  }
  const shape = shapeConstants(kernel, 'images', images);
  requireImages(kernel, 'images', images, { height, width, channels });
  requireBytes(kernel, 'order', order, images.rows * 4);
  const { workgroups, constants } = flatGrid((images.rows * images.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'image/erase.wgsl',
      constants: {
        ...shape,
        ...constants,
        HEIGHT: height,
        WIDTH: width,
        CHANNELS: channels,
        PROBABILITY: f32(probability),
        LEAST: f32(least),
        MOST: f32(most),
        RATIO: f32(ERASE_RATIO),
        ATTEMPTS: ERASE_ATTEMPTS,
        STREAM: eraseStream(seed),
      },
    },
    bindings: [
      ['read', order],
      ['write', images],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/**
 * The stream word that {@link recordCorrupt} derives from a seed.
 * @throws ConfigError when the seed is not an integer in 0..2^53-1
 */
export const corruptionStream = (seed: number): number => streamWord(CORRUPT_STREAM, seed);

/** The same for {@link recordErase}. */
export const eraseStream = (seed: number): number => streamWord(ERASE_STREAM, seed);
