/**
 * The shallow experiment (Fredrikson et al. as MIDAS used it, its faults mended): train a face classifier, invert it by
 * MI-Face, put its layers into approximate memory, and measure accuracy, similarity and identity under every condition.
 */
import { type Inversion, MiFace, type MiFaceConfig, type SearchSpace } from '../attacks/mi_face.ts';
import { type ImageDataset, labelsOf, type Split, toFloat } from '../data/dataset.ts';
import { DataError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Program, WeightRead } from '../gpu/recorder.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import { INFERENCE } from '../layers/layer.ts';
import { plainWeights, planStack, recordStackForward } from '../layers/stack.ts';
import type { MemoryConfig } from '../memory/config.ts';
import { type NullBaselines, nullBaselines } from '../metrics/baselines.ts';
import { type IdentityClassifier, trainIdentityClassifier } from '../metrics/identity.ts';
import { indexPhotographs, type PhotographIndex, similarityToPhotographs } from '../metrics/similarity.ts';
import { type DeviceDataset, uploadDataset } from '../models/device_dataset.ts';
import { EVALUATION_BATCH, Evaluator } from '../models/evaluate.ts';
import { layerNames, type ModelSpec, modelSpec } from '../models/specs.ts';
import type { Victim } from '../models/victim.ts';
import { foldedVictim, isLinear, stackVictim } from '../models/victims.ts';
import { Random } from '../random.ts';
import type { Row } from '../results/results.ts';
import { bitErrorConditions } from './conditions.ts';
import { type DrawBudget, drawBudget, drawsWithin, linearDrawCost } from './draws.ts';
import type { AttackConfig, ShallowConfig } from './shallow_config.ts';
import type { ProgressSink, RunStore } from './store.ts';
import { type Measurement, type Picture, Sweep, type SweepConfig, type SweepSubject, type Tick } from './sweep.ts';
import { trainModel } from './training.ts';

export interface ShallowInput {
  readonly dataset: ImageDataset;
  readonly split: Split;
  /**
   * Start of the attack `mean`, and the null baseline: the mean of public faces, or of the training faces if there are none.
   * [height, width], 0..1.
   */
  readonly meanFace: Float32Array;
}

export interface ShallowOutcome {
  readonly rows: readonly Row[];
  readonly baselines: NullBaselines;
  readonly pictures: readonly Picture[];
  readonly trainAccuracy: number;
  /** Accuracy of the independent judge of identity on the victim's training photographs: the most `identity` can mean. */
  readonly judgeAccuracy: number;
  /** Memory plans, printed once. */
  readonly plans: readonly string[];
}

const MODEL_FILE = 'model.safetensors';

/**
 * Runs the experiment, or goes on where the store says it stopped. Same configuration, same adapter: same rows.
 * @param signal aborts between two units of work; everything finished is in the store
 * @param budget of draws that are measured at once; no number depends on it
 * @throws InterruptedError, DeviceLostError, DataError, ConfigError
 */
export async function runShallow(
  gpu: Gpu,
  input: ShallowInput,
  config: ShallowConfig,
  store: RunStore,
  progress: ProgressSink,
  signal: AbortSignal,
  budget: DrawBudget = drawBudget(gpu),
): Promise<ShallowOutcome> {
  // Refused before the first epoch rather than after the last.
  const conditions = bitErrorConditions(shallowSweep(config), shallowVictim(config, input.dataset));
  const subject = await ShallowSubject.build(gpu, input, config, store, progress, signal, budget);
  try {
    const sweep = new Sweep(subject, subject.memory, shallowSweep(config), store, progress, signal);
    gpu.profiler?.enter('sweep');
    const rows = await sweep.run(conditions);
    const pictures = await sweep.pictures(rows);
    return {
      rows,
      pictures,
      plans: subject.plans,
      trainAccuracy: subject.trainAccuracy,
      judgeAccuracy: subject.judgeAccuracy(),
      baselines: subject.baselines(pictures[0].images),
    };
  } finally {
    subject.destroy();
  }
}

/** The victim of a configuration. @throws DataError for too few people */
export function shallowVictim({ model, hidden }: ShallowConfig, dataset: ImageDataset): ModelSpec {
  const people = new Set(dataset.labels).size;
  if (people < 2) throw new DataError(`${dataset.name}: ${people} class; a classifier needs at least 2`);
  return modelSpec(model, dataset.width * dataset.height, dataset.classNames.length, hidden);
}

