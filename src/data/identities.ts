/** Compares the names of people in a normalised spelling, and checks that two data sets share nobody. */
import { DataError } from '../errors.ts';
import type { ImageDataset } from './dataset.ts';

/** Normalises a name for comparison: `Aaron_Eckhart`, `aaron eckhart` and `AARON  ECKHART` become equal. */
export function normaliseIdentity(name: string): string {
  return name
    .normalize('NFKC')
    .replace(/[\s_]+/g, ' ')
    .trim()
    .toLowerCase();
}

/**
 * Refuses two data sets that share a person, because an attacker that was trained on the people whom it reconstructs gives
 * an invalid measurement. Only people with images count, and only names are compared.
 *
 * @param allow true to return the shared names instead
 * @returns the names that both have, as the private set spells them
 * @throws DataError naming the sets and the people they share
 */
export function refuseSharedIdentities(privateSet: ImageDataset, publicSet: ImageDataset, allow: boolean): string[] {
  const known = new Set(presentClasses(publicSet).map(normaliseIdentity));
  const shared = presentClasses(privateSet).filter((name) => known.has(normaliseIdentity(name)));
  if (shared.length > 0 && !allow) {
    const list =
      shared.length > 5 ? `${shared.slice(0, 5).join(', ')} and ${shared.length - 5} more` : shared.join(', ');
    throw new DataError(
      `private set ${privateSet.name} and public set ${publicSet.name} share ${shared.length} people: ${list}; ` +
        'leave them out of one with --exclude, or give --allow-shared',
    );
  }
  return shared;
}

function presentClasses({ classNames, labels }: ImageDataset): string[] {
  const present = new Set(labels);
  return classNames.filter((_, label) => present.has(label));
}
