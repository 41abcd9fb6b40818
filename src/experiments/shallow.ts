/**
 * The shallow experiment (Fredrikson et al. as MIDAS used it, its faults mended): train a face classifier, invert it by
 * MI-Face, put its layers into approximate memory, and measure accuracy, similarity and identity under every condition.
 */
import { type Inversion, MiFace, type MiFaceConfig, type SearchSpace } from '../attacks/mi_face.ts';
import type { Victim } from '../attacks/victim.ts';
import { type ImageDataset, type Split, toFloat } from '../data/dataset.ts';
import { DataError, InterruptedError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import { parseMemoryConfig } from '../memory/config.ts';
import { type NullBaselines, nullBaselines } from '../metrics/baselines.ts';
import { type IdentityClassifier, trainIdentityClassifier } from '../metrics/identity.ts';
import { indexPhotographs, type PhotographIndex, similarityToPhotographs } from '../metrics/similarity.ts';
import { ApproximateMemory } from '../models/approximate_memory.ts';
import { readCheckpoint, writeCheckpoint } from '../models/checkpoint.ts';
import { type DeviceDataset, uploadDataset } from '../models/device_dataset.ts';
import { Evaluator } from '../models/evaluate.ts';
import { layerNames, type ModelSpec, modelSpec } from '../models/specs.ts';
import { plainWeights, recordStackForward } from '../models/stack.ts';
import { Trainer } from '../models/trainer.ts';
import { foldedVictim, isLinear, stackVictim } from '../models/victims.ts';
import { Random } from '../random.ts';
import { Calibration, type CalibrationCurve } from './calibration.ts';
import { bitErrorConditions, layersOfSet, memoryOf } from './conditions.ts';
import { type Condition, conditionKey, conditionLabel, type Row } from './results.ts';
import type { AttackConfig, ShallowConfig } from './shallow_config.ts';
import type { ProgressSink, RunStore } from './store.ts';

export interface ShallowInput {
  readonly dataset: ImageDataset;
  readonly split: Split;
  /** Start of the attack `mean`, and the null baseline: the mean of public faces, or of the training faces if there are none. */
  readonly meanFace: Float32Array;
}

/** What one condition's reconstructions look like, for the contact sheet. */
export interface Picture {
  readonly condition: Condition;
  readonly attack: string;
  /** One image an attacked class, height x width, 0..1. */
  readonly images: readonly Float32Array[];
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

/** Epochs between two checkpoints of the training. */
const CHECKPOINT_EVERY = 10;
const MODEL_FILE = 'model.safetensors';
const CALIBRATION_FILE = 'calibration.json';

/**
 * Runs the experiment, or goes on where the store says it stopped. Same configuration, same adapter: same rows.
 * @param signal aborts between two units of work; everything finished is in the store
 * @throws InterruptedError, DeviceLostError, DataError, ConfigError
 */
export async function runShallow(
  gpu: Gpu,
  input: ShallowInput,
  config: ShallowConfig,
  store: RunStore,
  progress: ProgressSink,
  signal: AbortSignal,
): Promise<ShallowOutcome> {
  const { dataset } = input;
  const people = new Set(dataset.labels).size;
  if (people < 2) throw new DataError(`${dataset.name}: ${people} class; a classifier needs at least 2`);
  const spec = modelSpec(config.model, dataset.width * dataset.height, dataset.classNames.length, config.hidden);
  // Refused before the first epoch rather than after the last.
  const conditions = bitErrorConditions(config, layerNames(spec));
  for (const condition of conditions) parseMemoryConfig(memoryOf(condition, config), layerNames(spec));
  const arena = new Arena(gpu);
  try {
    const experiment = new Experiment(gpu, arena, input, spec, config, store, progress, signal);
    return await experiment.run(conditions);
  } finally {
    arena.destroy();
  }
}

class Experiment {
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #input: ShallowInput;
  readonly #spec: ModelSpec;
  readonly #config: ShallowConfig;
  readonly #store: RunStore;
  readonly #progress: ProgressSink;
  readonly #signal: AbortSignal;
  readonly #data: DeviceDataset;
  readonly #photographs: PhotographIndex;
  readonly #judge: IdentityClassifier;
  readonly #classes: readonly number[];
  #memory!: ApproximateMemory;
  #bench: Bench | undefined;
  #configured = '';

  constructor(
    gpu: Gpu,
    arena: Arena,
    input: ShallowInput,
    spec: ModelSpec,
    config: ShallowConfig,
    store: RunStore,
    progress: ProgressSink,
    signal: AbortSignal,
  ) {
    this.#gpu = gpu;
    this.#arena = arena;
    this.#input = input;
    this.#spec = spec;
    this.#config = config;
    this.#store = store;
    this.#progress = progress;
    this.#signal = signal;
    const { dataset, split } = input;
    this.#data = uploadDataset(arena, dataset);
    const labelsOf = (indices: Uint32Array) => Uint32Array.from(indices, (i) => dataset.labels[i]);
    const train = toFloat(dataset, split.train);
    this.#photographs = indexPhotographs(train, labelsOf(split.train), dataset.width, dataset.height);
    this.#judge = trainIdentityClassifier(toFloat(dataset, split.test), labelsOf(split.test), spec.classes);
    this.#classes = config.classes ?? [...Array(spec.classes).keys()];
  }

  async run(conditions: readonly Condition[]): Promise<ShallowOutcome> {
    const trainer = await this.#train();
    const plans = [trainer.plan];
    trainer.finish();
    this.#memory = await ApproximateMemory.store(this.#arena, trainer.parameters);
    const train = await this.#trainAccuracy(trainer);

    const rows = await this.#store.readRows();
    this.#progress.start('bit errors', this.#units(conditions), this.#doneUnits(conditions, rows));
    for (const condition of conditions) await this.#measure(condition, rows);
    this.#progress.done();
    if (this.#config.noise.length > 0) {
      const noise = await this.#calibrate(conditions, rows);
      this.#progress.start('noise at equal accuracy', this.#units(noise), this.#doneUnits(noise, rows));
      for (const condition of noise) await this.#measure(condition, rows);
      this.#progress.done();
    }
    if (this.#bench) plans.push(this.#bench.plan);
    this.#bench?.destroy();

    const { dataset, split, meanFace } = this.#input;
    const pictures = await this.#pictures(rows);
    const labels = Uint32Array.from(split.train, (i) => dataset.labels[i]);
    return {
      rows,
      pictures,
      plans,
      trainAccuracy: train,
      judgeAccuracy: this.#judge.accuracy(toFloat(dataset, split.train), labels),
      baselines: nullBaselines(meanFace, pictures[0].images, this.#classes, this.#photographs, this.#config.seed),
    };
  }

  async #train(): Promise<Trainer> {
    const { dataset, split } = this.#input;
    const { training, seed } = this.#config;
    const saved = await this.#store.read(MODEL_FILE);
    const checkpoint = saved && readCheckpoint(saved, this.#store.describe(MODEL_FILE), this.#spec);
    if (checkpoint && checkpoint.metadata.dataset !== dataset.sha256) {
      throw new DataError(
        `${this.#store.describe(MODEL_FILE)}: it was trained on other images; use another --out or delete it`,
      );
    }
    const config = { ...training, seed };
    const trainer = await Trainer.create(this.#arena, this.#spec, this.#data, split.train, config, checkpoint?.state);
    if (trainer.epoch === trainer.epochs) return trainer;
    this.#progress.start('training', trainer.epochs, trainer.epoch);
    while (trainer.epoch < trainer.epochs) {
      this.#interruptible();
      const { epoch, phase, loss, accuracy } = await trainer.trainEpoch();
      const share = phase === 'classify' ? `, accuracy ${accuracy.toFixed(3)}` : ' (reconstruction)';
      this.#progress.advance(1, `epoch ${epoch}, loss ${loss.toFixed(4)}${share}`);
      if (epoch % CHECKPOINT_EVERY === 0 || epoch === trainer.epochs || this.#signal.aborted) {
        const state = await trainer.state();
        const metadata = { dataset: dataset.sha256 };
        await this.#store.write(MODEL_FILE, writeCheckpoint({ spec: this.#spec, state, metadata }));
      }
    }
    this.#progress.done();
    return trainer;
  }

  async #trainAccuracy(trainer: Trainer): Promise<number> {
    const victim = stackVictim(this.#spec.layers, plainWeights(trainer.parameters));
    const evaluator = await Evaluator.build(this.#gpu, victim, this.#data, this.#input.split.train);
    const { accuracy } = await evaluator.run();
    evaluator.destroy();
    return accuracy;
  }

  /** All draws and attacks of a condition that are not in `rows` yet; appends to both. */
  async #measure(condition: Condition, rows: Row[]): Promise<void> {
    const key = conditionKey(condition);
    const done = new Set(
      rows.filter((row) => conditionKey(row.condition) === key).map((row) => `${row.draw} ${row.attack}`),
    );
    for (let draw = 0; draw < this.#drawsOf(condition); draw++) {
      const missing = this.#config.attacks.filter((attack) => !done.has(`${draw} ${attackName(attack)}`));
      if (missing.length === 0) continue;
      this.#interruptible();
      const bench = await this.#load(condition, draw);
      const { accuracy } = await bench.evaluator.run();
      for (const attack of missing) {
        this.#interruptible();
        const run = await this.#attack(bench, attack);
        const results = await run.run(this.#starts(attack, draw), draw, () => this.#progress.advance(0));
        // The picture first: a row in the store says that everything of it is there.
        if (draw === 0) await this.#savePicture(condition, attack, results);
        const row = this.#row(condition, draw, accuracy, attack, results);
        await this.#store.appendRow(row);
        rows.push(row);
        const numbers = `accuracy ${accuracy.toFixed(3)}, PCC ${row.pcc.toFixed(3)}, lift ${row.pccLift.toFixed(3)}`;
        this.#progress.advance(attack.iterations, `${conditionLabel(condition)}, ${row.attack}: ${numbers}`);
      }
    }
  }

  /** Puts the model into the condition's memory and draws a map. */
  async #load(condition: Condition, draw: number): Promise<Bench> {
    const memory = parseMemoryConfig(memoryOf(condition, this.#config), layerNames(this.#spec));
    const key = JSON.stringify(memory);
    if (this.#configured !== key) {
      await this.#memory.configure(memory);
      this.#configured = key;
    }
    await this.#memory.load(draw);
    // Programs depend on which layers are fetched when, not on rates: a sweep at granularity load records once.
    const perLoad = memory.granularity === 'load' || memory.granularity === 'chip';
    const kinds = layerNames(this.#spec).map((layer) =>
      this.#memory.fused(layer) ? 'fused' : perLoad ? 'plain' : (memory.layers[layer]?.kind ?? 'plain'),
    );
    const benchKey = `${perLoad ? 'load' : memory.granularity} ${kinds}`;
    if (this.#bench?.key !== benchKey) {
      this.#bench?.destroy();
      const foldable = perLoad && !kinds.includes('fused') && isLinear(this.#spec.layers);
      this.#bench = await Bench.build(this.#gpu, benchKey, this.#spec, this.#memory, foldable, this.#data, this.#input);
    }
    this.#bench.refold();
    return this.#bench;
  }

  async #attack(bench: Bench, attack: AttackConfig): Promise<MiFace> {
    return bench.attack(attackName(attack), this.#classes, miFaceConfig(attack));
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

  #row(condition: Condition, draw: number, accuracy: number, attack: AttackConfig, results: readonly Inversion[]): Row {
    const scores = results.map(({ image, target }) => similarityToPhotographs(image, this.#photographs, target));
    const identity = results.map(({ image, target }) => (this.#judge.predict(image) === target ? 1 : 0));
    const list = (metric: 'pcc' | 'pccLift' | 'mse' | 'psnr' | 'ssim') => scores.map((score) => score[metric]);
    const perIdentity = {
      pcc: list('pcc'),
      pccLift: list('pccLift'),
      identity,
      mse: list('mse'),
      psnr: list('psnr'),
      ssim: list('ssim'),
    };
    return {
      condition,
      draw,
      accuracy,
      attack: attackName(attack),
      pcc: mean(perIdentity.pcc),
      pccLift: mean(perIdentity.pccLift),
      mse: mean(perIdentity.mse),
      psnr: mean(perIdentity.psnr),
      ssim: mean(perIdentity.ssim),
      identity: mean(identity),
      n: results.length,
      perIdentity,
    };
  }

  /**
   * One noise condition for every accuracy that bit errors on a set of layers left, where they cost any. All layers of a
   * set get the same multiple of their number format's full scale. Bit errors of equal accuracy share the noise, matched to
   * the strongest of them.
   */
  async #calibrate(conditions: readonly Condition[], rows: readonly Row[]): Promise<Condition[]> {
    const saved = await this.#store.read(CALIBRATION_FILE);
    const name = this.#store.describe(CALIBRATION_FILE);
    const curves: Record<string, CalibrationCurve> = saved
      ? Calibration.parse(JSON.parse(new TextDecoder().decode(saved)), name)
      : {};
    const fullScale = await this.#fullScales();
    const image = 1 / this.#input.split.test.length;
    const accuracyOf = (condition: Condition) => {
      const key = conditionKey(condition);
      return mean(rows.filter((row) => conditionKey(row.condition) === key).map((row) => row.accuracy));
    };
    const errorFree = mean(rows.filter((row) => row.condition.kind === 'quantised').map((row) => row.accuracy));
    const found = new Map<string, Condition>();
    this.#progress.start('calibrating noise', this.#config.noise.length * this.#config.layerSets.length * 20);
    for (const kind of this.#config.noise) {
      for (const set of this.#config.layerSets) {
        const members = layersOfSet(set, layerNames(this.#spec));
        const noise = (scale: number): Condition => ({
          kind,
          rates: Object.fromEntries(members.map((layer) => [layer, scale * fullScale[layer]])),
          granularity: this.#config.granularity,
          layers: set,
        });
        const curve = `${kind} ${set}`;
        const calibration = new Calibration(async (scale) => {
          const accuracy = await this.#meanAccuracy(noise(scale));
          const note = `${kind} on ${set}, ${scale} of full scale: accuracy ${accuracy.toFixed(3)}`;
          this.#progress.advance(1, note);
          return accuracy;
        }, curves[curve]);
        // Strongest first. Accuracies within one test image are one target; a scale that costs no image is not defined.
        const targets: number[] = [];
        const matched = conditions.filter((c) => c.kind === 'bit-error' && c.layers === set && equalRates(c)).reverse();
        for (const condition of matched) {
          const accuracy = accuracyOf(condition);
          if (errorFree - accuracy < image || targets.some((target) => Math.abs(target - accuracy) < image)) continue;
          targets.push(accuracy);
          const scale = await calibration.scaleFor(accuracy, image / 2);
          curves[curve] = calibration.curve;
          await this.#store.write(CALIBRATION_FILE, JSON.stringify(curves));
          found.set(`${curve} ${scale}`, { ...noise(scale), matchedTo: conditionKey(condition) });
        }
      }
    }
    this.#progress.done();
    return [...found.values()];
  }

  async #meanAccuracy(condition: Condition): Promise<number> {
    const accuracies: number[] = [];
    for (let draw = 0; draw < this.#config.draws; draw++) {
      this.#interruptible();
      const bench = await this.#load(condition, draw);
      accuracies.push((await bench.evaluator.run()).accuracy);
    }
    return mean(accuracies);
  }

  /** The value of a layer's largest code plus one: 2^(exponent + bits - 1). */
  async #fullScales(): Promise<Record<string, number>> {
    const { format } = this.#config;
    const names = layerNames(this.#spec);
    const layers = Object.fromEntries(
      names.map((layer) => [layer, { kind: 'uniform' as const, format, bitErrorRate: 0 }]),
    );
    await this.#memory.configure(parseMemoryConfig({ seed: this.#config.seed, layers }, names));
    this.#configured = '';
    const exponent = (layer: string) => this.#memory.exponentOf(`${layer}.weight`);
    return Object.fromEntries(names.map((layer) => [layer, 2 ** (exponent(layer) + format.bits - 1)]));
  }

  /** Exact and merely quantised models do not change from draw to draw, nor do black or mean starts. */
  #drawsOf(condition: Condition): number {
    const fixed = condition.kind === 'none' || condition.kind === 'quantised';
    const varied = this.#config.attacks.some((attack) => attack.start === 'noise' || attack.search);
    return fixed && !varied ? 1 : this.#config.draws;
  }

  #units(conditions: readonly Condition[]): number {
    const iterations = this.#config.attacks.reduce((sum, attack) => sum + attack.iterations, 0);
    return conditions.reduce((sum, condition) => sum + this.#drawsOf(condition) * iterations, 0);
  }

  #doneUnits(conditions: readonly Condition[], rows: readonly Row[]): number {
    const keys = new Set(conditions.map(conditionKey));
    const iterations = new Map(this.#config.attacks.map((attack) => [attackName(attack), attack.iterations]));
    return rows
      .filter((row) => keys.has(conditionKey(row.condition)))
      .reduce((sum, row) => sum + (iterations.get(row.attack) ?? 0), 0);
  }

  async #savePicture(condition: Condition, attack: AttackConfig, results: readonly Inversion[]): Promise<void> {
    const { width, height } = this.#input.dataset;
    const pixels = new Uint8Array(results.length * width * height);
    results.forEach(({ image }, i) => {
      for (let k = 0; k < image.length; k++) pixels[i * image.length + k] = Math.round(255 * image[k]);
    });
    await this.#store.write(pictureFile(condition, attackName(attack)), pixels);
  }

  async #pictures(rows: readonly Row[]): Promise<Picture[]> {
    const pixels = this.#input.dataset.width * this.#input.dataset.height;
    const pictures: Picture[] = [];
    for (const { condition, attack, draw } of rows) {
      if (draw !== 0) continue;
      const file = pictureFile(condition, attack);
      const bytes = await this.#store.read(file);
      if (bytes?.length !== this.#classes.length * pixels) {
        throw new DataError(
          `${this.#store.describe(file)}: ${bytes ? 'wrong size' : 'missing'}; run again without --resume`,
        );
      }
      const images = this.#classes.map((_, i) =>
        Float32Array.from(bytes.subarray(i * pixels, (i + 1) * pixels), (byte) => byte / 255),
      );
      pictures.push({ condition, attack, images });
    }
    return pictures;
  }

  #interruptible(): void {
    if (this.#signal.aborted)
      throw new InterruptedError('interrupted; what was finished is saved, go on with --resume');
  }
}

/** The programs that measure one way of reading memory: evaluation and attacks, built once and run for every draw. */
class Bench {
  readonly key: string;
  readonly evaluator: Evaluator;
  readonly #gpu: Gpu;
  readonly #arena: Arena;
  readonly #victim: Victim;
  readonly #space: SearchSpace;
  readonly #refold: () => void;
  readonly #attacks = new Map<string, MiFace>();

  private constructor(
    gpu: Gpu,
    key: string,
    arena: Arena,
    evaluator: Evaluator,
    victim: Victim,
    space: SearchSpace,
    refold: () => void,
  ) {
    this.#gpu = gpu;
    this.key = key;
    this.#arena = arena;
    this.evaluator = evaluator;
    this.#victim = victim;
    this.#space = space;
    this.#refold = refold;
  }

  static async build(
    gpu: Gpu,
    key: string,
    spec: ModelSpec,
    memory: ApproximateMemory,
    foldable: boolean,
    data: DeviceDataset,
    { dataset, split }: ShallowInput,
  ): Promise<Bench> {
    const arena = new Arena(gpu);
    const { height, width } = dataset;
    const weights = memory.weightsOf;
    const folded = foldable ? await foldedVictim(arena, spec.layers, weights) : undefined;
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
            const between = (specs: ModelSpec['layers'], first: typeof code, last: typeof code) => {
              const middle = specs.slice(0, -1).map((s) => planned.matrix(`${s.name} code`, first.rows, s.outputs));
              return { values: [first, ...middle, last] };
            };
            const decode = between(spec.decoder, code, image);
            const encode = between(encoder, processed, code);
            return {
              recordDecode: (recorder) => recordStackForward(recorder, planned, spec.decoder, weights, decode),
              recordEncode: (recorder) => recordStackForward(recorder, planned, encoder, weights, encode),
            };
          },
        },
      };
    }
    return new Bench(gpu, key, arena, evaluator, victim, space, () => folded?.refold.run());
  }

  refold(): void {
    this.#refold();
  }

  async attack(name: string, classes: readonly number[], config: MiFaceConfig): Promise<MiFace> {
    let attack = this.#attacks.get(name);
    if (!attack) {
      attack = await MiFace.build(this.#gpu, this.#victim, this.#space, classes, config);
      this.#attacks.set(name, attack);
    }
    return attack;
  }

  get plan(): string {
    return [...this.#attacks].map(([name, attack]) => `${name} ${attack.plan}`).join('; ');
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

function equalRates({ rates }: Condition): boolean {
  return new Set(Object.values(rates)).size === 1;
}

function pictureFile(condition: Condition, attack: string): string {
  const rates = Object.entries(condition.rates).map(([layer, rate]) => `${layer}=${rate}`);
  return `pictures/${[attack, condition.kind, condition.layers, ...rates].join('_').replace(/[^\w.=+-]+/g, '-')}.gray`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
