import { describe, expect, it, test } from 'vitest';
import { plannedConditions } from '../../src/experiments/conditions.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { yangClassifier } from '../../src/models/yang.ts';
import { NAMED_MEMORIES } from '../../src/web/choices.ts';
import { sweepOfLayers, sweepOfSetting } from '../../src/web/session/sweeps.ts';
import {
  DEFAULTS,
  dimmOf,
  isSetting,
  normalised,
  RATES,
  readSetting,
  type Setting,
  strengthText,
  sweepKey,
  voltsOf,
  writeSetting,
} from '../../src/web/setting.ts';

const SPEC = yangClassifier({ kind: 'yang-classifier', size: 32, ndf: 8, classes: 30 });
const conditionOf = (change: Partial<Setting>) =>
  plannedConditions(sweepOfSetting({ ...DEFAULTS, ...change }, 'one'), SPEC).at(-1)!;

describe('the address of a setting', () => {
  it('the address is empty for the defaults and states every difference', () => {
    expect(writeSetting(DEFAULTS)).toBe('');
    const setting: Setting = { ...DEFAULTS, memory: 'dram-C', volts: 1.15, draw: 4, layers: 'fc1', side: 'training' };
    const text = writeSetting(setting);
    expect(text).toBe('memory=dram-C&volts=1.15&layers=fc1&draw=4&side=training');
    expect(readSetting(new URLSearchParams(text))).toEqual({ setting, wrong: [] });
  });

  it('the address keeps every rate of the slider to the bit', () => {
    for (const rate of RATES) {
      expect(readSetting(new URLSearchParams(writeSetting({ ...DEFAULTS, rate }))).setting.rate).toBe(rate);
    }
  });

  it('an address with invalid values gives defaults and reports the invalid values', () => {
    const { setting, wrong } = readSetting(new URLSearchParams('rate=7&memory=foo&draw=&seed=2&utm_source=x'));
    expect(setting).toEqual({ ...DEFAULTS, seed: 2 });
    expect(wrong).toEqual(['rate=7', 'memory=foo', 'draw=']);
  });
});

describe('the words for a setting', () => {
  it('the sentence names the rate or the voltage that the slider shows', () => {
    expect(strengthText(DEFAULTS)).toBe('3.13 % of the bits flip');
    const undervolted: Setting = { ...DEFAULTS, memory: 'dram-C', volts: 1.15, draw: 2 };
    expect(strengthText(undervolted)).toBe('bits flip at a supply voltage of 1.150 V, DIMM C3');
    const { name } = NAMED_MEMORIES[0];
    expect(strengthText({ ...DEFAULTS, memory: name })).toBe(`bits flip as ${name} describes`);
  });
});

describe('settings that do not go together', () => {
  it('layers that the victim does not have are replaced by its own', () => {
    expect(normalised({ ...DEFAULTS, victim: 'mlp', layers: 'conv2' })).toMatchObject({ layers: 'fc1+fc2' });
    expect(normalised({ ...DEFAULTS, victim: 'softmax' })).toMatchObject({ layers: 'fc1', tensor: 'fc1.weight' });
    expect(normalised({ ...DEFAULTS, victim: 'mlp', layers: 'fc2' }).layers).toBe('fc2');
  });

  it('a tensor outside its layers and a voltage that was not measured are replaced', () => {
    expect(normalised({ ...DEFAULTS, layers: 'conv2' }).tensor).toBe('conv2.weight');
    expect(normalised({ ...DEFAULTS, tensor: 'fc2.bias' }).tensor).toBe('fc2.bias');
    expect(normalised({ ...DEFAULTS, tensor: 'bogus' }).tensor).toBe('fc1.weight');
    expect(normalised({ ...DEFAULTS, memory: 'dram-C', volts: 1 }).volts).toBe(1.1);
    expect(readSetting(new URLSearchParams('layers=fc2')).setting.tensor).toBe('fc2.weight');
  });

  it('a setting with a value out of its range is not valid', () => {
    expect(isSetting(DEFAULTS)).toBe(true);
    for (const change of [{ draw: 2 ** 20 }, { seed: -1 }, { draws: 101 }, { draw: 1.5 }, { draw: Number.NaN }]) {
      expect(isSetting({ ...DEFAULTS, ...change }), JSON.stringify(change)).toBe(false);
    }
  });
});

