/**
 * Measures how similar two images are, and how similar a reconstruction is to the photographs of the right person and of all
 * other persons. Images are Float32Array, [height, width, channels] row-major, 0..1; all arithmetic is in float64. PCC, MSE and
 * PSNR are computed over all values of an image, so over all channels together. A similarity
 * that does not exist is NaN: where an image has a NaN, or no contrast, or a person has no photograph to compare with.
 */
import { DataError, ShapeError } from '../errors.ts';
import { type Channels, type ImageSize, imageValues, sizeName } from '../image_size.ts';

/**
 * Pearson's correlation coefficient, signed: -1..1. It is NaN when either image is constant: then it is not defined.
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
 * narrower or shorter than 11 pixels gets the largest odd window that fits, with the same sigma. Of a colour image it is the
 * mean over the channels, as with `channel_axis` in scikit-image.
 *
 * @throws ShapeError when either image is not width x height x channels
 */
export function ssim(a: Float32Array, b: Float32Array, width: number, height: number, channels: Channels = 1): number {
  requireSameLength('ssim', a, b);
  const shape = { width, height, channels };
  if (a.length !== imageValues(shape)) {
    throw new ShapeError(`ssim: ${a.length} pixels are not a ${sizeName(shape)} image; pass the image's own size`);
  }
  return ssimOfMoments(a, localMoments(a, shape), b, localMoments(b, shape), shape);
}

/** Gaussian-weighted means of an image and of its square around every position where the window fits, channel by channel. */
interface LocalMoments {
  mean: Float64Array;
  square: Float64Array;
}

function localMoments(image: Float32Array, shape: ImageSize): LocalMoments {
  const window = ssimWindow(shape);
  const squared = Float64Array.from(image, (value) => value * value);
  return { mean: blur(image, shape, window), square: blur(squared, shape, window) };
}

function ssimWindow({ width, height }: ImageSize): Float64Array {
  const fits = Math.min(width, height, 11);
  return gaussianWindow(fits % 2 === 1 ? fits : fits - 1, 1.5);
}

