/**
 * What a run leaves behind: the files `results.json` (schema `midas-results/1`), `rows.jsonl` and `results.csv`, as
 * types, as schemas, and as the few computations every figure and report shares (summary, series, equal accuracy).
 *
 * A *row* is one attack on one draw of one condition. A *condition* is what was done to the weights. A *summary entry*
 * is all draws of one condition under one attack, with bootstrap intervals. A *series* is the summary entries that
 * differ only in how strong the error is: one line of a figure.
 */

import * as v from 'valibot';
import { DataError, ShapeError } from '../errors.ts';
import { bootstrapInterval } from '../metrics/bootstrap.ts';

export const RESULTS_SCHEMA = 'midas-results/1';

/**
 * What can be done to the weights. `none` is the float32 model; `quantised` is the number format without errors; `memory` is
 * a memory configuration given whole.
 */
export const CONDITION_KINDS = ['none', 'quantised', 'bit-error', 'memory', 'gaussian', 'laplacian'] as const;
export type ConditionKind = (typeof CONDITION_KINDS)[number];

/** The numbers of a row that are summarised, in the order of the columns. */
export const METRICS = ['accuracy', 'pcc', 'pccLift', 'mse', 'psnr', 'ssim', 'identity'] as const;
export type Metric = (typeof METRICS)[number];

// JSON has no NaN or Infinity, so a number that is not finite would come back as null: it is refused on the way in.
const number = v.pipe(v.number(), v.finite());
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const rate = v.pipe(number, v.minValue(0));

/**
 * What was done to the weights before a draw. `rates` is the bit error rate (probability that a stored bit flips) for
 * `bit-error` (for `memory` the mean over a layer's bits), and the standard deviation (gaussian) or b (laplacian) of noise; layers left out are exact.
 * Further keys are allowed and belong to the condition's identity: text (such as `calibration: 'moments'`) sets a
 * series apart, numbers (such as `voltage`) run along it.
 */
const ConditionSchema = v.objectWithRest(
  {
    kind: v.picklist(CONDITION_KINDS),
    /** What to call it in a figure; not part of its identity. */
    label: v.optional(v.string()),
    /** Number format of the stored weights, headroom included: 'fixed12', 'fixed12+3', 'bfloat16'. */
    format: v.optional(v.string()),
    rates: v.record(v.string(), rate),
    /** How often the errors are drawn anew: 'chip', 'load', 'pass', 'inference'. */
    granularity: v.optional(v.string()),
    /** Name of the set of layers in approximate memory: 'fc1', 'both', or 'none'. */
    layers: v.string(),
    /** `conditionKey` of the bit-error condition whose accuracy this noise was calibrated to. */
    matchedTo: v.optional(v.string()),
  },
  v.unknown(),
);
export type Condition = v.InferOutput<typeof ConditionSchema>;

/** One value an attacked identity, in the same order in every row: what the bootstrap resamples. */
const PerIdentitySchema = v.pipe(
  v.object({
    pcc: v.array(number),
    pccLift: v.array(number),
    identity: v.array(number),
    mse: v.optional(v.array(number)),
    psnr: v.optional(v.array(number)),
    ssim: v.optional(v.array(number)),
  }),
  v.check(
    (p) => Object.values(p).every((values) => values === undefined || values.length === p.pcc.length),
    'the lists are not of one length',
  ),
);

const RowSchema = v.object({
  condition: ConditionSchema,
  /** Which fault map or noise sample: the same number means the same random stream in every condition (paired). */
  draw: count,
  /** Of the model under this draw, on held-out images, 0..1. */
  accuracy: v.pipe(number, v.minValue(0), v.maxValue(1)),
  /** The attack's name: 'mi-face zero', 'inversion'. */
  attack: v.string(),
  /** Pearson correlation of reconstruction and the right person, signed. */
  pcc: number,
  /** `pcc` minus the mean correlation of the same reconstruction with wrong persons. */
  pccLift: number,
  mse: number,
  /** In dB. */
  psnr: number,
  ssim: number,
  /** Share of reconstructions that an independent matcher gives to the right person, 0..1. */
  identity: number,
  /** Share of prediction vectors in which a confidence underflows in float32; only where the attack sees such vectors. */
  underflow: v.optional(number),
  /** How many reconstructions the row averages. */
  n: count,
  /**
   * What classifying the test images reads of weights: bytes, and the energy of the reads over that at nominal voltage, by
   * V^2 alone (src/memory/energy.ts).
   */
  energy: v.optional(v.object({ bytes: v.pipe(number, v.minValue(0)), relative: v.pipe(number, v.minValue(0)) })),
  perIdentity: PerIdentitySchema,
});
export type Row = v.InferOutput<typeof RowSchema>;

