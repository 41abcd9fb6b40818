/** Float64 references of the losses of shaders/loss. */
import type { ConfidenceCost } from '../kernels/loss.ts';
import { logSoftmaxForward } from './softmax.ts';

/** Gradient and row results of a loss. */
export interface LossResult {
  /** With respect to logits or output, [rows, columns]. */
  gradient: Float64Array;
  /** [rows, 2]: the loss or cost; then 1 or 0 for correct or not, the confidence, or 0. */
  results: Float64Array;
}

/** Cross-entropy of softmax(x) with (1 - smoothing) one-hot + smoothing / columns; the gradient is that of the mean over rows. */
export function softmaxCrossEntropy(
  x: ArrayLike<number>,
  targets: ArrayLike<number>,
  columns: number,
  smoothing = 0,
): LossResult {
  const rows = targets.length;
  const logProbabilities = logSoftmaxForward(x, columns);
  const label = (row: number, column: number) => (column === targets[row] ? 1 - smoothing : 0) + smoothing / columns;
  const results = new Float64Array(rows * 2);
  const gradient = logProbabilities.map((value, i) => {
    return (Math.exp(value) - label(Math.floor(i / columns), i % columns)) / rows;
  });
  for (let row = 0; row < rows; row++) {
    const logits = Array.from({ length: columns }, (_, j) => x[row * columns + j]);
    const finite = logits.every(Number.isFinite);
    // A class without weight does not count, even if its probability underflows.
    for (let column = 0; column < columns; column++) {
      const weight = label(row, column);
      if (weight !== 0) results[2 * row] -= weight * logProbabilities[row * columns + column];
    }
    results[2 * row + 1] = finite && logits.indexOf(Math.max(...logits)) === targets[row] ? 1 : 0;
  }
  return { gradient, results };
}

/** The cost of MI-Face for every row and its gradient, not averaged. */
export function confidenceCost(
  cost: ConfidenceCost,
  x: ArrayLike<number>,
  targets: ArrayLike<number>,
  columns: number,
): LossResult {
  const logProbabilities = logSoftmaxForward(x, columns);
  const results = new Float64Array(targets.length * 2);
  const gradient = logProbabilities.map((value, i) => {
    const row = Math.floor(i / columns);
    const oneHot = i % columns === targets[row] ? 1 : 0;
    const scale = cost === 'oneMinusConfidence' ? Math.exp(logProbabilities[row * columns + targets[row]]) : 1;
    return scale * (Math.exp(value) - oneHot);
  });
  for (let row = 0; row < targets.length; row++) {
    const logConfidence = logProbabilities[row * columns + targets[row]];
    results[2 * row] = cost === 'oneMinusConfidence' ? 1 - Math.exp(logConfidence) : -logConfidence;
    results[2 * row + 1] = Math.exp(logConfidence);
  }
  return { gradient, results };
}

/** Mean squared error over all elements. */
export function mse(x: ArrayLike<number>, target: ArrayLike<number>, columns: number): LossResult {
  const gradient = new Float64Array(x).map((value, i) => (2 * (value - target[i])) / x.length);
  const results = new Float64Array((x.length / columns) * 2);
  for (let i = 0; i < x.length; i++) results[2 * Math.floor(i / columns)] += (x[i] - target[i]) ** 2 / columns;
  return { gradient, results };
}

/** Returns `metrics` (sum of losses, number correct, number of rows, 0) with the rows of `results` added. */
export function accumulateMetrics(metrics: ArrayLike<number>, results: ArrayLike<number>): Float64Array {
  const sum = Float64Array.from(metrics);
  for (let row = 0; row < results.length / 2; row++) {
    sum[0] += results[2 * row];
    sum[1] += results[2 * row + 1];
    sum[2]++;
  }
  return sum;
}
