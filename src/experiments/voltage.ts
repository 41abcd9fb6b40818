/** The conditions of a sweep over measured memories: supply voltages, and timings of early reads. */
import * as v from 'valibot';
import { NamedMemories, type NumberFormat } from '../memory/config.ts';
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
 * in the order of their numbers, unless one is named. A name says so where nothing was measured at its voltage.
 * @param badBits bit error rates in bad rows or lines; undefined is the default of the fault models
 * @throws ConfigError for a DIMM that was not measured at a voltage
 */
export function measuredVoltageMemories(
  { vendor, dimm, volts }: AskedVoltages,
  format: StoredFormat = { kind: 'fixed' },
  badBits: readonly (number | undefined)[] = [undefined],
): NamedMemory[] {
  const memories = badBits.flatMap((bitErrorRate) =>
    volts.map((each) => {
      const given = bitErrorRate === undefined ? {} : { bitErrorRate };
      const [what, fault, interpolated] =
        vendor === 'C'
          ? ([
              ' rows',
              { kind: 'rows', volts: each, ...(dimm !== undefined && { dimm }), ...given },
              dimm === undefined
                ? rowMapsAt(each, '--voltages').every((map) => map.interpolated)
                : rowMapOfChip({ volts: each, dimm }, 0, '--voltages').interpolated,
            ] as const)
          : ([
              '',
              { kind: 'voltage', vendor, volts: each, ...(dimm !== undefined && { dimm: dimmNumber(dimm) }), ...given },
              !isMeasuredVoltage(vendor, each),
            ] as const);
      const setting = `DRAM ${dimm ?? vendor}${what}${bitErrorRate === undefined ? '' : `, ${bitErrorRate} of their bits`}`;
      const name = `${setting}, ${each.toFixed(3)} V${interpolated ? ' (interpolated)' : ''}`;
      return chipMemory(fault, format, { name, setting, volts: each });
    }),
  );
  return v.parse(NamedMemories, memories);
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
