/** The search of an attack with a generative prior: from several starts per person, in the latent space of the prior. */

import { ConfigError } from '../errors.ts';
import { Arena, type Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { recordTranslate } from '../kernels/image.ts';
import { recordConfidenceCost } from '../kernels/loss.ts';
import { recordAdam, writeAdamStep } from '../kernels/optimizer.ts';
import type { Victim } from '../models/victim.ts';
import type { AttackContext, AttackedVictim, AttackResult, Tick } from './attack.ts';
import type { GenerativeConfig } from './generative_config.ts';
import { type GenerativePrior, rowsOf } from './generative_prior.ts';
import { seenOnce } from './mi_face_attack.ts';
import { GradientReads, recordCostGradient } from './mi_face_gradient.ts';
import type { HeldReads, RepeatedReads } from './repeated_reads.ts';

/** Vectors drawn from the prior, and the images that it makes of them. */
export interface Candidates {
  readonly codes: readonly Float32Array[];
  readonly images: readonly Float32Array[];
}

/** Decay rates of the moments: a search has few steps. */
const BETAS = [0.9, 0.99] as const;
const EPSILON = 1e-8;
/** Iterations between two synchronisations with the device, so that its queue never holds seconds of work. */
const SYNC_EVERY = 8;
/** Key of the random shifts: the same in all draws, as everything that the attacker draws. */
const SHIFT_KEY = 1;

/** Built once for a victim in memory, run for all its draws. */
export class GenerativeSearch {
  readonly #arena: Arena;
  readonly #context: AttackContext;
  readonly #config: GenerativeConfig;
  readonly #candidates: Candidates;
  readonly #draws: number;
  readonly #reads: RepeatedReads;
  /** The reads over which gradients are averaged, where there are several, and that mean. */
  readonly #held: HeldReads | undefined;
  #mean: GradientReads | undefined;
  /** [draws x people x starts, size of the prior] */
  readonly #z: Matrix;
  readonly #moments: readonly BufferView[];
  readonly #images: Matrix;
  readonly #results: BufferView;
  #logits!: Matrix;
  #ask!: Program;
  #iterate!: Program;
  #decode!: Program;
  #judge!: Program;

  private constructor(
    context: AttackContext,
    { victim, reads }: AttackedVictim,
    prior: GenerativePrior,
    candidates: Candidates,
    config: GenerativeConfig,
    held: HeldReads | undefined,
  ) {
    const arena = new Arena(context.gpu);
    this.#arena = arena;
    this.#context = context;
    this.#config = config;
    this.#candidates = candidates;
    this.#draws = victim.draws;
    this.#reads = reads;
    this.#held = held;
    const rows = victim.draws * context.people.length * config.starts;
    this.#z = arena.matrix('attack z', rows, prior.size);
    this.#moments = ['first', 'second'].map((name) => arena.allocate(`${name} moment of z`, this.#z.size));
    this.#images = arena.matrix('attack images', rows, victim.inputs);
    this.#results = arena.allocate('attack results', rows * 8);
  }

  /** @throws ConfigError for several reads of an autoencoder, LimitError, DeviceLostError */
  static async build(
    context: AttackContext,
    attacked: AttackedVictim,
    prior: GenerativePrior,
    candidates: Candidates,
    config: GenerativeConfig,
  ): Promise<GenerativeSearch> {
    if (config.reads && attacked.search.space.latent) {
      throw new ConfigError('attacks: generative: the images that a DAE classifies are read once; leave reads out');
    }
    const held = config.reads ? await attacked.reads.hold(config.reads) : undefined;
    const search = new GenerativeSearch(context, attacked, prior, candidates, config, held);
    await search.#record(attacked.victim, prior);
    return search;
  }

  async #record(victim: Victim, prior: GenerativePrior): Promise<void> {
    const arena = this.#arena;
    const { gpu } = arena;
    const { people, width, height, channels } = this.#context;
    const { starts, shift, priorWeight } = this.#config;
    const size = { width, height, channels };
    const targets = Array.from({ length: this.#draws }, () => people.flatMap((person) => Array(starts).fill(person)));

    const { images } = this.#candidates;
    const pool = arena.matrix('candidates', this.#draws * images.length, victim.inputs);
    const values = new Float32Array(pool.rows * pool.stride);
    for (let row = 0; row < pool.rows; row++) values.set(images[row % images.length], row * pool.stride);
    gpu.write(pool, values);
    const asked = victim.plan(arena, pool, false);
    const ask = new Recorder(gpu);
    asked.recordForward(ask);
    this.#logits = asked.logits;
    this.#ask = await ask.build('confidences in candidates');

    const [z, space] = [this.#z, { width: prior.size, height: 1 }];
    const iterate = new Recorder(gpu);
    const cost = { cost: 'negativeLogConfidence', space, targets: targets.flat() } as const;
    let gradient: Matrix;
    if (this.#held) {
      const victims = seenOnce(this.#held.victims, (each) => prior.before(each));
      this.#mean = await GradientReads.build(arena, { victims, select: this.#held.select }, z, cost);
      gradient = this.#mean.gradient;
    } else {
      ({ gradient } = recordCostGradient(iterate, arena, prior.before(victim), z, cost));
    }
    const [firstMoment, secondMoment] = this.#moments;
    recordAdam(iterate, {
      ...{ count: z.rows * z.stride, gradients: gradient, parameters: z, firstMoment, secondMoment },
      ...{ betas: BETAS, epsilon: EPSILON, weightDecay: priorWeight },
    });
    this.#iterate = await iterate.build('iteration in latent space');

    const decode = new Recorder(gpu);
    prior.recordFaces(decode, arena, z, this.#images);
    this.#decode = await decode.build('decode');

    const judge = new Recorder(gpu);
    const moved = shift > 0 ? arena.matrix('moved images', z.rows, victim.inputs) : this.#images;
    if (shift > 0) recordTranslate(judge, { ...size, input: this.#images, output: moved, shift, back: false });
    const judged = victim.plan(arena, moved, false);
    judged.recordForward(judge);
    const classes = arena.allocate('targets', z.rows * 4);
    gpu.write(classes, Uint32Array.from(targets.flat()));
    recordConfidenceCost(judge, {
      ...{ cost: 'negativeLogConfidence', logits: judged.logits, gradLogits: judged.gradLogits },
      ...{ targets: classes, results: this.#results },
    });
    this.#judge = await judge.build('confidences in moved images');
  }

  get plan(): string {
    return String(this.#arena);
  }

  /** Attacks the draws that the victim holds now. @throws DeviceLostError */
  async run(draws: readonly number[], tick: Tick): Promise<AttackResult[]> {
    const { gpu } = this.#arena;
    const { people } = this.#context;
    const { starts, iterations, step, views, reads = 1 } = this.#config;
    const every = Math.max(1, Math.floor(SYNC_EVERY / reads));
    await this.#held?.begin(draws);
    await this.#start();
    for (let t = 0; t < iterations; t++) {
      // The candidates were the first pass; the mean of several reads sets passes of its own.
      await this.#mean?.run(1 + t, 0);
      this.#iterate.setStep({ passIndex: 2 * (1 + t) });
      writeAdamStep(this.#iterate, step * (1 - t / iterations), BETAS, t + 1);
      this.#iterate.run();
      if (t % every === every - 1) {
        await gpu.idle();
        await tick((t + 1) * starts * reads, async () => this.#chosen(await this.#readImages(), () => 0).flat());
      }
    }
    const images = await this.#readImages();
    const costs = new Float64Array(this.#z.rows);
    for (let view = 0; view < views; view++) {
      this.#judge.setStep({ passIndex: 2 * ((1 + iterations) * reads + view) });
      this.#judge.setStep({ draw: SHIFT_KEY });
      this.#judge.run();
      const results = await gpu.readFloats(this.#results);
      for (const row of costs.keys()) costs[row] += results[2 * row] / views;
    }
    // A search whose numbers are not finite has no result; it is chosen only where the others have none either.
    const cost = (row: number) => (Number.isFinite(costs[row]) ? costs[row] : Number.POSITIVE_INFINITY);
    const queries = starts * (iterations * reads + views) + this.#candidates.codes.length / people.length;
    const reloads = reads > 1 && this.#reads.needReloads() ? { reloads: reads - 1 } : {};
    const chosen = this.#chosen([...images.keys()], cost);
    return chosen.map((own) => ({
      reconstructions: own.map((row, i) => ({ image: images[row], person: people[i], failed: cost(row) === Infinity })),
      queries,
      ...reloads,
    }));
  }

  /** Starts every search from the candidates in which the victim is most confident. */
  async #start(): Promise<void> {
    const { gpu } = this.#arena;
    const { people } = this.#context;
    const { starts } = this.#config;
    const { codes } = this.#candidates;
    this.#ask.setStep({ passIndex: 0 });
    this.#ask.run();
    const logits = await gpu.readFloats(this.#logits);
    const z = new Float32Array(this.#z.rows * this.#z.stride);
    let row = 0;
    for (let draw = 0; draw < this.#draws; draw++) {
      const confidences = codes.map((_, i) => {
        const at = (draw * codes.length + i) * this.#logits.stride;
        return logConfidences(logits.subarray(at, at + this.#logits.columns));
      });
      for (const person of people) {
        const order = [...codes.keys()].sort((a, b) => confidences[b][person] - confidences[a][person] || a - b);
        for (let i = 0; i < starts; i++, row++) z.set(codes[order[i % order.length]], row * this.#z.stride);
      }
    }
    gpu.write(this.#z, z);
    for (const moment of this.#moments) gpu.write(moment, new Float32Array(z.length));
  }

  /** Per draw and person that of its starts with the lowest cost, the first of equals. @param all one per start */
  #chosen<T>(all: readonly T[], cost: (row: number) => number): T[][] {
    const { starts } = this.#config;
    const { people } = this.#context;
    const best = (first: number) => {
      let row = first;
      for (let i = first + 1; i < first + starts; i++) if (cost(i) < cost(row)) row = i;
      return all[row];
    };
    return Array.from({ length: this.#draws }, (_, draw) =>
      people.map((_, person) => best((draw * people.length + person) * starts)),
    );
  }

  async #readImages(): Promise<Float32Array[]> {
    this.#decode.run();
    return rowsOf(await this.#arena.gpu.readFloats(this.#images), this.#images);
  }

  destroy(): void {
    this.#held?.destroy();
    this.#arena.destroy();
  }
}

/** Logarithms of the confidences; -Infinity for all classes where a logit is not finite. */
function logConfidences(logits: Float32Array): Float64Array {
  if (!logits.every(Number.isFinite)) return new Float64Array(logits.length).fill(Number.NEGATIVE_INFINITY);
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
  return Float64Array.from(logits, (logit) => logit - largest - Math.log(sum));
}
