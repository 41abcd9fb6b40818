import { ConfigError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { ImageSizeInput } from '../image_size.ts';
import { requireBytes, requireImages, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** The shader of a filter for gray images, or that for RGB. */
const shaderFor = (kernel: string, { channels = 1 }: ImageSizeInput) =>
  `image/${kernel}${channels === 3 ? '_rgb' : ''}.wgsl`;

/**
 * Non-local means (Buades, Coll, Morel, CVPR 2005): every pixel becomes the mean of the pixels around it, weighted by
 * exp(-d / strength^2), where d is the mean squared difference of the patches around the two pixels, over all channels. Beyond
 * the edges, edge pixels are repeated.
 *
 * @param args.input [images, height * width * channels]
 * @param args.output the same shape, another buffer
 * @param args.patchRadius pixels, 1..2
 * @param args.searchRadius pixels, 3..5
 * @param args.strength in pixel units, above 0; about the standard deviation of the noise
 * @throws ShapeError, ConfigError
 */
export function recordNonLocalMeans(
  recorder: Recorder,
  args: ImageSizeInput & { input: Matrix; output: Matrix; patchRadius: number; searchRadius: number; strength: number },
): void {
  const { input, output, height, width, channels = 1, patchRadius, searchRadius, strength } = args;
  const kernel = 'non_local_means';
  requireRange('patchRadius', patchRadius, 1, 2);
  requireRange('searchRadius', searchRadius, 3, 5);
  if (!(strength > 0)) throw new ConfigError(`strength: ${strength} must be above 0`);
  const shape = shapeConstants(kernel, 'input', input);
  requireImages(kernel, 'input', input, args);
  requireSameShape(kernel, 'input', input, 'output', output);
  const patch = (2 * patchRadius + 1) ** 2;
  const search = (2 * searchRadius + 1) ** 2;
  const { workgroups, constants } = flatGrid(input.rows * height * (channels === 1 ? Math.ceil(width / 4) : width));
  recorder.record({
    label: kernel,
    shader: {
      path: shaderFor(kernel, args),
      constants: {
        ...shape,
        ...constants,
        HEIGHT: height,
        WIDTH: width,
        PATCH_RADIUS: patchRadius,
        SEARCH_RADIUS: searchRadius,
        EXPONENT: f32(1 / (strength ** 2 * patch * channels)),
      },
    },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
    flops: input.rows * input.columns * search * (3 * patch + 5),
  });
}

/**
 * Unsharp mask: input + amount * (input - blurred input), clamped to 0..1, with a 3 x 3 binomial blur. Edges are
 * clamped.
 *
 * @param args.input [images, height * width * channels]
 * @param args.output the same shape, another buffer
 * @param args.amount 0 only clamps, 1 sharpens strongly
 * @throws ShapeError
 */
export function recordSharpen(
  recorder: Recorder,
  args: ImageSizeInput & { input: Matrix; output: Matrix; amount: number },
): void {
  const { input, output, height, width, amount } = args;
  const kernel = 'sharpen';
  const shape = shapeConstants(kernel, 'input', input);
  requireImages(kernel, 'input', input, args);
  requireSameShape(kernel, 'input', input, 'output', output);
  const { workgroups, constants } = flatGrid(input.rows * input.stride);
  recorder.record({
    label: kernel,
    shader: {
      path: shaderFor(kernel, args),
      constants: { ...shape, ...constants, HEIGHT: height, WIDTH: width, AMOUNT: f32(amount) },
    },
    bindings: [
      ['read', input],
      ['write', output],
    ],
    workgroups,
    flops: 18 * input.rows * input.columns,
  });
}

/**
 * Moves every image by its own random number of whole pixels; what moves in from outside is 0. The distances depend on the
 * step's `draw` and `pass_index`, and on the row.
 *
 * @param args.input [images, height * width * channels]
 * @param args.output the same shape
 * @param args.shift largest distance in each direction, in pixels, 1..64
 * @param args.back moves the other way, which is the adjoint
 * @throws ShapeError
 */
export function recordTranslate(
  recorder: Recorder,
  args: ImageSizeInput & { input: Matrix; output: Matrix; shift: number; back: boolean },
): void {
  const { input, output, width, channels = 1, shift, back } = args;
  const kernel = 'translate';
  const shape = shapeConstants(kernel, 'input', input);
  requireImages(kernel, 'input', input, args);
  requireSameShape(kernel, 'input', input, 'output', output);
  const { workgroups, constants } = flatGrid(input.rows * input.stride);
  recorder.record({
    label: kernel,
    shader: {
      path: 'image/translate.wgsl',
      constants: { ...shape, ...constants, WIDTH: width, CHANNELS: channels, SHIFT: shift, BACK: back },
    },
    bindings: [
      ['read', input],
      ['write', output],
      ['uniform', recorder.step],
    ],
    workgroups,
  });
}

/**
 * Adds the gradient of weight * (smoothed anisotropic total variation of an image, divided by the number of its values) to a
 * gradient. The channels of colour images are smoothed separately.
 *
 * @param args.input [images, height * width * channels]
 * @param args.gradient the same shape; read and written
 * @param args.epsilon smooths sqrt(d^2 + epsilon), above 0; with the default 1e-6, differences below 1e-3 count as flat
 * @throws ShapeError, ConfigError
 */
export function recordTotalVariation(
  recorder: Recorder,
  args: ImageSizeInput & { input: Matrix; gradient: Matrix; weight: number; epsilon?: number },
): void {
  const { input, gradient, height, width, channels = 1, weight, epsilon = 1e-6 } = args;
  const kernel = 'total_variation';
  if (!(Math.fround(epsilon) > 0)) throw new ConfigError(`epsilon: ${epsilon} must be above 0`);
  const shape = shapeConstants(kernel, 'input', input);
  requireImages(kernel, 'input', input, args);
  requireSameShape(kernel, 'input', input, 'gradient', gradient);
  const invocations = channels === 1 ? (input.rows * input.stride) / 4 : input.rows * height * width;
  const { workgroups, constants } = flatGrid(invocations);
  recorder.record({
    label: kernel,
    shader: {
      path: shaderFor(kernel, args),
      constants: {
        ...shape,
        ...constants,
        HEIGHT: height,
        WIDTH: width,
        WEIGHT: f32(weight),
        EPSILON: f32(epsilon),
      },
    },
    bindings: [
      ['read', input],
      ['write', gradient],
    ],
    workgroups,
    flops: 18 * input.rows * input.columns,
  });
}

function requireRange(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new ConfigError(`${name}: ${value} is not an integer in ${least}..${most}`);
  }
}

/**
 * Adds weight * total variation of every image to its cost: results[r].x += weight * TV(x[r]), where TV is the sum of the
 * smoothed differences divided by the number of values, 0 for a flat image. {@link recordTotalVariation} adds its gradient.
 *
 * @param args.input [images, height * width * channels]
 * @param args.results images x (cost, confidence)
 * @throws ShapeError, ConfigError
 */
export function recordTotalVariationValue(
  recorder: Recorder,
  args: ImageSizeInput & { input: Matrix; results: BufferView; weight: number; epsilon: number },
): void {
  const { input, results, height, width, weight, epsilon } = args;
  const kernel = 'total_variation_value';
  if (!(Math.fround(epsilon) > 0)) throw new ConfigError(`epsilon: ${epsilon} must be above 0`);
  const { ROWS, STRIDE } = shapeConstants(kernel, 'input', input);
  requireImages(kernel, 'input', input, args);
  requireBytes(kernel, 'results', results, input.rows * 8);
  recorder.record({
    label: kernel,
    shader: {
      path: shaderFor(kernel, args),
      constants: {
        ROWS,
        STRIDE,
        HEIGHT: height,
        WIDTH: width,
        WEIGHT: f32(weight),
        EPSILON: f32(epsilon),
        WORKGROUP_SIZE: 4,
      },
    },
    bindings: [
      ['read', input],
      ['write', results],
    ],
    workgroups: [Math.ceil(input.rows / 4), 1, 1],
  });
}
