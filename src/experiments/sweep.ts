/**
 * A sweep: one trained model in approximate memory under many conditions, several draws of each, several attacks on each
 * draw. What an attack gave is in the store, a row a draw, before the next begins, so a sweep goes on where it stopped.
 */
import { DataError, InterruptedError } from '../errors.ts';
import type { WeightRead } from '../gpu/recorder.ts';
import type { ApproximateMemory } from '../injection/approximate_memory.ts';
import {
  type MemoryConfig,
  type MemoryConfigInput,
  type NumberFormat,
  parseMemoryConfig,
  uniformMemory,
} from '../memory/config.ts';
import { NOMINAL_VOLTS, weightReadEnergy } from '../memory/energy.ts';
import { type Condition, conditionKey, conditionLabel, type NoiseCondition, type Row } from '../results/results.ts';
import { Calibration, type CalibrationCurve } from './calibration.ts';
import { layersOfSet, memoryOf } from './conditions.ts';
import type { ProgressSink, RunStore } from './store.ts';

export const NOISE_KINDS = ['gaussian', 'laplacian'] as const;
export type NoiseKind = (typeof NOISE_KINDS)[number];

/** What a sweep does to the weights. */
export interface SweepConfig {
  readonly format: NumberFormat;
  readonly granularity: MemoryConfig['granularity'];
  readonly path: MemoryConfig['path'];
  /** Bit error rates, the same on every layer of a set, for one set of layers after the other. */
  readonly sweeps: readonly { readonly layers: string; readonly rates: readonly number[] }[];
  /** Bit error rates of the first two layers, crossed; empty for no grid. */
  readonly grid: readonly number[];
  /** A rate a layer, as one more condition each. */
  readonly rateMaps: readonly Readonly<Record<string, number>>[];
  /** Memory configurations given whole, as one condition each. */
  readonly memories: readonly NamedMemory[];
  readonly draws: number;
  readonly noise: NoiseConfig;
  readonly seed: number;
}

/** A memory configuration as a condition. */
export interface NamedMemory {
  /** In tables and figures. */
  readonly name: string;
  /** What several of them have in common, which differ in how strong they err: a line of a figure. */
  readonly setting: string;
  /** Supply voltage, where it is one of a sweep over voltages. */
  readonly volts?: number;
  readonly memory: MemoryConfigInput;
}

/** Additive noise to compare bit errors with. */
export interface NoiseConfig {
  readonly kinds: readonly NoiseKind[];
  /** Sets of layers whose noise is calibrated to the accuracies that bit errors on `matched` (or on the same set) left. */
  readonly sets: readonly string[];
  readonly matched?: string;
  /** Scales in units of the weights, the same on every layer of a set: as published. */
  readonly levels?: { readonly layers: string } & Readonly<Record<NoiseKind, readonly number[]>>;
  /** Also noise with the same mean square on every layer as the bit errors of each rate on `matched`. */
  readonly moments: boolean;
}

/** What one attack on one draw gave, one value an attacked person. */
export interface Measurement {
  readonly perIdentity: Required<Row['perIdentity']>;
  /** Reconstructions averaged. */
  readonly n: number;
  /** For the contact sheet, height x width each. */
  readonly images: readonly Float32Array[];
  /** Share of prediction vectors with a confidence that underflows. */
  readonly underflow?: number;
}

