import { describe, expect, test } from 'vitest';
import { aggregate } from '../../src/results/aggregate.ts';
import { markdownReport } from '../../src/results/markdown.ts';
import {
  type AttackDescription,
  type Condition,
  type Results,
  type Row,
  summarise,
} from '../../src/results/results.ts';
import { worstCases } from '../../src/results/worst_case.ts';
import { fakeResults, fakeRow, uniform } from './fake.ts';

const NONE: Condition = { kind: 'none', rates: {}, layers: 'none' };
const ERRORS: Condition = {
  kind: 'bit-error',
  ...{ format: 'fixed12', granularity: 'load', rates: { fc1: 0.01 }, layers: 'fc1' },
};
const MORE: Condition = { ...ERRORS, rates: { fc1: 0.02 } };
const DRAWS = [0, 1, 2, 3, 4, 5];

/** A row of 30 people whose lift is `lift` plus what the random numbers give. */
function row(attack: string, condition: Condition, draw: number, lift: number, random: () => number): Row {
  const base = fakeRow(condition, draw, { accuracy: condition === NONE ? 0.9 : 0.88, pcc: 0.5, lift: 0.2 }, 30, attack);
  const lifts = base.perIdentity.pcc.map(() => lift + 0.1 * (random() - 0.5));
  const mean = lifts.reduce((sum, value) => sum + value, 0) / 30;
  return { ...base, liftMeanFree: mean, perIdentity: { ...base.perIdentity, liftMeanFree: lifts } };
}

/** Mean lifts of an attack under each condition. */
type Planted = Readonly<Record<string, readonly [none: number, errors: number, more?: number]>>;

function run(planted: Planted, random: () => number, described: readonly Partial<AttackDescription>[] = []): Results {
  const conditions = [NONE, ERRORS, MORE];
  const rows = Object.entries(planted).flatMap(([attack, lifts]) =>
    lifts.flatMap((lift, i) => (i === 0 ? [0] : DRAWS).map((draw) => row(attack, conditions[i], draw, lift!, random))),
  );
  const { manifest, schema, baselines } = fakeResults({ draws: 1, identities: 2 });
  const attacks = Object.keys(planted).map((name, i) => ({ name, kind: 'mi-face', title: name, ...described[i] }));
  return { schema, manifest: { ...manifest, attacks }, rows, summary: summarise(rows), baselines };
}

/** Results with other values of the lift: of a summary, which takes long, only its means change. */
function again({ rows, summary, ...rest }: Results, random: () => number, lifts: (row: Row) => number): Results {
  const changed = rows.map((each) => row(each.attack, each.condition, each.draw, lifts(each), random));
  const means = summary.map((entry) => {
    const own = changed.filter(({ attack, condition }) => attack === entry.attack && condition === entry.condition);
    const mean = own.reduce((sum, { liftMeanFree }) => sum + liftMeanFree!, 0) / own.length;
    return { ...entry, liftMeanFree: { ...entry.liftMeanFree, mean } };
  });
  return { ...rest, rows: changed, summary: means };
}

