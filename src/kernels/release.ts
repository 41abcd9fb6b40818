/** Launchers of the countermeasures that change a model's confidences before it releases them. */
import { ConfigError, ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';
import { streamWord } from './stream.ts';

/** Separates the noise on confidences from all other uses of the hash ("rlse" in ASCII). */
const NOISE_STREAM = 0x726c7365;

/**
 * Rounds confidences to `decimals` decimals and returns their logarithms (shaders/loss/round_confidences.wgsl).
 * @param args.logits [rows, classes]
 * @param args.decimals integer in 0..6, the decimals that f32 confidences hold
 * @param args.released log-confidences, the shape of logits
 * @throws ShapeError, ConfigError
 */
export function recordRoundConfidences(
  recorder: Recorder,
  { logits, decimals, released }: { logits: Matrix; decimals: number; released: Matrix },
): void {
  const kernel = 'round_confidences';
  if (!(Number.isInteger(decimals) && decimals >= 0 && decimals <= 6)) {
    throw new ConfigError(`decimals: ${decimals} is not an integer in 0..6; f32 confidences hold no more`);
  }
  const shape = shapeConstants(kernel, 'logits', logits);
  requireSameShape(kernel, 'logits', logits, 'released', released);
  const { workgroups, constants } = flatGrid(logits.rows);
  recorder.record({
    label: kernel,
    shader: { path: 'loss/round_confidences.wgsl', constants: { ...shape, ...constants, LEVELS: 10 ** decimals } },
    bindings: [
      ['read', logits],
      ['write', released],
    ],
    workgroups,
    flops: 6 * logits.rows * logits.columns,
  });
}

/**
 * Releases only the `count` largest confidences and returns the logarithms of what an attacker must assume
 * (shaders/loss/top_confidences.wgsl).
 * @param args.logits [rows, classes]
 * @param args.count integer above 0; all are released if there are no more classes
 * @param args.released log-confidences, the shape of logits
 * @throws ShapeError, ConfigError
 */
export function recordTopConfidences(
  recorder: Recorder,
  { logits, count, released }: { logits: Matrix; count: number; released: Matrix },
): void {
  const kernel = 'top_confidences';
  if (!(Number.isInteger(count) && count >= 1)) throw new ConfigError(`k: ${count} is not an integer above 0`);
  const shape = shapeConstants(kernel, 'logits', logits);
  requireSameShape(kernel, 'logits', logits, 'released', released);
  const { workgroups, constants } = flatGrid(logits.rows);
  const K = Math.min(count, logits.columns);
  recorder.record({
    label: kernel,
    shader: { path: 'loss/top_confidences.wgsl', constants: { ...shape, ...constants, K } },
    bindings: [
      ['read', logits],
      ['write', released],
    ],
    workgroups,
    flops: (6 + K) * logits.rows * logits.columns,
  });
}

/**
 * Adds normal noise to confidences, which depends on the query and the draw, and returns the logarithms of the noisy ones
 * (shaders/loss/noisy_confidences.wgsl).
 * @param args.logits [rows, classes]
 * @param args.inputs the queries, [rows, values]
 * @param args.draws one u32 per equal group of consecutive rows
 * @param args.groups number of groups
 * @param args.deviation standard deviation of the noise, above 0
 * @param args.seed integer in 0..2^53-1
 * @param args.released log-confidences, the shape of logits
 * @throws ShapeError, ConfigError
 */
export function recordNoisyConfidences(
  recorder: Recorder,
  args: {
    logits: Matrix;
    inputs: Matrix;
    draws: BufferView;
    groups: number;
    deviation: number;
    seed: number;
    released: Matrix;
  },
): void {
  const { logits, inputs, draws, groups, deviation, seed, released } = args;
  const kernel = 'noisy_confidences';
  if (!(deviation > 0)) throw new ConfigError(`deviation: ${deviation} is not a number above 0`);
  const shape = shapeConstants(kernel, 'logits', logits);
  const input = shapeConstants(kernel, 'inputs', inputs);
  requireSameShape(kernel, 'logits', logits, 'released', released);
  if (inputs.rows !== logits.rows || !Number.isInteger(logits.rows / groups)) {
    throw new ShapeError(`${kernel}: ${inputs.rows} queries in ${groups} groups have ${logits.rows} answers`);
  }
  requireBytes(kernel, 'draws', draws, groups * 4);
  const { workgroups, constants } = flatGrid(logits.rows);
  recorder.record({
    label: kernel,
    shader: {
      path: 'loss/noisy_confidences.wgsl',
      constants: {
        ...shape,
        ...constants,
        INPUTS: input.COLUMNS,
        INPUT_STRIDE: input.STRIDE,
        GROUP_ROWS: logits.rows / groups,
        DEVIATION: f32(deviation),
        STREAM: releaseStream(seed),
      },
    },
    bindings: [
      ['read', logits],
      ['read', inputs],
      ['read', draws],
      ['write', released],
    ],
    workgroups,
    flops: 50 * logits.rows * logits.columns + 10 * inputs.rows * inputs.columns,
  });
}

/** The stream word of {@link recordNoisyConfidences}. @throws ConfigError when the seed is not an integer in 0..2^53-1 */
export const releaseStream = (seed: number): number => streamWord(NOISE_STREAM, seed);
