/**
 * Measures how similar two gray images are, and how similar a reconstruction is to the photographs of the right person and
 * of all other persons. Images are Float32Array, [height, width] row-major, 0..1; all arithmetic is in float64. A NaN in an image
 * gives NaN.
 */
import { DataError, ShapeError } from '../errors.ts';

/**
 * Pearson's correlation coefficient, signed: -1..1. It is 0, by definition here, when either image is constant.
 *
 * @throws ShapeError when the lengths differ or are 0
 */
export function pcc(a: Float32Array, b: Float32Array): number {
  requireSameLength('pcc', a, b);
  return dot(standardise(a), standardise(b));
}

/**
 * Mean squared error, 0 or more.
 *
 * @throws ShapeError when the lengths differ or are 0
 */
export function mse(a: Float32Array, b: Float32Array): number {
  requireSameLength('mse', a, b);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
}

/**
 * Peak signal-to-noise ratio for a peak of 1: -10 log10(mse), in dB; Infinity when the images are equal.
 *
 * @throws ShapeError when the lengths differ or are 0
 */
export function psnr(a: Float32Array, b: Float32Array): number {
  const error = mse(a, b);
  return error === 0 ? Infinity : -10 * Math.log10(error);
}

/**
 * Structural similarity, at most 1 (equal): Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error
 * Visibility to Structural Similarity", IEEE Transactions on Image Processing 13(4), 2004. Gaussian window 11x11 with
 * sigma 1.5, K1 = 0.01, K2 = 0.03, L = 1, averaged over the positions where the window lies inside the image. An image
 * narrower or shorter than 11 pixels gets the largest odd window that fits, with the same sigma.
 *
 * @throws ShapeError when either image is not width x height
 */
export function ssim(a: Float32Array, b: Float32Array, width: number, height: number): number {
  requireSameLength('ssim', a, b);
  if (a.length !== width * height) {
    throw new ShapeError(`ssim: ${a.length} pixels are not a ${width}x${height} image; pass the image's own size`);
  }
  return ssimOfMoments(a, localMoments(a, width, height), b, localMoments(b, width, height), width, height);
}

/** Gaussian-weighted means of an image and of its square around every position where the window fits. */
interface LocalMoments {
  mean: Float64Array;
  square: Float64Array;
}

function localMoments(image: Float32Array, width: number, height: number): LocalMoments {
  const window = ssimWindow(width, height);
  const squared = Float64Array.from(image, (value) => value * value);
  return { mean: blur(image, width, height, window), square: blur(squared, width, height, window) };
}

function ssimWindow(width: number, height: number): Float64Array {
  const fits = Math.min(width, height, 11);
  return gaussianWindow(fits % 2 === 1 ? fits : fits - 1, 1.5);
}

function ssimOfMoments(
  a: Float32Array,
  momentsA: LocalMoments,
  b: Float32Array,
  momentsB: LocalMoments,
  width: number,
  height: number,
): number {
  const products = Float64Array.from(a, (value, i) => value * b[i]);
  const meanAB = blur(products, width, height, ssimWindow(width, height));
  const c1 = 0.01 ** 2;
  const c2 = 0.03 ** 2;
  let sum = 0;
  for (let i = 0; i < meanAB.length; i++) {
    const [meanA, meanB] = [momentsA.mean[i], momentsB.mean[i]];
    const squares = meanA ** 2 + meanB ** 2;
    const both = meanA * meanB;
    const variances = momentsA.square[i] + momentsB.square[i] - squares;
    const covariance = meanAB[i] - both;
    sum += ((2 * both + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2));
  }
  return sum / meanAB.length;
}

/**
 * Photographs prepared for comparison with many reconstructions. The mean PCC with a group of photographs is one dot
 * product with the sum of their standardised images, so a mean PCC costs the same however many photographs the group has.
 */
export interface PhotographIndex {
  width: number;
  height: number;
  /** [count, height, width], 0..1. */
  photographs: Float32Array;
  /** Person -> positions of the person's photographs; empty for a person without any. */
  members: number[][];
  /** Person -> sum of the person's standardised photographs, [height * width]. */
  sums: Float64Array[];
  /** Sum of all standardised photographs, [height * width]. */
  total: Float64Array;
  /** Number of photographs. */
  count: number;
  /** Window statistics of each photograph, for SSIM; computed when first needed. */
  moments: (LocalMoments | undefined)[];
}

/**
 * Prepares photographs once.
 *
 * @param photographs [labels.length, height, width], 0..1, as `toFloat` gives them
 * @param labels person of each photograph
 * @throws ShapeError when the sizes do not fit
 * @throws DataError when there are fewer than two persons
 */
