/** Float64 references of softmax and log-softmax, over rows of `columns` values. */

/** Returns log softmax(x), row by row. */
export function logSoftmaxForward(x: ArrayLike<number>, columns: number): Float64Array {
  return mapRows(x, columns, (row) => {
    const largest = Math.max(...row);
    const logSum = Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
    return row.map((value) => value - largest - logSum);
  });
}

/** Returns softmax(x), row by row. */
export function softmaxForward(x: ArrayLike<number>, columns: number): Float64Array {
  return logSoftmaxForward(x, columns).map(Math.exp);
}

/**
 * Returns the gradient with respect to x.
 * @param y softmax(x), or log softmax(x) if `logarithm` is true
 */
export function softmaxBackward(
  y: ArrayLike<number>,
  gradOutput: ArrayLike<number>,
  columns: number,
  logarithm: boolean,
): Float64Array {
  return mapRows(y, columns, (row, first) => {
    const dy = row.map((_, j) => gradOutput[first + j]);
    const sum = dy.reduce((total, value, j) => total + (logarithm ? value : value * row[j]), 0);
    return row.map((value, j) => (logarithm ? dy[j] - Math.exp(value) * sum : value * (dy[j] - sum)));
  });
}

/** Applies `f` to each row (and the index of its first element). */
function mapRows(x: ArrayLike<number>, columns: number, f: (row: number[], first: number) => number[]): Float64Array {
  const result = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += columns) {
    const row = Array.from({ length: columns }, (_, j) => x[first + j]);
    result.set(f(row, first), first);
  }
  return result;
}
