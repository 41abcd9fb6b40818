/** What a search of a memory for every layer can be asked for. */

/** What is to be least: the lift of the worst attacker, or the energy of reading the weights. */
export const LEAST = ['leak', 'energy'] as const;

export interface AllocateOptions {
  readonly least: (typeof LEAST)[number];
  /** Losses of accuracy that are allowed, 0..1; each has an answer of its own. */
  readonly budgets: readonly number[];
}
