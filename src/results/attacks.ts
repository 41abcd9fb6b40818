/** Answers questions about the attacks of a run from their typed descriptions; names of attacks are never parsed. */
import type { AttackDescription, Results } from './schema.ts';

type Described = readonly AttackDescription[] | undefined;

/** Names of the attacks of a run, in the order of its summary. */
export function attacksOf({ summary }: Pick<Results, 'summary'>): string[] {
  return [...new Set(summary.map(({ attack }) => attack))];
}

/** True if an attack is one of an attacker: false for controls, which show what is known without the victim. */
export function isAttacker(
  attacks: readonly Pick<AttackDescription, 'name' | 'isControl'>[] | undefined,
  name: string,
): boolean {
  return !attacks?.find((attack) => attack.name === name)?.isControl;
}

/** The display name of an attack; the name used in its rows if the run does not describe it. */
export function attackTitle(attacks: Described, name: string): string {
  return attacks?.find((attack) => attack.name === name)?.title ?? name;
}

/** The split whose images an attack reconstructs; undefined if it reconstructs none, or if the run does not describe it. */
export function splitOf(attacks: Described, name: string): AttackDescription['split'] {
  return attacks?.find((attack) => attack.name === name)?.split;
}

/** The attack for figures that show only one: the first that is not on training images, otherwise the first. */
export function mainAttack(results: Pick<Results, 'summary' | 'manifest'>): string {
  const all = attacksOf(results);
  return all.find((name) => splitOf(results.manifest.attacks, name) !== 'training') ?? all[0];
}
