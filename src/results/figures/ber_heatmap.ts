/** Metrics over a grid of two bit error rates. */
import * as Plot from '@observablehq/plot';
import { ConfigError } from '../../errors.ts';
import { attackTitle, mainAttack } from '../attacks.ts';
import { formatPercent } from '../format.ts';
import { METRIC_LABELS } from '../labels.ts';
import type { Metric } from '../metrics.ts';
import type { Condition, Results, SummaryEntry } from '../schema.ts';
import { shownLift } from '../series.ts';
import type { RunFigure } from './figure.ts';
import { type Panel, panelSvg, SLANT, slantedHeight } from './panels.ts';
import {
  heading,
  MARGIN,
  round,
  smallPrint,
  svgRoot,
  svgText,
  THEMES,
  type Theme,
  type ThemeName,
  textWidth,
  WIDTH,
} from './style.ts';

export interface BerHeatmapOptions {
  summary: readonly SummaryEntry[];
  /** The two layers whose rates span the grid: across, and up. */
  layers: [string, string];
  /** By default accuracy, raw correlation and lift. */
  metrics?: Metric[];
  attack?: string;
  theme?: ThemeName;
  title: string;
  subtitle?: string;
  footnote?: string;
  document: Document;
}

/**
 * Draws metrics over a grid of two bit error rates, one panel per metric, with values in the cells and the error-free model in
 * the lower left corner. If several formats or attacks have the same rates, the first entry is drawn; filter the summary to
 * choose another.
 *
 * @throws ConfigError if no condition has bit errors on these layers and on no others
 */
export function berHeatmap(options: BerHeatmapOptions): string {
  const { layers, title, metrics = ['accuracy', 'pcc', shownLift(options.summary)], document } = options;
  const theme = THEMES[options.theme ?? 'light'];
  const cells = new Map<string, { x: number; y: number; entry: SummaryEntry }>();
  for (const entry of options.summary) {
    if (options.attack !== undefined && entry.attack !== options.attack) continue;
    const at = gridPlace(entry.condition, layers);
    if (at && !cells.has(`${at}`)) cells.set(`${at}`, { x: at[0], y: at[1], entry });
  }
  const grid = [...cells.values()];
  if (!grid.some(({ x, y }) => x > 0 || y > 0)) {
    throw new ConfigError(`figure '${title}': no bit errors on ${layers[0]} or ${layers[1]} to draw`);
  }
  const ascending = (values: number[]) => [...new Set(values)].sort((a, b) => a - b);
  const across = ascending(grid.map((cell) => cell.x));
  const up = ascending(grid.map((cell) => cell.y));

  const gap = 26;
  const panelWidth = (WIDTH - 2 * MARGIN - gap * (metrics.length - 1)) / metrics.length;
  const tickWidth = Math.max(...[...across, ...up].map((rate) => textWidth(formatPercent(rate), 13)));
  const marginLeft = tickWidth + 34;
  const cellWidth = (panelWidth - marginLeft - 4) / across.length;
  const cellHeight = Math.min(Math.max(cellWidth * 0.8, 22), 54);
  const slanted = cellWidth < tickWidth + 4;
  const marginBottom = slanted ? slantedHeight(tickWidth) + 34 : 48;
  const panel: Panel = {
    width: panelWidth,
    height: 12 + cellHeight * up.length + marginBottom,
    marginLeft,
    marginRight: 4,
    marginBottom,
  };
  const viridis = Plot.scale({ color: { type: 'linear', domain: [0, 1], scheme: 'viridis' } });

  const head = heading(title, options.subtitle, WIDTH, theme);
  const y = head.bottom + 16;
  let svg = head.svg;
  for (const [m, metric] of metrics.entries()) {
    const x = MARGIN + m * (panelWidth + gap);
    const measured = grid.filter(({ entry }) => entry[metric].mean !== null);
    const value = (cell: (typeof grid)[number]) => cell.entry[metric].mean as number;
    const values = measured.map(value);
    const [low, high] = values.length === 0 ? [0, 0] : [Math.min(...values), Math.max(...values)];
    const share = (value: number) => (high === low ? 0.5 : (value - low) / (high - low));
    const digits = metric === 'mse' ? 3 : metric === 'psnr' ? 1 : 2;
    const format = (value: number) => value.toFixed(digits).replace('-', '−');
    const at = { x: (cell: (typeof grid)[number]) => cell.x, y: (cell: (typeof grid)[number]) => cell.y };
    const numbers = (dark: boolean) =>
      Plot.text(
        measured.filter((cell) => share(value(cell)) > 0.6 === dark),
        {
          ...at,
          text: (cell: (typeof grid)[number]) => format(value(cell)),
          fill: dark ? '#000000' : '#ffffff',
          fontSize: cellWidth < 44 ? 10 : 12,
        },
      );
    svg += svgText(x, y + 12, METRIC_LABELS[metric], { size: 14, weight: 500 }, theme);
    svg += panelSvg(
      document,
      x,
      y + 16,
      panel,
      {
        x: {
          type: 'band',
          domain: across,
          label: `bit error rate, ${layers[0]}`,
          labelAnchor: 'center',
          labelArrow: 'none',
          labelOffset: marginBottom - 6,
          tickFormat: formatPercent,
          tickRotate: slanted ? -SLANT : 0,
          padding: 0.04,
        },
        y: {
          type: 'band',
          domain: [...up].reverse(),
          label: `bit error rate, ${layers[1]}`,
          labelAnchor: 'center',
          labelArrow: 'none',
          labelOffset: marginLeft - 8,
          tickFormat: formatPercent,
          padding: 0.04,
        },
        marks: [
          Plot.frame({ fill: theme.empty, stroke: 'none' }),
          Plot.cell(measured, {
            ...at,
            fill: (cell: (typeof grid)[number]) => String(viridis.apply(share(value(cell)))),
          }),
          ...(cellWidth < 26 ? [] : [numbers(false), numbers(true)]),
        ],
      },
      theme,
    );
    svg += colourBar(
      x + panel.marginLeft,
      y + 16 + panel.height + 14,
      panelWidth - marginLeft - 4,
      viridis,
      format(low),
      format(high),
      theme,
    );
  }
  const foot = smallPrint(options.footnote, y + 16 + panel.height + 52, WIDTH, theme);
  return svgRoot(WIDTH, foot.bottom + 14, title, svg + foot.svg, theme);
}

