/**
 * The choices of a visitor as parameters of the page's address: `?memory=dram-C&volts=1.2&draw=3`. A parameter that is
 * absent has its default, so the address holds only the differences. The same address gives the same numbers.
 */
import * as v from 'valibot';
import type { SweepConfig, VictimKind } from '../experiments/config.ts';
import { dimmOfChip, VENDORS, type Vendor, voltageRange } from '../memory/undervolting.ts';
import { formatPercent, releaseLabel } from '../results/results.ts';
import {
  BAD_LINE_RATE,
  GRANULARITIES,
  KNOWN_ROWS,
  NAMED_MEMORIES,
  PERSON_ATTACKS,
  RELEASES,
  VICTIM_KINDS,
  VOLTAGES,
} from './choices.ts';
import { RATES } from './rates.ts';

/** Number formats by their names in the address. */
export const FORMATS = {
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

export const MEMORIES = ['uniform', ...VENDORS.map((vendor) => `dram-${vendor}` as const)] as const;

/** All layers with weights of the convolutional victim. */
export const ALL_LAYERS = 'conv1+conv2+conv3+conv4+fc1+fc2';
/** Sets of layers of any victim that may be in approximate memory. */
const LAYER_SETS = [
  'fc1+fc2',
  'fc1',
  'fc2',
  'conv1',
  'conv2',
  'conv3',
  'conv4',
  ALL_LAYERS,
  'fc1+fc2+fc3',
  'fc3',
] as const;
type LayerSet = (typeof LAYER_SETS)[number];

/** Sets of layers of each kind of victim; the first is the default. */
const SETS_OF_VICTIM: Readonly<Record<VictimKind, readonly LayerSet[]>> = {
  softmax: ['fc1'],
  mlp: ['fc1+fc2', 'fc1', 'fc2'],
  'mlp-sigmoid': ['fc1+fc2', 'fc1', 'fc2'],
  dae: ['fc1+fc2+fc3', 'fc1', 'fc2', 'fc3'],
  yang: ['fc1+fc2', 'fc1', 'fc2', 'conv1', 'conv2', 'conv3', 'conv4', ALL_LAYERS],
};

/** Sets of layers that a victim of this kind may have in approximate memory. */
export function layerSetsOf(victim: VictimKind): readonly LayerSet[] {
  return SETS_OF_VICTIM[victim];
}

export { RATES };

/**
 * The voltages that the slider offers for a vendor: for C those at which the rows of a DIMM are known, for A and B those down to
 * which every DIMM that a setting draws was measured.
 */
export function voltsOf(vendor: Vendor, { draw, draws }: Pick<Setting, 'draw' | 'draws'>): number[] {
  if (vendor === 'C') return KNOWN_ROWS.map(({ volts }) => volts);
  const dimms = [draw, ...Array(draws).keys()].map((each) => dimmOfChip(vendor, each));
  const lowest = Math.max(...dimms.map((dimm) => voltageRange(dimm).lowest));
  return VOLTAGES.filter((volts) => volts >= lowest);
}

/** The DIMM that a setting draws, and in one sentence each what was measured of it and what is assumed. */
export interface DrawnDimm {
  readonly name: string;
  readonly measured: string;
  readonly assumed: string;
}

/** @returns undefined for a memory that does not consist of measured DIMMs */
export function dimmOf({ memory, volts, draw }: Pick<Setting, 'memory' | 'volts' | 'draw'>): DrawnDimm | undefined {
  const vendor = vendorOf(memory);
  if (!vendor) return undefined;
  const share = formatPercent(BAD_LINE_RATE);
  const at = (interpolated: boolean) =>
    ` at ${volts.toFixed(3)} V${interpolated ? ', interpolated between two measured voltages' : ''}`;
  if (vendor === 'C') {
    const { dimms } = KNOWN_ROWS.find((known) => known.volts === volts)!;
    const { dimm, interpolated } = dimms[draw % dimms.length];
    return {
      name: dimm,
      measured: `Measured: which rows of DIMM ${dimm} have errors${at(interpolated)}.`,
      assumed: `Assumed: ${share} of the bits of a bad row flip.`,
    };
  }
  const { name, points } = dimmOfChip(vendor, draw);
  return {
    name,
    measured: `Measured: how many cache lines of DIMM ${name} have errors${at(points.every(([point]) => point !== volts))}.`,
    assumed: `Assumed: these lines lie anywhere, and ${share} of their bits flip.`,
  };
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
  /** Fault maps per condition of the curve. */
  draws: integer(1, 100),
  /** The victim whose predictions are inverted, and the one from which people are reconstructed. */
  victim: v.picklist(VICTIM_KINDS),
  model: v.picklist(VICTIM_KINDS),
  /** The attack that reconstructs people, by its name in the registry of attacks. */
  attack: v.picklist(PERSON_ATTACKS.map(({ kind }) => kind)),
  /** The change of the confidences that the victim releases. */
  release: v.picklist(RELEASES.map(({ name }) => name)),
  /** Tensor whose fault map is shown. */
  tensor: v.string(),
  /** Index of the face in the machine, among those that are shown. */
  person: integer(0, 9),
});
export type Setting = v.InferOutput<typeof Setting>;