/**
 * A trained victim in approximate memory and MI-Face against it, ready to be measured under any configuration of that memory.
 * Built once for a sweep, or for everything that somebody tries on a page.
 */
export class ShallowSubject implements SweepSubject {
  readonly layers: readonly string[];
  readonly attacks: SweepSubject['attacks'];
  readonly varies: boolean;
  readonly pictureSize: SweepSubject['pictureSize'];
  readonly accuracyStep: number;
  /** The victim's. */
  readonly memory: ApproximateMemory;
  /** Of the error-free victim on the images it was trained on. */
  readonly trainAccuracy: number;
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #input: ShallowInput;
  readonly #spec: ModelSpec;
  readonly #config: ShallowConfig;
  readonly #data: DeviceDataset;
  readonly #photographs: PhotographIndex;
  readonly #judge: IdentityClassifier;
  readonly #classes: readonly number[];
  readonly #trainingPlan: string;
  /** Draws at once where the layers are multiplied out. */
  readonly #foldedDraws: number;
  #bench: Bench | undefined;
  /** Plan of the bench that measured the most draws at once. */
  #widest = { draws: 0, plan: '' };

  private constructor(
    arena: Arena,
    input: ShallowInput,
    spec: ModelSpec,
    config: ShallowConfig,
    data: DeviceDataset,
    memory: ApproximateMemory,
    training: { readonly plan: string; readonly accuracy: number },
    budget: DrawBudget,
  ) {
    this.memory = memory;
    this.trainAccuracy = training.accuracy;
    this.#gpu = arena.gpu;
    this.#arena = arena;
    this.#input = input;
    this.#spec = spec;
    this.#config = config;
    this.#data = data;
    this.#trainingPlan = training.plan;
    const { dataset, split } = input;
    const train = toFloat(dataset, split.train);
    this.#photographs = indexPhotographs(train, labelsOf(dataset, split.train), dataset.width, dataset.height);
    this.#judge = trainIdentityClassifier(toFloat(dataset, split.test), labelsOf(dataset, split.test), spec.outputs);
    this.#classes = config.classes ?? [...Array(spec.outputs).keys()];
    this.layers = layerNames(spec);
    this.attacks = config.attacks.map((attack) => ({ name: attackName(attack), units: attack.iterations }));
    // Black and mean starts do not change from draw to draw.
    this.varies = config.attacks.some((attack) => attack.start === 'noise' || attack.search);
    this.pictureSize = { images: this.#classes.length, pixels: dataset.width * dataset.height };
    this.accuracyStep = 1 / split.test.length;
    const evaluated = Math.min(EVALUATION_BATCH, split.test.length);
    const cost = linearDrawCost(spec.inputs, spec.outputs, evaluated, this.#classes.length, config.attacks);
    // A black-box attack draws its directions for one draw of the memory.
    this.#foldedDraws = config.attacks.some((attack) => attack.search) ? 1 : drawsWithin(budget, cost);
  }

  /**
   * Trains the victim, or takes it from the store.
   * @throws InterruptedError, DeviceLostError, DataError
   */
  static async build(
    gpu: Gpu,
    input: ShallowInput,
    config: ShallowConfig,
    store: RunStore,
    progress: ProgressSink,
    signal: AbortSignal,
    budget: DrawBudget = drawBudget(gpu),
  ): Promise<ShallowSubject> {
    const { dataset, split } = input;
    const spec = shallowVictim(config, dataset);
    const arena = new Arena(gpu);
    try {
      const data = uploadDataset(arena, dataset);
      const trainer = await trainModel({
        arena,
        spec,
        data,
        indices: split.train,
        config: { ...config.training, seed: config.seed },
        dataset: dataset.sha256,
        file: MODEL_FILE,
        label: 'training',
        store,
        progress,
        signal,
      });
      const { plan, parameters } = trainer;
      trainer.finish();
      const memory = await ApproximateMemory.store(arena, parameters);
      const victim = stackVictim(spec.layers, plainWeights(parameters));
      const evaluator = await Evaluator.build(gpu, victim, data, split.train);
      const [{ accuracy }] = await evaluator.run();
      evaluator.destroy();
      return new ShallowSubject(arena, input, spec, config, data, memory, { plan, accuracy }, budget);
    } catch (error) {
      arena.destroy();
      throw error;
    }
  }

  /** Memory plans, for people. */
  get plans(): readonly string[] {
    const { draws, plan } = this.#bench && this.#bench.draws > this.#widest.draws ? this.#bench : this.#widest;
    return draws > 0 ? [this.#trainingPlan, plan] : [this.#trainingPlan];
  }

  /** Accuracy of the independent judge of identity on the victim's training photographs: the most `identity` can mean. */
  judgeAccuracy(): number {
    const { dataset, split } = this.#input;
    return this.#judge.accuracy(toFloat(dataset, split.train), labelsOf(dataset, split.train));
  }

  /** What is reached without any attack. @param images reconstructions of the attacked classes */
  baselines(images: readonly Float32Array[]): NullBaselines {
    return nullBaselines(this.#input.meanFace, images, this.#classes, this.#photographs, this.#config.seed);
  }

  destroy(): void {
    this.#retireBench();
    this.#arena.destroy();
  }

  /** Whether two linear layers are read once a load, so that their product can stand for them. */
  #folds({ granularity, activations }: MemoryConfig): boolean {
    const perLoad = granularity === 'load' || granularity === 'chip';
    const linear = isLinear(this.#spec.layers) && Object.keys(activations).length === 0;
    return perLoad && linear && !this.layers.some((layer) => this.memory.fused(layer));
  }

  drawsAtOnce(memory: MemoryConfig): number {
    return this.#folds(memory) ? this.#foldedDraws : 1;
  }

  async prepare(memory: MemoryConfig, draws: number): Promise<void> {
    const key = `${draws} ${this.memory.recordingKey}`;
    if (this.#bench?.key === key) return;
    this.#retireBench();
    const folds = this.#folds(memory);
    this.#bench = await Bench.build(this.#gpu, key, this.#spec, this.memory, folds, draws, this.#data, this.#input);
  }

  #retireBench(): void {
    if (!this.#bench) return;
    const { draws, plan } = this.#bench;
    if (draws > this.#widest.draws) this.#widest = { draws, plan };
    this.#bench.destroy();
    this.#bench = undefined;
  }

  hold(place: number): void {
    this.#bench!.hold(place);
  }

  async accuracies(): Promise<number[]> {
    return (await this.#bench!.evaluator.run()).map(({ accuracy }) => accuracy);
  }

  weightReads(): readonly WeightRead[] {
    return this.#bench!.evaluator.weightReads;
  }

  async attack(name: string, draws: readonly number[], tick: Tick): Promise<Measurement[]> {
    const attack = this.#config.attacks.find((each) => attackName(each) === name)!;
    const classes = this.#classes;
    const run = await this.#bench!.attack(name, classes, miFaceConfig(attack));
    this.#gpu.profiler?.enter('attack');
    const starts = draws.flatMap((draw) => this.#starts(attack, draw));
    const images = async () => (await run.results()).map(({ image }) => image);
    const results = await run.run(starts, draws[0], (iteration) => tick(iteration, images));
    this.#gpu.profiler?.enter('sweep');
    return draws.map((_, i) => this.#measure(results.slice(i * classes.length, (i + 1) * classes.length)));
  }

  #starts(attack: AttackConfig, draw: number): Float32Array[] {
    const { dataset, meanFace } = this.#input;
    const pixels = dataset.width * dataset.height;
    return this.#classes.map((target) => {
      if (attack.start === 'mean') return meanFace;
      const image = new Float32Array(pixels);
      if (attack.start === 'noise') {
        const random = new Random(this.#config.seed, 1 + draw * 0x10000 + target);
        for (let i = 0; i < pixels; i++) image[i] = random.nextU32() / 2 ** 32;
      }
      return image;
    });
  }

  #measure(results: readonly Inversion[]): Measurement {
    const scores = results.map(({ image, target }) => similarityToPhotographs(image, this.#photographs, target));
    const list = (metric: 'pcc' | 'pccLift' | 'mse' | 'psnr' | 'ssim') => scores.map((score) => score[metric]);
    return {
      perIdentity: {
        pcc: list('pcc'),
        pccLift: list('pccLift'),
        identity: results.map(({ image, target }) => (this.#judge.predict(image) === target ? 1 : 0)),
        mse: list('mse'),
        psnr: list('psnr'),
        ssim: list('ssim'),
      },
      n: results.length,
      images: results.map(({ image }) => image),
    };
  }
}

/** What the sweep of a configuration is. */
export function shallowSweep(config: ShallowConfig): SweepConfig {
  const { format, granularity, path, rates, layerSets, grid, rateMaps, memories, draws, noise, seed } = config;
  const sweeps = layerSets.map((layers) => ({ layers, rates }));
  return {
    format,
    granularity,
    path,
    sweeps,
    grid,
    rateMaps,
    memories,
    draws,
    noise: { kinds: noise, sets: layerSets, moments: false },
    seed,
  };
}

/** The programs that measure one way of reading memory: evaluation and attacks, built once and run for all draws of it. */
class Bench {
  readonly key: string;
  readonly evaluator: Evaluator;
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #victim: Victim;
  readonly #space: SearchSpace;
  readonly #folds: readonly Program[];
  readonly #attacks = new Map<string, MiFace>();

  private constructor(
    gpu: Gpu,
    key: string,
    arena: Arena,
    evaluator: Evaluator,
    victim: Victim,
    space: SearchSpace,
    folds: readonly Program[],
  ) {
    this.#gpu = gpu;
    this.key = key;
    this.#arena = arena;
    this.evaluator = evaluator;
    this.#victim = victim;
    this.#space = space;
    this.#folds = folds;
  }

  static async build(
    gpu: Gpu,
    key: string,
    spec: ModelSpec,
    memory: ApproximateMemory,
    fold: boolean,
    draws: number,
    data: DeviceDataset,
    { dataset, split }: ShallowInput,
  ): Promise<Bench> {
    const arena = new Arena(gpu);
    const { height, width } = dataset;
    const weights = memory.weightsOf;
    const { layers } = spec;
    const folded = fold && isLinear(layers) ? await foldedVictim(arena, layers, weights, draws) : undefined;
    const whole = folded?.victim ?? stackVictim(spec.layers, weights, memory);
    const evaluator = await Evaluator.build(gpu, whole, data, split.test);
    let victim = whole;
    let space: SearchSpace = { height, width };
    if (spec.decoder.length > 0) {
      // Fredrikson's attack on the DAE moves the code; the encoder and decoder that turn it into images are the model's.
      const encoder = spec.layers.slice(0, spec.encoderLayers);
      victim = stackVictim(spec.layers.slice(spec.encoderLayers), weights, memory);
      space = {
        height,
        width,
        latent: {
          size: victim.inputs,
          plan(planned, code, image, processed) {
            const decode = planStack(planned, spec.decoder, code, INFERENCE, image);
            const encode = planStack(planned, encoder, processed, INFERENCE, code);
            return {
              recordDecode: (recorder) => recordStackForward(recorder, planned, spec.decoder, weights, decode),
              recordEncode: (recorder) => recordStackForward(recorder, planned, encoder, weights, encode),
            };
          },
        },
      };
    }
    return new Bench(gpu, key, arena, evaluator, victim, space, folded?.folds ?? []);
  }

  /** Draws that are measured at once. */
  get draws(): number {
    return this.#victim.draws;
  }

  /** Keeps what the memory returns now as draw number `place`; a victim that reads it by itself holds it anyway. */
  hold(place: number): void {
    this.#folds[place]?.run();
  }

  async attack(name: string, classes: readonly number[], config: MiFaceConfig): Promise<MiFace> {
    let attack = this.#attacks.get(name);
    if (!attack) {
      const targets = Array.from({ length: this.draws }, () => classes).flat();
      attack = await MiFace.build(this.#gpu, this.#victim, this.#space, targets, config);
      this.#attacks.set(name, attack);
    }
    return attack;
  }

  /** For example `5 draws at once: mi-face zero arena 33.1 MB, 15 buffers`. */
  get plan(): string {
    const attacks = [...this.#attacks].map(([name, attack]) => `${name} ${attack.plan}`).join('; ');
    return `${this.draws} ${this.draws === 1 ? 'draw' : 'draws'} at once: ${attacks}`;
  }

  destroy(): void {
    this.evaluator.destroy();
    for (const attack of this.#attacks.values()) attack.destroy();
    this.#arena.destroy();
  }
}

/** `mi-face zero`, with what sets it apart from the plain white-box attack. */
export function attackName({ start, search, decimals, process }: AttackConfig): string {
  const parts = ['mi-face', start];
  if (search) parts.push('black-box');
  if (decimals !== undefined) parts.push(`rounded ${decimals}`);
  if (process) parts.push('PROCESS');
  return parts.join(' ');
}

function miFaceConfig({ beta, gamma, ...attack }: AttackConfig): MiFaceConfig {
  return { ...attack, beta: beta ?? Number.POSITIVE_INFINITY, gamma: gamma ?? Number.NEGATIVE_INFINITY };
}
