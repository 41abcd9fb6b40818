/** The entries of the fault table in the device's layout, one per tensor (src/gpu/structs.ts). */

import { ConfigError } from '../errors.ts';
import { FAULT_ENTRY, FAULT_ENTRY_WORDS, FAULT_SOURCE, FAULT_ZONES, writeFields } from '../gpu/structs.ts';
import { BLOCK_CODES, type StorageBits } from '../memory/codec.ts';
import type { Ecc, Geometry } from '../memory/config.ts';
import {
  bankTables,
  type Granularity,
  type Key,
  LINE_KIND,
  rowFlags,
  sourceLimits,
  ZONE_KIND,
} from '../memory/fault_sampler.ts';
import { type FaultSource, isUniform, scrubbedCount, sourceCells } from '../memory/faults.ts';
import { sparseFaultTables } from '../memory/sparse_faults.ts';
import { avoidedValue } from '../memory/stored_bits.ts';
import type { Zones } from '../memory/zones.ts';

const GRANULARITY: Readonly<Record<Granularity, number>> = { chip: 0, load: 0, pass: 1, inference: 2 };
const DRAWN = { chip: 0, load: 1, read: 2 } as const;
const STORED = { any: 0, zero: 1, one: 2 } as const;
const AVOIDED = { none: 0, one: 1, zero: 2 } as const;
const EFFECT = { flip: 0, 'stuck-at-0': 1, 'stuck-at-1': 2 } as const;

/** The fields of an entry that change with every load. */
export interface EntryDraw {
  /** Key of the tensor, computed by tensorKey. */
  readonly key: Key;
  /** Key of the chip, computed by deviceKey. */
  readonly device: Key;
  /** Numbers of the load and of its first read. */
  readonly load: number;
  readonly read: number;
}

/** Writes the fields of a draw into entry number `entry` of a fault table. */
export function writeDraw(
  words: Uint32Array<ArrayBuffer>,
  entry: number,
  { key, device, load, read }: EntryDraw,
): void {
  const first = entry * FAULT_ENTRY_WORDS;
  words.set(key, first + FAULT_ENTRY.at.key);
  words.set(device, first + FAULT_ENTRY.at.device);
  writeFields(FAULT_ENTRY, words, { read, load }, first);
}

/** A tensor's shape; stride in codes. */
export interface EntryShape {
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
}

/** Number format of a tensor in an entry; for noise, `scale` is the scale of the noise. */
export interface EntryScale {
  readonly granularity: Granularity;
  readonly scale: number;
  readonly inverse: number;
  readonly bits: number;
  /** Offset of the scales of the rows in the table, in words; 0 by default. */
  readonly rowScales?: number;
}

/** Writes granularity and number format into entry number `entry` of a fault table. */
export function writeScale(words: Uint32Array<ArrayBuffer>, entry: number, args: EntryScale): void {
  const { granularity, scale, inverse, bits, rowScales = 0 } = args;
  const values = { granularity: GRANULARITY[granularity], scale, inverseScale: inverse, bits, scales: rowScales };
  writeFields(FAULT_ENTRY, words, values, entry * FAULT_ENTRY_WORDS);
}

/** The cells of a memory and their faults, which the tensors of one layer share. */
export interface EntryFaults {
  readonly sources: readonly FaultSource[];
  readonly storageBits: StorageBits;
  readonly ecc: Ecc | undefined;
  /** True for inverted storage. */
  readonly inverted?: boolean;
  readonly geometry: Geometry;
  readonly granularity: Granularity;
  /** The path of the layer in the configuration, for errors; default: memory. */
  readonly where?: string;
}

/**
 * The words of an entry that describe the faults, including quantile tables. They are the same for all tensors of a layer
 * except for the shape, which {@link writeFaults} adds.
 * @returns FAULT_ENTRY_WORDS words; those before the field rowBits are 0
 * @throws ConfigError when the sources' tables do not fit an entry
 */
