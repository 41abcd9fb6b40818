/**
 * What the page offers, as plain values out of the registries of the engine. The build replaces this module by its values
 * (vite.config.ts): to know a name the page need not load the engine, which its worker does.
 */
import * as v from 'valibot';
import { ATTACKS } from '../attacks/registry.ts';
import { RELEASE_DEFENCES } from '../defences/registry.ts';
import type { ReleaseConfig } from '../experiments/config.ts';
import { MemoryConfig } from '../memory/config.ts';
import { badLineRateField } from '../memory/faults/clustered.ts';
import { PRESETS } from '../memory/presets.ts';
import { rowMapsKnownAt } from '../memory/row_maps.ts';
import { releaseName } from '../results/labels.ts';

export { VICTIM_KINDS } from '../experiments/config.ts';
export { GRANULARITIES } from '../memory/config.ts';

/** Attacks that show persons, rather than single photographs, each iteration by iteration. */
export const PERSON_ATTACKS = ATTACKS.filter(({ onPhotographs }) => !onPhotographs).map(
  ({ kind, title, description }) => ({ kind: kind as string, title, description }),
);

/** True if the slider offers a preset: the same error rate for every bit, or measured DIMMs at a voltage. */
function hasSlider({ memory }: (typeof PRESETS)[number]): boolean {
  const stored = v.parse(MemoryConfig, memory).layers['*'];
  if (stored?.kind !== 'stored') return false;
  const { faults, ecc, protectedBits } = stored;
  const alike = faults.every((model) => model.kind === 'uniform' && model.drawn === 'read');
  return faults.every(({ kind }) => kind === 'voltage') || (alike && !ecc && protectedBits === 0);
}

/** Presets of the command line that are one memory, without a slider; each has its own number format. */
export const NAMED_MEMORIES = PRESETS.filter((preset) => !hasSlider(preset)).map(({ name, description }) => ({
  name: name as string,
  description,
}));

/** The ways in which a victim may release its confidences, by the name in an address: `exact`, `rounding-2`. */
export const RELEASES: readonly { readonly name: string; readonly releases: readonly ReleaseConfig[] }[] = [
  { name: 'exact', releases: [] },
  ...RELEASE_DEFENCES.flatMap(({ offered }) =>
    (offered as readonly ReleaseConfig[]).map((config) => ({ name: releaseName(config), releases: [config] })),
  ),
];

/** Supply voltages in V, from 1.35 (nominal) down in steps of 25 mV. */
export const VOLTAGES: readonly number[] = Array.from({ length: 14 }, (_, i) => Number((1.35 - 0.025 * i).toFixed(3)));

/** For every voltage at which rows of DIMMs of vendor C are known: these DIMMs, which chips are in turn. */
export const KNOWN_ROWS = VOLTAGES.map((volts) => ({
  volts,
  dimms: rowMapsKnownAt(volts).map(({ dimm, interpolated }) => ({ dimm, interpolated })),
})).filter(({ dimms }) => dimms.length > 0);

/** Share of the bits of a bad row or line that flip, as it is assumed by default, 0..1. */
export const BAD_LINE_RATE = v.getDefault(badLineRateField) as number;
