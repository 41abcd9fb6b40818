/** A victim that reads its weights from memory in one way, with its evaluation and its attacks. */
import type { AttackedVictim, BuiltAttack, PreparedAttack, Release } from '../attacks/attack.ts';
import type { SearchSpace } from '../attacks/search_space.ts';
import type { ImageDataset } from '../data/dataset.ts';
import { Arena, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Program, Recorder } from '../gpu/recorder.ts';
import type { ApproximateMemory } from '../injection/approximate_memory.ts';
import { planGraph, recordForward } from '../layers/graph.ts';
import type { WeightsOf } from '../layers/weights.ts';
import type { DeviceDataset } from '../models/device_dataset.ts';
import { Evaluator } from '../models/evaluate.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import type { Victim } from '../models/victim.ts';
import { foldedVictim, isLinear, stackVictim } from '../models/victims.ts';
import type { ExperimentData } from './faces.ts';
import { MemoryReads } from './reads.ts';

/** The evaluation and the attacks for one way of reading memory: GPU programs, built once and run for all draws. */
export class PreparedVictim {
  readonly key: string;
  readonly evaluator: Evaluator;
  readonly reads: MemoryReads;
  readonly #arena: Arena;
  readonly #attacked: AttackedVictim;
  readonly #folds: readonly Program[];
  readonly #attacks = new Map<PreparedAttack, Map<string, BuiltAttack>>();
  readonly #evaluate: (victim: Victim) => Promise<Evaluator>;
  readonly #evaluators = new Map<Release, Evaluator>();

  private constructor(
    key: string,
    arena: Arena,
    evaluator: Evaluator,
    attacked: Omit<AttackedVictim, 'release' | 'reads'>,
    reads: MemoryReads,
    folds: readonly Program[],
    evaluate: (victim: Victim) => Promise<Evaluator>,
  ) {
    this.key = key;
    this.#arena = arena;
    this.evaluator = evaluator;
    this.reads = reads;
    this.#attacked = { ...attacked, reads };
    this.#folds = folds;
    this.#evaluate = evaluate;
  }

  static async build(args: {
    gpu: Gpu;
    key: string;
    spec: ModelSpec;
    memory: ApproximateMemory;
    fold: boolean;
    draws: number;
    photographs: DeviceDataset;
    data: ExperimentData;
    batchSize: number;
  }): Promise<PreparedVictim> {
    const { gpu, spec, memory, fold, draws, data } = args;
    const arena = new Arena(gpu);
    try {
      const weights = memory.weightsOf;
      const { layers } = spec;
      const copy =
        fold && isLinear(layers)
          ? (owner: Arena, from: WeightsOf) => foldedVictim(owner, layers, from, draws)
          : undefined;
      const folding = copy && { victim: await copy(arena, weights), copy };
      const victim = folding?.victim.victim ?? stackVictim(layers, weights, memory);
      const evaluate = (each: Victim) => Evaluator.build(gpu, each, args.photographs, data.split.test, args.batchSize);
      const evaluator = await evaluate(victim);
      const search = searched(victim, spec, memory, data.dataset);
      const reads = new MemoryReads(gpu, memory, {
        victim: search.victim,
        with: (from) => stackVictim(searchedLayers(spec), from),
        folding,
      });
      const folds = folding?.victim.folds ?? [];
      return new PreparedVictim(args.key, arena, evaluator, { victim, search }, reads, folds, evaluate);
    } catch (error) {
      arena.destroy();
      throw error;
    }
  }

  get draws(): number {
    return this.#attacked.victim.draws;
  }

  /** Folded victims capture the draw; others read the memory itself. */
  captureDraw(index: number): void {
    this.#folds[index]?.run();
    for (const attack of this.#all()) attack.forget?.();
  }

  /** The evaluator of the answers that a release gives. */
  async releasedEvaluator(release: Release): Promise<Evaluator> {
    const evaluator = this.#evaluators.get(release) ?? (await this.#evaluate(release.apply(this.#attacked.victim)));
    this.#evaluators.set(release, evaluator);
    return evaluator;
  }

  async attack(attack: PreparedAttack, release: Release | undefined): Promise<BuiltAttack> {
    const name = release?.name ?? '';
    const own = this.#attacks.get(attack) ?? new Map<string, BuiltAttack>();
    this.#attacks.set(attack, own);
    let built = own.get(name);
    if (!built) {
      built = await attack.build({ ...this.#attacked, release });
      own.set(name, built);
    }
    return built;
  }

  /** For example `5 draws together: mi-face zero arena 33.1 MB, 15 buffers`. */
  get plan(): string {
    const attacks = this.#all().map(({ plan }) => plan);
    return `${this.draws} ${this.draws === 1 ? 'draw' : 'draws'} together: ${attacks.join('; ')}`;
  }

  #all(): BuiltAttack[] {
    return [...this.#attacks.values()].flatMap((own) => [...own.values()]);
  }

  destroy(): void {
    for (const evaluator of [this.evaluator, ...this.#evaluators.values()]) evaluator.destroy();
    for (const attack of this.#all()) attack.destroy();
    this.#arena.destroy();
  }
}

/** The layers between the searched space and the logits: all of them or, for an autoencoder, those after its encoder. */
function searchedLayers({ layers, decoder, encoderLayers }: ModelSpec): ModelSpec['layers'] {
  return decoder.length === 0 ? layers : layers.slice(encoderLayers);
}

/** The space in which an attack searches for inputs: images, or the code of an autoencoder, whose decoder gives the image. */
function searched(
  victim: Victim,
  spec: ModelSpec,
  memory: ApproximateMemory,
  { width, height, channels }: ImageDataset,
): { victim: Victim; space: SearchSpace } {
  if (spec.decoder.length === 0) return { victim, space: { height, width, channels } };
  // Fredrikson's attack on the DAE moves the code; the model's encoder and decoder convert between code and image.
  const weights = memory.weightsOf;
  const encoder = spec.layers.slice(0, spec.encoderLayers);
  const head = stackVictim(searchedLayers(spec), weights, memory);
  const plan = (arena: Arena, code: Matrix, image: Matrix, processed: Matrix) => {
    const decode = planGraph(arena, spec.decoder, code, { output: image });
    const encode = planGraph(arena, encoder, processed, { output: code });
    return {
      recordDecode: (recorder: Recorder) => recordForward(recorder, arena, spec.decoder, weights, decode),
      recordEncode: (recorder: Recorder) => recordForward(recorder, arena, encoder, weights, encode),
    };
  };
  return { victim: head, space: { height, width, channels, latent: { size: head.inputs, plan } } };
}
