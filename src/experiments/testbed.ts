/**
 * A testbed: one victim ready in approximate memory, and attacks that are ready to run against it under any configuration of
 * that memory. Built once for a whole sweep, or for everything that a user of the page tries.
 */

import {
  type AttackContext,
  type AttackOutput,
  type Membership,
  type PreparedAttack,
  type Release,
  SPLITS,
  type SplitName,
  type Tick,
} from '../attacks/attack.ts';
import { attackOfKind } from '../attacks/registry.ts';
import { type ImageDataset, labelsOf, meanImage } from '../data/dataset.ts';
import { releaseDefence } from '../defences/registry.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { WeightRead } from '../gpu/recorder.ts';
import type { Channels } from '../image_size.ts';
import { ApproximateMemory } from '../injection/approximate_memory.ts';
import { plainWeights } from '../layers/weights.ts';
import type { MemoryConfig } from '../memory/config.ts';
import { type NullBaselines, nullBaselines } from '../metrics/baselines.ts';
import { separation } from '../metrics/membership.ts';
import type { PersonScores } from '../metrics/scoring.ts';
import { activationRanges } from '../models/activation_ranges.ts';
import { type DeviceDataset, uploadDataset } from '../models/device_dataset.ts';
import { type Evaluation, Evaluator } from '../models/evaluate.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { isAutoencoder, layerNames } from '../models/specs.ts';
import type { TrainingPrivacy } from '../models/training_privacy.ts';
import { isLinear, releasedVictim, stackVictim } from '../models/victims.ts';
import { isCalibrationImage } from '../results/equal_accuracy.ts';
import { fileName, type Row, releaseName } from '../results/results.ts';
import type { ExperimentConfig, ReleaseConfig } from './config.ts';
import {
  attackedPeople,
  checkPublicFaces,
  privacyOf,
  victimSpec,
  victimTraining,
  warnNearChance,
} from './described_victim.ts';
import { type DrawBudget, drawBudget, drawsWithin, linearDrawCost } from './draws.ts';
import type { ExperimentData } from './faces.ts';
import { Networks, VICTIM_FILE } from './networks.ts';
import { PreparedVictim } from './prepared_victim.ts';
import { type RunContext, SILENT } from './store.ts';
import { type EvaluatorAccuracies, Truths } from './truths.ts';

/** The result of one attack on one draw. */
export interface Measurement {
  readonly perIdentity: PersonScores;
  /** What a membership inference attack found; its `perIdentity` is empty. */
  readonly membership?: Row['membership'];
  /** Number of reconstructions that were scored. */
  readonly n: number;
  /** Queries to the victim per reconstruction. */
  readonly queries: number;
  /** The reconstructions that are stored as pictures, [height, width, channels] each. */
  readonly images: readonly Float32Array[];
  readonly reloads?: number;
  readonly underflow?: number;
}

/** One victim in approximate memory, and the attacks that are ready to run against it. */
export class Testbed {
  readonly spec: ModelSpec;
  /** Layers that a memory configuration may name. */
  readonly layers: readonly string[];
  /** Results of all attacks, in the order of the configuration. */
  readonly outputs: readonly AttackOutput[];
  /** True if results of an attack differ between draws even if the weights do not. */
  readonly varies: boolean;
  /** The person on every photograph of the test split. */
  readonly heldOutPersons: Uint32Array;
  /** The share of one photograph in the accuracy on the photographs that calibrate noise. */
  readonly calibrationStep: number;
  /** Width and height of the images in pixels, and their values per pixel. */
  readonly width: number;
  readonly height: number;
  readonly channels: Channels;
  /** The victim's memory. */
  readonly memory: ApproximateMemory;
  /** Accuracy of the error-free victim on its training images. */
  readonly trainAccuracy: number;
  /** Privacy of a victim that was trained here by DP-SGD. */
  readonly privacy: TrainingPrivacy | undefined;
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  /** The public faces, where an attack needs them until the end. */
  readonly #publicArena: Arena | undefined;
  readonly #data: ExperimentData;
  readonly #config: ExperimentConfig;
  readonly #photographs: DeviceDataset;
  readonly #truths: Truths;
  readonly #people: readonly number[];
  readonly #attacks: readonly PreparedAttack[];
  readonly #plans: readonly string[];
  readonly #releases: readonly NamedRelease[];
  /** Numbers of the draws that are measured now, which random releases read. */
  readonly #drawNumbers: BufferView;
  /** Number of draws that are measured together where the layers are replaced by their product. */
  readonly #foldedDraws: number;
  #prepared: PreparedVictim | undefined;
  /** Seconds and draws of every output of an attack so far. */
  readonly #times = new Map<string, { readonly seconds: number; readonly draws: number }>();
  /** Plan of the programs that measured the most draws together. */
  #widest = { draws: 0, plan: '' };

