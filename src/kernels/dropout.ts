import { ConfigError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { pcg4d } from '../memory/hash.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** Separates the random streams of dropout from all other uses of the hash ("drop" in ASCII). */
const DROPOUT_STREAM = 0x64726f70;

/**
 * output = input, with each element either set to 0 (with probability p) or divided by 1 - p. The choice depends only on
 * seed, tensor, the step uniform's `iteration` and the element's row and column, so that the same arguments with the
 * gradient as input give the backward pass. p = 0 copies.
 *
 * @param args.input [rows, columns]
 * @param args.output the same shape, another buffer
 * @param args.probability probability p that an element is dropped, 0 <= p < 1, in steps of 2^-32
 * @param args.seed integer in 0..2^53-1
 * @param args.tensor number of the layer in its model, integer in 0..2^32-1
 * @throws ShapeError, ConfigError
 */
export function recordDropout(
  recorder: Recorder,
  args: { input: Matrix; output: Matrix; probability: number; seed: number; tensor: number },
): void {
  const { input, output, probability, seed, tensor } = args;
  const kernel = 'dropout';
  const shape = shapeConstants(kernel, 'input', input);
  requireSameShape(kernel, 'input', input, 'output', output);
  const [low, high] = dropoutKey(seed, tensor);
  const { workgroups, constants } = flatGrid((input.rows * input.stride) / 4);
  recorder.record({
    label: kernel,
    shader: {
      path: 'activation/dropout.wgsl',
      constants: {
        ...shape,
        ...constants,
        THRESHOLD: dropoutThreshold(probability),
        SCALE: f32(1 / (1 - probability)),
        KEY_LOW: low,
        KEY_HIGH: high,
      },
    },
    bindings: [
      ['read', input],
      ['write', output],
      ['uniform', recorder.step],
    ],
    workgroups,
    flops: input.rows * input.columns,
  });
}

/**
 * The threshold of the random word: elements whose word lies below it are dropped.
 * @throws ConfigError unless 0 <= probability < 1
 */
export function dropoutThreshold(probability: number): number {
  if (!(probability >= 0 && probability < 1)) throw new ConfigError(`dropout: ${probability} is not in [0, 1)`);
  return Math.min(Math.round(probability * 2 ** 32), 2 ** 32 - 1);
}

/**
 * The key of two words that {@link recordDropout} derives from seed and tensor.
 * @throws ConfigError when one of them is not an integer in its range
 */
export function dropoutKey(seed: number, tensor: number): [number, number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ConfigError(`seed: ${seed} is not an integer in 0..2^53-1; give a whole number`);
  }
  if (!Number.isInteger(tensor) || tensor < 0 || tensor >= 2 ** 32) {
    throw new ConfigError(`tensor: ${tensor} is not an integer in 0..2^32-1; give a whole number`);
  }
  const [low, high] = pcg4d(tensor, DROPOUT_STREAM, seed % 2 ** 32, Math.floor(seed / 2 ** 32));
  return [low, high];
}
