/**
 * Inversion attackers who adapt to the errors of the memory in which they find the victim: they query it with public faces
 * under fault maps that are not measured, and from the answers train a network or fit a temperature.
 */
import { Arena } from '../gpu/arena.ts';
import { FlatParameters } from '../layers/parameters.ts';
import { plainWeights } from '../layers/weights.ts';
import { repeatDataset } from '../models/device_dataset.ts';
import { modelLayout } from '../models/model_parameters.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import type { Victim } from '../models/victim.ts';
import type { AttackContext } from './attack.ts';
import { alignLogits, Predictor } from './inversion.ts';
import type { AttackerConfig, InversionConfig } from './inversion_config.ts';
import { inversionNetwork, inversionTraining, type TrainedAttackers } from './inversion_networks.ts';
import { matchedTemperature } from './recalibration.ts';
import { MeanPredictions, type RepeatingAttacker } from './repeated_inversion.ts';
import type { RepeatedReads } from './repeated_reads.ts';

/** Fault maps to which a temperature is fitted. */
const TEMPERATURE_MAPS = 8;

/** Number of fault maps that an attacker sees before it attacks. */
function mapsOf({ learns, temperature }: AttackerConfig): number {
  return Math.max(learns?.maps ?? 0, temperature === 'matched' ? TEMPERATURE_MAPS : 0);
}

/** Reads of the victim's weights before the attack, for every batch of public faces. */
export function learnedReads(config: AttackerConfig): number {
  return mapsOf(config) * (config.reads ?? 1);
}

/** An attacker, and what it has adapted to. */
interface Adaptive {
  readonly config: AttackerConfig;
  readonly attacker: RepeatingAttacker;
  /** The network of an attacker who trains its own; the programs of the attack read it. */
  readonly parameters: FlatParameters | undefined;
  /** Names the maps that it has learned from. */
  learnedFrom: string;
  temperature: number;
}

export class AdaptiveAttackers {
  readonly #arena: Arena;
  readonly #config: InversionConfig;
  readonly #context: AttackContext;
  readonly #trained: TrainedAttackers;
  readonly #victim: Victim;
  readonly #reads: RepeatedReads;
  readonly #spec: ModelSpec;
  readonly #adaptive: readonly Adaptive[];
  #predictor: Promise<Predictor> | undefined;

  /** @param victim as the attackers see it */
  constructor(
    config: InversionConfig,
    context: AttackContext,
    trained: TrainedAttackers,
    victim: Victim,
    reads: RepeatedReads,
  ) {
    const arena = new Arena(context.gpu);
    this.#arena = arena;
    this.#config = config;
    this.#context = context;
    this.#trained = trained;
    this.#victim = victim;
    this.#reads = reads;
    this.#spec = inversionNetwork(config, context.classes, context);
    this.#adaptive = config.attackers.flatMap((each, i): Adaptive[] => {
      const { reads: count, temperature, learns } = each;
      if (count === undefined && temperature === undefined && learns === undefined) return [];
      const parameters = learns && new FlatParameters(arena, `${each.name} network`, modelLayout(this.#spec));
      const attacker = { ...trained.attackers[i], ...(parameters && { weights: plainWeights(parameters) }) };
      const fixed = typeof temperature === 'number' ? temperature : 1;
      return [{ config: each, attacker, parameters, learnedFrom: '', temperature: fixed }];
    });
  }

  get attackers(): readonly RepeatingAttacker[] {
    return this.#adaptive.map(({ attacker }) => attacker);
  }

  /**
   * Lets every attacker adapt to the memory, unless it has already.
   * @param draws the numbers of the draws that the victim holds
   * @returns the attackers' temperatures, in their order
   * @throws InterruptedError, DeviceLostError, ConfigError where no other chip was measured
   */
  async adapt(draws: readonly number[]): Promise<number[]> {
    for (const each of this.#adaptive) {
      const maps = mapsOf(each.config);
      if (maps === 0) continue;
      const chip = each.config.learns?.chip ?? 'own';
      const name = await this.#reads.nameMaps(draws, chip);
      if (each.learnedFrom === name) continue;
      const predictions: Float32Array[] = [];
      for (let map = 0; map < maps; map++) predictions.push(await this.#predict(each, draws, map, chip));
      await this.#reads.select(draws, 0);
      if (each.config.temperature === 'matched') {
        const { classes } = this.#context;
        each.temperature = matchedTemperature(joined(predictions), classes, this.#trained.entropy);
      }
      if (each.parameters)
        await this.#train(each, each.parameters, predictions.slice(0, each.config.learns!.maps), name);
      each.learnedFrom = name;
    }
    return this.#adaptive.map(({ temperature }) => temperature);
  }

  /** The attacker's view of the public faces under one map: the mean over as many reads as it combines in the attack. */
  async #predict(
    { attacker }: Adaptive,
    draws: readonly number[],
    map: number,
    chip: 'own' | 'other',
  ): Promise<Float32Array> {
    const { gpu, publicFaces, batchSize, classes } = this.#context;
    const { data, indices } = publicFaces!;
    this.#predictor ??= Predictor.build(gpu, this.#victim, data, indices, batchSize);
    const predictor = await this.#predictor;
    const mean = new MeanPredictions(indices.length, classes, attacker.alignment);
    for (let i = 0; i < attacker.reads; i++) {
      const read = map * attacker.reads + i;
      await this.#reads.selectMap(draws, read, chip);
      mean.add(await predictor.run(read));
    }
    return mean.mean;
  }

  /** Trains the attacker's network on predictions under several maps, and copies it to where the attack reads it. */
  async #train(
    { config, attacker, temperature }: Adaptive,
    parameters: FlatParameters,
    predictions: readonly Float32Array[],
    name: string,
  ): Promise<void> {
    const { gpu, publicFaces, classes, seed } = this.#context;
    const { data } = publicFaces!;
    // Where nothing fails all maps are the same.
    const different = predictions.filter((each, i) => i === 0 || each.some((value, k) => value !== predictions[0][k]));
    const count = different.length;
    const work = new Arena(gpu);
    try {
      const logits = joined(different).map((value) => value / temperature);
      const { vectors, values } = await alignLogits(work, logits, classes, attacker.alignment);
      const repeated = repeatDataset(work, data, count);
      const indices = Uint32Array.from({ length: repeated.count }, (_, i) => i);
      const training = inversionTraining(this.#config, seed);
      // As many steps as an attacker takes who learns from one prediction of every face.
      const epochs = Math.ceil(training.epochs / count);
      const release = this.#trained.release ? `\n${this.#trained.release.name}` : '';
      const file = `inversion-${config.name}${release}\n${name}`;
      const found = await this.#context.network(
        file,
        this.#spec,
        { ...repeated, vectors },
        indices,
        { ...training, epochs },
        values,
        work,
      );
      gpu.copy(found.view, parameters.view, parameters.layout.length * 4);
    } finally {
      work.destroy();
    }
  }

  destroy(): void {
    void this.#predictor?.then((predictor) => predictor.destroy());
    this.#arena.destroy();
  }
}

function joined(predictions: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(predictions.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const each of predictions) {
    all.set(each, at);
    at += each.length;
  }
  return all;
}