  private constructor(args: {
    arena: Arena;
    publicArena: Arena | undefined;
    data: ExperimentData;
    config: ExperimentConfig;
    spec: ModelSpec;
    photographs: DeviceDataset;
    memory: ApproximateMemory;
    trainAccuracy: number;
    privacy: TrainingPrivacy | undefined;
    truths: Truths;
    attacks: readonly PreparedAttack[];
    plans: readonly string[];
    releases: readonly NamedRelease[];
    drawNumbers: BufferView;
    budget: DrawBudget;
  }) {
    const { arena, data, config, spec, attacks } = args;
    this.#gpu = arena.gpu;
    this.#arena = arena;
    this.#publicArena = args.publicArena;
    this.#data = data;
    this.width = data.dataset.width;
    this.height = data.dataset.height;
    this.channels = data.dataset.channels;
    this.#config = config;
    this.spec = spec;
    this.layers = layerNames(spec);
    this.#photographs = args.photographs;
    this.memory = args.memory;
    this.trainAccuracy = args.trainAccuracy;
    this.privacy = args.privacy;
    this.#truths = args.truths;
    this.#attacks = attacks;
    this.#plans = args.plans;
    this.#releases = args.releases;
    this.#drawNumbers = args.drawNumbers;
    this.#people = attackedPeople(config, spec);
    this.outputs = attacks.flatMap(({ outputs }) => outputs);
    this.varies = attacks.some(({ varies }) => varies);
    const { test } = data.split;
    this.heldOutPersons = labelsOf(data.dataset, test);
    this.calibrationStep = 1 / [...test.keys()].filter(isCalibrationImage).length;
    const evaluated = Math.min(config.evaluationBatch, test.length);
    const images = attacks.map(({ imagesPerDraw }) => imagesPerDraw);
    const cost = linearDrawCost(
      spec.inputs,
      spec.outputs,
      evaluated,
      this.#people.length,
      images.map((count) => count ?? 0),
    );
    this.#foldedDraws = images.includes(undefined) ? 1 : drawsWithin(args.budget, cost);
  }

