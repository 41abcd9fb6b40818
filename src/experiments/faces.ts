/** The procedural faces of an experiment: people who do not exist, private ones for the victim and public ones for the attacker. */
import { type ImageDataset, meanImage, type Split, seededSplit } from '../data/dataset.ts';
import { renderFaces } from '../data/render_faces.ts';
import type { Gpu } from '../gpu/device.ts';
import type { DataConfig } from './config.ts';

/** The faces of an experiment. */
export interface ExperimentData {
  /** The victim's people. */
  readonly dataset: ImageDataset;
  readonly split: Split;
  /** The mean face that the attacker has, also used as null baseline; [height, width, channels], 0..1. */
  readonly meanFace: Float32Array;
  /** Faces of other people that the attacker has; images of the same size and channels. */
  readonly publicFaces?: ImageDataset;
  /**
   * Checkpoints to use instead of training, by their file names in the folder of a run (`victim.safetensors`,
   * `inversion.safetensors`, ...); the networks must be those of the configuration.
   */
  readonly pretrained?: ReadonlyMap<string, Uint8Array>;
}

type Procedural = Extract<DataConfig, { kind: 'procedural' }>;

/** Text for a share of a person's photographs, or for a number of them: `70 % of each person's photographs`. */
export function splitName(trained: number): string {
  return `${trained < 1 ? `${Math.round(100 * trained)} %` : trained} of each person's photographs`;
}

/** Renders the faces of a configuration and splits them. @param seed of the people and of the split */
export async function proceduralData(gpu: Gpu, data: Procedural, seed: number): Promise<ExperimentData> {
  const { width, height, people, photographs, trained } = data;
  const dataset = await renderFaces(gpu, {
    population: 'private',
    identities: people,
    photographs,
    width,
    height,
    seed,
  });
  const publicFaces = await publicFacesOf(gpu, data, seed);
  return experimentData(dataset, seededSplit(dataset, trained, seed), publicFaces);
}

/** Renders the faces that the attacker of a configuration has. */
export function publicFacesOf(
  gpu: Gpu,
  { width, height, public: { people, photographs } }: Pick<Procedural, 'width' | 'height' | 'public'>,
  seed: number,
): Promise<ImageDataset> {
  return renderFaces(gpu, { population: 'public', identities: people, photographs, width, height, seed });
}

/** Adds the attacker's mean face: that of the public faces or, without any, that of the victim's training photographs. */
export function experimentData(dataset: ImageDataset, split: Split, publicFaces?: ImageDataset): ExperimentData {
  const meanFace = publicFaces
    ? meanImage(publicFaces, Uint32Array.from(publicFaces.labels.keys()))
    : meanImage(dataset, split.train);
  return { dataset, split, meanFace, publicFaces };
}
