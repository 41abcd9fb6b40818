import type { BufferView } from '../../src/gpu/device.ts';
import type { StoredTensor } from '../../src/kernels/gemm.ts';
import { fetchTensor, flipTable, MAP_WORDS } from '../../src/memory/fault_map.ts';
import { packCodes } from '../../src/memory/fixed_point.ts';
import { Random } from '../../src/random.ts';
import type { Bench } from './gpu.ts';

/** One row of the table of maps, as shaders/common/fetch_approximate.wgsl lays it out. */
export interface MapRow {
  /** From tensorKey. */
  readonly key: readonly [number, number];
  readonly read?: number;
  /** 0 the same in all passes, 1 drawn every pass, 2 every image. */
  readonly granularity?: 0 | 1 | 2;
  readonly exponent?: number;
  readonly bits?: number;
  readonly rate?: number;
  /** Of noise; in place of the exponent. */
  readonly scale?: number;
}

export function mapWords(rows: readonly MapRow[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(rows.length * MAP_WORDS);
  const floats = new Float32Array(words.buffer);
  rows.forEach(({ key, read = 0, granularity = 0, exponent = 0, bits = 12, rate = 0, scale }, i) => {
    const at = i * MAP_WORDS;
    const table = flipTable(bits, rate);
    words.set([key[0], key[1], read, granularity], at);
    floats.set([scale ?? 2 ** exponent, 2 ** -exponent], at + 4);
    words.set([bits, table.length], at + 6);
    words.set(table, at + 8);
  });
  return words;
}

/** Random codes of `bits` bits, zero in the pads, packed. */
export function randomCodes(rows: number, columns: number, stride: number, bits: number, seed: number): Uint32Array {
  const random = new Random(seed);
  return packCodes(
    Array.from({ length: rows * stride }, (_, i) => (i % stride < columns ? random.nextU32() >>> (32 - bits) : 0)),
  );
}

/** A tensor of random codes on the device, with its rows padded to a multiple of four, and its twin. */
export interface TestTensor {
  readonly tensor: StoredTensor;
  readonly words: Uint32Array;
  readonly bits: number;
  readonly exponent: number;
  /** What one read returns, rows x stride. @param key from readKey */
  fetch(key: readonly [number, number], rate: number): Float32Array;
}

export function testTensor(tensor: StoredTensor, bits: number, exponent: number, seed: number): TestTensor {
  const { rows, columns, stride } = tensor;
  const words = randomCodes(rows, columns, stride, bits, seed);
  return {
    tensor,
    words,
    bits,
    exponent,
    fetch: (key, rate) => fetchTensor({ words, rows, columns, stride, bits, exponent }, key, flipTable(bits, rate)),
  };
}

/** Puts the codes of tensors at their origins into one memory image. */
export function memoryImage(bench: Bench, tensors: readonly TestTensor[], blocks: number): BufferView {
  const image = new Uint32Array(blocks * 8);
  for (const { tensor, words } of tensors) image.set(words, tensor.origin * 8);
  return bench.buffer(image);
}
