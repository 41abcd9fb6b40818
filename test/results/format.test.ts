import { expect, test } from 'vitest';
import { differenceDigits, formatDifference } from '../../src/results/format.ts';

test.each([
  [0.0123, '+0.012'],
  [-0.0123, '−0.012'],
  [-0.0002, '0.000'],
  [0, '0.000'],
  [null, 'not measured'],
])('the difference %s is shown as %s', (value, text) => {
  expect(formatDifference(value)).toBe(text);
});

test.each([
  [[-0.0023, -0.0000204], '−0.00230 −0.00002'],
  [[0.0004, 0.01], '+0.0004 +0.0100'],
  [[-0.0023, 0.0000204], '−0.002 0.000'],
  [[-0.02, -0.01], '−0.020 −0.010'],
] as const)('no end of the interval %s reads as zero where the interval is without it: %s', (interval, text) => {
  const digits = differenceDigits(interval);
  expect(interval.map((end) => formatDifference(end, digits)).join(' ')).toBe(text);
});
