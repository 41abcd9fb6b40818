import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import {
  accessTime,
  dramEnergy,
  NOMINAL_VOLTS,
  relativeEnergy,
  streamEnergy,
  weightReadEnergy,
} from '../../src/memory/energy.ts';

describe('relative energy of a read', () => {
  it('relative energy is the square of the voltage relative to the nominal voltage of DDR3L', () => {
    expect(NOMINAL_VOLTS).toBe(1.35);
    expect(relativeEnergy(1.35)).toBe(1);
    expect(relativeEnergy(0.675)).toBe(0.25);
    expect(relativeEnergy(1.1)).toBeCloseTo(1.21 / 1.8225, 14);
    expect(1 - relativeEnergy(1.1)).toBeCloseTo(0.33608, 5);
    expect(1 - relativeEnergy(1.025)).toBeCloseTo(0.423525, 6);
  });

  it.each([0, -1.1, 1.3501, Number.NaN, Infinity])('a voltage of %f V is refused', (volts) => {
    expect(() => relativeEnergy(volts)).toThrow(ConfigError);
    expect(() => relativeEnergy(volts)).toThrow(`volts: ${volts} V is not above 0 and at most 1.35 V`);
  });
});

describe('energy of weight reads', () => {
  it('no energy is saved at nominal voltage, nor if nothing is read', () => {
    expect(weightReadEnergy([{ layer: 'fc1', bytes: 1000, volts: 1.35 }])).toEqual({
      bytes: 1000,
      nominal: 1000,
      energy: 1000,
      saving: 0,
    });
    const nothing = { bytes: 0, nominal: 0, energy: 0, saving: 0 };
    expect(weightReadEnergy([])).toEqual(nothing);
    expect(weightReadEnergy([{ layer: 'fc1', bytes: 0, volts: 1.1 }])).toEqual(nothing);
  });

  it('the energy of weight reads weighs layers by their bytes', () => {
    // 300 bytes at half the voltage cost a quarter, 75; 100 bytes at nominal voltage cost 100: together 175 of 400.
    expect(
      weightReadEnergy([
        { layer: 'fc1', bytes: 300, volts: 0.675 },
        { layer: 'fc2', bytes: 100, volts: 1.35 },
      ]),
    ).toEqual({ bytes: 400, nominal: 400, energy: 175, saving: 0.5625 });

    // Three of four bytes are read at 1.10 V, which saves three quarters of 0.336077.
    const mixed = weightReadEnergy([
      { layer: 'fc1', bytes: 3072, volts: 1.1 },
      { layer: 'fc2', bytes: 1024, volts: 1.35 },
    ]);
    expect(mixed.bytes).toBe(4096);
    expect(mixed.nominal).toBe(4096);
    expect(mixed.energy).toBeCloseTo(3063.572, 3);
    expect(mixed.saving).toBeCloseTo(0.252058, 6);
  });

  it('an error of the energy names the layer', () => {
    const read = (bytes: number, volts: number) => () =>
      weightReadEnergy([
        { layer: 'fc1', bytes: 1, volts: 1.1 },
        { layer: 'fc2', bytes, volts },
      ]);
    expect(read(1, 1.4)).toThrow(ConfigError);
    expect(read(1, 1.4)).toThrow(/^fc2\.volts: 1\.4 V /);
    for (const bytes of [-1, Number.NaN, Infinity]) {
      expect(read(bytes, 1.1)).toThrow(ConfigError);
      expect(read(bytes, 1.1)).toThrow(`fc2.bytes: ${bytes} `);
    }
  });
});

