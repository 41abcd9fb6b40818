/** Float64 reference of the log-softmax that the kernels of shaders/loss compute, over rows of `columns` values. */

/** Returns log softmax(x), row by row. */
export function logSoftmaxForward(x: ArrayLike<number>, columns: number): Float64Array {
  return mapRows(x, columns, (row) => {
    const largest = Math.max(...row);
    const logSum = Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
    return row.map((value) => value - largest - logSum);
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
