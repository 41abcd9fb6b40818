import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { type Dimm, dimmOfChip, lineErrorRate, VENDORS, voltageRange } from '../../src/memory/undervolting.ts';

/** Rows of the published table: name, volts, vendor, per cent. */
const ROWS = readFileSync(
  fileURLToPath(new URL('../fixtures/dram-undervolting-cachelines.csv', import.meta.url)),
  'utf8',
)
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => {
    const [name, volts, vendor, percent] = line.split(',');
    return { name, volts: Number(volts), vendor, percent: Number(percent) };
  });
const NAMES = [...new Set(ROWS.map((row) => row.name))];

/** The DIMM of a name, such as B7. */
function findDimm(name: string): Dimm {
  const all = VENDORS.flatMap((vendor) => Array.from({ length: 12 }, (_, chip) => dimmOfChip(vendor, chip)));
  const found = all.find((dimm) => dimm.name === name);
  if (!found) throw new Error(name);
  return found;
}

/** Rows where the measurement falls as the voltage falls, and the running maximum in per cent. */
const FALLING: Record<string, number> = {
  'B1 1.025': 0.00457763671875,
  'C5 1.1': 50.0070095062,
  'C9 1.15': 50.0003814697,
  'C9 1.1': 50.0003814697,
};

/** Distance of neighbouring float64 numbers in 1..2. */
const STEP = 2 ** -52;

describe('the measured table', () => {
  it('the measured table has all 212 published rows and no others', () => {
    expect(ROWS).toHaveLength(212);
    const held = NAMES.flatMap((name) => {
      const { vendor, points } = findDimm(name);
      return points.map(([volts, percent]) => ({ name, volts, vendor, percent }));
    });
    const order = (a: (typeof ROWS)[0], b: (typeof ROWS)[0]) => a.name.localeCompare(b.name) || b.volts - a.volts;
    expect(held.sort(order)).toEqual([...ROWS].sort(order));
  });

  it('the measured table lists points in order of falling voltage', () => {
    for (const name of NAMES) {
      const volts = findDimm(name).points.map(([point]) => point);
      expect(
        volts.every((point, i) => i === 0 || point < volts[i - 1]),
        name,
      ).toBe(true);
    }
  });

  it('chips 0..n-1 are the DIMMs of a vendor in the order of their numbers, and chip n is the first again', () => {
    const drawn = VENDORS.map((vendor) => {
      const count = new Set(ROWS.filter((row) => row.vendor === vendor).map((row) => row.name)).size;
      expect(dimmOfChip(vendor, count)).toBe(dimmOfChip(vendor, 0));
      expect(dimmOfChip(vendor, 5 * count + 3)).toBe(dimmOfChip(vendor, 3));
      return Array.from({ length: count }, (_, chip) => dimmOfChip(vendor, chip).name).join(' ');
    });
    expect(drawn).toEqual([
      'A1 A2 A3 A4 A5 A6 A7 A8 A9 A10',
      'B1 B2 B3 B4 B5 B7 B8 B9 B10 B11 B12',
      'C1 C2 C3 C4 C5 C6 C7 C8 C9',
    ]);
    expect(dimmOfChip('A', 0xffffffff).name).toBe('A6');
  });

  it('the measured table has the range of each DIMM', () => {
    expect(voltageRange(findDimm('A3'))).toEqual({ lowest: 1.125, highest: 1.35 });
    expect(voltageRange(findDimm('B7'))).toEqual({ lowest: 1.025, highest: 1.35 });
    expect(voltageRange(findDimm('C7'))).toEqual({ lowest: 1.2, highest: 1.35 });
    for (const name of NAMES) expect(voltageRange(findDimm(name)).highest, name).toBe(1.35);
  });
});

