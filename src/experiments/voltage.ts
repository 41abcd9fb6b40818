/** The conditions of a sweep over supply voltage. */
import * as v from 'valibot';
import { NamedMemories, type NumberFormat } from '../memory/config.ts';
import { isMeasuredVoltage, type Vendor } from '../memory/undervolting.ts';
import type { NamedMemory } from './config.ts';

type StoredFormat = v.InferInput<typeof NumberFormat>;

/**
 * One condition per voltage, whose name says so where no DIMM of the vendor was measured at that voltage. Every draw is another
 * DIMM of the vendor, in the order of their numbers.
 */
export function voltageMemories(
  vendor: Vendor,
  volts: readonly number[],
  format: StoredFormat = { kind: 'fixed' },
): NamedMemory[] {
  const memories = volts.map((each) => ({
    name: `DRAM ${vendor}, ${each.toFixed(3)} V${isMeasuredVoltage(vendor, each) ? '' : ' (interpolated)'}`,
    setting: `DRAM ${vendor}`,
    volts: each,
    memory: {
      seed: 1,
      chip: 0,
      granularity: 'chip',
      layers: { '*': { kind: 'stored', format, faults: [{ kind: 'voltage', vendor, volts: each }] } },
    },
  }));
  return v.parse(NamedMemories, memories);
}
