/**
 * Where the tensors of a network lie in DRAM: the pages that a draw allocates to them, and for every unit of each tensor its bank
 * and the fault sources in whose bad rows it lies. Tensors whose faults do not depend on that have no zones.
 */
import { ConfigError } from '../errors.ts';
import { roundUp } from '../gpu/arena.ts';
import { PAGE_BYTES, placeOf, unitBytes } from '../memory/addresses.ts';
import { allocatePages, needsRows, type Pages } from '../memory/allocation.ts';
import { BLOCK_CODES, formatBits, storageBitsOf } from '../memory/codec.ts';
import type { MemoryConfig, StoredMemory } from '../memory/config.ts';
import { deviceKey, type Key, tensorKey } from '../memory/fault_sampler.ts';
import type { FaultSource, RowZone } from '../memory/faults/model.ts';
import { pcg4d } from '../memory/hash.ts';
import { binOfRow } from '../memory/row_maps.ts';
import { BAD_ROW, inBadRow, type Zones } from '../memory/zones.ts';

/** Every tensor starts on a multiple of this many bytes in the image. */
export const TENSOR_ALIGNMENT = 256;

/** A stored parameter; offset in the image and size in bytes. */
interface Tensor {
  readonly slice: { readonly name: string; readonly layer: string };
  readonly memory: StoredMemory;
  readonly offset: number;
  readonly size: number;
}

/** Number of the hash key of a chip from which the places of its tensors are drawn. */
const ALLOCATION_KEY = 0xfffffffe;

const rowZones = (sources: readonly FaultSource[]): RowZone[] =>
  sources.flatMap(({ zone }) => (zone?.kind === 'rows' ? [zone] : []));

/** Tensors that lie together in a region, one behind the other, and the byte of the region at which each begins. */
interface Group {
  readonly where: string;
  readonly region: string;
  readonly tensors: { readonly planned: Tensor; readonly from: number }[];
  bytes: number;
}

/** Without `place`, all tensors lie together as in the image. */
function groupsOf(config: MemoryConfig, tensors: readonly Tensor[], where: string): Group[] {
  const { place } = config;
  const groups = new Map<string, Group>();
  for (const planned of tensors) {
    const { layer } = planned.slice;
    const named = place && Object.hasOwn(place, layer);
    const region = (place && (named ? place[layer] : place['*'])) ?? 'anywhere';
    const key = named ? region : '*';
    const path = place ? `${where}.place.${named ? layer : '*'}` : `${where}.geometry`;
    const group = groups.get(key) ?? { where: path, region, tensors: [], bytes: 0 };
    const from = place ? group.bytes : planned.offset;
    group.tensors.push({ planned, from });
    group.bytes = roundUp(from + planned.size, TENSOR_ALIGNMENT);
    groups.set(key, group);
  }
  // What * stands for takes the pages that the others leave over.
  return [...groups].sort(([a], [b]) => Number(a === '*') - Number(b === '*')).map(([, group]) => group);
}

/** A layer's test for bad rows, which remembers its answers. */
function rowTest({ geometry }: MemoryConfig, device: Key, zone: RowZone): (bank: number, row: number) => boolean {
  const known = new Uint8Array((geometry.channels ?? 1) * geometry.banks * geometry.rows);
  return (bank, row) => {
    const at = bank * geometry.rows + row;
    if (known[at] === 0) {
      const share = zone.shares[bank % geometry.banks][binOfRow(row, geometry.rows)];
      known[at] = inBadRow(device, at, share) ? 2 : 1;
    }
    return known[at] === 2;
  };
}

/** The places of the tensors of a draw; for the fault table, the reference and pictures. */
export interface PlacedTensors {
  /** The zones of a parameter by its name; undefined if its faults do not depend on where it lies. */
  zonesOf(name: string): Zones | undefined;
  /** The address at which a byte of a parameter lies; undefined as zonesOf. */
  addressOf(name: string, byte: number): number | undefined;
  /** True if a row is bad for the parameter. @param bank number among the banks of all channels */
  isBad(name: string, bank: number, row: number): boolean;
}

/** The sources of faults in a layer, by its name. */
type LayerSources = ReadonlyMap<string, { readonly sources: readonly FaultSource[] }>;

