/** Similarity against accuracy. */
import * as Plot from '@observablehq/plot';
import { ConfigError } from '../../errors.ts';
import { attacksOf, attackTitle, mainAttack, splitOf } from '../attacks.ts';
import { conditionKey, isErrorFree, isUndefended, matchedTo, measuredDimms } from '../condition.ts';
import { formatNumber, formatRate } from '../format.ts';
import { KIND_LABELS, METRIC_LABELS, runTitle } from '../labels.ts';
import type { Metric } from '../metrics.ts';
import type { AttackDescription, Baselines, ConditionKind, Results, SummaryEntry } from '../schema.ts';
import { calibratedOnly, type Series, seriesOf, shownLift, valuesOf } from '../series.ts';
import type { RunFigure } from './figure.ts';
import { bounds, type LegendItem, legend, marginLabels, type Panel, paddedDomain, panelSvg } from './panels.ts';
import {
  DASHES,
  heading,
  MARGIN,
  smallPrint,
  svgRoot,
  svgText,
  THEMES,
  type Theme,
  type ThemeName,
  textWidth,
  WIDTH,
} from './style.ts';

export interface PrivacyCurveOptions {
  summary: readonly SummaryEntry[];
  baselines: Baselines;
  title: string;
  subtitle?: string;
  footnote?: string;
  /** One panel per metric, side by side; default: raw correlation and lift, because the raw one alone misleads. */
  metrics?: Metric[];
  /** The only attack that is shown; default: all, with a row of panels for each. */
  attack?: string;
  /** Titles of the attacks. */
  attacks?: readonly AttackDescription[];
  theme?: ThemeName;
  /** Width of the figure in pixels; 1200 by default. */
  width?: number;
  document: Document;
}

/**
 * Draws similarity against accuracy: one line per kind of error, with its 95 % band and whiskers, and one row of panels per set
 * of layers (and attack). The undefended model and the null baselines are marked. A good defence is low and to the right.
 *
 * @throws ConfigError if no condition has errors or noise
 */
export function privacyCurve(options: PrivacyCurveOptions): string {
  const { baselines, title, metrics = ['pcc', shownLift(options.summary)], attack, width = WIDTH, document } = options;
  const theme = THEMES[options.theme ?? 'light'];
  const summary = options.summary.filter((entry) => attack === undefined || entry.attack === attack);
  const series = seriesOf(summary);
  if (series.length === 0) throw new ConfigError(`figure '${title}': no condition with bit errors or noise to draw`);
  const attacks = new Set(series.map((s) => s.attack));

  const rowKeys = [...new Set(series.map((s) => JSON.stringify([s.attack, s.layers])))];
  const rows = rowKeys.map((key) => series.filter((s) => JSON.stringify([s.attack, s.layers]) === key));
  const dashes = new Map(series.map((s) => [s, dashOf(s, series, theme)]));

  const undefended = summary.filter((entry) => isUndefended(entry.condition) && attacks.has(entry.attack));
  const entries = [...undefended, ...series.flatMap((s) => [...s.line, ...s.scattered])];
  const xDomain = paddedDomain(
    entries.flatMap((entry) => valuesOf(entry.accuracy)),
    bounds('accuracy'),
  );
  // The margins for the labels of the baselines differ between metrics, but the plotting areas have the same size.
  const [gap, marginLeft] = [24, 46];
  const marginRight = (metric: Metric) =>
    Math.max(0, ...baselinesOf(metric, baselines).map((rule) => textWidth(rule.text, 12.5))) + 14;
  const margins = metrics.reduce((sum, metric) => sum + marginLeft + marginRight(metric), 0);
  const inner = (width - 2 * MARGIN - gap * (metrics.length - 1) - margins) / metrics.length;
  const panelOf = (metric: Metric): Panel => ({
    width: marginLeft + inner + marginRight(metric),
    height: rows.length > 1 ? 310 : 410,
    marginLeft,
    marginRight: marginRight(metric),
    marginBottom: 48,
  });

  const head = heading(title, options.subtitle, width, theme);
  const keys = legend(curveLegend(series, dashes, undefended.length > 0, theme), head.bottom + 10, width, theme);
  let svg = head.svg + keys.svg;
  let y = keys.bottom + 18;
  for (const row of rows) {
    if (rows.length > 1) {
      const title = attackTitle(options.attacks, row[0].attack);
      const name = attacks.size > 1 ? `${row[0].layers}, attack: ${title}` : row[0].layers;
      svg += svgText(MARGIN, y + 12, name, { size: 15, weight: 600 }, theme);
      y += 24;
    }
    let x = MARGIN;
    for (const metric of metrics) {
      const panel = panelOf(metric);
      const nulls = baselinesOf(metric, baselines);
      const values = entries.flatMap((entry) => valuesOf(entry[metric]));
      const yDomain = paddedDomain([...values, ...nulls.map((rule) => rule.value)], bounds(metric));
      svg += svgText(x, y + 12, METRIC_LABELS[metric], { size: 14, weight: 500 }, theme);
      svg += panelSvg(
        document,
        x,
        y + 16,
        panel,
        {
          x: { domain: xDomain, label: 'accuracy', labelAnchor: 'center', labelArrow: 'none', ticks: 6 },
          y: { domain: yDomain, label: null, ticks: 6 },
          marks: curveMarks(
            row,
            undefended.find((entry) => entry.attack === row[0].attack),
            metric,
            nulls,
            yDomain,
            panel,
            dashes,
            theme,
          ),
        },
        theme,
      );
      x += panel.width + gap;
    }
    y += panelOf(metrics[0]).height + 34;
  }
  const foot = smallPrint(options.footnote, y, width, theme);
  return svgRoot(width, foot.bottom + 14, title, svg + foot.svg, theme);
}

