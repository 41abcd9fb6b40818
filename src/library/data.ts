/** Faces: procedural ones, of people who do not exist, or photographs. */
import type { DataConfig } from '../experiments/config.ts';
import { presetInput } from '../experiments/presets.ts';

export {
  createDataset,
  type DatasetParts,
  type ImageDataset,
  meanImage,
  type Split,
  seededSplit,
  toFloat,
} from '../data/dataset.ts';
export type { Population } from '../data/faces.ts';
export { centreSquare, resize, toGray, toRgb } from '../data/image_ops.ts';
export { augment, selectPeople } from '../data/people.ts';
export { type RenderFacesOptions, renderFaces } from '../data/render_faces.ts';
export type { ExperimentData } from '../experiments/faces.ts';
export { experimentData, proceduralData } from '../experiments/faces.ts';
export type { DecodedImage } from '../formats/image.ts';
export type { Channels, ImageSize } from '../image_size.ts';
export type { DataConfig };

type Procedural = Extract<DataConfig, { kind: 'procedural' }>;

/**
 * Procedural faces as the data of an experiment, for {@link experiments.run}: by default 40 people with 10 photographs of
 * 56 x 64 pixels each, of which the victim is trained on 7, and 40 other people whose faces the attacker has.
 */
export function procedural(options: Partial<Omit<Procedural, 'kind'>> = {}): Procedural {
  return { ...(presetInput('shallow').data as Procedural), ...options };
}
