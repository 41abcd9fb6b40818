/**
 * Samples faults: the bits of a block of 16 codes that one read returns wrong. Faults are not stored but computed from a
 * hash of (seed, chip, tensor, read, image, block). Reference of shaders/memory/faults_*.wgsl, bit for bit.
 *
 * Sampling is exact and nested: one random u32 gives the number K of drawn cells of a block by inverting the binomial
 * distribution function in steps of 2^-32, and the cells are the first K places of a random sequence without repeats. Only
 * the table depends on the rate, so the cells drawn at one rate are also drawn at every higher rate.
 */
import { BLOCK_CODES, type Codec, codeAt, type StorageBits } from './codec.ts';
import type { Ecc, Geometry } from './config.ts';
import type { LineKind } from './faults/model.ts';
import { type Drawn, type FaultSource, scrubbedCount, sourceCells } from './faults.ts';
import { pcg4d } from './hash.ts';
import { secdedCheck, secdedDecode } from './secded.ts';
import { asStored, avoidedValue } from './stored_bits.ts';
import { BAD_ROW, type Zones } from './zones.ts';

export type { Granularity } from './config.ts';

/**
 * The quantile table of a block: it has at least k + 1 drawn cells if its random u32 is <= entry k. Entries whose
 * probability rounds to zero in steps of 2^-32 are left out, so rate 0 gives an empty table; at rate 1 every entry is
 * 2^32 - 1. Only + - * / are used, so every JavaScript engine computes the same table.
 * @param cells number of cells of a block, 16..576
 * @param rate probability that a cell is drawn, 0..1
 */
export function flipTable(cells: number, rate: number): Uint32Array {
  if (rate === 0) return new Uint32Array(0);
  return tailTable(binomialTails(cells, rate));
}

/**
 * Returns n + 2 values, of which value k is proportional to the probability of k or more successes in n trials.
 * @param rate probability of a success, above 0 and at most 1
 */
export function binomialTails(n: number, rate: number): Float64Array {
  if (rate === 1) return new Float64Array(n + 2).fill(1, 0, n + 1);
  // Binomial weights relative to the mode, by recurrence in both directions, then tails from the small end.
  const weights = new Float64Array(n + 1);
  const mode = Math.min(n, Math.floor((n + 1) * rate));
  const odds = rate / (1 - rate);
  weights[mode] = 1;
  for (let k = mode; k < n; k++) weights[k + 1] = ((weights[k] * (n - k)) / (k + 1)) * odds;
  for (let k = mode; k > 0; k--) weights[k - 1] = (weights[k] * k) / (n - k + 1) / odds;
  const tails = new Float64Array(n + 2);
  for (let k = n; k >= 0; k--) tails[k] = tails[k + 1] + weights[k];
  return tails;
}

/** The thresholds 2^32 P(at least k + 1) - 1, up to the last whose probability does not round to zero. */
export function tailTable(tails: Float64Array): Uint32Array {
  const thresholds: number[] = [];
  for (let k = 0; k < tails.length - 2; k++) {
    const threshold = Math.round((tails[k + 1] / tails[0]) * 2 ** 32);
    if (threshold === 0) break;
    thresholds.push(threshold - 1);
  }
  return Uint32Array.from(thresholds);
}

export type Key = readonly [number, number];

/** The hash key of all faults of one tensor. `seed` is any safe integer >= 0, `chip` and `tensor` are u32. */
export function tensorKey(seed: number, chip: number, tensor: number): [number, number] {
  const [x, y] = pcg4d(seed >>> 0, Math.floor(seed / 2 ** 32), chip, tensor);
  return [x, y];
}

/** The hash key of the weak lines of a chip, which all its tensors share. */
export function deviceKey(seed: number, chip: number): [number, number] {
  return tensorKey(seed, chip, 0xffffffff);
}

/** The hash key of one read of a tensor; give `image` only at granularity `inference`. Reference of memory/read_key.wgsl. */
export function readKey(key: Key, read: number, image?: number): [number, number] {
  const [x, y] = pcg4d(key[0], key[1], read, image === undefined ? 0 : image + 1);
  return [x, y];
}

