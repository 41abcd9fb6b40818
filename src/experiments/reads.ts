/** The reads of approximate memory by attackers who read the weights of a draw more than once. */
import { type HeldReads, MOST_READS, type RepeatedReads } from '../attacks/repeated_reads.ts';
import { sha256 } from '../data/sha256.ts';
import { Arena } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { ApproximateMemory } from '../injection/approximate_memory.ts';
import { VotedParameters } from '../injection/majority_vote.ts';
import { LOADS } from '../injection/placement.ts';
import { plainWeights, type WeightsOf } from '../layers/weights.ts';
import type { Victim } from '../models/victim.ts';
import type { FoldedVictim } from '../models/victims.ts';

/**
 * Load number of read 1 of draw 0: above the measured draws and those that calibrate noise. Reads of one draw are this many
 * loads apart; MOST_READS of them, and as many maps from which an attacker learns, stay below 2^32.
 */
const RELOADS = 2 ** 20;

/** The victim as an attacker searches it, and how others like it are made. */
export interface SearchedVictim {
  readonly victim: Victim;
  /** The same layers with other weights, without approximate memory. */
  with(weights: WeightsOf): Victim;
  /** Absent for a victim that reads the memory. For one that holds products of its layers, how another one is made. */
  readonly folding?: {
    readonly victim: FoldedVictim;
    copy(arena: Arena, weights: WeightsOf): Promise<FoldedVictim>;
  };
}

export class MemoryReads implements RepeatedReads {
  readonly #gpu: Gpu;
  readonly #memory: ApproximateMemory;
  readonly #searched: SearchedVictim;
  #isMoved = false;

  constructor(gpu: Gpu, memory: ApproximateMemory, searched: SearchedVictim) {
    this.#gpu = gpu;
    this.#memory = memory;
    this.#searched = searched;
  }

  needReloads(): boolean {
    return this.#memory.config.granularity === 'load';
  }

  async select(draws: readonly number[], read: number): Promise<void> {
    if (read === 0) return this.restore(draws);
    if (!this.needReloads()) return;
    await this.#load(draws, (draw) => this.#numberOf(draw, read), this.#measured);
  }

  async selectMap(draws: readonly number[], map: number, chip: 'own' | 'other'): Promise<void> {
    const { granularity } = this.#memory.config;
    if (granularity === 'chip' && chip === 'own') return;
    const passes = granularity === 'pass' || granularity === 'inference';
    const number = passes ? LOADS - 1 : RELOADS * (MOST_READS + map);
    await this.#load(draws, () => number, this.#measured);
  }

  async nameMaps(draws: readonly number[], chip: 'own' | 'other'): Promise<string> {
    const { config } = this.#memory;
    const maps = config.granularity === 'chip' && chip === 'own' ? draws : chip;
    return (await sha256(JSON.stringify([config, maps]))).slice(0, 16);
  }

  async hold(count: number): Promise<HeldReads> {
    const { victim, folding } = this.#searched;
    if (folding) return this.#holdCopies(count, folding);
    let held: readonly number[] = [];
    return {
      victims: Array.from({ length: count }, () => victim),
      begin: async (draws) => {
        held = draws;
      },
      select: (read) => this.select(held, read),
      destroy: () => {},
    };
  }

  async #holdCopies(count: number, folding: NonNullable<SearchedVictim['folding']>): Promise<HeldReads> {
    const arena = new Arena(this.#gpu);
    const copies = [folding.victim];
    while (copies.length < count) copies.push(await folding.copy(arena, this.#memory.weightsOf));
    return {
      victims: copies.map(({ victim }) => victim),
      begin: async (draws) => {
        for (let read = 1; read < count; read++) {
          await this.#load(draws, (draw) => this.#numberOf(draw, read), copies[read]);
        }
      },
      select: async () => {},
      destroy: () => arena.destroy(),
    };
  }

  async vote(count: number): Promise<HeldReads> {
    const arena = new Arena(this.#gpu);
    const voted = new VotedParameters(arena, this.#memory);
    const weights = plainWeights(voted.parameters);
    const folded = await this.#searched.folding?.copy(arena, weights);
    return {
      victims: [folded?.victim ?? this.#searched.with(weights)],
      begin: async (draws) => {
        for (const [i, draw] of draws.entries()) {
          await voted.recover(count, (read) => this.#load([draw], () => this.#numberOf(draw, read), undefined));
          folded?.folds[i].run();
        }
      },
      select: async () => {},
      destroy: () => arena.destroy(),
    };
  }

  /** The victim that holds products of the layers as they were loaded last. */
  get #measured(): FoldedVictim | undefined {
    return this.#searched.folding?.victim;
  }

  /** Lets the memory return the measured load again. */
  async restore(draws: readonly number[]): Promise<void> {
    if (!this.#isMoved) return;
    await this.#load(draws, (draw) => draw, this.#measured);
    this.#isMoved = false;
  }

  /** Number of the load of a read of a draw. */
  #numberOf(draw: number, read: number): number {
    return this.needReloads() ? read * RELOADS + draw : draw;
  }

  /** Loads the memory, for every draw, and captures it in the victim that holds products. */
  async #load(
    draws: readonly number[],
    numberOf: (draw: number) => number,
    folded: FoldedVictim | undefined,
  ): Promise<void> {
    this.#isMoved = true;
    for (const [i, draw] of draws.entries()) {
      await this.#memory.load(numberOf(draw));
      folded?.folds[i].run();
    }
  }
}
