/**
 * A progressive bit search: which stored bits of a network raise a cost most if they flip, one after the other. After A. S.
 * Rakin, Z. He and D. Fan, "Bit-Flip Attack: Crushing Neural Network with Progressive Bit Search", ICCV 2019: in every step the
 * bits of each layer are ranked by gradient times change, the best flip of each layer is tried, and the one that leaves the
 * highest cost is kept. Here a flip that is ranked first but does not raise the cost gives way to the next, up to
 * {@link TRIES} per layer, and the search ends when no layer has one that does. No bit is flipped back.
 */
import { Arena, type Matrix } from '../gpu/arena.ts';
import type { Gpu } from '../gpu/device.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import type { ApproximateMemory } from '../injection/approximate_memory.ts';
import { flippableBits } from '../injection/chosen_flips.ts';
import { recordGatherBatch } from '../kernels/batch.ts';
import { rankChunks, recordRankFlips, recordWeighRows } from '../kernels/flips.ts';
import { recordSoftmaxCrossEntropy } from '../kernels/loss.ts';
import { planGraph, recordBackward, recordForward } from '../layers/graph.ts';
import type { LayerSpec } from '../layers/kinds.ts';
import { FlatParameters, indexOf, type ParameterSlice, valueCount } from '../layers/parameters.ts';
import { codeAt } from '../memory/codec.ts';
import type { ChosenFlip } from '../memory/config.ts';
import { floatOfBits } from '../memory/floating_point.ts';
import type { Random } from '../random.ts';
import type { DeviceDataset } from './device_dataset.ts';

/** Flips of a layer that are tried in a step before the layer is left out of it. */
export const TRIES = 4;

/** One step of a search. */
export interface FlipStep {
  readonly flip: ChosenFlip;
  /** The value as it is read before and after the flip. */
  readonly before: number;
  readonly after: number;
  /** First-order change of the cost, and the cost that was measured with this flip and all before it. */
  readonly predicted: number;
  readonly cost: number;
  /** Cross-entropy of every image with these flips, nats. */
  readonly losses: Float32Array;
}

interface Candidate {
  readonly slice: ParameterSlice;
  readonly flip: ChosenFlip;
  readonly position: number;
  readonly score: number;
}

/** The parameters of some layers whose bits can be chosen: those that training changes. */
function searched(memory: ApproximateMemory, layers: readonly string[]): ParameterSlice[] {
  const { slices } = memory.exact.layout;
  return slices.filter(({ layer, trainable }) => layers.includes(layer) && trainable !== false);
}

/** Number of stored bits of a parameter that can flip. */
function bitCount(memory: ApproximateMemory, slice: ParameterSlice): number {
  return valueCount(slice) * flippableBits(memory.storedTensor(slice.name).planned.memory);
}

/** Number of stored bits of some layers that can be chosen. @param memory configured */
export function flippableCount(memory: ApproximateMemory, layers: readonly string[]): number {
  return searched(memory, layers).reduce((sum, slice) => sum + bitCount(memory, slice), 0);
}

/**
 * Distinct bits of some layers, each equally likely: the control of a search.
 * @param memory configured
 * @throws Error if the layers have fewer bits
 */
export function randomFlips(
  memory: ApproximateMemory,
  layers: readonly string[],
  count: number,
  random: Random,
): ChosenFlip[] {
  const slices = searched(memory, layers);
  const sizes = slices.map((slice) => bitCount(memory, slice));
  const total = flippableCount(memory, layers);
  if (count > total) throw new Error(`${count} flips, but these layers have ${total} bits`);
  const flips = new Map<number, ChosenFlip>();
  while (flips.size < count) {
    // 53 bits, so that every bit of a large network can be drawn.
    let at = Math.floor(((random.nextU32() * 2 ** 21 + (random.nextU32() >>> 11)) / 2 ** 53) * total);
    if (flips.has(at)) continue;
    const key = at;
    const i = sizes.findIndex((size) => {
      if (at < size) return true;
      at -= size;
      return false;
    });
    const bits = sizes[i] / valueCount(slices[i]);
    flips.set(key, { parameter: slices[i].name, index: Math.floor(at / bits), bit: at % bits });
  }
  return [...flips.values()];
}