/**
 * Allocates the tensors of a memory.
 * @param chip number of the chip, whose faults `layers` has
 * @param load number of the load: every load draws other pages
 * @throws ConfigError if the geometry is not that of the measured DIMMs, or a region is too small
 */
export function placeTensors(
  config: MemoryConfig,
  tensors: readonly Tensor[],
  { chip, layers }: { readonly chip: number; readonly layers: LayerSources },
  load: number,
  where = 'memory',
): PlacedTensors {
  const { seed, geometry } = config;
  const sourcesOf = (layer: string) => layers.get(layer)!.sources;
  const zoned = tensors.filter(({ slice }) => sourcesOf(slice.layer).some(({ zone }) => zone));
  for (const { zone } of zoned.flatMap(({ slice }) => sourcesOf(slice.layer))) {
    const banks = zone && (zone.kind === 'rows' ? zone.shares : zone.rates).length;
    if (banks === undefined || banks === geometry.banks) continue;
    throw new ConfigError(`${where}.geometry.banks: the DIMM has ${banks} banks, not ${geometry.banks}`);
  }
  const device = deviceKey(seed, chip);
  const key = tensorKey(seed, chip, ALLOCATION_KEY);
  const tests = new Map<string, ReturnType<typeof rowTest>>();
  const testOf = (zone: RowZone) => {
    const map = JSON.stringify(zone.shares);
    const test = tests.get(map) ?? rowTest(config, device, zone);
    tests.set(map, test);
    return test;
  };
  const testsOf = (layer: string) => rowZones(sourcesOf(layer)).map(testOf);
  const groups = zoned.length === 0 ? [] : groupsOf(config, tensors, where);
  const requests = groups.map(({ where: path, region, tensors: own, bytes }, i) => {
    const bad = own.map(({ planned }) => testsOf(planned.slice.layer));
    if (needsRows(region) && bad.some((each) => each.length !== 1 || each[0] !== bad[0][0])) {
      throw new ConfigError(`${path}: ${region} needs one fault model rows, the same for all layers there`);
    }
    return { where: path, region, bytes, bad: bad[0][0], random: pcg4d(load, i, key[0], key[1])[0] / 2 ** 32 };
  });
  const places = new Map<string, { planned: Tensor; from: number; pages: Pages }>();
  for (const [i, pages] of allocatePages(geometry, requests).entries()) {
    for (const { planned, from } of groups[i].tensors) places.set(planned.slice.name, { planned, from, pages });
  }
  const unit = unitBytes(geometry);
  const zones = new Map<string, Zones>();
  return {
    zonesOf(name) {
      const found = zones.get(name);
      if (found || !zoned.some(({ slice }) => slice.name === name)) return found;
      const { planned, from, pages } = places.get(name)!;
      const bad = testsOf(planned.slice.layer);
      const blockBytes = (BLOCK_CODES * storageBitsOf(formatBits(planned.memory.format))) / 8;
      const first = Math.floor(from / unit);
      const words = new Uint32Array(Math.ceil((from + planned.size) / unit) - first);
      for (let j = 0; j < words.length; j++) {
        const { bank, row } = placeOf(geometry, physical(pages, (first + j) * unit));
        words[j] = bank % geometry.banks;
        for (const [k, test] of bad.entries()) if (test(bank, row)) words[j] |= BAD_ROW << k;
      }
      const made = { shift: Math.log2(unit / blockBytes), first: (from - first * unit) / blockBytes, words };
      zones.set(name, made);
      return made;
    },
    addressOf(name, byte) {
      const place = places.get(name);
      return place && physical(place.pages, place.from + byte);
    },
    isBad: (name, bank, row) => testsOf(places.get(name)!.planned.slice.layer).some((test) => test(bank, row)),
  };
}

function physical(pages: Pages, byte: number): number {
  const page = Math.floor(byte / PAGE_BYTES);
  return pages(page) * PAGE_BYTES + (byte - page * PAGE_BYTES);
}

/** Largest number of units of a tensor of `bytes` bytes, wherever it lies. */
export function mostUnits({ geometry }: MemoryConfig, bytes: number): number {
  return Math.ceil(bytes / unitBytes(geometry)) + 1;
}
