/** The effect of the supply voltage on accuracy, similarity and energy. */
import * as Plot from '@observablehq/plot';
import { ConfigError } from '../../errors.ts';
import { attacksOf } from '../attacks.ts';
import { formatPercent } from '../format.ts';
import { attackedTitle, METRIC_LABELS } from '../labels.ts';
import type { Interval, Results } from '../schema.ts';
import { lastMeasured, shownLift, valuesOf } from '../series.ts';
import { type VoltagePoint, type VoltageSeries, voltageSeries } from '../voltage.ts';
import type { RunFigure } from './figure.ts';
import { bounds, legend, marginLabels, type Panel, paddedDomain, panelSvg } from './panels.ts';
import {
  heading,
  MARGIN,
  type SymbolName,
  smallPrint,
  svgRoot,
  svgText,
  THEMES,
  type Theme,
  type ThemeName,
  textWidth,
  WIDTH,
} from './style.ts';

export type { VoltagePoint, VoltageSeries } from '../voltage.ts';

export interface VoltageFigureOptions {
  readonly title: string;
  readonly subtitle?: string;
  /** Printed below the note about energy. */
  readonly footnote?: string;
  readonly series: readonly VoltageSeries[];
  /** The metric that the points' `lift` is. */
  readonly lift: 'liftMeanFree' | 'pccLift';
  /** Accuracy of guessing, 0..1, which is drawn as a line if given. */
  readonly chance?: number;
  /** Mean PCC of the mean face with everybody's photographs: the score without any attack. */
  readonly meanFacePcc: number;
  readonly theme?: ThemeName;
  readonly document: Document;
}

const ENERGY_NOTE =
  'Energy is that of weight reads alone, taken as proportional to V² and relative to nominal voltage: static, I/O and ' +
  'refresh power are left out, so the saving shown is an upper bound.';

/** The numbers of the figure that were not measured. */
function linesNote(supply: readonly VoltagePoint[]): string {
  const between = supply.filter(({ interpolated }) => interpolated).map(({ volts }) => `${formatVolts(volts)} V`);
  const interpolated =
    between.length === 0
      ? ''
      : ` The share of bad ${supply[0].unit ?? 'lines'} at ${between.join(', ')} is interpolated between measured voltages, for at least one DIMM.`;
  return `How many bits of a bad ${supply[0].unit === 'rows' ? 'row' : 'line'} flip was not measured: it is an assumption of the memory.${interpolated}`;
}

/** Palette indices of accuracy, of energy, and of the series, which use the remaining colours, strongest first. */
const ACCURACY_COLOR = 6;
const ENERGY_COLOR = 2;
const SERIES_COLORS = [0, 1, 3, 4, 5];
const SYMBOLS: SymbolName[] = ['circle', 'square', 'triangle', 'diamond'];

/** One line of a panel. */
interface Curve {
  name: string;
  color: string;
  symbol: SymbolName;
  dash: string;
  /** True if the values are computed, not measured: they have no interval, and hollow dots. */
  exact?: boolean;
  points: readonly { volts: number; value: Interval }[];
}

/** A constant to compare with. */
interface Rule {
  value: number;
  text: string;
  dash: string;
}

/**
 * Draws three panels over one axis of falling voltage: accuracy with the energy of weight reads, lift, and raw PCC with the
 * mean face's PCC as a reference line, each with 95 % bands; below them a strip with the share of bad cache lines. Accuracy,
 * energy and bad lines depend on the voltage and not on the attack: they are drawn once, from the first series that has the
 * voltage.
 *
 * @throws ConfigError if no series has a point
 */
