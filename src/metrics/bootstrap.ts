/** Bootstrap intervals for means over draws of a memory's errors and attacked identities. */
import { ConfigError, DataError, ShapeError } from '../errors.ts';
import { Random } from '../random.ts';

export interface BootstrapOptions {
  /** Number of resamples, at least 1; 2000 unless given. */
  resamples?: number;
  /** The same seed and table size give the same resampled draws and identities. */
  seed: number;
  /** Share inside the interval, between 0 and 1; 0.95 unless given. For any share the result's field is called `ci95`. */
  confidence?: number;
}

export interface BootstrapInterval {
  mean: number;
  /** Lower and upper end, in the values' unit. */
  ci95: [number, number];
}

/**
 * The mean of a table [draw][identity] and its percentile bootstrap interval. Draws and identities are resampled
 * independently, with replacement, because each value belongs to one draw and one identity (the pigeonhole bootstrap: Owen,
 * Annals of Applied Statistics 1(2), 2007). With a single draw only identities vary, and with a single identity only draws;
 * the interval of a single value has no width. Quantiles are interpolated linearly.
 *
 * @throws ShapeError when the table is empty or its rows differ in length
 * @throws DataError when a value is not finite
 * @throws ConfigError when an option is out of range
 */
export function bootstrapInterval(
  values: readonly (readonly number[])[],
  options: BootstrapOptions,
): BootstrapInterval {
  const { resamples, confidence } = checkedOptions(options);
  checkTable(values);
  const [draws, identities] = [values.length, values[0].length];
  const random = new Random(options.seed);
  const means = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) {
    const drawWeights = resample(draws, random);
    means[i] = weightedMean(values, drawWeights, resample(identities, random));
  }
  return { mean: plainMean(values), ci95: percentiles(means, confidence) };
}

function checkedOptions({ resamples = 2000, confidence = 0.95 }: BootstrapOptions) {
  if (!Number.isInteger(resamples) || resamples < 1) {
    throw new ConfigError(`resamples: ${resamples} is not a positive integer; try 2000`);
  }
  if (!(confidence > 0 && confidence < 1)) {
    throw new ConfigError(`confidence: ${confidence} is not between 0 and 1; try 0.95`);
  }
  return { resamples, confidence };
}

function checkTable(values: readonly (readonly number[])[]): void {
  const draws = values.length;
  const identities = values[0]?.length ?? 0;
  values.forEach((row, draw) => {
    if (row.length !== identities) {
      throw new ShapeError(
        `bootstrap: draw ${draw} has ${row.length} identities, draw 0 has ${identities}; give every draw all identities`,
      );
    }
    const bad = row.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) throw new DataError(`bootstrap: draw ${draw}, identity ${bad} is ${row[bad]}; leave out such values`);
  });
  if (identities === 0) throw new ShapeError(`bootstrap: a table of ${draws}x${identities} values; give at least one`);
}

function plainMean(values: readonly (readonly number[])[]): number {
  return weightedMean(values, new Uint32Array(values.length).fill(1), new Uint32Array(values[0].length).fill(1));
}

/** The ends of the interval that contains the share `confidence` of the resampled means; sorts `means`. */
function percentiles(means: Float64Array, confidence: number): [number, number] {
  means.sort();
  const tail = (1 - confidence) / 2;
  return [quantile(means, tail), quantile(means, 1 - tail)];
}

/**
 * Mean and interval of a - b for two tables of the same draws and identities, each resample taking the same draws and
 * identities from both.
 *
 * @throws ShapeError when the tables differ in size; otherwise as `bootstrapInterval`
 */
export function pairedDifference(
  a: readonly (readonly number[])[],
  b: readonly (readonly number[])[],
  options: BootstrapOptions,
): BootstrapInterval {
  const bad = a.findIndex((row, draw) => row.length !== b[draw]?.length);
  if (a.length !== b.length || bad >= 0) {
    throw new ShapeError(
      `pairedDifference: tables of ${a.length} and ${b.length} draws` +
        `${bad >= 0 ? ` with ${a[bad].length} and ${b[bad]?.length ?? 0} identities in draw ${bad}` : ''}; pair them first`,
    );
  }
  // The mean is linear: the difference of two resampled means is the resampled mean of the differences.
  const differences = a.map((row, draw) => row.map((value, identity) => value - b[draw][identity]));
  return bootstrapInterval(differences, options);
}

/** How often each of n items is chosen in n choices with replacement. */
function resample(n: number, random: Random): Uint32Array {
  const weights = new Uint32Array(n);
  for (let i = 0; i < n; i++) weights[random.uniformInt(n)]++;
  return weights;
}

function weightedMean(values: readonly (readonly number[])[], draws: Uint32Array, identities: Uint32Array): number {
  let sum = 0;
  values.forEach((row, draw) => {
    if (draws[draw] === 0) return;
    let rowSum = 0;
    for (let i = 0; i < row.length; i++) rowSum += identities[i] * row[i];
    sum += draws[draw] * rowSum;
  });
  return sum / (draws.length * identities.length);
}

function quantile(sorted: Float64Array, probability: number): number {
  const position = probability * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}

/** One repetition chosen by a resample, and the weights of its draws and identities. */
interface Resample {
  readonly table: number;
  readonly draws: Uint32Array;
  readonly identities: Uint32Array;
}

/**
 * Means over several repetitions of an experiment, each with its own table [draw][identity], and their percentile intervals
 * by a hierarchical bootstrap: each resample chooses as many repetitions as there are, with replacement, and resamples the
 * draws and identities of each. The interval therefore holds for further repetitions, not only for further draws of these.
 * Every repetition has the same weight, however many draws it has. Tables of equal sizes use the same resamples, which are
 * computed once.
 */
export class HierarchicalBootstrap {
  readonly #resamples: number;
  readonly #confidence: number;
  readonly #seed: number;
  /** Resamples by the sizes of the tables. */
  readonly #plans = new Map<string, readonly Resample[]>();

  /** @throws ConfigError when an option is out of range */
  constructor(options: BootstrapOptions) {
    const { resamples, confidence } = checkedOptions(options);
    this.#resamples = resamples;
    this.#confidence = confidence;
    this.#seed = options.seed;
  }

  /**
   * @param tables one table [draw][identity] per repetition
   * @throws ShapeError when there is no table, or one is empty or its rows differ in length
   * @throws DataError when a value is not finite
   */
  interval(tables: readonly (readonly (readonly number[])[])[]): BootstrapInterval {
    if (tables.length === 0) throw new ShapeError('bootstrap: no tables; give at least one');
    for (const table of tables) checkTable(table);
    const plan = this.#planOf(tables.map((table) => [table.length, table[0].length]));
    const means = new Float64Array(this.#resamples);
    for (const [i, { table, draws, identities }] of plan.entries()) {
      means[Math.floor(i / tables.length)] += weightedMean(tables[table], draws, identities) / tables.length;
    }
    const mean = tables.reduce((sum, table) => sum + plainMean(table), 0) / tables.length;
    return { mean, ci95: percentiles(means, this.#confidence) };
  }

  #planOf(sizes: readonly (readonly [draws: number, identities: number])[]): readonly Resample[] {
    const key = sizes.join(' ');
    const known = this.#plans.get(key);
    if (known) return known;
    const random = new Random(this.#seed);
    const plan = Array.from({ length: this.#resamples * sizes.length }, () => {
      const table = random.uniformInt(sizes.length);
      const [draws, identities] = sizes[table];
      return { table, draws: resample(draws, random), identities: resample(identities, random) };
    });
    this.#plans.set(key, plan);
    return plan;
  }
}