const IntervalSchema = v.object({ mean: number, ci95: v.tuple([number, number]) });
/** A mean and its 95 % bootstrap interval. */
export type Interval = v.InferOutput<typeof IntervalSchema>;

const SummarySchema = v.object({
  condition: ConditionSchema,
  attack: v.string(),
  draws: count,
  n: count,
  accuracy: IntervalSchema,
  pcc: IntervalSchema,
  pccLift: IntervalSchema,
  mse: IntervalSchema,
  psnr: IntervalSchema,
  ssim: IntervalSchema,
  identity: IntervalSchema,
});
/** All draws of one condition under one attack. `n` is the number of reconstructions over all draws. */
export type SummaryEntry = v.InferOutput<typeof SummarySchema>;

const BaselinesSchema = v.object({
  /** PCC of the mean public or training face with each person: what one gets without any attack. */
  meanFacePcc: number,
  /** PCC of a photograph with photographs of other persons: what a perfect picture of somebody else scores. */
  wrongIdentityPcc: number,
  /** PCC of each reconstruction with another person than the one it is meant to show. */
  shuffledPcc: number,
});
export type Baselines = v.InferOutput<typeof BaselinesSchema>;

const ManifestSchema = v.object({
  version: v.string(),
  /** The command line that repeats the run, from `midas` on. */
  command: v.string(),
  config: v.record(v.string(), v.unknown()),
  seed: number,
  adapter: v.string(),
  dataset: v.object({ name: v.string(), sha256: v.string(), split: v.string() }),
  /** ISO 8601. */
  started: v.string(),
  seconds: v.pipe(number, v.minValue(0)),
});
export type Manifest = v.InferOutput<typeof ManifestSchema>;

const ResultsSchema = v.object({
  schema: v.literal(RESULTS_SCHEMA),
  manifest: ManifestSchema,
  rows: v.array(RowSchema),
  summary: v.array(SummarySchema),
  baselines: BaselinesSchema,
});
/** The content of `results.json`. */
export type Results = v.InferOutput<typeof ResultsSchema>;

/**
 * The condition's identity: JSON with sorted keys and without `label`. Two rows belong to one condition exactly when
 * their keys are equal, whatever the order their keys were written in.
 */
export function conditionKey(condition: Condition): string {
  const { label: _, ...identity } = condition;
  return JSON.stringify(canonical(identity));
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, canonical(inner)]));
}

/** Names for people, used by every figure and table. */
export const KIND_LABELS: Record<ConditionKind, string> = {
  none: 'Undefended',
  quantised: 'Quantised, no errors',
  'bit-error': 'Bit errors',
  memory: 'Memory',
  gaussian: 'Gaussian noise',
  laplacian: 'Laplacian noise',
};

/** A kind's name in the middle of a sentence. */
export function kindInText(kind: ConditionKind): string {
  return kind === 'gaussian' || kind === 'laplacian' ? KIND_LABELS[kind] : KIND_LABELS[kind].toLowerCase();
}

export const METRIC_LABELS: Record<Metric, string> = {
  accuracy: 'Accuracy',
  pcc: 'PCC with the right person',
  pccLift: 'PCC lift over wrong persons',
  mse: 'Mean squared error',
  psnr: 'PSNR (dB)',
  ssim: 'SSIM',
  identity: 'Identified as the right person',
};