/** The model and its attackers, as a sweep sees them. */
export interface SweepSubject {
  /** Layers a memory configuration may name. */
  readonly layers: readonly string[];
  /** In the order of the columns; units are estimates of equal cost. */
  readonly attacks: readonly { readonly name: string; readonly units: number }[];
  /** Whether attacks differ from draw to draw though the weights do not. */
  readonly varies: boolean;
  /** Images of a measurement, and pixels of an image. */
  readonly pictureSize: { readonly images: number; readonly pixels: number };
  /** One image of the test split counts for so much. */
  readonly accuracyStep: number;
  /** Draws of the memory, as it is configured, that can be measured at once. Rows have the same bits however many these are. */
  drawsAtOnce(memory: MemoryConfig): number;
  /** The memory has been configured: gets everything ready to measure so many draws at once. */
  prepare(memory: MemoryConfig, draws: number): Promise<void>;
  /** The memory has been loaded: keeps what it returns now as draw number `place` of those that are measured at once. */
  hold(place: number): void;
  /** Of the draws that are held, on the test split. */
  accuracies(): Promise<number[]>;
  /** Weights that one call of {@link accuracies} reads of each draw. */
  weightReads(): readonly WeightRead[];
  /** @param draws the numbers of those that are held. @returns one measurement a draw */
  attack(name: string, draws: readonly number[], tick: Tick): Promise<Measurement[]>;
}

/**
 * Called, and awaited, now and then while an attack goes on.
 * @param iteration how far it is, of the units of its {@link SweepSubject.attacks}
 * @param images what it has by then, draw by draw
 */
export type Tick = (iteration: number, images: () => Promise<readonly Float32Array[]>) => unknown;

/** What one condition's reconstructions look like, for the contact sheet. */
export interface Picture {
  readonly condition: Condition;
  readonly attack: string;
  readonly images: readonly Float32Array[];
}

/** One attack on one draw. */
export interface Look {
  readonly row: Row;
  readonly images: readonly Float32Array[];
}

const CALIBRATION_FILE = 'calibration.json';

/** A subject under the conditions of a configuration; {@link Sweep.look} at one of them, or {@link Sweep.run} them all. */
export class Sweep {
  readonly #subject: SweepSubject;
  readonly #memory: ApproximateMemory;
  readonly #config: SweepConfig;
  readonly #store: RunStore;
  readonly #progress: ProgressSink;
  readonly #signal: AbortSignal;
  #configured = '';

  /**
   * @param memory the subject's
   * @param signal aborts between two units of work
   */
  constructor(
    subject: SweepSubject,
    memory: ApproximateMemory,
    config: SweepConfig,
    store: RunStore,
    progress: ProgressSink,
    signal: AbortSignal,
  ) {
    this.#subject = subject;
    this.#memory = memory;
    this.#config = config;
    this.#store = store;
    this.#progress = progress;
    this.#signal = signal;
  }

  /**
   * Measures the given conditions, then the noise they are compared with.
   * @returns all rows of the store, condition by condition, of each draw by draw
   * @throws InterruptedError, DeviceLostError, DataError
   */
  async run(conditions: readonly Condition[]): Promise<Row[]> {
    const rows = await this.#store.readRows();
    await this.#measureAll('bit errors', conditions, rows);
    const { kinds, levels, moments } = this.#config.noise;
    if (kinds.length === 0) return rows;
    const noise = [
      ...(levels ? this.#publishedNoise(levels) : []),
      ...(moments ? await this.#momentNoise(conditions) : []),
      ...(await this.#calibrate(conditions, rows)),
    ];
    await this.#measureAll('noise', noise, rows);
    return rows;
  }

  async #measureAll(label: string, conditions: readonly Condition[], rows: Row[]): Promise<void> {
    this.#progress.start(label, this.#units(conditions), this.#doneUnits(conditions, rows));
    for (const condition of conditions) await this.#measure(condition, rows);
    this.#sort(rows);
    this.#progress.done();
  }

  /**
   * Puts rows in the order of a sweep that measures one draw after the other. Means over them, and so what is calibrated to
   * them, do not depend then on how many draws were measured at once.
   */
  #sort(rows: Row[]): void {
    const conditions = new Map<string, number>();
    const place = new Map<Row, number>();
    for (const row of rows) {
      const key = conditionKey(row.condition);
      if (!conditions.has(key)) conditions.set(key, conditions.size);
      place.set(row, conditions.get(key)!);
    }
    const names = this.#subject.attacks.map(({ name }) => name);
    rows.sort(
      (a, b) => place.get(a)! - place.get(b)! || a.draw - b.draw || names.indexOf(a.attack) - names.indexOf(b.attack),
    );
  }

  /** All draws and attacks of a condition that are not in `rows` yet; appends to both. */
  async #measure(condition: Condition, rows: Row[]): Promise<void> {
    const key = conditionKey(condition);
    const done = new Set(
      rows.filter((row) => conditionKey(row.condition) === key).map((row) => `${row.draw} ${row.attack}`),
    );
    // Draws that want the same attacks are measured at once; after a kill they may be at different ones.
    const wanting = new Map<string, { missing: SweepSubject['attacks']; all: number[] }>();
    for (let draw = 0; draw < this.#drawsOf(condition); draw++) {
      const missing = this.#subject.attacks.filter(({ name }) => !done.has(`${draw} ${name}`));
      const names = missing.map(({ name }) => name).join();
      const group = wanting.get(names) ?? { missing, all: [] };
      group.all.push(draw);
      wanting.set(names, group);
    }
    for (const { missing, all } of wanting.values()) {
      if (missing.length === 0) continue;
      for await (const draws of this.#load(condition, all)) {
        const rowsOf = await this.#measured(condition, draws, () => this.#progress.advance(0));
        for (const { name, units } of missing) {
          this.#interruptible();
          for (const { row, images } of await rowsOf(name)) {
            // The picture first: a row in the store says that everything of it is there.
            if (row.draw === 0) await this.#savePicture(condition, name, images);
            await this.#store.appendRow(row);
            rows.push(row);
            const numbers = `accuracy ${row.accuracy.toFixed(3)}, PCC ${row.pcc.toFixed(3)}, lift ${row.pccLift.toFixed(3)}`;
            this.#progress.advance(units, `${conditionLabel(condition)}, ${name}: ${numbers}`);
          }
        }
      }
    }
  }

