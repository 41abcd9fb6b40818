import { describe, expect, test } from 'vitest';
import { aggregate } from '../../src/results/aggregate.ts';
import { comparisons, holm } from '../../src/results/comparisons.ts';
import {
  type Condition,
  conditionKey,
  type NoiseCondition,
  type Results,
  type Row,
  summarise,
} from '../../src/results/results.ts';
import { fakeResults, fakeRow, uniform } from './fake.ts';

const none: Condition = { kind: 'none', rates: {}, layers: 'none' };
const bits: Condition = {
  kind: 'bit-error',
  rates: { fc1: 0.01 },
  layers: 'fc1',
  format: 'fixed12',
  granularity: 'load',
};
const noise: NoiseCondition = {
  kind: 'gaussian',
  rates: { fc1: 0.2 },
  granularity: 'load',
  layers: 'fc1',
  matchedTo: conditionKey(bits),
};

/** A row of 30 people whose lift is that of `draw` under every condition, plus `more`. */
function row(condition: Condition, draw: number, accuracy: number, more: (person: number) => number): Row {
  const base = fakeRow(bits, draw, { accuracy: 0.8, pcc: 0.6, lift: 0.2 }, 30);
  return lifted({ ...base, condition, accuracy }, more);
}

/** A row of 30 people whose lift is that of another row plus `more`. */
function lifted(base: Row, more: (person: number) => number): Row {
  const lift = base.perIdentity.liftMeanFree!.map((value, person) => value! + more(person));
  const perIdentity = { ...base.perIdentity, liftMeanFree: lift };
  return { ...base, liftMeanFree: lift.reduce((sum, value) => sum + value, 0) / 30, perIdentity };
}

function results(rows: Row[], seed = 1): Results {
  const { manifest, schema, baselines } = fakeResults({ draws: 1, identities: 2 });
  return { schema, manifest: { ...manifest, seed }, rows, summary: summarise(rows), baselines };
}

const same = () => 0;
const clean = row(none, 0, 0.9, same);
const draws = [0, 1, 2, 3, 4];
const liftOf = (all: ReturnType<typeof comparisons>, kind: string) =>
  all.find((each) => each.kind === kind && each.metric === 'liftMeanFree')!;

describe('the correction of Holm', () => {
  test('tests are rejected from the smallest p-value on, each at its own level, until one is not', () => {
    const tested = holm([0.04, 0.001, undefined, 0.02, 0.5]);
    expect(tested.map(({ rejected }) => rejected)).toEqual([false, true, false, false, false]);
    expect(tested[1].level).toBeCloseTo(0.05 / 5, 12);
    // 0.02 is tested at 0.05 / 4 and not rejected; all others keep that level.
    for (const i of [0, 2, 3, 4]) expect(tested[i].level).toBeCloseTo(0.05 / 4, 12);
  });

  test('several tests that are all rejected end at the uncorrected level', () => {
    expect(holm([0.01, 0.03, 0.001]).map(({ level }) => level)).toEqual([0.05 / 2, 0.05, 0.05 / 3]);
  });
});

