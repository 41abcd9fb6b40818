/** Bits of a memory image that are inverted one by one, because a configuration or a search has chosen them. */
import { ConfigError } from '../errors.ts';
import { type Arena, roundUp } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { recordFlipCodes } from '../kernels/flips.ts';
import { type ParameterSlice, positionOf, valueCount } from '../layers/parameters.ts';
import { formatBits, storageBitsOf } from '../memory/codec.ts';
import type { ChosenFlip, StoredMemory } from '../memory/config.ts';

/** A stored parameter and the byte of the image at which it begins. */
interface PlacedTensor {
  readonly slice: ParameterSlice;
  readonly memory: StoredMemory;
  readonly offset: number;
}

/** Number of the lowest bits of a code that can flip. */
export function flippableBits({ format, protectedBits }: StoredMemory): number {
  return formatBits(format) - protectedBits;
}

/**
 * The words of the image in which chosen bits lie, and their masks. No word occurs twice.
 * @param tensors stored parameters with their places in the image
 * @param where path of the flips in the configuration
 * @throws ConfigError for a bit that the memory does not hold, that an error correcting code would correct, or that occurs twice
 */
export function flippedWords(
  flips: readonly ChosenFlip[],
  tensors: readonly PlacedTensor[],
  where = 'memory.flips',
): [word: number, mask: number][] {
  const words = new Map<number, number>();
  for (const [i, flip] of flips.entries()) {
    const path = `${where}.${i}`;
    const { parameter, index, bit } = flip;
    const planned = tensors.find(({ slice }) => slice.name === parameter);
    if (!planned) {
      const names = tensors.map(({ slice }) => slice.name).join(', ');
      throw new ConfigError(
        `${path}.parameter: ${parameter} does not lie in this memory; it holds ${names || 'nothing'}`,
      );
    }
    const { slice, memory, offset } = planned;
    if (memory.ecc) {
      throw new ConfigError(
        `${path}: the error correcting code of ${slice.layer} would correct it; drop ecc or the flip`,
      );
    }
    const count = valueCount(slice);
    if (index >= count) {
      throw new ConfigError(`${path}.index: ${index}, but ${parameter} has ${count} values; give 0..${count - 1}`);
    }
    const width = flippableBits(memory);
    if (bit >= width) {
      throw new ConfigError(
        `${path}.bit: ${bit}, but the lowest ${width} bits of a code can flip; give 0..${width - 1}`,
      );
    }
    const storageBits = storageBitsOf(formatBits(memory.format));
    const first = positionOf(slice, index) * storageBits + bit;
    const word = offset / 4 + Math.floor(first / 32);
    const mask = 2 ** (first % 32);
    const before = words.get(word) ?? 0;
    if ((before & mask) !== 0) {
      throw new ConfigError(`${path}: this bit is flipped twice, which restores it; name it once`);
    }
    words.set(word, (before | mask) >>> 0);
  }
  return [...words];
}

/** Inverts bits of memory images. Built on first use and kept, because a search inverts bits again and again. */
export class BitFlipper {
  readonly #arena: Arena;
  #flips: BufferView | undefined;
  readonly #programs = new Map<GPUBuffer, Program>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** Inverts bits of an image. @param words from {@link flippedWords} @throws DeviceLostError */
  async flip(image: BufferView, words: readonly (readonly [number, number])[]): Promise<void> {
    if (words.length === 0) return;
    const bytes = roundUp(8 * (words.length + 1), 512);
    if (!this.#flips || this.#flips.size < bytes) {
      this.#flips = this.#arena.allocate('chosen flips', bytes);
      this.#programs.clear();
    }
    const { gpu } = this.#arena;
    gpu.write(this.#flips, Uint32Array.from([words.length, 0, ...words.flat()]));
    let program = this.#programs.get(image.buffer);
    if (!program) {
      const recorder = new Recorder(gpu);
      recordFlipCodes(recorder, { flips: this.#flips, codes: image });
      program = await recorder.build('flip codes');
      this.#programs.set(image.buffer, program);
    }
    program.run();
  }
}
