/**
 * An attacker's generative prior: an autoencoder of public faces (src/models/autoencoder.ts) and the normal distribution of their
 * codes. It turns a standard normal vector z into a face, and can be differentiated.
 */
import { Arena, type Matrix, roundUp } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { Recorder } from '../gpu/recorder.ts';
import type { ImageSizeInput } from '../image_size.ts';
import { packedImageWords } from '../kernels/batch.ts';
import { recordRestride } from '../kernels/restride.ts';
import { planGraph, recordBackward, recordForward } from '../layers/graph.ts';
import { type LayerSpec, outputShape } from '../layers/kinds.ts';
import { sizeOf } from '../layers/layer.ts';
import { plainWeights, type WeightsOf } from '../layers/weights.ts';
import { autoencoder } from '../models/autoencoder.ts';
import { fitGaussian, type Gaussian } from '../models/gaussian.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import type { TrainingConfig } from '../models/training_config.ts';
import type { Victim } from '../models/victim.ts';
import { stackVictim } from '../models/victims.ts';
import type { AttackContext } from './attack.ts';
import { Predictor } from './inversion.ts';

/** File of the autoencoder in a run, without the extension. */
export const PRIOR_FILE = 'prior';

/** The layer before the decoder, which turns z into a code: mean + L z. */
const UNWHITEN = 'unwhiten';

/**
 * Deviation of the noise on codes, and weight of their mean square. On the AT&T faces (32 x 32 pixels, people 31 to 40, 400 steps), four
 * times the weight gave blurred faces and found fewer people, a quarter as many.
 */
const CODES = { noise: 0.2, penalty: 0.002 };

/** One of so many public people is left out of the training. */
const HELD_OUT = 10;

/** Network and training of a prior. */
export interface PriorOptions {
  readonly code: number;
  readonly filters: number;
  readonly training: { readonly steps: number; readonly batchSize: number; readonly learningRate: number };
}

export function priorNetwork({ code, filters }: PriorOptions, { width, height, channels }: ImageSizeInput): ModelSpec {
  const colour = channels === 3 ? { channels } : {};
  return autoencoder({ kind: 'autoencoder', width, height, ...colour, filters, code });
}

export function priorTraining({ training }: PriorOptions, seed: number): TrainingConfig {
  const { steps, batchSize, learningRate } = training;
  const optimizer = { kind: 'adam', learningRate, betas: [0.9, 0.99], epsilon: 1e-8, amsgrad: false } as const;
  return { epochs: 1, steps, batchSize, optimizer, dropLast: true, seed, code: CODES };
}

/** How well a prior reconstructs public faces of people whom it was not trained on. */
export interface PriorQuality {
  /** Number of these faces. */
  readonly faces: number;
  /**
   * Share of their variance around the mean public face that reconstructions explain, mean brightness aside: 0 for the mean face, at
   * most 1.
   */
  readonly explained: number;
}

/** A trained prior on the device. */
export class GenerativePrior {
  /** Length of z. */
  readonly size: number;
  /** Absent where there is only one public person. */
  readonly quality: PriorQuality | undefined;
  readonly #layers: readonly LayerSpec[];
  readonly #weights: WeightsOf;

  private constructor(
    layers: readonly LayerSpec[],
    weights: WeightsOf,
    size: number,
    quality: PriorQuality | undefined,
  ) {
    this.#layers = layers;
    this.#weights = weights;
    this.size = size;
    this.quality = quality;
  }

  /**
   * Trains the autoencoder on public faces, or takes it from the store, and fits the distribution of its codes.
   * @throws DataError, MidasError, DeviceLostError, InterruptedError
   */
  static async train(options: PriorOptions, context: AttackContext): Promise<GenerativePrior> {
    const { gpu, arena, publicFaces, seed, batchSize } = context;
    if (!publicFaces) throw new Error('a generative prior needs public faces');
    const { data } = publicFaces;
    const { learned, heldOut } = splitPeople(await gpu.readWords(data.labels), publicFaces.indices);
    const spec = priorNetwork(options, context);
    const training = priorTraining(options, seed);
    const parameters = await context.network(PRIOR_FILE, spec, data, learned, training, new Float32Array(0));
    const plain = plainWeights(parameters);
    const through = async (layers: readonly LayerSpec[], indices: Uint32Array) => {
      const predictor = await Predictor.build(gpu, stackVictim(layers, plain), data, indices, batchSize);
      try {
        return await predictor.run();
      } finally {
        predictor.destroy();
      }
    };
    const gaussian = fitGaussian(await through(spec.layers, learned), options.code);
    const unwhiten = { kind: 'dense', name: UNWHITEN, inputs: options.code, outputs: options.code } as const;
    const weights = withUnwhitening(arena, plain, gaussian);
    const layers = [{ ...unwhiten, activation: 'none' as const }, ...spec.decoder];
    let quality: PriorQuality | undefined;
    if (heldOut.length > 0) {
      const images = await through([...spec.layers, ...spec.decoder], heldOut);
      const pixels = new Uint8Array((await gpu.read(data.pixels))[0]);
      quality = { faces: heldOut.length, explained: explainedVariance(images, pixels, heldOut, context.meanFace) };
    }
    return new GenerativePrior(layers, weights, options.code, quality);
  }

