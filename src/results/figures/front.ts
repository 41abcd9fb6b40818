/** Accuracy, leak and energy of all conditions, and those that no other condition is better than: the Pareto front. */
import * as Plot from '@observablehq/plot';
import { ConfigError } from '../../errors.ts';
import { isErrorFree, isUndefended } from '../condition.ts';
import { formatNumber } from '../format.ts';
import { conditionLabel, KIND_LABELS, METRIC_LABELS, runTitle } from '../labels.ts';
import { type Balance, balances } from '../leak.ts';
import type { ConditionKind, Results } from '../schema.ts';
import { shownLift, valuesOf } from '../series.ts';
import type { DrawOptions, RunFigure } from './figure.ts';
import { bounds, legend, type Panel, paddedDomain, panelSvg } from './panels.ts';
import { heading, MARGIN, smallPrint, svgRoot, svgText, THEMES, type Theme, WIDTH, wrap } from './style.ts';

/** Width of the list of the front, px. */
const LIST = 330;

/** Most conditions of the front that the list names. */
const MOST_LISTED = 12;

/** True if `a` is as good as `b` in everything and better in something. */
function isBetter(a: Balance, b: Balance): boolean {
  const of = ({ worst, leak, energy = 0 }: Balance) => [worst.accuracy.mean, -leak.mean, -energy];
  const [first, second] = [of(a), of(b)];
  return first.every((value, i) => value >= second[i]) && first.some((value, i) => value > second[i]);
}

/** The conditions that no other is better than: in accuracy, in the leak to the worst attacker and in energy. Most accurate first. */
export function paretoFront(all: readonly Balance[]): Balance[] {
  const front = all.filter((each) => !all.some((other) => isBetter(other, each)));
  return front.sort((a, b) => b.worst.accuracy.mean - a.worst.accuracy.mean || b.leak.mean - a.leak.mean);
}

/** Energies relative to those of the undefended model; undefined if all are equal or one is not known. */
function relativeEnergies(all: readonly Balance[]): ReadonlyMap<Balance, number> | undefined {
  const exact = all.find(({ worst }) => isUndefended(worst.condition))?.energy;
  if (!exact || all.some(({ energy }) => energy === undefined)) return undefined;
  if (all.every(({ energy }) => energy === all[0].energy)) return undefined;
  return new Map(all.map((each) => [each, each.energy! / exact]));
}

/**
 * Draws the leak against the accuracy and, where energies differ, against the energy: every condition as a symbol of its kind, the
 * front filled and numbered with 95 % whiskers, the others hollow. A good defence is low, to the right of the first panel and to
 * the left of the second.
 */
