import { describe, expect, it } from 'vitest';
import { likelihoodRatios, scaledConfidence } from '../../src/attacks/lira.ts';

describe('the logit-scaled confidence', () => {
  it('it is ln(p / (1 - p)) of the softmax', () => {
    const logits = [0.3, -1.2, 2, 0.1];
    const exps = logits.map(Math.exp);
    const sum = exps.reduce((a, b) => a + b, 0);
    for (const [label, exp] of exps.entries()) {
      const p = exp / sum;
      expect(scaledConfidence(logits, label)).toBeCloseTo(Math.log(p / (1 - p)), 12);
    }
  });

  it('it stays exact where the confidence rounds to 0 or 1, and is NaN where a logit is not finite', () => {
    expect(scaledConfidence([900, 0, 0], 0)).toBeCloseTo(900 - Math.log(2), 10);
    expect(scaledConfidence([900, 0, 0], 1)).toBeCloseTo(-900, 10);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(scaledConfidence([1, bad, 0], 0)).toBeNaN();
      expect(scaledConfidence([1, bad, 0], 1)).toBeNaN();
    }
  });
});

describe('scores of LiRA', () => {
  it('they are logarithms of the ratio of two normal densities with a common variance', () => {
    const [scores, inside, outside] = [
      [1.5, -0.5],
      [
        [2, 4, 3],
        [1, 0, 2],
      ],
      [
        [0, 1, -1],
        [-2, -1, 0],
      ],
    ];
    const density = (x: number, mean: number, variance: number) =>
      Math.exp(-((x - mean) ** 2) / (2 * variance)) / Math.sqrt(2 * Math.PI * variance);
    // Within photographs both groups deviate by -1, 0 and 1: a variance of 4 / 4.
    const expected = [density(1.5, 3, 1) / density(1.5, 0, 1), density(-0.5, 1, 1) / density(-0.5, -1, 1)];
    for (const [i, score] of likelihoodRatios(scores, inside, outside).entries()) {
      expect(score).toBeCloseTo(Math.log(expected[i]), 12);
    }
  });

  it('a photograph without a score has none, and does not spoil those of others', () => {
    const inside = [
      [2, 4],
      [Number.NaN, 0],
      [1, 0],
    ];
    const outside = inside.map((own) => own.map((value) => value - 3));
    const [first, lost, none] = likelihoodRatios([1, 1, Number.NaN], inside, outside);
    expect(first).toBeTypeOf('number');
    expect(Number.isFinite(first)).toBe(true);
    expect(lost).toBeNaN();
    expect(none).toBeNaN();
  });
});
