/** The victims that the project publishes: the convolutional one comes with the page, the others are trained in it. */
import { MidasError } from '../../errors.ts';
import { type ExperimentConfig, parseExperiment, type VictimKind } from '../../experiments/config.ts';
import { type ExperimentData, proceduralData } from '../../experiments/faces.ts';
import { attacksOfKinds, presetInput } from '../../experiments/presets.ts';
import { ATTACKERS, type ShippedNetworks } from './shipped_networks.ts';
import { COMMON, FACES_SEED, type PageVictim, type VictimExperiment } from './victim.ts';

/** Size in pixels of the images of a dense victim from which people are reconstructed, and the number of these people. */
const PEOPLE = { width: 56, height: 64, people: 10 } as const;

export interface PublishedVictim extends PageVictim {
  readonly kind: VictimKind;
  /** The inversion of its predictions for single photographs, by two attackers. */
  readonly inverted: VictimExperiment;
}

/** Procedural faces by their configuration in JSON. */
export type DrawnFaces = Map<string, ExperimentData>;

/**
 * A victim of a published kind, on procedural faces.
 * @param shipped the networks of the convolutional one
 * @param drawn faces that need not be drawn again; faces that are drawn for this victim are added
 */
export function publishedVictim(kind: VictimKind, shipped: ShippedNetworks, drawn: DrawnFaces): PublishedVictim {
  const experiment = (key: string, networks: string, config: () => ExperimentConfig): VictimExperiment => ({
    key,
    networks,
    config,
    async data(gpu, { data: faces }) {
      if (faces.kind !== 'procedural') throw new MidasError('the page supports procedural faces only');
      const name = JSON.stringify(faces);
      const data = drawn.get(name) ?? (await proceduralData(gpu, faces, FACES_SEED));
      drawn.set(name, data);
      return kind === 'yang' ? { ...data, pretrained: shipped.files } : data;
    },
  });
  return {
    kind,
    inverted: experiment(`inverted ${kind}`, `inverted ${kind} ${shipped.size}`, () =>
      kind === 'yang' ? shipped.config : invertedConfig(kind, shipped.config),
    ),
    attacked(attack) {
      return experiment(`${attack} ${kind}`, `searched ${kind}`, () => attackedConfig(kind, attack, shipped.config));
    },
  };
}

/** Configures a victim of dense layers and an inversion network against it, on the faces of the convolutional victim. */
function invertedConfig(kind: VictimKind, { data }: ExperimentConfig): ExperimentConfig {
  if (data.kind !== 'procedural') throw new MidasError('the page supports procedural faces only');
  const preset = presetInput('deep', { victim: kind, images: data });
  const [inversion] = preset.attacks as object[];
  const attacks = { attacks: [{ ...inversion, attackers: ATTACKERS }], photographs: 1 };
  return parseExperiment({ ...preset, data, ...attacks, ...COMMON }, 'page');
}

/** Configures a victim and one attack that reconstructs people from it; the convolutional victim is the shipped network. */
function attackedConfig(kind: VictimKind, attack: string, shipped: ExperimentConfig): ExperimentConfig {
  const people = [...Array(PEOPLE.people).keys()];
  const images = kind === 'yang' && shipped.data.kind === 'procedural' ? shipped.data : PEOPLE;
  const preset = presetInput('shallow', { victim: kind, images });
  const victim = kind === 'yang' ? { data: shipped.data, victim: shipped.victim } : {};
  const attacks = (attacksOfKinds([attack], preset, images) as object[]).slice(0, 1);
  return parseExperiment({ ...preset, ...victim, people, attacks, ...COMMON }, 'page');
}
