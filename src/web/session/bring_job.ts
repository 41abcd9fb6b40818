/** Takes the files that a visitor dropped, and says what network they hold and what it answers. */

import { Predictor } from '../../attacks/inversion.ts';
import { ATTACKS } from '../../attacks/registry.ts';
import { createDataset, type ImageDataset } from '../../data/dataset.ts';
import { DataError } from '../../errors.ts';
import { refuseAborted } from '../../experiments/store.ts';
import { Arena } from '../../gpu/arena.ts';
import type { Gpu } from '../../gpu/device.ts';
import type { ImageSize } from '../../image_size.ts';
import { plainWeights } from '../../layers/weights.ts';
import { loadParameters } from '../../models/checkpoint.ts';
import { uploadDataset } from '../../models/device_dataset.ts';
import { parameterCount } from '../../models/plan.ts';
import { stackVictim } from '../../models/victims.ts';
import type { BroughtReply, ChosenFile } from '../protocol.ts';
import {
  type BroughtImages,
  type ImageDecoder,
  isArchiveOfImages,
  isNoImage,
  isPack,
  readBroughtImages,
} from './brought_images.ts';
import { type BroughtNetwork, layersOf, readBroughtNetwork } from './brought_network.ts';
import { type BroughtVictim, broughtVictim } from './brought_victim.ts';
import type { JobContext } from './job.ts';
import { photographsIn } from './pictures.ts';

/** Images whose answers are shown. */
const SHOWN = 10;
/** Images that are classified together. */
const BATCH = 32;

/** Dropped files by what they hold. */
interface Sorted {
  readonly network?: ChosenFile;
  readonly description?: ChosenFile;
  readonly classNames?: ChosenFile;
  readonly images: readonly ChosenFile[];
  readonly others: readonly ChosenFile[];
}

