import { ConfigError } from '../errors.ts';
import type { Arena, Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { INITIALIZATION, writeFields } from '../gpu/structs.ts';
import { shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/**
 * The initial values of a tensor:
 * - `constant`: every element is `value` (default 0); zero for biases, 1 for the scales of batch normalisation
 * - `xavierNormal`: normal, standard deviation sqrt(2 / (fanIn + fanOut)) (Glorot and Bengio 2010)
 * - `kaimingNormal`: normal, standard deviation sqrt(2 / fanOut) (He et al. 2015, mode "fan out", ReLU)
 * - `uniform`: uniform in [-1, 1) / sqrt(fanIn), PyTorch's default for linear and convolution weights and biases
 *
 * The fan in (fan out) is the number of inputs (outputs) of a dense layer; for a convolution it is the number of input
 * (output) channels times kernel height and width.
 */
export type Initialization =
  | { readonly kind: 'constant'; readonly value?: number }
  | { readonly kind: 'xavierNormal'; readonly fanIn: number; readonly fanOut: number }
  | { readonly kind: 'kaimingNormal'; readonly fanOut: number }
  | { readonly kind: 'uniform'; readonly fanIn: number };

const KIND = { constant: 0, xavierNormal: 1, kaimingNormal: 1, uniform: 2 } as const;

/** Separates the random streams of weights from all other uses of the hash ("init" in ASCII). */
export const INITIALIZE_STREAM = 0x696e6974;

/** The factor by which the sampled number is multiplied: see {@link Initialization}. */
export function initializationScale(initialization: Initialization): number {
  switch (initialization.kind) {
    case 'constant':
      return initialization.value ?? 0;
    case 'xavierNormal':
      return Math.sqrt(2 / (initialization.fanIn + initialization.fanOut));
    case 'kaimingNormal':
      return Math.sqrt(2 / initialization.fanOut);
    case 'uniform':
      return 1 / Math.sqrt(initialization.fanIn);
  }
}

/**
 * Fills a matrix with initial weights and its pads with zeros. Element (r, j) depends only on seed, tensor and
 * r * columns + j, so that it is the same on every adapter up to the rounding of log and sqrt.
 *
 * @param arena gets 48 bytes that the program reads
 * @param args.output [rows, columns], at most 2^32 elements
 * @param args.channels of every `padded` columns, the first `channels` get values and the rest zeros; default: no pads
 * @param args.seed integer in 0..2^53-1
 * @param args.tensor number of the tensor in its model, integer in 0..2^32-1
 * @throws ShapeError, ConfigError
 */
export function recordInitialize(
  recorder: Recorder,
  arena: Arena,
  args: {
    output: Matrix;
    channels?: number;
    padded?: number;
    initialization: Initialization;
    seed: number;
    tensor: number;
  },
): void {
  const { output, initialization, seed, tensor, channels = output.columns, padded = channels } = args;
  const kernel = 'initialize';
  shapeConstants(kernel, 'output', output);
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ConfigError(`seed: ${seed} is not an integer in 0..2^53-1; give a whole number`);
  }
  if (!Number.isInteger(tensor) || tensor < 0 || tensor >= 2 ** 32) {
    throw new ConfigError(`tensor: ${tensor} is not an integer in 0..2^32-1; give a whole number`);
  }
  const { workgroups, constants } = flatGrid((output.rows * output.stride) / 4);
  const words = new Uint32Array(INITIALIZATION.words);
  writeFields(INITIALIZATION, words, {
    ...{ rows: output.rows, columns: output.columns, stride: output.stride, channels, padded },
    gridWidth: constants.GRID_WIDTH as number,
    kind: KIND[initialization.kind],
    scale: initializationScale(initialization),
    tensor: (tensor ^ INITIALIZE_STREAM) >>> 0,
    seedLow: seed % 2 ** 32,
    seedHigh: Math.floor(seed / 2 ** 32),
  });
  const settings = arena.allocate(kernel, words.byteLength);
  arena.gpu.write(settings, words);
  recorder.record({
    label: `${kernel} ${initialization.kind}`,
    shader: {
      path: 'initialize.wgsl',
      constants: { WORKGROUP_SIZE: constants.WORKGROUP_SIZE },
    },
    bindings: [
      ['read', settings],
      ['write', output],
    ],
    workgroups,
  });
}