  /**
   * Trains the victim and the attackers' networks, or takes them from the store or from `data.pretrained`.
   * @param budget limits how many draws are measured together; results do not depend on it
   * @throws InterruptedError, DeviceLostError, DataError, ConfigError
   */
  static async build(
    gpu: Gpu,
    data: ExperimentData,
    config: ExperimentConfig,
    run: RunContext,
    budget: DrawBudget = drawBudget(gpu),
  ): Promise<Testbed> {
    const { dataset, split, publicFaces } = data;
    checkPublicFaces(data, config);
    const spec = victimSpec(config.victim, dataset);
    const people = attackedPeople(config, spec);
    const arena = new Arena(gpu);
    const publicArena = new Arena(gpu);
    let keepsPublic = false;
    try {
      const photographs = uploadDataset(arena, dataset);
      const networks = new Networks(arena, data.pretrained, run);
      // Networks that attackers train while they attack belong to a unit of work that has begun, and are never given.
      const { advance } = run.progress;
      const within = { ...SILENT, advance: (_: number, note?: string) => advance(0, note) };
      const adapting = new Networks(arena, undefined, { ...run, progress: within });
      const training = victimTraining(config);
      const parameters = await networks.get(
        VICTIM_FILE,
        'training the victim',
        spec,
        photographs,
        split.train,
        training,
        dataset.sha256,
      );
      const plain = plainWeights(parameters);
      const memory = await ApproximateMemory.store(arena, parameters, () =>
        activationRanges(gpu, spec.layers, plain, photographs, split.train, config.evaluationBatch),
      );
      const exact = stackVictim(spec.layers, plain);
      const answersTo = async (indices: Uint32Array) => {
        const evaluator = await Evaluator.build(gpu, exact, photographs, indices, config.evaluationBatch);
        const [answers] = await evaluator.run();
        evaluator.destroy();
        return answers;
      };
      const { accuracy: trainAccuracy } = await answersTo(split.train);
      warnNearChance(await answersTo(split.test), data, run);
      const truths = new Truths(data, config, people, spec.outputs);
      if (config.evaluator === 'convolutional') {
        for (const split of attackedSplits(config)) {
          await truths.addRecogniser(split, await networks.evaluator(split, truths.examplesFor(split)));
        }
      }
      const drawNumbers = arena.allocate('numbers of the draws', config.draws * 4);
      const releases = config.releases.map((release) => namedRelease(release, drawNumbers, config.seed));
      const context: AttackContext = {
        gpu,
        arena,
        photographs,
        attacked: truths.attacked,
        splits: truths.everything,
        people,
        classes: spec.outputs,
        width: dataset.width,
        height: dataset.height,
        channels: dataset.channels,
        batchSize: config.evaluationBatch,
        seed: config.seed,
        meanFace: data.meanFace,
        trainingMean: meanImage(dataset, split.train),
        publicFaces: publicFaces && {
          data: uploadDataset(publicArena, publicFaces),
          indices: Uint32Array.from(publicFaces.labels.keys()),
        },
        exact,
        releases,
        network: (name, network, from, indices, how, vectors, owner) =>
          (owner ? adapting : networks).get(
            `${fileName(name)}.safetensors`,
            isAutoencoder(network) ? 'training the generative prior' : 'training the inversion network',
            network,
            from,
            indices,
            how,
            `${dataset.sha256} ${publicFaces?.sha256}`,
            new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength),
            owner,
          ),
        shadow: async (name, indices, seed, owner) => {
          const [file, how] = [`${name}.safetensors`, { ...training, seed }];
          const shadows = new Networks(owner, undefined, run);
          const own = await shadows.get(file, `training ${name}`, spec, photographs, indices, how, dataset.sha256);
          return stackVictim(spec.layers, plainWeights(own));
        },
      };
      const attacks: PreparedAttack[] = [];
      for (const attack of config.attacks) attacks.push(await attackOfKind(attack.kind).prepare(attack, context));
      const plans = networks.plans;
      const privacy = privacyOf(config, data, spec);
      keepsPublic = attacks.some(({ keepsPublicFaces }) => keepsPublicFaces);
      return new Testbed({
        publicArena: keepsPublic ? publicArena : undefined,
        ...{ arena, data, config, spec, photographs, memory, trainAccuracy, privacy },
        ...{ truths, attacks, plans, releases, drawNumbers, budget },
      });
    } catch (error) {
      arena.destroy();
      throw error;
    } finally {
      if (!keepsPublic) publicArena.destroy();
    }
  }

  /** Memory plans as texts. */
  get plans(): readonly string[] {
    const { draws, plan } = this.#prepared && this.#prepared.draws > this.#widest.draws ? this.#prepared : this.#widest;
    return draws > 0 ? [...this.#plans, plan] : this.#plans;
  }

  /** The persons that the stored pictures of an output show, with the index of the photograph if `perPhotograph`. */
  shown({ split }: AttackOutput, perPhotograph: boolean): readonly { person: number; photograph?: number }[] {
    if (!split) return [];
    if (!perPhotograph) return this.#people.map((person) => ({ person }));
    const { indices, persons } = this.#truths.of(split);
    return [...indices.subarray(0, this.#truths.shownPhotographs)].map((photograph, i) => ({
      photograph,
      person: persons[i],
    }));
  }

  /**
   * Accuracy of the evaluators on photographs that they were not trained on, mean over the attacked splits: the highest
   * recognition that can be expected.
   */
  evaluatorAccuracies(): EvaluatorAccuracies {
    const splits = attackedSplits(this.#config);
    return this.#truths.accuracies(splits.length > 0 ? splits : ['training']);
  }

  /**
   * Null baselines: the scores that are reached without any attack.
   * @param images reconstructions of the first output that are stored as pictures
   * @param persons the person that each of them should show
   */
  baselines(images: readonly Float32Array[], persons: readonly number[]): NullBaselines {
    const { photographs } = this.#truths.of(this.outputs.find(({ split }) => split)?.split ?? 'training');
    return nullBaselines(this.#data.meanFace, images, persons, photographs, this.#config.seed);
  }

  /** Number of draws of a memory that can be measured together. Rows do not depend on it. */
  drawsTogether(memory: MemoryConfig): number {
    return this.#folds(memory) ? this.#foldedDraws : 1;
  }

  /** Call after the memory was configured: builds the programs that measure `draws` draws together. */
  async prepare(memory: MemoryConfig, draws: number): Promise<void> {
    const key = `${draws} ${this.memory.recordingKey}`;
    if (this.#prepared?.key === key) return;
    this.#retire();
    this.#prepared = await PreparedVictim.build({
      gpu: this.#gpu,
      key,
      spec: this.spec,
      memory: this.memory,
      fold: this.#folds(memory),
      draws,
      photographs: this.#photographs,
      data: this.#data,
      batchSize: this.#config.evaluationBatch,
    });
  }

  /** Call after the memory was loaded: captures its present weights as draw `index` of those that are measured together. */
  captureDraw(index: number): void {
    this.#prepared!.captureDraw(index);
  }

  /**
   * Answers on the test split under each captured draw.
   * @param draws numbers of the captured draws, where a random release is given
   * @param release change of the released confidences; the answers are changed only if it is random
   */
  async evaluate(draws: readonly number[] = [], release?: ReleaseConfig): Promise<Evaluation[]> {
    const named = release && this.#releaseOf(release);
    if (!named?.isRandom) return this.#prepared!.evaluator.run();
    this.#gpu.write(this.#drawNumbers, Uint32Array.from(draws));
    return (await this.#prepared!.releasedEvaluator(named)).run();
  }

  /** Reads of weights in one call of {@link evaluate}, for each draw. */
  weightReads(): readonly WeightRead[] {
    return this.#prepared!.evaluator.weightReads;
  }

  /**
   * Attacks the captured draws.
   * @param draws numbers of the captured draws
   * @param release change of the released confidences; none by default
   * @returns one measurement per draw
   */
  async attack(
    output: AttackOutput,
    draws: readonly number[],
    release: ReleaseConfig | undefined,
    tick: Tick,
  ): Promise<Measurement[]> {
    const attack = this.#attacks.find(({ outputs }) => outputs.some(({ name }) => name === output.name))!;
    const prepared = this.#prepared!;
    const built = await prepared.attack(attack, release && this.#releaseOf(release));
    this.#gpu.profiler?.enter('attack');
    const before = performance.now();
    this.#gpu.write(this.#drawNumbers, Uint32Array.from(draws));
    const results = await built.run(output, draws, tick);
    await prepared.reads.restore(draws);
    this.#addTime(output.name, (performance.now() - before) / 1000, draws.length);
    this.#gpu.profiler?.enter('sweep');
    const measurements: Measurement[] = [];
    for (const { reconstructions, memberships, ...cost } of results) {
      const scored = await this.#truths.measure(output.split, reconstructions);
      measurements.push({ ...scored, ...cost, ...(memberships && { membership: judged(memberships) }) });
    }
    return measurements;
  }

  /**
   * Attacks photographs that are not in the data set, with the weights that the memory returns now.
   * @returns one image per photograph, by the attackers' names; empty where no attack takes photographs
   * @throws ShapeError, DeviceLostError
   */
  async invert(images: ImageDataset, release?: ReleaseConfig): Promise<Map<string, readonly Float32Array[]>> {
    const arena = new Arena(this.#gpu);
    const found = new Map<string, readonly Float32Array[]>();
    try {
      const photographs = uploadDataset(arena, images);
      const everything = Uint32Array.from(images.labels.keys());
      for (const attack of this.#attacks) {
        if (!attack.invert) continue;
        const victim = stackVictim(this.spec.layers, this.memory.weightsOf, this.memory);
        const attacked = { victim, release: release && this.#releaseOf(release) };
        for (const [name, own] of await attack.invert(attacked, photographs, everything)) found.set(name, own);
      }
      return found;
    } finally {
      arena.destroy();
    }
  }

  #addTime(output: string, seconds: number, draws: number): void {
    const known = this.#times.get(output) ?? { seconds: 0, draws: 0 };
    this.#times.set(output, { seconds: known.seconds + seconds, draws: known.draws + draws });
  }

  /** Seconds that every output of an attack took per draw, rounded to three digits; those that were not run are absent. */
  get attackSeconds(): Readonly<Record<string, number>> {
    const perDraw = this.outputs.flatMap(({ name }): [string, number][] => {
      const time = this.#times.get(name);
      return time ? [[name, time.seconds / time.draws]] : [];
    });
    return Object.fromEntries(perDraw.map(([name, seconds]) => [name, Number(seconds.toPrecision(3))]));
  }

  #releaseOf(release: ReleaseConfig): NamedRelease {
    const named = this.#releases.find(({ config }) => JSON.stringify(config) === JSON.stringify(release));
    if (!named) throw new Error('the attacks were not prepared for this release');
    return named;
  }

  destroy(): void {
    this.#retire();
    this.#arena.destroy();
    this.#publicArena?.destroy();
  }

  /** True if two linear layers are read once per load, so that their product can replace them. */
  #folds(config: MemoryConfig): boolean {
    const { granularity, activations } = config;
    const perLoad = granularity === 'load' || granularity === 'chip';
    const linear = isLinear(this.spec.layers) && Object.keys(activations).length === 0;
    return perLoad && linear && !this.layers.some((layer) => this.memory.fused(layer, config));
  }

  #retire(): void {
    if (!this.#prepared) return;
    const { draws, plan } = this.#prepared;
    if (draws > this.#widest.draws) this.#widest = { draws, plan };
    this.#prepared.destroy();
    this.#prepared = undefined;
  }
}

/** The scores of a membership inference attack, and how well they tell members from non-members. */
function judged(memberships: readonly Membership[]): Row['membership'] {
  const scores = (isMember: boolean) =>
    memberships
      .filter((each) => each.isMember === isMember)
      .map(({ score }) => (Number.isFinite(score) ? score : null));
  const [members, nonMembers] = [scores(true), scores(false)];
  const { auc, tprAtOnePercent } = separation(members, nonMembers);
  return { auc, tprAtOnePercent, members, nonMembers };
}

/** The splits whose people or photographs the attacks of a configuration show. */
function attackedSplits({ attacks }: ExperimentConfig): SplitName[] {
  const outputs = attacks.flatMap((attack) => attackOfKind(attack.kind).outputs(attack));
  return SPLITS.filter((split) => outputs.some((output) => output.split === split));
}

type NamedRelease = Release & { readonly config: ReleaseConfig };

/** @param draws numbers of the draws that the victim holds */
function namedRelease(config: ReleaseConfig, draws: BufferView, seed: number): NamedRelease {
  const defence = releaseDefence(config.kind);
  return {
    config,
    name: releaseName(config),
    isRandom: defence.isRandom,
    apply: (victim) =>
      releasedVictim(victim, (recorder, logits, released, inputs) =>
        defence.record(recorder, config, { logits, released, inputs, draws, groups: victim.draws, seed }),
      ),
  };
}
