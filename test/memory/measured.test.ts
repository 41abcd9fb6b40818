import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { latencyRates } from '../../src/memory/latency.ts';
import {
  badRows,
  binOfRow,
  MAPPED_DIMMS,
  ROW_BINS,
  type RowMap,
  rowMapOf,
  rowMapOfChip,
  rowMapsAt,
} from '../../src/memory/row_maps.ts';
import { dimmOfName, lineErrorRate } from '../../src/memory/undervolting.ts';

const fixture = (name: string) =>
  JSON.parse(readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)), 'utf8'));

interface PublishedMap {
  readonly dimm: string;
  readonly volts: number;
  readonly rows: readonly (readonly number[])[];
  readonly agrees: boolean | null;
}
const MAPS: readonly PublishedMap[] = fixture('dram-undervolting-rows.json').maps;

interface PublishedRates {
  readonly vendor: 'A' | 'B' | 'C';
  readonly dimm: string;
  readonly tRCD: number;
  readonly tRP: number;
  readonly pattern: '0x0' | '0xff';
  readonly banks: readonly number[];
}
const RATES: readonly PublishedRates[] = fixture('dram-latency-ber.json').rows;

describe('measured maps of rows', () => {
  it('the map of every published raster that agrees with the table of lines has its shares, and no other map is measured', () => {
    const used = MAPS.filter(({ agrees }) => agrees !== false);
    expect(used).toHaveLength(27);
    for (const { dimm, volts, rows } of used) {
      const map = rowMapOf(dimm, volts);
      expect(map.interpolated).toBe(false);
      expect(map.shares, `${dimm} at ${volts} V`).toEqual(rows.map((bank) => bank.map((percent) => percent / 100)));
    }
    for (const { dimm, volts } of MAPS.filter(({ agrees }) => agrees === false)) {
      if (dimm === 'C6') expect(() => rowMapOf(dimm, volts)).toThrow(ConfigError);
      else if (dimm === 'C4' && volts === 1.25) expect(badRows(rowMapOf(dimm, volts))).toBe(0);
      else expect(rowMapOf(dimm, volts).interpolated, `${dimm} at ${volts} V`).toBe(true);
    }
  });

  it('maps of a DIMM nest: no share of bad rows falls as the voltage falls, measured or interpolated', () => {
    for (const name of MAPPED_DIMMS) {
      const known: RowMap[] = [];
      for (let millivolts = 1350; millivolts >= 1100; millivolts -= 2.5) {
        try {
          known.push(rowMapOf(name, millivolts / 1000));
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
        }
      }
      expect(known.length, name).toBeGreaterThan(60);
      for (const [i, { shares, volts }] of known.entries()) {
        if (i === 0) continue;
        const before = known[i - 1].shares.flat();
        const fallen = shares.flat().filter((share, at) => share < before[at]);
        expect(fallen, `${name} at ${volts} V`).toEqual([]);
      }
    }
  });

  it('a map between two voltages has about the share that was measured in lines there', () => {
    const map = rowMapOf('C1', 1.2);
    expect(map.interpolated).toBe(true);
    expect(Math.abs(badRows(map) - lineErrorRate(dimmOfName('C1'), 1.2))).toBeLessThan(0.035);
    expect(rowMapOf('C3', 1.25).interpolated).toBe(true);
    expect(badRows(rowMapOf('C3', 1.25))).toBeLessThan(1e-4);
  });

  it('a voltage outside the maps and one in a gap between them are refused with those that were measured', () => {
    expect(() => rowMapOf('C1', 1.1, 'here')).toThrow(
      'here: rows of DIMM C1 were measured at 1.35, 1.3, 1.25, 1.175, 1.15, 1.125 V, not at 1.1 V; nothing is extrapolated',
    );
    expect(() => rowMapOf('C1', 1.4)).toThrow(/nothing is extrapolated/);
    // The lines of C7 were not measured below 1.2 V.
    expect(() => rowMapOf('C7', 1.16)).toThrow(/1\.175, 1\.15 V, not at 1\.16 V.*nothing can be interpolated/);
    expect(rowMapOf('C7', 1.15).interpolated).toBe(false);
    expect(() => rowMapOf('A1', 1.2)).toThrow(/the rows of DIMM A1 were not measured; measured were those of C1, C2, /);
  });

  it('every DIMM whose rows are known at a voltage is a chip, and chips repeat after the last of them', () => {
    const names = (volts: number) => rowMapsAt(volts).map(({ dimm }) => dimm);
    expect(names(1.25)).toEqual(['C1', 'C2', 'C3', 'C4', 'C5', 'C7', 'C9']);
    expect(names(1.1)).toEqual(['C2', 'C3', 'C4', 'C5', 'C9']);
    expect(rowMapOfChip({ volts: 1.1 }, 5).dimm).toBe('C2');
    expect(rowMapOfChip({ volts: 1.25, dimm: 'C9' }, 5).dimm).toBe('C9');
    expect(() => rowMapsAt(1)).toThrow(/no DIMM has a map of its rows at 1 V; maps are of 1\.35, .*, 1\.1 V/);
  });

  it('bins of rows are equally large to one row, in order, and none is empty', () => {
    const counts = new Array(ROW_BINS).fill(0);
    for (let row = 0; row < 32768; row++) counts[binOfRow(row, 32768)]++;
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    expect(counts.reduce((sum, n) => sum + n)).toBe(32768);
  });
});

describe('measured rates at reduced timings', () => {
  it('every published rate is found by vendor, timing, DIMM, bank and stored value', () => {
    expect(RATES).toHaveLength(494);
    for (const { vendor, dimm, tRCD, tRP, pattern, banks } of RATES) {
      const timing = tRP === 12.5 ? { tRCD } : { tRP };
      const [found] = latencyRates(vendor, timing, dimm);
      expect(pattern === '0x0' ? found.zeroToOne : found.oneToZero, `${dimm} ${tRCD} ${tRP}`).toEqual(banks);
    }
  });

  it('all DIMMs of a vendor that were measured at a timing take part', () => {
    const names = (vendor: 'A' | 'B' | 'C', tRCD: number) => latencyRates(vendor, { tRCD }).map(({ dimm }) => dimm);
    expect(names('B', 7.5)).toHaveLength(9);
    expect(names('C', 5)).toHaveLength(13);
    expect(names('A', 2.5)).toEqual([
      ...new Set(RATES.filter((row) => row.vendor === 'A' && row.tRCD === 2.5).map(({ dimm }) => dimm)),
    ]);
  });

  it('a timing or a DIMM that was not measured is refused with those that were', () => {
    expect(() => latencyRates('B', { tRCD: 6 }, undefined, 'here')).toThrow(
      'here: no DIMM of vendor B was measured at tRCD 6 ns, only at tRCD 2.5, 5, 7.5, 10, 12.5 ns',
    );
    expect(() => latencyRates('A', { tRP: 2.5 }, 'b34')).toThrow(
      /DIMM b34 was measured at tRP 2\.5 ns, only at tRP 5, 7\.5/,
    );
    expect(() => latencyRates('A', { tRCD: 5 }, 'p1')).toThrow(/vendor A has no DIMM p1; measured were b1, /);
  });
});
