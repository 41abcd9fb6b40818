/** The embedded data of both experiments: procedural people, private ones for the victim and public ones for the attacker. */
import { type ImageDataset, meanImage, seededSplit } from '../data/dataset.ts';
import { renderFaces } from '../data/render_faces.ts';
import type { Gpu } from '../gpu/device.ts';
import type { DeepInput } from './deep.ts';
import type { ShallowInput } from './shallow.ts';

type Population = 'private' | 'public';

const DEEP = {
  private: { identities: 30, photographs: 20 },
  public: { identities: 150, photographs: 8 },
} as const;

/** How many people the deep victim tells apart. */
export const VICTIM_PEOPLE = DEEP.private.identities;

/** Share of a person's photographs that the deep victim is trained on. */
export const TRAINED = 0.7;

/** People of the deep experiment, size x size. */
export function deepFaces(gpu: Gpu, population: Population, size: number, seed: number): Promise<ImageDataset> {
  return renderFaces(gpu, { population, ...DEEP[population], width: size, height: size, seed });
}

/** What the shipped networks were trained on, size x size. */
export async function embeddedDeepInput(gpu: Gpu, size: number, seed: number): Promise<DeepInput> {
  const dataset = await deepFaces(gpu, 'private', size, seed);
  return deepInput(dataset, await deepFaces(gpu, 'public', size, seed), seed);
}

/** @param dataset the victim's people */
export function deepInput(dataset: ImageDataset, publicFaces: ImageDataset, seed: number): DeepInput {
  const split = seededSplit(dataset, TRAINED, seed);
  const meanFace = meanImage(publicFaces, Uint32Array.from(publicFaces.labels.keys()));
  return { dataset, split, publicFaces, meanFace };
}

/** The victim's people, 40 with 10 photographs as in the AT&T set; as many others give the attacker a mean face. */
export async function embeddedShallowInput(
  gpu: Gpu,
  width: number,
  height: number,
  seed: number,
): Promise<ShallowInput> {
  const faces = (population: Population) =>
    renderFaces(gpu, { population, identities: 40, photographs: 10, width, height, seed });
  const dataset = await faces('private');
  const everybody = await faces('public');
  return {
    dataset,
    split: seededSplit(dataset, 7, seed),
    meanFace: meanImage(everybody, Uint32Array.from(everybody.labels.keys())),
  };
}
