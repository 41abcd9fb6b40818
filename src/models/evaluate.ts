import { Arena, firstRows } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder, type WeightRead } from '../gpu/recorder.ts';
import { recordGatherBatch } from '../kernels/batch.ts';
import { recordSoftmaxCrossEntropy } from '../kernels/loss.ts';
import { batchSizes, type DeviceDataset } from './device_dataset.ts';
import type { Victim, VictimRun } from './victim.ts';

/** Images per batch, for each draw. */
export const EVALUATION_BATCH = 128;

/** One batch of the images. */
interface EvaluationStep {
  readonly program: Program;
  /** Index of its first image. */
  readonly offset: number;
  /** Number of its images for each draw, and of the rows that each draw has in the batch. */
  readonly count: number;
  readonly rows: number;
}

/** The answers of one draw. */
export interface Evaluation {
  /** Share of correct answers, 0..1. */
  readonly accuracy: number;
  /** Mean cross-entropy in nats. */
  readonly loss: number;
  /** True for every image that was classified correctly, in the order of the indices. */
  readonly correct: readonly boolean[];
}

/**
 * Measures a victim's accuracy on some images of a data set, with the weights that its memory returns now, for all draws
 * that it holds. Built once, run often.
 */
export class Evaluator {
  readonly #gpu: Gpu;
  readonly #victim: Victim;
  readonly #arena: Arena;
  readonly #steps: EvaluationStep[] = [];
  /** Of one batch: the loss of every image, and 1 where it is classified correctly. */
  #results!: BufferView;
  /** The results of all batches, one after the other. */
  #outcomes!: BufferView;
  #batchBytes = 0;

  private constructor(gpu: Gpu, victim: Victim) {
    this.#gpu = gpu;
    this.#victim = victim;
    this.#arena = new Arena(gpu);
  }

  /**
   * @param indices of the images that are classified
   * @param batchSize images per batch, for each draw
   * @throws ShapeError where the victim does not take images of this size, LimitError
   */
  static async build(
    gpu: Gpu,
    victim: Victim,
    data: DeviceDataset,
    indices: Uint32Array,
    batchSize = EVALUATION_BATCH,
  ): Promise<Evaluator> {
    const evaluator = new Evaluator(gpu, victim);
    const arena = evaluator.#arena;
    const { draws } = victim;
    const counts = batchSizes(indices.length, batchSize);
    // If the victim holds one draw, the last batch is filled up with repetitions that do not count: a smaller batch would
    // need its own kernels, which software adapters compile for seconds. Several draws are products, which compile fast.
    const rowsOf = (count: number) => (draws === 1 ? counts[0] : count);
    // The order is sorted by batch, and within a batch by draw.
    const order = arena.allocate('order', draws * counts.reduce((sum, count) => sum + rowsOf(count), 0) * 4);
    let offset = 0;
    for (const count of counts) {
      const batch = Uint32Array.from({ length: rowsOf(count) }, (_, i) => indices[(offset + i) % indices.length]);
      for (let draw = 0; draw < draws; draw++) gpu.write(order, batch, (draws * offset + draw * batch.length) * 4);
      offset += count;
    }
    const images = arena.matrix('evaluated images', draws * counts[0], victim.inputs);
    const targets = arena.allocate('targets', images.rows * 4);
    const results = arena.allocate('results', images.rows * 8);
    evaluator.#results = results;
    evaluator.#batchBytes = images.rows * 8;
    evaluator.#outcomes = arena.allocate('outcomes', counts.length * evaluator.#batchBytes);
    const unused = arena.matrix('gradient of logits', images.rows, victim.classes);
    const runs = new Map<number, VictimRun>();
    const programs = new Map<number, Program>();
    for (const count of new Set(counts)) {
      const rows = rowsOf(count);
      const recorder = new Recorder(gpu);
      const batch = firstRows(images, draws * rows);
      recordGatherBatch(recorder, { ...data, order, images: batch, targets });
      const run = runs.get(rows) ?? victim.plan(arena, batch, false);
      runs.set(rows, run);
      run.recordForward(recorder);
      // The gradient is not used; the victim's own would allocate buffers for every layer.
      const gradLogits = firstRows(unused, draws * rows);
      recordSoftmaxCrossEntropy(recorder, { logits: run.logits, targets, gradLogits, results });
      programs.set(count, await recorder.build('evaluate'));
    }
    offset = 0;
    for (const count of counts) {
      evaluator.#steps.push({ program: programs.get(count)!, offset, count, rows: rowsOf(count) });
      offset += count;
    }
    return evaluator;
  }

  /** Reads of weights in one run, for each draw. */
  get weightReads(): WeightRead[] {
    return this.#steps.flatMap(({ program }) => program.weightReads);
  }

  /** @returns the answers of every draw. @throws DeviceLostError */
  async run(): Promise<Evaluation[]> {
    const { draws, readsPerImage } = this.#victim;
    const batchBytes = this.#batchBytes;
    for (const [batch, { program, offset }] of this.#steps.entries()) {
      // At granularity `inference` the whole split is one pass and the image key is the position in it: batches may be cut
      // anywhere. At granularity `pass` every batch is a pass.
      program.setStep({ passIndex: readsPerImage ? 0 : 2 * batch });
      program.setStep({ firstImage: offset });
      program.setStep({ batchOffset: draws * offset });
      program.run();
      this.#gpu.copy(this.#results, this.#outcomes, batchBytes, batch * batchBytes);
    }
    const outcomes = await this.#gpu.readFloats(this.#outcomes);
    return Array.from({ length: draws }, (_, draw) => {
      const correct: boolean[] = [];
      let loss = 0;
      for (const [batch, { count, rows }] of this.#steps.entries()) {
        const first = (batch * batchBytes) / 4 + 2 * draw * rows;
        for (let i = 0; i < count; i++) {
          loss += outcomes[first + 2 * i];
          correct.push(outcomes[first + 2 * i + 1] === 1);
        }
      }
      return { accuracy: correct.filter(Boolean).length / correct.length, loss: loss / correct.length, correct };
    });
  }

  destroy(): void {
    this.#arena.destroy();
  }
}
