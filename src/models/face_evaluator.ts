/**
 * The face evaluator: recognises people in reconstructions, independently of the victim. It is a small convolutional network
 * of its own, trained on strong variations of a few photographs, whose features a linear discriminant reads. Of colour images it
 * sees the luma of ITU-R 601.
 */

import type { ImageDataset } from '../data/dataset.ts';
import { FACE_VIEWS, type FaceSource, faceSource, varyFace, viewFace } from '../data/face_views.ts';
import { luma } from '../data/image_ops.ts';
import { DataError, ShapeError } from '../errors.ts';
import { Arena, type Matrix } from '../gpu/arena.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { type ImageSize, imageValues, sizeName } from '../image_size.ts';
import { recordGatherBatch } from '../kernels/batch.ts';
import { planGraph, recordForward } from '../layers/graph.ts';
import type { FlatParameters } from '../layers/parameters.ts';
import { plainWeights } from '../layers/weights.ts';
import { type Discriminant, trainDiscriminant } from '../metrics/discriminant.ts';
import type { Recognition } from '../metrics/scoring.ts';
import { Random } from '../random.ts';
import { type DeviceDataset, uploadDataset } from './device_dataset.ts';
import { FACE_SIDE, faceNetwork } from './face_network.ts';
import { Trainer } from './trainer.ts';

/** How the network of the evaluator is trained and read. */
export interface FaceTraining {
  readonly epochs: number;
  /** Steps of an epoch; every step takes `batchSize` new variations. */
  readonly steps: number;
  readonly batchSize: number;
  /** Of Adam; it falls to 2 % of that along half a cosine. */
  readonly learningRate: number;
  /** The mean of the weights after the last epochs is used: of this share of all epochs. */
  readonly averaged: number;
  /** Views and variations of the photographs that the discriminant is trained on, about; at least 2 variations of each. */
  readonly readOut: number;
  /** Regularisation of the discriminant, relative to the mean variance of a feature. */
  readonly lambda: number;
}

/**
 * The training for a number of people. On the 40 people of the AT&T faces, with three photographs of each, more steps, wider
 * layers or another discriminant were not more accurate in the same time; fewer people need fewer images.
 */
export function faceTraining(people: number): FaceTraining {
  const share = Math.min(1, people / 40);
  return {
    epochs: 17,
    steps: Math.max(3, Math.ceil(15 * share)),
    batchSize: 40,
    learningRate: 3e-3,
    averaged: 0.3,
    readOut: Math.ceil(1800 * share),
    lambda: 0.3,
  };
}

/** Decay of Adam's moments: the second is shorter than PyTorch's default because there are few steps. */
const BETAS = [0.9, 0.99] as const;
const LOWEST_RATE = 0.02;
const PIXELS = FACE_SIDE ** 2;
const VIEWS = FACE_VIEWS.length;
/** The views of an image that is recognised: as it is, and mirrored. All ten views are hardly more accurate. */
const SEEN = FACE_VIEWS.filter(({ shift }) => shift[0] === 0 && shift[1] === 0);
/** Images per batch of the trained network. */
const BATCH = 120;
/** First random streams of the variations in training and of those for the discriminant. */
const TRAINING_STREAM = 2 ** 31;
const READ_OUT_STREAM = 2 ** 31 + 2 ** 30;

/** The photographs that an evaluator learns from. */
export interface FaceExamples {
  readonly dataset: ImageDataset;
  /** Photographs of the data set; they must not be those whose reconstructions are judged. */
  readonly indices: Uint32Array;
  /** Number of people. */
  readonly classes: number;
  /** Integer in 0..2^53-1. */
  readonly seed: number;
}

/** The evaluator's network, features and discriminant. */
export class FaceEvaluator {
  readonly #reader: FeatureReader;
  readonly #discriminant: Discriminant;
  readonly #classes: number;
  readonly #size: ImageSize;

  private constructor(
    reader: FeatureReader,
    discriminant: Discriminant,
    { dataset, classes }: Pick<FaceExamples, 'dataset' | 'classes'>,
  ) {
    this.#reader = reader;
    this.#discriminant = discriminant;
    this.#classes = classes;
    this.#size = dataset;
  }

  /**
   * Fits the discriminant to the features of a trained network.
   * @param arena that owns the parameters, and will own the buffers of the evaluator
   * @param parameters from {@link trainFaceNetwork}
   * @throws DataError where no photograph has contrast, DeviceLostError
   */
  static async build(
    arena: Arena,
    parameters: FlatParameters,
    examples: FaceExamples,
    training: FaceTraining = faceTraining(examples.classes),
  ): Promise<FaceEvaluator> {
    const { classes, seed } = examples;
    const { sources, labels } = sourcesOf(examples);
    const reader = await FeatureReader.build(arena, parameters, classes);
    const discriminant = await trainReadOut(reader, sources, labels, classes, seed, training);
    return new FaceEvaluator(reader, discriminant, examples);
  }