/** The position of a condition on the grid, or undefined if it is not part of the grid. */
function gridPlace(condition: Condition, [across, up]: [string, string]): [number, number] | undefined {
  if (condition.kind === 'quantised') return [0, 0];
  if (condition.kind !== 'bit-error') return undefined;
  const others = Object.entries(condition.rates).some(([l, value]) => l !== across && l !== up && value > 0);
  return others ? undefined : [condition.rates[across] ?? 0, condition.rates[up] ?? 0];
}

function colourBar(
  x: number,
  y: number,
  width: number,
  scale: Plot.Scale,
  low: string,
  high: string,
  theme: Theme,
): string {
  const [lowWidth, steps] = [textWidth(low, 12) + 6, 48];
  const bar = width - lowWidth - textWidth(high, 12) - 6;
  let svg = svgText(x, y + 10, low, { size: 12, fill: theme.soft });
  for (let i = 0; i < steps; i++) {
    const left = round(x + lowWidth + (i * bar) / steps);
    // Half a pixel wider than its share; otherwise renderers leave hairlines between the steps.
    svg += `<rect x="${left}" y="${y}" width="${round(bar / steps + 0.5)}" height="11" fill="${scale.apply(i / (steps - 1))}"/>`;
  }
  return svg + svgText(x + width, y + 10, high, { size: 12, fill: theme.soft, anchor: 'end' });
}

/** The first two layers whose rates were crossed, that is, two different rates were run in all four combinations. */
function crossedLayers({ summary }: Results): [string, string] | undefined {
  const pairs = new Map<string, [string, string]>();
  for (const { condition } of summary) {
    const layers = Object.keys(condition.rates);
    if (condition.kind === 'bit-error' && layers.length === 2) pairs.set(layers.join('\n'), [layers[0], layers[1]]);
  }
  return [...pairs.values()].find((pair) => {
    const cells = summary.flatMap(({ condition }) =>
      condition.kind === 'bit-error' && pair.every((layer) => condition.rates[layer] !== undefined)
        ? [pair.map((layer) => condition.rates[layer])]
        : [],
    );
    const places = new Set(cells.map(String));
    return cells.some(([x, y]) => x !== y && [`${x},${x}`, `${y},${x}`, `${y},${y}`].every((cell) => places.has(cell)));
  });
}

export const rateGrid: RunFigure = {
  name: 'Rates of two layers, crossed',
  file: 'grid',
  applies: (results) => crossedLayers(results) !== undefined,
  caption: (results) => `Bit error rates of ${crossedLayers(results)?.join(' and ')}, crossed.`,
  draw(results, { document, theme, title }) {
    const { summary, manifest } = results;
    const layers = crossedLayers(results);
    if (layers === undefined) throw new ConfigError('figure grid: no two layers have crossed bit error rates');
    const attack = mainAttack(results);
    const what = `both layers, ${layers.join(' and ')}`;
    const by = attackTitle(manifest.attacks, attack);
    const heading = title === undefined ? `B${what.slice(1)} (${by})` : `${title}: ${what}`;
    return berHeatmap({ summary, attack, layers, title: heading, theme, document });
  },
};
