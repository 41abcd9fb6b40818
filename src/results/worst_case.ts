/**
 * What the strongest of several attackers sees, against what the strongest sees of the undefended model, and what an attacker who
 * adapts to errors gains over the first one. Attackers are compared only where they are after the same pictures: persons in
 * general, or photographs of one split. Every attacker is paired by victim, draw and person.
 */
import {
  type CrossedTable,
  type Estimate,
  estimate,
  estimateOverVictims,
  intervalOf,
  pValueOf,
} from '../metrics/interval.ts';
import { haveSameDimms, isAggregated, keyAcrossSeeds } from './aggregate.ts';
import { isAttacker, splitOf } from './attacks.ts';
import { type Comparison, differencesBetween, holm, pairedDraws, tested as testedPairs } from './comparisons.ts';
import { isDefended, isUndefended } from './condition.ts';
import { groupedBy } from './groups.ts';
import type { AttackDescription, Condition, Results, Row, SummaryEntry } from './schema.ts';
import { shownLift } from './series.ts';
import { sampled, showsDraws, sortedDraws, tableOf } from './summary.ts';

/** A difference of lifts with its test. */
export interface LiftChange {
  readonly mean: number;
  /** At the level of its own test in Holm's method: it excludes zero exactly if the verdict is not `open`. Null without a test. */
  readonly interval: readonly [low: number, high: number] | null;
  readonly verdict: 'lower' | 'higher' | 'open';
}

/** One defended condition and the attackers who are after the same pictures. */
export interface WorstCase {
  readonly condition: Condition;
  /** The split whose photographs the attackers reconstruct; undefined if they show persons in general. */
  readonly split: AttackDescription['split'];
  /** Mean accuracy under the condition minus that of the undefended model; the conditions are a family of their own. */
  readonly accuracy: Pick<Comparison, 'mean' | 'interval'>;
  /** The attacker with the largest mean lift under the condition, that lift, and the same of the undefended model. */
  readonly worst: { readonly attack: string; readonly lift: number };
  readonly undefended: { readonly attack: string; readonly lift: number };
  /**
   * The lift of the worst attacker minus the lift of the worst attacker of the undefended model: a difference of two largest values, both
   * chosen by their outcomes. It is at most the largest difference of all attackers to any one attacker of the undefended model, and at
   * least the smallest difference of any one attacker to all of these. So the upper end of its interval is the lowest, over attackers of
   * the undefended model, of the largest upper end over attackers (an intersection-union test: R. L. Berger, Technometrics 24, 1982),
   * corrected by Bonferroni for the number of the former; the lower end is the converse.
   */
  readonly change: LiftChange;
  /**
   * The lift of the best of the other attackers minus that of the first one in the configuration; tested in the same way. Absent if there
   * is one attacker only, or if the first is left out.
   */
  readonly adaptive?: LiftChange & { readonly attack: string; readonly first: string };
}

/** Largest share of values, and of pairs, that may be missing. */
const MOST_MISSING = 0.1;

/**
 * The worst cases of all defended conditions with unchanged confidences, in the order of the summary. The changes are one family of
 * tests, the gains of adaptive attackers another, each corrected by Holm's method: an interval is at the level of its own test, so they
 * do not all hold together. Of a case an attacker is left out, with errors and without, if more than a tenth of the pictures could not be
 * measured with errors or without: what remains would not be a sample of the people. Empty without an undefended model, or where no
 * pictures have two attackers.
 */