/** A probability as a percentage, three significant digits from 1 % on and two below: '6.25 %', '0.39 %'. */
export function formatPercent(share: number): string {
  const percent = share * 100;
  return `${Number(percent.toPrecision(percent >= 1 ? 3 : 2))} %`;
}

/** An error rate or noise scale as text: per cent for bit errors, the plain number for noise. */
export function formatRate(kind: ConditionKind, value: number): string {
  return kind === 'bit-error' || kind === 'memory' ? formatPercent(value) : String(Number(value.toPrecision(3)));
}

/** A time for people, two units at most: '8 s', '2 min 05 s', '3 h 20 min'. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(Math.round(seconds), 0);
  const pad = (value: number) => String(value).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/** A line for people: 'Bit errors 6.25 %, fc1'; the condition's own `label` where it has one. */
export function conditionLabel(condition: Condition): string {
  if (condition.label !== undefined) return condition.label;
  const name = KIND_LABELS[condition.kind];
  const rates = Object.entries(condition.rates);
  if (condition.kind === 'none') return name;
  if (condition.kind === 'quantised') return condition.format === undefined ? name : `${name} (${condition.format})`;
  const values = new Set(rates.map(([, value]) => value));
  if (values.size <= 1) return `${name} ${formatRate(condition.kind, rates[0]?.[1] ?? 0)}, ${condition.layers}`;
  return `${name} ${rates.map(([layer, value]) => `${layer} ${formatRate(condition.kind, value)}`).join(', ')}`;
}

/**
 * Groups rows by condition and attack, in order of first appearance, and gives each metric a mean and a 95 % interval by
 * bootstrap over draws x identities. Metrics without a value per identity (accuracy, and mse, psnr, ssim unless
 * `perIdentity` has them) have one value a draw, so a single draw gives them an interval of no width.
 *
 * @param seed of the resampling; the same seed gives the same intervals
 * @throws ShapeError where draws of one condition hold different numbers of identities, or a draw appears twice
 */
