/** Intervals for means over draws of an error x attacked identities. */
import { ConfigError, DataError, ShapeError } from '../errors.ts';
import { Random } from '../random.ts';

export interface BootstrapOptions {
  /** Number of resamples, at least 1; 2000 unless given. */
  resamples?: number;
  /** Same seed and same table size: same resampled draws and identities. */
  seed: number;
  /** Share inside the interval, between 0 and 1; 0.95 unless given. The field is called `ci95` whatever it is. */
  confidence?: number;
}

export interface BootstrapInterval {
  mean: number;
  /** Lower and upper end, in the values' unit. */
  ci95: [number, number];
}

/**
 * The mean of a table [draw][identity] and its percentile bootstrap interval. Draws and identities are resampled
 * independently, with replacement, because each value belongs to one of both (the pigeonhole bootstrap: Owen, Annals of
 * Applied Statistics 1(2), 2007). With a single draw only identities vary, and with a single identity only draws; one
 * value alone has an interval of no width. Quantiles are interpolated linearly.
 *
 * @throws ShapeError when the table is empty or its rows differ in length
 * @throws DataError when a value is not finite
 * @throws ConfigError when an option is out of range
 */
export function bootstrapInterval(
  values: readonly (readonly number[])[],
  options: BootstrapOptions,
): BootstrapInterval {
  const { resamples = 2000, seed, confidence = 0.95 } = options;
  if (!Number.isInteger(resamples) || resamples < 1) {
    throw new ConfigError(`resamples: ${resamples} is not a positive integer; try 2000`);
  }
  if (!(confidence > 0 && confidence < 1)) {
    throw new ConfigError(`confidence: ${confidence} is not between 0 and 1; try 0.95`);
  }
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

  const random = new Random(seed);
  const means = new Float64Array(resamples);
  for (let i = 0; i < resamples; i++) {
    const drawWeights = resample(draws, random);
    means[i] = weightedMean(values, drawWeights, resample(identities, random));
  }
  means.sort();
  const tail = (1 - confidence) / 2;
  const mean = weightedMean(values, new Uint32Array(draws).fill(1), new Uint32Array(identities).fill(1));
  return { mean, ci95: [quantile(means, tail), quantile(means, 1 - tail)] };
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
