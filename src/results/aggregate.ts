/** Several runs of one experiment that differ only in their seed, as one set of results. */
import { ConfigError } from '../errors.ts';
import { estimate, estimateOverVictims } from '../metrics/interval.ts';
import { meanOfMeasured } from '../metrics/scoring.ts';
import { canonical, isNoise, matchedTo } from './condition.ts';
import { METRICS, type Metric } from './metrics.ts';
import type { Condition, Interval, Results, Row, SummaryEntry } from './schema.ts';
import { accuracyOf, dimmsOf, intervalFor, optionsOf, sampled, showsDraws, sortedDraws, tableOf } from './summary.ts';

/** A summary entry over several seeds; `draws` and `n` are counted over all of them. */
export interface AggregatedEntry extends SummaryEntry {
  /** Number of seeds that have the condition. Noise is calibrated per victim, which is not possible for every victim. */
  seeds: number;
}

/** Results over several seeds. Rows keep the draw numbers that they have in their own run. */
export interface AggregatedResults extends Results {
  seeds: readonly number[];
  /** The runs themselves, in the order of the seeds. */
  runs: readonly Results[];
  summary: AggregatedEntry[];
}

/**
 * Aggregates runs that differ only in their seed. Each seed trains its own victim (and generates its own people where the
 * faces are procedural). Means give every seed the same weight. The 95 % intervals are those of another victim: victims are
 * a sample, and so are people where all victims were trained on the same ones, and draws where all victims lay in the same measured
 * DIMMs (src/metrics/interval.ts).
 *
 * Conditions of two seeds are the same if their keys differ only in values that follow from the seed: the scales of noise
 * that is matched to bit errors, and the seed and the mean rates of a memory. Scales and rates are averaged over the seeds.
 *
 * @param runs at least one
 * @param names of the runs, for messages
 * @throws ConfigError if there is no run, or naming the field and both values if runs share a seed or differ in more than it
 */
export function aggregate(runs: readonly Results[], names: readonly string[] = []): AggregatedResults {
  if (runs.length === 0) throw new ConfigError('aggregate: no runs; give at least one');
  const nameOf = (i: number) => names[i] ?? `run ${i + 1}`;
  const [first] = runs;
  for (const [i, run] of runs.entries()) {
    const change = difference(comparable(first), comparable(run), '');
    if (change) {
      const [path, a, b] = change;
      throw new ConfigError(
        `${nameOf(i)}: ${path} is ${text(b)}, but ${text(a)} in ${nameOf(0)}; only runs that differ in the seed alone can be ` +
          'aggregated',
      );
    }
    const earlier = runs.findIndex((other) => other.manifest.seed === run.manifest.seed);
    if (earlier < i)
      throw new ConfigError(
        `${nameOf(i)}: seed is ${run.manifest.seed}, as in ${nameOf(earlier)}; give a run with another seed`,
      );
  }
  const { rows, groups } = grouped(runs);
  const samePeople = runs.every(({ manifest }) => manifest.dataset.sha256 === first.manifest.dataset.sha256);
  const mean = (of: (run: Results) => number) => runs.reduce((sum, run) => sum + of(run), 0) / runs.length;
  return {
    schema: first.schema,
    manifest: {
      ...first.manifest,
      ...evaluatorsOf(runs),
      command: runs.map(({ manifest }) => manifest.command).join(' && '),
      seconds: runs.reduce((sum, { manifest }) => sum + manifest.seconds, 0),
    },
    seeds: runs.map(({ manifest }) => manifest.seed),
    runs,
    rows,
    summary: groups.map((group) => entryOf(group, samePeople)),
    baselines: {
      meanFacePcc: mean(({ baselines }) => baselines.meanFacePcc),
      wrongIdentityPcc: mean(({ baselines }) => baselines.wrongIdentityPcc),
      shuffledPcc: meanOfMeasured(runs.map(({ baselines }) => baselines.shuffledPcc)),
    },
  };
}

/** Mean accuracies of the evaluators: each run has evaluators of its own. Runs of older versions may lack them. */
function evaluatorsOf(runs: readonly Results[]): Pick<Results['manifest'], 'evaluators'> {
  const all = runs.flatMap(({ manifest }) => manifest.evaluators ?? []);
  if (all.length < runs.length) return { evaluators: undefined };
  const mean = (of: (each: (typeof all)[number]) => number) =>
    all.reduce((sum, each) => sum + of(each), 0) / all.length;
  const isConvolutional = all.every(({ convolutional }) => convolutional !== undefined);
  return {
    evaluators: {
      linear: mean(({ linear }) => linear),
      ...(isConvolutional && { convolutional: mean(({ convolutional }) => convolutional!) }),
    },
  };
}

/** True if results are those of several seeds. */
export function isAggregated(results: Results): results is AggregatedResults {
  return 'seeds' in results && (results as AggregatedResults).seeds.length > 1;
}

/** Rows of one condition and attack, one list per seed that has any. */
type Group = Row[][];

