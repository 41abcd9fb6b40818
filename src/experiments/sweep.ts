/**
 * A sweep: one testbed under many conditions, several draws of each, several attacks on each draw. The results of an
 * attack are stored, one row per draw, before the next attack begins, so an interrupted sweep continues where it stopped.
 */
import type { AttackOutput, Tick } from '../attacks/attack.ts';
import { releaseDefence } from '../defences/registry.ts';
import { parseJson } from '../formats/json.ts';
import type { WeightRead } from '../gpu/recorder.ts';
import type { ApproximateMemory } from '../injection/approximate_memory.ts';
import { type MemoryConfig, parseMemoryConfig, uniformMemory } from '../memory/config.ts';
import { accessTime, NOMINAL_VOLTS, streamEnergy, weightReadEnergy } from '../memory/energy.ts';
import { dimmOfDraw, meanErrorRate, readTiming, supplyVolts } from '../memory/faults.ts';
import { meanOfMeasured, PERSON_MEASURES, type PersonScores } from '../metrics/scoring.ts';
import type { Evaluation } from '../models/evaluate.ts';
import { isErrorFree } from '../results/condition.ts';
import { isCalibrationImage } from '../results/equal_accuracy.ts';
import { formatNumber } from '../results/format.ts';
import { FIRST_METRICS } from '../results/metrics.ts';
import { inOrder, type RowOrder } from '../results/order.ts';
import { encodePictures } from '../results/pictures.ts';
import {
  type Condition,
  conditionKey,
  conditionLabel,
  type NoiseCondition,
  pictureFile,
  type Row,
} from '../results/results.ts';
import { Calibration, type CalibrationCurve } from './calibration.ts';
import { layersOfSet, memoryOf, released } from './conditions.ts';
import type { NoiseConfig, SweepConfig } from './config.ts';
import { noiseOfEqualMoments } from './moments.ts';
import { type Shard, WHOLE } from './shard.ts';
import { type ProgressSink, type RunContext, type RunStore, refuseAborted } from './store.ts';
import type { Measurement, Testbed } from './testbed.ts';

/** One attack on one draw, with its pictures. */
export interface DrawResult {
  readonly row: Row;
  readonly images: readonly Float32Array[];
}

/** First of the draws that calibrate noise; those that are measured have lower numbers. */
const CALIBRATION_DRAWS = 2048;

/** With fewer draws the accuracy of a condition is known too roughly to be matched. */
const FEWEST_CALIBRATION_DRAWS = 5;

/** File of the calibrated noise in a run. */
export const CALIBRATION_FILE = 'calibration.json';

/** Measures a testbed under one draw of a condition ({@link Sweep.measure}) or under all conditions ({@link Sweep.run}). */
export class Sweep {
  readonly #testbed: Testbed;
  readonly #memory: ApproximateMemory;
  readonly #config: SweepConfig;
  readonly #store: RunStore;
  readonly #progress: ProgressSink;
  readonly #signal: AbortSignal;
  readonly #shard: Shard;
  #configured = '';
  #order: RowOrder | undefined;
  /** Number of conditions so far; they go to the shards in turn. */
  #dealt = 0;

  /** @param shard which part of the conditions this run measures; all by default */
  constructor(testbed: Testbed, config: SweepConfig, { store, progress, signal }: RunContext, shard: Shard = WHOLE) {
    this.#testbed = testbed;
    this.#memory = testbed.memory;
    this.#config = config;
    this.#store = store;
    this.#progress = progress;
    this.#signal = signal;
    this.#shard = shard;
  }

