/** Summarises membership inference, which has no reconstructions: a table and sentences of reports. */
import { type Estimate, estimate, estimateOverVictims } from '../metrics/interval.ts';
import { type Separation, separation } from '../metrics/membership.ts';
import { haveSameDimms, isAggregated, keyAcrossSeeds } from './aggregate.ts';
import { attackTitle } from './attacks.ts';
import { isUndefended } from './condition.ts';
import { formatInterval, type Table } from './format.ts';
import { groupedBy } from './groups.ts';
import { conditionLabel } from './labels.ts';
import type { Condition, Interval, Results, Row } from './schema.ts';
import { intervalFor, showsDraws, sortedDraws } from './summary.ts';

/** All draws, of all seeds, of one condition under one attack. */
export interface MembershipEntry {
  readonly condition: Condition;
  readonly attack: string;
  readonly draws: number;
  /** Photographs of each kind: as many members as non-members. */
  readonly photographs: number;
  readonly auc: Interval;
  /** True positive rate at 1 % false positives; the interval takes the threshold of each draw as given. */
  readonly tprAtOnePercent: Interval;
}

/**
 * Summarises the rows of membership inference. Intervals are over draws, members and, for the AUC, non-members, which are
 * separate samples; of several victims they are over victims, and over the measured DIMMs in which all of them lay.
 */
export function membershipEntries(results: Results): MembershipEntry[] {
  const runs = isAggregated(results) ? results.runs : [results];
  const rows = runs.flatMap((run, victim) =>
    run.rows.filter(({ membership }) => membership).map((row) => ({ row, victim })),
  );
  const groups = groupedBy(rows, ({ row }) => `${keyAcrossSeeds(row.condition)} ${row.attack}`);
  return [...groups.values()].map((group) => {
    const victims = [...groupedBy(group, ({ victim }) => String(victim)).values()].map((own) =>
      sortedDraws(own.map(({ row }) => row)),
    );
    const found = victims.map((draws) => draws.map(separationOf));
    const sameDimms = haveSameDimms(victims);
    const { attack, membership } = victims[0][0];
    const key = keyAcrossSeeds(victims[0][0].condition);
    // Of several victims the one of the summary, whose scales of noise are means.
    const { condition } = results.rows.find((row) => keyAcrossSeeds(row.condition) === key)!;
    return {
      condition,
      attack,
      draws: victims.flat().length,
      photographs: membership!.members.length,
      auc: intervalFor(overAll(found, aucOf, sameDimms), found.length > 1 || showsDraws(victims[0])),
      tprAtOnePercent: intervalFor(
        overAll(
          found,
          (draws) =>
            estimate(
              draws.map(({ caught }) => caught),
              SHARE,
            ),
          sameDimms,
        ),
        found.length > 1 || showsDraws(victims[0]),
      ),
    };
  });
}

const SHARE = { share: true } as const;

const separationOf = ({ membership }: Row) => separation(membership!.members, membership!.nonMembers);

function aucOf(draws: readonly Separation[]): Estimate | undefined {
  const members = estimate(
    draws.map(({ below }) => below),
    SHARE,
  );
  const nonMembers = estimate(
    draws.map(({ above }) => above),
    SHARE,
  );
  // Both have the draws in common; the last part of each is that of its photographs.
  return members && nonMembers && { ...members, parts: [...members.parts, ...nonMembers.parts.slice(-1)] };
}

function overAll(
  victims: readonly (readonly Separation[])[],
  of: (draws: readonly Separation[]) => Estimate | undefined,
  draws: boolean,
): Estimate | undefined {
  if (victims.length === 1) return of(victims[0]);
  return estimateOverVictims(
    victims.map((own) => own.map((each) => [of([each])?.mean ?? null])),
    { people: false, draws },
    SHARE,
  );
}

/** The entries as a table; undefined if there are none. */
export function membershipTable(results: Results): Table | undefined {
  const rows = membershipEntries(results).map(({ condition, attack, draws, photographs, auc, tprAtOnePercent }) => [
    conditionLabel(condition),
    attackTitle(results.manifest.attacks, attack),
    draws,
    `${photographs} of ${2 * photographs}`,
    formatInterval(auc),
    formatInterval(tprAtOnePercent),
  ]);
  if (rows.length === 0) return undefined;
  return {
    columns: ['Condition', 'Attack', 'Draws', 'Members', 'AUC of membership', 'Members found at 1 % false positives'],
    rows,
  };
}

/** A sentence per attack about the undefended model. */
export function membershipLines(results: Results): string[] {
  return membershipEntries(results)
    .filter(({ condition }) => isUndefended(condition))
    .map(({ attack, photographs, auc, tprAtOnePercent }) => {
      const found =
        tprAtOnePercent.mean === null
          ? 'too few photographs to measure 1 % false positives'
          : `at 1 % false positives it finds a share of ${formatInterval(tprAtOnePercent)}`;
      return (
        `“${attackTitle(results.manifest.attacks, attack)}” tells ${photographs} training photographs of the undefended network from ` +
        `as many held-out ones of the same people with an AUC of ${formatInterval(auc)} (0.5 by guessing); ${found}.`
      );
    });
}
