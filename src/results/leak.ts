/** What a memory gives away and costs: the worst of all attackers, and the energy of its reads. */
import { isAttacker } from './attacks.ts';
import { conditionKey } from './condition.ts';
import { groupedBy } from './groups.ts';
import type { Interval, Results, Row, SummaryEntry } from './schema.ts';
import { shownLift } from './series.ts';

/** A condition by what a defender weighs. */
export interface Balance {
  /** The entry of the attack with the largest lift of all that were measured. */
  readonly worst: SummaryEntry;
  /** Its lift: how much more its reconstructions resemble the right person than others, without the mean face where measured. */
  readonly leak: Interval & { readonly mean: number };
  /** Bytes that are read to classify the test images, weighted by the square of the voltage; undefined where rows do not say. */
  readonly energy: number | undefined;
}

/**
 * The balance of every condition, in the order of the summary; conditions in which no attack could be measured are left out.
 * @param attacks their descriptions, which say which of them are controls
 */
export function balances(
  { summary: all, rows }: Pick<Results, 'summary' | 'rows'>,
  attacks: Parameters<typeof isAttacker>[0],
): Balance[] {
  const summary = all.filter(({ attack }) => isAttacker(attacks, attack));
  const lift = shownLift(summary);
  const energies = groupedBy(rows, ({ condition }) => conditionKey(condition));
  return [...groupedBy(summary, ({ condition }) => conditionKey(condition))].flatMap(([key, entries]) => {
    const measured = entries.flatMap((entry) => {
      const { mean } = entry[lift];
      return mean === null ? [] : [{ entry, mean }];
    });
    if (measured.length === 0) return [];
    const { entry, mean } = measured.reduce((a, b) => (b.mean > a.mean ? b : a));
    return [{ worst: entry, leak: { ...entry[lift], mean }, energy: energyOf(energies.get(key)) }];
  });
}

/** Every row of a condition has the same energy. */
function energyOf(rows: readonly Row[] | undefined): number | undefined {
  const energy = rows?.[0]?.energy;
  return energy && energy.bytes * energy.relative;
}
