/**
 * Measured errors of undervolted DRAM: the share of cache lines that show errors at a supply voltage.
 *
 * K. K. Chang et al., "Understanding Reduced-Voltage Operation in Modern DRAM Devices", SIGMETRICS 2017: DDR3L DIMMs of
 * three vendors, nominal 1.35 V, read at reduced voltage. The table is characterization_results/
 * dimm_faulty_cachelines_out.csv of github.com/CMU-SAFARI/DRAM-Voltage-Study, every row of it; it has no DIMM B6.
 */

import { ConfigError } from '../errors.ts';

export const VENDORS = ['A', 'B', 'C'] as const;
export type Vendor = (typeof VENDORS)[number];

/** One measured DIMM. */
export interface Dimm {
  readonly vendor: Vendor;
  readonly name: string;
  /** Measured points in falling voltage: volts, per cent of 64-byte cache lines with at least one flipped bit. */
  readonly points: readonly (readonly [volts: number, percent: number])[];
}

// biome-ignore format: a table
const DIMMS: readonly Dimm[] = [
  { vendor: 'A', name: 'A1', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.175, 0], [1.15, 0], [1.125, 0], [1.1, 0.0986963510513]] },
  { vendor: 'A', name: 'A2', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.175, 0], [1.15, 0], [1.125, 0], [1.1, 0.00033974647522]] },
  { vendor: 'A', name: 'A3', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.175, 0], [1.15, 0], [1.125, 3.60795557499]] },
  { vendor: 'A', name: 'A4', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 81.877836585]] },
  { vendor: 'A', name: 'A5', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 1.19209289551e-5]] },
  { vendor: 'A', name: 'A6', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 8.94893407822]] },
  { vendor: 'A', name: 'A7', points: [[1.35, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 89.6379262209]] },
  { vendor: 'A', name: 'A8', points: [[1.35, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 13.5356396437]] },
  { vendor: 'A', name: 'A9', points: [[1.35, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 0]] },
  { vendor: 'A', name: 'A10', points: [[1.35, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 68.8074558973]] },
  { vendor: 'B', name: 'B1', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.175, 0], [1.15, 0], [1.125, 0], [1.1, 0],
    [1.075, 0.000137090682983], [1.05, 0.00457763671875], [1.025, 0.0037282705307]] },
  { vendor: 'B', name: 'B2', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.175, 0], [1.15, 0], [1.125, 2.98023223877e-6],
    [1.1, 0.00101625919342], [1.075, 0.00474452972412], [1.05, 0.222727656364]] },
  { vendor: 'B', name: 'B3', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 0], [1.175, 0], [1.15, 0], [1.125, 0], [1.1, 0],
    [1.075, 0.000366568565369], [1.05, 0.00772774219513]] },
  { vendor: 'B', name: 'B4', points: [
    [1.35, 0], [1.2, 0], [1.15, 0], [1.1, 0], [1.075, 8.94069671631e-6], [1.05, 0.0272065401077]] },
  { vendor: 'B', name: 'B5', points: [
    [1.35, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 0.000634789466858], [1.075, 0.165989995003]] },
  { vendor: 'B', name: 'B7', points: [
    [1.35, 0], [1.2, 0], [1.15, 0], [1.1, 0], [1.075, 0.00561773777008], [1.05, 0.131186842918],
    [1.025, 56.378608942]] },
  { vendor: 'B', name: 'B8', points: [
    [1.35, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 2.98023223877e-6], [1.075, 2.98023223877e-6],
    [1.05, 0.00301599502563], [1.025, 1.81890428066]] },
  { vendor: 'B', name: 'B9', points: [
    [1.35, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 2.98023223877e-6], [1.075, 6.85453414917e-5],
    [1.05, 0.0247091054916], [1.025, 20.1070934534]] },
  { vendor: 'B', name: 'B10', points: [
    [1.35, 0], [1.2, 0], [1.15, 0], [1.125, 0], [1.1, 0.000128149986267], [1.075, 0.0300258398056],
    [1.05, 31.9610863924]] },
  { vendor: 'B', name: 'B11', points: [
    [1.35, 0], [1.2, 0], [1.15, 0], [1.1, 0], [1.075, 0.000298023223877], [1.05, 0.0646144151688]] },
  { vendor: 'B', name: 'B12', points: [[1.35, 0], [1.2, 0], [1.15, 0], [1.1, 0], [1.075, 4.76837158203e-5]] },
  { vendor: 'C', name: 'C1', points: [
    [1.35, 0], [1.3, 0], [1.25, 12.4352931976], [1.2, 29.1091352701], [1.175, 42.9434895515],
    [1.15, 49.6845394373], [1.125, 50], [1.1, 50.0252306461]] },
  { vendor: 'C', name: 'C2', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 15.8684074879], [1.175, 26.4041215181], [1.15, 41.138330102],
    [1.125, 49.2102921009], [1.1, 50]] },
  { vendor: 'C', name: 'C3', points: [
    [1.35, 0], [1.3, 0], [1.25, 0.00839233398438], [1.2, 12.5053405762], [1.175, 20.5743014812],
    [1.15, 35.4672461748], [1.125, 45.509275794], [1.1, 50.0007629395]] },
  { vendor: 'C', name: 'C4', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 4.50342297554], [1.175, 11.8543118238], [1.15, 16.3074791431],
    [1.125, 35.9450638294], [1.1, 49.6214002371]] },
  { vendor: 'C', name: 'C5', points: [
    [1.35, 0], [1.3, 0], [1.25, 0.0213623046875], [1.2, 32.683840394], [1.175, 46.664300561], [1.15, 50],
    [1.125, 50.0070095062], [1.1, 50]] },
  { vendor: 'C', name: 'C6', points: [
    [1.35, 0], [1.3, 0], [1.25, 7.95214772224], [1.2, 49.1589695215], [1.175, 49.8336791992], [1.1, 50]] },
  { vendor: 'C', name: 'C7', points: [[1.35, 0], [1.3, 0], [1.25, 8.98290574551], [1.2, 17.4591362476]] },
  { vendor: 'C', name: 'C8', points: [
    [1.35, 0], [1.3, 0], [1.25, 0], [1.2, 20.0037121773], [1.175, 41.6422396898], [1.15, 49.8891234398],
    [1.125, 50]] },
  { vendor: 'C', name: 'C9', points: [
    [1.35, 0], [1.3, 0], [1.25, 24.8842686415], [1.2, 49.2010593414], [1.175, 50.0003814697], [1.15, 50],
    [1.1, 50]] },
];

