/** Checks that two engines computed the same result. */
import { MidasError } from '../../src/errors.ts';
import type { Case } from './cases.ts';

/**
 * Largest difference allowed between two engines, as a share of the largest value of the result. Sums in different orders
 * differ by a few units in the last place of their largest terms; losses also depend on exp and tanh, which the
 * engines may compute differently, and whose accuracy depends on the adapter. The comment after each number is the largest
 * difference measured on SwiftShader.
 */
export const TOLERANCES: Readonly<Record<Case['kind'], number>> = {
  gemm: 1e-5, // 4.7e-6, over 10304 terms
  conv: 1e-5, // 4.6e-6, over 16384 terms
  inference: 1e-5, // 2.2e-6
  exported: 1e-5,
  defended: 1e-5,
  training: 1e-4, // 3.1e-7
};

/** max |result - reference| / max |reference|; infinite if the lengths differ or a difference is not finite. */
export function largestDifference(result: Float32Array, reference: Float32Array): number {
  if (result.length !== reference.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < reference.length; i++) {
    const off = Math.abs(result[i] - reference[i]);
    if (!Number.isFinite(off)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, off);
    largest = Math.max(largest, Math.abs(reference[i]));
  }
  if (difference === 0) return 0;
  return difference / largest;
}

/**
 * Compares the result of an engine with that of this project.
 * @param engine name of the engine with the result
 * @param reference the result of this project
 * @returns the largest difference, as a share of the largest value of the reference
 * @throws MidasError with case and difference if the difference is larger than {@link TOLERANCES} allow
 */
export function checkSame(
  { name, kind }: Pick<Case, 'name' | 'kind'>,
  engine: string,
  result: Float32Array,
  reference: Float32Array,
): number {
  const difference = largestDifference(result, reference);
  if (difference <= TOLERANCES[kind]) return difference;
  const counts = result.length === reference.length ? '' : `, ${result.length} numbers instead of ${reference.length}`;
  throw new MidasError(
    `${name}: ${engine} differs from midas by ${difference.toExponential(1)} of the largest value${counts}; ` +
      `${TOLERANCES[kind].toExponential(0)} is allowed`,
  );
}
