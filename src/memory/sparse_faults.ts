/**
 * Sparse faults of a uniform source: which codes of a stretch of 512 are faulty in one read, and which of their bits fail.
 * Dense layers draw them at granularity `inference`, where every image reads its own weights and a draw for each block
 * would cost more than the product. Reference of shaders/memory/sparse_faults.wgsl, which explains the method.
 */
import { type Codec, codeAt, type StorageBits } from './codec.ts';
import { binomialTails, chanceLimit, type Key, type MemoryImage, tailTable } from './fault_sampler.ts';
import { pcg4d } from './hash.ts';

/** Codes per stretch; every row of a tensor begins a new one. */
export const STRETCH = 512;

/** How many codes of a stretch are faulty, and how many bits of a faulty code fail, as upper limits of a draw. */
export interface SparseFaultTables {
  /** Entry k: at least k + 1 codes are faulty. */
  readonly faults: Uint32Array;
  /** Entry j: at least j + 2 bits of a faulty code fail. */
  readonly more: Uint32Array;
}

/** @param bits of a code, all of which can fail. @param rate of a bit, 0..1 */
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
 * Calls back for every sparse fault of a stretch, in the order of drawing.
 * @param key of the read, from readKey
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
 * A tensor as one read with sparse faults returns it: bits of rows x stride f32, zeros in the pads.
 * @param key from readKey
 * @param bits of a code that can fail, from the lowest on
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
