/** Panels drawn by Observable Plot, their margin labels and legends. */
import * as Plot from '@observablehq/plot';
import { type Metric, SHARES } from '../metrics.ts';
import {
  FONT_FAMILY,
  MARGIN,
  round,
  type SymbolName,
  svgText,
  THEMES,
  type Theme,
  textWidth,
  xmlCharacters,
} from './style.ts';

export { darker } from './style.ts';

export interface Panel {
  width: number;
  height: number;
  marginLeft: number;
  marginRight: number;
  marginBottom: number;
}

export function panelSvg(
  document: Document,
  x: number,
  y: number,
  panel: Panel,
  options: Plot.PlotOptions,
  theme: Theme = THEMES.light,
): string {
  const element = Plot.plot({
    marginTop: 12,
    ...panel,
    ...options,
    document,
    style: { fontFamily: FONT_FAMILY, fontSize: '13px', background: 'none', color: theme.ink, overflow: 'visible' },
  });
  element.setAttribute('x', String(round(x)));
  element.setAttribute('y', String(round(y)));
  // Plot's style sheet is for pages (responsive width, CSS variables); an SVG renderer knows neither.
  for (const style of element.querySelectorAll('style')) style.remove();
  element.removeAttribute('class');
  const view = document.defaultView as (Window & typeof globalThis) | null;
  const Serializer = view?.XMLSerializer ?? globalThis.XMLSerializer;
  return xmlCharacters(new Serializer().serializeToString(element)).replaceAll('var(--plot-background)', theme.paper);
}

/** The range of the values with a margin of 6 % at each end, limited to `min` and `max`. */
export function paddedDomain(
  values: number[],
  { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = {},
) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.06 || Math.max(Math.abs(high) * 0.05, 0.01);
  return [Math.max(low - pad, Math.min(min, low)), Math.min(high + pad, Math.max(max, high))] as [number, number];
}

/** The limits of a metric's values, which its axis must not exceed. */
export function bounds(metric: Metric): { min?: number; max?: number } {
  if (SHARES.has(metric)) return { min: 0, max: 1 };
  if (metric === 'mse') return { min: 0 };
  return metric === 'psnr' ? {} : { max: 1 };
}

interface MarginLabel {
  value: number;
  text: string;
  fill: string;
  weight?: number;
}

/** Labels at the right of a panel, next to the values that they name, and moved apart where they would overlap. */
export function marginLabels(labels: MarginLabel[], domain: [number, number], panel: Panel): Plot.Markish[] {
  const [top, bottom] = [12, panel.height - panel.marginBottom];
  const pixel = (value: number) => bottom - ((value - domain[0]) / (domain[1] - domain[0])) * (bottom - top);
  const placed = labels.map((label) => ({ ...label, at: pixel(label.value), y: pixel(label.value) }));
  placed.sort((a, b) => a.y - b.y);
  const step = 16;
  // Labels are moved down and then up, so that each is as near to its value as its neighbours and the panel's ends allow.
  for (let i = 1; i < placed.length; i++) placed[i].y = Math.max(placed[i].y, placed[i - 1].y + step);
  for (let i = placed.length - 1; i >= 0; i--) {
    placed[i].y = Math.min(placed[i].y, (placed[i + 1]?.y ?? bottom + step / 2) - step);
  }
  return placed.map((label) =>
    Plot.text([label.value], {
      y: (value: number) => value,
      text: () => label.text,
      frameAnchor: 'right',
      textAnchor: 'start',
      dx: 8,
      dy: label.y - label.at,
      fill: label.fill,
      fontWeight: label.weight ?? 400,
      fontSize: 12.5,
    }),
  );
}

export interface LegendItem {
  label: string;
  color: string;
  dash?: string;
  symbol?: SymbolName;
  hollow?: boolean;
  line?: boolean;
  band?: boolean;
}

/** Draws the legend in one or more lines from (MARGIN, y); returns the SVG and its lower end. */
export function legend(
  items: LegendItem[],
  y: number,
  width: number,
  theme: Theme = THEMES.light,
): { svg: string; bottom: number } {
  let svg = '';
  let x = MARGIN;
  for (const item of items) {
    // A symbol without a line takes less room.
    const key = item.line === false ? 14 : 30;
    const advance = key + 8 + textWidth(item.label, 13.5) + 14;
    if (x > MARGIN && x + advance > width - MARGIN) {
      x = MARGIN;
      y += 24;
    }
    if (item.band) {
      svg += `<rect x="${round(x)}" y="${y}" width="30" height="14" fill="${item.color}" fill-opacity="0.18"/>`;
    } else if (item.line !== false) {
      svg += `<line x1="${round(x)}" x2="${round(x + 30)}" y1="${y + 7}" y2="${y + 7}" stroke="${item.color}" stroke-width="2" stroke-dasharray="${item.dash || 'none'}"/>`;
    }
    if (item.symbol)
      svg += symbolPath(item.symbol, x + key / 2, y + 7, item.color, item.hollow ? theme.paper : undefined);
    svg += svgText(x + key + 8, y + 12, item.label, { size: 13.5 }, theme);
    x += advance;
  }
  return { svg, bottom: y + 18 };
}

/**
 * The symbols of Plot's dots, at the size of the legend.
 *
 * @param ground colour inside a hollow symbol; without it the symbol is filled
 */
function symbolPath(symbol: SymbolName, x: number, y: number, color: string, ground?: string): string {
  const paint = ground ? `fill="${ground}" stroke="${color}" stroke-width="1.8"` : `fill="${color}"`;
  if (symbol === 'circle') return `<circle cx="${round(x)}" cy="${y}" r="4.6" ${paint}/>`;
  const shape = {
    square: 'M-4,-4H4V4H-4Z',
    triangle: 'M0,-5.4L5,3.4H-5Z',
    diamond: 'M0,-6.6L4.6,0L0,6.6L-4.6,0Z',
  }[symbol];
  return `<path transform="translate(${round(x)},${y})" d="${shape}" ${paint}/>`;
}

/** Slope of slanted tick labels in degrees. */
export const SLANT = 50;

/** How far below the axis a slanted label of this width reaches, in px. */
export function slantedHeight(width: number): number {
  return 14 + width * Math.sin((SLANT * Math.PI) / 180);
}