  /**
   * Ranks all people for every image.
   * @param images each [height, width, channels] of the size of the photographs, of any range: contrast and brightness do not matter
   * @returns per image the people, the most likely first, and the features before the network's last layer, averaged over two
   *   views; undefined for an image without contrast or with a value that is not finite
   * @throws ShapeError, DeviceLostError
   */
  async recognise(images: readonly Float32Array[]): Promise<(Recognition | undefined)[]> {
    const { width, height, channels } = this.#size;
    const found = images.map((image) => {
      if (image.length !== imageValues(this.#size)) {
        throw new ShapeError(`face evaluator: ${image.length} pixels are not an image of ${sizeName(this.#size)}`);
      }
      return faceSource(luma(image, channels), width, height, FACE_SIDE);
    });
    const known = found.flatMap((source) => (source ? [source] : []));
    const views = new Uint8Array(known.length * SEEN.length * PIXELS);
    for (const [i, source] of known.entries()) {
      for (const [v, view] of SEEN.entries()) viewFace(source, view, imageAt(views, i * SEEN.length + v));
    }
    const ofViews = await this.#reader.read(views);
    const { size } = this.#reader;
    let next = 0;
    return found.map((source) => {
      if (!source) return undefined;
      const first = next * SEEN.length * size;
      next++;
      const features = Float32Array.from({ length: size }, (_, k) => {
        let sum = 0;
        for (let v = 0; v < SEEN.length; v++) sum += ofViews[first + v * size + k];
        return sum / SEEN.length;
      });
      return { ranking: this.#ranking(features), features };
    });
  }

  #ranking(features: Float32Array): number[] {
    const similarities = new Float32Array(this.#classes);
    this.#discriminant.compare(features, similarities);
    // A person without photographs has no similarity, and comes last.
    const order = (person: number) => (Number.isNaN(similarities[person]) ? -2 : similarities[person]);
    return [...similarities.keys()].sort((a, b) => order(b) - order(a) || a - b);
  }

  /**
   * The share, 0..1, of images that are recognised.
   * @param labels the person on each image
   * @throws ShapeError, DeviceLostError
   */
  async accuracy(images: readonly Float32Array[], labels: ArrayLike<number>): Promise<number> {
    const answers = await this.recognise(images);
    return answers.filter((answer, i) => answer?.ranking[0] === labels[i]).length / images.length;
  }
}

/** The photographs as sources of variations, except those without contrast. @throws DataError if none is left */
function sourcesOf({ dataset, indices }: FaceExamples): { sources: FaceSource[]; labels: Uint32Array } {
  const { width, height, channels } = dataset;
  const values = imageValues(dataset);
  const sources: FaceSource[] = [];
  const labels: number[] = [];
  for (const image of indices) {
    const pixels = dataset.images.subarray(image * values, (image + 1) * values);
    const source = faceSource(luma(pixels, channels), width, height, FACE_SIDE);
    if (!source) continue;
    sources.push(source);
    labels.push(dataset.labels[image]);
  }
  if (sources.length === 0) throw new DataError('face evaluator: no photograph has any contrast; give photographs');
  return { sources, labels: Uint32Array.from(labels) };
}

/**
 * Trains the network of an evaluator; the same seed on the same adapter gives the same bits.
 * @param arena that owns the parameters
 * @param onEpoch called after every epoch
 * @returns the parameters, averaged over the last epochs
 * @throws DataError where no photograph has contrast, MidasError, DeviceLostError
 */
export async function trainFaceNetwork(
  arena: Arena,
  examples: FaceExamples,
  onEpoch: (epoch: number) => void,
  training: FaceTraining = faceTraining(examples.classes),
): Promise<FlatParameters> {
  const { sources, labels } = sourcesOf(examples);
  const { classes, seed } = examples;
  const { epochs, steps, batchSize, learningRate, averaged } = training;
  const { gpu } = arena;
  const working = new Arena(gpu);
  const count = steps * batchSize;
  const images = new Uint8Array(count * PIXELS);
  const all = Uint32Array.from({ length: count }, (_, i) => i);
  const data = uploadDataset(working, packed(images, new Uint32Array(count)));
  const optimizer = { kind: 'adam' as const, learningRate, betas: BETAS, epsilon: 1e-8, amsgrad: false };
  const spec = faceNetwork({ kind: 'face-network', classes });
  const trainer = await Trainer.create(arena, spec, data, all, { epochs, batchSize, optimizer, seed });
  const first = Math.floor(epochs * (1 - averaged));
  let sums: Float64Array | undefined;
  try {
    // Photographs take turns, also from one epoch to the next, so that all are seen equally often.
    const photographAt = (epoch: number, i: number) => (epoch * count + i) % sources.length;
    const vary = (epoch: number) => {
      for (let i = 0; i < count; i++) {
        const random = new Random(seed, TRAINING_STREAM + epoch * count + i);
        varyFace(sources[photographAt(epoch, i)], random, imageAt(images, i));
      }
    };
    vary(0);
    for (let epoch = 0; epoch < epochs; epoch++) {
      gpu.write(data.pixels, images);
      gpu.write(
        data.labels,
        all.map((i) => labels[photographAt(epoch, i)]),
      );
      const fall = (1 + Math.cos((Math.PI * epoch) / epochs)) / 2;
      const trained = trainer.trainEpoch(LOWEST_RATE + (1 - LOWEST_RATE) * fall);
      // The next variations are made while the device works.
      if (epoch + 1 < epochs) vary(epoch + 1);
      await trained;
      if (epoch >= first) {
        const weights = await gpu.readFloats(trainer.parameters.view);
        sums ??= new Float64Array(weights.length);
        for (let i = 0; i < weights.length; i++) sums[i] += weights[i];
      }
      onEpoch(epoch + 1);
    }
  } finally {
    trainer.finish();
    working.destroy();
  }
  if (sums) {
    gpu.write(
      trainer.parameters.view,
      Float32Array.from(sums, (sum) => sum / (epochs - first)),
    );
  }
  return trainer.parameters;
}

async function trainReadOut(
  reader: FeatureReader,
  sources: readonly FaceSource[],
  labels: Uint32Array,
  classes: number,
  seed: number,
  { readOut, lambda }: FaceTraining,
): Promise<Discriminant> {
  const each = VIEWS + Math.max(2, Math.round(readOut / sources.length) - VIEWS);
  const images = new Uint8Array(sources.length * each * PIXELS);
  sources.forEach((source, photograph) => {
    for (let i = 0; i < each; i++) {
      const at = photograph * each + i;
      if (i < VIEWS) viewFace(source, FACE_VIEWS[i], imageAt(images, at));
      else varyFace(source, new Random(seed, READ_OUT_STREAM + at), imageAt(images, at));
    }
  });
  const repeated = Uint32Array.from({ length: sources.length * each }, (_, i) => labels[Math.floor(i / each)]);
  return trainDiscriminant(await reader.read(images), repeated, classes, lambda);
}

/** The trained network without its last layer, built once for batches of BATCH images. */
class FeatureReader {
  /** Features of an image. */
  readonly size: number;
  readonly #arena: Arena;
  readonly #data: DeviceDataset;
  readonly #output: Matrix;
  readonly #program: Program;

  private constructor(arena: Arena, data: DeviceDataset, output: Matrix, program: Program) {
    this.size = output.columns;
    this.#arena = arena;
    this.#data = data;
    this.#output = output;
    this.#program = program;
  }

  /** @param arena that owns the parameters, and will own the buffers of the reader */
  static async build(arena: Arena, parameters: FlatParameters, classes: number): Promise<FeatureReader> {
    const layers = faceNetwork({ kind: 'face-network', classes }).layers.slice(0, -1);
    const data = uploadDataset(arena, packed(new Uint8Array(BATCH * PIXELS), new Uint32Array(BATCH)));
    arena.gpu.write(
      data.order,
      Uint32Array.from({ length: BATCH }, (_, i) => i),
    );
    const images = arena.matrix('faces', BATCH, PIXELS);
    const targets = arena.allocate('targets', BATCH * 4);
    const run = planGraph(arena, layers, images);
    const recorder = new Recorder(arena.gpu);
    recordGatherBatch(recorder, { ...data, images, targets });
    recordForward(recorder, arena, layers, plainWeights(parameters), run);
    return new FeatureReader(arena, data, run.values[layers.length], await recorder.build('face features'));
  }

  /** @param images [count, FACE_SIDE, FACE_SIDE], 8 bits @returns [count, size] */
  async read(images: Uint8Array<ArrayBuffer>): Promise<Float32Array> {
    const { gpu } = this.#arena;
    const { size } = this;
    const { stride } = this.#output;
    const count = images.length / PIXELS;
    const features = new Float32Array(count * size);
    for (let first = 0; first < count; first += BATCH) {
      const rows = Math.min(BATCH, count - first);
      gpu.write(this.#data.pixels, images.subarray(first * PIXELS, (first + rows) * PIXELS));
      this.#program.run();
      const values = await gpu.readFloats(this.#output);
      for (let row = 0; row < rows; row++) {
        features.set(values.subarray(row * stride, row * stride + size), (first + row) * size);
      }
    }
    return features;
  }
}

function imageAt(images: Uint8Array, i: number): Uint8Array {
  return images.subarray(i * PIXELS, (i + 1) * PIXELS);
}

/** A data set of the network's input, as far as the device needs it. */
function packed(images: Uint8Array, labels: Uint32Array): ImageDataset {
  const size = { width: FACE_SIDE, height: FACE_SIDE, channels: 1 } as const;
  return { name: 'faces', ...size, classNames: [], images, labels, ids: [], sha256: '' };
}
