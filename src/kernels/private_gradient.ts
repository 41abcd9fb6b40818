/** Launchers of the gradient of DP-SGD (Abadi et al., CCS 2016, algorithm 1): clipped sums of single examples, and their noise. */
import { ConfigError } from '../errors.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes } from './check.ts';
import { flatGrid } from './grid.ts';
import { streamWord } from './stream.ts';

/** Separates the noise on gradients from all other uses of the hash ("dpsg" in ASCII). */
const NOISE_STREAM = 0x64707367;

/** Number of partial sums of a squared norm: enough to keep an adapter busy, few enough for one invocation to add. */
const PARTIALS = 1024;

/** Bytes of the partial sums that {@link recordAddClipped} needs. */
export const NORM_SCRATCH_BYTES = PARTIALS * 4;

/**
 * sum += gradient min(1, limit / |gradient|), where |gradient| is the L2 norm over all elements: adds the clipped gradient of
 * one example.
 * @param args.count number of f32, a multiple of 4; pads must be zero
 * @param args.limit above 0
 * @param args.partial scratch of {@link NORM_SCRATCH_BYTES}
 * @param args.factor one f32, another buffer: the factor of the gradient
 * @throws ShapeError, ConfigError
 */
export function recordAddClipped(
  recorder: Recorder,
  args: {
    count: number;
    gradient: BufferView;
    limit: number;
    sum: BufferView;
    partial: BufferView;
    factor: BufferView;
  },
): void {
  const { count, gradient, limit, sum, partial, factor } = args;
  const kernel = 'add_clipped';
  if (!(limit > 0)) throw new ConfigError(`clip: ${limit} is not a number above 0`);
  requireBytes(kernel, 'gradient', gradient, count * 4);
  requireBytes(kernel, 'sum', sum, count * 4);
  requireBytes(kernel, 'partial', partial, NORM_SCRATCH_BYTES);
  requireBytes(kernel, 'factor', factor, 4);
  const VECTORS = Math.ceil(count / 4);
  const partials = flatGrid(PARTIALS);
  recorder.record({
    label: 'sum_squares',
    shader: { path: 'optimizer/sum_squares.wgsl', constants: { ...partials.constants, VECTORS, PARTIALS } },
    bindings: [
      ['read', gradient],
      ['write', partial],
    ],
    workgroups: partials.workgroups,
    flops: 2 * count,
  });
  recorder.record({
    label: 'clip_factor',
    shader: { path: 'optimizer/clip_factor.wgsl', constants: { PARTIALS, LIMIT: f32(limit) } },
    bindings: [
      ['read', partial],
      ['write', factor],
    ],
    workgroups: [1, 1, 1],
    flops: PARTIALS,
  });
  const { workgroups, constants } = flatGrid(VECTORS);
  recorder.record({
    label: kernel,
    shader: { path: 'optimizer/add_clipped.wgsl', constants: { ...constants, VECTORS } },
    bindings: [
      ['read', gradient],
      ['read', factor],
      ['write', sum],
    ],
    workgroups,
    flops: 2 * count,
  });
}

/**
 * gradient = (sum + deviation z) / examples in the learned elements, z standard normal, and 0 in all others; then sum = 0. The
 * noise depends on seed, element, and the step uniform's `iteration` and `draw`.
 * @param args.count number of f32, a multiple of 4
 * @param args.learned count / 4 u32, of which bit j is set where element 4 i + j is learned: see {@link learnedBits}
 * @param args.deviation of the noise on the sum, at least 0
 * @param args.examples by which the sum is divided
 * @param args.seed integer in 0..2^53-1
 * @throws ShapeError, ConfigError
 */
export function recordNoisyMean(
  recorder: Recorder,
  args: {
    count: number;
    learned: BufferView;
    sum: BufferView;
    gradient: BufferView;
    deviation: number;
    examples: number;
    seed: number;
  },
): void {
  const { count, learned, sum, gradient, deviation, examples, seed } = args;
  const kernel = 'noisy_mean';
  if (!(deviation >= 0)) throw new ConfigError(`deviation: ${deviation} is not a number of at least 0`);
  const VECTORS = Math.ceil(count / 4);
  requireBytes(kernel, 'learned', learned, VECTORS * 4);
  requireBytes(kernel, 'sum', sum, count * 4);
  requireBytes(kernel, 'gradient', gradient, count * 4);
  const { workgroups, constants } = flatGrid(VECTORS);
  recorder.record({
    label: kernel,
    shader: {
      path: 'optimizer/noisy_mean.wgsl',
      constants: { ...constants, VECTORS, COUNT: examples, DEVIATION: f32(deviation), STREAM: gradientStream(seed) },
    },
    bindings: [
      ['read', learned],
      ['write', sum],
      ['write', gradient],
      ['uniform', recorder.step],
    ],
    workgroups,
    flops: 20 * count,
  });
}

/** The stream word of {@link recordNoisyMean}. @throws ConfigError when the seed is not an integer in 0..2^53-1 */
export const gradientStream = (seed: number): number => streamWord(NOISE_STREAM, seed);

/** One bit per element, four in a word, from one number per element that is 0 where nothing is learned. */
export function learnedBits(flat: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  const bits = new Uint32Array(Math.ceil(flat.length / 4));
  for (let i = 0; i < flat.length; i++) if (flat[i] !== 0) bits[i >>> 2] |= 1 << (i & 3);
  return bits;
}
