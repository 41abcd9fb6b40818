/** Float64 references of shaders/reduce, over rows of `columns` values. */

/** The sum of every column. */
export function columnSum(x: ArrayLike<number>, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let i = 0; i < x.length; i++) sums[i % columns] += x[i];
  return sums;
}

function rowSum(x: ArrayLike<number>, columns: number): Float64Array {
  const sums = new Float64Array(x.length / columns);
  for (let i = 0; i < x.length; i++) sums[Math.floor(i / columns)] += x[i];
  return sums;
}

/** The L2 norm of every row. */
export function rowNorm(x: ArrayLike<number>, columns: number): Float64Array {
  return rowSum(
    new Float64Array(x).map((value) => value * value),
    columns,
  ).map(Math.sqrt);
}

/** Returns (max |x|, max x). */
export function maxAbs(x: ArrayLike<number>): [number, number] {
  let [size, top] = [0, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < x.length; i++) {
    size = Math.max(size, Math.abs(x[i]));
    top = Math.max(top, x[i]);
  }
  return [size, top];
}
