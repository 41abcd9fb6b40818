/**
 * Measured maps of undervolted DRAM: the share of rows with errors in bins of neighbouring rows of every bank, by DIMM of
 * vendor C and supply voltage (src/memory/measured/row_maps.ts names the source). Errors take whole banks and bands of rows
 * first, and a row that fails at one voltage fails at every lower one.
 */
import { ConfigError } from '../errors.ts';
import { MEASURED_ROWS } from './measured/row_maps.ts';
import { type Dimm, dimmOfName, lineErrorRate, voltageRange } from './undervolting.ts';

/** The DIMMs that have maps, in the order of their numbers. */
export const MAPPED_DIMMS = [...new Set(MEASURED_ROWS.map(({ dimm }) => dimm))];

export interface RowMap {
  readonly dimm: string;
  readonly volts: number;
  /** True if the map lies between measured ones. */
  readonly interpolated: boolean;
  /** Share of rows with errors, 0..1, by bank and bin. */
  readonly shares: readonly (readonly number[])[];
}

const MAPS: readonly RowMap[] = MEASURED_ROWS.map(({ dimm, volts, banks }) => ({
  dimm,
  volts,
  interpolated: false,
  shares: banks.map((text) => (text.match(/../g) ?? []).map((digits) => Number.parseInt(digits, 16) / 100)),
}));

/** Number of banks of a measured DIMM, and of bins of rows in each. */
export const MAPPED_BANKS = MAPS[0].shares.length;
export const ROW_BINS = MAPS[0].shares[0].length;

/** The bin of a row. @param rows number of rows of a bank */
export function binOfRow(row: number, rows: number): number {
  return Math.floor((row * ROW_BINS) / rows);
}

/** The maps of a DIMM in falling voltage, with empty ones where not a single line of it had errors. */
function mapsOf(dimm: Dimm): RowMap[] {
  const empty = dimm.points
    .filter(([, percent]) => percent === 0)
    .map(([volts]) => ({
      dimm: dimm.name,
      volts,
      interpolated: false,
      shares: Array.from({ length: MAPPED_BANKS }, () => new Array<number>(ROW_BINS).fill(0)),
    }));
  const maps = [...empty, ...MAPS.filter((map) => map.dimm === dimm.name)];
  return maps.sort((a, b) => b.volts - a.volts);
}

/** The voltages at which the rows of a DIMM were measured, falling. @throws ConfigError for a DIMM without maps */
export function mappedVoltages(name: string, where = 'dimm'): number[] {
  if (!MAPPED_DIMMS.includes(name)) {
    throw new ConfigError(
      `${where}: the rows of DIMM ${name} were not measured; measured were those of ${MAPPED_DIMMS.join(', ')}`,
    );
  }
  return mapsOf(dimmOfName(name)).map(({ volts }) => volts);
}

/**
 * The map of a DIMM at a supply voltage. Between two measured maps every bin moves from one to the other as the measured share
 * of lines with errors of that DIMM does (src/memory/undervolting.ts), so that maps of all voltages are nested.
 * @param where name of the voltage in error messages
 * @throws ConfigError outside the measured voltages, and between two of them where no share of lines was measured
 */
export function rowMapOf(name: string, volts: number, where = 'volts'): RowMap {
  const voltages = mappedVoltages(name, where);
  const dimm = dimmOfName(name);
  const maps = mapsOf(dimm);
  const measured = `rows of DIMM ${name} were measured at ${voltages.join(', ')} V`;
  const below = maps.findIndex((map) => map.volts <= volts);
  const lower = maps[below];
  if (lower?.volts === volts) return lower;
  if (below <= 0) throw new ConfigError(`${where}: ${measured}, not at ${volts} V; nothing is extrapolated`);
  if (lower.volts < voltageRange(dimm).lowest) {
    throw new ConfigError(
      `${where}: ${measured}, not at ${volts} V, and its share of bad lines was not measured around ${volts} V, so that ` +
        'nothing can be interpolated; give one of these voltages',
    );
  }
  const upper = maps[below - 1];
  const [from, to] = [lineErrorRate(dimm, upper.volts), lineErrorRate(dimm, lower.volts)];
  const part = to === from ? 0 : (lineErrorRate(dimm, volts) - from) / (to - from);
  // Without min, rounding could exceed the map below, and maps would not be nested.
  const between = (above: number, share: number) => Math.min(share, above + (share - above) * part);
  const shares = lower.shares.map((bank, i) => bank.map((share, bin) => between(upper.shares[i][bin], share)));
  return { dimm: name, volts, interpolated: true, shares };
}

/** The maps of all DIMMs whose rows are known at a voltage, measured or interpolated, in the order of their numbers; may be none. */
export function rowMapsKnownAt(volts: number): RowMap[] {
  return MAPPED_DIMMS.flatMap((name) => {
    try {
      return [rowMapOf(name, volts)];
    } catch (error) {
      if (error instanceof ConfigError) return [];
      throw error;
    }
  });
}

/** The same maps. @throws ConfigError if there is none */
export function rowMapsAt(volts: number, where = 'volts'): RowMap[] {
  const found = rowMapsKnownAt(volts);
  if (found.length > 0) return found;
  const all = [...new Set(MAPPED_DIMMS.flatMap((name) => mappedVoltages(name)))].sort((a, b) => b - a);
  throw new ConfigError(`${where}: no DIMM has a map of its rows at ${volts} V; maps are of ${all.join(', ')} V`);
}

/** The map of a chip: that of the named DIMM, or of DIMM number `chip`, modulo their count, among those known at the voltage. */
export function rowMapOfChip(
  { volts, dimm }: { readonly volts: number; readonly dimm?: string },
  chip: number,
  where = 'volts',
): RowMap {
  if (dimm !== undefined) return rowMapOf(dimm, volts, where);
  const maps = rowMapsAt(volts, where);
  return maps[chip % maps.length];
}

/** Mean share of bad rows of a map, 0..1. */
export function badRows({ shares }: RowMap): number {
  const all = shares.flat();
  return all.reduce((sum, share) => sum + share, 0) / all.length;
}