  /**
   * The victim as an attacker sees it who searches for z: it takes a standard normal vector, and sees the face that the prior
   * makes of it.
   */
  before(victim: Victim): Victim {
    const { size } = this;
    const [layers, weights] = [this.#layers, this.#weights];
    return {
      inputs: size,
      classes: victim.classes,
      draws: victim.draws,
      get readsPerImage() {
        return victim.readsPerImage;
      },
      plan(arena: Arena, x: Matrix, gradient = true) {
        const images = arena.matrix('generated images', x.rows, victim.inputs);
        const planned = planGraph(arena, layers, x, { output: images, gradients: { input: gradient } });
        const run = victim.plan(arena, images, gradient);
        return {
          x,
          logits: run.logits,
          get gradLogits() {
            return run.gradLogits;
          },
          get gradInput() {
            return planned.gradients[0]!;
          },
          recordForward(recorder) {
            recordForward(recorder, arena, layers, weights, planned);
            run.recordForward(recorder);
          },
          recordInputGradient(recorder) {
            run.recordInputGradient(recorder);
            recordRestride(recorder, { input: run.gradInput, output: planned.gradients[layers.length]! });
            recordBackward(recorder, arena, layers, weights, planned);
          },
        };
      },
    };
  }

  /** The faces of some vectors: [height, width, channels], 0..1 each. @throws DeviceLostError */
  async faces(gpu: Gpu, codes: readonly Float32Array[]): Promise<Float32Array[]> {
    const arena = new Arena(gpu);
    try {
      const z = arena.matrix('z', codes.length, this.size);
      const values = new Float32Array(z.rows * z.stride);
      for (const [row, code] of codes.entries()) values.set(code, row * z.stride);
      gpu.write(z, values);
      const images = arena.matrix('faces of the prior', codes.length, sizeOf(outputShape(this.#layers.at(-1)!)));
      const recorder = new Recorder(gpu);
      this.recordFaces(recorder, arena, z, images);
      (await recorder.build('faces of the prior')).run();
      return rowsOf(await gpu.readFloats(images), images);
    } finally {
      arena.destroy();
    }
  }

  /**
   * Records z -> images.
   * @param z [rows, size]
   * @param images [rows, values of an image], 0..1
   */
  recordFaces(recorder: Recorder, arena: Arena, z: Matrix, images: Matrix): void {
    const planned = planGraph(arena, this.#layers, z, { output: images });
    recordForward(recorder, arena, this.#layers, this.#weights, planned);
  }
}

/** The rows of a matrix that was read. */
export function rowsOf(values: Float32Array, { rows, columns, stride }: Matrix): Float32Array[] {
  return Array.from({ length: rows }, (_, row) => values.slice(row * stride, row * stride + columns));
}

/** The public faces to learn from, and those of one tenth of the people, at least one if there are two. */
function splitPeople(labels: Uint32Array, indices: Uint32Array): { learned: Uint32Array; heldOut: Uint32Array } {
  const people = [...new Set(Array.from(indices, (image) => labels[image]))].sort((a, b) => a - b);
  const count = people.length > 1 ? Math.max(1, Math.floor(people.length / HELD_OUT)) : 0;
  const last = new Set(people.slice(people.length - count));
  const isHeldOut = (image: number) => last.has(labels[image]);
  return { learned: indices.filter((image) => !isHeldOut(image)), heldOut: indices.filter(isHeldOut) };
}

/** The weights of the decoder, and those of the layer before it. */
function withUnwhitening(arena: Arena, plain: WeightsOf, { mean, factor }: Gaussian): WeightsOf {
  const size = mean.length;
  const weight = arena.matrix('factor of the covariance of codes', roundUp(size, 4), size);
  const bias = arena.matrix('mean code', 1, size);
  const values = new Float32Array(weight.rows * weight.stride);
  for (const [i, row] of factor.entries()) values.set(row, i * weight.stride);
  arena.gpu.write(weight, values);
  arena.gpu.write(bias, Float32Array.from(mean));
  const own = { kind: 'plain', reads: [], weight: { ...weight, rows: size }, bias } as const;
  return (layer) => (layer === UNWHITEN ? own : plain(layer));
}

/**
 * 1 - sum of squared errors / sum of squares around the mean face, of images without their mean brightness.
 * @param pixels 8-bit images, packed
 */
function explainedVariance(
  images: Float32Array,
  pixels: Uint8Array,
  indices: Uint32Array,
  meanFace: Float32Array,
): number {
  const values = meanFace.length;
  const stride = 4 * packedImageWords(values);
  const average = centred(meanFace);
  let [errors, total] = [0, 0];
  for (const [row, image] of indices.entries()) {
    const own = centred(Float64Array.from(pixels.subarray(image * stride, image * stride + values), (v) => v / 255));
    const found = centred(images.subarray(row * values, (row + 1) * values));
    for (let i = 0; i < values; i++) {
      errors += (found[i] - own[i]) ** 2;
      total += (own[i] - average[i]) ** 2;
    }
  }
  return 1 - errors / total;
}

/** Values minus their mean. */
function centred(image: ArrayLike<number>): Float64Array {
  let sum = 0;
  for (let i = 0; i < image.length; i++) sum += image[i];
  return Float64Array.from(image, (value) => value - sum / image.length);
}
