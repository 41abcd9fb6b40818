/** The conditions of a sweep over measured memories: supply voltages, and timings of early reads. */
import * as v from 'valibot';
import { NamedMemories, type NumberFormat } from '../memory/config.ts';
import { ASSUMED_RATE } from '../memory/faults/clustered.ts';
import { latencyRates, type Timing, timingName } from '../memory/latency.ts';
import { rowMapOfChip, rowMapsAt } from '../memory/row_maps.ts';
import { dimmNumber, isMeasuredVoltage, type Vendor } from '../memory/undervolting.ts';
import type { NamedMemory } from './config.ts';

type StoredFormat = v.InferInput<typeof NumberFormat>;

/** DIMMs and supply voltages: all DIMMs of a vendor, or the named one. */
export interface AskedVoltages {
  readonly vendor: Vendor;
  readonly dimm?: string;
  readonly volts: readonly number[];
}

/** DIMMs and timings in nanoseconds of early reads: all DIMMs of a vendor, or the named one. */
export interface AskedLatency {
  readonly vendor: Vendor;
  readonly dimm?: string;
  readonly timing: keyof Timing;
  readonly nanoseconds: readonly number[];
}

/** A memory of which every draw is another chip. */
function chipMemory(
  fault: object,
  format: StoredFormat,
  { name, setting, volts }: { name: string; setting: string; volts?: number },
) {
  const memory = {
    seed: 1,
    chip: 0,
    granularity: 'chip',
    layers: { '*': { kind: 'stored', format, faults: [fault] } },
  };
  return { name, setting, ...(volts !== undefined && { volts }), memory };
}

/**
 * One condition per voltage and bit error rate in bad rows or lines: rows as they were measured on DIMMs of vendor C, and cache
 * lines on DIMMs of vendors A and B, where it was not measured in which rows they lie. Every draw is another DIMM of the vendor,
 * in the order of their numbers, unless one is named. Names have the assumed rate, and how many of the DIMMs were not measured at a
 * voltage.
 * @param badBits bit error rates in bad rows or lines, which nobody measured
 * @throws ConfigError for a DIMM that was not measured at a voltage
 */
export function measuredVoltageMemories(
  { vendor, dimm, volts }: AskedVoltages,
  format: StoredFormat = { kind: 'fixed' },
  badBits: readonly number[] = [ASSUMED_RATE],
): NamedMemory[] {
  const memories = badBits.flatMap((bitErrorRate) =>
    volts.map((each) => {
      const isMapped = vendor === 'C';
      const fault = isMapped
        ? { kind: 'rows', volts: each, ...(dimm !== undefined && { dimm }), bitErrorRate }
        : { kind: 'voltage', vendor, volts: each, ...(dimm !== undefined && { dimm: dimmNumber(dimm) }), bitErrorRate };
      const percent = Number((100 * bitErrorRate).toPrecision(3));
      const setting = `DRAM ${dimm ?? vendor}, bad ${isMapped ? 'rows' : 'lines'} at ${percent} % (assumed)`;
      const between = isMapped
        ? interpolatedMaps(each, dimm)
        : isMeasuredVoltage(vendor, each)
          ? ''
          : ' (interpolated)';
      return chipMemory(fault, format, { name: `${setting}, ${each.toFixed(3)} V${between}`, setting, volts: each });
    }),
  );
  return v.parse(NamedMemories, memories);
}

/** Says how many of the DIMMs, or if the named one, were not measured at a voltage; empty if all were. */
function interpolatedMaps(volts: number, dimm: string | undefined): string {
  const maps = dimm === undefined ? rowMapsAt(volts, '--voltages') : [rowMapOfChip({ volts, dimm }, 0, '--voltages')];
  const count = maps.filter((map) => map.interpolated).length;
  if (count === 0) return '';
  return count === maps.length ? ' (interpolated)' : ` (${count} of ${maps.length} interpolated)`;
}

/**
 * One condition per timing, of which every draw is another DIMM of the vendor, or another chip like the named DIMM.
 * @throws ConfigError for a DIMM that was not measured at a timing
 */
export function latencyMemories(
  { vendor, dimm, timing, nanoseconds }: AskedLatency,
  format: StoredFormat = { kind: 'fixed' },
): NamedMemory[] {
  const memories = nanoseconds.map((each) => {
    latencyRates(vendor, { [timing]: each }, dimm, '--latency');
    const setting = `DRAM ${dimm ?? vendor} read early`;
    const fault = { kind: 'latency', vendor, [timing]: each, ...(dimm !== undefined && { dimm }) };
    return chipMemory(fault, format, { name: `${setting}, ${timingName({ [timing]: each })}`, setting });
  });
  return v.parse(NamedMemories, memories);
}
