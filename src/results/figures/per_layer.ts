/** Metrics against the rate, one line per set of layers. */
import * as Plot from '@observablehq/plot';
import { ConfigError } from '../../errors.ts';
import { attackTitle, mainAttack } from '../attacks.ts';
import { equalRate } from '../condition.ts';
import { formatRate } from '../format.ts';
import { kindInText, METRIC_LABELS } from '../labels.ts';
import type { Metric } from '../metrics.ts';
import type { AttackDescription, Interval, Results, SummaryEntry } from '../schema.ts';
import { lastMeasured, type Series, seriesOf, shownLift, valuesOf } from '../series.ts';
import type { RunFigure } from './figure.ts';
import { bounds, marginLabels, type Panel, paddedDomain, panelSvg, SLANT, slantedHeight } from './panels.ts';
import { heading, MARGIN, smallPrint, svgRoot, svgText, THEMES, type ThemeName, textWidth, WIDTH } from './style.ts';

export interface PerLayerOptions {
  summary: readonly SummaryEntry[];
  /** Kind of error whose rates or scales are on the x axis; default: bit errors. */
  kind?: 'bit-error' | 'gaussian' | 'laplacian';
  /** By default accuracy, raw correlation and lift. */
  metrics?: Metric[];
  attack?: string;
  /** Titles of the attacks. */
  attacks?: readonly AttackDescription[];
  theme?: ThemeName;
  title: string;
  subtitle?: string;
  footnote?: string;
  document: Document;
}

/**
 * Draws each metric against the rate (base-2 logarithm): one line per set of layers, with its 95 % band and its name at its
 * end, and a dashed rule for the error-free model. Conditions whose layers have different rates are shown by `berHeatmap`.
 *
 * @throws ConfigError if no condition has the same rate above 0 in all its layers
 */
export function perLayerPlot(options: PerLayerOptions): string {
  const {
    title,
    kind = 'bit-error',
    metrics = ['accuracy', 'pcc', shownLift(options.summary)],
    attack,
    document,
  } = options;
  const theme = THEMES[options.theme ?? 'light'];
  const colorOf = (i: number) => theme.palette[i % theme.palette.length];
  const summary = options.summary.filter((entry) => attack === undefined || entry.attack === attack);
  const all = seriesOf(summary).filter((s) => s.kind === kind);
  const lines = all
    .map((s) => ({
      name: lineName(s, all, options.attacks),
      start: s.line.find((entry) => entry.condition.kind !== kind),
      points: s.line.flatMap((entry) => {
        const x = entry.condition.kind === kind ? equalRate(entry.condition) : undefined;
        return x !== undefined && x > 0 ? [{ x, entry }] : [];
      }),
    }))
    .filter((line) => line.points.length > 0);
  if (lines.length === 0) throw new ConfigError(`figure '${title}': no ${kindInText(kind)} to draw`);
  type Point = (typeof lines)[number]['points'][number];

  const rates = [...new Set(lines.flatMap((line) => line.points.map((point) => point.x)))].sort((a, b) => a - b);
  const gap = 24;
  const nameWidth = Math.max(...lines.map((line) => textWidth(line.name, 12.5)), textWidth('no errors', 12.5));
  const tickHeight = slantedHeight(Math.max(...rates.map((rate) => textWidth(formatRate(kind, rate), 13))));
  const panel: Panel = {
    width: (WIDTH - 2 * MARGIN - gap * (metrics.length - 1)) / metrics.length,
    height: 360 + tickHeight,
    marginLeft: 46,
    marginRight: nameWidth + 14,
    marginBottom: tickHeight + 30,
  };
  const head = heading(title, options.subtitle, WIDTH, theme);
  const y = head.bottom + 16;
  let svg = head.svg;
  for (const [m, metric] of metrics.entries()) {
    const x = MARGIN + m * (panel.width + gap);
    const starts = [...new Set(lines.flatMap((line) => (line.start ? [line.start] : [])))];
    const shown = [...starts, ...lines.flatMap((line) => line.points.map((point) => point.entry))];
    const nulls = metric === 'pccLift' || metric === 'liftMeanFree' ? [0] : [];
    const yDomain = paddedDomain([...shown.flatMap((entry) => valuesOf(entry[metric])), ...nulls], bounds(metric));
    const of = (pick: (interval: Interval) => number | null) => (point: Point) => pick(point.entry[metric]);
    const rate = (point: Point) => point.x;
    svg += svgText(x, y + 12, METRIC_LABELS[metric], { size: 14, weight: 500 }, theme);
    svg += panelSvg(
      document,
      x,
      y + 16,
      panel,
      {
        x: {
          type: 'log',
          base: 2,
          // A single rate spans no range.
          domain: rates.length > 1 ? [rates[0] * 0.9, rates[rates.length - 1] * 1.1] : [rates[0] / 2, rates[0] * 2],
          ticks: sparse(rates, panel.width - panel.marginLeft - panel.marginRight),
          tickFormat: (value: number) => formatRate(kind, value),
          tickRotate: -SLANT,
          label: kind === 'bit-error' ? 'bit error rate' : 'noise scale',
          labelAnchor: 'center',
          labelArrow: 'none',
          labelOffset: panel.marginBottom - 6,
        },
        y: { domain: yDomain, label: null, ticks: 6 },
        marks: [
          Plot.gridY({ stroke: theme.grid, strokeOpacity: 1, ticks: 6 }),
          Plot.frame({ anchor: 'bottom', stroke: theme.axis }),
          Plot.frame({ anchor: 'left', stroke: theme.axis }),
          Plot.ruleY(nulls, { stroke: theme.soft }),
          Plot.ruleY(
            starts.flatMap((entry) => entry[metric].mean ?? []),
            { stroke: theme.soft, strokeDasharray: '3 4' },
          ),
          ...lines.map((line, i) =>
            Plot.areaY(line.points, {
              x: rate,
              y1: of((interval) => interval.ci95?.[0] ?? null),
              y2: of((interval) => interval.ci95?.[1] ?? null),
              fill: colorOf(i),
              fillOpacity: 0.12,
            }),
          ),
          ...lines.flatMap((line, i) => [
            Plot.line(line.points, {
              x: rate,
              y: of((interval) => interval.mean),
              stroke: colorOf(i),
              strokeWidth: 2,
              strokeDasharray: theme.dash(i) || 'none',
            }),
            Plot.dot(line.points, {
              x: rate,
              y: of((interval) => interval.mean),
              fill: colorOf(i),
              stroke: theme.paper,
              strokeWidth: 0.8,
              r: 3.6,
              symbol: (['circle', 'square', 'triangle', 'diamond'] as const)[i % 4],
            }),
          ]),
          ...marginLabels(
            [
              ...lines.flatMap((line, i) => {
                const last = lastMeasured(line.points, ({ entry }) => entry[metric]);
                return last ? [{ value: last.mean, text: line.name, fill: theme.text(colorOf(i)), weight: 600 }] : [];
              }),
              ...starts
                .slice(0, 1)
                .flatMap(({ [metric]: { mean } }) =>
                  mean === null ? [] : [{ value: mean, text: 'no errors', fill: theme.soft }],
                ),
            ],
            yDomain,
            panel,
          ),
        ],
      },
      theme,
    );
  }
  const foot = smallPrint(options.footnote, y + 16 + panel.height + 14, WIDTH, theme);
  return svgRoot(WIDTH, foot.bottom + 14, title, svg + foot.svg, theme);
}

