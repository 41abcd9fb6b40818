/** The pages of a memory in which the layers of a network lie. */
import { ConfigError } from '../errors.ts';
import { capacityOf, type Geometry, PAGE_BYTES, placeOf, unitBytes } from './addresses.ts';

/** The form of a region in a configuration. */
export const REGION = /^(?:anywhere|bank:\d+(?:,\d+)*|rows:(?:good|bad))$/;

/** True if a region contains a unit of memory, of unitBytes. @param bad true if the unit's row is bad */
type Contains = (bank: number, bad: boolean) => boolean;

/** The banks that a region names; undefined if it is not defined by banks. */
function banksOf(region: string): number[] | undefined {
  return region.startsWith('bank:') ? region.slice('bank:'.length).split(',').map(Number) : undefined;
}

function containsOf(region: string): Contains {
  const banks = banksOf(region);
  if (banks) return (bank) => banks.includes(bank);
  if (region === 'rows:good') return (_, bad) => !bad;
  if (region === 'rows:bad') return (_, bad) => bad;
  return () => true;
}

/** True if the region depends on which rows are bad. */
export function needsRows(region: string): boolean {
  return region.startsWith('rows:');
}

/**
 * Checks that no page can belong to the regions of two layers, unless they share one region.
 * @param place region by layer; that of `*` takes only what the others leave over
 * @throws ConfigError
 */
export function checkRegions(place: Readonly<Record<string, string>>, geometry: Geometry, where: string): void {
  const count = (geometry.channels ?? 1) * geometry.banks;
  const named = Object.entries(place).filter(([layer]) => layer !== '*');
  for (const [layer, region] of Object.entries(place)) {
    const missing = banksOf(region)?.find((bank) => bank >= count);
    if (missing !== undefined) {
      throw new ConfigError(`${where}.${layer}: no bank ${missing}; the geometry has banks 0..${count - 1}`);
    }
  }
  for (const [i, [layer, region]] of named.entries()) {
    for (const [other, otherRegion] of named.slice(0, i)) {
      const [a, b] = [banksOf(region), banksOf(otherRegion)];
      const disjoint = a && b ? !a.some((bank) => b.includes(bank)) : needsRows(region) && needsRows(otherRegion);
      if (region === otherRegion || disjoint) continue;
      throw new ConfigError(
        `${where}.${layer}: ${region} overlaps ${otherRegion} of ${other}; give them separate regions, one and the same ` +
          'region, or * to one of them, which takes what the others leave over',
      );
    }
  }
}

/** Layers that lie together in a region, one behind the other. */
export interface PageRequest {
  /** Path in the configuration, for errors. */
  readonly where: string;
  readonly region: string;
  readonly bytes: number;
  /** Tells if a row is bad for these layers; needed for regions of rows. */
  readonly bad?: (bank: number, row: number) => boolean;
  /** A random number that chooses the first page, 0..1, below 1. */
  readonly random: number;
}

/** The page of the memory in which page number `i` of a request lies. */
export type Pages = (i: number) => number;

/**
 * Allocates pages to requests in their order: consecutive pages of the region that are still free, from a random one on.
 * @throws ConfigError if a region is too small
 */
export function allocatePages(geometry: Geometry, requests: readonly PageRequest[]): Pages[] {
  const pages = Math.floor(capacityOf(geometry) / PAGE_BYTES);
  const unit = unitBytes(geometry);
  const used = new Set<number>();
  const run = (request: PageRequest, available: number): { needed: number; first: number } => {
    const needed = Math.ceil(request.bytes / PAGE_BYTES);
    if (needed > available) {
      throw new ConfigError(
        `${request.where}: ${request.region} has ${available * PAGE_BYTES} free bytes in whole pages of ${PAGE_BYTES}, but ` +
          `${request.bytes} are needed (mapping ${geometry.mapping ?? 'row-interleaved'})`,
      );
    }
    return { needed, first: Math.floor(request.random * (available - needed + 1)) };
  };
  return requests.map((request) => {
    if (request.region === 'anywhere' && used.size === 0) {
      const { needed, first } = run(request, pages);
      if (requests.length > 1) for (let i = 0; i < needed; i++) used.add(first + i);
      return (i) => first + i;
    }
    const contains = containsOf(request.region);
    const rows = needsRows(request.region);
    const free: number[] = [];
    for (let page = 0; page < pages; page++) {
      if (used.has(page)) continue;
      let inside = true;
      for (let byte = 0; byte < PAGE_BYTES && inside; byte += unit) {
        const { bank, row } = placeOf(geometry, page * PAGE_BYTES + byte);
        inside = contains(bank, rows && request.bad!(bank, row));
      }
      if (inside) free.push(page);
    }
    const { needed, first } = run(request, free.length);
    const own = free.slice(first, first + needed);
    for (const page of own) used.add(page);
    return (i) => own[i];
  });
}