describe('bit errors and noise at equal accuracy', () => {
  const rowsOf = (more: (person: number, draw: number) => number, accuracy = 0.8) =>
    draws.flatMap((draw) => [row(bits, draw, 0.8, same), row(noise, draw, accuracy, (person) => more(person, draw))]);

  test('a planted difference is found with its direction, however different the people are', () => {
    const random = uniform(5);
    const found = liftOf(comparisons(results([clean, ...rowsOf(() => 0.05 + 0.01 * random())])), 'equal accuracy');
    expect(found.first).toEqual(bits);
    expect(found.second).toEqual(noise);
    expect(found.verdict).toBe('lower');
    expect(found.mean).toBeCloseTo(-0.055, 2);
    expect(found.interval![1]).toBeLessThan(0);
  });

  test('no difference is equivalence only where the test shows it', () => {
    const random = uniform(6);
    const small = liftOf(comparisons(results([clean, ...rowsOf(() => 0.005 * (random() - 0.5))])), 'equal accuracy');
    expect(small.verdict).toBe('equivalent');
    expect(Math.max(...small.interval!.map(Math.abs))).toBeLessThan(small.margin);
    const large = liftOf(comparisons(results([clean, ...rowsOf(() => 0.6 * (random() - 0.5))])), 'equal accuracy');
    expect(large.verdict).toBe('open');
    expect(large.interval![0]).toBeLessThan(0);
    expect(large.interval![1]).toBeGreaterThan(0);
  });

  test('planted nulls are declared different in at most five of a hundred reports', () => {
    const random = uniform(7);
    // Pairs are chosen by accuracies, which are the same in all reports: one summary serves all.
    const equal = results([clean, ...rowsOf(same)]);
    let claimed = 0;
    for (let report = 0; report < 120; report++) {
      const shift = draws.map(() => 0.05 * (random() + random() - 1));
      const rows = equal.rows.map((each) =>
        each.condition === noise ? lifted(each, () => shift[each.draw] + 0.2 * (random() - 0.5)) : each,
      );
      const verdicts = comparisons({ ...equal, rows }).filter(({ kind }) => kind === 'equal accuracy');
      if (verdicts.some(({ verdict }) => verdict === 'lower' || verdict === 'higher')) claimed++;
    }
    expect(claimed).toBeLessThan(13);
  });

  test('noise that was calibrated badly is moved to the accuracy of the bit errors along its own curve', () => {
    // The noise costs 0.05 more accuracy, and the lift falls by 0.4 per unit of accuracy on its way there from 0.9.
    const curve = (accuracy: number) => 0.4 * (accuracy - 0.8);
    const undefended = row(none, 0, 0.9, () => curve(0.9));
    const weaker = { ...noise, rates: { fc1: 0.1 }, matchedTo: undefined };
    const stronger = { ...noise, rates: { fc1: 0.3 }, matchedTo: undefined };
    const rows = draws.flatMap((draw) => [
      row(bits, draw, 0.8, () => 0.03 + curve(0.8)),
      row(noise, draw, 0.75, () => curve(0.75)),
      row(weaker, draw, 0.85, () => curve(0.85)),
      row(stronger, draw, 0.7, () => curve(0.7)),
    ]);
    const found = liftOf(comparisons(results([undefended, ...rows])), 'equal accuracy');
    expect(found.accuracy).toEqual({ first: expect.closeTo(0.8, 12), second: expect.closeTo(0.75, 12) });
    // Without the move the difference would be 0.05.
    expect(found.mean!).toBeCloseTo(0.03, 2);
  });

  test('a draw that is missing on one side does not count, and the order of the rows does not matter', () => {
    const random = uniform(8);
    const rows = [clean, ...rowsOf(() => 0.05 + 0.1 * random())];
    const forwards = comparisons(results(rows));
    expect(comparisons(results([rows[0], ...rows.slice(1).reverse()]))).toEqual(forwards);
    // The first draw of the bit errors is missing: the others are still paired with their own draws.
    const fewer = liftOf(
      comparisons(results(rows.filter((each) => each.condition !== bits || each.draw > 0))),
      'equal accuracy',
    );
    expect(fewer.verdict).toBe('lower');
  });

  test('thirty people who are all identified on both sides do not show that identification is the same within five points', () => {
    const identified = (condition: Condition, draw: number) => {
      const own = row(condition, draw, 0.8, same);
      return { ...own, rank1: 1, perIdentity: { ...own.perIdentity, rank1: own.perIdentity.pcc.map(() => 1) } };
    };
    const rows = draws.flatMap((draw) => [identified(bits, draw), identified(noise, draw)]);
    const found = comparisons(results([clean, ...rows])).find(
      ({ kind, metric }) => kind === 'equal accuracy' && metric === 'rank1',
    )!;
    expect(found.verdict).toBe('open');
    expect(found.interval![0]).toBeLessThan(-0.05);
  });

  test('accuracies that are far apart are not made equal, and pairs that could not be measured are not left out silently', () => {
    const apart = liftOf(comparisons(results([clean, ...rowsOf(() => 0.1, 0.7)])), 'equal accuracy');
    expect([apart.untested, apart.verdict, apart.interval]).toEqual(['accuracy', 'open', null]);
    const lost = rowsOf(() => 0.1).map((each) => {
      const hidden = each.perIdentity.liftMeanFree!.map((value, person) => (person < 6 ? null : value));
      return { ...each, perIdentity: { ...each.perIdentity, liftMeanFree: hidden } };
    });
    const few = liftOf(comparisons(results([clean, ...lost])), 'equal accuracy');
    expect([few.untested, few.verdict]).toEqual(['unmeasured', 'open']);
  });

  test('noise of equal moments, and noise that was not calibrated, is not compared', () => {
    for (const other of [
      { ...noise, calibration: 'moments' as const },
      { ...noise, matchedTo: undefined },
    ]) {
      const rows = draws.flatMap((draw) => [row(bits, draw, 0.8, same), row(other, draw, 0.8, same)]);
      expect(comparisons(results([clean, ...rows])).filter(({ kind }) => kind === 'equal accuracy')).toEqual([]);
    }
  });
});

