/** Float64 reference of the GEMM kernels: C = act(op(A) op(B) + bias), row-major without padding. */
import type { Activation } from '../kernels/activation.ts';
import type { Transposition } from '../kernels/gemm.ts';
import { activationForward } from './activation.ts';

/** A product of op(A), m x k, and op(B), k x n. */
export interface Product {
  readonly transposition: Transposition;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Rows and columns of the stored operands. */
export function operandShapes({ transposition, m, n, k }: Product): { a: [number, number]; b: [number, number] } {
  return { a: transposition === 'tn' ? [k, m] : [m, k], b: transposition === 'nt' ? [n, k] : [k, n] };
}

/** Returns C, m x n. @param bias n values, added to every row */
export function gemm(
  { transposition, m, n, k }: Product,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  bias?: ArrayLike<number>,
  activation: Activation = 'none',
): Float64Array {
  const [rowOfA, stepOfA] = transposition === 'tn' ? [1, m] : [k, 1];
  const [columnOfB, stepOfB] = transposition === 'nt' ? [k, 1] : [1, n];
  const c = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = bias?.[column] ?? 0;
      for (let i = 0; i < k; i++) sum += a[row * rowOfA + i * stepOfA] * b[column * columnOfB + i * stepOfB];
      c[row * n + column] = sum;
    }
  }
  return activationForward(activation, c);
}
