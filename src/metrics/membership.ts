/** How well the scores of membership inference tell training photographs from others. */
import { meanOfMeasured } from './scoring.ts';

/** Fewest non-members of which 1 % is a photograph. */
export const FEWEST_NON_MEMBERS = 100;

type Scores = readonly (number | null)[];

/** How well scores tell members from non-members; null where something could not be measured. */
export interface Separation {
  /** Probability that a member has a higher score than a non-member, ties counting half: 0.5 by guessing. */
  readonly auc: number | null;
  /** Share of the members above a threshold that at most 1 % of the non-members exceed; null with fewer than 100 non-members. */
  readonly tprAtOnePercent: number | null;
  /** The share of non-members below each member, of members above each non-member, and 1 for each member above the threshold. */
  readonly below: Scores;
  readonly above: Scores;
  readonly caught: Scores;
}

/** @param members scores, higher for photographs that should be members; null where there is none */
export function separation(members: Scores, nonMembers: Scores): Separation {
  const [inside, outside] = [members, nonMembers].map((scores) =>
    Float64Array.from(scores.filter((score) => score !== null)).sort(),
  );
  const below = members.map((score) => (score === null || outside.length === 0 ? null : shareBelow(outside, score)));
  const above = nonMembers.map((score) =>
    score === null || inside.length === 0 ? null : 1 - shareBelow(inside, score),
  );
  const threshold = outside[outside.length - 1 - Math.floor(0.01 * outside.length)];
  const isEnough = outside.length >= FEWEST_NON_MEMBERS;
  const caught = members.map((score) => (score === null || !isEnough ? null : Number(score > threshold)));
  return { auc: meanOfMeasured(below), tprAtOnePercent: meanOfMeasured(caught), below, above, caught };
}

/** Share of sorted values below a value, ties counting half. */
function shareBelow(sorted: Float64Array, value: number): number {
  const count = (isBefore: (other: number) => boolean) => {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(sorted[middle])) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return (count((other) => other < value) + count((other) => other <= value)) / (2 * sorted.length);
}
