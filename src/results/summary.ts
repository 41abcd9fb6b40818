/** Summarises all draws of a condition under an attack as means with bootstrap intervals. */
import { ShapeError } from '../errors.ts';
import { bootstrapInterval } from '../metrics/bootstrap.ts';
import { conditionKey } from './condition.ts';
import { conditionLabel } from './labels.ts';
import type { Interval, Metric, Row, SummaryEntry } from './schema.ts';

/**
 * Groups rows by condition and attack, in order of first appearance, and gives each metric a mean and a 95 % interval by
 * bootstrap over draws x identities. Metrics without a value per identity (accuracy, and mse, psnr, ssim unless
 * `perIdentity` has them) have one value per draw, so a single draw gives them an interval of no width.
 *
 * @param seed of the resampling, 1 by default; the same seed gives the same intervals
 * @throws ShapeError if draws of one condition hold different numbers of identities, or a draw appears twice
 */
export function summarise(rows: readonly Row[], seed = 1): SummaryEntry[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${conditionKey(row.condition)} ${row.attack}`;
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return [...groups.values()].map((group) => {
    const name = `${conditionLabel(group[0].condition)}, attack ${group[0].attack}`;
    // Draws are sorted, so that a resumed run, whose rows are in another order, gives the same intervals.
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
      const { mean, ci95 } = bootstrapInterval(
        draws.map((row) => valuesOfDraw(row, metric)),
        { seed },
      );
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

/** The values of a row that the bootstrap resamples: one per identity, or the single value if there are no identities. */
export function valuesOfDraw(row: Row, metric: Metric): readonly number[] {
  const perIdentity = metric === 'accuracy' ? undefined : row.perIdentity[metric];
  return perIdentity?.length ? perIdentity : [row[metric]];
}