/** Words of the mask of a block: 16 for data, of which storageBits / 2 are used, and 2 for check bits. */
const MASK_WORDS = 18;
const CHECK_WORD = 16;

/** The cells among which {@link drawCells} picks. */
export interface DrawnCells {
  readonly storageBits: StorageBits;
  readonly firstBit: number;
  readonly bits: number;
  /** True if the check bits of an error correcting code follow the data. */
  readonly check: boolean;
}

/**
 * Draws cells of a block. @returns a mask of {@link MASK_WORDS} words in the layout of the memory image
 * @param table from {@link flipTable}
 * @param visit called for every drawn cell with its place, 0 .. 18 * storageBits - 1; false leaves it out of the mask
 */
export function drawCells(
  key: Key,
  block: number,
  salt: number,
  { storageBits, firstBit, bits, check }: DrawnCells,
  table: Uint32Array,
  visit?: (place: number) => boolean,
): Uint32Array {
  const mask = new Uint32Array(MASK_WORDS);
  const taken = visit ? new Uint32Array(MASK_WORDS) : mask;
  const random = new Uint32Array(4);
  let slice = salt << 24;
  pcg4d(block, slice, key[0], key[1], random);
  const draw = random[0];
  const placeBits = check || storageBits === 32 ? 16 : 8;
  const places = 32 / placeBits;
  const placeMask = (check ? 32 : 16) * storageBits - 1;
  let next = places; // index of the next place in `random`; the first word is used up as `draw`
  for (let count = 0; count < table.length && draw <= table[count]; ) {
    if (next === 4 * places) {
      pcg4d(block, ++slice, key[0], key[1], random);
      next = 0;
    }
    const place = (random[Math.floor(next / places)] >>> (placeBits * (next % places))) & placeMask;
    next++;
    const data = place < 16 * storageBits;
    if (data ? place % storageBits >= bits : place >= 18 * storageBits) continue;
    const cell = data ? place + firstBit : place - 16 * storageBits + 32 * CHECK_WORD;
    const bit = 1 << (cell & 31);
    if (taken[cell >> 5] & bit) continue;
    taken[cell >> 5] |= bit;
    if (visit?.(place)) mask[cell >> 5] |= bit;
    count++;
  }
  return mask;
}

/** Everything that decides which cells of a tensor fail in one read. */
export interface FaultSampler {
  readonly storageBits: StorageBits;
  readonly sources: readonly FaultSource[];
  readonly ecc?: Ecc;
  /** Given for inverted storage: the number of the lowest bits of a code that are inverted (src/memory/stored_bits.ts). */
  readonly invertedBits?: number;
  readonly geometry: Geometry;
  /** Hash keys of cells that are drawn once per chip, once per load and at every read. */
  readonly keys: Readonly<Record<Drawn, Key>>;
  /** Hash key of the chip's weak lines, from {@link deviceKey}. */
  readonly device: Key;
  /** First block of the tensor in the memory image, counted in blocks of the tensor's own size. */
  readonly origin: number;
  /** Where the tensor lies in DRAM; needed for sources with a zone. */
  readonly zones?: Zones;
}

/** Converts a probability above 0 to the largest random u32 at which the event occurs. */
export function chanceLimit(probability: number): number {
  return Math.max(0, Math.round(probability * 2 ** 32) - 1);
}

/** A source of faults with its probabilities in steps of 2^-32, as the device and its reference use it. */
export interface SourceLimits {
  /** From {@link flipTable}; empty for a source that never fails a cell. */
  readonly table: Uint32Array;
  /** A drawn cell fails in a read if its hash is <= this value. */
  readonly failure: number;
  /** The source fails cells only in lines whose hash lies in from .. to, both ends included. */
  readonly from: number;
  readonly to: number;
}

/** Converts the probabilities of a source. @param check true if the memory has check bits, which the source fails too */
export function sourceLimits(source: FaultSource, storageBits: StorageBits, check: boolean): SourceLimits {
  const from = Math.round((source.lines?.from ?? 0) * 2 ** 32);
  const end = Math.min(2 ** 32, Math.round((source.lines?.to ?? 1) * 2 ** 32));
  const never = source.failure === 0 || end <= from;
  const table = flipTable(sourceCells(source, storageBits, check), never ? 0 : source.rate);
  return { table, failure: chanceLimit(source.failure), from, to: end - 1 };
}