describe('the condition of a setting', () => {
  test('a setting with a rate is the condition that the command line sweeps', () => {
    expect(conditionOf({ rate: 2 ** -6 })).toEqual({
      kind: 'bit-error',
      rates: { fc1: 2 ** -6, fc2: 2 ** -6 },
      layers: 'fc1+fc2',
      format: 'fixed12+2',
      granularity: 'load',
    });
  });

  test('a setting with a voltage is one DIMM per draw, in the chosen layers only', () => {
    const condition = conditionOf({ memory: 'dram-B', volts: 1.05, layers: 'fc1' });
    expect(condition).toMatchObject({
      kind: 'memory',
      label: 'DRAM B, bad lines at 5 % (assumed), 1.050 V',
      volts: 1.05,
      granularity: 'chip',
      layers: 'fc1',
    });
    expect(Object.keys(condition.rates)).toEqual(['fc1']);
  });

  test('a voltage of vendor C draws the measured maps of rows, as the command line does', () => {
    const setting: Setting = { ...DEFAULTS, memory: 'dram-C', volts: 1.15, layers: 'fc2' };
    const [{ name, memory }] = sweepOfSetting(setting, 'one').memories;
    expect(name).toBe('DRAM C, bad rows at 5 % (assumed), 1.150 V');
    expect(memory.layers).toMatchObject({ fc2: { faults: [{ kind: 'rows', volts: 1.15, bitErrorRate: 0.05 }] } });
    expect(conditionOf(setting)).toMatchObject({ kind: 'memory', label: name });
  });

  test('a DIMM is shown with what was measured of it and what is assumed', () => {
    const dimm = (memory: string, volts: number, draw: number) => dimmOf({ memory, volts, draw });
    expect(dimm('uniform', 1.2, 0)).toBeUndefined();
    expect(dimm('dram-C', 1.15, 2)).toEqual({
      name: 'C3',
      measured: 'Measured: which rows of DIMM C3 have errors at 1.150 V.',
      assumed: 'Assumed: 5 % of the bits of a bad row flip.',
    });
    // C1 has no map at 1.1 V.
    expect(dimm('dram-C', 1.1, 2)!.name).toBe('C4');
    expect(dimm('dram-C', 1.275, 0)!.measured).toMatch(/ at 1\.275 V, interpolated between two measured voltages\.$/);
    expect(dimm('dram-A', 1.1, 3)).toMatchObject({
      measured: 'Measured: how many cache lines of DIMM A4 have errors at 1.100 V.',
      assumed: 'Assumed: these lines lie anywhere, and 5 % of their bits flip.',
    });
  });

  test.each(NAMED_MEMORIES.map(({ name }) => name))('a setting with the memory %s is a memory condition', (memory) => {
    expect(conditionOf({ memory }).kind).toBe('memory');
  });

  test('the condition of a setting lies on its curve', () => {
    for (const change of [{ rate: 2 ** -8 }, { memory: 'dram-A', volts: 1.15 }]) {
      const setting = { ...DEFAULTS, ...change };
      const curve = plannedConditions(sweepOfSetting(setting, 'curve'), SPEC);
      expect(curve).toContainEqual(conditionOf(change));
      expect(curve.length).toBeGreaterThan(4);
    }
  });

  test('a voltage goes as low as all of its DIMMs were measured, and no lower', () => {
    expect(voltsOf('A', { draw: 0, draws: 2 }).at(-1)).toBe(1.1);
    expect(voltsOf('A', { draw: 0, draws: 3 }).at(-1)).toBe(1.125);
    // At 1.1 V the rows of five DIMMs of vendor C are known, and below it those of none.
    expect(voltsOf('C', { draw: 6, draws: 1 }).at(-1)).toBe(1.1);
    for (const vendor of ['A', 'B', 'C'] as const) {
      for (const volts of voltsOf(vendor, DEFAULTS)) conditionOf({ memory: `dram-${vendor}`, volts });
    }
  });

  test('the condition of a setting reaches every given layer', () => {
    const mlp = modelSpec('mlp', 3584, 40, [200]);
    for (const memory of ['uniform', 'dram-C', NAMED_MEMORIES[0].name]) {
      const condition = plannedConditions(sweepOfLayers({ ...DEFAULTS, memory }, ['fc1', 'fc2'], 'one'), mlp).at(-1)!;
      expect(Object.keys(condition.rates)).toEqual(['fc1', 'fc2']);
    }
  });

  test('settings that differ only in strength and view share their rows', () => {
    expect(sweepKey({ ...DEFAULTS, rate: 0.1, draw: 2, side: 'training' })).toBe(sweepKey(DEFAULTS));
    expect(sweepKey({ ...DEFAULTS, seed: 2 })).not.toBe(sweepKey(DEFAULTS));
  });
});
