/** The curve of a verdict: how often the evaluator recognises the people on the pictures, against the owner's accuracy. */
import { attackTitle } from '../attacks.ts';
import { isErrorFree, measuredDimms } from '../condition.ts';
import type { Results, SummaryEntry } from '../schema.ts';
import { calibratedOnly } from '../series.ts';
import { settingsOf, type VerdictSettings } from '../verdict.ts';
import type { RunFigure } from './figure.ts';
import { privacyCurve } from './privacy_curve.ts';

/** Narrow enough to be read on a phone. */
const WIDTH = 640;

/** The conditions in the layers of the setting that noise is compared with, or that costs the most, under the attack of the verdict. */
function shownBy({ summary }: Results, { base, settings, noise }: VerdictSettings): SummaryEntry[] {
  const layers = (noise?.first ?? settings.at(-1))?.condition.layers;
  const own = summary.filter(
    ({ condition, attack }) => attack === base.attack && (isErrorFree(condition) || condition.layers === layers),
  );
  // Measured DIMMs have a figure over their voltage.
  return calibratedOnly(own.filter(({ condition }) => measuredDimms(condition) === undefined));
}

export const recognitionCurve: RunFigure = {
  name: 'Recognition against accuracy',
  file: 'recognition',
  applies(results) {
    const found = settingsOf(results);
    return found !== undefined && shownBy(results, found).some(({ condition }) => !isErrorFree(condition));
  },
  caption(results) {
    const { attack } = settingsOf(results)!.base;
    return (
      `Share of the pictures of “${attackTitle(results.manifest.attacks, attack)}” on which the evaluator recognises the right person, ` +
      'against accuracy. Further right the owner loses less, further down the attacker sees less; bands and whiskers are 95 % intervals.'
    );
  },
  draw(results, { document, theme, title }) {
    const found = settingsOf(results)!;
    return privacyCurve({
      summary: shownBy(results, found),
      baselines: results.baselines,
      metrics: [found.metric],
      title: title ?? recognitionCurve.name,
      width: WIDTH,
      theme,
      document,
    });
  },
};