function grouped(runs: readonly Results[]): { rows: Row[]; groups: Group[] } {
  // Conditions are in the order of the first run, followed by those that only later runs have.
  const byCondition = new Map<string, Map<string, Group>>();
  for (const [i, run] of runs.entries()) {
    for (const row of run.rows) {
      const key = keyAcrossSeeds(row.condition);
      const byAttack = byCondition.get(key) ?? new Map<string, Group>();
      byCondition.set(key, byAttack);
      const group = byAttack.get(row.attack) ?? [];
      byAttack.set(row.attack, group);
      group[i] ??= [];
      group[i].push(row);
    }
  }
  const groups: Group[] = [];
  const rows: Row[] = [];
  for (const byAttack of byCondition.values()) {
    const lists = [...byAttack.values()].map((group) => group.filter((list) => list !== undefined));
    const condition = meanCondition(lists[0].map(([row]) => row.condition));
    for (const list of lists) {
      const group = list.map((own) => own.map((row) => ({ ...row, condition })));
      if (!group[0][0].membership) groups.push(group);
      rows.push(...group.flat());
    }
  }
  return { rows, groups };
}

/** The condition's key without the values that follow from the seed. */
export function keyAcrossSeeds(condition: Condition): string {
  const free = isNoise(condition) && matchedTo(condition) !== undefined;
  const { kind } = condition;
  const identity = {
    ...condition,
    label: undefined,
    ...((free || kind === 'memory') && { rates: undefined }),
    ...(kind === 'memory' && { memory: { ...condition.memory, seed: undefined } }),
  };
  return JSON.stringify(canonical(identity));
}

/** The first of the conditions with the mean of all their rates. */
function meanCondition(conditions: readonly Condition[]): Condition {
  const [first] = conditions;
  const rates = Object.keys(first.rates).map((layer) => {
    const all = conditions.map((condition) => condition.rates[layer] ?? 0);
    // The mean of equal rates could differ from them by rounding.
    const same = all.every((rate) => rate === all[0]);
    return [layer, same ? all[0] : all.reduce((sum, rate) => sum + rate, 0) / all.length];
  });
  return { ...first, rates: Object.fromEntries(rates) };
}

function entryOf(group: Group, samePeople: boolean): AggregatedEntry {
  const victims = group.map(sortedDraws);
  const all = victims.flat();
  const draws = haveSameDimms(victims);
  const interval = (metric: Metric): Interval => {
    const tables = victims.map((own) => sampled(tableOf(own, metric), own));
    const options = optionsOf(metric);
    if (tables.length === 1) {
      const alone = metric === 'accuracy' ? accuracyOf(victims[0]) : estimate(tables[0], options);
      return intervalFor(alone, showsDraws(victims[0]));
    }
    // People are crossed with victims where they are the same ones, also in accuracy, whose images may differ.
    if (metric === 'accuracy' && samePeople && all.every(({ personAccuracy }) => personAccuracy !== undefined)) {
      const byPerson = victims.map((own) =>
        sampled(
          own.map(({ personAccuracy }) => personAccuracy!),
          own,
        ),
      );
      return intervalFor(estimateOverVictims(byPerson, { people: true, draws }, { range: options.range }), true);
    }
    const people = samePeople && metric !== 'accuracy';
    return intervalFor(estimateOverVictims(tables, { people, draws }, options), true);
  };
  const intervals = Object.fromEntries(METRICS.map((metric) => [metric, interval(metric)]));
  return {
    condition: all[0].condition,
    attack: all[0].attack,
    seeds: group.length,
    draws: all.length,
    n: all.reduce((sum, row) => sum + row.n, 0),
    unmeasured: all.reduce((sum, row) => sum + row.unmeasured, 0),
    ...(intervals as Record<Metric, Interval> & Pick<SummaryEntry, 'accuracy'>),
  };
}

/** True if the draws of all victims are the same measured DIMMs. @param victims rows of every victim in the order of draws */
export function haveSameDimms(victims: readonly (readonly Pick<Row, 'dimm'>[])[]): boolean {
  const [first, ...others] = victims.map((draws) => dimmsOf(draws)?.join());
  return first !== undefined && others.every((dimms) => dimms === first);
}

/** The fields that runs must have in common. Hashes are left out, because procedural faces depend on the seed. */
function comparable({ manifest }: Results): Record<string, unknown> {
  const { config, dataset, attacks } = manifest;
  return { config, dataset: { name: dataset.name, split: dataset.split, classes: dataset.classes }, attacks };
}

const FOLLOWS_SEED = new Set(['seed', 'sha256']);

/** The first value that differs, with its path. */
function difference(a: unknown, b: unknown, path: string): [path: string, a: unknown, b: unknown] | undefined {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return Object.is(a, b) ? undefined : [path, a, b];
  }
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    if (FOLLOWS_SEED.has(key)) continue;
    const step = Array.isArray(a) ? `[${key}]` : path === '' ? key : `.${key}`;
    const found = difference(left[key], right[key], `${path}${step}`);
    if (found) return found;
  }
  return undefined;
}

function text(value: unknown): string {
  return value === undefined ? 'not set' : JSON.stringify(value);
}
