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

/** The loss of the owner, the loss of the attacker, and what is not known: one sentence each. */
export interface Verdict {
  readonly owner: string;
  readonly attacker: string;
  readonly noise: string;
}

/** @param none the same without errors */
export function verdictOf(none: Point, memory: Point): Verdict {
  const [owner, ownerBefore] = [namedBy(memory), namedBy(none)];
  const [attacker, attackerBefore] = [recognisedBy(memory), recognisedBy(none)];
  return {
    owner: `The classifier names ${countText(owner)} photographs right, and ${ownerBefore.right} without errors.`,
    attacker:
      `An independent evaluator recognises ${countText(attacker)} of the attacker’s pictures, and ` +
      `${attackerBefore.right} without errors.`,
    noise: 'These are counts of one sample of the errors: no difference to plain noise is shown by them.',
  };
}