/** The quantile tables of a source with a zone of banks, by bank; those of every bank are equal in other sources. */
export function bankTables(source: FaultSource, storageBits: StorageBits, check: boolean): Uint32Array[] {
  if (source.zone?.kind !== 'banks') return [sourceLimits(source, storageBits, check).table];
  const cells = sourceCells(source, storageBits, check);
  return source.zone.rates.map((rate) => flipTable(cells, source.failure === 0 ? 0 : rate));
}

const ALWAYS = 0xffffffff;

/** Numbers of the kinds of lines in the fault table and in hashes. */
export const LINE_KIND: Readonly<Record<LineKind, number>> = { 'cache-line': 1, wordline: 2, bitline: 3 };

/** Numbers of the kinds of zones in the fault table, above those of lines. */
export const ZONE_KIND = { rows: 4, banks: 5 } as const;

/**
 * Prepares a {@link FaultSampler} for many blocks.
 * @returns a function that gives the mask of the wrong bits of a block, whose `stored` words are given
 */
export function blockFaults(sampler: FaultSampler): (block: number, stored: Uint32Array) => Uint32Array {
  const { storageBits, sources, ecc, invertedBits, geometry, keys, device, origin, zones } = sampler;
  const avoided = invertedBits === undefined ? 'none' : avoidedValue(sources);
  const check = ecc !== undefined;
  const limits = sources.map((source) => sourceLimits(source, storageBits, check));
  const tables = sources.map((source) => bankTables(source, storageBits, check));
  const badRow = rowFlags(sources);
  const scrubbed = scrubbedCount(sources, ecc);
  const rowBits = geometry.rowBytes * 8;
  const inLines = (kind: LineKind, line: number, { from, to }: SourceLimits) => {
    const hash = pcg4d(line, LINE_KIND[kind], device[0], device[1])[0];
    return from <= hash && hash <= to;
  };
  const cellFails = (source: FaultSource, limit: SourceLimits, block: number, place: number): boolean => {
    if (source.lines?.kind === 'bitline') {
      const first = (origin + block) * 16 * storageBits;
      const bank = Math.floor(first / rowBits) % geometry.banks;
      const line =
        place >= 16 * storageBits
          ? (0x80000000 | (bank * (rowBits / 8) + ((first / 8 + place - 16 * storageBits) % (rowBits / 8)))) >>> 0
          : bank * rowBits + ((first + place + source.firstBit) % rowBits);
      if (!inLines('bitline', line, limit)) return false;
    }
    if (limit.failure === ALWAYS) return true;
    const chance = (0x80000000 | (source.salt << 16) | place) >>> 0;
    return pcg4d(block, chance, keys.read[0], keys.read[1])[0] <= limit.failure;
  };
  return (block, stored) => {
    const held = new Uint32Array(MASK_WORDS);
    const cells = asStored(stored, { storageBits, bits: invertedBits ?? 0, avoided });
    held.set(cells);
    if (check) held.set(checkBits(cells), CHECK_WORD);
    let errors: Uint32Array = new Uint32Array(MASK_WORDS);
    const byte = (origin + block) * 2 * storageBits;
    const zone = zones ? zones.words[(zones.first + block) >>> zones.shift] : 0;
    for (const [i, source] of sources.entries()) {
      const limit = limits[i];
      const kind = source.lines?.kind;
      const here =
        (kind !== 'cache-line' || inLines(kind, Math.floor(byte / 64), limit)) &&
        (kind !== 'wordline' || inLines(kind, Math.floor(byte / geometry.rowBytes), limit)) &&
        (source.zone?.kind !== 'rows' || (zone & badRow[i]) !== 0);
      if (here) {
        const each = kind === 'bitline' || limit.failure !== ALWAYS;
        const cells = drawCells(
          keys[source.drawn],
          block,
          source.salt,
          { storageBits, check, firstBit: source.firstBit, bits: source.bits },
          tables[i][source.zone?.kind === 'banks' ? zone & 0xffff : 0],
          each ? (place) => cellFails(source, limit, block, place) : undefined,
        );
        for (let w = 0; w < MASK_WORDS; w++) {
          if (source.stored === 'zero') cells[w] &= ~held[w];
          if (source.stored === 'one') cells[w] &= held[w];
          if (source.effect === 'flip') errors[w] |= cells[w];
          else errors[w] = (errors[w] & ~cells[w]) | (cells[w] & (source.effect === 'stuck-at-0' ? held[w] : ~held[w]));
        }
      }
      if (ecc && i + 1 === scrubbed) errors = corrected(errors, stored, ecc, true);
    }
    return ecc ? corrected(errors, stored, ecc, false) : errors;
  };
}

