/**
 * Draws the roofline (Williams, Waterman, Patterson, CACM 2009) of one run. The first roof is the rate of multiply-adds
 * alone, the second the bandwidth that a copying shader reaches (which a kernel can exceed).
 */
import * as Plot from '@observablehq/plot';
import { darker, legend, type Panel, panelSvg } from '../src/results/figures/panels.ts';
import {
  GRID,
  heading,
  INK,
  MARGIN,
  PALETTE,
  round,
  SOFT,
  type SymbolName,
  smallPrint,
  svgRoot,
  svgText,
  textWidth,
  WIDTH,
} from '../src/results/figures/style.ts';
import type { RooflinePoint, Row } from './rows.ts';

export interface Ceilings {
  /** Multiply-adds alone, GFLOP/s. */
  readonly fma: number;
  /** Bytes read and written by a copy, GB/s. */
  readonly copy: number;
}

type Kind = RooflinePoint['kind'];

const STYLE: Readonly<Record<Kind, { color: string; symbol: SymbolName; label: string }>> = {
  GEMM: { color: PALETTE[0], symbol: 'circle', label: 'matrix products' },
  convolution: { color: PALETTE[1], symbol: 'square', label: 'convolutions' },
  streaming: { color: PALETTE[2], symbol: 'triangle', label: 'kernels that stream through memory' },
};

const LABEL_SIZE = 12.5;
/** Vertical distance of neighbouring labels, px. */
const LABEL_STEP = 16;

interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * Places labels in a column to the right of their dots: each as near to its dot as a distance of `step` between neighbours
 * allows, in an order in which no two leaders (lines from a dot to its label) cross.
 *
 * @param column x of the labels, right of every dot
 * @param span y of the highest and of the lowest label; labels that do not fit into it continue below it
 * @returns y of every label, px downwards
 */
export function placeLabels(
  dots: readonly Point[],
  column: number,
  [top, bottom]: readonly [number, number],
  step: number,
): number[] {
  const order = dots.map((_, i) => i).sort((a, b) => dots[a].y - dots[b].y);
  const heights: number[] = [];
  // Runs of labels that touch are centred on their dots; a run that overlaps the run above is merged with it.
  const runs: { first: number; count: number; sum: number }[] = [];
  const start = ({ count, sum }: { count: number; sum: number }) =>
    Math.max(top, Math.min(bottom - (count - 1) * step, sum / count - ((count - 1) * step) / 2));
  for (const [position, i] of order.entries()) {
    let run = { first: position, count: 1, sum: dots[i].y };
    for (let above = runs.at(-1); above && start(above) + above.count * step > start(run); above = runs.at(-1)) {
      run = { first: above.first, count: above.count + run.count, sum: above.sum + run.sum };
      runs.pop();
    }
    runs.push(run);
  }
  for (const run of runs) for (let k = 0; k < run.count; k++) heights.push(start(run) + k * step);
  const y = dots.map(() => 0);
  for (const [position, i] of order.entries()) y[i] = heights[position];
  // Swapping the labels of two leaders that cross shortens their total length, so this loop ends.
  for (let crossed = true; crossed; ) {
    crossed = false;
    for (let i = 0; i < dots.length; i++) {
      for (let j = 0; j < i; j++) {
        if (!cross(dots[i], { x: column, y: y[i] }, dots[j], { x: column, y: y[j] })) continue;
        [y[i], y[j]] = [y[j], y[i]];
        crossed = true;
      }
    }
  }
  return y;
}

/** True if the segments ab and cd have an inner point in common. */
export function cross(a: Point, b: Point, c: Point, d: Point): boolean {
  const side = (p: Point, q: Point, r: Point) => (q.x - p.x) * (r.y - p.y) - (q.y - p.y) * (r.x - p.x);
  return side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
}

/**
 * GFLOP/s and GB/s of a row on the roofline.
 * @param share per cent of a ceiling that was measured in the same rounds: other work on the machine slows kernel and ceiling
 *   alike, so the share stays valid
 */
export function ratesOf(share: number, { kind, intensity }: RooflinePoint, { fma, copy }: Ceilings) {
  if (kind !== 'streaming') return { gflops: (share / 100) * fma, gbps: ((share / 100) * fma) / intensity };
  return { gflops: (share / 100) * copy * intensity, gbps: (share / 100) * copy };
}

interface Dot extends RooflinePoint {
  readonly gflops: number;
  readonly gbps: number;
  /** Per cent of the kind's ceiling: median and range over the rounds. */
  readonly row: Row;
}

