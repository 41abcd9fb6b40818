/** Float64 references of shaders/loss/pair_distances.wgsl and dependence_*.wgsl: HSIC, and its gradient. */

/** Squared distances of all pairs of rows, [rows, rows]. @param columns values per row */
export function pairDistances(values: ArrayLike<number>, columns: number): Float64Array {
  const rows = values.length / columns;
  return Float64Array.from({ length: rows * rows }, (_, at) => {
    const [i, j] = [Math.floor(at / rows), at % rows];
    let sum = 0;
    for (let e = 0; e < columns; e++) sum += (values[i * columns + e] - values[j * columns + e]) ** 2;
    return sum;
  });
}

/** The Gaussian kernel of bandwidth 5 sqrt(columns), [rows, rows]. */
export function gaussianKernel(values: ArrayLike<number>, columns: number): Float64Array {
  return pairDistances(values, columns).map((distance) => Math.exp(-distance / (2 * 25 * columns)));
}

/** The linear kernel of one-hot labels: 1 for equal labels, else 0. */
export function labelKernel(labels: ArrayLike<number>): Float64Array {
  const { length } = labels;
  return Float64Array.from({ length: length ** 2 }, (_, at) =>
    labels[Math.floor(at / length)] === labels[at % length] ? 1 : 0,
  );
}

/** Means of the rows of a square matrix. */
export function rowMeans(matrix: Float64Array): Float64Array {
  const size = Math.sqrt(matrix.length);
  return Float64Array.from({ length: size }, (_, i) => {
    const row = matrix.subarray(i * size, (i + 1) * size);
    return row.reduce((sum, value) => sum + value, 0) / size;
  });
}

/** H K H with H = I - 1 / m, for a symmetric K. */
function centred(matrix: Float64Array): Float64Array {
  const means = rowMeans(matrix);
  const { length } = means;
  const mean = means.reduce((sum, value) => sum + value, 0) / length;
  return matrix.map((value, at) => value - means[Math.floor(at / length)] - means[at % length] + mean);
}

/** HSIC of two kernel matrices of m rows, tr(K H L H) / (m - 1)^2: the biased estimator of Gretton et al. (ALT 2005). */
export function hsic(k: Float64Array, l: Float64Array): number {
  const m = Math.sqrt(k.length);
  const other = centred(l);
  return k.reduce((sum, value, at) => sum + value * other[at], 0) / (m - 1) ** 2;
}

/** The weights of pairs of images, whose sum is `target` against hidden values: see {@link dependenceGradient}. */
export function dependenceWeights(target: Float64Array, values: ArrayLike<number>, columns: number): Float64Array {
  const m = Math.sqrt(target.length);
  const kernel = gaussianKernel(values, columns);
  return centred(target).map((value, at) => (value / (m - 1) ** 2) * kernel[at]);
}

/**
 * The gradient of tr(T H K H) / (m - 1)^2 with respect to the values from which the Gaussian kernel matrix K is made.
 * @param weights from {@link dependenceWeights}
 */
export function dependenceGradient(weights: Float64Array, values: ArrayLike<number>, columns: number): Float64Array {
  const m = Math.sqrt(weights.length);
  return Float64Array.from({ length: values.length }, (_, at) => {
    const [i, e] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let j = 0; j < m; j++) sum += weights[i * m + j] * (values[at] - values[j * columns + e]);
    return (-2 / (25 * columns)) * sum;
  });
}
