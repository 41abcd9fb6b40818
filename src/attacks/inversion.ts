/**
 * The inversion network of Yang, Zhang, Chang, Liang (CCS'19) as an attack: a network that turns prediction vectors back
 * into the images they were made from. The attacker sees the victim through its predictions only.
 */
import { Arena, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder, type WeightRead } from '../gpu/recorder.ts';
import { type ConfidenceFloor, recordTruncateAlign } from '../kernels/align.ts';
import { recordGatherBatch } from '../kernels/batch.ts';
import { planGraph, recordForward } from '../layers/graph.ts';
import type { LayerSpec } from '../layers/kinds.ts';
import type { WeightsOf } from '../layers/weights.ts';
import type { DeviceDataset } from '../models/device_dataset.ts';
import type { Victim } from '../models/victim.ts';

/** The preprocessing of a prediction vector by an attacker before the network receives it (src/kernels/align.ts). */
export interface Alignment {
  /** How many of the largest confidences are known; the others become 0. */
  readonly truncation: number;
  /** `direct`: logarithms computed from the logits. `faithful`: as published, confidences that underflow count as -1000. */
  readonly floor: ConfidenceFloor;
  /** Smaller log-confidences are raised to this value by an attacker who repairs vectors. Default: none are. */
  readonly clip?: number;
}

/** An attacker with a trained network. */
export interface InversionAttacker {
  readonly name: string;
  readonly alignment: Alignment;
  readonly layers: readonly LayerSpec[];
  readonly weights: WeightsOf;
}

/** The images that one attacker reconstructed. */
export interface Reconstructions {
  /** One image per attacked image, in the order of the indices: [height, width, channels], 0..1. */
  readonly images: readonly Float32Array[];
  /** True for every image whose prediction vector holds a NaN, because the victim returned no confidences for it. */
  readonly failed: readonly boolean[];
  /** Share of the prediction vectors in which a confidence that the attacker sees underflows in float32. */
  readonly underflow: number;
}

/**
 * Images of a data set in batches of one size; the last batch is filled up with repetitions. Every program is then built
 * only once, which matters because software adapters compile for seconds.
 */
class Batches {
  readonly size: number;
  /** The data set, read in the order of the batches. */
  readonly data: DeviceDataset;
  readonly #victim: Victim;
  readonly #count: number;

  constructor(arena: Arena, victim: Victim, data: DeviceDataset, indices: Uint32Array, batchSize: number) {
    this.size = Math.min(batchSize, indices.length);
    this.#victim = victim;
    this.#count = indices.length;
    const images = Math.ceil(indices.length / this.size) * this.size;
    const order = arena.allocate('order', images * 4);
    arena.gpu.write(
      order,
      Uint32Array.from({ length: images }, (_, i) => indices[i % indices.length]),
    );
    this.data = { ...data, order };
  }

