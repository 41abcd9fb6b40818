/** Figures of the page: those of the command line, drawn by the page's own document. Loaded when the first one is wanted. */
import { VICTIM_PEOPLE } from '../experiments/embedded.ts';
import { voltageSeries } from '../experiments/voltage.ts';
import type { Vendor } from '../memory/undervolting.ts';
import { privacyCurve } from '../results/figures/privacy_curve.ts';
import { voltageFigure } from '../results/figures/voltage.ts';
import type { Results } from '../results/results.ts';

/** @returns an SVG, or nothing where no condition has errors yet */
export function curveFigure(
  results: Results,
  attack: string,
  vendor: Vendor | undefined,
  narrow: boolean,
): string | undefined {
  const { summary, baselines, manifest } = results;
  if (vendor) {
    const series = voltageSeries(results).filter(({ name }) => name === attack);
    if (series.length === 0) return undefined;
    const title = `Inversion of a classifier in undervolted DRAM (${manifest.dataset.name})`;
    return voltageFigure({ title, series, chance: 1 / VICTIM_PEOPLE, meanFacePcc: baselines.meanFacePcc, document });
  }
  if (!summary.some(({ condition }) => condition.kind !== 'none' && condition.kind !== 'quantised')) return undefined;
  return privacyCurve({
    summary,
    attack,
    baselines,
    title: 'Inverting a classifier in approximate memory',
    document,
    ...(narrow && { width: 460, metrics: ['pccLift'] }),
  });
}