/** @param rows at least one of them has a `roofline` point */
export function rooflineFigure(adapter: string, ceilings: Ceilings, rows: readonly Row[], document: Document): string {
  const dots = rows.flatMap((row): Dot[] =>
    row.roofline ? [{ ...row.roofline, ...ratesOf(row.measured, row.roofline, ceilings), row }] : [],
  );
  const { fma, copy } = ceilings;
  const title = `Roofline of ${adapter}`;
  const head = heading(
    title,
    `Multiply-adds alone reach ${digits(fma)} GFLOP/s, a copy moves ${digits(copy)} GB/s: the roofs meet at ${digits(fma / copy)} ` +
      'operations per byte. Every kernel was measured beside its ceiling, in the same rounds.',
    WIDTH,
  );
  const keys = (Object.keys(STYLE) as Kind[]).filter((kind) => dots.some((dot) => dot.kind === kind));
  const key = legend(
    keys.map((kind) => ({ ...STYLE[kind], line: false })),
    head.bottom + 14,
    WIDTH,
  );
  const computing = dots.filter(({ intensity }) => intensity > 0);
  const roofline = drawRoofline(computing, ceilings, key.bottom + 8, document);
  const streams = dots.filter(({ kind }) => kind === 'streaming');
  const bandwidth = drawBandwidth(streams, roofline.bottom + 20, document);
  const foot = smallPrint(
    'Intensity is operations over the bytes that must be moved: every input read once, every output written once, ' +
      'intermediates not at all. The slope is what a copying shader reaches, not the peak of the memory: a kernel whose ' +
      'invocations each move more bytes can lie above it. Kernels without counted operations appear only in the lower panel. ' +
      'Its horizontal lines show the range over the rounds.',
    bandwidth.bottom + 16,
    WIDTH,
  );
  return svgRoot(WIDTH, foot.bottom + 14, title, head.svg + key.svg + roofline.svg + bandwidth.svg + foot.svg);
}

function drawRoofline(dots: readonly Dot[], { fma, copy }: Ceilings, top: number, document: Document) {
  const products = dots.filter(({ kind }) => kind !== 'streaming');
  const streams = dots.filter(({ kind }) => kind === 'streaming');
  const room = Math.max(40, ...products.map(({ kernel }) => textWidth(kernel, LABEL_SIZE) + 60));
  const height = Math.max(540, 200 + LABEL_STEP * Math.max(products.length, streams.length));
  const panel: Panel = { width: WIDTH - 2 * MARGIN, height, marginLeft: 58, marginRight: room, marginBottom: 48 };
  const ridge = fma / copy;
  const intensities = [...dots.map(({ intensity }) => intensity), ridge];
  const xDomain = [Math.min(...intensities) / 1.6, Math.max(...intensities) * 1.6] as const;
  const low = Math.min(copy * xDomain[0], ...dots.map(({ gflops }) => gflops));
  const yDomain = [low / 2.5, fma * 2] as const;
  const scale = (domain: readonly [number, number], from: number, to: number) => (value: number) =>
    from + (Math.log(value / domain[0]) / Math.log(domain[1] / domain[0])) * (to - from);
  const x = scale(xDomain, MARGIN + panel.marginLeft, MARGIN + panel.width - panel.marginRight);
  const y = scale(yDomain, top + height - panel.marginBottom, top + 12);
  const intensityAt = (place: number) =>
    Math.exp(
      Math.log(xDomain[0]) +
        (Math.log(xDomain[1] / xDomain[0]) * (place - x(xDomain[0]))) / (x(xDomain[1]) - x(xDomain[0])),
    );
  const roof = [xDomain[0], ridge, xDomain[1]].map((intensity) => ({
    intensity,
    gflops: Math.min(fma, copy * intensity),
  }));
  const axis = { type: 'log', labelAnchor: 'center', labelArrow: 'none', tickFormat: digits } as const;
  let svg = panelSvg(document, MARGIN, top, panel, {
    x: { ...axis, domain: xDomain, label: 'arithmetic intensity, FLOP per byte', labelOffset: 40, ticks: 6 },
    y: { ...axis, domain: yDomain, label: 'GFLOP/s', labelOffset: 48, ticks: 5 },
    marks: [
      Plot.gridX({ stroke: GRID, strokeOpacity: 1, ticks: 6 }),
      Plot.gridY({ stroke: GRID, strokeOpacity: 1, ticks: 5 }),
      Plot.frame({ anchor: 'bottom', stroke: '#9a9a9a' }),
      Plot.frame({ anchor: 'left', stroke: '#9a9a9a' }),
      Plot.line(roof, { x: 'intensity', y: 'gflops', stroke: INK, strokeWidth: 2 }),
      Plot.ruleX([ridge], { y1: yDomain[0], y2: fma, stroke: SOFT, strokeDasharray: '3 4' }),
    ],
  });
  svg += svgText(x(ridge) + 8, y(fma) - 8, `FMA ceiling ${digits(fma)} GFLOP/s`, { weight: 600 });
  const angle = (Math.atan2(y(copy * ridge) - y(copy), x(ridge) - x(1)) * 180) / Math.PI;
  // The label stands high on the slope, where there are no labels of kernels.
  const [atX, atY] = [x(ridge / 3), y((copy * ridge) / 3) - 9].map(round);
  svg += `<g transform="rotate(${round(angle)},${atX},${atY})">${svgText(atX, atY, `copy ${digits(copy)} GB/s`, { weight: 600, anchor: 'middle' })}</g>`;
  svg += svgText(x(ridge) + 6, top + height - panel.marginBottom - 8, `ridge ${digits(ridge)}`, {
    size: 12,
    fill: SOFT,
  });
  for (const group of [streams, products]) {
    if (group.length === 0) continue;
    const places = group.map(({ intensity, gflops }) => ({ x: x(intensity), y: y(gflops) }));
    const column = Math.max(...places.map((place) => place.x)) + 44;
    // The topmost label lies below the roof, measured at the labels' left edge.
    const roofThere = y(Math.min(fma, copy * intensityAt(column)));
    const heights = placeLabels(places, column, [roofThere + 24, y(yDomain[0]) - 26], LABEL_STEP);
    for (const [i, { kernel, kind }] of group.entries()) {
      const { color } = STYLE[kind];
      svg +=
        `<line x1="${round(places[i].x)}" y1="${round(places[i].y)}" x2="${round(column)}" y2="${round(heights[i])}" stroke="${color}" stroke-opacity="0.4"/>` +
        // A white outline keeps the lines of the grid from running through the letters.
        `<g stroke="#ffffff" stroke-width="3" paint-order="stroke">${svgText(column + 5, heights[i] + 4, kernel, { size: LABEL_SIZE, fill: darker(color) })}</g>`;
    }
    for (const [i, { kind }] of group.entries()) svg += symbol(kind, places[i]);
  }
  return { svg, bottom: top + height };
}