export function worstCases(results: Results): WorstCase[] {
  const { attacks } = results.manifest;
  const lift = shownLift(results.summary);
  const victims = isAggregated(results) ? results.runs : [results];
  const samePeople = victims.every(({ manifest }) => manifest.dataset.sha256 === victims[0].manifest.dataset.sha256);
  const groups = victims.map(({ rows }) => groupedBy(rows, ({ attack, condition }) => groupKey(attack, condition)));
  const liftOf = (entry: SummaryEntry) => entry[lift].mean ?? Number.NEGATIVE_INFINITY;
  const worstOf = (entries: readonly SummaryEntry[]) => entries.reduce((a, b) => (liftOf(b) > liftOf(a) ? b : a));
  const differenceOf = (a: SummaryEntry, b: SummaryEntry): Estimate | undefined => {
    const sides = groups.flatMap((group) => {
      const [first, second] = [a, b].map(({ attack, condition }) => group.get(groupKey(attack, condition)));
      const paired = first && second && pairedDraws(sortedDraws(first), sortedDraws(second));
      return paired ? [paired] : [];
    });
    return sides.length === 0 ? undefined : difference(sides, lift, { victims: victims.length, samePeople });
  };

  const rowsOf = ({ attack, condition }: SummaryEntry) =>
    groups.flatMap((group) => group.get(groupKey(attack, condition)) ?? []);
  const attackers = results.summary.filter(({ attack }) => isAttacker(attacks, attack));
  const reaches = (entry: SummaryEntry) => missingShare(tableOf(rowsOf(entry), lift)) <= MOST_MISSING;
  const goals = groupedBy(attackers, ({ attack }) => splitOf(attacks, attack) ?? '');
  const cases = [...goals.values()].flatMap((entries) => {
    const allClean = entries.filter(({ condition }) => isUndefended(condition));
    const defended = groupedBy(
      entries.filter(({ condition }) => isDefended(condition) && condition.release === undefined),
      ({ condition }) => keyAcrossSeeds(condition),
    );
    const firstName = attacks?.find(({ name }) => entries.some(({ attack }) => attack === name))?.name;
    return [...defended.values()].flatMap((all) => {
      const lost = new Set([...all, ...allClean].filter((entry) => !reaches(entry)).map(({ attack }) => attack));
      const own = all.filter(({ attack }) => !lost.has(attack));
      const clean = allClean.filter(({ attack }) => !lost.has(attack));
      if (own.length === 0 || clean.length === 0) return [];
      if (new Set([...own, ...clean].map(({ attack }) => attack)).size === 1) return [];
      const [worst, undefended] = [worstOf(own), worstOf(clean)];
      // Without errors several reads return the same weights, and attackers who differ only in these are one.
      const different = clean.filter((entry, i) => clean.findIndex((other) => liftOf(other) === liftOf(entry)) === i);
      const first = own.find(({ attack }) => attack === firstName);
      const others = own.filter((entry) => entry !== first);
      const second = clean.find(({ attack }) => own.some((entry) => entry.attack === attack));
      return {
        condition: worst.condition,
        split: splitOf(attacks, worst.attack),
        worst: { attack: worst.attack, lift: liftOf(worst) },
        undefended: { attack: undefended.attack, lift: liftOf(undefended) },
        pair: second && { first: own.find(({ attack }) => attack === second.attack)!, second },
        changes: {
          mean: liftOf(worst) - liftOf(undefended),
          all: own.map((entry) => different.map((other) => differenceOf(entry, other))),
        },
        gains: first &&
          others.length > 0 && {
            ...{ attack: worstOf(others).attack, first: first.attack },
            mean: liftOf(worstOf(others)) - liftOf(first),
            all: others.map((entry) => [differenceOf(entry, first)]),
          },
      };
    });
  });
  // Persons and photographs are reconstructed under the same conditions, each of which has one accuracy.
  const pairs = new Map(cases.flatMap(({ condition, pair }) => (pair ? [[keyAcrossSeeds(condition), pair]] : [])));
  const accuracies = testedPairs(
    results,
    [...pairs.values()].map((pair) => ({
      pair: { kind: 'undefended', attack: pair.first.attack, ...pair },
      metric: 'accuracy',
    })),
  );
  const accuracyOf = (condition: Condition) =>
    accuracies.find(({ first }) => keyAcrossSeeds(first) === keyAcrossSeeds(condition));
  const changes = tested(cases.map((each) => each.changes));
  const withGains = cases.filter((each) => each.gains);
  const gains = tested(withGains.flatMap((each) => each.gains || []));
  return cases.map(({ changes: _, gains: own, pair: __, ...each }, i) => ({
    ...each,
    accuracy: accuracyOf(each.condition) ?? { mean: null, interval: null },
    change: changes[i],
    ...(own && { adaptive: { ...gains[withGains.indexOf(cases[i])], attack: own.attack, first: own.first } }),
  }));
}

