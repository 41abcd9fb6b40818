/** What a bound can be asked for. */

/** What the attacker wants to see: one training photograph, or all those of a person. */
export const SECRETS = ['photograph', 'person'] as const;

export interface BoundOptions {
  readonly secret: (typeof SECRETS)[number];
  /** Number of secrets, each of which is replaced by that of another person, and by mixtures of both. */
  readonly replaced: number;
  /** Numbers of reads, each with new errors, after which the bound is computed. */
  readonly reads: readonly number[];
}