describe('the worst of several attackers', () => {
  test('a planted fall is hidden by an attacker who adapts, and both are found', () => {
    const [found] = worstCases(run({ naive: [0.4, 0.2], adaptive: [0.4, 0.4] }, uniform(1)));
    expect(found.worst.attack).toBe('adaptive');
    expect(found.accuracy.mean).toBeCloseTo(-0.02, 2);
    expect(found.change.verdict).toBe('open');
    expect(found.change.interval![0]).toBeLessThan(0);
    expect(found.change.interval![1]).toBeGreaterThan(0);
    expect(found.adaptive).toMatchObject({ attack: 'adaptive', first: 'naive', verdict: 'higher' });
    expect(found.adaptive!.mean).toBeCloseTo(0.2, 1);
    expect(found.adaptive!.interval![0]).toBeGreaterThan(0.15);
  });

  test('the leak is lower only where it is lower for every attacker', () => {
    const all = worstCases(run({ naive: [0.4, 0.2], other: [0.35, 0.25] }, uniform(2)));
    expect(all[0].change.verdict).toBe('lower');
    expect(all[0].undefended).toMatchObject({ attack: 'naive' });
    expect(all[0].change.interval![1]).toBeLessThan(-0.1);
    // What the third sees of the undefended model does not count: of the model with errors it sees as much as the first did.
    const hidden = worstCases(run({ naive: [0.4, 0.2], other: [0.35, 0.25], third: [0.1, 0.4] }, uniform(2)));
    expect(hidden[0].change.verdict).toBe('open');
  });

  test('one attacker alone has no worst case', () => {
    expect(worstCases(run({ naive: [0.4, 0.2] }, uniform(3)))).toEqual([]);
  });

  test('a control that does not see the victim is no attacker', () => {
    const planted = { naive: [0.4, 0.2], other: [0.4, 0.1], control: [0.5, 0.5] } as const;
    const [found] = worstCases(run(planted, uniform(4), [{}, {}, { isControl: true }]));
    expect(found.worst.attack).toBe('naive');
    expect(found.undefended.attack).not.toBe('control');
  });

  test('an attacker who reaches few people is left out', () => {
    const all = run({ naive: [0.4, 0.2], other: [0.4, 0.1], few: [0.5, 0.5] }, uniform(10));
    const rows = all.rows.map((each) => {
      const lifts = each.perIdentity.liftMeanFree!.map((value, person) => (person % 5 === 0 ? null : value));
      const perIdentity = { ...each.perIdentity, liftMeanFree: lifts };
      return each.attack === 'few' ? { ...each, perIdentity, unmeasured: 6 } : each;
    });
    const [found] = worstCases({ ...all, rows, summary: summarise(rows) });
    expect(found.worst.attack).toBe('naive');
    expect(found.undefended.attack).not.toBe('few');
    expect(found.change.verdict).toBe('lower');
  });

  test('an attacker who reaches few people with errors only is left out without them, too, and is not the first of the others', () => {
    const all = run({ few: [0.6, 0.6], naive: [0.4, 0.2], other: [0.4, 0.3] }, uniform(11));
    const rows = all.rows.map((each) => {
      const lifts = each.perIdentity.liftMeanFree!.map((value, person) => (person % 5 === 0 ? null : value));
      const perIdentity = { ...each.perIdentity, liftMeanFree: lifts };
      const isLost = each.attack === 'few' && each.condition === ERRORS;
      return isLost ? { ...each, perIdentity, unmeasured: 6 } : each;
    });
    const [found] = worstCases({ ...all, rows, summary: summarise(rows) });
    expect(found.undefended.attack).not.toBe('few');
    expect(found.change.verdict).toBe('lower');
    expect(found.adaptive).toBeUndefined();
  });

  test('attackers of other pictures are not compared', () => {
    const planted = { first: [0.4, 0.2], second: [0.4, 0.3], inverts: [0.8, 0.7], clips: [0.8, 0.75] } as const;
    const split = { split: 'held-out' } as const;
    const all = worstCases(run(planted, uniform(5), [{}, {}, split, split]));
    expect(all.map(({ split: of, worst }) => [of, worst.attack])).toEqual([
      [undefined, 'second'],
      ['held-out', 'clips'],
    ]);
  });

  test('of attackers who are all equal, a difference is claimed no more often than the level of the test allows', () => {
    const random = uniform(6);
    const equal = run({ a: [0.4, 0.4, 0.4], b: [0.4, 0.4, 0.4], c: [0.4, 0.4, 0.4] }, random);
    let claimed = 0;
    for (let report = 0; report < 50; report++) {
      const all = worstCases(again(equal, random, () => 0.4));
      expect(all).toHaveLength(2);
      if (all.some(({ change, adaptive }) => change.verdict !== 'open' || adaptive!.verdict !== 'open')) claimed++;
    }
    // Two families, of changes and of gains, each at 5 %: 5 of 50, and four deviations of a binomial number.
    expect(claimed).toBeLessThan(5 + 4 * Math.sqrt(5 * 0.9));
  });

  test('an interval excludes zero exactly where a difference is claimed', () => {
    const random = uniform(7);
    const equal = run({ a: [0.4, 0.4], b: [0.4, 0.4, 0.4] }, random);
    for (let report = 0; report < 40; report++) {
      const by = 0.03 * (random() - 0.5);
      const lifts = ({ attack, condition }: Row) => 0.4 + (condition === NONE ? 0 : attack === 'a' ? by : -by);
      const all = worstCases(again(equal, random, lifts));
      for (const { change, adaptive } of all) {
        for (const each of [change, adaptive].filter((one) => one !== undefined)) {
          const [low, high] = each.interval!;
          expect(each.verdict).toBe(low > 0 ? 'higher' : high < 0 ? 'lower' : 'open');
        }
      }
    }
  });

  test('of several victims every one counts, and one victim of several is not tested', () => {
    const random = uniform(8);
    const planted: Planted = { naive: [0.4, 0.2], adaptive: [0.4, 0.38] };
    const runs = [1, 2, 3].map((seed) => {
      const one = run(planted, random);
      return { ...one, manifest: { ...one.manifest, seed } };
    });
    const [found] = worstCases(aggregate(runs));
    expect(found.adaptive!.verdict).toBe('higher');
    const alone = { ...runs[0], rows: runs[0].rows.filter(({ attack }) => attack === 'naive') };
    const [partly] = worstCases(
      aggregate([
        { ...alone, summary: summarise(alone.rows) },
        { ...alone, manifest: runs[1].manifest, summary: summarise(alone.rows) },
        runs[2],
      ]),
    );
    expect(partly.adaptive).toMatchObject({ interval: null, verdict: 'open' });
  });

  test('the tables of a report have the worst cases in words', () => {
    const text = markdownReport(run({ naive: [0.4, 0.2], adaptive: [0.4, 0.4] }, uniform(9)));
    expect(text).toContain('### The worst of all attackers');
    expect(text).toMatch(
      /Bit errors 1 %, fc1 \| −0\.0\d+ \[.*?\] \| adaptive \| 0\.\d+ \|.*no difference shown \| adaptive: \+0\.\d+ \[/,
    );
  });
});
