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
  const c = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    const [fromA, toC] = [row * rowOfA, row * n];
    if (bias) for (let column = 0; column < n; column++) c[toC + column] = bias[column];
    // Both orders of the loops visit B along its rows and add the products of an element of C in the same order.
    if (transposition === 'nt') {
      for (let column = 0; column < n; column++) {
        let sum = c[toC + column];
        for (let i = 0; i < k; i++) sum += a[fromA + i] * b[column * k + i];
        c[toC + column] = sum;
      }
    } else {
      for (let i = 0; i < k; i++) {
        const factor = a[fromA + i * stepOfA];
        for (let column = 0; column < n; column++) c[toC + column] += factor * b[i * n + column];
      }
    }
  }
  return activationForward(activation, c);
}
