/** A sweep over supply voltage: its conditions, and what they did, as the figure wants it. */
import type * as v from 'valibot';
import type { NumberFormat } from '../memory/config.ts';
import { dimmOfChip, lineErrorRate, type Vendor } from '../memory/undervolting.ts';
import { bootstrapInterval } from '../metrics/bootstrap.ts';
import type { VoltageSeries } from './figures/voltage.ts';
import type { Interval, Row } from './results.ts';
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
function vendorOf(condition: Row['condition']): Vendor | undefined {
  if (condition.kind !== 'memory' || typeof condition.volts !== 'number') return undefined;
  if (condition.granularity !== 'chip') return undefined;
  return /^DRAM ([ABC])$/.exec(String(condition.setting))?.[1] as Vendor | undefined;
}

/**
 * The rows of a sweep over voltage as series of points, a series an attack; empty where there was none. Intervals are 95 %
 * by bootstrap over draws (DIMMs) and people.
 */
export function voltageSeries(rows: readonly Row[], seed: number): VoltageSeries[] {
  const attacks = [...new Set(rows.map(({ attack }) => attack))];
  return attacks
    .map((name) => {
      const own = rows.filter(({ attack, condition }) => attack === name && vendorOf(condition) !== undefined);
      const voltages = [...new Set(own.map(({ condition }) => condition.volts as number))].sort((a, b) => b - a);
      const points = voltages.map((volts) => {
        const draws = own.filter(({ condition }) => condition.volts === volts).sort((a, b) => a.draw - b.draw);
        const interval = (values: number[][]): Interval => {
          const { mean, ci95 } = bootstrapInterval(values, { seed });
          return { mean, ci95: [ci95[0], ci95[1]] };
        };
        // Every draw is a specimen, as voltageMemories has it.
        const badLines = draws.map(({ draw, condition }) =>
          lineErrorRate(dimmOfChip(vendorOf(condition)!, draw), volts),
        );
        return {
          volts,
          accuracy: interval(draws.map(({ accuracy }) => [accuracy])),
          pcc: interval(draws.map(({ perIdentity }) => perIdentity.pcc)),
          pccLift: interval(draws.map(({ perIdentity }) => perIdentity.pccLift)),
          energy: draws[0].energy?.relative ?? Number.NaN,
          badLines: badLines.reduce((sum, share) => sum + share, 0) / badLines.length,
        };
      });
      return { name, points };
    })
    .filter(({ points }) => points.length > 0);
}
