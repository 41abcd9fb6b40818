/** A tensor in emulated memory whose wrong bits are counted. */
import { Arena } from '../../gpu/arena.ts';
import type { Gpu } from '../../gpu/device.ts';
import { ApproximateMemory } from '../../injection/approximate_memory.ts';
import type { DenseSpec } from '../../layers/dense.ts';
import { layerParameters } from '../../layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../layers/parameters.ts';
import type { StorageBits } from '../../memory/codec.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../memory/config.ts';
import { pcg4d } from '../../memory/hash.ts';
import { GEOMETRY, type Layer, type Plane, SEED } from './proof.ts';

/** A layer of random weights in memory, all of whose bits are counted. */
export class Specimen {
  readonly #arena: Arena;
  readonly #memory: ApproximateMemory;
  readonly #name = 'fc1.weight';
  /** The stored codes, and the number of ones in each plane, for the current format. */
  #stored: { readonly key: string; readonly words: Uint32Array; readonly ones: Float64Array } | undefined;

  private constructor(arena: Arena, memory: ApproximateMemory) {
    this.#arena = arena;
    this.#memory = memory;
  }

  /** @param rows of 4096 weights */
  static async create(gpu: Gpu, rows: number): Promise<Specimen> {
    const arena = new Arena(gpu);
    const spec: DenseSpec = { kind: 'dense', name: 'fc1', inputs: 4096, outputs: rows, activation: 'none' };
    const parameters = new FlatParameters(arena, 'parameters', new ParameterLayout(layerParameters([spec])));
    gpu.write(parameters.view, noise(parameters.layout.length, 1));
    return new Specimen(arena, await ApproximateMemory.store(arena, parameters));
  }

  /** Configures the memory and draws its first sample of faults. */
  async load(layer: Layer, rest: Partial<MemoryConfigInput> = {}): Promise<void> {
    const config = { seed: SEED, granularity: 'pass', geometry: GEOMETRY, ...rest, layers: { fc1: layer } };
    await this.#memory.configure(parseMemoryConfig(config, ['fc1']));
    await this.#memory.load(0);
    const { storageBits, bits } = this.codec;
    const key = JSON.stringify(layer.format ?? {});
    if (this.#stored?.key === key) return;
    const words = await this.#memory.readCodes(this.#name);
    this.#stored = { key, words, ones: onesOf(words, storageBits, bits) };
  }

  get codec() {
    return this.#memory.codecOf(this.#name);
  }

  /** The address of a word of the tensor, for memories whose faults depend on it. */
  addressOf(word: number): number {
    return this.#memory.placed.addressOf(this.#name, 4 * word)!;
  }

  get stored(): Uint32Array {
    return this.#stored!.words;
  }

  /** The bits that one pass reads wrongly, set in words laid out as the stored codes. */
  async wrong(pass = 0): Promise<Uint32Array> {
    const returned = await this.#memory.fetchCodes(this.#name, pass);
    const { stored } = this;
    for (let i = 0; i < returned.length; i++) returned[i] ^= stored[i];
    return returned;
  }

  /** The planes of a read, lowest first. */
  planes(wrong: Uint32Array): Plane[] {
    const { storageBits, bits } = this.codec;
    const { words, ones } = this.#stored!;
    const codes = (words.length * 32) / storageBits;
    const planes = Array.from(ones, (count) => ({ zeros: codes - count, ones: count, wrongZeros: 0, wrongOnes: 0 }));
    forEachBit(wrong, (i, bit) => {
      const plane = bit % storageBits;
      if (plane >= bits) return;
      if ((words[i] >>> bit) & 1) planes[plane].wrongOnes++;
      else planes[plane].wrongZeros++;
    });
    return planes;
  }

  destroy(): void {
    this.#arena.destroy();
  }
}

/** Uniform random numbers in -1..1, the same for the same seed. */
export function noise(count: number, seed: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  const random = new Uint32Array(4);
  for (let i = 0; i < count; i++) {
    if ((i & 3) === 0) pcg4d(i >> 2, seed, 0, 0, random);
    values[i] = random[i & 3] / 2 ** 31 - 1;
  }
  return values;
}

export function forEachBit(words: Uint32Array, visit: (word: number, bit: number) => void): void {
  for (let i = 0; i < words.length; i++) {
    for (let rest = words[i]; rest !== 0; rest &= rest - 1) visit(i, 31 - Math.clz32(rest & -rest));
  }
}

function onesOf(words: Uint32Array, storageBits: StorageBits, bits: number): Float64Array {
  const ones = new Float64Array(bits);
  for (let i = 0; i < words.length; i++) {
    for (let shift = 0; shift < 32; shift += storageBits) {
      for (let bit = 0; bit < bits; bit++) ones[bit] += (words[i] >>> (shift + bit)) & 1;
    }
  }
  return ones;
}

/** Number of ones in some words, or in those bits of them that a mask selects. */
export function countBits(words: Uint32Array, mask = 0xffffffff): number {
  let count = 0;
  for (let i = 0; i < words.length; i++) count += onesIn(words[i] & mask);
  return count;
}

/** Number of ones in a word: of pairs of bits, of fours, then all bytes together. */
export function onesIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x55555555);
  const fours = (pairs & 0x33333333) + ((pairs >>> 2) & 0x33333333);
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
