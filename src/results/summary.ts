/** Summarises all draws of a condition under an attack as means with confidence intervals. */
import { ShapeError } from '../errors.ts';
import { type CrossedTable, type Estimate, type EstimateOptions, estimate, intervalOf } from '../metrics/interval.ts';
import { meanOfMeasured } from '../metrics/scoring.ts';
import { conditionKey, isErrorFree } from './condition.ts';
import { groupedBy } from './groups.ts';
import { conditionLabel } from './labels.ts';
import { METRICS, type Metric, SHARES } from './metrics.ts';
import type { Interval, Row, SummaryEntry } from './schema.ts';

/**
 * Groups rows by condition and attack, in order of first appearance, and gives each metric a mean and a 95 % interval over draws
 * and people; that of accuracy is over draws and held-out images. Draws that are the same DIMM count once. A single draw of errors
 * cannot show how much draws vary: its metrics have no interval (`ci95` is null). A model without errors has no such variation,
 * and needs one draw only. Rows without reconstructions are left out: src/results/membership.ts summarises them.
 *
 * @throws ShapeError if draws of one condition hold different numbers of identities, or a draw appears twice
 */
export function summarise(rows: readonly Row[]): SummaryEntry[] {
  const shown = rows.filter(({ membership }) => !membership);
  const groups = groupedBy(shown, ({ condition, attack }) => `${conditionKey(condition)} ${attack}`);
  return [...groups.values()].map((group) => {
    const draws = sortedDraws(group);
    const intervals = METRICS.map((metric) => [
      metric,
      intervalFor(
        metric === 'accuracy' ? accuracyOf(draws) : estimate(sampled(tableOf(draws, metric), draws), optionsOf(metric)),
        showsDraws(draws),
      ),
    ]);
    return {
      condition: draws[0].condition,
      attack: draws[0].attack,
      draws: draws.length,
      n: draws.reduce((sum, row) => sum + row.n, 0),
      unmeasured: draws.reduce((sum, row) => sum + row.unmeasured, 0),
      ...(Object.fromEntries(intervals) as Record<Metric, Interval> & Pick<SummaryEntry, 'accuracy'>),
    };
  });
}

/**
 * Accuracy over draws and held-out images. Images of one person are alike: where people explain more of the variation than their
 * single images, people are the sample.
 */
export function accuracyOf(draws: readonly Row[]): Estimate | undefined {
  const options = optionsOf('accuracy');
  const byImage = estimate(sampled(tableOf(draws, 'accuracy'), draws), options);
  if (!byImage || draws.some(({ personAccuracy }) => personAccuracy === undefined)) return byImage;
  const people = draws.map(({ personAccuracy }) => personAccuracy!);
  const byPerson = estimate(sampled(people, draws), { range: options.range });
  return byPerson ? lessCertain(byImage, byPerson) : byImage;
}

/** The mean over images, with the uncertainty of images or of people, whichever is larger. */
export function lessCertain(byImage: Estimate, byPerson: Estimate): Estimate {
  const variance = ({ parts }: Estimate) => parts.reduce((sum, part) => sum + part.variance, 0);
  // People may have different numbers of images: the mean stays that of images.
  return variance(byPerson) <= variance(byImage) ? byImage : { ...byPerson, mean: byImage.mean, centre: byImage.mean };
}

/** How the mean of a metric is estimated: shares, and correlations, which intervals must not exceed. */
export function optionsOf(metric: Metric): EstimateOptions {
  if (SHARES.has(metric) || metric === 'auc') return { share: SHARES.has(metric), range: [0, 1] };
  return CORRELATIONS.has(metric) ? { range: [-1, 1] } : {};
}

const CORRELATIONS: ReadonlySet<Metric> = new Set(['pcc', 'pccMeanFree', 'pccOther', 'pccMeanFreeOther', 'ssim']);

/** True if the rows can show how much results vary from draw to draw, or if they cannot vary. */
export function showsDraws(draws: readonly Row[]): boolean {
  return draws.length > 1 || isErrorFree(draws[0].condition);
}

/**
 * The rows of one condition and attack by their draws, so that a resumed run, whose rows are in another order, gives the same
 * numbers. @throws ShapeError if draws hold different numbers of identities, or a draw appears twice
 */
export function sortedDraws(rows: readonly Row[]): Row[] {
  const draws = [...rows].sort((a, b) => a.draw - b.draw);
  const name = () => `${conditionLabel(rows[0].condition)}, attack ${rows[0].attack}`;
  for (let i = 1; i < draws.length; i++) {
    if (draws[i].draw === draws[i - 1].draw) throw new ShapeError(`${name()}: draw ${draws[i].draw} appears twice`);
    const [first, here] = [draws[0].perIdentity.pcc.length, draws[i].perIdentity.pcc.length];
    if (first !== here) {
      throw new ShapeError(
        `${name()}: draw ${draws[0].draw} has ${first} identities, draw ${draws[i].draw} has ${here}`,
      );
    }
  }
  return draws;
}

/**
 * The values of a metric, [draw][person], or for accuracy [draw][image]; a metric without values per person, and the accuracy of
 * rows that do not say which images were correct, have one value per draw.
 */
export function tableOf(draws: readonly Row[], metric: Metric): CrossedTable {
  if (metric === 'accuracy') {
    if (draws.some(({ correct }) => correct === undefined)) return draws.map(({ accuracy }) => [accuracy]);
    return draws.map(({ correct }) => Array.from(correct!, Number));
  }
  return draws.map((row) => {
    const values = row.perIdentity[metric];
    return values?.length ? values : [row[metric]];
  });
}

/**
 * The sample of draws in a table [draw][person]: draws that are the same measured DIMM say nothing about other DIMMs, and are replaced
 * by their mean, in the order in which the DIMMs appear first.
 * @param draws the rows of the table, or of one side of the differences in it
 */
export function sampled(table: CrossedTable, draws: readonly Pick<Row, 'dimm'>[]): CrossedTable {
  const dimms = dimmsOf(draws);
  if (dimms === undefined || dimms.length === draws.length) return table;
  return dimms.map((dimm) => {
    const own = table.filter((_, draw) => draws[draw].dimm === dimm);
    return own[0].map((_, person) => meanOfMeasured(own.map((row) => row[person])));
  });
}

/** The measured DIMMs that the draws are, each once; undefined if any draw is none. */
export function dimmsOf(draws: readonly Pick<Row, 'dimm'>[]): string[] | undefined {
  const dimms = draws.flatMap(({ dimm }) => dimm ?? []);
  return dimms.length === draws.length ? [...new Set(dimms)] : undefined;
}

/** @param withCi false if the values cannot show all of their variation: then there is no interval */
export function intervalFor(estimated: Estimate | undefined, withCi: boolean): Interval {
  if (!estimated) return { mean: null, ci95: null };
  const { mean, unmeasured } = estimated;
  const ends = withCi ? intervalOf(estimated) : undefined;
  return { mean, ci95: ends ?? null, ...(unmeasured > 0 && { unmeasured }) };
}