export function summarise(rows: readonly Row[], seed: number): SummaryEntry[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${conditionKey(row.condition)} ${row.attack}`;
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()].map((group) => {
    const name = `${conditionLabel(group[0].condition)}, attack ${group[0].attack}`;
    // Draws in order, so that a resumed run, whose rows come in another order, gives the same intervals.
    const draws = [...group].sort((a, b) => a.draw - b.draw);
    for (let i = 1; i < draws.length; i++) {
      if (draws[i].draw === draws[i - 1].draw) throw new ShapeError(`${name}: draw ${draws[i].draw} appears twice`);
      const [first, here] = [draws[0].perIdentity.pcc.length, draws[i].perIdentity.pcc.length];
      if (first !== here) {
        throw new ShapeError(
          `${name}: draw ${draws[0].draw} has ${first} identities, draw ${draws[i].draw} has ${here}`,
        );
      }
    }
    const interval = (metric: Metric): Interval => {
      const values = draws.map((row) => {
        const perIdentity = metric === 'accuracy' ? undefined : row.perIdentity[metric];
        return perIdentity?.length ? perIdentity : [row[metric]];
      });
      const { mean, ci95 } = bootstrapInterval(values, { seed });
      return { mean, ci95: [ci95[0], ci95[1]] };
    };
    return {
      condition: draws[0].condition,
      attack: draws[0].attack,
      draws: draws.length,
      n: draws.reduce((sum, row) => sum + row.n, 0),
      accuracy: interval('accuracy'),
      pcc: interval('pcc'),
      pccLift: interval('pccLift'),
      mse: interval('mse'),
      psnr: interval('psnr'),
      ssim: interval('ssim'),
      identity: interval('identity'),
    };
  });
}

/** One line of a figure: the entries that differ only in how strong the error is. */
export interface Series {
  kind: ConditionKind;
  layers: string;
  attack: string;
  /** What sets the series apart from others of its kind: format, granularity and the condition's own text keys. */
  variant: string;
  /** Weakest first, beginning with the error-free condition the series departs from, where one was run. */
  line: SummaryEntry[];
  /** Entries off the line: where several rates were varied independently (a grid), those with unequal rates. */
  scattered: SummaryEntry[];
}

/**
 * Sorts the entries that have errors into series. A series of bit errors departs from the quantised model of the same
 * format (from the undefended one where none was run), a series of noise from the undefended model.
 */
export function seriesOf(summary: readonly SummaryEntry[]): Series[] {
  const groups = new Map<string, Series>();
  for (const entry of summary) {
    const { kind, layers } = entry.condition;
    if (kind === 'none' || kind === 'quantised') continue;
    const variant = variantOf(entry.condition);
    const key = JSON.stringify([kind, layers, entry.attack, variant]);
    const series = groups.get(key) ?? { kind, layers, attack: entry.attack, variant, line: [], scattered: [] };
    series.line.push(entry);
    groups.set(key, series);
  }
  for (const series of groups.values()) {
    series.line.sort((a, b) => strength(a.condition) - strength(b.condition));
    if (!isChain(series.line)) {
      series.scattered = series.line.filter((entry) => equalRate(entry.condition) === undefined);
      series.line = series.line.filter((entry) => equalRate(entry.condition) !== undefined);
    }
    const start = origin(summary, series);
    if (start) series.line.unshift(start);
  }
  return [...groups.values()];
}

const NAMED_KEYS = new Set(['kind', 'label', 'rates', 'layers', 'matchedTo', 'format', 'granularity']);

function variantOf(condition: Condition): string {
  const own = Object.entries(condition).filter(([key, value]) => !NAMED_KEYS.has(key) && typeof value === 'string');
  own.sort(([a], [b]) => (a < b ? -1 : 1));
  return [condition.format, condition.granularity, ...own.map(([, value]) => value as string)]
    .filter((part) => part !== undefined)
    .join(', ');
}

function strength(condition: Condition): number {
  return Object.values(condition.rates).reduce((sum, value) => sum + value, 0);
}

/** The one rate all named layers share, or undefined where they differ or none is named. */
export function equalRate(condition: Condition): number | undefined {
  const values = Object.values(condition.rates);
  return values.length > 0 && values.every((value) => value === values[0]) ? values[0] : undefined;
}

/** Whether each entry is at least as strong as the one before in every layer, so that a line through them has a sense. */
function isChain(sorted: readonly SummaryEntry[]): boolean {
  return sorted.every((entry, i) => {
    if (i === 0) return true;
    const before = sorted[i - 1].condition.rates;
    const here = entry.condition.rates;
    return Object.keys({ ...before, ...here }).every((layer) => (before[layer] ?? 0) <= (here[layer] ?? 0));
  });
}

function origin(summary: readonly SummaryEntry[], series: Series): SummaryEntry | undefined {
  const clean = summary.filter((entry) => entry.attack === series.attack);
  const none = clean.find((entry) => entry.condition.kind === 'none');
  if (series.kind !== 'bit-error' && series.kind !== 'memory') return none;
  const { format } = [...series.line, ...series.scattered][0].condition;
  const quantised = clean.filter(({ condition }) => condition.kind === 'quantised' && condition.format === format);
  return quantised.find((entry) => entry.condition.layers === series.layers) ?? quantised[0] ?? none;
}

/**
 * What may be compared at equal accuracy: where noise was calibrated to the accuracy of bit errors, noise of published
 * strength or of equal moments is left out. It lies on the same lines, but may reach only a small part of them.
 */
export function calibratedOnly(summary: readonly SummaryEntry[]): SummaryEntry[] {
  const calibrated = summary.filter(({ condition }) => condition.calibration === undefined);
  return calibrated.some(({ condition }) => condition.matchedTo !== undefined) ? calibrated : [...summary];
}

/**
 * A metric of a series at a given accuracy, by linear interpolation between the two neighbouring entries (the interval's
 * ends likewise). The fair comparison of two defences: same accuracy, not same rate.
 *
 * @returns undefined where the series does not reach the accuracy
 */
export function atAccuracy(series: Series, accuracy: number, metric: Metric): Interval | undefined {
  // Along the line, weakest first, so that a series that recovers by chance is read at its first crossing.
  for (let i = 0; i + 1 < series.line.length; i++) {
    const [a, b] = [series.line[i], series.line[i + 1]];
    const span = b.accuracy.mean - a.accuracy.mean;
    const t = span === 0 ? (a.accuracy.mean === accuracy ? 0 : Number.NaN) : (accuracy - a.accuracy.mean) / span;
    if (!(t >= 0 && t <= 1)) continue;
    const mix = (from: number, to: number) => from + t * (to - from);
    return {
      mean: mix(a[metric].mean, b[metric].mean),
      ci95: [mix(a[metric].ci95[0], b[metric].ci95[0]), mix(a[metric].ci95[1], b[metric].ci95[1])],
    };
  }
  return undefined;
}

/**
 * Rows as CSV (RFC 4180: CRLF, quotes doubled), one line a row; rates become `rate.<layer>` columns and the condition's
 * own keys `condition.<key>`. The values per identity are left to the JSON.
 */
export function toCsv(rows: readonly Row[]): string {
  const layers = [...new Set(rows.flatMap((row) => Object.keys(row.condition.rates)))].sort();
  const named = ['kind', 'label', 'format', 'granularity', 'layers', 'matchedTo'] as const;
  const own = [...new Set(rows.flatMap((row) => Object.keys(row.condition)))]
    .filter((key) => !NAMED_KEYS.has(key))
    .sort();
  const header = [
    ...named,
    ...layers.map((layer) => `rate.${layer}`),
    ...own.map((key) => `condition.${key}`),
    'attack',
    'draw',
    ...METRICS,
    'n',
    'weightBytes',
    'energy',
  ];
  const lines = rows.map((row) => [
    ...named.map((key) => row.condition[key]),
    ...layers.map((layer) => row.condition.rates[layer]),
    ...own.map((key) => row.condition[key]),
    row.attack,
    row.draw,
    ...METRICS.map((metric) => row[metric]),
    row.n,
    row.energy?.bytes,
    row.energy?.relative,
  ]);
  return [header, ...lines].map((cells) => `${cells.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(value: unknown): string {
  if (value === undefined || value === null) return '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Reads `results.json`.
 *
 * @param json the file's text, or the value parsed from it
 * @param name the file's name, for messages
 * @throws DataError naming the file and the path that is wrong
 */
export function parseResults(json: unknown, name: string): Results {
  const value = typeof json === 'string' ? parseJson(json, name) : json;
  const schema = (value as { schema?: unknown } | null)?.schema;
  if (typeof schema === 'string' && schema !== RESULTS_SCHEMA) {
    throw new DataError(`${name}: schema is '${schema}', this version reads '${RESULTS_SCHEMA}'`);
  }
  return check(ResultsSchema, value, name);
}

/**
 * Reads `rows.jsonl`, one row a line. A last line without its line feed was cut off by an interruption and is dropped;
 * that row is computed again.
 *
 * @throws DataError naming file, line and the path that is wrong
 */
export function parseRows(text: string, name: string): Row[] {
  const lines = text.split('\n');
  lines.pop();
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    const place = `${name}:${i + 1}`;
    return [check(RowSchema, parseJson(line, place), place)];
  });
}

/** One line of `rows.jsonl`, its line feed included. @throws DataError where a number is not finite, or a key missing */
export function rowToLine(row: Row): string {
  return `${JSON.stringify(check(RowSchema, row, `row ${conditionLabel(row.condition)}, draw ${row.draw}`))}\n`;
}

function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DataError(`${name}: not JSON: ${(cause as Error).message}`, { cause });
  }
}

function check<S extends v.GenericSchema>(schema: S, value: unknown, name: string): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const path = (issue.path ?? [])
    .map(({ key }) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '');
  const more = result.issues.length > 1 ? ` (and ${result.issues.length - 1} more)` : '';
  throw new DataError(`${name}: ${path === '' ? '' : `${path}: `}${issue.message}${more}`);
}
