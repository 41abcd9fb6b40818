/** Checks of shaders/loss: costs, their gradients and their sums. */

import { type ConfidenceFloor, recordTruncateAlign } from '../../kernels/align.ts';
import {
  type ConfidenceCost,
  recordAccumulateMetrics,
  recordConfidenceCost,
  recordMse,
  recordSoftmaxCrossEntropy,
} from '../../kernels/loss.ts';
import { recordNoisyConfidences, recordRoundConfidences, recordTopConfidences } from '../../kernels/release.ts';
import { truncateAlign } from '../../reference/align.ts';
import { accumulateMetrics, confidenceCost, mse, softmaxCrossEntropy } from '../../reference/loss.ts';
import { noisyConfidences, roundConfidences, topConfidences } from '../../reference/release.ts';
import { alignTolerance, sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, numbers, ROWS, SIZE } from './trial.ts';

/** One class per row, all below COLUMNS. */
const TARGETS = Uint32Array.of(3, 0, 36, 17, 3);

function confidenceCheck(cost: ConfidenceCost): Check {
  return {
    kernel: `confidence_cost ${cost}`,
    record(trial) {
      const x = numbers(SIZE, 1, 3);
      const gradLogits = trial.output(ROWS, COLUMNS);
      const results = trial.results(2 * ROWS);
      const logits = trial.matrix(ROWS, COLUMNS, x);
      recordConfidenceCost(trial.recorder, { cost, logits, targets: trial.buffer(TARGETS), gradLogits, results });
      const expected = confidenceCost(cost, x, TARGETS, COLUMNS);
      trial.expectMatrix(gradLogits, expected.gradient, TOLERANCES.confidenceCost);
      trial.expect(results, expected.results, TOLERANCES.confidenceCost);
    },
  };
}

function alignCheck(floor: ConfidenceFloor, scale: number): Check {
  return {
    kernel: `truncate_align ${floor}`,
    record(trial) {
      const alignment = { truncation: 20, floor };
      // Values are rounded to integers, so that some are equal.
      const x = numbers(SIZE, 1, scale).map(Math.round);
      const output = trial.imagesOutput(ROWS, COLUMNS);
      const floored = trial.results(ROWS);
      recordTruncateAlign(trial.recorder, { ...alignment, logits: trial.matrix(ROWS, COLUMNS, x), output, floored });
      const expected = truncateAlign(x, COLUMNS, alignment);
      trial.expectMatrix(output, expected.output, alignTolerance(Math.max(...expected.output)));
      trial.expectWords(floored, expected.floored);
    },
  };
}

function crossEntropyCheck(kernel: string, smoothing?: number): Check {
  return {
    kernel,
    record(trial) {
      const x = numbers(SIZE, 1, 3);
      const gradLogits = trial.output(ROWS, COLUMNS);
      const results = trial.results(2 * ROWS);
      const [logits, targets] = [trial.matrix(ROWS, COLUMNS, x), trial.buffer(TARGETS)];
      recordSoftmaxCrossEntropy(trial.recorder, { logits, targets, smoothing, gradLogits, results });
      const expected = softmaxCrossEntropy(x, TARGETS, COLUMNS, smoothing);
      trial.expectMatrix(gradLogits, expected.gradient, TOLERANCES.crossEntropyGradient);
      trial.expect(results, expected.results, TOLERANCES.cross_entropy);
    },
  };
}

export const LOSSES: readonly Check[] = [
  crossEntropyCheck('softmax_cross_entropy'),
  crossEntropyCheck('softmax_cross_entropy smoothed', -0.25),
  {
    kernel: 'round_confidences',
    record(trial) {
      const x = numbers(SIZE, 1, 3);
      const released = trial.output(ROWS, COLUMNS);
      recordRoundConfidences(trial.recorder, { logits: trial.matrix(ROWS, COLUMNS, x), decimals: 2, released });
      trial.expectMatrix(released, roundConfidences(x, COLUMNS, 2), TOLERANCES.roundConfidences);
    },
  },
  {
    kernel: 'top_confidences',
    record(trial) {
      // Logits are rounded to halves, so that some are equal.
      const x = numbers(SIZE, 1, 3).map((value) => Math.round(2 * value) / 2);
      const released = trial.output(ROWS, COLUMNS);
      recordTopConfidences(trial.recorder, { logits: trial.matrix(ROWS, COLUMNS, x), count: 3, released });
      trial.expectMatrix(released, topConfidences(x, COLUMNS, 3), TOLERANCES.topConfidences);
    },
  },
  {
    kernel: 'noisy_confidences',
    record(trial) {
      const [x, queries] = [numbers(SIZE, 1, 3), numbers(ROWS * 9, 2)];
      const options = { deviation: Math.fround(0.05), seed: 2 ** 40 + 3 };
      const released = trial.output(ROWS, COLUMNS);
      recordNoisyConfidences(trial.recorder, {
        logits: trial.matrix(ROWS, COLUMNS, x),
        inputs: trial.matrix(ROWS, 9, queries),
        draws: trial.buffer(Uint32Array.of(4, 0, 7, 2, 9)),
        groups: ROWS,
        released,
        ...options,
      });
      const expected = noisyConfidences(x, COLUMNS, queries, [4, 0, 7, 2, 9], options);
      trial.expectMatrix(released, expected, TOLERANCES.noisyConfidences);
    },
  },
  confidenceCheck('oneMinusConfidence'),
  confidenceCheck('negativeLogConfidence'),
  {
    kernel: 'mse',
    record(trial) {
      const [x, target] = [numbers(SIZE, 1), numbers(SIZE, 2)];
      const gradOutput = trial.output(ROWS, COLUMNS);
      const results = trial.results(2 * ROWS);
      recordMse(trial.recorder, {
        output: trial.matrix(ROWS, COLUMNS, x),
        target: trial.matrix(ROWS, COLUMNS, target),
        gradOutput,
        results,
      });
      const expected = mse(x, target, COLUMNS);
      trial.expectMatrix(gradOutput, expected.gradient, TOLERANCES.mseGradient);
      trial.expect(results, expected.results, TOLERANCES.mse);
    },
  },
  {
    kernel: 'accumulate_metrics',
    record(trial) {
      const before = Float32Array.of(2.5, 7, 11, 0);
      const results = numbers(2 * COLUMNS, 1);
      const metrics = trial.buffer(before);
      recordAccumulateMetrics(trial.recorder, { rows: COLUMNS, results: trial.buffer(results), metrics });
      trial.expect(metrics, accumulateMetrics(before, results), sumTolerance(COLUMNS));
    },
  },
  alignCheck('direct', 8),
  // Most confidences are below the smallest f32.
  alignCheck('faithful', 200),
];