  /**
   * One draw of a condition by itself: a row and its pictures for every attack. Nothing is stored.
   * @param tick called while attacks go on that take many iterations
   * @throws InterruptedError, DeviceLostError, ConfigError
   */
  async look(condition: Condition, draw: number, tick: Tick = () => {}): Promise<Look[]> {
    const looks: Look[] = [];
    for await (const draws of this.#load(condition, [draw])) {
      const rowsOf = await this.#measured(condition, draws, tick);
      for (const { name } of this.#subject.attacks) {
        this.#interruptible();
        looks.push(...(await rowsOf(name)));
      }
    }
    return looks;
  }

  /** Measures the draws that are held. @returns what an attack gives on them, a row a draw */
  async #measured(
    condition: Condition,
    draws: readonly number[],
    tick: Tick,
  ): Promise<(attack: string) => Promise<Look[]>> {
    const accuracies = await this.#subject.accuracies();
    const energy = energyOf(this.#subject.weightReads(), this.#memory);
    return async (attack) => {
      const measurements = await this.#subject.attack(attack, draws, tick);
      return measurements.map((measurement, i) => ({
        row: rowOf(condition, draws[i], accuracies[i], energy, attack, measurement),
        images: measurement.images,
      }));
    };
  }

  /** Puts the model into the condition's memory and draws its maps: yields the draws that can be measured next, all at once. */
  async *#load(condition: Condition, draws: readonly number[]): AsyncGenerator<readonly number[]> {
    this.#interruptible();
    const memory = parseMemoryConfig(memoryOf(condition, this.#config), this.#subject.layers);
    const key = JSON.stringify(memory);
    if (this.#configured !== key) {
      await this.#memory.configure(memory);
      this.#configured = key;
    }
    const most = this.#subject.drawsAtOnce(memory);
    for (let first = 0; first < draws.length; first += most) {
      this.#interruptible();
      const batch = draws.slice(first, first + most);
      await this.#subject.prepare(memory, batch.length);
      for (const [place, draw] of batch.entries()) {
        await this.#memory.load(draw);
        this.#subject.hold(place);
      }
      yield batch;
    }
  }

  #publishedNoise(levels: NonNullable<NoiseConfig['levels']>): Condition[] {
    const members = layersOfSet(levels.layers, this.#subject.layers);
    return this.#config.noise.kinds.flatMap((kind) =>
      levels[kind].map((level) => ({
        kind,
        rates: Object.fromEntries(members.map((layer) => [layer, level])),
        granularity: this.#config.granularity,
        layers: levels.layers,
        calibration: 'published',
      })),
    );
  }

  /** Noise with the mean square change of every layer that bit errors make there. */
  async #momentNoise(conditions: readonly Condition[]): Promise<Condition[]> {
    const { kinds, matched } = this.#config.noise;
    // Flips of an exponent have no finite moments to match.
    if ('nonFinite' in this.#config.format) return [];
    await this.#configureFormat();
    const found: Condition[] = [];
    for (const condition of conditions) {
      if (condition.kind !== 'bit-error' || condition.layers !== matched) continue;
      const deviations = new Map<string, number>();
      for (const [layer, rate] of Object.entries(condition.rates)) {
        deviations.set(layer, await this.#memory.flipDeviation(layer, rate));
      }
      for (const kind of kinds) {
        // A Laplacian of scale b has the standard deviation sqrt(2) b.
        const scale = (deviation: number) =>
          Number((kind === 'laplacian' ? deviation / Math.SQRT2 : deviation).toPrecision(6));
        found.push({
          kind,
          rates: Object.fromEntries([...deviations].map(([layer, deviation]) => [layer, scale(deviation)])),
          granularity: this.#config.granularity,
          layers: condition.layers,
          calibration: 'moments',
          matchedTo: conditionKey(condition),
        });
      }
    }
    return found;
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
    const { accuracyStep } = this.#subject;
    const { kinds, sets, matched: target } = this.#config.noise;
    const accuracyOf = (condition: Condition) => {
      const key = conditionKey(condition);
      return mean(rows.filter((row) => conditionKey(row.condition) === key).map((row) => row.accuracy));
    };
    const errorFree = mean(rows.filter((row) => row.condition.kind === 'quantised').map((row) => row.accuracy));
    const found = new Map<string, Condition>();
    this.#progress.start('calibrating noise', kinds.length * sets.length * 20);
    for (const kind of kinds) {
      for (const set of sets) {
        const members = layersOfSet(set, this.#subject.layers);
        const noise = (scale: number): NoiseCondition => ({
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
        const matched = conditions
          .filter((c) => c.kind === 'bit-error' && c.layers === (target ?? set) && equalRates(c))
          .reverse();
        for (const condition of matched) {
          const accuracy = accuracyOf(condition);
          const near = targets.some((other) => Math.abs(other - accuracy) < accuracyStep);
          if (errorFree - accuracy < accuracyStep || near) continue;
          targets.push(accuracy);
          const scale = await calibration.scaleFor(accuracy, accuracyStep / 2);
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
    const draws = [...Array(this.#config.draws).keys()];
    for await (const _ of this.#load(condition, draws)) accuracies.push(...(await this.#subject.accuracies()));
    return mean(accuracies);
  }

  /** All layers in the number format, without errors. */
  async #configureFormat(): Promise<void> {
    const { format, seed } = this.#config;
    const names = this.#subject.layers;
    const layers = Object.fromEntries(names.map((layer) => [layer, uniformMemory(format, 0)]));
    await this.#memory.configure(parseMemoryConfig({ seed, layers }, names));
    this.#configured = '';
  }

  async #fullScales(): Promise<Record<string, number>> {
    await this.#configureFormat();
    return Object.fromEntries(
      this.#subject.layers.map((layer) => [layer, this.#memory.fullScaleOf(`${layer}.weight`)]),
    );
  }

  /** Exact and merely quantised models do not change from draw to draw. */
  #drawsOf({ kind }: Condition): number {
    const fixed = kind === 'none' || kind === 'quantised';
    return fixed && !this.#subject.varies ? 1 : this.#config.draws;
  }

  #units(conditions: readonly Condition[]): number {
    const units = this.#subject.attacks.reduce((sum, attack) => sum + attack.units, 0);
    return conditions.reduce((sum, condition) => sum + this.#drawsOf(condition) * units, 0);
  }

  #doneUnits(conditions: readonly Condition[], rows: readonly Row[]): number {
    const keys = new Set(conditions.map(conditionKey));
    const units = new Map(this.#subject.attacks.map((attack) => [attack.name, attack.units]));
    return rows
      .filter((row) => keys.has(conditionKey(row.condition)))
      .reduce((sum, row) => sum + (units.get(row.attack) ?? 0), 0);
  }

  async #savePicture(condition: Condition, attack: string, images: readonly Float32Array[]): Promise<void> {
    const { pixels: size } = this.#subject.pictureSize;
    const pixels = new Uint8Array(images.length * size);
    images.forEach((image, i) => {
      for (let k = 0; k < size; k++) pixels[i * size + k] = Math.round(255 * image[k]);
    });
    await this.#store.write(pictureFile(condition, attack), pixels);
  }

  /** The pictures of the first draw of every condition in `rows`. @throws DataError when one is missing */
  async pictures(rows: readonly Row[]): Promise<Picture[]> {
    const { images: count, pixels } = this.#subject.pictureSize;
    const pictures: Picture[] = [];
    for (const { condition, attack, draw } of rows) {
      if (draw !== 0) continue;
      const file = pictureFile(condition, attack);
      const bytes = await this.#store.read(file);
      if (bytes?.length !== count * pixels) {
        throw new DataError(
          `${this.#store.describe(file)}: ${bytes ? 'wrong size' : 'missing'}; run again without --resume`,
        );
      }
      const images = Array.from({ length: count }, (_, i) =>
        Float32Array.from(bytes.subarray(i * pixels, (i + 1) * pixels), (byte) => byte / 255),
      );
      pictures.push({ condition, attack, images });
    }
    return pictures;
  }

  #interruptible(): void {
    refuseAborted(this.#signal);
  }
}

/** @throws InterruptedError once the user has interrupted */
export function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new InterruptedError('interrupted; what was finished is saved, go on with --resume');
}

/** Energy of reading weights at the voltages that a memory configuration names; nominal where it names none. */
function energyOf(reads: readonly WeightRead[], memory: ApproximateMemory): Required<Row>['energy'] {
  const { layers } = memory.config;
  const voltsOf = (layer: string) => {
    const stored = layers[layer];
    const models = stored?.kind === 'stored' ? stored.faults : [];
    return Math.min(NOMINAL_VOLTS, ...models.map((model) => (model.kind === 'voltage' ? model.volts : NOMINAL_VOLTS)));
  };
  const { bytes, energy, nominal } = weightReadEnergy(
    reads.map(({ layer, times }) => ({ layer, bytes: memory.bytesOf(layer) * times, volts: voltsOf(layer) })),
  );
  return { bytes, relative: nominal > 0 ? energy / nominal : 1 };
}

function rowOf(
  condition: Condition,
  draw: number,
  accuracy: number,
  energy: Row['energy'],
  attack: string,
  measured: Measurement,
): Row {
  const { perIdentity, n, underflow } = measured;
  return {
    condition,
    draw,
    accuracy,
    attack,
    pcc: mean(perIdentity.pcc),
    pccLift: mean(perIdentity.pccLift),
    mse: mean(perIdentity.mse),
    psnr: mean(perIdentity.psnr),
    ssim: mean(perIdentity.ssim),
    identity: mean(perIdentity.identity),
    ...(underflow !== undefined && { underflow }),
    n,
    energy,
    perIdentity,
  };
}

function equalRates({ rates }: Condition): boolean {
  return new Set(Object.values(rates)).size === 1;
}

function pictureFile(condition: Condition, attack: string): string {
  const rates = Object.entries(condition.rates).map(([layer, rate]) => `${layer}=${rate}`);
  const name = condition.kind === 'memory' && condition.label ? [condition.label] : rates;
  return `pictures/${[attack, condition.kind, condition.layers, ...name].join('_').replace(/[^\w.=+-]+/g, '-')}.gray`;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