function symbol(kind: Kind, { x, y }: Point): string {
  const { color } = STYLE[kind];
  const [cx, cy] = [round(x), round(y)];
  const paint = `fill="${color}" stroke="#ffffff" stroke-width="0.8"`;
  if (kind === 'GEMM') return `<circle cx="${cx}" cy="${cy}" r="4.6" ${paint}/>`;
  const path = kind === 'convolution' ? 'M-4,-4H4V4H-4Z' : 'M0,-5.4L5,3.4H-5Z';
  return `<path transform="translate(${cx},${cy})" d="${path}" ${paint}/>`;
}

/** Draws the streaming kernels, fastest first, in per cent of the bandwidth of a copy. */
function drawBandwidth(dots: readonly Dot[], top: number, document: Document) {
  if (dots.length === 0) return { svg: '', bottom: top };
  const sorted = [...dots].sort((a, b) => b.gbps - a.gbps);
  const names = Math.max(...sorted.map(({ kernel }) => textWidth(kernel, 13)));
  const panel: Panel = {
    width: WIDTH - 2 * MARGIN,
    height: 70 + 22 * sorted.length,
    marginLeft: names + 16,
    marginRight: 84,
    marginBottom: 46,
  };
  const { color } = STYLE.streaming;
  const most = Math.max(110, ...sorted.map(({ row }) => row.max)) * 1.04;
  const svg = panelSvg(document, MARGIN, top + 16, panel, {
    x: {
      domain: [0, most],
      label: "% of a copy's bytes per second",
      labelAnchor: 'center',
      labelArrow: 'none',
      labelOffset: 40,
    },
    y: { type: 'band', domain: sorted.map(({ kernel }) => kernel), label: null, tickSize: 0 },
    marks: [
      Plot.gridX({ stroke: GRID, strokeOpacity: 1 }),
      Plot.frame({ anchor: 'bottom', stroke: '#9a9a9a' }),
      Plot.ruleX([100], { stroke: INK, strokeWidth: 1.5 }),
      Plot.ruleY(sorted, {
        y: 'kernel',
        x1: (dot: Dot) => dot.row.min,
        x2: (dot: Dot) => dot.row.max,
        stroke: color,
        strokeWidth: 2,
      }),
      Plot.dot(sorted, {
        y: 'kernel',
        x: (dot: Dot) => dot.row.measured,
        fill: color,
        stroke: '#ffffff',
        r: 4.4,
        symbol: 'triangle',
      }),
      Plot.text(sorted, {
        y: 'kernel',
        frameAnchor: 'right',
        textAnchor: 'start',
        dx: 10,
        text: (dot: Dot) => `${digits(dot.gbps)} GB/s`,
        fill: darker(color),
        fontSize: LABEL_SIZE,
      }),
    ],
  });
  const name = svgText(MARGIN, top + 12, 'Bytes that must be moved, per second', { size: 14, weight: 500 });
  return { svg: name + svg, bottom: top + 16 + panel.height };
}

/** Three significant digits, without an exponent. */
function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
