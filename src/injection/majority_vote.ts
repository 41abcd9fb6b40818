/** Weights as an attacker recovers them who reads a memory several times: every bit as most reads return it. */
import type { Arena } from '../gpu/arena.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { FlatParameters } from '../layers/parameters.ts';
import type { ApproximateMemory } from './approximate_memory.ts';

/** Counts, for every bit of an array of words, the reads in which it is set. */
export class BitVotes {
  readonly #first: Uint32Array;
  /** Bit-sliced counters, the least significant first. */
  readonly #planes: Uint32Array[] = [];
  #reads = 0;

  /** @param words the first read */
  constructor(words: Uint32Array) {
    this.#first = words;
    this.add(words);
  }

  /** @param words another read, of the same length */
  add(words: Uint32Array): void {
    this.#reads++;
    while (2 ** this.#planes.length <= this.#reads) this.#planes.push(new Uint32Array(this.#first.length));
    for (const [i, word] of words.entries()) {
      let carry = word;
      for (let k = 0; carry !== 0; k++) {
        const plane = this.#planes[k];
        const next = plane[i] & carry;
        plane[i] ^= carry;
        carry = next;
      }
    }
  }

  /** Every bit as more than half of the reads returned it, or as the first read did where half of them did. */
  get majority(): Uint32Array<ArrayBuffer> {
    const half = Math.floor(this.#reads / 2);
    const isEven = this.#reads % 2 === 0;
    return Uint32Array.from(this.#first, (first, i) => {
      // Compares all 32 counters of a word with half of the reads together, from the highest plane down.
      let [above, equal] = [0, ~0];
      for (let k = this.#planes.length - 1; k >= 0; k--) {
        const bits = this.#planes[k][i];
        if (((half >>> k) & 1) === 0) {
          above |= equal & bits;
          equal &= ~bits;
        } else {
          equal &= bits;
        }
      }
      return (above | (isEven ? equal & first : 0)) >>> 0;
    });
  }
}

/**
 * The stored parameters by majority vote over reads; those with additive noise are the mean of the reads, because noise
 * changes values and not bits. All other parameters are exact.
 */
export class VotedParameters {
  readonly parameters: FlatParameters;
  readonly #memory: ApproximateMemory;
  readonly #arena: Arena;

  /** @param arena owns the recovered parameters */
  constructor(arena: Arena, memory: ApproximateMemory) {
    this.#arena = arena;
    this.#memory = memory;
    this.parameters = new FlatParameters(arena, 'recovered parameters', memory.exact.layout);
  }

  /**
   * Recovers the parameters.
   * @param count number of reads
   * @param select lets the memory return the read of this number
   * @throws ConfigError at granularity `inference`, where weights are never read as a whole; DeviceLostError
   */
  async recover(count: number, select: (read: number) => Promise<void>): Promise<void> {
    const memory = this.#memory;
    const { gpu } = this.#arena;
    const { layout } = memory.exact;
    const votes = new Map<string, BitVotes>();
    const sums = new Map<string, Float64Array>();
    const isNoisy = (layer: string) => ['gaussian', 'laplacian'].includes(memory.config.layers[layer]?.kind);
    const noisy = layout.slices.filter(({ layer }) => isNoisy(layer));
    const pass = noisy.length > 0 && memory.config.granularity === 'pass' ? await this.#passProgram() : undefined;
    for (let read = 0; read < count; read++) {
      await select(read);
      for (const name of memory.storedParameters) {
        const words = await memory.fetchCodes(name, 2 * read);
        const known = votes.get(name);
        if (known) known.add(words);
        else votes.set(name, new BitVotes(words));
      }
      pass?.setStep({ passIndex: 2 * read });
      pass?.run();
      for (const { name } of noisy) {
        const values = new Float32Array((await memory.fetchedWeights(name)).buffer);
        const sum = sums.get(name) ?? new Float64Array(values.length);
        for (const [i, value] of values.entries()) sum[i] += value;
        sums.set(name, sum);
      }
    }
    gpu.copy(memory.exact.view, this.parameters.view, layout.length * 4);
    for (const [name, sum] of sums) {
      gpu.write(
        this.parameters.matrix(name),
        Float32Array.from(sum, (value) => value / count),
      );
    }
    await memory.decode(new Map([...votes].map(([name, each]) => [name, each.majority])), this.parameters);
  }

  async #passProgram(): Promise<Program> {
    const recorder = new Recorder(this.#arena.gpu);
    this.#memory.recordPass(recorder, 0);
    return recorder.build('read the weights');
  }
}
