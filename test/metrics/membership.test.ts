import { describe, expect, it } from 'vitest';
import { likelihoodRatios, scaledConfidence, separation } from '../../src/metrics/membership.ts';
import { Random } from '../../src/random.ts';

/** Normal numbers by the sum of twelve uniform ones, which is close enough. */
function normals(seed: number, count: number, mean = 0): number[] {
  const random = new Random(seed);
  const uniform = () => random.nextU32() / 2 ** 32;
  return Array.from({ length: count }, () => mean - 6 + Array.from({ length: 12 }, uniform).reduce((a, b) => a + b, 0));
}

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

describe('separation of members from non-members', () => {
  /** All pairs, and all thresholds. */
  function bruteForce(members: readonly number[], others: readonly number[]) {
    let wins = 0;
    for (const a of members) for (const b of others) wins += a > b ? 1 : a === b ? 0.5 : 0;
    let tpr = 0;
    for (const threshold of [...members, ...others, Number.NEGATIVE_INFINITY]) {
      const above = (values: readonly number[]) => values.filter((value) => value > threshold).length / values.length;
      if (above(others) <= 0.01) tpr = Math.max(tpr, above(members));
    }
    return { auc: wins / members.length / others.length, tpr };
  }

  it.each([
    ['shifted', normals(1, 150, 1), normals(2, 230)],
    ['alike', normals(3, 120), normals(4, 120)],
    ['with ties', normals(5, 110, 0.5).map(Math.round), normals(6, 130).map(Math.round)],
    ['apart', normals(7, 100, 20), normals(8, 100)],
  ])('AUC and true positives of scores %s agree with brute force', (_, members, others) => {
    const { auc, tprAtOnePercent, below, above, caught } = separation(members, others);
    const expected = bruteForce(members, others);
    expect(auc).toBeCloseTo(expected.auc, 12);
    expect(tprAtOnePercent).toBeCloseTo(expected.tpr, 12);
    const mean = (values: readonly (number | null)[]) => values.reduce((sum: number, x) => sum + x!, 0) / values.length;
    expect(mean(below)).toBeCloseTo(expected.auc, 12);
    expect(mean(above)).toBeCloseTo(expected.auc, 12);
    expect(mean(caught)).toBeCloseTo(expected.tpr, 12);
  });

  it('with fewer than 100 non-members 1 % of false positives is not measured', () => {
    expect(separation(normals(1, 200), normals(2, 99)).tprAtOnePercent).toBeNull();
    expect(separation(normals(1, 200), [...normals(2, 99), null]).tprAtOnePercent).toBeNull();
    expect(separation(normals(1, 200), normals(2, 100)).tprAtOnePercent).not.toBeNull();
  });

  it('scores that are missing are left out', () => {
    expect(separation([3, null, 1], [2, 0, null])).toMatchObject({
      auc: 0.75,
      below: [1, null, 0.5],
      above: [0.5, 1, null],
    });
    expect(separation([null], [1])).toMatchObject({ auc: null, below: [null], above: [null] });
  });
});