describe('a setting and the undefended model', () => {
  test('the strongest setting within two points of accuracy is compared, whatever its outcome', () => {
    const mild: Condition = { ...bits, rates: { fc1: 0.001 } };
    const strong: Condition = { ...bits, rates: { fc1: 0.002 } };
    const rows = draws.flatMap((draw) => [
      row(mild, draw, 0.895, () => -0.3),
      row(strong, draw, 0.885, same),
      row(bits, draw, 0.8, () => -0.3),
    ]);
    const all = comparisons(results([clean, ...rows])).filter(({ metric }) => metric === 'liftMeanFree');
    // The second is the memory that costs the most accuracy.
    expect(all.map(({ kind, first, second }) => [kind, first, second])).toEqual([
      ['undefended', strong, none],
      ['undefended', bits, none],
    ]);
    expect(all[1].verdict).toBe('lower');
  });

  test('a single draw of errors has neither an interval nor a verdict', () => {
    const found = liftOf(comparisons(results([clean, row(bits, 0, 0.89, () => -0.3)])), 'undefended');
    expect([found.interval, found.p, found.verdict]).toEqual([null, null, 'open']);
  });
});

describe('comparisons over several victims', () => {
  test('victims are the sample: five victims with the same difference show it, and two do not', () => {
    const random = uniform(9);
    const victim = (seed: number) =>
      results(
        [
          clean,
          ...draws.flatMap((draw) => [row(bits, draw, 0.8, same), row(noise, draw, 0.8, () => 0.05 + 0.02 * random())]),
        ],
        seed,
      );
    const verdict = (count: number) =>
      liftOf(comparisons(aggregate(Array.from({ length: count }, (_, i) => victim(i + 1)))), 'equal accuracy');
    expect(verdict(5).verdict).toBe('lower');
    expect(verdict(5).mean).toBeCloseTo(-0.06, 2);
    expect(verdict(2).interval).not.toBeNull();
  });

  /** Five victims whose noise has a curve of accuracy and lift, and misses the accuracy of the bit errors by a little. */
  const curved = (effect: number, miss: (seed: number) => number) => {
    const random = uniform(12);
    const victim = (seed: number) => {
      const level = 0.01 * random();
      const at = (condition: Condition, draw: number, accuracy: number, more: number) =>
        row(condition, draw, accuracy, (person) => level + more - 0.4 * (0.9 - accuracy) + 0.001 * (person % 3));
      const other = (scale: number): NoiseCondition => ({ ...noise, rates: { fc1: scale }, matchedTo: undefined });
      const rows = draws.flatMap((draw) => [
        at(bits, draw, 0.8, effect + 0.004 * (random() - 0.5)),
        at(noise, draw, 0.8 + miss(seed), 0),
        at(other(0.1), draw, 0.86, 0.001 * (random() - 0.5)),
        at(other(0.3), draw, 0.74, 0.001 * (random() - 0.5)),
      ]);
      return results([at(none, 0, 0.9, 0), ...rows], seed);
    };
    return liftOf(comparisons(aggregate([1, 2, 3, 4, 5].map(victim))), 'equal accuracy');
  };

  test('five victims show a small effect at equal accuracy, moved along five independent slopes', () => {
    const found = curved(-0.02, (seed) => 0.01 * (seed - 3));
    expect(found.verdict).toBe('lower');
    expect(found.mean).toBeCloseTo(-0.02, 2);
    expect(found.interval![1] - found.interval![0]).toBeLessThan(0.02);
    expect(curved(0, (seed) => 0.01 * (seed - 3)).verdict).not.toBe('lower');
  });

  test('one victim whose noise misses the accuracy does not end the comparison, but five do', () => {
    expect(curved(-0.02, (seed) => (seed === 1 ? 0.08 : 0)).untested).toBeUndefined();
    expect(curved(-0.02, () => 0.08).untested).toBe('accuracy');
  });

  test('five victims in the same two DIMMs do not show what only these DIMMs do', () => {
    const random = uniform(13);
    const victims = (dimms: readonly (string | undefined)[], effects: readonly number[]) =>
      [1, 2, 3, 4, 5].map((seed) =>
        results(
          [
            clean,
            ...effects.map((effect, draw) => ({
              ...row(bits, draw, 0.89, () => effect + 0.01 * random()),
              ...(dimms[draw] !== undefined && { dimm: dimms[draw] }),
            })),
          ],
          seed,
        ),
      );
    const liftIn = (...asked: Parameters<typeof victims>) =>
      liftOf(comparisons(aggregate(victims(...asked))), 'undefended');
    const effects = [-0.3, -0.02];
    expect(liftIn([undefined, undefined], effects).verdict).toBe('lower');
    const found = liftIn(['C1', 'C2'], effects);
    expect(found.verdict).toBe('open');
    expect(found.interval![0]).toBeLessThan(-0.3);
    // A DIMM that is drawn again counts once.
    expect(liftIn(['C1', 'C2', 'C1'], [-0.3, -0.02, -0.3]).mean).toBeCloseTo(found.mean!, 2);
  });
});
