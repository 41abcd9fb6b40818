import { ConfigError, DataError, MidasError } from '../errors.ts';
import { Arena, firstRows, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import { checkMemory } from '../injection/placement.ts';
import { recordCorrupt, recordErase, recordGatherBatch, recordGatherRows } from '../kernels/batch.ts';
import { recordAccumulateMetrics, recordMse, recordSoftmaxCrossEntropy } from '../kernels/loss.ts';
import { recordClip, writeAdamStep, writeSgdStep } from '../kernels/optimizer.ts';
import { firstImages, planGraph, recordBackward, recordForward } from '../layers/graph.ts';
import { productLayers } from '../layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../layers/parameters.ts';
import { plainWeights, type WeightsOf } from '../layers/weights.ts';
import { type MemoryConfig, parseMemoryConfig, uniformMemory } from '../memory/config.ts';
import { Random } from '../random.ts';
import { planAutoencoder, recordAutoencoder } from './autoencoder.ts';
import { withBottleneck } from './bottleneck.ts';
import { DependencePenalty, penalisedLayers } from './dependence_penalty.ts';
import { batchSizes, type DeviceDataset } from './device_dataset.ts';
import { initializeParameters, modelLayout } from './model_parameters.ts';
import type { ModelSpec } from './model_spec.ts';
import { PrivateGradients, refuseBatchNorm } from './private_gradients.ts';
import { epochsFor, type TrainingConfig } from './training_config.ts';
import {
  addedParameters,
  optimizerBuffers,
  type Phase,
  type PhaseKind,
  phasesOf,
  recordOptimizer,
} from './training_phases.ts';

/** First specimen of error-aware training, so that no experiment's memory has the errors a victim was trained with. */
const TRAINING_CHIPS = 2 ** 31;

/** The result of one epoch of training. */
export interface EpochResult {
  /** Epochs finished, all phases together. */
  readonly epoch: number;
  /** Epochs of all phases together. */
  readonly epochs: number;
  readonly phase: PhaseKind;
  /** Mean loss over the images of the epoch. */
  readonly loss: number;
  /** Share of correct answers during the epoch, 0..1; NaN for a phase without labels. */
  readonly accuracy: number;
}

/** Everything that a resumed training needs to reach the same bits. */
export interface TrainingState {
  /** Epochs finished, all phases together. */
  readonly epoch: number;
  readonly parameters: Uint32Array<ArrayBuffer>;
  /** Optimiser buffers of the present phase, in order; empty at the start of a phase. */
  readonly optimizer: readonly Uint32Array<ArrayBuffer>[];
}

/** A data set on the device, and for an inversion network the aligned prediction vectors, one row per image. */
export type TrainingData = DeviceDataset & { readonly vectors?: Matrix };

/**
 * Trains a network on the device, one submit per step. Batches are shuffled by (seed, epoch); loss and accuracy are
 * accumulated on the device and read once per epoch. The same seed on the same adapter gives the same bits, even if
 * training was resumed.
 */
export class Trainer {
  readonly parameters: FlatParameters;
  readonly #gpu: Gpu;
  readonly #spec: ModelSpec;
  readonly #data: TrainingData;
  readonly #indices: Uint32Array;
  readonly #config: TrainingConfig;
  readonly #phases: readonly Phase[];
  #epoch = 0;
  #running: RunningPhase | undefined;
  #resumed: readonly Uint32Array[] = [];

  private constructor(
    parameters: FlatParameters,
    spec: ModelSpec,
    data: TrainingData,
    indices: Uint32Array,
    config: TrainingConfig,
    gpu: Gpu,
  ) {
    this.parameters = parameters;
    this.#gpu = gpu;
    this.#spec = spec;
    this.#data = data;
    this.#indices = indices;
    this.#config = config;
    this.#phases = phasesOf(spec, { ...config, epochs: epochsFor(config, indices.length) });
  }

  /**
   * @param arena that owns the parameters; everything else is freed by `finish`
   * @param indices images of the training split
   * @param state from {@link Trainer.state} to continue; absent to start
   * @throws ConfigError, DataError when `state` does not fit the model
   */
  static async create(
    arena: Arena,
    spec: ModelSpec,
    data: TrainingData,
    indices: Uint32Array,
    config: TrainingConfig,
    state?: TrainingState,
  ): Promise<Trainer> {
    if (!(Number.isInteger(config.epochs) && config.epochs >= 1)) {
      throw new ConfigError(`epochs: ${config.epochs} is not a whole number above 0`);
    }
    if (!(Number.isInteger(config.batchSize) && config.batchSize >= 1)) {
      throw new ConfigError(`batchSize: ${config.batchSize} is not a whole number above 0`);
    }
    if (indices.length === 0) throw new DataError('the training split is empty');
    const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
    const trainer = new Trainer(parameters, spec, data, indices, config, arena.gpu);
    if (config.privacy) {
      refuseBatchNorm([...spec.layers, ...spec.decoder]);
      if (config.dependence || config.bottleneck !== undefined) {
        throw new ConfigError(
          'defences.dpSgd: it does not make the losses of defences.bido and defences.mid private; leave one of them out',
        );
      }
    }
    if (config.errors) checkMemory(trainer.#memoryConfig(0), parameters.layout, 1, 'training.errors');
    const { trained } = trainer.#phases[trainer.#phases.length - 1];
    if (config.dependence) penalisedLayers(trained);
    if (config.bottleneck !== undefined) withBottleneck(trained, config.bottleneck);
    if (state) {
      if (state.parameters.length !== parameters.layout.length) {
        throw new DataError(
          `the checkpoint has ${state.parameters.length} parameters, this model ${parameters.layout.length}`,
        );
      }
      arena.gpu.write(parameters.view, Uint32Array.from(state.parameters));
      trainer.#epoch = state.epoch;
      trainer.#resumed = state.optimizer;
    } else {
      await initializeParameters(arena.gpu, parameters, config.seed);
    }
    return trainer;
  }

  /** Epochs of all phases together, and how many of them are finished. */
  get epochs(): number {
    return this.#phases.reduce((sum, { epochs }) => sum + epochs, 0);
  }

  get epoch(): number {
    return this.#epoch;
  }

  /**
   * Trains one epoch.
   * @param schedule factor of this epoch's learning rate, above 0
   * @throws MidasError when the loss is no longer finite, DeviceLostError
   */
  async trainEpoch(schedule = 1): Promise<EpochResult> {
    let first = 0;
    const phase = this.#phases.find(({ epochs }) => {
      if (this.#epoch < first + epochs) return true;
      first += epochs;
      return false;
    });
    if (!phase) throw new ConfigError(`all ${this.epochs} epochs are done`);
    if (this.#running?.phase !== phase) {
      this.#running?.arena.destroy();
      this.#running = await this.#build(phase);
      this.#restoreOptimizer(this.#running.optimizer);
    }
    const { steps, update, sizes, metrics } = this.#running;
    const order = new Random(this.#config.seed, this.#epoch).shuffle(Uint32Array.from(this.#indices));
    this.#gpu.write(this.#data.order, order);
    this.#gpu.write(metrics, new Float32Array(4));
    await this.#drawErrors(this.#epoch - first);
    let offset = 0;
    for (const [batch, size] of sizes.entries()) {
      const program = steps.get(update ? 1 : size)!;
      const optimizer = update ?? program;
      const iteration = (this.#epoch - first) * sizes.length + batch + 1;
      optimizer.setStep({ iteration: iteration });
      optimizer.setStep({ draw: this.#epoch });
      const learningRate = phase.optimizer.learningRate * schedule;
      if (phase.optimizer.kind === 'sgd') writeSgdStep(optimizer, learningRate);
      else writeAdamStep(optimizer, learningRate, phase.optimizer.betas, iteration);
      program.setStep({ passIndex: 2 * batch });
      program.setStep({ draw: this.#epoch });
      const examples = update ? size : 1;
      for (let i = 0; i < examples; i++) {
        program.setStep({ batchOffset: offset + i });
        // Every example has its own random numbers, such as those of dropout.
        if (update) program.setStep({ iteration: (this.#epoch - first) * order.length + offset + i + 1 });
        program.run();
      }
      update?.run();
      offset += size;
    }
    const [loss, correct, count] = await this.#gpu.readFloats({ ...metrics, size: 16 });
    this.#epoch++;
    if (!Number.isFinite(loss)) {
      throw new MidasError(`training diverged in epoch ${this.#epoch}: the loss is ${loss}; use a lower learning rate`);
    }
    const accuracy = phase.kind === 'classify' ? correct / count : Number.NaN;
    return { epoch: this.#epoch, epochs: this.epochs, phase: phase.kind, loss: loss / count, accuracy };
  }

  /** Reads back what {@link Trainer.create} needs to continue from here. */
  async state(): Promise<TrainingState> {
    const inside = this.#running && this.#phaseEnds().every((end) => end !== this.#epoch);
    const views = inside ? this.#running!.optimizer : [];
    const [parameters, ...optimizer] = await this.#gpu.read(this.parameters.view, ...views);
    return {
      epoch: this.#epoch,
      parameters: new Uint32Array(parameters),
      // A resumed state that is not on the device yet is still the present state.
      optimizer: [
        ...this.#resumed.map((words) => Uint32Array.from(words)),
        ...optimizer.map((b) => new Uint32Array(b)),
      ],
    };
  }

  /** The memory of the present phase as a text, for example `arena 131.2 MB, 14 buffers`. */
  get plan(): string {
    return String(this.#running?.arena ?? 'arena not planned yet');
  }

  /** Frees everything except the parameters. */
  finish(): void {
    this.#running?.arena.destroy();
    this.#running = undefined;
  }

  /** @throws DataError when the state is of another optimiser or another model */
  #restoreOptimizer(views: readonly BufferView[]): void {
    const resumed = this.#resumed;
    if (resumed.length === 0) return;
    if (resumed.length !== views.length || resumed.some(({ byteLength }, i) => byteLength !== views[i].size)) {
      throw new DataError(
        `the checkpoint has another optimiser state: ${resumed.map(({ length }) => length)} words, ` +
          `this training keeps ${views.map(({ size }) => size / 4)}; give the configuration it was trained with`,
      );
    }
    for (const [i, words] of resumed.entries()) this.#gpu.write(views[i], Uint32Array.from(words));
    this.#resumed = [];
  }

  /** Fits the memory's formats to the present weights and draws the errors of an epoch. @param epoch within the phase */
  async #drawErrors(epoch: number): Promise<void> {
    const { memory } = this.#running!;
    if (!memory) return;
    await memory.refit();
    await memory.configure(this.#memoryConfig(epoch));
    await memory.load(0);
  }

  /** The memory in one epoch: a specimen of its own, so that no two epochs share a draw. */
  #memoryConfig(epoch: number): MemoryConfig {
    const { format, bitErrorRate, rampEpochs, layers } = this.#config.errors!;
    const share = rampEpochs > 0 ? Math.min(1, (epoch + 1) / rampEpochs) : 1;
    const stored = uniformMemory(format, bitErrorRate * share);
    const products = productLayers(this.#phases[this.#phases.length - 1].trained);
    const memory = Object.fromEntries((layers ?? products).map((layer) => [layer, stored]));
    const { seed } = this.#config;
    return parseMemoryConfig(
      { seed, chip: TRAINING_CHIPS + epoch, granularity: 'pass', layers: memory },
      products,
      'training.errors',
    );
  }

  #phaseEnds(): number[] {
    let end = 0;
    return this.#phases.map(({ epochs }) => {
      end += epochs;
      return end;
    });
  }

  async #build(phase: Phase): Promise<RunningPhase> {
    const { parameters } = this;
    const arena = new Arena(this.#gpu);
    const { batchSize, dropLast } = this.#config;
    const count = this.#indices.length;
    const sizes = batchSizes(dropLast && count > batchSize ? count - (count % batchSize) : count, batchSize);
    const { layout } = parameters;
    const { kind, frozen, trained } = phase;
    const { seed, weightClip, errors, labelSmoothing, erasing, privacy } = this.#config;
    const { dependence, bottleneck }: Partial<TrainingConfig> = kind === 'classify' ? this.#config : {};
    const layers = bottleneck === undefined ? trained : withBottleneck(trained, bottleneck);
    const added = addedParameters(arena, phase, layers);
    const gradients = new FlatParameters(
      arena,
      'gradients',
      added ? new ParameterLayout([...layout.slices, ...added.parameters.layout.slices]) : layout,
    );
    const moments = optimizerBuffers(arena, phase.optimizer, layout.length * 4);
    const optimizer = added ? [...moments, ...added.moments, added.parameters.view] : moments;
    const metrics = arena.allocate('metrics', 16);
    const pixels = kind === 'invert' ? this.#spec.outputs : this.#spec.inputs;
    const rows = privacy ? 1 : sizes[0];
    const clean = arena.matrix('batch', rows, pixels);
    const targets = arena.allocate('targets', rows * 4);
    const results = arena.allocate('results', rows * 8);
    const isClean = kind === 'classify' || kind === 'autoencode';
    const input = isClean ? clean : arena.matrix('input', rows, this.#spec.inputs);
    const frozenRun = planGraph(arena, frozen, input);
    const coder = kind === 'autoencode' ? planAutoencoder(arena, this.#spec, input, seed) : undefined;
    const stack = coder ? [] : layers;
    const penalised = dependence ? penalisedLayers(trained) : [];
    const run = planGraph(arena, stack, frozenRun.values[frozen.length], {
      mode: { training: true, seed },
      gradients: { parameters: true },
      rereads: (layer) => penalised.includes(layer),
    });
    const penalty = dependence && new DependencePenalty(arena, layers, clean, run, penalised, dependence);
    const running = { phase, arena, steps: new Map<number, Program>(), sizes, metrics, optimizer };
    const { steps } = running;
    const memory = kind === 'classify' && errors ? await ApproximateMemory.store(arena, parameters) : undefined;
    this.#running = { ...running, memory };
    const own = privacy && new PrivateGradients(arena, gradients, trained, { ...privacy, examples: sizes[0], seed });
    const update = own && new Recorder(this.#gpu);
    own?.recordMean(update!);
    if (memory) await memory.configure(this.#memoryConfig(0));
    const stored = new Set(memory && Object.keys(memory.config.layers));
    for (const size of new Set(own ? [1] : sizes)) {
      const recorder = new Recorder(this.#gpu);
      const images = firstRows(clean, size);
      recordGatherBatch(recorder, { ...this.#data, images, targets });
      if (kind === 'classify' && erasing) {
        recordErase(recorder, { images, order: this.#data.order, seed, ...erasing, ...this.#data.shape });
      }
      if (kind === 'reconstruct') {
        const deviation = this.#config.reconstruction?.deviation ?? 0;
        const { order } = this.#data;
        recordCorrupt(recorder, { input: images, order, output: firstRows(input, size), deviation, seed });
      }
      if (kind === 'invert') {
        const { vectors: table, order } = this.#data;
        if (!table) throw new ConfigError('vectors: an inversion network learns from prediction vectors; give them');
        recordGatherRows(recorder, { table, order, output: firstRows(input, size) });
      }
      if (coder) {
        const { order } = this.#data;
        const code = this.#config.code!;
        const planned = { spec: this.#spec, planned: coder, images, order, results };
        recordAutoencoder(recorder, arena, { ...planned, parameters, gradients, code, seed });
        recordAccumulateMetrics(recorder, { rows: size, results, metrics });
        recordOptimizer(recorder, phase, parameters, gradients, moments);
        steps.set(size, await recorder.build(`${kind} step`));
        continue;
      }
      const plain = plainWeights(parameters);
      const plainAdded = added && plainWeights(added.parameters);
      memory?.recordEncode(recorder);
      memory?.recordPass(recorder, 0);
      const weights: WeightsOf = (layer) => {
        if (stored.has(layer)) return memory!.weightsOf(layer);
        return added?.parameters.layout.layers.includes(layer) ? plainAdded!(layer) : plain(layer);
      };
      recordForward(recorder, arena, frozen, plain, firstImages(frozenRun, size));
      const activations = firstImages(run, size);
      recordForward(recorder, arena, layers, weights, activations);
      const output = activations.values[layers.length];
      const gradOutput = activations.gradients[layers.length]!;
      if (kind === 'classify') {
        const logits = { logits: output, gradLogits: gradOutput };
        recordSoftmaxCrossEntropy(recorder, { ...logits, targets, smoothing: labelSmoothing, results });
      } else {
        recordMse(recorder, { output, target: images, gradOutput, results });
      }
      recordAccumulateMetrics(recorder, { rows: size, results, metrics });
      const onGradient = penalty?.record(recorder, images, targets, activations);
      recordBackward(recorder, arena, layers, weights, activations, gradients, onGradient);
      own?.recordExample(recorder);
      const last = update ?? recorder;
      recordOptimizer(last, phase, parameters, gradients, moments);
      if (added) recordOptimizer(last, added, added.parameters, gradients, added.moments);
      if (kind === 'classify' && weightClip !== undefined) {
        for (const layer of productLayers(trained)) {
          for (const part of ['weight', 'bias']) {
            recordClip(last, { values: parameters.matrix(`${layer}.${part}`), limit: weightClip });
          }
        }
      }
      steps.set(size, await recorder.build(`${kind} step`));
    }
    if (update) this.#running = { ...this.#running, update: await update.build(`${kind} update`) };
    return this.#running;
  }
}

interface RunningPhase {
  readonly phase: Phase;
  readonly arena: Arena;
  /** Programs by the number of their images. */
  readonly steps: ReadonlyMap<number, Program>;
  /** For DP-SGD: `steps` have one image and only add its gradient; this program makes the step from their sum. */
  readonly update?: Program;
  readonly sizes: readonly number[];
  readonly metrics: BufferView;
  readonly optimizer: readonly BufferView[];
  /** The memory that holds the weights during a training with errors. */
  readonly memory?: ApproximateMemory;
}
