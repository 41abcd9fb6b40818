/**
 * Measured bit error rates of DRAM that is read before the standard allows it, by DIMM, bank and stored value
 * (src/memory/measured/latency_rates.ts names the source).
 */
import { ConfigError } from '../errors.ts';
import { MEASURED_LATENCY } from './measured/latency_rates.ts';
import type { Vendor } from './undervolting.ts';

/** Nanoseconds of the timing that is not reduced. */
const USUAL = 12.5;

/** A reduced timing in nanoseconds: the time from activating a row to reading it (tRCD), or that of closing a row (tRP). */
export interface Timing {
  readonly tRCD?: number;
  readonly tRP?: number;
}

export interface LatencyRates {
  readonly vendor: Vendor;
  readonly dimm: string;
  /** Bit error rates by bank of cells that store 0 and of cells that store 1. */
  readonly zeroToOne: readonly number[];
  readonly oneToZero: readonly number[];
}

/** Number of banks of a measured DIMM. */
export const LATENCY_BANKS = MEASURED_LATENCY[0][4].length;

/** `tRCD 7.5 ns`. */
export function timingName({ tRCD, tRP }: Timing): string {
  return tRCD === undefined ? `tRP ${tRP} ns` : `tRCD ${tRCD} ns`;
}

const isAt = ([, , tRCD, tRP]: (typeof MEASURED_LATENCY)[number], timing: Timing) =>
  tRCD === (timing.tRCD ?? USUAL) && tRP === (timing.tRP ?? USUAL);

const unique = <T>(values: readonly T[]) => [...new Set(values)];

/** The names of the DIMMs of a vendor. */
export function latencyDimms(vendor: Vendor): string[] {
  return unique(MEASURED_LATENCY.filter((row) => row[0] === vendor).map(([, dimm]) => dimm));
}

/** The timings, in rising order, of which every rate of a vendor's DIMMs, or of one of them, is known: `tRCD` or `tRP`. */
export function measuredTimings(vendor: Vendor, name: keyof Timing, dimm?: string): number[] {
  const rows = MEASURED_LATENCY.filter((row) => row[0] === vendor && (dimm === undefined || row[1] === dimm));
  const own = rows.filter((row) => (name === 'tRCD' ? row[3] : row[2]) === USUAL);
  return unique(own.map((row) => (name === 'tRCD' ? row[2] : row[3]))).sort((a, b) => a - b);
}

/**
 * The rates of the DIMMs of a vendor that were measured at a timing, in the order of the table; of one DIMM if it is named.
 * @param where path of the timing in error messages
 * @throws ConfigError if there is none: rates change by orders of magnitude from timing to timing and are not interpolated
 */
export function latencyRates(vendor: Vendor, timing: Timing, dimm?: string, where = 'latency'): LatencyRates[] {
  const dimms = latencyDimms(vendor);
  if (dimm !== undefined && !dimms.includes(dimm)) {
    throw new ConfigError(`${where}: vendor ${vendor} has no DIMM ${dimm}; measured were ${dimms.join(', ')}`);
  }
  const found = MEASURED_LATENCY.filter(
    (row) => row[0] === vendor && (dimm === undefined || row[1] === dimm) && isAt(row, timing),
  );
  if (found.length === 0) {
    const name = timing.tRCD === undefined ? 'tRP' : 'tRCD';
    throw new ConfigError(
      `${where}: ${dimm === undefined ? `no DIMM of vendor ${vendor}` : `DIMM ${dimm}`} was measured at ` +
        `${timingName(timing)}, only at ${name} ${measuredTimings(vendor, name, dimm).join(', ')} ns`,
    );
  }
  return found.map(([, name, , , zeroToOne, oneToZero]) => ({ vendor, dimm: name, zeroToOne, oneToZero }));
}
