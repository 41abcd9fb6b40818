/**
 * Tests that take minutes: `npm run test:long` runs them, `npm test` skips them and says so. On two cores, the 290,000 damaged
 * files take about ten minutes and the imports of 100 MB about two; the killed runs take longest.
 */
import { test } from 'vitest';

const REASON = 'takes minutes: npm run test:long';

/** True in `npm run test:long`, or when MIDAS_TEST_LONG is set. */
export const LONG = (process.env.MIDAS_TEST_LONG ?? '') !== '';

/** A test that runs only in long runs. @param minutes after which it fails */
export function longTest(title: string, minutes: number, run: () => Promise<void>): void {
  if (!LONG) console.error(`skipped: ${title} (${REASON})`);
  test.skipIf(!LONG)(title, { timeout: minutes * 60_000 }, run);
}
