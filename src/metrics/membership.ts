/** Membership inference: scores of photographs by a victim's answers, and how well scores tell its training photographs from others. */
import { meanOfMeasured } from './scoring.ts';

/**
 * ln(p / (1 - p)) of the confidence p in a class, from logits, so that it stays exact where p is next to 1; NaN if a logit is
 * not finite. The loss -ln p is ln(1 + exp(-score)): a threshold on the loss (Yeom, Giacomelli, Fredrikson, Jha, CSF 2018) is
 * one on this score.
 */
export function scaledConfidence(logits: ArrayLike<number>, label: number): number {
  const others = Array.from(logits).filter((_, i) => i !== label);
  const largest = others.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const score = logits[label] - largest - Math.log(others.reduce((sum, other) => sum + Math.exp(other - largest), 0));
  return Number.isFinite(score) ? score : Number.NaN;
}

/**
 * Scores of LiRA (Carlini et al., S&P 2022): ln N(s; m_in, v_in) - ln N(s; m_out, v_out) for the score s that the victim gives a
 * photograph, where m are the means of the scores that shadow models gave it that were trained with and without it. Few models
 * cannot show a variance per photograph: v are those within photographs, over all of them.
 * @param inside, outside scores of the shadow models, [photograph][model], at least two models each
 * @returns one score per photograph, NaN where one of its scores is NaN
 */
export function likelihoodRatios(
  scores: readonly number[],
  inside: readonly (readonly number[])[],
  outside: readonly (readonly number[])[],
): number[] {
  const [first, second] = [inside, outside].map((models) => {
    const means = models.map((own) => own.reduce((sum, value) => sum + value, 0) / own.length);
    const squares = models.flatMap((own, i) => own.map((value) => (value - means[i]) ** 2)).filter(Number.isFinite);
    const freedom = squares.length * (1 - 1 / models[0].length);
    const variance = squares.reduce((sum, value) => sum + value, 0) / freedom;
    return scores.map((score, i) => -((score - means[i]) ** 2) / (2 * variance) - Math.log(variance) / 2);
  });
  return first.map((value, i) => value - second[i]);
}

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
