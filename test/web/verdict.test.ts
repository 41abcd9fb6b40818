import { describe, expect, it } from 'vitest';
import { namedBy, type Point, recognisedBy, verdictOf } from '../../src/web/verdict.ts';

const point = (correct: string, recognised: (number | null)[]): Point => ({ correct, recognised, pcc: null });

describe('the counts of a measurement', () => {
  it('photographs are counted by their answers, and pictures that were not measured are left out', () => {
    const some = point('1101', [1, 0, null, 1]);
    expect(namedBy(some)).toEqual({ right: 3, of: 4 });
    expect(recognisedBy(some)).toEqual({ right: 2, of: 3 });
  });

  it('the verdict states the counts with and without errors, and claims no difference to noise', () => {
    const { owner, attacker, noise } = verdictOf(point('1111', [1, 1]), point('1000', [0, 1]));
    expect(owner).toBe('The classifier names 1 of 4 photographs right, and 4 without errors.');
    expect(attacker).toBe(
      'An independent evaluator recognises 1 of 2 of the attacker’s pictures, and 2 without errors.',
    );
    expect(noise).toMatch(/no difference to plain noise is shown/);
  });
});
