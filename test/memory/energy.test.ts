import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { NOMINAL_VOLTS, relativeEnergy, weightReadEnergy } from '../../src/memory/energy.ts';

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