/** The name of the layers, and what distinguishes the series from others of the same layers. */
function lineName(series: Series, all: readonly Series[], attacks?: readonly AttackDescription[]): string {
  const others = all.filter((s) => s.layers === series.layers && s !== series);
  return [
    series.layers,
    ...(others.some((s) => s.variant !== series.variant) ? [series.variant] : []),
    ...(others.some((s) => s.attack !== series.attack) ? [attackTitle(attacks, series.attack)] : []),
  ].join(', ');
}

/** The rates whose slanted labels have room on a logarithmic axis of `width` px. */
function sparse(rates: number[], width: number): number[] {
  const span = Math.log2(rates[rates.length - 1] / rates[0]) || 1;
  const kept: number[] = [];
  // From the strongest down: the strong end is where the lines differ.
  for (const rate of [...rates].reverse()) {
    const last = kept[kept.length - 1];
    if (last === undefined || (Math.log2(last / rate) / span) * width >= 18) kept.push(rate);
  }
  return kept.reverse();
}

/** The set of layers and the rate of every bit-error condition that the figure shows. */
function placesOf({ summary }: Results): { layers: string; rate: number }[] {
  return summary.flatMap(({ condition }) => {
    const rate = condition.kind === 'bit-error' ? equalRate(condition) : undefined;
    return rate !== undefined && rate > 0 ? [{ layers: condition.layers, rate }] : [];
  });
}

const setsOf = (results: Results) => new Set(placesOf(results).map(({ layers }) => layers)).size;

export const layerLines: RunFigure = {
  name: 'Layer by layer',
  file: 'layers',
  // A single rate of a single set of layers is a point, not a line.
  applies: (results) => setsOf(results) > 1 || new Set(placesOf(results).map(({ rate }) => rate)).size > 1,
  caption: (results) =>
    `Accuracy and similarity against the bit error rate${setsOf(results) > 1 ? ', layer by layer' : ''}.`,
  draw(results, { document, theme, title }) {
    const { summary, manifest } = results;
    const attack = mainAttack(results);
    const what = setsOf(results) > 1 ? 'Which layer lies in approximate memory' : 'What the bit error rate does';
    const by = attackTitle(manifest.attacks, attack);
    const heading = title === undefined ? `${what} (${by})` : `${title}: ${what.toLowerCase()}`;
    return perLayerPlot({ summary, attack, attacks: manifest.attacks, title: heading, theme, document });
  },
};
