import type { Victim } from '../attacks/victim.ts';
import { Arena, firstRows } from '../gpu/arena.ts';
import type { BufferView, Gpu } from '../gpu/device.ts';
import { type Program, Recorder, type WeightRead } from '../gpu/recorder.ts';
import { recordGatherBatch } from '../kernels/batch.ts';
import { recordAccumulateMetrics, recordSoftmaxCrossEntropy } from '../kernels/loss.ts';
import { batchSizes, type DeviceDataset } from './device_dataset.ts';

/** Measures a victim's accuracy on some images of a data set, as its memory is loaded now. Built once, run often. */
export class Evaluator {
  readonly #gpu: Gpu;
  readonly #victim: Victim;
  readonly #arena: Arena;
  readonly #indices: Uint32Array<ArrayBuffer>;
  readonly #data: DeviceDataset;
  readonly #metrics: BufferView;
  readonly #steps: { program: Program; offset: number }[] = [];

  private constructor(gpu: Gpu, victim: Victim, data: DeviceDataset, indices: Uint32Array) {
    this.#gpu = gpu;
    this.#victim = victim;
    this.#arena = new Arena(gpu);
    this.#data = data;
    this.#indices = Uint32Array.from(indices);
    this.#metrics = this.#arena.allocate('metrics', 16);
  }

  static async build(
    gpu: Gpu,
    victim: Victim,
    data: DeviceDataset,
    indices: Uint32Array,
    batchSize = 128,
  ): Promise<Evaluator> {
    const evaluator = new Evaluator(gpu, victim, data, indices);
    const arena = evaluator.#arena;
    const sizes = batchSizes(indices.length, batchSize);
    const images = arena.matrix('evaluated images', sizes[0], victim.inputs);
    const targets = arena.allocate('targets', sizes[0] * 4);
    const results = arena.allocate('results', sizes[0] * 8);
    const programs = new Map<number, Program>();
    for (const size of new Set(sizes)) {
      const recorder = new Recorder(gpu);
      const batch = firstRows(images, size);
      recordGatherBatch(recorder, { ...data, images: batch, targets });
      const run = victim.plan(arena, batch);
      run.recordForward(recorder);
      recordSoftmaxCrossEntropy(recorder, { logits: run.logits, targets, gradLogits: run.gradLogits, results });
      recordAccumulateMetrics(recorder, { rows: size, results, metrics: evaluator.#metrics });
      programs.set(size, await recorder.build('evaluate'));
    }
    let offset = 0;
    for (const size of sizes) {
      evaluator.#steps.push({ program: programs.get(size)!, offset });
      offset += size;
    }
    return evaluator;
  }

  /** Weights that one run reads. */
  get weightReads(): WeightRead[] {
    return this.#steps.flatMap(({ program }) => program.weightReads);
  }

  /** @returns share of right answers and mean cross-entropy. @throws DeviceLostError */
  async run(): Promise<{ accuracy: number; loss: number }> {
    this.#gpu.write(this.#data.order, this.#indices);
    this.#gpu.write(this.#metrics, new Float32Array(4));
    for (const [batch, { program, offset }] of this.#steps.entries()) {
      // At granularity `inference` the whole split is one pass and the image key is the position in it: batches may be cut
      // anywhere. At granularity `pass` every batch is a pass.
      program.stepWords[0] = this.#victim.readsPerImage ? 0 : 2 * batch;
      program.stepWords[1] = offset;
      program.stepWords[2] = offset;
      program.run();
    }
    const [loss, correct, count] = await this.#gpu.readFloats({ ...this.#metrics, size: 16 });
    return { accuracy: correct / count, loss: loss / count };
  }

  destroy(): void {
    this.#arena.destroy();
  }
}