function drawFront(results: Results, { document, title, theme: name = 'light' }: DrawOptions): string {
  const theme = THEMES[name];
  const all = balances(results, results.manifest.attacks);
  if (all.length === 0) throw new ConfigError('figure front: no attack was measured');
  const front = paretoFront(all);
  const energies = relativeEnergies(all);
  const lift = shownLift(results.summary);
  const head = heading(
    title ?? runTitle(results.manifest),
    'Accuracy, what the worst attacker sees, and energy: no condition beats the filled ones in all of them',
    WIDTH,
    theme,
  );
  const kinds = [...new Set(all.map(({ worst }) => worst.condition.kind))];
  const keys = legend(
    kinds.map((kind) => ({ label: KIND_LABELS[kind], ...theme.kinds[kind], line: false })),
    head.bottom + 10,
    WIDTH,
    theme,
  );
  const gap = 28;
  const count = energies ? 2 : 1;
  const panel: Panel = {
    width: (WIDTH - 2 * MARGIN - LIST - gap * count) / count,
    height: 440,
    marginLeft: 46,
    marginRight: 16,
    marginBottom: 48,
  };
  const yDomain = paddedDomain(
    [0, ...all.map(({ leak }) => leak.mean), ...front.flatMap(({ leak }) => valuesOf(leak))],
    bounds(lift),
  );
  const top = keys.bottom + 18;
  let svg =
    head.svg +
    keys.svg +
    svgText(MARGIN, top + 12, `${METRIC_LABELS[lift]}, worst attacker`, { size: 14, weight: 500 }, theme);
  const accuracy = axis(
    (each) => each.worst.accuracy.mean,
    'accuracy',
    paddedDomain(
      [...all, ...front]
        .flatMap(({ worst }) => [worst.accuracy.mean])
        .concat(front.flatMap(({ worst }) => valuesOf(worst.accuracy))),
      bounds('accuracy'),
    ),
  );
  const energy =
    energies &&
    axis(
      (each) => energies.get(each)!,
      'energy of reads, relative to exact weights',
      paddedDomain([0, ...energies.values()], { min: 0 }),
    );
  for (const [i, x] of [accuracy, ...(energy ? [energy] : [])].entries()) {
    svg += panelSvg(
      document,
      MARGIN + i * (panel.width + gap),
      top + 16,
      panel,
      {
        x: { domain: x.domain, label: x.label, labelAnchor: 'center', labelArrow: 'none', ticks: 6 },
        y: { domain: yDomain, label: null, ticks: 6 },
        marks: marks(all, front, x, i === 0, yDomain, panel, theme),
      },
      theme,
    );
  }
  const list = listed(front, energies, theme, top + 16);
  const foot = smallPrint(
    'Numbered: the front, by means; whiskers are 95 % intervals, so neighbours on it need not differ. The worst attacker is the one with the ' +
      `largest lift under that condition${energies ? '; energy is that of reading the weights to classify the test images, bytes times the square of the voltage' : ''}.`,
    Math.max(top + 16 + panel.height, list.bottom) + 10,
    WIDTH,
    theme,
  );
  return svgRoot(WIDTH, foot.bottom + 14, title ?? runTitle(results.manifest), svg + list.svg + foot.svg, theme);
}

interface Axis {
  readonly of: (each: Balance) => number;
  readonly label: string;
  readonly domain: [number, number];
}

const axis = (of: Axis['of'], label: string, domain: Axis['domain']): Axis => ({ of, label, domain });

function marks(
  all: readonly Balance[],
  front: readonly Balance[],
  x: Axis,
  hasLine: boolean,
  yDomain: readonly [number, number],
  panel: Panel,
  theme: Theme,
): Plot.Markish[] {
  const xOf = x.of;
  const leak = (each: Balance) => each.leak.mean;
  const color = ({ worst }: Balance) => theme.kinds[worst.condition.kind].color;
  const groups = (of: readonly Balance[], paint: (kind: ConditionKind) => Plot.DotOptions) =>
    [...new Set(of.map(({ worst }) => worst.condition.kind))].map((kind) =>
      Plot.dot(
        of.filter(({ worst }) => worst.condition.kind === kind),
        { x: xOf, y: leak, symbol: theme.kinds[kind].symbol, ...paint(kind) },
      ),
    );
  // The line joins those that no other is better than in these two axes alone.
  const line = front.filter(
    (each) => !front.some((other) => isBetter({ ...other, energy: 0 }, { ...each, energy: 0 })),
  );
  const beaten = all.filter((each) => !front.includes(each));
  return [
    Plot.gridX({ stroke: theme.grid, strokeOpacity: 1, ticks: 6 }),
    Plot.gridY({ stroke: theme.grid, strokeOpacity: 1, ticks: 6 }),
    Plot.frame({ anchor: 'bottom', stroke: theme.axis }),
    Plot.frame({ anchor: 'left', stroke: theme.axis }),
    Plot.ruleY([0], { stroke: theme.soft }),
    ...groups(beaten, (kind) => ({ fill: theme.paper, stroke: theme.kinds[kind].color, strokeOpacity: 0.55, r: 3 })),
    ...(hasLine ? [Plot.line(line, { x: xOf, y: leak, stroke: theme.soft, strokeDasharray: '3 4' })] : []),
    Plot.ruleX(front, {
      x: xOf,
      y1: (each: Balance) => each.leak.ci95?.[0] ?? null,
      y2: (each: Balance) => each.leak.ci95?.[1] ?? null,
      stroke: color,
      strokeOpacity: 0.55,
    }),
    ...(hasLine
      ? [
          Plot.ruleY(front, {
            y: leak,
            x1: ({ worst }: Balance) => worst.accuracy.ci95?.[0] ?? null,
            x2: ({ worst }: Balance) => worst.accuracy.ci95?.[1] ?? null,
            stroke: color,
            strokeOpacity: 0.55,
          }),
        ]
      : []),
    ...groups(front, (kind) => ({ fill: theme.kinds[kind].color, stroke: theme.paper, strokeWidth: 0.8, r: 5 })),
    ...(hasLine ? numbers(front.slice(0, MOST_LISTED), x, yDomain, panel, theme) : []),
  ];
}

