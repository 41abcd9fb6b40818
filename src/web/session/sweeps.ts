/** The sweeps that settings of the page stand for. */
import * as v from 'valibot';
import type { NamedMemory, SweepConfig } from '../../experiments/config.ts';
import { measuredVoltageMemories } from '../../experiments/voltage.ts';
import { NamedMemories, NumberFormat } from '../../memory/config.ts';
import { findPreset } from '../../memory/presets.ts';
import { RATES } from '../rates.ts';
import { FORMATS, releasesOf, type Setting, vendorOf, voltsOf } from '../setting.ts';

/** A sweep of a set of layers; a memory that is defined for every layer is limited to `members`. */
function sweepOf(setting: Setting, what: 'one' | 'curve', layers: string, members: readonly string[]): SweepConfig {
  const { memory, rate, volts, granularity, draws, seed } = setting;
  const curve = what === 'curve';
  const vendor = vendorOf(memory);
  const uniform = memory === 'uniform';
  const memories = vendor
    ? measuredVoltageMemories({ vendor, volts: curve ? voltsOf(vendor, setting) : [volts] }, FORMATS[setting.format])
    : uniform
      ? []
      : v.parse(NamedMemories, [{ name: memory, setting: memory, memory: findPreset(memory).memory }]);
  const only = (each: NamedMemory): NamedMemory => {
    const layersOf = Object.fromEntries(members.map((layer) => [layer, each.memory.layers['*']]));
    return { ...each, memory: { ...each.memory, layers: layersOf } };
  };
  return {
    format: v.parse(NumberFormat, FORMATS[setting.format]),
    granularity,
    path: 'auto',
    sweeps: uniform ? [{ layers, rates: curve ? RATES.filter((_, i) => i % 2 === 0 && i >= 4) : [rate] }] : [],
    grid: [],
    rateMaps: [],
    memories: memories.map(only),
    draws,
    noise: { kinds: curve && uniform ? ['gaussian'] : [], sets: [layers], matched: layers, moments: false },
    releases: releasesOf(setting),
    seed,
  };
}

/** The sweep of one condition, or of the whole curve that it lies on. */
export function sweepOfSetting(setting: Setting, what: 'one' | 'curve'): SweepConfig {
  return sweepOf(setting, what, setting.layers, setting.layers.split('+'));
}

/** The same for a network whose given layers are stored in the memory of a setting. */
export function sweepOfLayers(setting: Setting, layers: readonly string[], what: 'one' | 'curve'): SweepConfig {
  return sweepOf(setting, what, layers.join('+'), layers);
}