/**
 * A search on a network in memory. Its cost is the weighted sum of the cross-entropies of labelled images; it goes on from the
 * flips that the memory has when it begins.
 */
export class FlipSearch {
  readonly #arena: Arena;
  readonly #memory: ApproximateMemory;
  readonly #weights: Float32Array;
  readonly #gradients: FlatParameters;
  readonly #results: BufferView;
  readonly #excluded: BufferView;
  /** The cost and its gradient, and the cost alone. */
  readonly #slope: Program;
  readonly #cost: Program;
  readonly #ranks = new Map<string, { program: Program; best: BufferView }>();

  private constructor(fields: {
    arena: Arena;
    memory: ApproximateMemory;
    weights: Float32Array;
    gradients: FlatParameters;
    results: BufferView;
    slope: Program;
    cost: Program;
  }) {
    this.#arena = fields.arena;
    this.#memory = fields.memory;
    this.#weights = fields.weights;
    this.#gradients = fields.gradients;
    this.#results = fields.results;
    this.#slope = fields.slope;
    this.#cost = fields.cost;
    this.#excluded = this.#arena.allocate('excluded bits', this.#memory.imageBytes);
  }

  /**
   * @param memory configured without faults, at granularity load, and materialised
   * @param images all of them are one batch
   * @param weights weight of each image in the cost, per nat
   * @throws ShapeError, LimitError
   */
  static async build(
    gpu: Gpu,
    specs: readonly LayerSpec[],
    memory: ApproximateMemory,
    images: DeviceDataset,
    weights: Float32Array,
  ): Promise<FlipSearch> {
    const arena = new Arena(gpu);
    const { count } = images;
    gpu.write(
      images.order,
      Uint32Array.from({ length: count }, (_, i) => i),
    );
    const batch = arena.matrix('searched images', count, images.imageSize);
    const targets = arena.allocate('targets', count * 4);
    const results = arena.allocate('results', count * 8);
    const rowWeights = arena.allocate('row weights', count * 4);
    // The gradient of the kernel is that of the mean.
    gpu.write(
      rowWeights,
      weights.map((weight) => weight * count),
    );
    const gradients = new FlatParameters(arena, 'gradients', memory.exact.layout);
    const planned = planGraph(arena, specs, batch, { gradients: { parameters: true } });
    const logits: Matrix = planned.values[specs.length];
    const gradLogits = planned.gradients[specs.length]!;
    const load = new Recorder(gpu);
    recordGatherBatch(load, { ...images, images: batch, targets });
    (await load.build('gather')).run();
    const record = (recorder: Recorder) => {
      recordForward(recorder, arena, specs, memory.weightsOf, planned);
      recordSoftmaxCrossEntropy(recorder, { logits, targets, gradLogits, results });
    };
    const cost = new Recorder(gpu);
    record(cost);
    const slope = new Recorder(gpu);
    record(slope);
    recordWeighRows(slope, { weights: rowWeights, gradient: gradLogits });
    recordBackward(slope, arena, specs, memory.weightsOf, planned, gradients);
    const programs = { slope: await slope.build('cost and gradient'), cost: await cost.build('cost') };
    return new FlipSearch({ arena, memory, weights, gradients, results, ...programs });
  }

  /** The cost with the weights that the memory returns now, and the cross-entropy of every image. @throws DeviceLostError */
  async measure(): Promise<{ cost: number; losses: Float32Array }> {
    this.#cost.run();
    return this.#outcome();
  }

