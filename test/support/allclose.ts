import { assert } from 'vitest';
import type { Tolerance } from '../../src/reference/tolerances.ts';

/**
 * Fails unless |actual - expected| <= absolute + relative * |expected| everywhere; names the worst element. A NaN is
 * close only to a NaN, and an infinity only to itself.
 */
export function expectAllclose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { relative, absolute }: Tolerance,
  name: string,
): void {
  if (actual.length !== expected.length) {
    assert.fail(`${name}: ${actual.length} elements, ${expected.length} were expected`);
  }
  let worst = -1;
  let excess = 1;
  let failures = 0;
  for (let i = 0; i < actual.length; i++) {
    if (Object.is(actual[i], expected[i]) || actual[i] === expected[i]) continue;
    const allowed = absolute + relative * Math.abs(expected[i]);
    const ratio = Math.abs(actual[i] - expected[i]) / allowed;
    if (ratio <= 1) continue;
    failures++;
    if (worst < 0 || !(ratio <= excess)) {
      worst = i;
      excess = ratio;
    }
  }
  if (worst < 0) return;
  assert.fail(
    `${name}: ${failures} of ${actual.length} elements are off, worst [${worst}]: got ${actual[worst]}, ` +
      `expected ${expected[worst]}, difference ${Math.abs(actual[worst] - expected[worst]).toExponential(2)}, ` +
      `allowed ${absolute} + ${relative} relative`,
  );
}