/** The first series of a kind has a solid line, its variants (another format, another calibration) are dashed. */
function dashOf(series: Series, all: readonly Series[], theme: Theme): string {
  const variants = [...new Set(all.filter((s) => s.kind === series.kind).map((s) => s.variant))];
  // Without colours, each kind begins with a different dash pattern.
  const first = theme === THEMES.print ? Object.keys(theme.kinds).indexOf(series.kind) + 2 : 0;
  return DASHES[(first + variants.indexOf(series.variant)) % DASHES.length];
}

function curveLegend(
  series: readonly Series[],
  dashes: ReadonlyMap<Series, string>,
  undefended: boolean,
  theme: Theme,
): LegendItem[] {
  const items = new Map<string, LegendItem>();
  for (const s of series) {
    const { color, symbol } = theme.kinds[s.kind];
    // The kind alone does not identify a memory, so its name is always shown.
    const several = s.kind === 'memory' || series.some((other) => other.kind === s.kind && other.variant !== s.variant);
    const alike = series.filter((other) => other.kind === s.kind && other.variant === s.variant);
    const rates = alike.flatMap((other) =>
      [...other.line, ...other.scattered].flatMap((e) =>
        e.condition.kind === s.kind ? Object.values(e.condition.rates) : [],
      ),
    );
    const label = `${KIND_LABELS[s.kind]}${several ? ` (${s.variant})` : ''}${rateRange(s.kind, rates)}`;
    items.set(label, { label, color, symbol, dash: dashes.get(s) });
  }
  for (const kind of ['none', 'quantised'] as const) {
    if (!(kind === 'none' && undefended) && !series.some((s) => s.line[0]?.condition.kind === kind)) continue;
    items.set(kind, {
      label: KIND_LABELS[kind],
      color: theme.kinds[kind].color,
      symbol: 'diamond',
      hollow: kind === 'quantised',
      line: false,
    });
  }
  return [...items.values(), { label: '95 % interval', color: theme.ink, band: true }];
}

/** The range of the rates of a line: ' 0.39–6.25 %'. */
function rateRange(kind: ConditionKind, rates: number[]): string {
  const positive = rates.filter((rate) => rate > 0);
  if (positive.length === 0) return '';
  const [low, high] = [formatRate(kind, Math.min(...positive)), formatRate(kind, Math.max(...positive))];
  return ` ${low === high ? high : `${low.replace(' %', '')}–${high}`}`;
}

interface NullBaseline {
  value: number;
  text: string;
}

/** The value of the metric without an effective attack. */
function baselinesOf(metric: Metric, baselines: Baselines): NullBaseline[] {
  if (metric === 'pccLift' || metric === 'liftMeanFree') return [{ value: 0, text: 'no lift' }];
  if (metric !== 'pcc') return [];
  const named = [
    { value: baselines.meanFacePcc, name: 'mean face' },
    { value: baselines.wrongIdentityPcc, name: 'someone else' },
    { value: baselines.shuffledPcc, name: 'shuffled' },
  ];
  return named.flatMap(({ value, name }) =>
    value === null ? [] : [{ value, text: `${name} ${formatNumber(value, 2)}` }],
  );
}