/** Places of a number beside its point, px, in the order in which they are tried. */
const PLACES = [
  [10, -9],
  [10, 12],
  [-10, -9],
  [-10, 12],
  [0, -15],
  [0, 18],
  [22, -1],
  [-22, -1],
] as const;

/** The numbers of the front, each where it does not cover one before. */
function numbers(
  front: readonly Balance[],
  x: Axis,
  yDomain: readonly [number, number],
  panel: Panel,
  theme: Theme,
): Plot.Markish[] {
  const inPanel = (value: number, [low, high]: readonly [number, number], length: number) =>
    ((value - low) / (high - low)) * length;
  const [width, height] = [panel.width - panel.marginLeft - panel.marginRight, panel.height - 12 - panel.marginBottom];
  const placed: { readonly x: number; readonly y: number }[] = [];
  return front.map((each, i) => {
    const at = { x: inPanel(x.of(each), x.domain, width), y: -inPanel(each.leak.mean, yDomain, height) };
    const free = ([dx, dy]: (typeof PLACES)[number]) =>
      placed.every((other) => Math.abs(other.x - at.x - dx) > 16 || Math.abs(other.y - at.y - dy) > 13);
    const [dx, dy] = PLACES.find(free) ?? PLACES[0];
    placed.push({ x: at.x + dx, y: at.y + dy });
    return Plot.text([each], {
      x: x.of,
      y: each.leak.mean,
      text: () => String(i + 1),
      ...{ dx, dy, fill: theme.ink, stroke: theme.paper, strokeWidth: 3, fontSize: 12.5, fontWeight: 600 },
    });
  });
}

/** The numbered conditions with their numbers. */
function listed(
  front: readonly Balance[],
  energies: ReadonlyMap<Balance, number> | undefined,
  theme: Theme,
  top: number,
): { svg: string; bottom: number } {
  const x = WIDTH - MARGIN - LIST;
  let svg = '';
  let y = top;
  for (const [i, each] of front.slice(0, MOST_LISTED).entries()) {
    const [label] = wrap(conditionLabel(each.worst.condition), 12.5, LIST - 24);
    const energy = energies ? `, energy ${formatNumber(energies.get(each)!, 2)}` : '';
    const numbers = `accuracy ${formatNumber(each.worst.accuracy.mean, 3)}, lift ${formatNumber(each.leak.mean, 3)}${energy}`;
    const [by] = wrap(`${numbers}; ${each.worst.attack}`, 11.5, LIST - 24);
    svg += svgText(x, y + 14, String(i + 1), { size: 12.5, weight: 600 }, theme);
    svg += svgText(x + 24, y + 14, label, { size: 12.5, weight: 500 }, theme);
    svg += svgText(x + 24, y + 30, by, { size: 11.5, fill: theme.soft }, theme);
    y += 40;
  }
  if (front.length > MOST_LISTED) {
    svg += svgText(x + 24, y + 14, `and ${front.length - MOST_LISTED} more`, { size: 12.5, fill: theme.soft }, theme);
    y += 24;
  }
  return { svg, bottom: y };
}

export const paretoFigure: RunFigure = {
  name: 'Accuracy, worst leak and energy',
  file: 'front',
  // Of a few conditions, and of one attacker without differences in energy, the curve shows the same.
  applies(results) {
    const all = balances(results, results.manifest.attacks);
    if (all.filter(({ worst }) => !isErrorFree(worst.condition)).length < 3) return false;
    return new Set(results.summary.map(({ attack }) => attack)).size > 1 || relativeEnergies(all) !== undefined;
  },
  caption: () =>
    'Conditions by accuracy, by the lift of the worst attacker and by the energy of reads. No condition is better than a filled one in all of them.',
  draw: drawFront,
};