/** One line of a 2 GiB DIMM of 64-byte lines: the smallest share that can be measured, 2.98e-6 per cent. */
const DETECTION_FLOOR = 2 ** -25;

/**
 * The DIMM of a chip number: number `chip` modulo their count among the vendor's DIMMs, in the order A1, A2, A3, ...
 * @param chip integer in 0..2^32-1
 * @throws ConfigError for any other number
 */
export function dimmOfChip(vendor: Vendor, chip: number): Dimm {
  if (chip !== chip >>> 0) throw new ConfigError(`chip: ${chip} is not an integer in 0..2^32-1; give a whole number`);
  const population = DIMMS.filter((dimm) => dimm.vendor === vendor);
  return population[chip % population.length];
}

/** The DIMM of a name, such as C1. @throws ConfigError for another name */
export function dimmOfName(name: string, where = 'dimm'): Dimm {
  const found = DIMMS.find((dimm) => dimm.name === name);
  if (found) return found;
  throw new ConfigError(
    `${where}: no DIMM ${name} was measured; there are ${DIMMS.map((dimm) => dimm.name).join(', ')}`,
  );
}

/** The number of a DIMM among those of its vendor, from 0. @throws ConfigError for an unknown name */
export function dimmNumber(name: string, where = 'dimm'): number {
  const { vendor } = dimmOfName(name, where);
  return DIMMS.filter((dimm) => dimm.vendor === vendor).findIndex((dimm) => dimm.name === name);
}

/** True if a DIMM of the vendor was measured at this voltage; between such voltages shares of bad lines are interpolated. */
export function isMeasuredVoltage(vendor: Vendor, volts: number): boolean {
  return DIMMS.some((dimm) => dimm.vendor === vendor && dimm.points.some(([measured]) => measured === volts));
}

/** Lowest and highest voltage measured on a DIMM, volts. The highest is the nominal 1.35 V for every DIMM. */
export function voltageRange(dimm: Dimm): { lowest: number; highest: number } {
  return { lowest: dimm.points[dimm.points.length - 1][0], highest: dimm.points[0][0] };
}

/**
 * Share of cache lines, 0..1, with at least one flipped bit at a supply voltage.
 *
 * Measured points are returned exactly, with one exception: the curve never falls as the voltage falls, so that fault
 * maps are nested across voltage. Where the measurement itself falls (B1 below 1.05 V by a fifth; C5 below 1.125 V and
 * C9 below 1.175 V, saturated at 50 per cent, by less than 0.01 points) the running maximum is used. Between points the
 * logarithm of the share is linear in volts. A measured zero means less than one line of the DIMM: the share is exactly
 * 0 at and above the lowest zero, and starts just below it at 2^-25, one line.
 *
 * Between points the last digit may differ between JavaScript engines, as that of Math.log and Math.exp does: use the
 * result for thresholds only.
 * @param volts within `voltageRange`
 * @param where name of the voltage in error messages
 * @throws ConfigError outside that range: nothing is extrapolated
 */
export function lineErrorRate(dimm: Dimm, volts: number, where = 'volts'): number {
  const { lowest, highest } = voltageRange(dimm);
  if (!(volts >= lowest && volts <= highest)) {
    throw new ConfigError(
      `${where}: ${volts} V is outside ${lowest}..${highest} V, where DIMM ${dimm.name} was measured; ` +
        'measurements are not extrapolated',
    );
  }
  const highestOf = (count: number) => Math.max(0, ...dimm.points.slice(0, count).map(([, percent]) => percent / 100));
  const below = dimm.points.findIndex(([point]) => point <= volts);
  const lower = dimm.points[below][0];
  const rate = highestOf(below + 1);
  if (volts === lower || rate === 0) return rate;
  const upper = dimm.points[below - 1][0];
  const from = Math.max(highestOf(below), DETECTION_FLOOR);
  // Without min, rounding could exceed the value at the point below, and the curve would fall there.
  return Math.min(rate, from * Math.exp(((upper - volts) / (upper - lower)) * Math.log(rate / from)));
}
