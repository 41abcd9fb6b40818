/** A sweep over supply voltage: its conditions, and what they did, as the figure wants it. */
import type * as v from 'valibot';
import type { NumberFormat } from '../memory/config.ts';
import { dimmOfChip, lineErrorRate, VENDORS, type Vendor } from '../memory/undervolting.ts';
import type { VoltagePoint, VoltageSeries } from '../results/figures/voltage.ts';
import { type Condition, conditionKey, type Results } from '../results/results.ts';
import type { NamedMemory } from './sweep.ts';

type StoredFormat = v.InferInput<typeof NumberFormat>;

/** One condition a voltage: every draw is another DIMM of the vendor, in the order of their numbers. */
export function voltageMemories(
  vendor: Vendor,
  volts: readonly number[],
  format: StoredFormat = { kind: 'fixed' },
): NamedMemory[] {
  return volts.map((each) => ({
    name: `DRAM ${vendor}, ${each.toFixed(3)} V`,
    setting: `DRAM ${vendor}`,
    volts: each,
    memory: {
      seed: 1,
      chip: 0,
      granularity: 'chip',
      layers: { '*': { kind: 'stored', format, faults: [{ kind: 'voltage', vendor, volts: each }] } },
    },
  }));
}

/** The vendor of a condition that {@link voltageMemories} made. */
function vendorOf(condition: Condition): Vendor | undefined {
  if (condition.kind !== 'memory' || typeof condition.volts !== 'number') return undefined;
  if (condition.granularity !== 'chip') return undefined;
  return VENDORS.find((vendor) => condition.setting === `DRAM ${vendor}`);
}

/** A sweep over voltage as series of points, a series an attack; empty where there was none. */
export function voltageSeries({ rows, summary }: Pick<Results, 'rows' | 'summary'>): VoltageSeries[] {
  const series = new Map<string, VoltagePoint[]>();
  for (const { condition, attack, draws, accuracy, pcc, pccLift } of summary) {
    const vendor = vendorOf(condition);
    if (vendor === undefined) continue;
    const volts = condition.volts as number;
    // Every draw is a specimen, as voltageMemories has it; reads cost the same in all of them.
    const lines = Array.from({ length: draws }, (_, draw) => lineErrorRate(dimmOfChip(vendor, draw), volts));
    const key = conditionKey(condition);
    const row = rows.find((each) => conditionKey(each.condition) === key);
    const badLines = lines.reduce((sum, share) => sum + share, 0) / draws;
    const energy = row?.energy?.relative ?? Number.NaN;
    series.set(attack, [...(series.get(attack) ?? []), { volts, accuracy, pcc, pccLift, energy, badLines }]);
  }
  return [...series].map(([name, points]) => ({ name, points }));
}
