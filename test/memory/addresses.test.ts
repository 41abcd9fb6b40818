import { describe, expect, it } from 'vitest';
import { addressOf, capacityOf, type Geometry, MAPPING_NAMES, placeOf, unitBytes } from '../../src/memory/addresses.ts';
import { allocatePages, checkRegions } from '../../src/memory/allocation.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';

const SMALL: Geometry = { channels: 2, banks: 4, rows: 6, rowBytes: 256 };

describe.each(MAPPING_NAMES)('the address mapping %s', (mapping) => {
  const geometry = { ...SMALL, mapping };

  it('every address has its own place, the inverse finds it again, and a unit lies in one row', () => {
    const [places, wrong] = [new Set<number>(), [] as number[]];
    const unit = unitBytes(geometry);
    for (let address = 0; address < capacityOf(geometry); address++) {
      const place = placeOf(geometry, address);
      const first = placeOf(geometry, address - (address % unit));
      const { bank, row, column } = place;
      const inside = bank >= 0 && bank < 8 && row >= 0 && row < 6 && column >= 0 && column < 256;
      const together = first.bank === bank && first.row === row;
      if (!inside || !together || addressOf(geometry, place) !== address) wrong.push(address);
      places.add((bank * 6 + row) * 256 + column);
    }
    expect(wrong).toEqual([]);
    expect(places.size).toBe(2 * 4 * 6 * 256);
  });
});

it('the mappings have their fields in the order that their descriptions say', () => {
  const banks = (mapping: (typeof MAPPING_NAMES)[number], step: number) =>
    [0, 1, 2, 3].map((i) => placeOf({ ...SMALL, channels: 1, mapping }, i * step).bank);
  expect(banks('row-interleaved', 256)).toEqual([0, 1, 2, 3]);
  expect(banks('line-interleaved', 64)).toEqual([0, 1, 2, 3]);
  expect(banks('bank-sequential', 256)).toEqual([0, 0, 0, 0]);
  expect(banks('bank-sequential', 6 * 256)).toEqual([0, 1, 2, 3]);
  expect(placeOf({ ...SMALL, channels: 1, mapping: 'permuted' }, 4 * 256)).toEqual({ bank: 1, row: 1, column: 0 });
});

describe('pages of layers', () => {
  const geometry: Geometry = { banks: 8, rows: 64, rowBytes: 8192 };
  const request = (region: string, bytes: number, random = 0.5) => ({
    where: 'memory.place.fc1',
    region,
    bytes,
    random,
  });

  it('a region of banks gets pages in these banks only, all different, from another page on for another random number', () => {
    const pagesOf = (random: number) => {
      const [pages] = allocatePages(geometry, [request('bank:0,2', 100 * 4096, random)]);
      return Array.from({ length: 100 }, (_, i) => pages(i));
    };
    const pages = pagesOf(0.5);
    expect(new Set(pages).size).toBe(100);
    expect(new Set(pages.map((page) => placeOf(geometry, page * 4096).bank))).toEqual(new Set([0, 2]));
    expect(pagesOf(0)[0]).not.toBe(pages[0]);
  });

  it('good and bad rows share no page, and what is left over is free of both', () => {
    const bad = (bank: number, row: number) => (bank + row) % 3 === 0;
    const [good, poor, rest] = allocatePages(geometry, [
      { ...request('rows:good', 40 * 4096), bad },
      { ...request('rows:bad', 40 * 4096), bad },
      request('anywhere', 900 * 4096),
    ]);
    const rows = (pages: (i: number) => number, count: number) =>
      Array.from({ length: count }, (_, i) => placeOf(geometry, pages(i) * 4096));
    expect(rows(good, 40).some(({ bank, row }) => bad(bank, row))).toBe(false);
    expect(rows(poor, 40).every(({ bank, row }) => bad(bank, row))).toBe(true);
    const all = [good, poor].flatMap((pages) => Array.from({ length: 40 }, (_, i) => pages(i)));
    const others = Array.from({ length: 900 }, (_, i) => rest(i));
    expect(new Set([...all, ...others]).size).toBe(980);
  });

  it('a region that is too small is refused with the bytes of both', () => {
    expect(() => allocatePages(geometry, [request('bank:3', 64 * 8192 + 1)])).toThrow(
      'memory.place.fc1: bank:3 has 524288 free bytes in whole pages of 4096, but 524289 are needed (mapping row-interleaved)',
    );
    expect(() => allocatePages({ ...geometry, mapping: 'line-interleaved' }, [request('bank:3', 1)])).toThrow(
      /has 0 free bytes in whole pages of 4096, but 1 are needed \(mapping line-interleaved\)/,
    );
  });

  it('regions that overlap are refused, and equal ones and disjoint ones are not', () => {
    const check = (place: Record<string, string>) => () => checkRegions(place, geometry, 'memory.place');
    expect(check({ fc1: 'bank:0,2', conv: 'bank:2' })).toThrow(
      /^memory\.place\.conv: bank:2 overlaps bank:0,2 of fc1; give them separate regions/,
    );
    expect(check({ fc1: 'bank:0,2', conv: 'rows:good' })).toThrow(/overlaps/);
    expect(check({ fc1: 'anywhere', conv: 'rows:good' })).toThrow(/overlaps/);
    expect(check({ fc1: 'bank:8' })).toThrow(/^memory\.place\.fc1: no bank 8; the geometry has banks 0\.\.7$/);
    check({ fc1: 'bank:0,2', conv: 'bank:1', '*': 'rows:good' })();
    check({ fc1: 'bank:0,2', conv: 'bank:0,2' })();
    check({ fc1: 'rows:good', conv: 'rows:bad' })();
  });
});

describe('places in a configuration', () => {
  const rows = { kind: 'stored', faults: [{ kind: 'rows', volts: 1.2 }] };
  const parse = (more: object) => () => parseMemoryConfig({ layers: { '*': rows }, ...more }, ['fc1', 'fc2']);
  const refused: readonly (readonly [string, object, RegExp])[] = [
    [
      'an unknown mapping',
      { geometry: { mapping: 'random' } },
      /^memory\.geometry\.mapping: unknown: random; .*row-interleaved/,
    ],
    [
      'an unknown region',
      { place: { fc1: 'row:good' } },
      /^memory\.place\.fc1: must be anywhere, bank:0,2, rows:good or/,
    ],
    ['a layer that is not there', { place: { fc3: 'rows:good' } }, /^memory\.place\.fc3: no faults depend on where/],
    [
      'a layer whose faults depend on no place',
      { place: { '*': 'bank:0' }, layers: { '*': { kind: 'stored' } } },
      /^memory\.place\.\*: no faults depend on where it lies; give the layer the fault model rows or latency$/,
    ],
  ];
  it.each(refused)('%s is refused', (_, more, message) => {
    expect(parse(more)).toThrow(message);
  });
  it('places of layers whose faults depend on them are kept', () => {
    const place = { fc1: 'bank:0,2', '*': 'rows:good' };
    expect(parse({ place })().place).toEqual(place);
  });
});