export const DEFAULTS: Setting = {
  memory: 'uniform',
  rate: 2 ** -5,
  volts: 1.2,
  format: 'fixed12+2',
  layers: 'fc1+fc2',
  granularity: 'load',
  seed: 1,
  draw: 0,
  side: 'held-out',
  attacker: 'direct',
  draws: 3,
  victim: 'yang',
  model: 'mlp',
  attack: 'mi-face',
  release: 'exact',
  tensor: 'fc1.weight',
  person: 1,
};

/**
 * Replaces parts of a setting that do not go together: the result has layers of its victim, the next voltage of the slider, down to
 * which all of its DIMMs were measured, and a tensor of its layers.
 */
export function normalised(setting: Setting): Setting {
  const { memory, volts, tensor, victim } = setting;
  const sets = layerSetsOf(victim);
  const layers = sets.find((set) => set === setting.layers) ?? sets[0];
  const vendor = vendorOf(memory);
  const members = layers.split('+');
  const [layer, parameter] = tensor.split('.');
  const known = members.includes(layer) && (parameter === 'weight' || parameter === 'bias');
  return {
    ...setting,
    layers,
    volts: vendor ? offered(volts, voltsOf(vendor, setting)) : volts,
    tensor: known ? tensor : `${members[0]}.weight`,
  };
}

/** The lowest of falling voltages that is not below another; the lowest of all if all are above. */
function offered(volts: number, voltages: readonly number[]): number {
  return voltages.filter((each) => each >= volts).at(-1)!;
}

/** True if every part of a setting is in its range. */
export function isSetting(setting: unknown): setting is Setting {
  return v.is(Setting, setting);
}

/** The memory of a setting in a few words: `0.78 %`, `DRAM C, 1.150 V`. */
export function describeMemory({ memory, rate, volts, release }: Setting): string {
  const vendor = vendorOf(memory);
  const strength = vendor
    ? `DRAM ${vendor}, ${volts.toFixed(3)} V`
    : memory === 'uniform'
      ? formatPercent(rate)
      : memory;
  return [strength, releaseText(release)].filter((part) => part !== undefined).join(', ');
}

/** The strength of a setting's errors in a sentence: `3.13 % of the bits flip`. Names what the slider shows. */
export function strengthText(setting: Setting): string {
  const { memory, rate, volts } = setting;
  const dimm = dimmOf(setting);
  if (dimm) return `bits flip at a supply voltage of ${voltageText(volts, dimm)}`;
  return memory === 'uniform' ? `${formatPercent(rate)} of the bits flip` : `bits flip as ${memory} describes`;
}

/** `1.150 V, DIMM C3`. */
export function voltageText(volts: number, { name }: DrawnDimm): string {
  return `${volts.toFixed(3)} V, DIMM ${name}`;
}

/** The memory of a setting with the draw: `0.78 %, draw 0`. */
export function describe(setting: Setting): string {
  return `${describeMemory(setting)}, draw ${setting.draw}`;
}

/** Reads an address. @returns the setting, and the invalid parameters that were replaced by defaults: `rate=7` */
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
  return { setting: normalised(setting as Setting), wrong };
}

/** The part of an address after `?`; empty for the defaults. */
export function writeSetting(setting: Setting): string {
  const parameters = new URLSearchParams();
  for (const name of Object.keys(DEFAULTS) as (keyof Setting)[]) {
    if (setting[name] !== DEFAULTS[name]) parameters.set(name, String(setting[name]));
  }
  return parameters.toString();
}

/** The vendor of the DIMMs that a memory consists of; undefined for other memories. */
export function vendorOf(memory: string): Vendor | undefined {
  return VENDORS.find((vendor) => memory === `dram-${vendor}`);
}

function releaseNamed(release: string) {
  return RELEASES.find(({ name }) => name === release)!.releases;
}

/** The change of the released confidences under a setting. */
export function releasesOf({ release }: Pick<Setting, 'release'>): SweepConfig['releases'] {
  return [...releaseNamed(release)];
}

/** `released with rounding (decimals 2)`; undefined if confidences are released unchanged. */
export function releaseText(release: string): string | undefined {
  return releaseLabel(releaseNamed(release)[0]);
}

/** Settings with the same key share their rows: they differ only in the strength of the error and in what is shown. */
export function sweepKey({ memory, format, layers, granularity, seed, draws, victim, release }: Setting): string {
  return JSON.stringify([memory, format, layers, granularity, seed, draws, victim, release]);
}