export function voltageFigure(args: VoltageFigureOptions): string {
  const { title, chance, meanFacePcc, document } = args;
  const theme = THEMES[args.theme ?? 'light'];
  const series = args.series
    .filter(({ points }) => points.length > 0)
    .map(({ name, points }) => ({ name, points: falling(points) }));
  if (series.length === 0) throw new ConfigError(`figure '${title}': no voltage to draw`);
  const supply = onePerVoltage(series);
  const volts = supply.map((point) => point.volts);
  const [highest, lowest] = [volts[0], volts[volts.length - 1]];
  const pad = (highest - lowest) * 0.03 || 0.02;
  const xDomain: [number, number] = [highest + pad, lowest - pad];

  const curvesOf = (metric: 'pcc' | 'lift'): Curve[] =>
    series.map(({ name, points }, i) => ({
      name,
      color: theme.palette[SERIES_COLORS[i % SERIES_COLORS.length]],
      symbol: SYMBOLS[i % SYMBOLS.length],
      dash: theme.dash(theme === THEMES.print ? i : Math.floor(i / SERIES_COLORS.length) * theme.palette.length),
      points: points.map((point) => ({ volts: point.volts, value: point[metric] })),
    }));
  const panels: { heading: string; curves: Curve[]; rule?: Rule; yDomain: [number, number] }[] = [
    {
      heading: 'Accuracy, and energy of weight reads (1 at nominal voltage)',
      curves: [
        {
          name: 'accuracy',
          color: theme.palette[ACCURACY_COLOR],
          symbol: 'circle',
          dash: '',
          points: supply.map((point) => ({ volts: point.volts, value: point.accuracy })),
        },
        {
          name: 'energy',
          color: theme.palette[ENERGY_COLOR],
          symbol: 'circle',
          dash: '',
          exact: true,
          points: supply.map(({ volts, energy }) => ({ volts, value: { mean: energy, ci95: [energy, energy] } })),
        },
      ],
      // With many people the accuracy of guessing is small, so significant digits are shown instead of decimals.
      ...(chance !== undefined && {
        rule: { value: chance, text: `chance ${Number(chance.toPrecision(2))}`, dash: '6 4' },
      }),
      yDomain: [0, 1],
    },
    ...(['lift', 'pcc'] as const).map((metric) => {
      const curves = curvesOf(metric);
      const rule =
        metric === 'pcc'
          ? { value: meanFacePcc, text: `mean face ${meanFacePcc.toFixed(2).replace('-', '−')}`, dash: '6 4' }
          : { value: 0, text: 'no lift', dash: 'none' };
      const values = curves.flatMap(({ points }) => points.flatMap(({ value }) => valuesOf(value)));
      return {
        heading: METRIC_LABELS[metric === 'lift' ? args.lift : metric],
        curves,
        rule,
        yDomain: paddedDomain([...values, rule.value], bounds(metric === 'lift' ? args.lift : metric)),
      };
    }),
  ];
  const labels = panels.flatMap(({ curves, rule }) => [
    ...curves.map(({ name }) => name),
    ...(rule ? [rule.text] : []),
  ]);
  const panel: Panel = {
    width: WIDTH - 2 * MARGIN,
    height: 224,
    marginLeft: 46,
    marginRight: Math.max(...labels.map((label) => textWidth(label, 12.5))) + 14,
    marginBottom: 6,
  };

  const head = heading(title, args.subtitle, WIDTH, theme);
  const key = legend([{ label: '95 % interval', color: theme.ink, band: true }], head.bottom + 10, WIDTH, theme);
  let svg = head.svg + key.svg;
  let y = key.bottom + 18;
  for (const { heading, curves, rule, yDomain } of panels) {
    svg += svgText(MARGIN, y + 12, heading, { size: 14, weight: 500 }, theme);
    svg += panelSvg(
      document,
      MARGIN,
      y + 16,
      panel,
      {
        x: { domain: xDomain, axis: null },
        y: { domain: yDomain, label: null, ticks: 5 },
        marks: panelMarks(curves, rule, volts, yDomain, panel, theme),
      },
      theme,
    );
    y += 16 + panel.height + 16;
  }
  const unit = supply.every((point) => point.unit === 'rows') ? 'Rows' : 'Cache lines';
  svg += svgText(MARGIN, y + 12, `${unit} with at least one flipped bit`, { size: 14, weight: 500 }, theme);
  const strip = stripOf(supply, xDomain, panel, theme);
  svg += panelSvg(document, MARGIN, y + 22, strip.panel, strip.options, theme);
  y += 22 + strip.panel.height + 14;
  const foot = smallPrint(
    [ENERGY_NOTE, linesNote(supply), args.footnote].filter((line) => line !== undefined).join('\n'),
    y,
    WIDTH,
    theme,
  );
  return svgRoot(WIDTH, foot.bottom + 14, title, svg + foot.svg, theme);
}