/** @throws DataError for two networks, or two files of class names */
function sorted(files: readonly ChosenFile[]): Sorted {
  const networks: ChosenFile[] = [];
  const descriptions: ChosenFile[] = [];
  const names: ChosenFile[] = [];
  const images: ChosenFile[] = [];
  const others: ChosenFile[] = [];
  for (const file of files) {
    const ending = /\.(\w+)$/.exec(file.name)?.[1].toLowerCase() ?? '';
    const isList = /^[\s\uFEFF]*\[/.test(new TextDecoder().decode(file.bytes.subarray(0, 64)));
    if (ending === 'onnx') networks.push(file);
    else if (ending === 'json' && !isList) descriptions.push(file);
    else if (ending === 'json' || ending === 'txt') names.push(file);
    else if (ending === 'safetensors') (isPack(file) ? images : networks).push(file);
    else if (['pth', 'pt', 'ckpt', 'tar'].includes(ending)) networks.push(file);
    else if (ending === 'zip' || ending === 'npz') (isArchiveOfImages(file) ? images : others).push(file);
    else if (['data', 'bin', 'weights'].includes(ending)) others.push(file);
    else if (!isNoImage(file.name)) images.push(file);
  }
  for (const same of [networks, descriptions, names]) {
    if (same.length > 1)
      throw new DataError(`${same[0].name}, ${same[1].name}: two files for one network; drop one of them`);
  }
  const [unread] = others;
  if (unread && networks.length === 0) {
    throw new DataError(`${unread.name}: neither a network nor images; drop a network (.onnx) or images`);
  }
  if (names.length > 0 && images.length === 0) {
    throw new DataError(`${names[0].name}: names of classes are for images; drop it together with them`);
  }
  return { network: networks[0], description: descriptions[0], classNames: names[0], images, others };
}

/**
 * Reads dropped files, and posts what they hold. Without a network among them, images are for the one that was brought before.
 * @param before the victim that was brought before
 * @throws DataError, ConfigError naming the file
 */
export async function bring(
  context: JobContext,
  files: readonly ChosenFile[],
  id: number,
  before: BroughtVictim | undefined,
  decode: ImageDecoder,
): Promise<BroughtVictim> {
  const { progress, signal, gpu } = context;
  progress.start('reading your files', 1);
  const given = sorted(files);
  const isNew = given.network !== undefined || given.description !== undefined;
  const network = isNew ? readBroughtNetwork(given) : before?.network;
  if (!network) throw new DataError('there is no network yet: drop an .onnx file, alone or together with these images');
  const { outputs, description } = network.spec;
  const names = given.classNames ?? (description.kind === 'network' ? description.classNames : undefined);
  const read = (onImage: (done: number, of: number) => void) =>
    readBroughtImages(given.images, network.input, outputs, names, decode, onImage);
  let images = isNew ? undefined : before?.images;
  let answers: Answers | undefined;
  if (given.images.length > 0) {
    images = await read((done, of) => {
      refuseAborted(signal);
      progress.start('reading your images', of, done);
    });
  }
  if (images) {
    progress.start('classifying your images', 1);
    answers = await answersTo(gpu, network, images.dataset);
    if (!images.areLabelled) images = await labelled(images, answers, outputs);
    if (new Set(images.dataset.labels).size < 2) {
      throw new DataError('your images are all of one class; add images of other classes, in one folder per class');
    }
  }
  const victim = broughtVictim(id, network, images);
  context.post(replyOf(victim, answers));
  return victim;
}

interface Answers {
  /** The class with the highest confidence, and that confidence, 0..1, for every image. */
  readonly classes: Uint32Array;
  readonly confidences: Float32Array;
  /** Confidences of all classes, [images, classes]. */
  readonly all: Float32Array;
}

/** The answers of the network without errors. */
export async function answersTo(
  gpu: Gpu,
  { spec, parameters }: BroughtNetwork,
  dataset: ImageDataset,
): Promise<Answers> {
  const arena = new Arena(gpu);
  try {
    const victim = stackVictim(spec.layers, plainWeights(loadParameters(arena, { spec, parameters })));
    const indices = Uint32Array.from(dataset.labels.keys());
    const predictor = await Predictor.build(gpu, victim, uploadDataset(arena, dataset), indices, BATCH);
    const logits = await predictor.run();
    predictor.destroy();
    const all = new Float32Array(logits.length);
    const classes = new Uint32Array(indices.length);
    for (const i of indices.keys()) {
      const own = logits.subarray(i * spec.outputs, (i + 1) * spec.outputs);
      const most = Math.max(...own);
      classes[i] = own.indexOf(most);
      const sum = own.reduce((total, value) => total + Math.exp(value - most), 0);
      for (const [k, value] of own.entries()) all[i * spec.outputs + k] = Math.exp(value - most) / sum;
    }
    return { classes, all, confidences: Float32Array.from(classes, (label, i) => all[i * spec.outputs + label]) };
  } finally {
    arena.destroy();
  }
}

/** Images without labels get the network's answers as labels: their accuracy is the share of answers that stay the same. */
async function labelled(images: BroughtImages, { classes }: Answers, outputs: number): Promise<BroughtImages> {
  const { dataset } = images;
  const labels = Uint32Array.from(classes);
  const classNames = Array.from({ length: outputs }, (_, i) => `class ${i}`);
  return {
    ...images,
    dataset: await createDataset({ ...dataset, name: `${dataset.name}, labelled by the network`, classNames, labels }),
  };
}

function replyOf({ network, images }: BroughtVictim, answers: Answers | undefined): BroughtReply {
  const { name, spec, input, notes } = network;
  const dataset = images?.dataset;
  const nameOf = (label: number) => dataset?.classNames[label] ?? `class ${label}`;
  const size: ImageSize = input;
  return {
    kind: 'brought',
    name,
    input: size,
    classes: spec.outputs,
    parameters: parameterCount(spec),
    layers: layersOf(spec),
    notes: [...notes, ...(images?.notes ?? [])],
    attacks: ATTACKS.filter(({ onPhotographs, needsPublicFaces, infersMembership }) =>
      onPhotographs ? images && !infersMembership : !needsPublicFaces,
    ).map(({ kind, title, description, onPhotographs }) => ({ kind, title, description, onPhotographs })),
    ...(images &&
      dataset &&
      answers && {
        images: {
          count: dataset.labels.length,
          areLabelled: images.areLabelled,
          right: answers.classes.filter((label, i) => label === dataset.labels[i]).length,
          shown: spread(dataset).map((i) => ({
            name: dataset.ids[i],
            answer: `${nameOf(answers.classes[i])} ${Math.round(100 * answers.confidences[i])} %`,
          })),
          pictures: photographsIn(dataset, spread(dataset)),
        },
      }),
  };
}

/** Indices of at most ten images, over all classes. */
function spread({ labels }: ImageDataset): number[] {
  const count = Math.min(SHOWN, labels.length);
  return Array.from({ length: count }, (_, i) => Math.floor((i * labels.length) / count));
}
