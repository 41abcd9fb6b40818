/** Linear discriminant analysis: a classifier of feature vectors. */
import { choleskyInPlace, solve, solveLower } from './cholesky.ts';
import { dot } from './similarity.ts';

export interface Discriminant {
  /**
   * Writes the similarity of a feature vector to every class, -1..1, into `similarities`.
   * @param similarities [classes]; NaN for classes without training rows
   */
  compare(features: ArrayLike<number>, similarities: Float32Array): void;
}

/** Rows whose products are added to the scatter in one sweep over it, which would otherwise wait for memory. */
const SWEEP = 4;

/**
 * With the average of all rows as the origin, and in coordinates in which the covariance S within the classes is the unit
 * matrix, the similarity is the cosine of the angle between a feature vector and the mean of a class. The cosine ignores how
 * strong the features are, which in faces changes with blur and contrast: on the AT&T faces it is more accurate than the
 * distance. S has lambda times the mean of its diagonal added to the diagonal.
 * Deterministic; time grows with count * size^2 + size^3.
 * (Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition, section 4.3.)
 *
 * @param features [labels.length, size]
 * @param labels class of each row, 0..classes-1
 */
export function trainDiscriminant(
  features: Float32Array,
  labels: ArrayLike<number>,
  classes: number,
  lambda: number,
): Discriminant {
  const count = labels.length;
  const size = features.length / count;
  const members = new Float64Array(classes);
  const means = Array.from({ length: classes }, () => new Float64Array(size));
  const average = new Float64Array(size);
  for (let i = 0; i < count; i++) {
    const mean = means[labels[i]];
    members[labels[i]]++;
    for (let k = 0; k < size; k++) {
      mean[k] += features[i * size + k];
      average[k] += features[i * size + k] / count;
    }
  }
  means.forEach((mean, label) => {
    for (let k = 0; k < size; k++) mean[k] /= members[label];
  });
  const scatter = Array.from({ length: size }, (_, i) => new Float64Array(i + 1));
  const residuals = Array.from({ length: SWEEP }, () => new Float64Array(size));
  for (let first = 0; first < count; first += SWEEP) {
    residuals.forEach((residual, part) => {
      const i = first + part;
      for (let k = 0; k < size; k++) residual[k] = i < count ? features[i * size + k] - means[labels[i]][k] : 0;
    });
    const [a, b, c, d] = residuals;
    for (let i = 0; i < size; i++) {
      const row = scatter[i];
      const [ai, bi, ci, di] = [a[i], b[i], c[i], d[i]];
      for (let j = 0; j <= i; j++) row[j] += ai * a[j] + bi * b[j] + ci * c[j] + di * d[j];
    }
  }
  const diagonal = scatter.reduce((sum, row, i) => sum + row[i], 0) / size;
  scatter.forEach((row, i) => {
    row[i] += lambda * diagonal;
    for (let j = 0; j <= i; j++) row[j] /= count;
  });
  choleskyInPlace(scatter);
  // With S = L L^T, the dot product of whitened vectors L^-1 a and L^-1 b is a . S^-1 b.
  const weights = means.map((mean) => {
    const centred = mean.map((value, k) => value - average[k]);
    const weight = solve(scatter, centred.slice());
    const norm = Math.sqrt(dot(weight, centred));
    return weight.map((value) => value / norm);
  });
  return {
    compare(vector, similarities) {
      const centred = average.map((value, k) => vector[k] - value);
      const whitened = solveLower(scatter, centred.slice());
      const norm = Math.sqrt(dot(whitened, whitened));
      for (let label = 0; label < classes; label++) similarities[label] = dot(weights[label], centred) / norm;
    },
  };
}