/** For each source, the bit of its bad rows in a word of zones; 0 for a source without a zone of rows. */
export function rowFlags(sources: readonly FaultSource[]): number[] {
  let next = BAD_ROW;
  return sources.map(({ zone }) => {
    if (zone?.kind !== 'rows') return 0;
    const flag = next;
    next <<= 1;
    return flag >>> 0;
  });
}

/** The check bits of the stored words: two words, with one byte for each 64 bits of data. */
function checkBits(stored: Uint32Array): Uint32Array {
  const check = new Uint32Array(2);
  for (let i = 0; i < stored.length / 2; i++) {
    check[i >> 2] |= secdedCheck(stored[2 * i], stored[2 * i + 1]) << (8 * (i & 3));
  }
  return check;
}

/** The bits of a block that are still wrong after decoding with ECC; see `corrected` in faults_sources.wgsl. */
function corrected(errors: Uint32Array, stored: Uint32Array, { detected }: Ecc, scrub: boolean): Uint32Array {
  const left = new Uint32Array(MASK_WORDS);
  for (let i = 0; i < stored.length / 2; i++) {
    const at = CHECK_WORD + (i >> 2);
    const shift = 8 * (i & 3);
    const check = (errors[at] >>> shift) & 0xff;
    const { low, high, outcome } = secdedDecode(errors[2 * i], errors[2 * i + 1], check);
    const zeroed = outcome === 'detected' && !scrub && detected === 'zero';
    left[2 * i] = zeroed ? stored[2 * i] : low;
    left[2 * i + 1] = zeroed ? stored[2 * i + 1] : high;
    if (scrub) left[at] |= (outcome === 'detected' ? check : secdedCheck(low, high)) << shift;
  }
  return left;
}

/** The memory image of one tensor, with the layout and the codec that are needed to read it. */
export interface MemoryImage {
  /** Packed codes, rows padded to `stride`. */
  readonly words: Uint32Array;
  readonly rows: number;
  readonly columns: number;
  /** Codes per row, a multiple of 16. */
  readonly stride: number;
  readonly codec: Codec;
}

/** Reads the codes of a whole tensor, packed like its memory image. Reference of shaders/memory/fetch_codes.wgsl. */
export function fetchCodes({ words, rows, stride }: MemoryImage, sampler: FaultSampler): Uint32Array<ArrayBuffer> {
  const faults = blockFaults(sampler);
  const each = sampler.storageBits / 2; // words of a block
  const returned = new Uint32Array((rows * stride) / (32 / sampler.storageBits));
  for (let block = 0; block < (rows * stride) / BLOCK_CODES; block++) {
    const stored = words.subarray(block * each, (block + 1) * each);
    const mask = faults(block, stored);
    for (let w = 0; w < each; w++) returned[block * each + w] = stored[w] ^ mask[w];
  }
  return returned;
}

/**
 * Reads and decodes a whole tensor. Reference of shaders/memory/materialise.wgsl.
 * @returns the bits of rows x stride f32 values, with zeros in the padding
 */
export function fetchTensor(image: MemoryImage, sampler: FaultSampler): Uint32Array<ArrayBuffer> {
  const { rows, columns, stride, codec } = image;
  const returned = fetchCodes(image, sampler);
  const fetched = new Uint32Array(rows * stride);
  for (let at = 0; at < fetched.length; at++) {
    if (at % stride < columns) {
      const code = codeAt(returned, at, sampler.storageBits) & (2 ** codec.bits - 1);
      fetched[at] = codec.decode(code, Math.floor(at / stride));
    }
  }
  return fetched;
}