function curveMarks(
  row: readonly Series[],
  undefended: SummaryEntry | undefined,
  metric: Metric,
  nulls: readonly NullBaseline[],
  yDomain: [number, number],
  panel: Panel,
  dashes: ReadonlyMap<Series, string>,
  theme: Theme,
): Plot.Markish[] {
  const accuracy = (entry: SummaryEntry) => entry.accuracy.mean;
  const mean = (entry: SummaryEntry) => entry[metric].mean;
  const low = (entry: SummaryEntry) => entry[metric].ci95?.[0] ?? null;
  const high = (entry: SummaryEntry) => entry[metric].ci95?.[1] ?? null;
  const marks: Plot.Markish[] = [
    Plot.gridX({ stroke: theme.grid, strokeOpacity: 1, ticks: 6 }),
    Plot.frame({ anchor: 'bottom', stroke: theme.axis }),
    Plot.frame({ anchor: 'left', stroke: theme.axis }),
    Plot.gridY({ stroke: theme.grid, strokeOpacity: 1, ticks: 6 }),
    Plot.ruleY(
      nulls.map((rule) => rule.value),
      { stroke: theme.soft, strokeDasharray: '3 4' },
    ),
    ...marginLabels(
      nulls.map((rule) => ({ ...rule, fill: theme.soft })),
      yDomain,
      panel,
    ),
  ];
  for (const s of row) {
    const { color } = theme.kinds[s.kind];
    marks.push(Plot.areaY(s.line, { x: accuracy, y1: low, y2: high, fill: color, fillOpacity: 0.13 }));
  }
  for (const s of row) {
    const { color, symbol } = theme.kinds[s.kind];
    const own = s.line.filter((entry) => entry.condition.kind === s.kind);
    const thin = { stroke: color, strokeOpacity: 0.55, strokeWidth: 1 };
    marks.push(
      Plot.ruleX(own, { x: accuracy, y1: low, y2: high, ...thin }),
      Plot.ruleY(own, {
        y: mean,
        x1: (entry: SummaryEntry) => entry.accuracy.ci95?.[0] ?? null,
        x2: (entry: SummaryEntry) => entry.accuracy.ci95?.[1] ?? null,
        ...thin,
      }),
      Plot.line(s.line, {
        x: accuracy,
        y: mean,
        stroke: color,
        strokeWidth: 2,
        strokeDasharray: dashes.get(s) || 'none',
      }),
      Plot.dot(s.scattered, { x: accuracy, y: mean, fill: color, fillOpacity: 0.4, r: 2.5, symbol }),
      Plot.dot(own, { x: accuracy, y: mean, fill: color, stroke: theme.paper, strokeWidth: 0.8, r: 4, symbol }),
    );
  }
  // The error-free points are drawn last, on top, because every line begins at one of them.
  const starts = new Set(row.flatMap((s) => (s.line[0]?.condition.kind === 'quantised' ? [s.line[0]] : [])));
  for (const entry of [...starts, ...(undefended ? [undefended] : [])]) {
    const none = entry.condition.kind === 'none';
    const { color } = theme.kinds[entry.condition.kind];
    const paint = none ? { fill: color, stroke: theme.paper } : { fill: theme.paper, stroke: color };
    marks.push(
      Plot.ruleX([entry], { x: accuracy, y1: low, y2: high, stroke: color }),
      Plot.dot([entry], { x: accuracy, y: mean, symbol: 'diamond', r: 5.5, strokeWidth: none ? 0.8 : 1.6, ...paint }),
    );
  }
  return marks;
}

/** Up to this number of sets of layers, each has a row of panels; of more sets, only the first is shown. */
const MOST_ROWS = 4;

/** The conditions that the curve of a run compares. Other figures show measured DIMMs, and compare sets of layers. */
function compared(results: Results): SummaryEntry[] {
  const entries = results.summary.filter(({ condition }) => measuredDimms(condition) === undefined);
  const sets = new Map(entries.map(({ condition }) => [conditionKey(condition), condition.layers]));
  const targets = new Map(
    entries.flatMap(({ condition }) => {
      const target = sets.get(matchedTo(condition) ?? '');
      return target === undefined ? [] : [[condition.layers, target] as const];
    }),
  );
  const erring = [...new Set(entries.flatMap(({ condition }) => (isErrorFree(condition) ? [] : [condition.layers])))];
  // Where noise on other layers was matched to bit errors on one set, that set is what the run compares.
  const across = [...targets].some(([own, target]) => own !== target);
  const shown = across ? new Set(targets.values()) : new Set(erring.length > MOST_ROWS ? erring.slice(0, 1) : erring);
  const kept = entries.filter(({ condition }) => isErrorFree(condition) || shown.has(condition.layers));
  return across ? calibratedOnly(kept) : kept;
}

export const accuracyCurve: RunFigure = {
  name: 'Similarity against accuracy',
  file: 'curve',
  applies: (results) => compared(results).some(({ condition }) => !isErrorFree(condition)),
  caption: (results) => {
    const layers = new Set(seriesOf(compared(results)).map((series) => series.layers));
    const which = layers.size === 1 ? ` (${[...layers][0]})` : '';
    return `Similarity of the reconstructions against accuracy${which}, with 95 % intervals.`;
  },
  draw(results, { document, theme, title }) {
    const { baselines, manifest } = results;
    const all = attacksOf(results);
    const attacks =
      all.length > 2 ? [mainAttack(results)] : all.filter((name) => splitOf(manifest.attacks, name) !== 'training');
    const shown = attacks.length > 0 ? attacks : all.slice(0, 1);
    return privacyCurve({
      summary: compared(results).filter(({ attack }) => shown.includes(attack)),
      baselines,
      attacks: manifest.attacks,
      title: title ?? runTitle(manifest),
      theme,
      document,
    });
  },
};
