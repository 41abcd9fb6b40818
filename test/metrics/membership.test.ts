import { describe, expect, it } from 'vitest';
import { separation } from '../../src/metrics/membership.ts';
import { Random } from '../../src/random.ts';

/** Normal numbers by the sum of twelve uniform ones, which is close enough. */
function normals(seed: number, count: number, mean = 0): number[] {
  const random = new Random(seed);
  const uniform = () => random.nextU32() / 2 ** 32;
  return Array.from({ length: count }, () => mean - 6 + Array.from({ length: 12 }, uniform).reduce((a, b) => a + b, 0));
}

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