function falling(points: readonly VoltagePoint[]): VoltagePoint[] {
  return [...points].sort((a, b) => b.volts - a.volts);
}

function onePerVoltage(series: readonly VoltageSeries[]): VoltagePoint[] {
  const first = new Map<number, VoltagePoint>();
  for (const point of series.flatMap(({ points }) => points)) {
    if (!first.has(point.volts)) first.set(point.volts, point);
  }
  return falling([...first.values()]);
}

/** '1.35', '1.10', '1.125'. */
function formatVolts(volts: number): string {
  return volts.toFixed(4).replace(/0{1,2}$/, '');
}

function panelMarks(
  curves: readonly Curve[],
  rule: Rule | undefined,
  volts: readonly number[],
  yDomain: [number, number],
  panel: Panel,
  theme: Theme,
): Plot.Markish[] {
  type Point = Curve['points'][number];
  const x = (point: Point) => point.volts;
  const mean = (point: Point) => point.value.mean;
  const low = (point: Point) => point.value.ci95?.[0] ?? null;
  const high = (point: Point) => point.value.ci95?.[1] ?? null;
  return [
    Plot.gridX(volts, { stroke: theme.grid, strokeOpacity: 1 }),
    Plot.gridY({ stroke: theme.grid, strokeOpacity: 1, ticks: 5 }),
    Plot.frame({ anchor: 'bottom', stroke: theme.axis }),
    Plot.frame({ anchor: 'left', stroke: theme.axis }),
    ...(rule ? [Plot.ruleY([rule.value], { stroke: theme.soft, strokeDasharray: rule.dash })] : []),
    ...curves
      .filter((curve) => !curve.exact)
      .flatMap(({ points, color }) => [
        Plot.areaY(points, { x, y1: low, y2: high, fill: color, fillOpacity: 0.13 }),
        Plot.ruleX(points, { x, y1: low, y2: high, stroke: color, strokeOpacity: 0.55 }),
      ]),
    ...curves.flatMap(({ points, color, symbol, dash, exact }) => [
      Plot.line(points, { x, y: mean, stroke: color, strokeWidth: 2, strokeDasharray: dash || 'none' }),
      Plot.dot(points, {
        x,
        y: mean,
        symbol,
        r: 4,
        ...(exact
          ? { fill: theme.paper, stroke: color, strokeWidth: 1.6 }
          : { fill: color, stroke: theme.paper, strokeWidth: 0.8 }),
      }),
    ]),
    ...marginLabels(
      [
        ...curves.flatMap(({ name, color, points }) => {
          const last = lastMeasured(points, ({ value }) => value);
          return last ? [{ value: last.mean, text: name, fill: theme.text(color), weight: 600 }] : [];
        }),
        ...(rule ? [{ value: rule.value, text: rule.text, fill: theme.soft }] : []),
      ],
      yDomain,
      panel,
    ),
  ];
}

/**
 * The share of bad lines at each voltage, on a gray whose opacity grows with the logarithm of the share, and the axis below
 * it.
 */