  /**
   * Searches the bits of some layers and leaves the memory with the flips.
   * @param layers stored layers
   * @param count largest number of flips
   * @throws DeviceLostError
   */
  async *search(layers: readonly string[], count: number): AsyncGenerator<FlipStep> {
    const memory = this.#memory;
    const slices = searched(memory, layers);
    this.#arena.gpu.write(this.#excluded, new Uint32Array(this.#excluded.size / 4));
    for (let step = 0; step < count; step++) {
      this.#slope.run();
      const { cost } = await this.#outcome();
      const ranked = await this.#rank(slices);
      let best: { candidate: Candidate; cost: number; losses: Float32Array } | undefined;
      for (const layer of layers) {
        const candidates = ranked.filter(({ slice }) => slice.layer === layer).slice(0, TRIES);
        for (const candidate of candidates) {
          const tried = await this.#try(candidate.flip);
          if (!(Number.isFinite(tried.cost) && tried.cost > cost)) continue;
          if (tried.cost > (best?.cost ?? cost)) best = { candidate, ...tried };
          break;
        }
      }
      if (!best) return;
      const { flip, score: predicted } = best.candidate;
      const before = await this.#valueOf(best.candidate);
      await memory.flip([flip]);
      await memory.flip([flip], this.#excluded);
      await memory.load(0);
      const after = await this.#valueOf(best.candidate);
      yield { flip, before, after, predicted, cost: best.cost, losses: best.losses };
    }
  }

  destroy(): void {
    this.#arena.destroy();
  }

  async #outcome(): Promise<{ cost: number; losses: Float32Array }> {
    const results = await this.#arena.gpu.readFloats({ ...this.#results, size: this.#weights.length * 8 });
    const losses = Float32Array.from(this.#weights, (_, i) => results[2 * i]);
    return { cost: losses.reduce((sum, loss, i) => sum + loss * this.#weights[i], 0), losses };
  }

  /** The cost with one more flip, which is taken back; the weights that were read keep it until the next load. */
  async #try(flip: ChosenFlip): Promise<{ cost: number; losses: Float32Array }> {
    await this.#memory.flip([flip]);
    await this.#memory.load(0);
    const outcome = await this.measure();
    await this.#memory.flip([flip]);
    return outcome;
  }

  /** Flips that should raise the cost, the best first; of equal ones the first in the order of the parameters. */
  async #rank(slices: readonly ParameterSlice[]): Promise<Candidate[]> {
    const gpu = this.#arena.gpu;
    const bests: BufferView[] = [];
    for (const slice of slices) {
      const { program, best } = await this.#ranking(slice);
      program.run();
      bests.push(best);
    }
    const read = await gpu.read(...bests);
    const candidates = read.flatMap((bytes, i) => {
      const [words, scores] = [new Uint32Array(bytes), new Float32Array(bytes)];
      const slice = slices[i];
      return Array.from({ length: words.length / 4 }, (_, chunk) => chunk * 4)
        .filter((at) => words[at + 3] === 1)
        .map((at): Candidate => {
          const position = words[at + 1];
          const flip = { parameter: slice.name, index: indexOf(slice, position), bit: words[at + 2] };
          return { slice, flip, position, score: scores[at] };
        });
    });
    return candidates.sort((a, b) => b.score - a.score);
  }

  async #ranking(slice: ParameterSlice): Promise<{ program: Program; best: BufferView }> {
    const known = this.#ranks.get(slice.name);
    if (known) return known;
    const { planned, codes, faultTable } = this.#memory.storedTensor(slice.name);
    const { tensor, memory } = planned;
    const bytes = rankChunks(tensor).chunks * 16;
    const best = { ...this.#arena.allocate(`best flips of ${slice.name}`, bytes), size: bytes };
    const recorder = new Recorder(this.#arena.gpu);
    recordRankFlips(recorder, {
      tensor,
      bits: flippableBits(memory),
      codes,
      gradient: this.#gradients.matrix(slice.name),
      excluded: this.#excluded,
      faultTable,
      best,
    });
    const ranking = { program: await recorder.build('rank flips'), best };
    this.#ranks.set(slice.name, ranking);
    return ranking;
  }

  async #valueOf({ slice, position }: Candidate): Promise<number> {
    const { planned, codes } = this.#memory.storedTensor(slice.name);
    const codec = this.#memory.codecOf(slice.name);
    const { storageBits, bits } = codec;
    const word = Math.floor((position * storageBits) / 32);
    const view = { buffer: codes.buffer, offset: codes.offset + planned.offset + 4 * word, size: 4 };
    const words = await this.#arena.gpu.readWords(view);
    const code = codeAt(words, position % (32 / storageBits), storageBits) % 2 ** bits;
    return floatOfBits(codec.decode(code, Math.floor(position / slice.stride)));
  }
}
