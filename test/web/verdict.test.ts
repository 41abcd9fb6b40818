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
    const { owner, attacker, both, noise } = verdictOf(point('1111', [1, 1]), point('1000', [0, 1]));
    expect(owner).toBe('The classifier names 1 of 4 photographs right, and 4 without errors.');
    expect(attacker).toBe('A second network recognises 1 of 2 of the attacker’s pictures, and 2 without errors.');
    expect(both).toBe(
      'In this one sample of errors the owner has lost 75 % of the right answers, and the attacker 50 % of the recognised pictures.',
    );
    expect(noise).toMatch(/one sample cannot show whether errors and plain noise differ/);
  });

  it('where nothing could be lost, nothing is said of a loss, and a gain is none', () => {
    expect(verdictOf(point('1111', [0, 0]), point('1000', [0, 1])).both).toBe('');
    expect(verdictOf(point('1000', [1, 0]), point('1111', [1, 0])).both).toContain('lost 0 % of the right answers');
  });
});