function ssimOfMoments(
  a: Float32Array,
  momentsA: LocalMoments,
  b: Float32Array,
  momentsB: LocalMoments,
  shape: ImageSize,
): number {
  const products = Float64Array.from(a, (value, i) => value * b[i]);
  const meanAB = blur(products, shape, ssimWindow(shape));
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

/** Sums of standardised images, so that a mean PCC with a group of photographs is one dot product. */
interface PersonSums {
  /** Person -> sum of the person's standardised photographs, [height * width * channels]. */
  readonly sums: readonly Float64Array[];
  /** Sum of all of them, [height * width * channels]. */
  readonly total: Float64Array;
}

/**
 * Photographs prepared for comparison with many reconstructions. The mean PCC with a group of photographs is one dot
 * product with the sum of their standardised images, so a mean PCC costs the same however many photographs the group has.
 */
export interface PhotographIndex extends ImageSize {
  /** [count, height, width, channels], 0..1. */
  readonly photographs: Float32Array;
  /** Person -> positions of the person's photographs; empty for a person without any. */
  readonly members: readonly number[][];
  /** Number of photographs that are compared: those with contrast. */
  readonly count: number;
  /** Of the photographs as they are. */
  readonly raw: PersonSums;
  /** Of the photographs without the mean face; `raw` where no mean face was given. */
  readonly meanFree: PersonSums;
  /** The standardised mean face, [height * width * channels]. */
  readonly meanFace: Float64Array | undefined;
  /** Window statistics of each photograph, for SSIM; computed when first needed. */
  readonly moments: (LocalMoments | undefined)[];
}

/**
 * Prepares photographs once. Photographs without contrast are left out: no similarity to them exists.
 *
 * @param photographs [labels.length, height, width, channels], 0..1, as `toFloat` gives them
 * @param labels person of each photograph
 * @param meanFace [height, width, channels], the face whose part is removed from both sides for the mean-free measures
 * @throws ShapeError when the sizes do not fit
 * @throws DataError when there are fewer than two persons
 */
export function indexPhotographs(
  photographs: Float32Array,
  labels: ArrayLike<number>,
  width: number,
  height: number,
  meanFace?: Float32Array,
  channels: Channels = 1,
): PhotographIndex {
  const shape: ImageSize = { width, height, channels };
  const pixels = imageValues(shape);
  if (photographs.length !== labels.length * pixels || pixels === 0 || (meanFace && meanFace.length !== pixels)) {
    throw new ShapeError(
      `indexPhotographs: ${photographs.length} pixels are not ${labels.length} images of ${width}x${height}; pass one label ` +
        'per image, and a mean face of the same size',
    );
  }
  const persons = Array.from(labels).reduce((most, label) => Math.max(most, label + 1), 0);
  const members = Array.from({ length: persons }, (): number[] => []);
  const empty = () => ({
    sums: Array.from({ length: persons }, () => new Float64Array(pixels)),
    total: new Float64Array(pixels),
  });
  const standardMean = meanFace && standardise(meanFace);
  const usableMean = standardMean && !Number.isNaN(standardMean[0]) ? standardMean : undefined;
  const raw = empty();
  const meanFree = usableMean ? empty() : raw;
  let count = 0;
  for (let i = 0; i < labels.length; i++) {
    const standardised = standardise(photographs.subarray(i * pixels, (i + 1) * pixels));
    if (Number.isNaN(standardised[0])) continue;
    members[labels[i]].push(i);
    count++;
    add(raw, labels[i], standardised);
    if (usableMean) add(meanFree, labels[i], withoutMean(standardised, usableMean));
  }
  if (members.filter((own) => own.length > 0).length < 2) {
    throw new DataError(
      'indexPhotographs: the photographs show fewer than two persons; the comparison needs at least one other person',
    );
  }
  return { ...shape, photographs, members, count, raw, meanFree, meanFace: usableMean, moments: [] };
}

function add({ sums, total }: PersonSums, person: number, image: Float64Array): void {
  const own = sums[person];
  for (let k = 0; k < image.length; k++) {
    own[k] += image[k];
    total[k] += image[k];
  }
}

/**
 * Similarities of one reconstruction to a person. `pcc` is the mean over the person's photographs or, where a reconstruction
 * should show one photograph, with that one; so are `mse`, `psnr` and `ssim`. A lift subtracts the mean PCC with the photographs
 * of all other persons. *Mean-free* is without the mean face: the part of a standardised image that is proportional to the
 * standardised mean face is removed from reconstruction and photographs, so that a PCC is the partial correlation given the mean
 * face (R. A. Fisher, Metron 3, 1924). It sees the person where the face in general fades or grows.
 */
export interface Similarity {
  readonly pcc: number;
  readonly pccLift: number;
  readonly pccMeanFree: number;
  readonly liftMeanFree: number;
  readonly mse: number;
  readonly psnr: number;
  readonly ssim: number;
  /** 1 if no other person is more similar or equally similar, otherwise 0. */
  readonly rank1: number;
  /** 1 if at most four others are more similar; ties count half. */
  readonly rank5: number;
  /** Share of the other persons who are less similar, ties counted half: 0.5 by chance, 1 if the person comes first. */
  readonly auc: number;
  /** The same four with the person's other photographs; NaN if the reconstruction should show the person in general. */
  readonly pccOther: number;
  readonly liftOther: number;
  readonly pccMeanFreeOther: number;
  readonly liftMeanFreeOther: number;
}

/**
 * Compares a reconstruction, [height, width, channels] in 0..1, with photographs of `person` (see {@link Similarity}). `psnr` over several
 * photographs is the mean of the decibels.
 *
 * Identification ranks all persons of the index by the mean mean-free PCC of the reconstruction with their photographs. Where
 * the reconstruction should show one photograph, that photograph does not count: its pose and its light are not the person.
 *
 * @param photograph position in the index of the photograph that it should show; absent if it shows the person in general
 * @throws ShapeError when the reconstruction has another size
 * @throws DataError when the person has no photographs
 */
export function similarityToPerson(
  reconstruction: Float32Array,
  index: PhotographIndex,
  person: number,
  photograph?: number,
): Similarity {
  const { members } = index;
  const standardised = checkedImage(reconstruction, index, person);
  const meanFree = index.meanFace ? withoutMean(standardised, index.meanFace) : standardised;
  const raw = comparisonWith(index, index.raw, standardised, person, photograph);
  const free = comparisonWith(index, index.meanFree, meanFree, person, photograph);
  const rank = rankOf(index, meanFree, person, photograph === undefined ? free.own : free.other);
  return {
    pcc: raw.own,
    pccLift: raw.own - raw.wrong,
    pccMeanFree: free.own,
    liftMeanFree: free.own - free.wrong,
    ...pixelErrors(reconstruction, index, photograph === undefined ? members[person] : [photograph]),
    ...rank,
    pccOther: raw.other,
    liftOther: raw.other - raw.wrong,
    pccMeanFreeOther: free.other,
    liftMeanFreeOther: free.other - free.wrong,
  };
}

/**
 * Mean-free lift of every photograph of the index over the photographs of other persons, each compared with the person's other
 * photographs: what a real photograph reaches. NaN for the only photograph of a person.
 */
export function liftsOfPhotographs(index: PhotographIndex): number[] {
  return index.members.flatMap((own, person) =>
    own.map((position) => {
      const free = standardisedAt(index, index.meanFree, position);
      const { other, wrong } = comparisonWith(index, index.meanFree, free, person, position);
      return other - wrong;
    }),
  );
}

interface Comparison {
  /** PCC with the photograph that should be shown, or the mean with all photographs of the person. */
  readonly own: number;
  /** Mean with the person's other photographs; NaN if there are none, or no single photograph should be shown. */
  readonly other: number;
  /** Mean with the photographs of all other persons. */
  readonly wrong: number;
}

function comparisonWith(
  index: PhotographIndex,
  group: PersonSums,
  image: Float64Array,
  person: number,
  photograph: number | undefined,
): Comparison {
  const ownCount = index.members[person].length;
  const ofPerson = dot(image, group.sums[person]);
  const wrong = (dot(image, group.total) - ofPerson) / (index.count - ownCount);
  if (photograph === undefined) return { own: ofPerson / ownCount, other: Number.NaN, wrong };
  const own = dot(image, standardisedAt(index, group, photograph));
  return { own, other: ownCount > 1 ? (ofPerson - own) / (ownCount - 1) : Number.NaN, wrong };
}

/** A photograph of the index, standardised, and without the mean face if the group is. */
function standardisedAt(index: PhotographIndex, group: PersonSums, position: number): Float64Array {
  const pixels = imageValues(index);
  const image = standardise(index.photographs.subarray(position * pixels, (position + 1) * pixels));
  return group === index.meanFree && index.meanFace ? withoutMean(image, index.meanFace) : image;
}

/** @param own similarity to the person, which is compared with the mean similarity to every other person */
function rankOf(
  { members, meanFree }: PhotographIndex,
  image: Float64Array,
  person: number,
  own: number,
): Pick<Similarity, 'rank1' | 'rank5' | 'auc'> {
  if (Number.isNaN(own)) return { rank1: Number.NaN, rank5: Number.NaN, auc: Number.NaN };
  let [above, others] = [0, 0];
  for (const [other, { length }] of members.entries()) {
    if (other === person || length === 0) continue;
    const similarity = dot(image, meanFree.sums[other]) / length;
    others++;
    above += similarity > own ? 1 : similarity === own ? 0.5 : 0;
  }
  return { rank1: above === 0 ? 1 : 0, rank5: above <= 4 ? 1 : 0, auc: 1 - above / others };
}

function pixelErrors(
  reconstruction: Float32Array,
  index: PhotographIndex,
  positions: readonly number[],
): Pick<Similarity, 'mse' | 'psnr' | 'ssim'> {
  const { photographs } = index;
  const pixels = imageValues(index);
  const sums = { mse: 0, psnr: 0, ssim: 0 };
  const moments = localMoments(reconstruction, index);
  for (const position of positions) {
    const photograph = photographs.subarray(position * pixels, (position + 1) * pixels);
    sums.mse += mse(reconstruction, photograph);
    sums.psnr += psnr(reconstruction, photograph);
    index.moments[position] ??= localMoments(photograph, index);
    sums.ssim += ssimOfMoments(reconstruction, moments, photograph, index.moments[position], index);
  }
  const count = positions.length;
  return { mse: sums.mse / count, psnr: sums.psnr / count, ssim: sums.ssim / count };
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
  const standardised = checkedImage(image, index, person);
  const { own, wrong } = comparisonWith(index, index.raw, standardised, person, undefined);
  return { own, wrong, all: dot(standardised, index.raw.total) / index.count };
}

function checkedImage(image: Float32Array, index: PhotographIndex, person: number): Float64Array {
  const { width, height, members } = index;
  if (image.length !== imageValues(index)) {
    throw new ShapeError(
      `similarity: the image has ${image.length} pixels, but the photographs are ${width}x${height}; resize the image`,
    );
  }
  if (!members[person]?.length) {
    throw new DataError(`similarity: person ${person} has no photographs; choose another person`);
  }
  return standardise(image);
}

/** Removes the part of a standardised image along the standardised mean face, and scales the rest to unit norm. */
function withoutMean(image: Float64Array, meanFace: Float64Array): Float64Array {
  const part = dot(image, meanFace);
  const rest = image.map((value, i) => value - part * meanFace[i]);
  const norm = Math.sqrt(dot(rest, rest));
  // An image that is the mean face leaves rounding errors only, which show nobody.
  return rest.map((value) => (norm < 1e-9 ? Number.NaN : value / norm));
}

/** Scales an image to zero mean and unit Euclidean norm, so that a PCC is a dot product; a constant image becomes NaN. */
export function standardise(image: Float32Array): Float64Array {
  const result = Float64Array.from(image);
  // The values are compared one by one, because rounding of the mean would give a constant image a norm of about 1e-17.
  if (image.every((value) => value === image[0])) return result.fill(Number.NaN);
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

/** Separable filter of every channel over the valid region: [height - size + 1, width - size + 1, channels]. */
function blur(
  image: Float32Array | Float64Array,
  { width, height, channels }: ImageSize,
  window: Float64Array,
): Float64Array {
  const size = window.length;
  const row = width * channels;
  const outWidth = (width - size + 1) * channels;
  const outHeight = height - size + 1;
  const rows = new Float64Array(height * outWidth);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < outWidth; x++) {
      let sum = 0;
      for (let k = 0; k < size; k++) sum += window[k] * image[y * row + x + k * channels];
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
