/**
 * The identity classifier: an evaluator that is independent of the victim. It is of another kind and trained on other
 * photographs, so that a reconstruction cannot pass merely by fitting the victim's own weights. Images are rows of all their values:
 * of a colour image, of all channels.
 */
import { ConfigError, DataError, ShapeError } from '../errors.ts';
import { choleskyInPlace, solve } from './cholesky.ts';
import { dot, standardise } from './similarity.ts';

export interface IdentityClassifier {
  /**
   * The class an image, [pixels], most resembles; -1 for an image without contrast (or with a NaN), which resembles none.
   *
   * @throws ShapeError when the image has another size than those trained on
   */
  predict(image: Float32Array): number;
  /**
   * The share, 0..1, of images, [labels.length, pixels], that get their label.
   *
   * @throws ShapeError when the sizes do not fit or there are no images
   */
  accuracy(images: Float32Array, labels: ArrayLike<number>): number;
}

/**
 * Ridge regression on one-hot targets Y in its dual form: with the standardised images (zero mean, unit norm) less their
 * average as rows of X, scores are x . X^T (X X^T + lambda m I)^-1 Y, where m is the mean of the diagonal of X X^T. No
 * class is favoured for having more images. Deterministic; time grows with count^2 * pixels + count^3, so it is meant
 * for up to a few thousand images.
 * (Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition, sections 3.4.1 and 5.8.)
 *
 * @param images [labels.length, pixels], of any unit (each is standardised by itself)
 * @param labels class of each image, 0..classes-1
 * @param lambda regularisation relative to m; of 0.001, 0.01, 0.1 and 1, 0.1 was the most accurate on the AT&T faces
 * @throws ShapeError when the sizes do not fit or there are no images
 * @throws DataError when a label is out of range, a pixel is not finite or the images are all alike
 * @throws ConfigError when lambda is not positive
 */
export function trainIdentityClassifier(
  images: Float32Array,
  labels: ArrayLike<number>,
  classes: number,
  { lambda = 0.1 }: { lambda?: number } = {},
): IdentityClassifier {
  const count = labels.length;
  const pixels = images.length / count;
  if (count === 0 || !Number.isInteger(pixels) || pixels === 0) {
    throw new ShapeError(`identity: ${images.length} pixels are not ${count} images of one size; one label per image`);
  }
  if (!(lambda > 0)) throw new ConfigError(`identity: lambda ${lambda} is not positive; try 0.1`);
  const rows: Float64Array[] = [];
  const kept: number[] = [];
  splitImages(images, count, pixels).forEach((image, i) => {
    if (image.some((value) => !Number.isFinite(value))) {
      throw new DataError(`identity: image ${i} has a pixel that is not finite; leave it out`);
    }
    if (!Number.isInteger(labels[i]) || labels[i] < 0 || labels[i] >= classes) {
      throw new DataError(`identity: image ${i} has label ${labels[i]}, not one of 0..${classes - 1}; fix the label`);
    }
    const row = standardise(image);
    // An image without contrast shows nobody.
    if (Number.isNaN(row[0])) return;
    rows.push(row);
    kept.push(labels[i]);
  });
  if (rows.length === 0) throw new DataError('identity: no training image has any contrast; give photographs');

  const average = new Float64Array(pixels);
  for (const row of rows) {
    for (let k = 0; k < pixels; k++) average[k] += row[k] / rows.length;
  }
  const centre = (row: Float64Array) => row.map((value, k) => value - average[k]);
  const centred = rows.map(centre);

  const gram = centred.map((row, i) => Float64Array.from(centred.slice(0, i + 1), (other) => dot(row, other)));
  const meanDiagonal = gram.reduce((sum, row, i) => sum + row[i], 0) / rows.length;
  // The rows have norm 1, so for equal images only rounding errors remain.
  if (meanDiagonal < 1e-20) throw new DataError('identity: the training images are all alike; give photographs');
  gram.forEach((row, i) => {
    row[i] += lambda * meanDiagonal;
  });
  choleskyInPlace(gram);

  const weights = Array.from({ length: classes }, (_, label) => {
    const dual = solve(
      gram,
      Float64Array.from(kept, (each) => (each === label ? 1 : 0)),
    );
    const weight = new Float64Array(pixels);
    centred.forEach((row, i) => {
      for (let k = 0; k < pixels; k++) weight[k] += dual[i] * row[k];
    });
    return weight;
  });

  const predict = (image: Float32Array): number => {
    if (image.length !== pixels) {
      throw new ShapeError(`identity: ${image.length} pixels, the training images have ${pixels}; resize the image`);
    }
    const standardised = standardise(image);
    if (!(dot(standardised, standardised) > 0)) return -1;
    const centredImage = centre(standardised);
    const scores = weights.map((weight) => dot(weight, centredImage));
    return scores.indexOf(Math.max(...scores));
  };
  const accuracy = (tested: Float32Array, truth: ArrayLike<number>): number => {
    if (tested.length !== truth.length * pixels || truth.length === 0) {
      throw new ShapeError(
        `identity: ${tested.length} pixels are not ${truth.length} images of ${pixels}; one label each`,
      );
    }
    const right = splitImages(tested, truth.length, pixels).filter((image, i) => predict(image) === truth[i]);
    return right.length / truth.length;
  };
  return { predict, accuracy };
}

function splitImages(images: Float32Array, count: number, pixels: number): Float32Array[] {
  return Array.from({ length: count }, (_, i) => images.subarray(i * pixels, (i + 1) * pixels));
}
