/**
 * Kernels that measure how much the hidden values of a batch depend on its images and on their labels, by the
 * Hilbert-Schmidt independence criterion (HSIC; Gretton et al., ALT 2005), and differentiate it.
 */
import { ShapeError } from '../errors.ts';
import type { Matrix } from '../gpu/arena.ts';
import { f32 } from '../gpu/composer.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { requireBytes, requireSameShape, shapeConstants } from './check.ts';
import { flatGrid } from './grid.ts';

/** Number of vec4s of an image that one invocation sums up: images with more are divided, so that there is enough to do. */
const CHUNK = 4096;

/** The bandwidth of every Gaussian kernel is 5 sqrt(d) for d values per image, as in the published code of BiDO. */
const BANDWIDTH = 5;

/** Values of one image of a batch: rows of a vector, or all rows of its pixels. @throws ShapeError */
function imageConstants(kernel: string, name: string, values: Matrix, images: number) {
  const { ROWS, COLUMNS, STRIDE } = shapeConstants(kernel, name, values);
  const rows = Number(ROWS) / images;
  if (!Number.isInteger(rows)) throw new ShapeError(`${kernel}: ${name} has ${ROWS} rows for ${images} images`);
  const count = rows * Number(COLUMNS);
  return { length: (rows * Number(STRIDE)) / 4, scale: 1 / (2 * BANDWIDTH ** 2 * count) };
}

/** Number of partial sums of a distance between two images of a batch, for {@link recordPairDistances}. */
export function distanceChunks({ rows, stride }: Matrix, images: number): number {
  return Math.ceil((rows * stride) / images / 4 / CHUNK);
}

/** The constants of kernels that read distances, and whose output has one value per pair of images. @throws ShapeError */
function pairConstants(kernel: string, values: Matrix, distances: Matrix, pairs: Matrix) {
  const images = pairs.rows;
  const chunks = distanceChunks(values, images);
  const expected = { rows: chunks * images, columns: images, stride: pairs.stride };
  requireSameShape(kernel, 'pairs of images', expected, 'distances', distances);
  requireSameShape(kernel, 'pairs of images', { ...expected, rows: images }, 'output', pairs);
  const { scale } = imageConstants(kernel, 'values', values, images);
  return { IMAGES: images, STRIDE: pairs.stride, CHUNKS: chunks, SCALE: f32(scale) };
}

/**
 * Squared distances of all pairs of images, in partial sums.
 *
 * @param args.values of `images` images, [images, n], or [images * pixels, channels]
 * @param args.distances [{@link distanceChunks} * images, images]
 * @throws ShapeError
 */
export function recordPairDistances(
  recorder: Recorder,
  args: { values: Matrix; images: number; distances: Matrix },
): void {
  const { values, images, distances } = args;
  const kernel = 'pair_distances';
  const { length } = imageConstants(kernel, 'values', values, images);
  const chunks = distanceChunks(values, images);
  const { STRIDE } = shapeConstants(kernel, 'distances', distances);
  const expected = { rows: chunks * images, columns: images, stride: distances.stride };
  requireSameShape(kernel, 'pairs of images', expected, 'distances', distances);
  const { workgroups, constants } = flatGrid(chunks * Math.ceil(images / 4) ** 2);
  recorder.record({
    label: kernel,
    shader: {
      path: 'loss/pair_distances.wgsl',
      constants: { ...constants, IMAGES: images, LENGTH: length, STRIDE, CHUNK, CHUNKS: chunks },
    },
    bindings: [
      ['read', values],
      ['write', distances],
    ],
    workgroups,
    flops: 12 * images * images * length,
  });
}

