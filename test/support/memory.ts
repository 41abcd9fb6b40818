import * as v from 'valibot';
import type { BufferView } from '../../src/gpu/guarded_device.ts';
import { FAULT_ENTRY_WORDS } from '../../src/gpu/structs.ts';
import { faultWords, writeDraw, writeFaults, writeScale } from '../../src/injection/fault_entry.ts';
import { fetchOf, type StoredTensor } from '../../src/kernels/stored.ts';
import { fixedCodec, packCodes, storageBitsOf } from '../../src/memory/codec.ts';
import { type Geometry, type Granularity, MemoryConfig, uniformMemory } from '../../src/memory/config.ts';
import { type FaultSampler, fetchTensor, type Key } from '../../src/memory/fault_sampler.ts';
import { faultSources } from '../../src/memory/faults.ts';
import { Random } from '../../src/random.ts';
import type { Bench } from './gpu.ts';

/** The default geometry of a memory. */
export const GEOMETRY: Geometry = v.parse(MemoryConfig, { layers: {} }).geometry;

/** One row of the fault table: a tensor of fixed-point codes that fail uniformly. */
export interface FaultEntry {
  /** From tensorKey. */
  readonly key: Key;
  readonly read?: number;
  /** 0: the same faults in all passes; 1: faults drawn per pass; 2: per image. */
  readonly granularity?: 0 | 1 | 2;
  readonly exponent?: number;
  readonly bits?: number;
  readonly rate?: number;
  /** Scale of noise, instead of the exponent. */
  readonly scale?: number;
}

const GRANULARITIES: readonly Granularity[] = ['load', 'pass', 'inference'];

const fixedMemory = (bits: number, rate: number) =>
  uniformMemory({ kind: 'fixed', bits, exponent: 0, headroom: 0, encoding: 'corrected' }, rate);

/** The words of a fault table with these rows. */
export function faultTableWords(rows: readonly FaultEntry[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(rows.length * FAULT_ENTRY_WORDS);
  rows.forEach(({ key, read = 0, granularity = 0, exponent = 0, bits = 12, rate = 0, scale }, i) => {
    writeDraw(words, i, { key, device: [0, 0], load: read, read });
    const place = { granularity: GRANULARITIES[granularity], bits };
    writeScale(words, i, { ...place, scale: scale ?? 2 ** exponent, inverse: 2 ** -exponent });
    const faults = faultWords({
      sources: faultSources(fixedMemory(bits, rate), 0),
      storageBits: storageBitsOf(bits),
      ecc: undefined,
      geometry: GEOMETRY,
      granularity: GRANULARITIES[granularity],
    });
    writeFaults(words, i, faults, { rows: 0, columns: 0, stride: 0 });
  });
  return words;
}

/** How a tensor of fixed-point codes of `bits` bits is fetched. */
export const fixedFetch = (bits: number, faithful = false) => {
  const memory = fixedMemory(bits, 0.5);
  const encoding = faithful ? 'faithful' : 'corrected';
  return fetchOf(
    { ...memory, format: { kind: 'fixed', bits, exponent: 0, headroom: 0, encoding } },
    faultSources(memory, 0),
  );
};

/** The fault sampler of one read of a tensor that fails uniformly. @param key from readKey */
export function uniformSampler(bits: number, key: Key, rate: number): FaultSampler {
  return {
    storageBits: storageBitsOf(bits),
    sources: faultSources(fixedMemory(bits, rate), 0),
    geometry: GEOMETRY,
    keys: { chip: key, load: key, read: key },
    device: [0, 0],
    origin: 0,
  };
}

/** Random codes of `bits` bits, zero in the pads, packed. */
export function randomCodes(rows: number, columns: number, stride: number, bits: number, seed: number): Uint32Array {
  const random = new Random(seed);
  return packCodes(
    Array.from({ length: rows * stride }, (_, i) => (i % stride < columns ? random.nextU32() >>> (32 - bits) : 0)),
    storageBitsOf(bits),
  );
}

/** A tensor of random codes on the device, with its rows padded to a multiple of four, and its reference. */
export interface TestTensor {
  readonly tensor: StoredTensor;
  readonly words: Uint32Array;
  readonly bits: number;
  readonly exponent: number;
  /** The values that one read returns, rows x stride. @param key from readKey */
  fetch(key: Key, rate: number): Float32Array;
}

/** Makes a {@link TestTensor}. @param place position and shape of the tensor in the memory image */
export function testTensor(
  place: Omit<StoredTensor, 'fetch'>,
  bits: number,
  exponent: number,
  seed: number,
): TestTensor {
  const { rows, columns, stride } = place;
  const words = randomCodes(rows, columns, stride, bits, seed);
  const codec = fixedCodec(bits, exponent, 'corrected');
  return {
    tensor: { ...place, fetch: fixedFetch(bits) },
    words,
    bits,
    exponent,
    fetch: (key, rate) =>
      new Float32Array(fetchTensor({ words, rows, columns, stride, codec }, uniformSampler(bits, key, rate)).buffer),
  };
}

/** Puts the codes of tensors at their origins into one memory image. @param blocks size of the image in units of 32 bytes */
export function memoryImage(bench: Bench, tensors: readonly TestTensor[], blocks: number): BufferView {
  const image = new Uint32Array(blocks * 8);
  for (const { tensor, words, bits } of tensors) image.set(words, (tensor.origin * storageBitsOf(bits)) / 2);
  return bench.buffer(image);
}