export function faultWords(args: EntryFaults): Uint32Array<ArrayBuffer> {
  const { sources, storageBits, ecc, inverted = false, geometry, granularity, where = 'memory' } = args;
  const words = new Uint32Array(FAULT_ENTRY_WORDS);
  let free = FAULT_ENTRY.words + Math.max(1, sources.length) * FAULT_SOURCE.words;
  const place = (table: Uint32Array, room: number): number => {
    if (free + Math.max(room, table.length) > FAULT_ENTRY_WORDS) {
      throw new ConfigError(
        `${where}.faults: ${sources.length} sources of faults at these rates need more than the ${FAULT_ENTRY_WORDS} words of an entry; ` +
          'use fewer models or lower rates',
      );
    }
    const placed = free;
    words.set(table, placed);
    free += Math.max(room, table.length);
    return placed;
  };
  writeFields(FAULT_ENTRY, words, {
    rowBits: geometry.rowBytes * 8,
    banks: geometry.banks,
    count: sources.length,
    scrubbed: scrubbedCount(sources, ecc),
  });
  // Directly behind the sources, where memory/faults_inverted.wgsl looks for it.
  if (inverted && sources.length > 0) place(Uint32Array.of(AVOIDED[avoidedValue(sources)]), 1);
  const flags = rowFlags(sources);
  let record = 0;
  for (const [i, source] of sources.entries()) {
    const { table, failure, from, to } = sourceLimits(source, storageBits, ecc !== undefined);
    const { zone } = source;
    const length = recordLength(source, storageBits, ecc !== undefined);
    const fields = {
      // The uniform kernels read twelve entries together. Tables of banks lie behind the entries; see zoneTables.
      table: zone?.kind === 'banks' ? record : place(table, 12),
      limit: zone?.kind === 'banks' ? length : table.length,
      firstBit: source.firstBit,
      bits: source.bits,
      drawn: DRAWN[source.drawn],
      salt: source.salt,
      stored: STORED[source.stored],
      effect: EFFECT[source.effect],
      lines: zone ? ZONE_KIND[zone.kind] : source.lines ? LINE_KIND[source.lines.kind] : 0,
      from: zone ? flags[i] : from,
      to,
      failure,
    };
    if (zone?.kind === 'banks') record += length * zone.rates.length;
    writeFields(FAULT_SOURCE, words, fields, FAULT_ENTRY.words + i * FAULT_SOURCE.words);
  }
  if (granularity === 'inference' && isUniform(sources, ecc)) {
    const { faults, more } = sparseFaultTables(sources[0].bits, sources[0].rate);
    const header = place(new Uint32Array(2), 2);
    // sparse_faults.wgsl reads sixteen entries together, which follow the header.
    place(faults, 16);
    words.set([faults.length, place(more, 1)], header);
    writeFields(FAULT_ENTRY, words, { sparseFaults: header });
  }
  return words;
}

/** Words of the record of a bank: the number of values of its quantile table, then the values and zeros. */
function recordLength(source: FaultSource, storageBits: StorageBits, check: boolean): number {
  return 1 + Math.max(12, sourceCells(source, storageBits, check));
}

/** The quantile tables of all sources with a zone of banks: a record per bank. Their length does not depend on the rates. */
export function zoneTables({ sources, storageBits, ecc }: EntryFaults): Uint32Array<ArrayBuffer> {
  const check = ecc !== undefined;
  const records = sources
    .filter(({ zone }) => zone?.kind === 'banks')
    .flatMap((source) => {
      return bankTables(source, storageBits, check).map((table) => {
        const words = new Uint32Array(recordLength(source, storageBits, check));
        words[0] = table.length;
        words.set(table, 1);
        return words;
      });
    });
  const all = new Uint32Array(records.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const record of records) {
    all.set(record, at);
    at += record.length;
  }
  return all;
}

/** Number of words that {@link writeZones} needs at `at`. */
export function zoneExtent(tables: Uint32Array, units: number): number {
  return tables.length + FAULT_ZONES.words + units;
}

/**
 * Writes the zones of a tensor and the tables of its banks behind the entries, and where they are into entry `entry`, after
 * {@link writeFaults}.
 * @param tables the result of {@link zoneTables}
 * @param at word of the fault table at which they begin
 */
export function writeZones(
  words: Uint32Array<ArrayBuffer>,
  entry: number,
  sources: readonly FaultSource[],
  { tables, zones, at }: { tables: Uint32Array; zones: Zones; at: number },
): void {
  const first = entry * FAULT_ENTRY_WORDS;
  const header = at + tables.length;
  words.set(tables, at);
  writeFields(FAULT_ZONES, words, { shift: zones.shift, first: zones.first }, header);
  words.set(zones.words, header + FAULT_ZONES.words);
  let record = at;
  for (const [i, { zone }] of sources.entries()) {
    if (!zone) continue;
    const source = first + FAULT_ENTRY.words + i * FAULT_SOURCE.words;
    words[source + FAULT_SOURCE.at.to] = header - first;
    if (zone.kind !== 'banks') continue;
    words[source + FAULT_SOURCE.at.table] = record - first;
    record += words[source + FAULT_SOURCE.at.limit] * zone.rates.length;
  }
}

/** Writes the faults of a tensor of this shape into entry `entry`. @param faults the result of {@link faultWords} */
export function writeFaults(
  words: Uint32Array<ArrayBuffer>,
  entry: number,
  faults: Uint32Array,
  { rows, columns, stride }: EntryShape,
): void {
  const first = entry * FAULT_ENTRY_WORDS;
  words.set(faults.subarray(FAULT_ENTRY.at.rowBits), first + FAULT_ENTRY.at.rowBits);
  writeFields(FAULT_ENTRY, words, { rows, columns, rowBlocks: stride / BLOCK_CODES }, first);
}
