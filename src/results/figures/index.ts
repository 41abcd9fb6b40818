/** Lists the figures, and selects those that a run has data for, for the command line, the report and the page. */
import type { Results } from '../schema.ts';
import { rateGrid } from './ber_heatmap.ts';
import type { DrawOptions, RunFigure } from './figure.ts';
import { paretoFigure } from './front.ts';
import { layerLines } from './per_layer.ts';
import { accuracyCurve } from './privacy_curve.ts';
import { recognitionCurve } from './recognition.ts';
import { voltageSweep } from './voltage.ts';

export type { DrawOptions, RunFigure } from './figure.ts';

/** All figures, in the order in which a report shows them. */
export const FIGURES: readonly RunFigure[] = [
  recognitionCurve,
  accuracyCurve,
  layerLines,
  rateGrid,
  voltageSweep,
  paretoFigure,
];

/** The figures that a run has data for. */
export function figuresOf(results: Results): RunFigure[] {
  return FIGURES.filter((figure) => figure.applies(results));
}

/** A drawn figure, in the form that the report takes. */
export interface DrawnFigure {
  /** Name of its file, without the extension. */
  readonly name: string;
  readonly svg: string;
  readonly caption: string;
}

/** Draws every figure that a run has data for. */
export function drawFigures(results: Results, options: DrawOptions): DrawnFigure[] {
  return figuresOf(results).map((figure) => ({
    name: figure.file,
    svg: figure.draw(results, options),
    caption: figure.caption(results),
  }));
}
