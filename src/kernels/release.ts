/** Launcher of the countermeasure that rounds a model's confidences before it releases them. */
import { ConfigError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

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
