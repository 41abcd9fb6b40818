/** Checks of shaders/loss/pair_distances.wgsl and dependence_*.wgsl. */
import {
  distanceChunks,
  recordDependenceGradient,
  recordDependenceTarget,
  recordDependenceWeights,
  recordPairDistances,
} from '../../kernels/dependence.ts';
import {
  dependenceGradient,
  dependenceWeights,
  gaussianKernel,
  labelKernel,
  pairDistances,
  rowMeans,
} from '../../reference/dependence.ts';
import { sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { type Check, COLUMNS, numbers, pixels, ROWS, SIZE } from './trial.ts';

const LABELS = Uint32Array.of(3, 0, 36, 0, 3);
const WEIGHTS = { input: 3, labels: 2 };

/** The float64 target of some images and {@link LABELS}. */
function targetOf(images: ArrayLike<number>): Float64Array {
  const equal = labelKernel(LABELS);
  return gaussianKernel(images, COLUMNS).map((value, i) => WEIGHTS.input * (value - 1) - WEIGHTS.labels * equal[i]);
}

export const DEPENDENCES: readonly Check[] = [
  {
    kernel: 'pair_distances',
    record(trial) {
      // Images of 173 pixels of 37 values, which are summed up in two parts.
      const rows = 450;
      const values = numbers(2 * rows * COLUMNS, 1);
      const matrix = trial.matrix(2 * rows, COLUMNS, values);
      const chunks = distanceChunks(matrix, 2);
      const distances = trial.output(chunks * 2, 2);
      recordPairDistances(trial.recorder, { values: matrix, images: 2, distances });
      const part = Math.floor((4096 * 4) / matrix.stride) * COLUMNS + ((4096 * 4) % matrix.stride);
      const parts = [values.map((value, i) => (i % (rows * COLUMNS) < part ? value : 0))];
      parts.push(values.map((value, i) => value - parts[0][i]));
      const expected = parts.flatMap((each) => [...pairDistances(each, rows * COLUMNS)]);
      trial.expectMatrix(distances, expected, sumTolerance(rows * COLUMNS));
    },
  },
  {
    kernel: 'dependence_target',
    record(trial) {
      const images = pixels(SIZE, 1);
      const [target, means] = [trial.output(ROWS, ROWS), trial.results(ROWS)];
      const expected = targetOf(images);
      recordDependenceTarget(trial.recorder, {
        images: trial.matrix(ROWS, COLUMNS, images),
        distances: trial.matrix(ROWS, ROWS, pairDistances(images, COLUMNS)),
        classes: trial.buffer(LABELS),
        ...WEIGHTS,
        target,
        means,
      });
      trial.expectMatrix(target, expected, TOLERANCES.dependence);
      trial.expect(means, rowMeans(expected), TOLERANCES.dependence);
    },
  },
  {
    kernel: 'dependence_weights',
    record(trial) {
      const [images, hidden] = [pixels(SIZE, 1), numbers(SIZE, 2, 4)];
      const target = targetOf(images);
      const weights = trial.output(ROWS, ROWS);
      recordDependenceWeights(trial.recorder, {
        values: trial.matrix(ROWS, COLUMNS, hidden),
        distances: trial.matrix(ROWS, ROWS, pairDistances(hidden, COLUMNS)),
        target: trial.matrix(ROWS, ROWS, target),
        means: trial.buffer(Float32Array.from(rowMeans(target))),
        weights,
      });
      trial.expectMatrix(weights, dependenceWeights(target, hidden, COLUMNS), TOLERANCES.dependence);
    },
  },
  {
    kernel: 'dependence_gradient',
    record(trial) {
      const [hidden, before] = [numbers(SIZE, 2, 4), numbers(SIZE, 3)];
      const weights = dependenceWeights(targetOf(pixels(SIZE, 1)), hidden, COLUMNS);
      const gradient = trial.matrix(ROWS, COLUMNS, before);
      recordDependenceGradient(trial.recorder, {
        values: trial.matrix(ROWS, COLUMNS, hidden),
        weights: trial.matrix(ROWS, ROWS, weights),
        gradient,
      });
      const added = dependenceGradient(weights, hidden, COLUMNS);
      trial.expectMatrix(
        gradient,
        added.map((value, i) => value + before[i]),
        sumTolerance(ROWS),
      );
    },
  },
];
