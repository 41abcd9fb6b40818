import { expect, test } from 'vitest';
import { formatDifference } from '../../src/results/format.ts';

test.each([
  [0.0123, '+0.012'],
  [-0.0123, '−0.012'],
  [0.0005, '+0.001'],
  [-0.00049, '−0.0005'],
  [0.0002, '+0.0002'],
  [-0.0000204, '−0.00002'],
  [-1e-17, '0.000'],
  [0, '0.000'],
  [null, 'not measured'],
])('the difference %s is shown as %s, and as zero only where it is one', (value, text) => {
  expect(formatDifference(value)).toBe(text);
});
