/** Twins of the softmax kernels of shaders/loss, in float64, over rows of `columns` values. */

export function logSoftmaxForward(x: ArrayLike<number>, columns: number): Float64Array {
  return mapRows(x, columns, (row) => {
    const largest = Math.max(...row);
    const logSum = Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
    return row.map((value) => value - largest - logSum);
  });
}

export function softmaxForward(x: ArrayLike<number>, columns: number): Float64Array {
  return logSoftmaxForward(x, columns).map(Math.exp);
}

export function logSoftmaxBackward(y: ArrayLike<number>, gradOutput: ArrayLike<number>, columns: number): Float64Array {
  return mapRows(gradOutput, columns, (row, first) => {
    const sum = row.reduce((total, value) => total + value, 0);
    return row.map((value, j) => value - Math.exp(y[first + j]) * sum);
  });
}

export function softmaxBackward(y: ArrayLike<number>, gradOutput: ArrayLike<number>, columns: number): Float64Array {
  return mapRows(gradOutput, columns, (row, first) => {
    const sum = row.reduce((total, value, j) => total + value * y[first + j], 0);
    return row.map((value, j) => y[first + j] * (value - sum));
  });
}

/** Applies `f` to each row (and the index of its first element). */
export function mapRows(
  x: ArrayLike<number>,
  columns: number,
  f: (row: number[], first: number) => number[],
): Float64Array {
  const result = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += columns) {
    const row = Array.from({ length: columns }, (_, j) => x[first + j]);
    result.set(f(row, first), first);
  }
  return result;
}
