/** The table of maps as the device reads it; the layout is in shaders/memory/map.wgsl. */
import { ConfigError } from '../errors.ts';
import { BLOCK_CODES, type StorageBits } from './codec.ts';
import type { Ecc, Geometry } from './config.ts';
import { type Granularity, type Key, LINE_KIND, sourceLimits } from './fault_sampler.ts';
import { type FaultSource, isUniform, scrubbedCount } from './faults.ts';
import { sparseFaultTables } from './sparse_faults.ts';

/** Words of a tensor's map. */
export const MAP_WORDS = 2048;
const SOURCES_AT = 20;
const SOURCE_WORDS = 12;

const GRANULARITY: Readonly<Record<Granularity, number>> = { chip: 0, load: 0, pass: 1, inference: 2 };
const DRAWN = { chip: 0, load: 1, read: 2 } as const;
const STORED = { any: 0, zero: 1, one: 2 } as const;
const EFFECT = { flip: 0, 'stuck-at-0': 1, 'stuck-at-1': 2 } as const;

/** The part of a map that a load changes. */
export interface MapDraw {
  /** Of the tensor, from tensorKey. */
  readonly key: Key;
  /** From deviceKey. */
  readonly device: Key;
  /** Number of the load, and of its first read. */
  readonly load: number;
  readonly read: number;
}

export function writeDraw(words: Uint32Array, map: number, { key, device, load, read }: MapDraw): void {
  const at = map * MAP_WORDS;
  words.set(key, at);
  words[at + 2] = read;
  words[at + 8] = load;
  words.set(device, at + 9);
}

/** A tensor's shape; stride in codes. */
export interface MapShape {
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
}

/** What one unit of a format is worth; for noise its scale. */
export interface MapScale {
  readonly granularity: Granularity;
  readonly scale: number;
  readonly inverse: number;
  readonly bits: number;
  /** Where in the table the scales of rows begin, for a format that has them. */
  readonly rowScales?: number;
}

export function writeScale(words: Uint32Array<ArrayBuffer>, map: number, args: MapScale): void {
  const at = map * MAP_WORDS;
  words[at + 3] = GRANULARITY[args.granularity];
  new Float32Array(words.buffer, words.byteOffset).set([args.scale, args.inverse], at + 4);
  words[at + 6] = args.bits;
  words[at + 7] = args.rowScales ?? 0;
}

/** @throws ConfigError when the sources' tables do not fit a map */
export function writeSources(
  words: Uint32Array,
  map: number,
  args: {
    sources: readonly FaultSource[];
    storageBits: StorageBits;
    ecc: Ecc | undefined;
    geometry: Geometry;
    shape: MapShape;
    granularity: Granularity;
    /** What an error calls the layer. */
    where?: string;
  },
): void {
  const { sources, storageBits, ecc, geometry, shape, granularity, where = 'memory' } = args;
  const at = map * MAP_WORDS;
  words.fill(0, at + 11, at + MAP_WORDS);
  let free = SOURCES_AT + Math.max(1, sources.length) * SOURCE_WORDS;
  const place = (table: Uint32Array, room: number): number => {
    if (free + Math.max(room, table.length) > MAP_WORDS) {
      throw new ConfigError(
        `${where}.faults: ${sources.length} sources of faults at these rates need more than the ${MAP_WORDS} words of a map; ` +
          'use fewer models or lower rates',
      );
    }
    const placed = free;
    words.set(table, at + placed);
    free += Math.max(room, table.length);
    return placed;
  };
  words.set([geometry.rowBytes * 8, geometry.banks, sources.length, scrubbedCount(sources, ecc)], at + 11);
  words.set([shape.rows, shape.columns, shape.stride / BLOCK_CODES], at + 15);
  for (const [i, source] of sources.entries()) {
    const { table, failure, from, to } = sourceLimits(source, storageBits, ecc !== undefined);
    words.set(
      [
        // The uniform kernels read twelve entries at once.
        place(table, 12),
        table.length,
        source.firstBit,
        source.bits,
        DRAWN[source.drawn],
        source.salt,
        STORED[source.stored],
        EFFECT[source.effect],
        source.lines ? LINE_KIND[source.lines.kind] : 0,
        from,
        to,
        failure,
      ],
      at + SOURCES_AT + i * SOURCE_WORDS,
    );
  }
  if (granularity === 'inference' && isUniform(sources, ecc)) {
    const { faults, more } = sparseFaultTables(sources[0].bits, sources[0].rate);
    const header = place(new Uint32Array(2), 2);
    // sparse_faults.wgsl reads sixteen entries at once, which lie behind the header.
    place(faults, 16);
    words.set([faults.length, place(more, 1)], at + header);
    words[at + 18] = header;
  }
}
