/** Questions about the attacks of a run, answered by their typed descriptions and never by reading their names. */
import type { AttackDescription, Results } from './schema.ts';

type Described = readonly AttackDescription[] | undefined;

/** Names of the attacks of a run, in the order of its summary. */
export function attacksOf({ summary }: Pick<Results, 'summary'>): string[] {
  return [...new Set(summary.map(({ attack }) => attack))];
}

/** An attack's name for people; the name of its rows where the run does not describe it. */
export function attackTitle(attacks: Described, name: string): string {
  return attacks?.find((attack) => attack.name === name)?.title ?? name;
}

/** The images that an attack reconstructs; undefined if it reconstructs none of the victim's, or if the run does not say. */
export function splitOf(attacks: Described, name: string): AttackDescription['split'] {
  return attacks?.find((attack) => attack.name === name)?.split;
}

/** The attack that a figure shows which has room for one: the first that is not on the victim's own training images. */
export function mainAttack(results: Pick<Results, 'summary' | 'manifest'>): string {
  const all = attacksOf(results);
  return all.find((name) => splitOf(results.manifest.attacks, name) !== 'training') ?? all[0];
}