  /**
   * Runs the program once per batch, then calls `finished` with the index of its first image and its count of images.
   * @param read how often the images were read before, so that every read has passes of its own
   */
  async run(program: Program, finished: (offset: number, count: number) => Promise<void>, read = 0): Promise<void> {
    const batches = Math.ceil(this.#count / this.size);
    for (let offset = 0; offset < this.#count; offset += this.size) {
      // At granularity `inference` the image key is the position among the images; at `pass` every batch is a pass.
      const pass = this.#victim.readsPerImage ? read : read * batches + offset / this.size;
      program.setStep({ passIndex: 2 * pass });
      program.setStep({ firstImage: offset });
      program.setStep({ batchOffset: offset });
      program.run();
      await finished(offset, Math.min(this.size, this.#count - offset));
    }
  }
}

/** Computes a victim's predictions for some images of a data set. Built once, run for every draw of the victim's memory. */
export class Predictor {
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #batches: Batches;
  readonly #program: Program;
  readonly #logits: Matrix;
  readonly #count: number;

  private constructor(arena: Arena, batches: Batches, program: Program, logits: Matrix, count: number) {
    this.#gpu = arena.gpu;
    this.#arena = arena;
    this.#batches = batches;
    this.#program = program;
    this.#logits = logits;
    this.#count = count;
  }

  /**
   * @param indices of the images, not empty
   * @param batchSize images per batch
   * @throws ShapeError where the victim does not take images of this size, LimitError
   */
  static async build(
    gpu: Gpu,
    victim: Victim,
    data: DeviceDataset,
    indices: Uint32Array,
    batchSize: number,
  ): Promise<Predictor> {
    const arena = new Arena(gpu);
    const batches = new Batches(arena, victim, data, indices, batchSize);
    const images = arena.matrix('images', batches.size, victim.inputs);
    const targets = arena.allocate('targets', batches.size * 4);
    const recorder = new Recorder(gpu);
    recordGatherBatch(recorder, { ...batches.data, images, targets });
    const run = victim.plan(arena, images, false);
    run.recordForward(recorder);
    return new Predictor(arena, batches, await recorder.build('predict'), run.logits, indices.length);
  }

  /**
   * Logits of every image, [images, classes], with the weights that the memory returns now.
   * @param read number of earlier reads of the same load: where every pass has other faults, another number gives other logits
   * @throws DeviceLostError
   */
  async run(read = 0): Promise<Float32Array> {
    const { columns, stride } = this.#logits;
    const result = new Float32Array(this.#count * columns);
    const collect = async (offset: number, count: number) => {
      const rows = await this.#gpu.readFloats(this.#logits);
      for (let row = 0; row < count; row++) {
        result.set(rows.subarray(row * stride, row * stride + columns), (offset + row) * columns);
      }
    };
    await this.#batches.run(this.#program, collect, read);
    return result;
  }

  /** Memory plan as a text, for example `arena 8.2 MB, 12 buffers`. */
  get plan(): string {
    return String(this.#arena);
  }

  /** Reads of weights in one run. */
  get weightReads(): WeightRead[] {
    const batches = Math.ceil(this.#count / this.#batches.size);
    return Array.from({ length: batches }, () => this.#program.weightReads).flat();
  }

  /** Share of the images whose label has the largest logit, 0..1. @param labels one per image */
  async accuracy(labels: Uint32Array): Promise<number> {
    const logits = await this.run();
    const classes = this.#logits.columns;
    const right = labels.filter((label, i) => {
      const row = logits.subarray(i * classes, (i + 1) * classes);
      return row.every((value, c) => (c < label ? value < row[label] : value <= row[label]));
    });
    return right.length / labels.length;
  }

  destroy(): void {
    this.#arena.destroy();
  }
}

/**
 * Preprocesses predictions as the attacker does. The inversion network is trained on the result.
 * @param arena that owns the vectors on the device
 * @param logits [rows, classes]
 * @returns the aligned vectors, on the device, and on the host as [rows, stride of the matrix]
 * @throws DeviceLostError
 */
export async function alignLogits(
  arena: Arena,
  logits: Float32Array,
  classes: number,
  alignment: Alignment,
): Promise<{ vectors: Matrix; values: Float32Array }> {
  const { gpu } = arena;
  const rows = logits.length / classes;
  const vectors = arena.matrix('aligned vectors', rows, classes);
  const work = new Arena(gpu);
  const input = work.matrix('logits', rows, classes);
  const padded = new Float32Array(rows * input.stride);
  for (let row = 0; row < rows; row++)
    padded.set(logits.subarray(row * classes, (row + 1) * classes), row * input.stride);
  gpu.write(input, padded);
  const recorder = new Recorder(gpu);
  const floored = work.allocate('floored', rows * 4);
  recordTruncateAlign(recorder, { logits: input, output: vectors, floored, ...alignment });
  (await recorder.build('align')).run();
  const values = await gpu.readFloats(vectors);
  work.destroy();
  return { vectors, values };
}

/** Smallest log-confidence among logits [rows, classes], by a direct log-softmax. */
export function smallestLogConfidence(logits: Float32Array, classes: number): number {
  let smallest = 0;
  for (let at = 0; at < logits.length; at += classes) {
    const row = logits.subarray(at, at + classes);
    const largest = row.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
    const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
    const least = row.reduce((min, value) => Math.min(min, value), Number.POSITIVE_INFINITY);
    smallest = Math.min(smallest, least - largest - Math.log(sum));
  }
  return smallest;
}

/** True for the bits of a NaN; compilers may assume that comparisons of floats see none. */
function isNaNBits(word: number): boolean {
  return (word & 0x7fffffff) > 0x7f800000;
}

/** The part of an attack that turns a batch of logits into one attacker's images, and what it found so far. */
export class Inverter {
  readonly name: string;
  readonly #image: Matrix;
  readonly #vectors: Matrix;
  /** Number of underflown confidences in each row of the batch. */
  readonly #floored: BufferView;
  #images: Float32Array[] = [];
  #failed: boolean[] = [];
  #underflows = 0;

  /** Records the alignment of the logits and the attacker's network. @param pixels values of an image */
  constructor(
    recorder: Recorder,
    arena: Arena,
    logits: Matrix,
    pixels: number,
    { name, alignment, layers, weights }: InversionAttacker,
  ) {
    this.name = name;
    this.#vectors = arena.matrix(`${name} vectors`, logits.rows, logits.columns);
    this.#floored = arena.allocate(`${name} floored`, logits.rows * 4);
    recordTruncateAlign(recorder, { logits, output: this.#vectors, floored: this.#floored, ...alignment });
    this.#image = arena.matrix(`${name} reconstructions`, logits.rows, pixels);
    recordForward(recorder, arena, layers, weights, planGraph(arena, layers, this.#vectors, { output: this.#image }));
  }

  /** The buffers that {@link add} needs. */
  get views(): readonly BufferView[] {
    return [this.#image, this.#vectors, this.#floored];
  }

  /** Adds the first `count` images of the batch to those found so far. @param bytes the contents of {@link views} */
  add(bytes: readonly ArrayBuffer[], count: number): void {
    const [pixels, words] = [new Float32Array(bytes[0]), new Uint32Array(bytes[1])];
    const [image, vectors] = [this.#image, this.#vectors];
    for (let row = 0; row < count; row++) {
      this.#images.push(pixels.slice(row * image.stride, row * image.stride + image.columns));
      const vector = words.subarray(row * vectors.stride, row * vectors.stride + vectors.columns);
      this.#failed.push(vector.some(isNaNBits));
    }
    this.#underflows += new Uint32Array(bytes[2]).subarray(0, count).filter((floored) => floored > 0).length;
  }

  /** Returns what was found, and begins anew. */
  take(): Reconstructions {
    const [images, failed, underflows] = [this.#images, this.#failed, this.#underflows];
    this.#images = [];
    this.#failed = [];
    this.#underflows = 0;
    return { images, failed, underflow: underflows / images.length };
  }
}

/** Several attackers on the same predictions. Built once, run for every draw of the victim's memory. */
export class InversionAttack {
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #batches: Batches;
  readonly #program: Program;
  readonly #inverters: readonly Inverter[];

  private constructor(arena: Arena, batches: Batches, program: Program, inverters: readonly Inverter[]) {
    this.#gpu = arena.gpu;
    this.#arena = arena;
    this.#batches = batches;
    this.#program = program;
    this.#inverters = inverters;
  }

  /**
   * @param indices of the attacked images, not empty
   * @param batchSize images per batch
   * @throws ShapeError where a network does not fit the victim, LimitError
   */
  static async build(
    gpu: Gpu,
    victim: Victim,
    data: DeviceDataset,
    indices: Uint32Array,
    attackers: readonly InversionAttacker[],
    batchSize: number,
  ): Promise<InversionAttack> {
    const arena = new Arena(gpu);
    const batches = new Batches(arena, victim, data, indices, batchSize);
    const { size } = batches;
    const images = arena.matrix('attacked images', size, victim.inputs);
    const targets = arena.allocate('targets', size * 4);
    const recorder = new Recorder(gpu);
    recordGatherBatch(recorder, { ...batches.data, images, targets });
    const run = victim.plan(arena, images, false);
    run.recordForward(recorder);
    const inverters = attackers.map((each) => new Inverter(recorder, arena, run.logits, victim.inputs, each));
    return new InversionAttack(arena, batches, await recorder.build('inversion'), inverters);
  }

  /** Attacks the weights that the memory returns now. @returns reconstructions by attacker. @throws DeviceLostError */
  async run(): Promise<Map<string, Reconstructions>> {
    const views = this.#inverters.map((inverter) => inverter.views);
    await this.#batches.run(this.#program, async (_, count) => {
      const bytes = await this.#gpu.read(...views.flat());
      for (const [i, inverter] of this.#inverters.entries()) inverter.add(bytes.slice(3 * i, 3 * i + 3), count);
    });
    return new Map(this.#inverters.map((inverter) => [inverter.name, inverter.take()]));
  }

  /** Memory plan as a text, for example `arena 8.2 MB, 12 buffers`. */
  get plan(): string {
    return String(this.#arena);
  }

  destroy(): void {
    this.#arena.destroy();
  }
}