/** The share of the values of a table that could not be measured. */
function missingShare(table: CrossedTable): number {
  const cells = table.flat();
  return cells.filter((value) => value === null).length / cells.length;
}

const groupKey = (attack: string, condition: Condition) => `${attack}\n${keyAcrossSeeds(condition)}`;

/** Estimates a paired difference; undefined if draws or victims are too few, or too little was measured, for an interval. */
function difference(
  sides: readonly { readonly first: readonly Row[]; readonly second: readonly Row[] }[],
  lift: 'liftMeanFree' | 'pccLift',
  { victims, samePeople }: { readonly victims: number; readonly samePeople: boolean },
): Estimate | undefined {
  const isSingle = victims > 1 ? sides.length < 2 : !(showsDraws(sides[0].first) && showsDraws(sides[0].second));
  if (isSingle) return undefined;
  const dimms = sides.map(({ first, second }) => first.map((row, i) => ({ dimm: row.dimm ?? second[i].dimm })));
  const tables = sides.map(({ first, second }, i) =>
    sampled(differencesBetween(tableOf(first, lift), tableOf(second, lift)), dimms[i]),
  );
  if (missingShare(tables.flat()) > MOST_MISSING) return undefined;
  const options = { range: [-2, 2] as const };
  return tables.length === 1
    ? estimate(tables[0], options)
    : estimateOverVictims(tables, { people: samePeople, draws: haveSameDimms(dimms) }, options);
}

/** The differences of several attackers to several others, of both of whom the largest counts; `mean` is their difference. */
interface Largest {
  readonly mean: number;
  /** By attacker, then by the other. */
  readonly all: readonly (readonly (Estimate | undefined)[])[];
}

/** Tests the difference of largest values of every member of a family. A member of which a difference has no estimate is not tested. */
function tested(family: readonly Largest[]): LiftChange[] {
  const complete = family.map(({ all }) => {
    const known = all.map((row) => row.flatMap((each) => (each && pValueOf(each) !== undefined ? [each] : [])));
    return known.length > 0 && known.every((row, i) => row.length === all[i].length && row.length > 0)
      ? known
      : undefined;
  });
  const ps = complete.map((all) => {
    if (!all) return undefined;
    const others = all[0].map((_, j) => all.map((row) => row[j]));
    const below = others.length * Math.min(...others.map((each) => Math.max(...each.map((one) => oneSided(one, -1)))));
    const above = all.length * Math.min(...all.map((each) => Math.max(...each.map((one) => oneSided(one, 1)))));
    return Math.min(1, 2 * Math.min(below, above));
  });
  return holm(ps).map(({ rejected, level }, i) => {
    const all = complete[i];
    const { mean } = family[i];
    if (!all) return { mean, interval: null, verdict: 'open' };
    const others = all[0].map((_, j) => all.map((row) => row[j]));
    const end = (each: readonly Estimate[], side: 0 | 1, number: number) =>
      each.map((one) => intervalOf(one, 1 - level / number)![side]);
    const low = Math.max(...all.map((each) => Math.min(...end(each, 0, all.length))));
    const high = Math.min(...others.map((each) => Math.max(...end(each, 1, others.length))));
    return { mean, interval: [low, high], verdict: !rejected ? 'open' : high < 0 ? 'lower' : 'higher' };
  });
}

/** P-value of the test that the true mean is on the other side of zero. @param side -1 for a mean below zero */
function oneSided(estimated: Estimate, side: 1 | -1): number {
  const half = pValueOf(estimated)! / 2;
  return estimated.centre * side > 0 ? half : 1 - half;
}