function stripOf(
  supply: readonly VoltagePoint[],
  xDomain: [number, number],
  above: Panel,
  theme: Theme,
): { panel: Panel; options: Plot.PlotOptions } {
  const pixels = (above.width - above.marginLeft - above.marginRight) / (xDomain[0] - xDomain[1]);
  const [size, air] = [12, 4];
  // Each cell reaches halfway to its neighbours.
  const cells = supply.map(({ volts, badLines }, i) => {
    const before = i === 0 ? xDomain[0] : (supply[i - 1].volts + volts) / 2;
    const after = i === supply.length - 1 ? xDomain[1] : (volts + supply[i + 1].volts) / 2;
    const text = formatPercent(badLines);
    const width = textWidth(text, size);
    return { volts, before, after, text, width, room: (before - after) * pixels, shade: shadeOf(badLines) };
  });
  type Cell = (typeof cells)[number];
  const upright = cells.some(({ room, width }) => width + 2 * air > room);
  const height = upright ? Math.max(...cells.map(({ width }) => width)) + 4 * air : 26;
  // At the voltage, or as near to it as the cell's ends allow.
  const middle = (cell: Cell) => {
    const half = ((upright ? size : cell.width) / 2 + air) / pixels;
    return Math.max(Math.min(cell.volts, cell.before - half), cell.after + half);
  };
  const panel = { ...above, height: height + 48, marginBottom: 48 };
  return {
    panel,
    options: {
      marginTop: 0,
      x: {
        domain: xDomain,
        ticks: sparse(
          supply.map(({ volts }) => volts),
          pixels,
        ),
        tickFormat: formatVolts,
        label: 'supply voltage (V), lowered from left to right →',
        labelAnchor: 'center',
        labelArrow: 'none',
      },
      y: { domain: [0, 1], axis: null },
      marks: [
        Plot.rect(cells, {
          x1: (cell: Cell) => cell.before,
          x2: (cell: Cell) => cell.after,
          y1: 0,
          y2: 1,
          fill: theme.ink,
          fillOpacity: (cell: Cell) => cell.shade,
        }),
        Plot.frame({ stroke: theme.axis }),
        Plot.text(
          cells.filter(({ room }) => !upright || room >= size + 2),
          { x: middle, y: 0.5, text: (cell: Cell) => cell.text, rotate: upright ? -90 : 0, fontSize: size },
        ),
      ],
    },
  };
}

/** Opacity for a share: 0.04 for a single bad line of a DIMM (about 1e-8), 0.34 for all lines, where text is still legible. */
function shadeOf(share: number): number {
  return share > 0 ? 0.04 + 0.3 * Math.min(Math.max(1 + Math.log10(share) / 8, 0), 1) : 0;
}

/** The voltages whose labels have room, chosen from the lowest voltage up, because the curves change most there. */
function sparse(volts: readonly number[], pixelsPerVolt: number): number[] {
  const kept: number[] = [];
  for (const value of [...volts].reverse()) {
    const last = kept[kept.length - 1];
    const [width, lastWidth] = [value, last ?? 0].map((volts) => textWidth(formatVolts(volts), 13));
    if (last === undefined || (value - last) * pixelsPerVolt >= (width + lastWidth) / 2 + 8) kept.push(value);
  }
  return kept;
}

/** Number of attacks shown. The first two are the same attack on held-out and on training images, or from two starts. */
const MOST_ATTACKS = 2;

function sweptSeries(results: Results): VoltageSeries[] {
  const shown = attacksOf(results).slice(0, MOST_ATTACKS);
  return voltageSeries(results).filter(({ attack }) => attack !== undefined && shown.includes(attack));
}

export const voltageSweep: RunFigure = {
  name: 'Supply voltage of measured DIMMs',
  file: 'voltage',
  // One voltage is a point, not a line.
  applies: (results) => sweptSeries(results).some(({ points }) => points.length > 1),
  caption: () => 'Accuracy, similarity and energy of weight reads over the supply voltage of measured DIMMs.',
  draw(results, { document, theme, title, classes }) {
    const { baselines, manifest } = results;
    const people = manifest.dataset.classes ?? classes;
    return voltageFigure({
      title: title ?? `${attackedTitle(manifest)} in undervolted DRAM (${manifest.dataset.name})`,
      series: sweptSeries(results),
      lift: shownLift(results.summary),
      chance: people === undefined ? undefined : 1 / people,
      meanFacePcc: baselines.meanFacePcc,
      theme,
      document,
    });
  },
};
