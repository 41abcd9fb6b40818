/**
 * The deep experiment (Yang et al. as MIDAS used it, its faults mended): train a convolutional face classifier on private
 * people and a network that inverts its predictions on public ones, put layers of the classifier into approximate memory,
 * and measure accuracy, and the similarity of reconstructions to the very images that were classified, under every
 * condition.
 */
import {
  type Alignment,
  alignLogits,
  InversionAttack,
  type InversionAttacker,
  Predictor,
  type Reconstructions,
  smallestLogConfidence,
} from '../attacks/inversion.ts';
import { type ImageDataset, labelsOf, type Split, toFloat } from '../data/dataset.ts';
import { DataError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { WeightRead } from '../gpu/recorder.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import type { FlatParameters } from '../layers/parameters.ts';
import { plainWeights } from '../layers/stack.ts';
import { type NullBaselines, nullBaselines } from '../metrics/baselines.ts';
import { type IdentityClassifier, trainIdentityClassifier } from '../metrics/identity.ts';
import { indexPhotographs, meanPccs, mse, type PhotographIndex, pcc, psnr, ssim } from '../metrics/similarity.ts';
import { loadParameters, readCheckpoint } from '../models/checkpoint.ts';
import { type DeviceDataset, uploadDataset } from '../models/device_dataset.ts';
import { layerNames, type ModelSpec } from '../models/specs.ts';
import type { TrainingConfig, TrainingData } from '../models/trainer.ts';
import { stackVictim } from '../models/victims.ts';
import { yangClassifier, yangInversion } from '../models/yang.ts';
import type { Row } from '../results/results.ts';
import { bitErrorConditions } from './conditions.ts';
import type { AttackerConfig, DeepConfig } from './deep_config.ts';
import type { ProgressSink, RunStore } from './store.ts';
import { type Measurement, mean, type Picture, Sweep, type SweepConfig, type SweepSubject } from './sweep.ts';
import { trainModel } from './training.ts';

export interface DeepInput {
  /** The victim's people, size x size. */
  readonly dataset: ImageDataset;
  readonly split: Split;
  /** Other people, whose faces the attacker has; the same size. */
  readonly publicFaces: ImageDataset;
  /** Null baseline: the mean of the public faces, [size, size], 0..1. */
  readonly meanFace: Float32Array;
  /**
   * Checkpoints to use instead of training, by the names they have in the folder of a run; the networks must be those of
   * the configuration.
   */
  readonly pretrained?: ReadonlyMap<string, Uint8Array>;
}

export interface DeepOutcome {
  readonly rows: readonly Row[];
  readonly baselines: NullBaselines;
  readonly pictures: readonly Picture[];
  /** The private images that pictures reconstruct, in their order: indices into the data set. */
  readonly shown: Readonly<Record<Side, readonly number[]>>;
  readonly trainAccuracy: number;
  /** Accuracy of the independent judges of identity on photographs they have not seen. */
  readonly judgeAccuracy: number;
  readonly plans: readonly string[];
}

/** Which of the victim's images are attacked: those it was trained on, or held-out ones of the same people. */
export const SIDES = ['held-out', 'training'] as const;
export type Side = (typeof SIDES)[number];

/** At most so many pictures are kept of a condition. */
const SHOWN = 10;

/** `inversion, held-out`; with several attackers `inversion floor, held-out`. */
export function deepAttackName(attackers: readonly AttackerConfig[], attacker: string, side: Side): string {
  return `inversion${attackers.length > 1 ? ` ${attacker}` : ''}, ${side}`;
}

/** What the sweep of a configuration is. */
export function deepSweep(config: DeepConfig): SweepConfig {
  const { format, granularity, path, sweeps, memories, draws, noise, seed } = config;
  return { format, granularity, path, sweeps, grid: [], rateMaps: [], memories, draws, noise, seed };
}

/** The victim of a configuration. @param classes private people */
export function deepVictim(config: DeepConfig, classes: number): ModelSpec {
  return yangClassifier({ kind: 'yang-classifier', size: config.size, ndf: config.victim.ndf, classes });
}

/** The inversion network of a configuration. */
export function deepInversion(config: DeepConfig, classes: number): ModelSpec {
  return yangInversion({ kind: 'yang-inversion', size: config.size, ngf: config.inversion.ngf, classes });
}

/** The published recipe, Adam with AMSGrad, at the configuration's rate. */
export function deepTraining(training: DeepConfig['victim']['training'], seed: number): TrainingConfig {
  const { learningRate, ...rest } = training;
  const optimizer = { kind: 'adam', learningRate, betas: [0.5, 0.999], epsilon: 1e-8, amsgrad: true } as const;
  return { ...rest, optimizer, dropLast: true, seed };
}

/**
 * Runs the experiment, or goes on where the store says it stopped. Same configuration, same adapter: same rows.
 * @param signal aborts between two units of work; everything finished is in the store
 * @throws InterruptedError, DeviceLostError, DataError, ConfigError
 */
export async function runDeep(
  gpu: Gpu,
  input: DeepInput,
  config: DeepConfig,
  store: RunStore,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<DeepOutcome> {
  // Refused before the first epoch rather than after the last.
  const spec = deepVictim(config, peopleOf(input, config));
  const conditions = bitErrorConditions(deepSweep(config), spec);
  const subject = await DeepSubject.build(gpu, input, config, store, progress, signal);
  try {
    const sweep = new Sweep(subject, subject.memory, deepSweep(config), store, progress, signal);
    gpu.profiler?.enter('sweep');
    const rows = await sweep.run(conditions);
    const pictures = await sweep.pictures(rows);
    return {
      rows,
      pictures,
      shown: subject.shown,
      plans: subject.plans,
      trainAccuracy: subject.trainAccuracy,
      judgeAccuracy: subject.judgeAccuracy(),
      baselines: subject.baselines(pictures[0].images),
    };
  } finally {
    subject.destroy();
  }
}

/** How many people the victim tells apart. @throws DataError for images the networks do not take, or too few people */
function peopleOf({ dataset, publicFaces }: DeepInput, { size }: DeepConfig): number {
  for (const { name, width, height } of [dataset, publicFaces]) {
    if (width !== size || height !== size) {
      throw new DataError(`${name}: images are ${width}x${height}, the networks take ${size}x${size}`);
    }
  }
  const classes = dataset.classNames.length;
  if (classes < 2) throw new DataError(`${dataset.name}: ${classes} class; a classifier needs at least 2`);
  return classes;
}

/** One side of the private photographs, and what judges reconstructions of it. */
interface Attacked {
  readonly indices: Uint32Array;
  readonly images: readonly Float32Array[];
  readonly labels: Uint32Array;
  /** All photographs of the side, for wrong persons. */
  readonly index: PhotographIndex;
  /** Trained on the photographs of the other side. */
  readonly judge: IdentityClassifier;
}

/**
 * A victim in approximate memory and its attackers, ready to be measured under any configuration of that memory. Built once
 * for a sweep, or for everything that somebody tries on a page.
 */
export class DeepSubject implements SweepSubject {
  readonly layers: readonly string[];
  readonly attacks: SweepSubject['attacks'];
  readonly varies = false;
  readonly pictureSize: SweepSubject['pictureSize'];
  readonly accuracyStep: number;
  /** The victim's. */
  readonly memory: ApproximateMemory;
  /** Of the error-free victim on the images it was trained on. */
  readonly trainAccuracy: number;
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #input: DeepInput;
  readonly #spec: ModelSpec;
  readonly #config: DeepConfig;
  readonly #data: DeviceDataset;
  readonly #sides: Readonly<Record<Side, Attacked>>;
  readonly #attackers: readonly InversionAttacker[];
  readonly #plans: readonly string[];
  #bench: { key: string; predictor: Predictor; attack: InversionAttack } | undefined;
  /** Memory plan of the last bench. */
  #benchPlan: string | undefined;
  /** Of the memory as it is loaded; made at most once a load. */
  #reconstructions: Map<string, Reconstructions> | undefined;

  private constructor(networks: Networks, memory: ApproximateMemory, trainAccuracy: number) {
    const { gpu, arena, input, spec, config, data } = networks;
    this.memory = memory;
    this.trainAccuracy = trainAccuracy;
    this.#gpu = gpu;
    this.#arena = arena;
    this.#input = input;
    this.#spec = spec;
    this.#config = config;
    this.#data = data;
    this.#attackers = networks.attackers;
    this.#plans = networks.plans;
    const { dataset, split } = input;
    this.layers = layerNames(spec);
    this.#sides = {
      'held-out': attackedSide(dataset, split.test, split.train, config.photographs),
      training: attackedSide(dataset, split.train, split.test, config.photographs),
    };
    this.attacks = config.attackers.flatMap(({ name }) =>
      SIDES.map((side) => ({ name: deepAttackName(config.attackers, name, side), units: 1 })),
    );
    const images = Math.min(SHOWN, ...SIDES.map((side) => this.#sides[side].indices.length));
    this.pictureSize = { images, pixels: dataset.width * dataset.height };
    this.accuracyStep = 1 / split.test.length;
  }

  /**
   * Trains the networks that are not given, or takes them from the store.
   * @throws InterruptedError, DeviceLostError, DataError
   */
  static async build(
    gpu: Gpu,
    input: DeepInput,
    config: DeepConfig,
    store: RunStore,
    progress: ProgressSink,
    signal: AbortSignal,
  ): Promise<DeepSubject> {
    const spec = deepVictim(config, peopleOf(input, config));
    const arena = new Arena(gpu);
    try {
      const data = uploadDataset(arena, input.dataset);
      const networks = new Networks(gpu, arena, input, spec, config, data, { store, progress, signal });
      const victim = await networks.trainVictim();
      const memory = await ApproximateMemory.store(arena, victim);
      const exact = stackVictim(spec.layers, plainWeights(victim));
      const { train } = input.split;
      const predictor = await Predictor.build(gpu, exact, data, train, config.victim.training.batchSize);
      const trainAccuracy = await predictor.accuracy(labelsOf(input.dataset, train));
      predictor.destroy();
      await networks.trainAttackers(memory);
      return new DeepSubject(networks, memory, trainAccuracy);
    } catch (error) {
      arena.destroy();
      throw error;
    }
  }

  /** Memory plans, for people. */
  get plans(): readonly string[] {
    return this.#benchPlan === undefined ? this.#plans : [...this.#plans, `inversion ${this.#benchPlan}`];
  }

  /** The private images that pictures reconstruct, in their order: indices into the data set. */
  get shown(): Record<Side, readonly number[]> {
    const first = (side: Side) => [...this.#sides[side].indices.subarray(0, this.pictureSize.images)];
    return { 'held-out': first('held-out'), training: first('training') };
  }

  /** Accuracy of the independent judges of identity on photographs they have not seen. */
  judgeAccuracy(): number {
    return mean(
      SIDES.map((side) => {
        const { judge, indices, labels } = this.#sides[side];
        return judge.accuracy(toFloat(this.#input.dataset, indices), labels);
      }),
    );
  }

  /** What is reached without any attack. @param images reconstructions of the held-out images that are shown */
  baselines(images: readonly Float32Array[]): NullBaselines {
    const { labels, index } = this.#sides['held-out'];
    const persons = labels.subarray(0, this.pictureSize.images);
    return nullBaselines(this.#input.meanFace, images, persons, index, this.#config.seed);
  }

  /** A draw's photographs fill a device by themselves, and convolutions have one set of weights a dispatch. */
  drawsAtOnce(): number {
    return 1;
  }

  async prepare(): Promise<void> {
    const key = this.memory.recordingKey;
    if (this.#bench?.key === key) return;
    this.#destroyBench();
    const victim = stackVictim(this.#spec.layers, this.memory.weightsOf, this.memory);
    const { split } = this.#input;
    const indices = Uint32Array.from(SIDES.flatMap((side) => [...this.#sides[side].indices]));
    // Predictions are made in the batches of the training, whose kernels are compiled already.
    const size = this.#config.victim.training.batchSize;
    this.#bench = {
      key,
      predictor: await Predictor.build(this.#gpu, victim, this.#data, split.test, size),
      attack: await InversionAttack.build(this.#gpu, victim, this.#data, indices, this.#attackers, size),
    };
    this.#benchPlan = this.#bench.attack.plan;
  }

  hold(): void {
    this.#reconstructions = undefined;
  }

  async accuracies(): Promise<number[]> {
    return [await this.#bench!.predictor.accuracy(labelsOf(this.#input.dataset, this.#input.split.test))];
  }

  weightReads(): readonly WeightRead[] {
    return this.#bench!.predictor.weightReads;
  }

  async attack(name: string): Promise<Measurement[]> {
    if (!this.#reconstructions) {
      this.#gpu.profiler?.enter('attack');
      this.#reconstructions = await this.#bench!.attack.run();
      this.#gpu.profiler?.enter('sweep');
    }
    const { attackers } = this.#config;
    for (const attacker of attackers) {
      let first = 0;
      for (const side of SIDES) {
        const count = this.#sides[side].indices.length;
        if (deepAttackName(attackers, attacker.name, side) === name) {
          const { images, underflow } = this.#reconstructions.get(attacker.name)!;
          return [this.#measure(this.#sides[side], images.slice(first, first + count), underflow)];
        }
        first += count;
      }
    }
    throw new Error(`no attack ${name}`);
  }

  /** Every reconstruction against the image it was made from, averaged person by person. */
  #measure(
    { images, labels, index, judge }: Attacked,
    results: readonly Float32Array[],
    underflow: number,
  ): Measurement {
    const { size } = this.#config;
    const scores = results.map((result, i) => {
      const own = pcc(result, images[i]);
      return {
        pcc: own,
        pccLift: own - meanPccs(result, index, labels[i]).wrong,
        identity: judge.predict(result) === labels[i] ? 1 : 0,
        mse: mse(result, images[i]),
        psnr: psnr(result, images[i]),
        ssim: ssim(result, images[i], size, size),
      };
    });
    const persons = [...new Set(labels)];
    const list = (metric: keyof (typeof scores)[number]) =>
      persons.map((person) => mean(scores.filter((_, i) => labels[i] === person).map((score) => score[metric])));
    return {
      perIdentity: {
        pcc: list('pcc'),
        pccLift: list('pccLift'),
        identity: list('identity'),
        mse: list('mse'),
        psnr: list('psnr'),
        ssim: list('ssim'),
      },
      n: results.length,
      images: results.slice(0, this.pictureSize.images),
      underflow,
    };
  }

  /** Attacks other images as the memory is loaded now. @returns by the attackers' names. @throws ShapeError, DeviceLostError */
  async invert(images: ImageDataset): Promise<Map<string, Reconstructions>> {
    const arena = new Arena(this.#gpu);
    const victim = stackVictim(this.#spec.layers, this.memory.weightsOf, this.memory);
    const everything = Uint32Array.from(images.labels.keys());
    const { batchSize } = this.#config.victim.training;
    const data = uploadDataset(arena, images);
    let attack: InversionAttack | undefined;
    try {
      attack = await InversionAttack.build(this.#gpu, victim, data, everything, this.#attackers, batchSize);
      return await attack.run();
    } finally {
      attack?.destroy();
      arena.destroy();
    }
  }

  destroy(): void {
    this.#destroyBench();
    this.#arena.destroy();
  }

  #destroyBench(): void {
    this.#bench?.predictor.destroy();
    this.#bench?.attack.destroy();
    this.#bench = undefined;
  }
}

/** The networks of an experiment: given, or trained, and then their memory plans are kept. */
class Networks {
  readonly gpu: Gpu;
  readonly arena: Arena;
  readonly input: DeepInput;
  readonly spec: ModelSpec;
  readonly config: DeepConfig;
  readonly data: DeviceDataset;
  readonly attackers: InversionAttacker[] = [];
  readonly plans: string[] = [];
  readonly #run: { readonly store: RunStore; readonly progress: ProgressSink; readonly signal: AbortSignal };

  constructor(
    gpu: Gpu,
    arena: Arena,
    input: DeepInput,
    spec: ModelSpec,
    config: DeepConfig,
    data: DeviceDataset,
    run: { readonly store: RunStore; readonly progress: ProgressSink; readonly signal: AbortSignal },
  ) {
    this.gpu = gpu;
    this.arena = arena;
    this.input = input;
    this.spec = spec;
    this.config = config;
    this.data = data;
    this.#run = run;
  }

  trainVictim(): Promise<FlatParameters> {
    const { dataset, split } = this.input;
    return this.#model('victim', this.spec, this.data, split.train, dataset.sha256);
  }

  /** An inversion network for every attacker, one for all whose vectors are the same. */
  async trainAttackers(memory: ApproximateMemory): Promise<void> {
    const { publicFaces } = this.input;
    const { attackers } = this.config;
    const classes = this.spec.outputs;
    const everyone = Uint32Array.from(publicFaces.labels.keys());
    const arena = new Arena(this.gpu);
    const data = uploadDataset(arena, publicFaces);
    const victim = stackVictim(this.spec.layers, plainWeights(memory.exact));
    const { batchSize } = this.config.victim.training;
    const predictor = await Predictor.build(this.gpu, victim, data, everyone, batchSize);
    const logits = await predictor.run();
    predictor.destroy();
    // Rounded down, because the device rounds too: a clip a little above would change the vectors it was taken from.
    const observed = Math.floor(smallestLogConfidence(logits, classes));
    const spec = deepInversion(this.config, classes);
    const known: { readonly values: Float32Array; readonly weights: InversionAttacker['weights'] }[] = [];
    for (const { name, truncation = classes, floor, clip } of attackers) {
      const alignment: Alignment = { truncation, floor, clip: clip === 'observed' ? observed : clip };
      const { vectors, values } = await alignLogits(arena, logits, classes, alignment);
      let network = known.find((other) => other.values.every((value, i) => Object.is(value, values[i])));
      if (!network) {
        const file = known.length === 0 ? 'inversion' : `inversion-${name}`;
        const hash = `${this.input.dataset.sha256} ${publicFaces.sha256}`;
        const parameters = await this.#model(file, spec, { ...data, vectors }, everyone, hash);
        network = { values, weights: plainWeights(parameters) };
        known.push(network);
      }
      this.attackers.push({ name, alignment, layers: spec.layers, weights: network.weights });
    }
    arena.destroy();
  }

  async #model(
    name: string,
    spec: ModelSpec,
    data: TrainingData,
    indices: Uint32Array,
    dataset: string,
  ): Promise<FlatParameters> {
    const file = `${name}.safetensors`;
    const { pretrained } = this.input;
    if (pretrained) {
      const bytes = pretrained.get(file);
      if (!bytes) {
        throw new DataError(`no ${file} among the trained networks (${[...pretrained.keys()].join(', ')}); train it`);
      }
      return loadParameters(this.arena, readCheckpoint(bytes, file, spec));
    }
    const { victim, inversion, seed } = this.config;
    const trainer = await trainModel({
      arena: this.arena,
      spec,
      data,
      indices,
      config: deepTraining(spec === this.spec ? victim.training : inversion.training, seed),
      dataset,
      file,
      label: `training the ${name === 'victim' ? 'victim' : 'inversion network'}`,
      ...this.#run,
    });
    this.plans.push(`${name} ${trainer.plan}`);
    trainer.finish();
    return trainer.parameters;
  }
}

function attackedSide(dataset: ImageDataset, side: Uint32Array, other: Uint32Array, photographs: number): Attacked {
  const taken = new Map<number, number>();
  const indices = side.filter((image) => {
    const count = taken.get(dataset.labels[image]) ?? 0;
    taken.set(dataset.labels[image], count + 1);
    return count < photographs;
  });
  // Person after person of the first photographs, so that the first pictures show different people.
  const rank = new Map<number, number>();
  const order = [...indices].map((image) => {
    const label = dataset.labels[image];
    const place = rank.get(label) ?? 0;
    rank.set(label, place + 1);
    return { image, place };
  });
  order.sort((a, b) => a.place - b.place || a.image - b.image);
  const sorted = Uint32Array.from(order, ({ image }) => image);
  const { width, height } = dataset;
  const pixels = width * height;
  const floats = toFloat(dataset, sorted);
  return {
    indices: sorted,
    images: Array.from(sorted, (_, i) => floats.slice(i * pixels, (i + 1) * pixels)),
    labels: labelsOf(dataset, sorted),
    index: indexPhotographs(toFloat(dataset, side), labelsOf(dataset, side), width, height),
    judge: trainIdentityClassifier(toFloat(dataset, other), labelsOf(dataset, other), dataset.classNames.length),
  };
}
