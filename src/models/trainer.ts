import { ConfigError, DataError, MidasError } from '../errors.ts';
import { Arena, firstRows, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import { checkMemory } from '../injection/placement.ts';
import { type Erasing, recordCorrupt, recordErase, recordGatherBatch, recordGatherRows } from '../kernels/batch.ts';
import { recordInitialize } from '../kernels/initialize.ts';
import { recordAccumulateMetrics, recordMse, recordSoftmaxCrossEntropy } from '../kernels/loss.ts';
import { recordAdam, recordClip, recordSgd, writeAdamStep, writeSgdStep } from '../kernels/optimizer.ts';
import { firstImages, planGraph, recordBackward, recordForward } from '../layers/graph.ts';
import { type LayerSpec, layerParameters, productLayers } from '../layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../layers/parameters.ts';
import { plainWeights, type WeightsOf } from '../layers/weights.ts';
import { type MemoryConfig, type NumberFormat, parseMemoryConfig, uniformMemory } from '../memory/config.ts';
import { Random } from '../random.ts';
import { type CodeTraining, planAutoencoder, recordAutoencoder } from './autoencoder.ts';
import { withBottleneck } from './bottleneck.ts';
import { type Dependence, DependencePenalty, penalisedLayers } from './dependence_penalty.ts';
import { batchSizes, type DeviceDataset } from './device_dataset.ts';
import type { ModelSpec } from './model_spec.ts';
import { PrivateGradients, type PrivateTraining, refuseBatchNorm } from './private_gradients.ts';
import { isAutoencoder, isInversion } from './specs.ts';

/** The optimiser: torch.optim.SGD with momentum and L2 weight decay, or torch.optim.Adam, optionally AMSGrad. */
export type OptimizerConfig =
  | { readonly kind: 'sgd'; readonly learningRate: number; readonly momentum: number; readonly weightDecay: number }
  | {
      readonly kind: 'adam';
      readonly learningRate: number;
      readonly betas: readonly [number, number];
      readonly epsilon: number;
      readonly amsgrad: boolean;
    };

/** How a model is trained: by the cross-entropy of its classes, or the mean squared error of its output images. */
export interface TrainingConfig {
  readonly epochs: number;
  /** Least number of steps: few images are trained on for more epochs, until their steps are as many. */
  readonly steps?: number;
  /** Images per step. */
  readonly batchSize: number;
  readonly optimizer: OptimizerConfig;
  /** Leave out the last images of a shuffled epoch if they do not fill a batch and there is a full one. */
  readonly dropLast?: boolean;
  /** Seed of the initial weights and of everything that is shuffled or sampled: integer in 0..2^53-1. */
  readonly seed: number;
  /** DAE only: epochs of reconstruction before the classifier, and the deviation of the noise on its input. */
  readonly reconstruction?: { readonly epochs: number; readonly deviation: number; readonly learningRate: number };
  /** Autoencoders only. */
  readonly code?: CodeTraining;
  /** Classifiers only: after every step, weights and biases of layers with products are clipped to +-weightClip. */
  readonly weightClip?: number;
  /** Classifiers only: error-aware training. */
  readonly errors?: TrainingErrors;
  /** Classifiers only: label smoothing, -1..1; see recordSoftmaxCrossEntropy. */
  readonly labelSmoothing?: number;
  /** Classifiers only: a rectangle of every training image is erased anew in every epoch, while the labels are learned. */
  readonly erasing?: Erasing;
  /**
   * Classifiers only: DP-SGD, in all phases. The examples of a step are computed one after the other, so that a step takes as many
   * forward and backward passes, and submits, as it has images.
   */
  readonly privacy?: PrivateTraining;
  /** Classifiers only: a penalty on what hidden values tell about the image. Reported losses do not include it. */
  readonly dependence?: Dependence;
  /** Classifiers only: a variational bottleneck before the last layer, with this factor of its information in the loss. */
  readonly bottleneck?: number;
}

/**
 * Error-aware training, after RandBET (Stutz et al., MLSys 2021): every step stores the weights in `format`, draws bit
 * errors anew and computes loss and gradients with what it fetched; the gradient moves the exact weights (straight
 * through). The format is fitted to the weights once per epoch. `rampEpochs`: the rate rises in equal steps over this number
 * of epochs and has its full value in the last of them, as in EDEN's curriculum; 0 for the full rate from the start.
 */
export interface TrainingErrors {
  readonly format: NumberFormat;
  /** 0..1 */
  readonly bitErrorRate: number;
  readonly rampEpochs: number;
  /** All layers with products by default; batch normalisation is always exact. */
  readonly layers?: readonly string[];
}

/** The published recipe of the shallow experiment. */
export const PUBLISHED_TRAINING: Omit<TrainingConfig, 'seed'> = {
  epochs: 100,
  batchSize: 128,
  optimizer: { kind: 'sgd', learningRate: 1e-3, momentum: 0.9, weightDecay: 5e-4 },
};

/** First specimen of error-aware training, so that no experiment's memory has the errors a victim was trained with. */
const TRAINING_CHIPS = 2 ** 31;

/** Steps of an epoch over a number of images. */
export function stepsPerEpoch({ batchSize, dropLast }: TrainingConfig, images: number): number {
  return Math.max(1, dropLast ? Math.floor(images / batchSize) : Math.ceil(images / batchSize));
}

/** Epochs of a training on a number of images: those of the configuration, or more to reach its least number of steps. */
export function epochsFor(config: TrainingConfig, images: number): number {
  return Math.max(config.epochs, Math.ceil((config.steps ?? 0) / stepsPerEpoch(config, images)));
}

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

/**
 * `reconstruct`: a DAE learns to reconstruct images from noisy images. `classify`: a classifier learns labels from images.
 * `invert`: an inversion network learns images from prediction vectors. `autoencode`: an autoencoder learns images from their
 * codes, to which noise is added.
 */
type PhaseKind = 'reconstruct' | 'classify' | 'invert' | 'autoencode';

interface Phase {
  readonly kind: PhaseKind;
  readonly epochs: number;
  readonly optimizer: OptimizerConfig;
  /** Layers that run before those that learn. */
  readonly frozen: readonly LayerSpec[];
  readonly trained: readonly LayerSpec[];
}

/** A data set on the device, and for an inversion network the aligned prediction vectors, one row per image. */
export type TrainingData = DeviceDataset & { readonly vectors?: Matrix };

/** The layout of all parameters of a model in one buffer: those of `layers`, then those of the decoder. */
export function modelLayout(spec: ModelSpec): ParameterLayout {
  return new ParameterLayout(layerParameters([...spec.layers, ...spec.decoder]));
}

/** Fills the parameters with the published initialisation. @param seed integer in 0..2^53-1 */
export async function initializeParameters(gpu: Gpu, parameters: FlatParameters, seed: number): Promise<void> {
  const recorder = new Recorder(gpu);
  for (const { name, index: tensor, initialization, taps, columns } of parameters.layout.slices) {
    const padded = taps && columns / (taps.height * taps.width);
    const output = parameters.matrix(name);
    recordInitialize(recorder, { output, channels: taps?.channels, padded, initialization, seed, tensor });
  }
  (await recorder.build('initialize')).run();
}

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

function phasesOf(spec: ModelSpec, config: TrainingConfig): Phase[] {
  const { layers, encoderLayers, decoder } = spec;
  const { epochs, optimizer, reconstruction } = config;
  if (isAutoencoder(spec)) {
    if (!config.code) throw new ConfigError('code: an autoencoder needs the noise and the penalty of its codes');
    return [{ kind: 'autoencode', epochs, optimizer, frozen: [], trained: [...layers, ...decoder] }];
  }
  const kind = isInversion(spec) ? 'invert' : 'classify';
  if (decoder.length === 0) return [{ kind, epochs, optimizer, frozen: [], trained: layers }];
  if (!reconstruction) throw new ConfigError('reconstruction: a DAE needs its epochs, deviation and learningRate');
  const { learningRate } = reconstruction;
  const encoder = layers.slice(0, encoderLayers);
  return [
    {
      kind: 'reconstruct',
      epochs: reconstruction.epochs,
      optimizer: { kind: 'adam', learningRate, betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: false },
      frozen: [],
      trained: [...encoder, ...decoder],
    },
    // The encoder stays as it was when reconstruction ended: its decoder must still fit it.
    { kind: 'classify', epochs, optimizer, frozen: encoder, trained: layers.slice(encoderLayers) },
  ];
}

function optimizerBuffers(arena: Arena, optimizer: OptimizerConfig, bytes: number): BufferView[] {
  const names =
    optimizer.kind === 'sgd'
      ? ['velocity']
      : ['first moment', 'second moment', ...(optimizer.amsgrad ? ['largest second moment'] : [])];
  return names.map((name) => arena.allocate(name, bytes));
}

/** Parameters that exist in training only, those of layers that the network does not have: zero at first. */
interface AddedParameters extends Pick<Phase, 'optimizer' | 'trained'> {
  readonly parameters: FlatParameters;
  readonly moments: readonly BufferView[];
}

/** @param layers those that the phase runs: the trained ones, and perhaps others */
function addedParameters(
  arena: Arena,
  { optimizer, trained: own }: Phase,
  layers: readonly LayerSpec[],
): AddedParameters | undefined {
  const trained = layers.filter((layer) => own.every(({ name }) => name !== layer.name));
  if (trained.length === 0) return undefined;
  const layout = new ParameterLayout(layerParameters(trained));
  const parameters = new FlatParameters(arena, 'parameters of training only', layout);
  return { optimizer, trained, parameters, moments: optimizerBuffers(arena, optimizer, layout.length * 4) };
}

/** One step over the flat buffers from the first to the last trained layer: weight decay must not reach frozen ones. */
function recordOptimizer(
  recorder: Recorder,
  { optimizer, trained }: Pick<Phase, 'optimizer' | 'trained'>,
  parameters: FlatParameters,
  gradients: FlatParameters,
  buffers: readonly BufferView[],
): void {
  const { layout } = parameters;
  const moved = layerParameters(trained).filter(({ trainable }) => trainable !== false);
  const first = layout.find(moved[0].name).offset;
  const last = layout.find(moved[moved.length - 1].name);
  const count = last.offset + last.length - first;
  const range = (view: BufferView, from = first): BufferView => ({ ...view, offset: from * 4, size: count * 4 });
  const firstGradient = gradients.layout.find(moved[0].name).offset;
  const flat = { count, parameters: range(parameters.view), gradients: range(gradients.view, firstGradient) };
  if (optimizer.kind === 'sgd') {
    recordSgd(recorder, { ...flat, ...optimizer, velocity: range(buffers[0]) });
  } else {
    const [firstMoment, secondMoment, secondMomentMax] = buffers.map((view) => range(view));
    recordAdam(recorder, { ...flat, ...optimizer, firstMoment, secondMoment, secondMomentMax });
  }
}
