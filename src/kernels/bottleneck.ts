import { ConfigError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32, type ShaderConstant } from '../gpu/composer.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { pcg4d } from '../memory/hash.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** Separates the random streams of bottlenecks from all other uses of the hash ("bott" in ASCII). */
const BOTTLENECK_STREAM = 0x626f7474;

/**
 * The key of two words of the noise of a bottleneck.
 * @param seed integer in 0..2^53-1
 * @throws ConfigError for another seed
 */
export function bottleneckKey(seed: number): [number, number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ConfigError(`seed: ${seed} is not an integer in 0..2^53-1; give a whole number`);
  }
  const [low, high] = pcg4d(0, BOTTLENECK_STREAM, seed % 2 ** 32, Math.floor(seed / 2 ** 32));
  return [low, high];
}

/** The constants of a kernel whose matrices all have one shape. @throws ShapeError, ConfigError */
function constantsOf(kernel: string, matrices: Readonly<Record<string, Matrix>>, seed: number) {
  const [[name, first], ...others] = Object.entries(matrices);
  const shape = shapeConstants(kernel, name, first);
  for (const [other, matrix] of others) requireSameShape(kernel, name, first, other, matrix);
  const { workgroups, constants } = flatGrid((first.rows * first.stride) / 4);
  const [low, high] = bottleneckKey(seed);
  const all: Record<string, ShaderConstant> = { ...shape, ...constants, KEY_LOW: low, KEY_HIGH: high };
  return { workgroups, constants: all };
}

/**
 * output = mean + softplus(raw - 5) * standard normal noise. The noise depends on seed, the step uniform's `iteration`, and the
 * element's row and column.
 *
 * @param args.mean [rows, columns]; raw and output have the same shape
 * @param args.seed integer in 0..2^53-1
 * @throws ShapeError, ConfigError
 */
export function recordBottleneckForward(
  recorder: Recorder,
  args: { mean: Matrix; raw: Matrix; output: Matrix; seed: number },
): void {
  const { mean, raw, output, seed } = args;
  const kernel = 'bottleneck_forward';
  const { workgroups, constants } = constantsOf(kernel, { mean, raw, output }, seed);
  recorder.record({
    label: kernel,
    shader: { path: 'activation/bottleneck_forward.wgsl', constants },
    bindings: [
      ['read', mean],
      ['read', raw],
      ['write', output],
      ['uniform', recorder.step],
    ],
    workgroups,
    flops: 40 * mean.rows * mean.columns,
  });
}

/**
 * The gradients of {@link recordBottleneckForward} with the same seed and iteration, plus those of beta times the mean over the
 * rows of the sum over the columns of KL(N(mean, softplus(raw - 5)^2) || N(0, 1)).
 *
 * @param args.mean [rows, columns]; all others have the same shape
 * @param args.beta factor of the divergence, in nats
 * @throws ShapeError, ConfigError
 */
export function recordBottleneckBackward(
  recorder: Recorder,
  args: {
    mean: Matrix;
    raw: Matrix;
    gradOutput: Matrix;
    gradMean: Matrix;
    gradRaw: Matrix;
    beta: number;
    seed: number;
  },
): void {
  const { mean, raw, gradOutput, gradMean, gradRaw, beta, seed } = args;
  const kernel = 'bottleneck_backward';
  const { workgroups, constants } = constantsOf(kernel, { mean, raw, gradOutput, gradMean, gradRaw }, seed);
  recorder.record({
    label: kernel,
    shader: {
      path: 'activation/bottleneck_backward.wgsl',
      constants: { ...constants, FACTOR: f32(beta / mean.rows) },
    },
    bindings: [
      ['read', mean],
      ['read', raw],
      ['read', gradOutput],
      ['write', gradMean],
      ['write', gradRaw],
      ['uniform', recorder.step],
    ],
    workgroups,
    flops: 60 * mean.rows * mean.columns,
  });
}
