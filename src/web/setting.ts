/**
 * What a visitor has chosen, as the page's address says it: `?memory=dram-C&volts=1.2&draw=3`. What is not there is the
 * default, so an address is as long as it is different, and the same address gives the same numbers.
 */
import * as v from 'valibot';
import { layersOfSet } from '../experiments/conditions.ts';
import type { NamedMemory, SweepConfig } from '../experiments/sweep.ts';
import { voltageMemories } from '../experiments/voltage.ts';
import { GRANULARITIES, NumberFormat } from '../memory/config.ts';
import { findPreset, PRESETS } from '../memory/presets.ts';
import { dimmOfChip, VENDORS, type Vendor, voltageRange } from '../memory/undervolting.ts';
import { formatPercent } from '../results/results.ts';

/** Number formats by their names in the address. */
const FORMATS = {
  'fixed12+2': { kind: 'fixed', bits: 12, headroom: 2 },
  fixed12: { kind: 'fixed', bits: 12 },
  fixed16: { kind: 'fixed', bits: 16 },
  fixed8: { kind: 'fixed', bits: 8 },
  int8: { kind: 'int8' },
  int4: { kind: 'int4' },
  fp16: { kind: 'fp16', nonFinite: 'saturate' },
  bf16: { kind: 'bf16', nonFinite: 'saturate' },
  fp32: { kind: 'fp32', nonFinite: 'saturate' },
} as const;
export const FORMAT_NAMES = Object.keys(FORMATS) as (keyof typeof FORMATS)[];

/** Presets of the command line that are one memory, without a slider; they bring their own format. */
export const NAMED_MEMORIES = PRESETS.filter(({ name }) => !/^(uniform|dram|int|fp|bf|published)/.test(name));

export const MEMORIES = ['uniform', ...VENDORS.map((vendor) => `dram-${vendor}` as const)] as const;

/** Sets of layers of the victim that may lie in approximate memory. */
export const ALL_LAYERS = 'conv1+conv2+conv3+conv4+fc1+fc2';
export const LAYER_SETS = ['fc1+fc2', 'fc1', 'fc2', 'conv1', 'conv2', 'conv3', 'conv4', ALL_LAYERS] as const;

/** What the slider offers: bit error rates 2^-12, 2^-11.5, .. 2^-3. */
export const RATES: readonly number[] = Array.from({ length: 19 }, (_, i) => 2 ** (-12 + i / 2));

/** Supply voltages, 1.35 V (nominal) and down by 25 mV. */
const VOLTAGES: readonly number[] = Array.from({ length: 14 }, (_, i) => Number((1.35 - 0.025 * i).toFixed(3)));

/** What the slider offers of a vendor: voltages down to which every DIMM was measured that a setting draws. */
export function voltsOf(vendor: Vendor, { draw, draws }: Pick<Setting, 'draw' | 'draws'>): number[] {
  const dimms = [draw, ...Array(draws).keys()].map((each) => dimmOfChip(vendor, each));
  const lowest = Math.max(...dimms.map((dimm) => voltageRange(dimm).lowest));
  return VOLTAGES.filter((volts) => volts >= lowest);
}

const integer = (low: number, high: number) => v.pipe(v.number(), v.integer(), v.minValue(low), v.maxValue(high));
const fraction = v.pipe(v.number(), v.minValue(0), v.maxValue(1));

const Setting = v.object({
  /** An error model: `uniform` with a rate, `dram-A`, `-B`, `-C` with a voltage, or a memory of the command line by name. */
  memory: v.pipe(
    v.string(),
    v.check((name) => [...MEMORIES, ...NAMED_MEMORIES.map((each) => each.name)].includes(name), 'no such memory'),
  ),
  rate: fraction,
  volts: v.pipe(v.number(), v.minValue(1), v.maxValue(1.35)),
  format: v.picklist(FORMAT_NAMES),
  layers: v.picklist(LAYER_SETS),
  granularity: v.picklist(GRANULARITIES),
  seed: integer(0, 2 ** 31),
  draw: integer(0, 2 ** 20 - 1),
  side: v.picklist(['held-out', 'training']),
  attacker: v.picklist(['direct', 'clipped']),
  /** Fault maps a condition of the curve. */
  draws: integer(1, 100),
  /** Of MI-Face, the shallow story. */
  model: v.picklist(['softmax', 'mlp']),
  /** Tensor whose fault map is shown. */
  tensor: v.string(),
});
export type Setting = v.InferOutput<typeof Setting>;

