import { describe, expect, it } from 'vitest';
import { matchedTemperature, meanEntropy } from '../../src/attacks/recalibration.ts';
import { Random } from '../../src/random.ts';

const CLASSES = 6;
const random = new Random(5);
const LOGITS = Float32Array.from({ length: 20 * CLASSES }, () => (random.nextU32() / 2 ** 31 - 1) * 4);

describe('recalibration of confidences by temperature', () => {
  it('entropy is that of the softmax', () => {
    expect(meanEntropy(new Float32Array(12), 6)).toBeCloseTo(Math.log(6), 12);
    expect(meanEntropy(Float32Array.of(0, 1e4, 0), 3)).toBe(0);
    const [p, q] = [1 / (1 + Math.E), Math.E / (1 + Math.E)];
    expect(meanEntropy(Float32Array.of(3, 4), 2)).toBeCloseTo(-p * Math.log(p) - q * Math.log(q), 6);
    expect(meanEntropy(Float32Array.of(6, 8), 2, 2)).toBeCloseTo(meanEntropy(Float32Array.of(3, 4), 2), 6);
  });

  it('entropy leaves out rows that are not numbers', () => {
    const rows = Float32Array.of(3, 4, Number.NaN, 1, 0, Number.POSITIVE_INFINITY);
    expect(meanEntropy(rows, 2)).toBe(meanEntropy(rows.subarray(0, 2), 2));
    expect(matchedTemperature(rows.subarray(2), 2, 0.3)).toBe(1);
  });

  it.each([0.3, 1, 3])('the matched temperature undoes a scale of %d', (scale) => {
    const scaled = LOGITS.map((value) => value * scale);
    const temperature = matchedTemperature(scaled, CLASSES, meanEntropy(LOGITS, CLASSES));
    expect(temperature).toBeCloseTo(scale, 4);
  });

  it('the matched temperature stays within its bounds', () => {
    expect(matchedTemperature(LOGITS, CLASSES, 10)).toBeCloseTo(100, 3);
    expect(matchedTemperature(LOGITS, CLASSES, 0)).toBeCloseTo(0.01, 6);
  });
});
