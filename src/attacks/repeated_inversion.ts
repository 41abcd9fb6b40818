/**
 * Inversion by attackers who ask for the prediction of every image several times and combine the answers, which averages
 * independent errors away.
 */
import { Arena, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { CONFIDENCE_UNDERFLOW, SMALLEST_LOG_CONFIDENCE } from '../kernels/align.ts';
import type { DeviceDataset } from '../models/device_dataset.ts';
import type { Victim } from '../models/victim.ts';
import { type Alignment, type InversionAttacker, Inverter, Predictor, type Reconstructions } from './inversion.ts';

/** An attacker who combines several answers. */
export interface RepeatingAttacker extends InversionAttacker {
  /** Number of answers per image. */
  readonly reads: number;
}

/** The mean of an attacker's log-confidences over reads, image by image. */
export class MeanPredictions {
  readonly #classes: number;
  readonly #alignment: Alignment;
  readonly #sums: Float64Array;
  /** Number of answers of each image that are numbers. */
  readonly #counts: Uint32Array;

  constructor(images: number, classes: number, alignment: Alignment) {
    this.#classes = classes;
    this.#alignment = alignment;
    this.#sums = new Float64Array(images * classes);
    this.#counts = new Uint32Array(images);
  }

  /**
   * Adds one read. Log-confidences are floored and clipped before they are added, so that one underflow does not outweigh all
   * other reads. An answer that is not a number is left out.
   * @param logits [images, classes]
   */
  add(logits: Float32Array): void {
    const { floor, clip = SMALLEST_LOG_CONFIDENCE } = this.#alignment;
    const classes = this.#classes;
    for (const image of this.#counts.keys()) {
      const row = logits.subarray(image * classes, (image + 1) * classes);
      const largest = row.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
      const logSum = largest + Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
      if (!Number.isFinite(logSum)) continue;
      this.#counts[image]++;
      for (const [c, logit] of row.entries()) {
        const value = logit - logSum;
        const floored = floor === 'faithful' && value < CONFIDENCE_UNDERFLOW ? SMALLEST_LOG_CONFIDENCE : value;
        this.#sums[image * classes + c] += Math.max(floored, clip);
      }
    }
  }

  /** The mean, [images, classes]; NaN for an image without any answer. Its softmax is the geometric mean, normalised. */
  get mean(): Float32Array {
    return Float32Array.from(this.#sums, (sum, i) => sum / this.#counts[Math.floor(i / this.#classes)]);
  }
}

/** Several attackers who ask repeatedly for the same predictions. Built once, run for every draw of the victim's memory. */
export class RepeatedInversion {
  readonly #predictor: Predictor;
  readonly #arena: Arena;
  readonly #attackers: readonly RepeatingAttacker[];
  readonly #logits: Matrix;
  readonly #count: number;
  readonly #programs: readonly { readonly program: Program; readonly inverter: Inverter }[];

  private constructor(args: {
    predictor: Predictor;
    arena: Arena;
    attackers: readonly RepeatingAttacker[];
    logits: Matrix;
    count: number;
    programs: readonly { readonly program: Program; readonly inverter: Inverter }[];
  }) {
    this.#predictor = args.predictor;
    this.#arena = args.arena;
    this.#attackers = args.attackers;
    this.#logits = args.logits;
    this.#count = args.count;
    this.#programs = args.programs;
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
    attackers: readonly RepeatingAttacker[],
    batchSize: number,
  ): Promise<RepeatedInversion> {
    const predictor = await Predictor.build(gpu, victim, data, indices, batchSize);
    const arena = new Arena(gpu);
    const logits = arena.matrix('combined predictions', Math.min(batchSize, indices.length), victim.classes);
    const programs: { program: Program; inverter: Inverter }[] = [];
    for (const attacker of attackers) {
      const recorder = new Recorder(gpu);
      const inverter = new Inverter(recorder, arena, logits, victim.inputs, attacker);
      programs.push({ inverter, program: await recorder.build('inversion of combined predictions') });
    }
    return new RepeatedInversion({ predictor, arena, attackers, logits, count: indices.length, programs });
  }

  /**
   * @param select lets the memory return the read of this number
   * @param temperatures by which the attackers divide their log-confidences, in the order of the attackers; 1 by default
   * @returns reconstructions by attacker
   * @throws DeviceLostError
   */
  async run(
    select: (read: number) => Promise<void>,
    temperatures: readonly number[] = [],
  ): Promise<Map<string, Reconstructions>> {
    const { columns } = this.#logits;
    const means = this.#attackers.map(({ alignment }) => new MeanPredictions(this.#count, columns, alignment));
    const reads = Math.max(...this.#attackers.map((attacker) => attacker.reads));
    for (let read = 0; read < reads; read++) {
      await select(read);
      const logits = await this.#predictor.run(read);
      for (const [i, attacker] of this.#attackers.entries()) if (read < attacker.reads) means[i].add(logits);
    }
    const found = new Map<string, Reconstructions>();
    for (const [i, { name }] of this.#attackers.entries())
      found.set(
        name,
        await this.#invert(
          i,
          means[i].mean.map((value) => value / (temperatures[i] ?? 1)),
        ),
      );
    return found;
  }

  async #invert(attacker: number, predictions: Float32Array): Promise<Reconstructions> {
    const { gpu } = this.#arena;
    const { rows, columns, stride } = this.#logits;
    const { program, inverter } = this.#programs[attacker];
    for (let offset = 0; offset < this.#count; offset += rows) {
      const count = Math.min(rows, this.#count - offset);
      const batch = new Float32Array(rows * stride);
      for (let row = 0; row < count; row++) {
        const first = (offset + row) * columns;
        batch.set(predictions.subarray(first, first + columns), row * stride);
      }
      gpu.write(this.#logits, batch);
      program.run();
      inverter.add(await gpu.read(...inverter.views), count);
    }
    return inverter.take();
  }

  /** Memory plans as a text, for example `arena 8.2 MB, 12 buffers, arena 0.2 MB, 4 buffers`. */
  get plan(): string {
    return `${this.#predictor.plan}, ${this.#arena}`;
  }

  destroy(): void {
    this.#predictor.destroy();
    this.#arena.destroy();
  }
}