describe('the line error rate', () => {
  it.each([
    ['A1', 1.1, 0.0986963510513],
    ['A7', 1.1, 89.6379262209],
    ['A9', 1.1, 0],
    ['B2', 1.125, 2.98023223877e-6],
    ['B7', 1.025, 56.378608942],
    ['C3', 1.25, 0.00839233398438],
    ['C9', 1.2, 49.2010593414],
    ['C1', 1.35, 0],
  ])('the line error rate of %s at %f V is %f per cent', (name, volts, percent) => {
    expect(lineErrorRate(findDimm(name), volts)).toBe(percent / 100);
  });

  it('the line error rate is the measured one in every row, or the running maximum in the four rows that fall', () => {
    for (const { name, volts, percent } of ROWS) {
      const row = `${name} ${volts}`;
      expect(lineErrorRate(findDimm(name), volts), row).toBe((FALLING[row] ?? percent) / 100);
    }
  });

  it('the line error rate never falls as the voltage falls, in steps of 0.1 mV and of the last place around every point', () => {
    for (const name of NAMES) {
      const dimm = findDimm(name);
      const { lowest, highest } = voltageRange(dimm);
      const grid = Array.from({ length: 3251 }, (_, i) => 1.35 - i / 10000);
      for (const [point] of dimm.points) for (let i = -3; i <= 3; i++) grid.push(point + i * STEP);
      const volts = grid.filter((each) => each >= lowest && each <= highest).sort((a, b) => b - a);
      const rates = volts.map((each) => lineErrorRate(dimm, each));
      expect(
        rates.every((rate) => rate >= 0 && rate <= 1),
        name,
      ).toBe(true);
      expect(volts[rates.findIndex((rate, i) => i > 0 && rate < rates[i - 1])], name).toBeUndefined();
    }
  });

  it('the line error rate has a linear logarithm between two positive points', () => {
    const [upper, lower] = [0.00131186842918, 0.56378608942];
    const rate = (volts: number) => lineErrorRate(findDimm('B7'), volts);
    expect(rate(1.0375) / Math.sqrt(upper * lower)).toBeCloseTo(1, 10);
    expect(rate(1.03) / (upper ** 0.2 * lower ** 0.8)).toBeCloseTo(1, 10);
    expect(rate(1.05 - STEP) / upper).toBeCloseTo(1, 10);
    expect(rate(1.025 + STEP) / lower).toBeCloseTo(1, 10);
  });

  it('the line error rate is 0 down to the lowest zero, and starts below it at one line of 2^25', () => {
    const a1 = findDimm('A1');
    expect(lineErrorRate(a1, 1.125)).toBe(0);
    expect(lineErrorRate(a1, 1.125 + STEP)).toBe(0);
    expect(lineErrorRate(a1, 1.225)).toBe(0);
    expect(lineErrorRate(a1, 1.125 - STEP) * 2 ** 25).toBeCloseTo(1, 10);
    expect(lineErrorRate(a1, 1.1125) / Math.sqrt(2 ** -25 * 0.000986963510513)).toBeCloseTo(1, 10);
    // B8 has one bad line at 1.10 V and at 1.075 V, and none at 1.125 V.
    for (const volts of [1.12, 1.11, 1.09, 1.08]) {
      expect(lineErrorRate(findDimm('B8'), volts) * 2 ** 25).toBeCloseTo(1, 10);
    }
    for (let volts = 1.35; volts > 1.1; volts -= 0.01) expect(lineErrorRate(findDimm('A9'), volts)).toBe(0);
  });

  it('the line error rate starts at 1.125 V for vendors A and B and at 1.25 V for C, which saturates at one half', () => {
    const dimms = (vendor: (typeof VENDORS)[number]) =>
      NAMES.map((name) => findDimm(name)).filter((dimm) => dimm.vendor === vendor);
    /** The highest voltage at which any of the DIMMs has bad lines, and the DIMMs that have bad lines there. */
    const first = (some: Dimm[]) => {
      const bad = some.flatMap(({ name, points }) =>
        points.filter(([, percent]) => percent > 0).map(([volts]) => ({ name, volts })),
      );
      const volts = Math.max(...bad.map((each) => each.volts));
      return {
        volts,
        names: bad
          .filter((each) => each.volts === volts)
          .map((each) => each.name)
          .sort(),
      };
    };
    expect(first(dimms('A'))).toEqual({ volts: 1.125, names: ['A3'] });
    // B2 has a single bad line there; the rest of vendor B starts at 1.10 V.
    expect(first(dimms('B'))).toEqual({ volts: 1.125, names: ['B2'] });
    expect(lineErrorRate(findDimm('B2'), 1.125) * 2 ** 25).toBeCloseTo(1, 10);
    expect(first(dimms('B').filter((dimm) => dimm.name !== 'B2')).volts).toBe(1.1);
    expect(first(dimms('C'))).toEqual({ volts: 1.25, names: ['C1', 'C3', 'C5', 'C6', 'C7', 'C9'] });
    for (const dimm of dimms('C')) {
      const { lowest } = voltageRange(dimm);
      const rate = lineErrorRate(dimm, lowest);
      expect(rate, dimm.name).toBeLessThan(0.5003);
      if (lowest < 1.2) expect(rate, dimm.name).toBeGreaterThan(0.496);
    }
  });
});

describe('voltages and chips that are refused', () => {
  it.each([
    ['A3', 1.1, '1.125..1.35 V'],
    ['B1', 1.0249, '1.025..1.35 V'],
    ['C7', 1.1999, '1.2..1.35 V'],
    ['A1', 1.36, '1.1..1.35 V'],
    ['A1', Number.NaN, '1.1..1.35 V'],
  ])('the measurement of %s is not extrapolated to %f V', (name, volts, range) => {
    const rate = () => lineErrorRate(findDimm(name), volts);
    expect(rate).toThrow(ConfigError);
    expect(rate).toThrow(
      `volts: ${volts} V is outside ${range}, where DIMM ${name} was measured; measurements are not extrapolated`,
    );
  });

  it.each([-1, 0.5, 2 ** 32, Number.NaN])('%f is not a valid chip', (chip) => {
    expect(() => dimmOfChip('A', chip)).toThrow(ConfigError);
    expect(() => dimmOfChip('A', chip)).toThrow(`chip: ${chip} is not an integer in 0..2^32-1`);
  });
});