  /**
   * Measures the given conditions, then the noise that they are compared with.
   * @param planned from plannedConditions
   * @returns the rows of this configuration that the store holds, sorted by condition, draw and attack
   * @throws InterruptedError, DeviceLostError, DataError
   */
  async run(planned: readonly Condition[]): Promise<Row[]> {
    const rows = await this.#store.readRows();
    this.#dealt = 0;
    await this.#measureAll('bit errors', planned, rows);
    const noise = await this.#noise(planned);
    if (noise.length > 0) await this.#measureAll('noise', noise, rows);
    this.#order = this.#orderOf([...planned, ...noise]);
    return inOrder(rows, this.#order);
  }

  async #noise(planned: readonly Condition[]): Promise<Condition[]> {
    const { kinds, levels, moments } = this.#config.noise;
    if (kinds.length === 0) return [];
    const exact = planned.filter(({ release }) => release === undefined);
    const noise = [
      ...(levels ? this.#publishedNoise(levels) : []),
      ...(moments ? await this.#momentNoise(exact) : []),
      ...(await this.#calibrate(exact)),
    ];
    return released(noise, this.#config, exact);
  }

  async #measureAll(label: string, conditions: readonly Condition[], rows: Row[]): Promise<void> {
    const { index, count } = this.#shard;
    const own = conditions.filter(() => this.#dealt++ % count === index);
    this.#progress.start(label, this.#units(own), this.#doneUnits(own, rows));
    for (const condition of own) await this.#measure(condition, rows);
    this.#progress.done();
  }

  /** The order in which a run that is never interrupted writes its rows; known once {@link run} is over. */
  get order(): RowOrder {
    return this.#order!;
  }

  #orderOf(conditions: readonly Condition[]): RowOrder {
    return {
      conditions: conditions.map(conditionKey),
      together: conditions.map((condition) => this.#testbed.drawsTogether(this.#memoryOf(condition))),
      draws: conditions.map((condition) => this.#drawsOf(condition)),
      attacks: this.#testbed.outputs.map(({ name }) => name),
    };
  }

  /** Measures all draws and attacks of a condition that are not in `rows` yet; appends to `rows` and to the store. */
  async #measure(condition: Condition, rows: Row[]): Promise<void> {
    const key = conditionKey(condition);
    const done = new Set(
      rows.filter((row) => conditionKey(row.condition) === key).map((row) => `${row.draw} ${row.attack}`),
    );
    // Draws that lack the same attacks are measured together; after a kill they may lack different ones.
    const wanting = new Map<string, { missing: readonly AttackOutput[]; all: number[] }>();
    for (let draw = 0; draw < this.#drawsOf(condition); draw++) {
      const missing = this.#testbed.outputs.filter(({ name }) => !done.has(`${draw} ${name}`));
      const names = missing.map(({ name }) => name).join();
      const group = wanting.get(names) ?? { missing, all: [] };
      group.all.push(draw);
      wanting.set(names, group);
    }
    for (const { missing, all } of wanting.values()) {
      if (missing.length === 0) continue;
      for await (const draws of this.#load(condition, all)) {
        const rowsOf = await this.#measured(condition, draws, () => this.#progress.advance(0));
        for (const output of missing) {
          this.#interruptible();
          const { name, units } = output;
          for (const { row, images } of await rowsOf(output)) {
            // The picture is stored first: a row in the store implies that its picture is there.
            if (row.draw === 0 && images.length > 0) await this.#savePicture(condition, name, images);
            await this.#store.appendRow(row);
            rows.push(row);
            const [pcc, lift, auc] = [row.pcc, row.liftMeanFree, row.membership?.auc].map((value) =>
              formatNumber(value ?? null),
            );
            const found = row.membership ? `AUC of membership ${auc}` : `PCC ${pcc}, lift ${lift}`;
            const numbers = `accuracy ${row.accuracy.toFixed(3)}, ${found}`;
            this.#progress.advance(units, `${conditionLabel(condition)}, ${name}: ${numbers}`);
          }
        }
      }
    }
  }

  /**
   * Measures one draw of a condition: returns a row and its pictures for every attack. Nothing is stored.
   * @param tick called during attacks that take many iterations
   * @throws InterruptedError, DeviceLostError, ConfigError
   */
  async measure(condition: Condition, draw: number, tick: Tick = () => {}): Promise<DrawResult[]> {
    const results: DrawResult[] = [];
    for await (const draws of this.#load(condition, [draw])) {
      const rowsOf = await this.#measured(condition, draws, tick);
      for (const output of this.#testbed.outputs) {
        this.#interruptible();
        results.push(...(await rowsOf(output)));
      }
    }
    return results;
  }

  /** Measures the captured draws. @returns a function that attacks them and returns one result per draw */
  async #measured(
    condition: Condition,
    draws: readonly number[],
    tick: Tick,
  ): Promise<(output: AttackOutput) => Promise<DrawResult[]>> {
    const evaluations = await this.#testbed.evaluate(draws, condition.release);
    const energy = energyOf(this.#testbed.weightReads(), this.#memory);
    const { config } = this.#memory;
    return async (output) => {
      const measurements = await this.#testbed.attack(output, draws, condition.release, tick);
      return measurements.map((measurement, i) => {
        const rates =
          condition.kind === 'memory' && config.granularity === 'chip' ? ratesOf(config, draws[i]) : undefined;
        const dimm = rates && dimmOfDraw(config.layers, config.chip + draws[i]);
        const drawn = { ...(dimm !== undefined && { dimm }), ...(rates && { rates }) };
        const common = { condition, draw: draws[i], energy, attack: output.name, ...drawn };
        const { heldOutPersons } = this.#testbed;
        return { row: rowOf(common, evaluations[i], heldOutPersons, measurement), images: measurement.images };
      });
    };
  }

  #memoryOf(condition: Condition) {
    return parseMemoryConfig(memoryOf(condition, this.#config), this.#testbed.layers);
  }

  /** Puts the model into the condition's memory and captures draws: yields the draws that are measured together. */
  async *#load(condition: Condition, draws: readonly number[]): AsyncGenerator<readonly number[]> {
    this.#interruptible();
    const memory = this.#memoryOf(condition);
    const key = JSON.stringify(memory);
    if (this.#configured !== key) {
      await this.#memory.configure(memory);
      this.#configured = key;
    }
    const most = this.#testbed.drawsTogether(memory);
    for (let first = 0; first < draws.length; first += most) {
      this.#interruptible();
      const batch = draws.slice(first, first + most);
      await this.#testbed.prepare(memory, batch.length);
      for (const [index, draw] of batch.entries()) {
        await this.#memory.load(draw);
        this.#testbed.captureDraw(index);
      }
      yield batch;
    }
  }

  #publishedNoise(levels: NonNullable<NoiseConfig['levels']>): Condition[] {
    const members = layersOfSet(levels.layers, this.#testbed.layers);
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

  /** Noise that changes every layer by the same mean square as the bit errors do. */
  async #momentNoise(conditions: readonly Condition[]): Promise<Condition[]> {
    const { kinds, matched } = this.#config.noise;
    // Flips of an exponent have no finite moments to match.
    if ('nonFinite' in this.#config.format) return [];
    await this.#configureFormat();
    const found: Condition[] = [];
    for (const condition of conditions) {
      if (condition.kind !== 'bit-error' || condition.layers !== (matched ?? condition.layers)) continue;
      found.push(...(await noiseOfEqualMoments(this.#memory, condition, kinds)));
    }
    return found;
  }

  /**
   * Mean accuracy of a condition on the images that calibrate noise, over draws that nothing else uses: an accuracy that is
   * compared later must not have been fitted.
   */
  async #calibrationAccuracy(condition: Condition): Promise<number> {
    const first = Math.max(CALIBRATION_DRAWS, this.#config.draws);
    const count = isErrorFree(condition) ? 1 : Math.max(FEWEST_CALIBRATION_DRAWS, this.#config.draws);
    const draws = Array.from({ length: count }, (_, i) => first + i);
    const shares: number[] = [];
    for await (const _ of this.#load(condition, draws)) {
      for (const { correct } of await this.#testbed.evaluate()) {
        const used = correct.filter((_, position) => isCalibrationImage(position));
        shares.push(used.filter(Boolean).length / used.length);
      }
    }
    return mean(shares);
  }

  /**
   * One noise condition for every accuracy under bit errors on a set of layers, where they reduce it. All layers of a
   * set get the same multiple of their number format's full scale. Bit errors of equal accuracy share the noise, matched to
   * the strongest of them.
   */
  async #calibrate(conditions: readonly Condition[]): Promise<Condition[]> {
    const saved = await this.#store.read(CALIBRATION_FILE);
    const name = this.#store.describe(CALIBRATION_FILE);
    const curves: Record<string, CalibrationCurve> = saved
      ? Calibration.parse(parseJson(saved, name, { advice: 'delete it to calibrate again' }), name)
      : {};
    const fullScale = await this.#fullScales();
    const accuracyStep = this.#testbed.calibrationStep;
    const { kinds, matched: target } = this.#config.noise;
    const sets = this.#config.noise.sets ?? [...new Set(this.#config.sweeps.map(({ layers }) => layers))];
    const quantised = conditions.find(({ kind }) => kind === 'quantised');
    if (!quantised) return [];
    const errorFree = await this.#calibrationAccuracy(quantised);
    const accuracies = new Map<Condition, number>();
    const found = new Map<string, Condition>();
    this.#progress.start('calibrating noise', kinds.length * sets.length * 20);
    for (const kind of kinds) {
      for (const set of sets) {
        const members = layersOfSet(set, this.#testbed.layers);
        const noise = (scale: number): NoiseCondition => ({
          kind,
          rates: Object.fromEntries(members.map((layer) => [layer, scale * fullScale[layer]])),
          granularity: this.#config.granularity,
          layers: set,
        });
        const curve = `${kind} ${set}`;
        const calibration = new Calibration(async (scale) => {
          const accuracy = await this.#calibrationAccuracy(noise(scale));
          const note = `${kind} on ${set}, ${scale} of full scale: accuracy ${accuracy.toFixed(3)}`;
          this.#progress.advance(1, note);
          return accuracy;
        }, curves[curve]);
        // Strongest first. Accuracies within one image share a target; an accuracy without a loss has no scale.
        const targets: number[] = [];
        const matched = conditions
          .filter((c) => c.kind === 'bit-error' && c.layers === (target ?? set) && equalRates(c))
          .reverse();
        for (const condition of matched) {
          const accuracy = accuracies.get(condition) ?? (await this.#calibrationAccuracy(condition));
          accuracies.set(condition, accuracy);
          const near = targets.some((other) => Math.abs(other - accuracy) < accuracyStep);
          if (errorFree - accuracy < accuracyStep || near) continue;
          targets.push(accuracy);
          const scale = await calibration.scaleFor(accuracy, accuracyStep / 2);
          curves[curve] = calibration.curve;
          await this.#store.write(CALIBRATION_FILE, JSON.stringify(curves));
          // The strongest comes first, and keeps a scale that others share.
          const key = `${curve} ${scale}`;
          if (!found.has(key)) found.set(key, { ...noise(scale), matchedTo: conditionKey(condition) });
        }
      }
    }
    this.#progress.done();
    return [...found.values()];
  }

  /** Puts all layers into the number format, without errors. */
  async #configureFormat(): Promise<void> {
    const { format, seed } = this.#config;
    const names = this.#testbed.layers;
    const layers = Object.fromEntries(names.map((layer) => [layer, uniformMemory(format, 0)]));
    await this.#memory.configure(parseMemoryConfig({ seed, layers }, names));
    this.#configured = '';
  }

  async #fullScales(): Promise<Record<string, number>> {
    await this.#configureFormat();
    return Object.fromEntries(
      this.#testbed.layers.map((layer) => [layer, this.#memory.fullScaleOf(`${layer}.weight`)]),
    );
  }

  /** Exact and merely quantised models do not change from draw to draw, unless their answers are changed at random. */
  #drawsOf(condition: Condition): number {
    const { release } = condition;
    const varies = this.#testbed.varies || (release && releaseDefence(release.kind).isRandom);
    return isErrorFree(condition) && !varies ? 1 : this.#config.draws;
  }

  #units(conditions: readonly Condition[]): number {
    const units = this.#testbed.outputs.reduce((sum, attack) => sum + attack.units, 0);
    return conditions.reduce((sum, condition) => sum + this.#drawsOf(condition) * units, 0);
  }

  #doneUnits(conditions: readonly Condition[], rows: readonly Row[]): number {
    const keys = new Set(conditions.map(conditionKey));
    const units = new Map(this.#testbed.outputs.map((attack) => [attack.name, attack.units]));
    return rows
      .filter((row) => keys.has(conditionKey(row.condition)))
      .reduce((sum, row) => sum + (units.get(row.attack) ?? 0), 0);
  }

  async #savePicture(condition: Condition, attack: string, images: readonly Float32Array[]): Promise<void> {
    const { width, height, channels } = this.#testbed;
    await this.#store.write(pictureFile(condition, attack), encodePictures({ images, width, height, channels }));
  }

  #interruptible(): void {
    refuseAborted(this.#signal);
  }
}

/** Energy and time of reading weights at the voltages and timings that a memory configuration names, or at standard ones. */
function energyOf(reads: readonly WeightRead[], memory: ApproximateMemory): Required<Row>['energy'] {
  const { layers } = memory.config;
  const all = reads.map(({ layer, times }) => {
    const own = Object.hasOwn(layers, layer) ? layers[layer] : undefined;
    const { ns, standard } = accessTime(own ? readTiming(own) : {}, 0);
    const volts = own ? supplyVolts(own) : NOMINAL_VOLTS;
    return { layer, bytes: memory.bytesOf(layer) * times, volts, access: ns / standard };
  });
  const { bytes, energy, nominal } = weightReadEnergy(all);
  const { total: _, ...joules } = streamEnergy(all);
  const access = all.reduce((sum, each) => sum + each.bytes * each.access, 0);
  return { bytes, relative: nominal > 0 ? energy / nominal : 1, joules, access: bytes > 0 ? access / bytes : 1 };
}

/** Mean bit error rates of the layers on the chip of a draw. */
function ratesOf({ layers, chip }: MemoryConfig, draw: number): Record<string, number> {
  const rates = Object.entries(layers).map(([layer, memory]) => [
    layer,
    memory.kind === 'stored' ? meanErrorRate(memory, chip + draw, layer) : 0,
  ]);
  return Object.fromEntries(rates);
}

function rowOf(
  common: Pick<Row, 'condition' | 'draw' | 'energy' | 'attack' | 'dimm' | 'rates'>,
  { accuracy, correct }: Evaluation,
  heldOutPersons: Uint32Array,
  { perIdentity, membership, n, queries, reloads, underflow }: Measurement,
): Row {
  const { condition, draw, attack, energy, dimm, rates } = common;
  const of = <M extends keyof PersonScores>(metrics: readonly M[]) =>
    Object.fromEntries(metrics.map((metric) => [metric, meanOfMeasured(perIdentity[metric])])) as Record<
      M,
      number | null
    >;
  return {
    condition,
    draw,
    accuracy,
    attack,
    ...of(FIRST_METRICS),
    ...(underflow !== undefined && { underflow }),
    n,
    energy,
    ...of(PERSON_MEASURES),
    unmeasured: perIdentity.pcc.filter((value) => value === null).length,
    queries,
    ...(reloads !== undefined && { reloads }),
    ...(dimm !== undefined && { dimm }),
    ...(rates && { rates }),
    correct: correct.map(Number).join(''),
    personAccuracy: personAccuracies(correct, heldOutPersons),
    ...(membership && { membership }),
    perIdentity,
  };
}

/** Share of correct answers for every person who has any image. */
function personAccuracies(correct: readonly boolean[], persons: Uint32Array): number[] {
  const counts = new Map<number, [right: number, all: number]>();
  for (const [i, answer] of correct.entries()) {
    const [right, all] = counts.get(persons[i]) ?? [0, 0];
    counts.set(persons[i], [right + Number(answer), all + 1]);
  }
  return [...counts].sort(([a], [b]) => a - b).map(([, [right, all]]) => right / all);
}

function equalRates({ rates }: Condition): boolean {
  return new Set(Object.values(rates)).size === 1;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
