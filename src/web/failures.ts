/** Says what went wrong and what is going on beside the control that the visitor used, inside the viewport. */
import { byId } from './dom.ts';
import type { JobKind } from './protocol.ts';

const PLACES = {
  story: 'failure',
  inversion: 'inversion-failure',
  curve: 'curve-failure',
  map: 'map-failure',
  network: 'network-failure',
  own: 'own-failure',
  adapter: 'adapter-failure',
} as const;
export type Place = keyof typeof PLACES;

const PLACE_OF_JOB: Readonly<Record<JobKind, Place>> = {
  open: 'own',
  measure: 'story',
  curve: 'curve',
  invert: 'inversion',
  map: 'map',
  own: 'own',
  bring: 'network',
  attack: 'network',
  check: 'adapter',
};

/** @param ofNetwork true if the job is about the network of the visitor */
export function placeOf(job: JobKind, ofNetwork: boolean): Place {
  return ofNetwork ? 'network' : PLACE_OF_JOB[job];
}

/** Shows a message at one place and removes those at the others. @param message empty: removes all */
export function fail(message: string, at: Place = 'story'): void {
  for (const [place, id] of Object.entries(PLACES)) {
    const shown = place === at && message !== '';
    byId(id).hidden = !shown;
    byId(id).textContent = shown ? message : '';
    if (shown) byId(id).scrollIntoView({ block: 'nearest' });
  }
}

/** Shows beside the file inputs what is done with the files. @param text undefined: nothing is */
export function working(at: 'network' | 'own', text: string | undefined): void {
  byId(`${at}-working`).hidden = text === undefined;
  byId(`${at}-working`).textContent = text ?? '';
}
