/** Draws the time of a training step over batch and width, on log-log axes with the fitted slopes. */
import * as Plot from '@observablehq/plot';
import { darker, type Panel, panelSvg } from '../src/results/figures/panels.ts';
import {
  GRID,
  heading,
  MARGIN,
  PALETTE,
  type SymbolName,
  smallPrint,
  svgRoot,
  svgText,
  WIDTH,
} from '../src/results/figures/style.ts';
import type { GrowthPoint, Row } from './rows.ts';

const COLORS = [PALETTE[0], PALETTE[1], PALETTE[2], PALETTE[3]];
const SYMBOLS: SymbolName[] = ['circle', 'square', 'triangle', 'diamond'];
const AXES: Readonly<Record<GrowthPoint['over'], string>> = {
  batch: 'images per batch',
  width: 'width: channels of the first layer (ndf), or hidden units',
};

interface Curve {
  readonly model: string;
  readonly points: readonly { readonly size: number; readonly row: Row }[];
  /** The sizes to which the slope was fitted. */
  readonly fitted: readonly number[];
  readonly slope: Row;
}

function curvesOf(rows: readonly Row[], over: GrowthPoint['over']): Curve[] {
  const shown = rows.filter(({ growth }) => growth?.over === over);
  return [...new Set(shown.map(({ growth }) => growth!.model))].map((model) => {
    const own = shown.filter(({ growth }) => growth!.model === model);
    const slope = own.find(({ growth }) => growth!.sizes.length > 1)!;
    const points = own.filter((row) => row !== slope).map((row) => ({ size: row.growth!.sizes[0], row }));
    return { model, points, fitted: slope.growth!.sizes, slope };
  });
}

/** End points of the line with the fitted slope through the geometric mean of the points to which it was fitted. */
function fittedLine({ points, fitted, slope }: Curve): { size: number; ms: number }[] {
  const inside = points.filter(({ size }) => fitted.includes(size));
  const mean = (values: number[]) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
  const [size, ms] = [mean(inside.map((point) => point.size)), mean(inside.map(({ row }) => row.measured))];
  return [fitted[0], fitted[fitted.length - 1]].map((end) => ({
    size: end,
    ms: ms * (end / size) ** slope.measured,
  }));
}

/** @param rows steps and slope of at least one network over the batch, and of at least one over the width */
export function growthFigure(adapter: string, rows: readonly Row[], document: Document): string {
  const title = `Time of a training step on ${adapter}`;
  const head = heading(title, 'Medians; the lines are the fitted power laws, over the sizes that they cover.', WIDTH);
  const gap = 32;
  const panel: Panel = {
    width: (WIDTH - 2 * MARGIN - gap) / 2,
    height: 430,
    marginLeft: 58,
    marginRight: 16,
    marginBottom: 48,
  };
  let svg = head.svg;
  let bottom = head.bottom;
  for (const [p, over] of (['batch', 'width'] as const).entries()) {
    const curves = curvesOf(rows, over);
    const left = MARGIN + p * (panel.width + gap);
    let y = head.bottom + 20;
    svg += svgText(left, y, `over the ${over}`, { size: 14, weight: 500 });
    for (const [i, { model, fitted, slope }] of curves.entries()) {
      y += 20;
      const range = `${fitted[0]} to ${fitted[fitted.length - 1]}`;
      const text = `${model}: time grows as ${over}^${slope.measured.toFixed(2)} from ${range}`;
      svg += svgText(left, y, text, { size: 13, weight: 600, fill: darker(COLORS[2 * p + i]) });
    }
    const sizes = [...new Set(curves.flatMap(({ points }) => points.map(({ size }) => size)))].sort((a, b) => a - b);
    svg += panelSvg(document, left, y + 6, panel, {
      x: {
        type: 'log',
        base: 2,
        domain: [sizes[0] / 1.2, sizes[sizes.length - 1] * 1.2],
        ticks: sizes,
        tickFormat: String,
        label: AXES[over],
        labelAnchor: 'center',
        labelArrow: 'none',
        labelOffset: 40,
      },
      y: {
        type: 'log',
        domain: domainOf(curves),
        ticks: 6,
        tickFormat: (value: number) => String(Number(value.toPrecision(3))),
        label: 'ms per step',
        labelAnchor: 'center',
        labelArrow: 'none',
        labelOffset: 48,
      },
      marks: [
        Plot.gridX(sizes, { stroke: GRID, strokeOpacity: 1 }),
        Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 6 }),
        Plot.frame({ anchor: 'bottom', stroke: '#9a9a9a' }),
        Plot.frame({ anchor: 'left', stroke: '#9a9a9a' }),
        ...curves.flatMap((curve, i) => [
          Plot.line(fittedLine(curve), { x: 'size', y: 'ms', stroke: COLORS[2 * p + i], strokeWidth: 2 }),
          Plot.ruleX(curve.points, {
            x: 'size',
            y1: ({ row }: Curve['points'][number]) => row.min,
            y2: ({ row }: Curve['points'][number]) => row.max,
            stroke: COLORS[2 * p + i],
          }),
          Plot.dot(curve.points, {
            x: 'size',
            y: ({ row }: Curve['points'][number]) => row.measured,
            fill: COLORS[2 * p + i],
            stroke: '#ffffff',
            strokeWidth: 0.8,
            r: 4.4,
            symbol: SYMBOLS[2 * p + i],
          }),
        ]),
      ],
    });
    bottom = Math.max(bottom, y + 6 + panel.height);
  }
  const foot = smallPrint(
    'Sizes below the lines are shown but not fitted: there a fixed cost per step, tiles that are not full and layers that do ' +
      'not grow flatten the curve, and would make the slope look smaller than it is.',
    bottom + 10,
    WIDTH,
  );
  return svgRoot(WIDTH, foot.bottom + 14, title, svg + foot.svg);
}

function domainOf(curves: readonly Curve[]): [number, number] {
  const all = curves.flatMap(({ points }) => points.flatMap(({ row }) => [row.min, row.max]));
  return [Math.min(...all) / 1.25, Math.max(...all) * 1.25];
}
