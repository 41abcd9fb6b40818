/** The networks of the convolutional victim and its attacker: those that come with the page, or a visitor's in their place. */
import { DataError, MidasError } from '../../errors.ts';
import { type ExperimentConfig, parseExperiment } from '../../experiments/config.ts';
import { presetInput } from '../../experiments/presets.ts';
import { readCheckpoint, writeCheckpoint } from '../../models/checkpoint.ts';
import { importNetwork } from '../../models/recognise.ts';
import { modelName } from '../../models/specs.ts';
import type { ChosenFile } from '../protocol.ts';
import { COMMON } from './victim.ts';

/** Attackers of the inversion network. */
export const ATTACKERS = [{ name: 'direct' }, { name: 'clipped', clip: 'observed' }] as const;

export interface ShippedNetworks {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly config: ExperimentConfig;
  /** Side of their images, pixels. */
  readonly size: number;
  readonly label: string;
  /** Hash of the networks; rows of different networks are kept apart. */
  readonly hash: string;
}

/**
 * The networks of the convolutional victim and its attacker, from files if they are given and otherwise the shipped ones, and
 * the configuration that fits them.
 *
 * @throws DataError if a file is neither of these networks, or the networks do not belong together
 */
export async function networksOf(
  shipped: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  files: readonly ChosenFile[],
): Promise<ShippedNetworks> {
  const networks = new Map<string, Uint8Array>(shipped);
  for (const { name, bytes } of files) {
    const { spec, parameters } = importNetwork(bytes, name);
    const file = spec.description.kind === 'yang-classifier' ? 'victim.safetensors' : 'inversion.safetensors';
    const state = { epoch: 0, parameters, optimizer: [] };
    networks.set(file, writeCheckpoint({ spec, state, metadata: { source: name } }));
  }
  const specOf = (file: string) => readCheckpoint(networks.get(file)!, file).spec;
  const spec = specOf('victim.safetensors');
  const [victim, inversion] = [spec.description, specOf('inversion.safetensors').description];
  if (victim.kind !== 'yang-classifier' || inversion.kind !== 'yang-inversion')
    throw new DataError('the networks must be a classifier and an inversion network of Yang et al.');
  const { size } = victim;
  const preset = presetInput('deep', { images: { width: size, height: size } });
  const [inverting] = preset.attacks as object[];
  const config = parseExperiment(
    {
      ...preset,
      victim: { ...preset.victim, ndf: victim.ndf },
      attacks: [{ ...inverting, network: { kind: 'yang', ngf: inversion.ngf }, attackers: ATTACKERS }],
      photographs: 1,
      ...COMMON,
    },
    'page',
  );
  if (config.data.kind !== 'procedural') throw new MidasError('the page supports procedural faces only');
  requirePeople(victim.classes, config.data.people);
  const label =
    files.length === 0 ? 'trained by this project on its embedded faces' : files.map(({ name }) => name).join(', ');
  const bytes = new Blob([...networks.values()].map((each) => Uint8Array.from(each)));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await bytes.arrayBuffer()));
  return { files: networks, config, size, label: `${modelName(spec)}: ${label}`, hash: digest.join() };
}

/** @throws DataError if the classifier does not have as many people as the page */
function requirePeople(classes: number, people: number): void {
  if (classes !== people)
    throw new DataError(`the classifier knows ${classes} people, but the page has faces of ${people}`);
}
