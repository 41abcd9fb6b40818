/** Solves systems of linear equations with a positive definite matrix. */

/** Replaces the lower triangle (row i has i + 1 entries) of a positive definite matrix by its Cholesky factor L. */
export function choleskyInPlace(rows: Float64Array[]): void {
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = rows[i][j];
      for (let k = 0; k < j; k++) sum -= rows[i][k] * rows[j][k];
      rows[i][j] = i === j ? Math.sqrt(sum) : sum / rows[j][j];
    }
  }
}

/** x with L L^T x = target; overwrites and returns `target`. */
export function solve(factor: Float64Array[], target: Float64Array): Float64Array {
  solveLower(factor, target);
  for (let i = target.length - 1; i >= 0; i--) {
    for (let k = i + 1; k < target.length; k++) target[i] -= factor[k][i] * target[k];
    target[i] /= factor[i][i];
  }
  return target;
}

/** x with L x = target; overwrites and returns `target`. */
export function solveLower(factor: Float64Array[], target: Float64Array): Float64Array {
  for (let i = 0; i < target.length; i++) {
    for (let k = 0; k < i; k++) target[i] -= factor[i][k] * target[k];
    target[i] /= factor[i][i];
  }
  return target;
}
