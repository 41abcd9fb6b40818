import { JSDOM } from 'jsdom';
import { describe, expect, it } from 'vitest';
import { paretoFigure, paretoFront } from '../../src/results/figures/front.ts';
import { THEME_NAMES } from '../../src/results/figures/style.ts';
import { balances } from '../../src/results/leak.ts';
import { type Condition, type Results, summarise } from '../../src/results/results.ts';
import { fakeResults, fakeRow } from './fake.ts';

const { document } = new JSDOM().window;
const NONE: Condition = { kind: 'none', rates: {}, layers: 'none' };
const errors = (rate: number): Condition => ({
  kind: 'bit-error',
  ...{ format: 'fixed12', granularity: 'load', rates: { fc1: rate }, layers: 'fc1' },
});

/** Accuracy, lift under two attackers, and energy of the reads, by condition. */
type Planted = readonly [condition: Condition, accuracy: number, first: number, second: number, energy: number];
const PLANTED: readonly Planted[] = [
  [NONE, 0.9, 0.3, 0.2, 1],
  [errors(0.01), 0.88, 0.1, 0.2, 0.8],
  // The second attacker sees more here, so that it is worse than the one above in everything.
  [errors(0.02), 0.87, 0.05, 0.28, 0.8],
  [errors(0.03), 0.86, 0.25, 0.2, 0.5],
  [errors(0.04), 0.7, 0.05, 0.04, 0.8],
];

function runOf(planted: readonly Planted[], attacks = ['first', 'second']): Results {
  const rows = planted.flatMap(([condition, accuracy, first, second, relative]) =>
    attacks.map((attack, i) => {
      const lift = i === 0 ? first : second;
      const row = fakeRow(condition, 0, { accuracy, pcc: 0.5, lift: lift / 2 }, 200, attack);
      const lifts = row.perIdentity.pcc.map(() => lift);
      const perIdentity = { ...row.perIdentity, liftMeanFree: lifts };
      return { ...row, accuracy, liftMeanFree: lift, perIdentity, energy: { bytes: 1000, relative } };
    }),
  );
  const { manifest, baselines, schema } = fakeResults({ draws: 1, identities: 2 });
  return { schema, manifest, rows, summary: summarise(rows), baselines };
}

const labels = (results: Results) =>
  paretoFront(balances(results, results.manifest.attacks)).map(({ worst }) => worst.condition.rates.fc1 ?? 0);
const texts = (svg: string) =>
  [...new JSDOM(svg).window.document.querySelectorAll('text')].map(({ textContent }) => textContent);

describe('the front of accuracy, leak and energy', () => {
  it('the leak is that to the worst attacker of every condition', () => {
    const planted = runOf(PLANTED);
    const found = balances(planted, planted.manifest.attacks);
    expect(found.map(({ leak }) => leak.mean)).toEqual(
      [0.3, 0.2, 0.28, 0.25, 0.05].map((lift) => expect.closeTo(lift, 9)),
    );
    expect(found.map(({ worst }) => worst.attack)).toEqual(['first', 'second', 'second', 'first', 'first']);
    expect(found.map(({ energy }) => energy)).toEqual([1000, 800, 800, 500, 800]);
  });

  it('a condition that another beats in everything is not on the front, and one with the least energy is', () => {
    expect(labels(runOf(PLANTED))).toEqual([0, 0.01, 0.03, 0.04]);
    const same = PLANTED.map(
      ([condition, accuracy, first, second]): Planted => [condition, accuracy, first, second, 1],
    );
    expect(labels(runOf(same))).toEqual([0, 0.01, 0.04]);
    // Against the first attacker alone the condition that was beaten is good.
    expect(labels(runOf(PLANTED, ['first']))).toContain(0.02);
  });

  it('equal conditions are both on the front', () => {
    const [first, second] = [errors(0.01), errors(0.02)];
    expect(labels(runOf([first, second].map((each): Planted => [each, 0.8, 0.1, 0.1, 1])))).toEqual([0.01, 0.02]);
  });

  it.each(THEME_NAMES)(
    'the figure in the theme %s names the front with its numbers, and one panel shows the energy',
    (theme) => {
      const svg = paretoFigure.draw(runOf(PLANTED), { document, theme });
      const shown = texts(svg);
      expect(shown).toContain('Bit errors 3 %, fc1');
      expect(shown).not.toContain('Bit errors 2 %, fc1');
      expect(shown).toContain('accuracy 0.860, lift 0.250, energy 0.50; first');
      expect(shown).toContain('energy of reads, relative to exact weights');
      expect(svg).not.toContain('NaN');
      const same = PLANTED.map(
        ([condition, accuracy, first, second]): Planted => [condition, accuracy, first, second, 1],
      );
      expect(texts(paretoFigure.draw(runOf(same), { document, theme }))).not.toContain(
        'energy of reads, relative to exact weights',
      );
    },
  );

  it('a run with one attacker and equal energies, or with few conditions, has no such figure', () => {
    expect(paretoFigure.applies(runOf(PLANTED))).toBe(true);
    expect(paretoFigure.applies(runOf(PLANTED, ['first']))).toBe(true);
    expect(paretoFigure.applies(runOf(PLANTED.slice(0, 3)))).toBe(false);
    const same = PLANTED.map(
      ([condition, accuracy, first, second]): Planted => [condition, accuracy, first, second, 1],
    );
    expect(paretoFigure.applies(runOf(same, ['first']))).toBe(false);
  });
});
