/** A network that a visitor brought as a victim, with the visitor's images or without any. */
import { attackOfKind } from '../../attacks/registry.ts';
import { createDataset, type ImageDataset, meanImage, toFloat } from '../../data/dataset.ts';
import { DataError } from '../../errors.ts';
import { type ExperimentConfig, parseExperiment } from '../../experiments/config.ts';
import type { ExperimentData } from '../../experiments/faces.ts';
import { VICTIM_FILE } from '../../experiments/networks.ts';
import { attacksOfKinds, presetInput } from '../../experiments/presets.ts';
import { imageValues } from '../../image_size.ts';
import { Random } from '../../random.ts';
import type { BroughtImages } from './brought_images.ts';
import type { BroughtNetwork } from './brought_network.ts';
import { COMMON, FACES_SEED, type PageVictim, type VictimExperiment } from './victim.ts';

/** Classes that are attacked: the first that have images. */
const ATTACKED = 10;
/** Least number of images from which an attacker's network learns, and the least number of its training steps. */
const LEAST_PUBLIC = 4;
const LEAST_STEPS = 250;

export interface BroughtVictim extends PageVictim {
  readonly network: BroughtNetwork;
  readonly images?: BroughtImages;
  /** Indices of the images that an attack on photographs shows, or of one image of every class that another attack shows. */
  shown(experiment: ExperimentConfig): readonly number[];
}

/**
 * @param id distinguishes it from networks and images that were brought before
 * @param images of at least two classes
 */
export function broughtVictim(id: number, network: BroughtNetwork, images: BroughtImages | undefined): BroughtVictim {
  return {
    network,
    images,
    attacked(kind): VictimExperiment {
      const { onPhotographs, title } = attackOfKind(kind);
      const isPerClass = !onPhotographs;
      const members = images && imagesOfClasses(images.dataset);
      const people = members
        ? [...members].filter(([, own]) => isPerClass || own.length > 1).map(([label]) => label)
        : [];
      const publicImages = members ? [...members.values()].flatMap((own) => own.slice(1)) : [];
      if (onPhotographs && publicImages.length < LEAST_PUBLIC) {
        throw new DataError(
          `${title} learns from images: drop at least ${LEAST_PUBLIC} more than one per class; the first of every class is attacked`,
        );
      }
      const attacked = images ? people.slice(0, ATTACKED) : [...Array(Math.min(ATTACKED, network.spec.outputs)).keys()];
      return {
        key: `brought ${id} ${kind}`,
        networks: `brought ${id}`,
        config: () => configOf(network, kind, attacked, publicImages.length),
        data: async () => {
          const data = await (images
            ? ofImages(images.dataset, onPhotographs ? publicImages : undefined)
            : withoutImages(network, attacked));
          return { ...data, pretrained: new Map([[VICTIM_FILE, network.checkpoint]]) };
        },
      };
    },
    shown({ people = [] }) {
      const members = images && imagesOfClasses(images.dataset);
      return members ? people.map((label) => members.get(label)![0]) : [];
    },
  };
}

/** Class -> its images, for the classes that have some, in their order. */
function imagesOfClasses({ labels }: ImageDataset): Map<number, number[]> {
  const members = new Map<number, number[]>();
  for (const label of [...new Set(labels)].sort((a, b) => a - b)) members.set(label, []);
  labels.forEach((label, image) => {
    members.get(label)!.push(image);
  });
  return members;
}

function configOf(
  { spec, input }: BroughtNetwork,
  kind: string,
  people: readonly number[],
  publicImages: number,
): ExperimentConfig {
  const { description } = spec;
  const { onPhotographs } = attackOfKind(kind);
  const victim = description.kind === 'network' ? description : 'yang';
  const preset = presetInput(onPhotographs ? 'deep' : 'shallow', { victim, images: input });
  const [attack] = attacksOfKinds([kind], preset, input) as [object];
  const width = description.kind === 'yang-classifier' ? { ndf: description.ndf } : {};
  const { width: w, height, channels } = input;
  return parseExperiment(
    {
      ...preset,
      data: {
        kind: 'files',
        private: 'your images',
        size: { width: w, height },
        channels: channels === 3 ? 'rgb' : 'gray',
      },
      victim: { ...preset.victim, ...width },
      attacks: [onPhotographs ? { ...attack, ...learningFrom(publicImages, attack) } : attack],
      people: [...people],
      photographs: 1,
      ...COMMON,
    },
    'page',
  );
}

/** One attacker that attacks held-out images, and trains long enough on few images. */
function learningFrom(images: number, attack: object): object {
  const { training } = attack as { training?: { epochs: number; batchSize: number } };
  if (!training) return {};
  const batchSize = Math.min(training.batchSize, images);
  const epochs = Math.max(training.epochs, Math.ceil(LEAST_STEPS / Math.floor(images / batchSize)));
  return { training: { ...training, batchSize, epochs }, attackers: [{ name: 'direct' }], splits: ['held-out'] };
}

/**
 * All images count in the accuracy. An attack on photographs gets the first image of every class, and its attacker has the
 * others.
 * @param learned the attacker's images; undefined if it has none
 */
async function ofImages(dataset: ImageDataset, learned: readonly number[] | undefined): Promise<ExperimentData> {
  const all = Uint32Array.from(dataset.labels.keys());
  if (!learned) return { dataset, split: { train: all, test: all }, meanFace: meanImage(dataset, all) };
  const values = imageValues(dataset);
  const images = new Uint8Array(learned.length * values);
  for (const [i, image] of learned.entries()) {
    images.set(dataset.images.subarray(image * values, (image + 1) * values), i * values);
  }
  const publicFaces = await createDataset({
    ...dataset,
    name: 'the images that the attacker has',
    images,
    labels: Uint32Array.from(learned, (image) => dataset.labels[image]),
    ids: learned.map((image) => dataset.ids[image]),
  });
  const train = Uint32Array.from(learned).sort();
  return { dataset, split: { train, test: all }, meanFace: meanImage(dataset, train), publicFaces };
}

/** Noise in place of images, two of each attacked class: nothing that is measured with it is shown. */
async function withoutImages({ spec, input }: BroughtNetwork, people: readonly number[]): Promise<ExperimentData> {
  const random = new Random(FACES_SEED);
  const labels = Uint32Array.from([...people, ...people]);
  const dataset = await createDataset({
    name: 'noise',
    ...input,
    classNames: Array.from({ length: spec.outputs }, (_, i) => `class ${i}`),
    images: Uint8Array.from({ length: labels.length * imageValues(input) }, () => random.uniformInt(256)),
    labels,
    ids: Array.from(labels, (_, i) => `noise ${i}`),
  });
  const half = (first: number) => Uint32Array.from(people, (_, i) => first + i);
  return {
    dataset,
    split: { train: half(0), test: half(people.length) },
    // A picture from black gets the brightness and the contrast of this image.
    meanFace: toFloat(dataset, [0]),
  };
}
