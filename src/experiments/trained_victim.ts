/** A trained network as the victim of an experiment: the fields of the configuration that follow from it. */
import type { ModelDescription } from '../models/model_spec.ts';
import type { NetworkDescription } from '../models/network_description.ts';
import type { ExperimentInput, VictimKind } from './config.ts';

/** The kind of victim that a network is; undefined without a network, or for one that is no classifier. */
export function victimKind(network: ModelDescription | undefined): VictimKind | NetworkDescription | undefined {
  if (network?.kind === 'network') return network;
  if (network?.kind === 'yang-classifier') return 'yang';
  return network && 'inputs' in network ? network.kind : undefined;
}

/** A victim of the same kind with the width of the given network. */
export function widenedVictim(
  preset: ExperimentInput['victim'],
  given: ModelDescription | undefined,
): ExperimentInput['victim'] {
  if (preset.kind === 'yang') return given?.kind === 'yang-classifier' ? { ...preset, ndf: given.ndf } : preset;
  if (preset.kind === 'network' || given?.kind !== preset.kind) return preset;
  return { ...preset, hidden: [...given.hidden] };
}
