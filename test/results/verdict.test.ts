import { describe, expect, test } from 'vitest';
import { aggregate } from '../../src/results/aggregate.ts';
import { conditionLabel } from '../../src/results/labels.ts';
import { type Results, summarise } from '../../src/results/results.ts';
import { accuracyText, intervalNote, inWords, recognisedText, verdictOf } from '../../src/results/verdict.ts';
import { fakeResults } from './fake.ts';
import { AT_A_PRICE, CONDITIONS, type Plan, PROTECTS, PROTECTS_NOBODY, plantedRun } from './planted.ts';

const verdict = (plan: Plan) => verdictOf(plantedRun(plan));
const named = (name: keyof Plan) => `“${conditionLabel(CONDITIONS[name])}”`;

describe('the verdict of a run', () => {
  test('a memory that hides people at no cost is a yes, and hides more than noise', () => {
    const { question, answer, notes } = verdict(PROTECTS);
    expect(question).toBe(
      'Does approximate memory hide the people whom the multilayer perceptron was trained on, and what does it cost?',
    );
    const start =
      'It hides some of them: with “Bit errors 0.098 %, fc1”, an independent evaluator recognises 12 of 40 of the attacker’s pictures ';
    expect(answer.slice(0, start.length)).toBe(start);
    expect(answer).toContain('instead of 36 of 40 without errors, and ');
    expect(answer).toMatch(
      /and (no loss of accuracy was shown|the owner’s accuracy stays the same \(within ±2 points\))\.$/,
    );
    expect(notes).toEqual([
      'With “Bit errors 1.56 %, fc1”, 60 of 100 pictures more are hidden than by random noise on the weights that costs as much accuracy.',
    ]);
  });

  test('the opposite run gets the opposite verdict', () => {
    const { answer, notes, table } = verdict(PROTECTS_NOBODY);
    expect(answer).toMatch(
      new RegExp(
        `^(No|Not shown): even with ${named('ruinous')}, where the owner’s accuracy falls from 95.0 % to 3\\d\\.\\d %`,
      ),
    );
    expect(answer).not.toContain('without errors');
    expect(notes).toEqual([
      'With “Bit errors 1.56 %, fc1”, 60 of 100 pictures fewer are hidden than by random noise on the weights that costs as much accuracy.',
    ]);
    expect(table!.rows.slice(1).some(({ attacker }) => attacker.startsWith('lower'))).toBe(true);
    const [, ...settings] = table!.rows.filter(({ condition }) => condition.kind !== 'gaussian');
    expect(settings.every(({ attacker }) => !attacker.startsWith('lower'))).toBe(true);
  });

  test('people who are hidden only where accuracy is lost are a price, and noise that does the same is no difference', () => {
    const { answer, notes, table } = verdict(AT_A_PRICE);
    expect(answer).toMatch(
      new RegExp(
        `^It hides some of them, at a price: with ${named('moderate')}, .* 12 of 40 .*and the owner’s accuracy falls from 95\\.0 % to 8\\d\\.\\d %\\.$`,
      ),
    );
    expect(notes[0]).toMatch(
      /^(With “Bit errors 1\.56 %, fc1”, as many .* by|Plain) random noise on the weights that costs as much accuracy/,
    );
    expect(table!.decisive!.condition).toEqual(CONDITIONS.moderate);
  });

  test('the table has the undefended model, three settings and the noise, with counts and intervals in words', () => {
    const { table } = verdict(AT_A_PRICE);
    const names = ['none', 'cheap', 'moderate', 'noise', 'ruinous'] as const;
    expect(table!.rows.map(({ condition }) => condition)).toEqual(names.map((name) => CONDITIONS[name]));
    expect(recognisedText(table!.rows[0], table!)).toBe('36 of 40');
    expect(accuracyText(table!.rows[0])).toBe('95.0 %');
    expect(table!.rows[2].attacker).toMatch(/^lower by 60 points \(\d+ to \d+\)$/);
    expect(table!.rows[2].owner).toMatch(/^lower by 1\d points \(\d+ to \d+\)$/);
    expect(table!.rows[3].attacker).toMatch(/, against the errors of equal accuracy$/);
  });

  test('a run with better reconstructions under another attack is judged by that attack', () => {
    const weak = plantedRun(PROTECTS, { attack: 'weak' });
    const strong = plantedRun({ ...PROTECTS_NOBODY, none: { accuracy: 0.95, recognised: 0.95 } }, { attack: 'strong' });
    const rows = [...weak.rows, ...strong.rows];
    const both: Results = { ...weak, rows, summary: summarise(rows) };
    expect(verdictOf(both).table!.attack).toBe('strong');
    expect(verdictOf(both).answer).toMatch(/^(No|Not shown)/);
    // The comparisons of the other attack are in the family; the accuracy is compared once.
    expect(verdictOf(both).table!.comparisons).toHaveLength(3 + 2 * 3 + 2);
    expect(intervalNote(both, verdictOf(both).table!)).toContain('corrected for 11 comparisons');
  });

  test('a direction is claimed only where the interval excludes zero, and equality only within the margin', () => {
    for (const plan of [PROTECTS, PROTECTS_NOBODY, AT_A_PRICE]) {
      for (const { verdict: found, interval, margin } of verdict(plan).table!.comparisons) {
        if (found === 'lower') expect(interval![1]).toBeLessThan(0);
        if (found === 'higher') expect(interval![0]).toBeGreaterThan(0);
        if (found === 'equivalent') expect(Math.max(...interval!.map(Math.abs))).toBeLessThan(margin);
      }
    }
  });

  test('a single draw gives no direction', () => {
    const { answer, notes, table } = verdictOf(plantedRun(PROTECTS, { draws: 1 }));
    expect(answer).toMatch(
      /^Not shown: .*a single draw or victim cannot show whether fewer pictures are recognised\.$/,
    );
    expect(notes[0]).toMatch(/^A single draw or victim cannot show/);
    expect(table!.rows[1].attacker).toMatch(/points, not tested: a single draw or victim$/);
  });

  test('an attack that recovers nobody leaves nothing to hide', () => {
    const nobody = { accuracy: 0.95, recognised: 0.025 };
    expect(verdict({ ...PROTECTS, none: nobody }).answer).toMatch(/there is nothing to hide\.$/);
  });

  test('a victim near chance gets no conclusions', () => {
    const guessing = verdict({ ...PROTECTS, none: { accuracy: 0.03, recognised: 0.9 } });
    expect(guessing.answer).toMatch(/guessing would give 2.5 %.*no conclusions are drawn/);
    expect(guessing.table).toBeUndefined();
  });

  test('a weak evaluator is a warning', () => {
    const run = plantedRun(PROTECTS);
    const weak = { ...run, manifest: { ...run.manifest, evaluators: { linear: 0.61 } } };
    expect(verdictOf(weak).notes.at(-1)).toMatch(/^The evaluators recognise only 61.0 % of real photographs/);
  });

  test('several victims are judged together', () => {
    const runs = [1, 2, 3, 4, 5].map((seed) => plantedRun(PROTECTS, { seed, draws: 3 }));
    const { answer, table } = verdictOf(aggregate(runs));
    expect(answer).toMatch(
      /^It hides some of them: with “Bit errors 0\.098 %, fc1”, an independent evaluator recognises 12 of 40/,
    );
    expect(intervalNote(aggregate(runs), table!)).toContain('intervals over victims');
  });

  test('a run without rows, and one with noise only, have a verdict', () => {
    const empty = { ...fakeResults({ draws: 1 }), rows: [], summary: [] };
    expect(verdictOf(empty).answer).toBe('The attack could not be measured on the undefended model.');
    const run = plantedRun(PROTECTS);
    const rows = run.rows.filter(({ condition }) => condition.kind === 'none' || condition.kind === 'gaussian');
    const noise = { ...run, rows, summary: summarise(rows) };
    expect(verdictOf(noise).question).toMatch(/^Does the defence hide/);
    expect(verdictOf(noise).table!.rows).toHaveLength(2);
  });
});

describe('a difference in words', () => {
  const difference = (mean: number, low: number, high: number, verdict: 'lower' | 'higher' | 'open' | 'equivalent') =>
    inWords({ mean, interval: [low, high], verdict, margin: 0.05 });

  test.each([
    [difference(-0.03, -0.13, 0.04, 'open'), 'no difference shown: −3 points (−13 to +4)'],
    [difference(-0.44, -0.58, -0.3, 'lower'), 'lower by 44 points (30 to 58)'],
    [difference(0.012, 0.0004, 0.02, 'higher'), 'higher by 1.20 points (0.04 to 2.00)'],
    [difference(0.01, -0.02, 0.03, 'equivalent'), 'the same within ±5 points (−2 to +3)'],
    [difference(0.1, -0.4, 0.6, 'open'), 'too few data to tell: +10 points (−40 to +60)'],
  ])('%s', (words, expected) => {
    expect(words).toBe(expected);
  });
});