describe('energy of DRAM by cause', () => {
  const idle = { bytes: 0, bytesPerActivation: 8192, seconds: 0, openShare: 0, volts: 1.35 };

  it('every cause has the energy of the formulas of TN-41-01, computed by hand', () => {
    // Eight chips at 1.35 V take (1.35 / 1.5)^2 of 1.5 V times mA times ns: 8 * 1.5 * 0.81 = 9.72 pJ.
    const { activate, ...others } = dramEnergy({ ...idle, bytes: 8192 });
    // 55 * 48.75 - 38 * 35 - 32 * 13.75 = 911.25 mA ns.
    expect(activate).toBeCloseTo(911.25 * 9.72e-12, 20);
    // 128 bursts of 5 ns at 157 - 38 mA.
    expect(others.read).toBeCloseTo(128 * 595 * 9.72e-12, 20);
    expect([others.background, others.refresh]).toEqual([0, 0]);
    const second = dramEnergy({ ...idle, seconds: 1, openShare: 0.25 });
    expect(second.background).toBeCloseTo(33.5e9 * 9.72e-12, 12);
    expect(second.refresh).toBeCloseTo((1e9 / 7800) * 197 * 260 * 9.72e-12, 12);
    expect([second.activate, second.read]).toEqual([0, 0]);
    expect(second.total).toBeCloseTo(second.background + second.refresh, 15);
  });

  it('energy falls with the square of the voltage, and random reads need more activations than rows in order', () => {
    const busy = { bytes: 1e6, bytesPerActivation: 8192, seconds: 1e-3, openShare: 1, volts: 1.35 };
    const [high, low] = [dramEnergy(busy), dramEnergy({ ...busy, volts: 1.1 })];
    for (const cause of ['activate', 'read', 'background', 'refresh', 'total'] as const) {
      expect(low[cause] / high[cause]).toBeCloseTo(relativeEnergy(1.1), 12);
    }
    expect(dramEnergy({ ...busy, bytesPerActivation: 64 }).activate / high.activate).toBeCloseTo(128, 9);
  });

  it.each([
    [{ bytes: -1 }, /bytes: -1/],
    [{ bytesPerActivation: 32 }, /bytesPerActivation: 32 is less than a burst/],
    [{ seconds: Number.NaN }, /seconds: NaN/],
    [{ openShare: 2 }, /openShare: 2 is not in 0\.\.1/],
    [{ volts: 1.5 }, /1\.5 V is not above 0/],
  ])('numbers out of range are refused: %o', (change, message) => {
    expect(() => dramEnergy({ ...idle, ...change })).toThrow(message);
  });
});

describe('energy of a stream of reads', () => {
  it('each layer is read at the peak rate and at its own voltage', () => {
    const bytes = 12.8e6; // one millisecond
    const nominal = dramEnergy({ bytes, bytesPerActivation: 8192, seconds: 1e-3, openShare: 1, volts: 1.35 });
    const one = streamEnergy([{ layer: 'fc1', bytes, volts: 1.35 }]);
    expect(one.total).toBeCloseTo(nominal.total, 15);
    const two = streamEnergy([
      { layer: 'fc1', bytes, volts: 1.35 },
      { layer: 'fc2', bytes, volts: 0.675 },
    ]);
    for (const cause of ['activate', 'read', 'background', 'refresh', 'total'] as const) {
      expect(two[cause]).toBeCloseTo(nominal[cause] * 1.25, 15);
    }
    expect(streamEnergy([])).toEqual({ activate: 0, read: 0, background: 0, refresh: 0, total: 0 });
  });
});

describe('time of an access', () => {
  it('shorter timings save time only where a row is opened', () => {
    // 13.75 + 13.75 + 13.75 + 5 ns at standard timings.
    expect(accessTime({}, 0)).toEqual({ ns: 46.25, standard: 46.25, saving: 0 });
    expect(accessTime({ tRCD: 7.5 }, 0).saving).toBeCloseTo(6.25 / 46.25, 12);
    expect(accessTime({ tRCD: 7.5, tRP: 7.5 }, 0).saving).toBeCloseTo(12.5 / 46.25, 12);
    expect(accessTime({ tRCD: 7.5 }, 0.5)).toMatchObject({ ns: 29.375, standard: 32.5 });
    expect(accessTime({ tRCD: 5 }, 1)).toEqual({ ns: 18.75, standard: 18.75, saving: 0 });
  });

  it.each([
    [{ tRCD: 0 }, 0, /tRCD: 0 ns/],
    [{ tRP: 14 }, 0, /tRP: 14 ns is not above 0 and at most 13\.75, standard/],
    [{}, -0.1, /hitShare: -0\.1/],
  ])('timings out of range are refused: %o', (timing, share, message) => {
    expect(() => accessTime(timing, share)).toThrow(message);
  });
});
