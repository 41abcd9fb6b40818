import { ConfigError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** The cost that MI-Face minimises: 1 - p (as published) or -log p, where p is the confidence in the attacked class. */
export type ConfidenceCost = 'oneMinusConfidence' | 'negativeLogConfidence';

const COST_KIND: Readonly<Record<ConfidenceCost, number>> = { oneMinusConfidence: 0, negativeLogConfidence: 1 };

/**
 * Cross-entropy with one class per row, fused with softmax. The gradient is that of the mean over the rows; the losses in
 * `results` are those of single rows.
 *
 * @param args.logits [rows, classes]
 * @param args.targets rows u32, each below classes
 * @param args.smoothing a in -1..1, 0 by default: the target is (1 - a) one-hot + a / classes (label smoothing, Szegedy et al.,
 * CVPR 2016, section 7; with a < 0 Struppek et al., ICLR 2024)
 * @param args.gradLogits (softmax(logits) - target) / rows, the shape of logits
 * @param args.results rows x 2 f32: -sum target log p; then 1 if the target is the first of the largest logits of a row
 * without NaN or infinity, else 0
 * @throws ShapeError, ConfigError
 */
export function recordSoftmaxCrossEntropy(
  recorder: Recorder,
  args: { logits: Matrix; targets: BufferView; smoothing?: number; gradLogits: Matrix; results: BufferView },
): void {
  const { logits, targets, smoothing = 0, gradLogits, results } = args;
  const kernel = 'softmax_cross_entropy';
  if (!(Math.abs(smoothing) <= 1)) throw new ConfigError(`smoothing: ${smoothing} is not a number in -1..1`);
  const shape = shapeConstants(kernel, 'logits', logits);
  requireSameShape(kernel, 'logits', logits, 'gradLogits', gradLogits);
  requireBytes(kernel, 'targets', targets, logits.rows * 4);
  requireBytes(kernel, 'results', results, logits.rows * 8);
  const { workgroups, constants } = flatGrid(logits.rows);
  recorder.record({
    label: kernel,
    shader: {
      path: 'loss/softmax_cross_entropy.wgsl',
      constants: { ...shape, ...constants, SMOOTHING: f32(smoothing) },
    },
    bindings: [
      ['read', logits],
      ['read', targets],
      ['write', gradLogits],
      ['write', results],
    ],
    workgroups,
    flops: 8 * logits.rows * logits.columns,
  });
}

/**
 * The attack cost of every row and its gradient with respect to the logits (Fredrikson et al., CCS 2015). Each row
 * is a separate attack: nothing is averaged over the rows.
 *
 * @param args.logits [rows, classes]
 * @param args.targets attacked class of each row, rows u32, each below classes
 * @param args.gradLogits the shape of logits
 * @param args.results rows x 2 f32: cost, confidence in the attacked class
 * @throws ShapeError, ConfigError
 */
export function recordConfidenceCost(
  recorder: Recorder,
  args: {
    cost: ConfidenceCost;
    logits: Matrix;
    targets: BufferView;
    gradLogits: Matrix;
    results: BufferView;
  },
): void {
  const { cost, logits, targets, gradLogits, results } = args;
  const kernel = 'confidence_cost';
  const shape = shapeConstants(kernel, 'logits', logits);
  requireSameShape(kernel, 'logits', logits, 'gradLogits', gradLogits);
  requireBytes(kernel, 'targets', targets, logits.rows * 4);
  requireBytes(kernel, 'results', results, logits.rows * 8);
  const { workgroups, constants } = flatGrid(logits.rows);
  recorder.record({
    label: `${kernel} ${cost}`,
    shader: {
      path: 'loss/confidence_cost.wgsl',
      constants: {
        ...shape,
        ...constants,
        COST_KIND: COST_KIND[cost],
      },
    },
    bindings: [
      ['read', logits],
      ['read', targets],
      ['write', gradLogits],
      ['write', results],
    ],
    workgroups,
    flops: 8 * logits.rows * logits.columns,
  });
}

/**
 * Mean squared error over all elements (PyTorch's reduction "mean").
 *
 * @param args.output output of the network, [rows, columns]
 * @param args.target the same shape
 * @param args.gradOutput 2 (output - target) / (rows * columns), the same shape
 * @param args.results rows x 2 f32: mean squared error of the row, then 0; the mean over the rows is the loss
 * @throws ShapeError
 */
export function recordMse(
  recorder: Recorder,
  args: { output: Matrix; target: Matrix; gradOutput: Matrix; results: BufferView },
): void {
  const { output, target, gradOutput, results } = args;
  const kernel = 'mse';
  const shape = shapeConstants(kernel, 'output', output);
  requireSameShape(kernel, 'output', output, 'target', target);
  requireSameShape(kernel, 'output', output, 'gradOutput', gradOutput);
  requireBytes(kernel, 'results', results, output.rows * 8);
  const { workgroups, constants } = flatGrid(output.rows);
  recorder.record({
    label: kernel,
    shader: { path: 'loss/mse.wgsl', constants: { ...shape, ...constants } },
    bindings: [
      ['read', output],
      ['read', target],
      ['write', gradOutput],
      ['write', results],
    ],
    workgroups,
    flops: 4 * output.rows * output.columns,
  });
}

/**
 * Adds the results of a batch to a running total, which the host reads and zeroes. Each of several consecutive groups of
 * rows has its own total.
 *
 * @param args.rows number of rows of a group
 * @param args.groups number of groups; default: 1
 * @param args.results groups x rows x 2 f32, as {@link recordSoftmaxCrossEntropy} and {@link recordMse} write them
 * @param args.metrics groups x 4 f32: sum of row losses, number correct, number of rows, 0
 * @throws ShapeError
 */
export function recordAccumulateMetrics(
  recorder: Recorder,
  args: { rows: number; groups?: number; results: BufferView; metrics: BufferView },
): void {
  const { rows, groups = 1, results, metrics } = args;
  const kernel = 'accumulate_metrics';
  requireBytes(kernel, 'results', results, groups * rows * 8);
  requireBytes(kernel, 'metrics', metrics, groups * 16);
  recorder.record({
    label: kernel,
    shader: { path: 'loss/accumulate_metrics.wgsl', constants: { ROWS: rows } },
    bindings: [
      ['read', results],
      ['write', metrics],
    ],
    workgroups: [groups, 1, 1],
    flops: 2 * groups * rows,
  });
}