/**
 * The kernel matrix of the images, less 1, times `input`, less that of the labels times `labels`, and the means of its rows.
 * Images have a Gaussian kernel, labels the linear kernel of one-hot vectors: 1 for equal labels, else 0. (The Gaussian
 * kernel of one-hot vectors, once it is centred, is the same matrix times a number.)
 *
 * @param args.images a batch of two or more images
 * @param args.distances of these images, from {@link recordPairDistances}
 * @param args.classes one label per image, u32
 * @param args.target [images, images]; its pads stay as they are
 * @param args.means one f32 per image
 * @throws ShapeError
 */
export function recordDependenceTarget(
  recorder: Recorder,
  args: {
    images: Matrix;
    distances: Matrix;
    classes: BufferView;
    input: number;
    labels: number;
    target: Matrix;
    means: BufferView;
  },
): void {
  const { images, distances, classes, input, labels, target, means } = args;
  const kernel = 'dependence_target';
  const pairs = pairConstants(kernel, images, distances, target);
  requireBytes(kernel, 'classes', classes, images.rows * 4);
  requireBytes(kernel, 'means', means, images.rows * 4);
  const { workgroups, constants } = flatGrid(images.rows);
  recorder.record({
    label: kernel,
    shader: {
      path: 'loss/dependence_target.wgsl',
      constants: { ...constants, ...pairs, INPUT: f32(input), LABELS: f32(labels) },
    },
    bindings: [
      ['read', distances],
      ['read', classes],
      ['write', target],
      ['write', means],
    ],
    workgroups,
  });
}

/**
 * The terms of `input` HSIC(X, Z) - `labels` HSIC(Z, Y) by pairs of images, for the hidden values Z with a Gaussian kernel.
 *
 * @param args.values hidden values of the images of `target`, as in {@link recordPairDistances}
 * @param args.distances of these values
 * @param args.target from {@link recordDependenceTarget}, of two or more images
 * @param args.means likewise
 * @param args.weights the shape of target; their sum is the value, and their pads stay as they are
 * @throws ShapeError
 */
export function recordDependenceWeights(
  recorder: Recorder,
  args: { values: Matrix; distances: Matrix; target: Matrix; means: BufferView; weights: Matrix },
): void {
  const { values, distances, target, means, weights } = args;
  const kernel = 'dependence_weights';
  const images = weights.rows;
  if (images < 2) throw new ShapeError(`${kernel}: ${images} image; at least two are needed`);
  const pairs = pairConstants(kernel, values, distances, weights);
  requireSameShape(kernel, 'weights', weights, 'target', target);
  requireBytes(kernel, 'means', means, images * 4);
  const { workgroups, constants } = flatGrid(images * images);
  recorder.record({
    label: kernel,
    shader: { path: 'loss/dependence_weights.wgsl', constants: { ...constants, ...pairs } },
    bindings: [
      ['read', distances],
      ['read', target],
      ['read', means],
      ['write', weights],
    ],
    workgroups,
  });
}

/**
 * Adds the gradient of the sum of the weights with respect to the hidden values.
 *
 * @param args.values as in {@link recordDependenceWeights}
 * @param args.weights from there
 * @param args.gradient the shape of values; it is added to what is there
 * @throws ShapeError
 */
export function recordDependenceGradient(
  recorder: Recorder,
  args: { values: Matrix; weights: Matrix; gradient: Matrix },
): void {
  const { values, weights, gradient } = args;
  const kernel = 'dependence_gradient';
  const images = weights.rows;
  const { length, scale } = imageConstants(kernel, 'values', values, images);
  requireSameShape(kernel, 'values', values, 'gradient', gradient);
  const { STRIDE } = shapeConstants(kernel, 'weights', weights);
  const { workgroups, constants } = flatGrid(Math.ceil(images / 4) * length);
  recorder.record({
    label: kernel,
    shader: {
      path: 'loss/dependence_gradient.wgsl',
      constants: { ...constants, IMAGES: images, LENGTH: length, STRIDE, FACTOR: f32(4 * scale) },
    },
    bindings: [
      ['read', values],
      ['read', weights],
      ['write', gradient],
    ],
    workgroups,
    flops: 12 * images * images * length,
  });
}