export const DEFAULTS: Setting = {
  memory: 'uniform',
  rate: 2 ** -7,
  volts: 1.2,
  format: 'fixed12+2',
  layers: 'fc1+fc2',
  granularity: 'load',
  seed: 1,
  draw: 0,
  side: 'held-out',
  attacker: 'direct',
  draws: 3,
  model: 'mlp',
  tensor: 'fc1.weight',
};

/**
 * The setting that counts where its parts do not go together: a voltage to which all of its DIMMs were measured, a tensor of
 * its layers.
 */
export function settled(setting: Setting): Setting {
  const { memory, volts, layers, tensor } = setting;
  const vendor = vendorOf(memory);
  const members = layers.split('+');
  const [layer, parameter] = tensor.split('.');
  const known = members.includes(layer) && (parameter === 'weight' || parameter === 'bias');
  return {
    ...setting,
    volts: vendor ? Math.max(volts, voltsOf(vendor, setting).at(-1)!) : volts,
    tensor: known ? tensor : `${members[0]}.weight`,
  };
}

/** Whether every part of a setting is in its range. */
export function isSetting(setting: unknown): setting is Setting {
  return v.is(Setting, setting);
}

/** In a few words: `0.78 %, draw 0`. */
export function describe({ memory, rate, volts, draw }: Setting): string {
  const vendor = vendorOf(memory);
  const strength = vendor
    ? `DRAM ${vendor}, ${volts.toFixed(3)} V`
    : memory === 'uniform'
      ? formatPercent(rate)
      : memory;
  return `${strength}, draw ${draw}`;
}

/** Reads an address. @returns the setting, and what was wrong in it and is the default instead: `rate=7` */
export function readSetting(parameters: URLSearchParams): { setting: Setting; wrong: string[] } {
  const setting: Record<string, unknown> = { ...DEFAULTS };
  const wrong: string[] = [];
  for (const [key, text] of parameters) {
    if (!Object.hasOwn(DEFAULTS, key)) continue;
    const name = key as keyof Setting;
    const value = typeof DEFAULTS[name] === 'number' ? (text.trim() === '' ? Number.NaN : Number(text)) : text;
    const parsed = v.safeParse(Setting.entries[name] as v.GenericSchema, value);
    if (parsed.success) setting[name] = parsed.output;
    else wrong.push(`${key}=${text}`);
  }
  return { setting: settled(setting as Setting), wrong };
}

/** The part of an address behind `?`; empty for the defaults. */
export function writeSetting(setting: Setting): string {
  const parameters = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS) as (keyof Setting)[]) {
    if (setting[name] !== DEFAULTS[name]) parameters.set(name, String(setting[name]));
  }
  return parameters.toString();
}

/** The vendor whose DIMMs a memory is. */
export function vendorOf(memory: string): Vendor | undefined {
  return VENDORS.find((vendor) => memory === `dram-${vendor}`);
}

/** A sweep of a set of layers; `members` are those that a memory of all layers with products is kept to, all by default. */
function sweepOf(setting: Setting, what: 'one' | 'curve', layers: string, members?: readonly string[]): SweepConfig {
  const { memory, rate, volts, granularity, draws, seed } = setting;
  const curve = what === 'curve';
  const vendor = vendorOf(memory);
  const uniform = memory === 'uniform';
  const memories = vendor
    ? voltageMemories(vendor, curve ? voltsOf(vendor, setting) : [volts], FORMATS[setting.format])
    : uniform
      ? []
      : [{ name: memory, setting: memory, memory: findPreset(memory).memory }];
  const kept = (each: NamedMemory): NamedMemory => {
    if (!members) return each;
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
    memories: memories.map(kept),
    draws,
    noise: { kinds: curve && uniform ? ['gaussian'] : [], sets: [layers], matched: layers, moments: false },
    seed,
  };
}

/** The sweep of one condition, or of the whole curve that it lies on. */
export function sweepOfSetting(setting: Setting, what: 'one' | 'curve'): SweepConfig {
  return sweepOf(setting, what, setting.layers, layersOfSet(setting.layers, ALL_LAYERS.split('+')));
}

/** The same memory under every layer of the shallow model. */
export function shallowSweepOfSetting(setting: Setting): SweepConfig {
  return sweepOf(setting, 'one', 'all');
}

/** Settings of one key share their rows: they differ in how strong the error is, and in what is looked at. */
export function sweepKey({ memory, format, layers, granularity, seed, draws }: Setting): string {
  return JSON.stringify([memory, format, layers, granularity, seed, draws]);
}