export function indexPhotographs(
  photographs: Float32Array,
  labels: ArrayLike<number>,
  width: number,
  height: number,
): PhotographIndex {
  const pixels = width * height;
  const count = labels.length;
  if (photographs.length !== count * pixels || pixels === 0) {
    throw new ShapeError(
      `indexPhotographs: ${photographs.length} pixels are not ${count} images of ${width}x${height}; pass one label per image`,
    );
  }
  const persons = Array.from(labels).reduce((most, label) => Math.max(most, label + 1), 0);
  const members = Array.from({ length: persons }, (): number[] => []);
  const sums = Array.from({ length: persons }, () => new Float64Array(pixels));
  const total = new Float64Array(pixels);
  for (let i = 0; i < count; i++) {
    const standardised = standardise(photographs.subarray(i * pixels, (i + 1) * pixels));
    members[labels[i]].push(i);
    const sum = sums[labels[i]];
    for (let k = 0; k < pixels; k++) {
      sum[k] += standardised[k];
      total[k] += standardised[k];
    }
  }
  if (members.filter((own) => own.length > 0).length < 2) {
    throw new DataError(
      'indexPhotographs: the photographs show fewer than two persons; the comparison needs at least one other person',
    );
  }
  return { width, height, photographs, members, sums, total, count, moments: [] };
}

/** Means over the photographs of one person, except for `wrongPcc`. */
export interface Similarity {
  pcc: number;
  mse: number;
  psnr: number;
  ssim: number;
  /** Mean PCC with the photographs of all other persons. */
  wrongPcc: number;
  /** `pcc - wrongPcc`: what the reconstruction shows of this person rather than of faces in general. */
  pccLift: number;
}

/**
 * Compares a reconstruction, [height, width] in 0..1, with every photograph of `person` and averages (`psnr` is the mean
 * of the decibels, so one equal photograph makes it Infinity); `wrongPcc` averages over the photographs of all others.
 *
 * @throws ShapeError when the reconstruction has another size
 * @throws DataError when the person has no photographs
 */
export function similarityToPhotographs(
  reconstruction: Float32Array,
  index: PhotographIndex,
  person: number,
): Similarity {
  const { width, height, photographs, members } = index;
  const pixels = width * height;
  const { own, wrong } = meanPccs(reconstruction, index, person);
  const sums = { mse: 0, psnr: 0, ssim: 0 };
  const moments = localMoments(reconstruction, width, height);
  for (const position of members[person]) {
    const photograph = photographs.subarray(position * pixels, (position + 1) * pixels);
    sums.mse += mse(reconstruction, photograph);
    sums.psnr += psnr(reconstruction, photograph);
    index.moments[position] ??= localMoments(photograph, width, height);
    sums.ssim += ssimOfMoments(reconstruction, moments, photograph, index.moments[position], width, height);
  }
  const count = members[person].length;
  return {
    pcc: own,
    mse: sums.mse / count,
    psnr: sums.psnr / count,
    ssim: sums.ssim / count,
    wrongPcc: wrong,
    pccLift: own - wrong,
  };
}

/**
 * Mean PCC of an image with the photographs of a person, of all others, and of everybody.
 *
 * @throws ShapeError when the image has another size than the photographs
 * @throws DataError when the person has no photographs
 */
export function meanPccs(
  image: Float32Array,
  index: PhotographIndex,
  person: number,
): { own: number; wrong: number; all: number } {
  const { width, height, members, sums, total, count } = index;
  if (image.length !== width * height) {
    throw new ShapeError(
      `similarity: the image has ${image.length} pixels, but the photographs are ${width}x${height}; resize the image`,
    );
  }
  const ownCount = members[person]?.length ?? 0;
  if (ownCount === 0) throw new DataError(`similarity: person ${person} has no photographs; choose another person`);
  const standardised = standardise(image);
  const own = dot(standardised, sums[person]);
  const all = dot(standardised, total);
  return { own: own / ownCount, wrong: (all - own) / (count - ownCount), all: all / count };
}

/** Scales an image to zero mean and unit Euclidean norm, so that a PCC is a dot product; a constant image becomes zeros. */
export function standardise(image: Float32Array): Float64Array {
  const result = Float64Array.from(image);
  // The values are compared one by one, because rounding of the mean would give a constant image a norm of about 1e-17.
  if (image.every((value) => value === image[0])) return result.fill(0);
  let sum = 0;
  for (const value of image) sum += value;
  const mean = sum / image.length;
  let squares = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] -= mean;
    squares += result[i] ** 2;
  }
  const norm = Math.sqrt(squares);
  for (let i = 0; i < result.length; i++) result[i] /= norm;
  return result;
}

/** Sum of products in float64, in order. */
export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function gaussianWindow(size: number, sigma: number): Float64Array {
  const weights = Float64Array.from({ length: size }, (_, i) =>
    Math.exp(-((i - (size - 1) / 2) ** 2) / (2 * sigma ** 2)),
  );
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

/** Separable filter over the valid region: [height - size + 1, width - size + 1]. */
function blur(image: Float32Array | Float64Array, width: number, height: number, window: Float64Array): Float64Array {
  const size = window.length;
  const outWidth = width - size + 1;
  const outHeight = height - size + 1;
  const rows = new Float64Array(height * outWidth);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += window[k] * image[y * width + x + k];
      rows[y * outWidth + x] = sum;
    }
  }
  const result = new Float64Array(outHeight * outWidth);
  for (let y = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += window[k] * rows[(y + k) * outWidth + x];
      result[y * outWidth + x] = sum;
    }
  }
  return result;
}

function requireSameLength(what: string, a: Float32Array, b: Float32Array): void {
  if (a.length !== b.length || a.length === 0) {
    throw new ShapeError(`${what}: images of ${a.length} and ${b.length} pixels; pass two of the same size, not empty`);
  }
}
