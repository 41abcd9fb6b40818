/** What was just measured, as counts, and the sentences that state them. They compare nothing: a difference needs an interval. */
import type { Row } from '../results/results.ts';

/** The counts of one draw under one attack. */
export interface Point {
  /** For every held-out photograph, 1 where the classifier names the right person, otherwise 0. */
  readonly correct: string;
  /** For every reconstruction, 1 where an independent evaluator names the right person, otherwise 0; null if not measured. */
  readonly recognised: readonly (number | null)[];
  readonly pcc: number | null;
}

export function pointOf({ correct = '', perIdentity, pcc }: Row): Point {
  return { correct, recognised: perIdentity?.identity ?? [], pcc };
}

export interface Count {
  readonly right: number;
  readonly of: number;
}

/** Photographs that the classifier names right. */
export function namedBy({ correct }: Point): Count {
  return { right: [...correct].filter((answer) => answer === '1').length, of: correct.length };
}

/** Reconstructions that the evaluator recognises, of those that could be measured. */
export function recognisedBy({ recognised }: Point): Count {
  const measured = recognised.filter((each) => each !== null);
  return { right: measured.filter((each) => each === 1).length, of: measured.length };
}

export const countText = ({ right, of }: Count) => `${right} of ${of}`;

/** The loss of the owner, the loss of the attacker, both together, and what is not known: one sentence each. */
export interface Verdict {
  readonly owner: string;
  readonly attacker: string;
  /** What both lost, in the same form; empty if one of them had nothing. */
  readonly both: string;
  readonly noise: string;
}

/** '58 %': the share of a count that is lost; undefined if there was nothing to lose. */
function lost(count: Count, before: Count): string | undefined {
  return before.right === 0 ? undefined : `${Math.max(0, Math.round(100 * (1 - count.right / before.right)))} %`;
}

/** What both lost in this draw, in the same form for both. */
function bothLost(owner: string | undefined, attacker: string | undefined): string {
  if (owner === undefined || attacker === undefined) return '';
  return `In this one sample of errors the owner has lost ${owner} of the right answers, and the attacker ${attacker} of the recognised pictures.`;
}

/** @param none the same without errors */
export function verdictOf(none: Point, memory: Point): Verdict {
  const [owner, ownerBefore] = [namedBy(memory), namedBy(none)];
  const [attacker, attackerBefore] = [recognisedBy(memory), recognisedBy(none)];
  return {
    owner: `The classifier names ${countText(owner)} photographs right, and ${ownerBefore.right} without errors.`,
    attacker:
      `A second network recognises ${countText(attacker)} of the attacker’s pictures, and ` +
      `${attackerBefore.right} without errors.`,
    both: bothLost(lost(owner, ownerBefore), lost(attacker, attackerBefore)),
    noise:
      'Another sample of errors gives other counts, and one sample cannot show whether errors and plain noise differ.',
  };
}
