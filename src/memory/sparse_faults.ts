/**
 * Samples the faults of a uniform source sparsely: the codes of a stretch of 512 that are faulty in one read, and the bits
 * of them that fail. Dense layers use this at granularity `inference`, where every image reads its own weights and sampling
 * each block would cost more than the product. Reference of shaders/memory/sparse_faults.wgsl, which explains the method.
 */
import { type Codec, codeAt, type StorageBits } from './codec.ts';
import { binomialTails, chanceLimit, type Key, type MemoryImage, tailTable } from './fault_sampler.ts';
import { pcg4d } from './hash.ts';

/** Codes per stretch; every row of a tensor begins a new one. */
export const STRETCH = 512;

/** Quantile tables of the number of faulty codes in a stretch and of failing bits in a faulty code. */
export interface SparseFaultTables {
  /** At least k + 1 codes are faulty if the random u32 is <= entry k. */
  readonly faults: Uint32Array;
  /** At least j + 2 bits of a faulty code fail if the random u32 is <= entry j. */
  readonly more: Uint32Array;
}

/** Computes the tables. @param bits number of bits of a code, all of which can fail @param rate error rate of a bit, 0..1 */
export function sparseFaultTables(bits: number, rate: number): SparseFaultTables {
  if (rate === 0) return { faults: new Uint32Array(0), more: new Uint32Array(bits - 1) };
  const tails = binomialTails(bits, rate);
  const faulty = rate === 1 ? 1 : tails[1] / tails[0];
  const faults = tailTable(binomialTails(STRETCH, faulty));
  const more = Uint32Array.from({ length: bits - 1 }, (_, j) => {
    return chanceLimit(rate === 1 ? 1 : tails[j + 2] / tails[1]);
  });
  return { faults, more };
}

/**
 * Calls `visit` for every faulty code of a stretch, in the order of sampling, with its index in the stretch and the mask of
 * its failing bits.
 * @param key hash key of the read, from readKey
 */
export function forEachSparseFault(
  key: Key,
  stretch: number,
  { bits, storageBits }: Pick<Codec, 'bits' | 'storageBits'>,
  { faults, more }: SparseFaultTables,
  visit: (code: number, mask: number) => void,
): void {
  const random = new Uint32Array(4);
  pcg4d(stretch, 0, key[0], key[1], random);
  const draw = random[0];
  let slice = 0;
  let next = 1;
  const taken = new Uint8Array(STRETCH);
  for (let count = 0; count < faults.length && draw <= faults[count]; ) {
    if (next === 4) {
      pcg4d(stretch, ++slice, key[0], key[1], random);
      next = 0;
    }
    const word = random[next++];
    const code = word >>> 23;
    if (taken[code]) continue;
    taken[code] = 1;
    count++;
    visit(code, faultMask(key, stretch, code, word & 0x7fffff, bits, storageBits, more));
  }
}

function faultMask(
  key: Key,
  stretch: number,
  code: number,
  fraction: number,
  bits: number,
  storageBits: StorageBits,
  more: Uint32Array,
): number {
  const scaled = fraction * bits;
  const rest = scaled & 0x7fffff;
  if (rest > more[0] >>> 9 && rest + bits <= 0x800000) return (1 << (scaled >>> 23)) >>> 0;
  let slice = (0x80000000 | (code << 8)) >>> 0;
  const random = new Uint32Array(4);
  pcg4d(stretch, slice, key[0], key[1], random);
  // Exact in float64: 32 bits times at most 32.
  const behind = random[0] * bits;
  const whole = scaled + Math.floor(behind / 2 ** 32);
  const draw = ((whole << 9) | ((behind % 2 ** 32) >>> 23)) >>> 0;
  let count = 1;
  while (count < bits && draw <= more[count - 1]) count++;
  let mask = (1 << (whole >>> 23)) >>> 0;
  for (let found = 1, next = 4; found < count; next++) {
    if (next === 16) {
      pcg4d(stretch, ++slice, key[0], key[1], random);
      next = 0;
    }
    const bit = (random[next >> 2] >>> (8 * (next & 3))) & (storageBits - 1);
    if (bit >= bits || (mask >>> bit) & 1) continue;
    mask = (mask | (1 << bit)) >>> 0;
    found++;
  }
  return mask;
}

/**
 * Reads and decodes a whole tensor with sparse faults. The lowest `bits` bits of every code can fail.
 * @param key hash key of the read, from readKey
 * @returns the bits of rows x stride f32 values, with zeros in the padding
 */
export function fetchTensorBySparseFaults(
  { words, rows, columns, stride, codec }: MemoryImage,
  key: Key,
  { bits, rate }: { bits: number; rate: number },
): Uint32Array<ArrayBuffer> {
  const tables = sparseFaultTables(bits, rate);
  const fetched = new Uint32Array(rows * stride);
  const stretches = Math.ceil(stride / STRETCH);
  for (let row = 0; row < rows; row++) {
    const masks = new Uint32Array(stretches * STRETCH);
    for (let i = 0; i < stretches; i++) {
      forEachSparseFault(key, row * stretches + i, { bits, storageBits: codec.storageBits }, tables, (code, mask) => {
        masks[i * STRETCH + code] = mask;
      });
    }
    for (let column = 0; column < columns; column++) {
      const at = row * stride + column;
      fetched[at] = codec.decode((codeAt(words, at, codec.storageBits) ^ masks[column]) >>> 0, row);
    }
  }
  return fetched;
}
