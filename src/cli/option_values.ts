/** Parsers of option values. Each throws InvalidArgumentError, which commander prints with the name of the option. */
import { InvalidArgumentError } from 'commander';
import type { ConfigError } from '../errors.ts';
import type { AskedLatency, AskedVoltages } from '../experiments/voltage.ts';
import { RESERVED_KEYS } from '../formats/json.ts';
import { parseRate } from '../memory/rate_text.ts';
import { VENDORS, type Vendor } from '../memory/undervolting.ts';

/** Parses a whole number. */
export function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('give a whole number.');
  if (!Number.isSafeInteger(Number(text))) throw new InvalidArgumentError('give a whole number below 2^53.');
  return Number(text);
}

/** A path. An empty one, such as that of a shell variable which is not set, would mean the current folder. */
export function filePath(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('give a path; this one is empty.');
  return text;
}

/** {@link parseRate} for an option. */
function rate(text: string): number {
  try {
    return parseRate(text);
  } catch (error) {
    throw new InvalidArgumentError(`${(error as ConfigError).message}.`);
  }
}

/** Parses rates, separated by commas. */
export function rates(text: string): number[] {
  return text.split(',').map(rate);
}

/** Parses `C:1.35,1.25` and `C1:1.35,1.25`: the DIMMs of a vendor or one of them, and supply voltages. */
export function voltages(text: string): AskedVoltages {
  const [, vendor, number, list = ''] = /^([A-Z])(\d*):(.*)$/.exec(text) ?? [];
  const volts = list.split(',').map(Number);
  if (!(VENDORS as readonly string[]).includes(vendor) || !volts.every((each) => each > 0)) {
    throw new InvalidArgumentError(`give a vendor (${VENDORS.join(', ')}), a colon and volts.`);
  }
  return { vendor: vendor as Vendor, ...(number !== '' && { dimm: vendor + number }), volts };
}

/** Parses `B:tRCD=7.5,5`: the vendor of the DIMMs, and times in nanoseconds. */
export function latencies(text: string): AskedLatency {
  const [, vendor, timing, list = ''] = /^([A-Z]):(tRCD|tRP)=(.*)$/.exec(text) ?? [];
  const nanoseconds = list.split(',').map(Number);
  if (!(VENDORS as readonly string[]).includes(vendor) || !nanoseconds.every((each) => each > 0)) {
    throw new InvalidArgumentError(
      `give a vendor (${VENDORS.join(', ')}), a colon, tRCD= or tRP= and nanoseconds, such as B:tRCD=7.5,5.`,
    );
  }
  return { vendor: vendor as Vendor, timing: timing as AskedLatency['timing'], nanoseconds };
}

/** Parses `fc1=0.01,fc2=2^-9` and appends the result to those of earlier uses of the option. */
export function rateMap(text: string, previous: Record<string, number>[] = []): Record<string, number>[] {
  const map = new Map<string, number>();
  for (const part of text.split(',')) {
    const [layer, value = '', ...rest] = part.split('=');
    if (!layer || rest.length > 0) throw new InvalidArgumentError(`"${part}" is not layer=rate.`);
    if (RESERVED_KEYS.includes(layer)) throw new InvalidArgumentError(`no layer is called ${layer}.`);
    if (map.has(layer)) throw new InvalidArgumentError(`the layer ${layer} occurs twice; give it one rate.`);
    map.set(layer, rate(value));
  }
  return [...previous, Object.fromEntries(map)];
}

const list = (text: string) => text.split(',').filter((part) => part !== '');

function refuseRepeated(names: readonly string[]): void {
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated !== undefined) throw new InvalidArgumentError(`${repeated} occurs twice; name it once.`);
}

/** Parses sets of layers, such as `fc1,fc1+fc2,all`. */
export function layerSets(text: string): string[] {
  const sets = list(text);
  for (const names of [sets, ...sets.map((set) => set.split('+'))]) refuseRepeated(names);
  return sets;
}

/** A parser of names, separated by commas, all of which must be `allowed` and differ. */
export const choices =
  (allowed: readonly string[]) =>
  (text: string): string[] => {
    const names = list(text);
    const wrong = names.find((name) => !allowed.includes(name));
    if (wrong !== undefined) throw new InvalidArgumentError(`"${wrong}" is not one of ${allowed.join(', ')}.`);
    refuseRepeated(names);
    return names;
  };

/** Parses `64` or `56x64` into width and height. */
export function imageSize(text: string): { width: number; height: number } {
  const [, width, height = width] = /^(\d+)(?:x(\d+))?$/.exec(text) ?? [];
  if (width === undefined) throw new InvalidArgumentError('give pixels, such as 64 or 56x64.');
  return { width: whole(width), height: whole(height) };
}
