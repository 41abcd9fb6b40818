/** The figures of the command line, as a visitor saves them. The module is loaded for the first figure. */
import type { Vendor } from '../memory/undervolting.ts';
import { isErrorFree } from '../results/condition.ts';
import { privacyCurve } from '../results/figures/privacy_curve.ts';
import { voltageFigure } from '../results/figures/voltage.ts';
import { type Results, runTitle } from '../results/results.ts';
import { shownLift } from '../results/series.ts';
import { voltageSeries } from '../results/voltage.ts';

/** @returns an SVG; undefined if no condition has errors yet */
export function curveFigure(results: Results, attack: string, vendor: Vendor | undefined): string | undefined {
  const { summary, baselines, manifest } = results;
  if (vendor) {
    // The title names the attack; beside the line there is no room for it.
    const series = voltageSeries(results)
      .filter((each) => each.attack === attack)
      .map((each) => ({ ...each, name: `DRAM ${vendor}` }));
    if (series.length === 0) return undefined;
    const chance = 1 / manifest.dataset.classes!;
    const common = { title: runTitle(manifest), meanFacePcc: baselines.meanFacePcc, document };
    return voltageFigure({ ...common, series, chance, lift: shownLift(summary) });
  }
  if (summary.every(({ condition }) => isErrorFree(condition))) return undefined;
  return privacyCurve({
    summary,
    attack,
    baselines,
    title: runTitle(manifest),
    document,
  });
}
