/**
 * Energy and time of memory: reads of weights by the square of the voltage, an upper bound of what is saved; a breakdown of a
 * DRAM's energy by cause; and the access time at reduced timings. All take plain numbers.
 *
 * Energy of weight reads is taken as proportional to the square of the supply voltage. The saving is an upper bound of the
 * dynamic saving: static, I/O and refresh power are left out. At 1.10 V it is 33.6 %.
 */

import { ConfigError } from '../errors.ts';

/** Supply voltage of DDR3L, volts. */
export const NOMINAL_VOLTS = 1.35;

/**
 * Dynamic energy of a read relative to that at nominal voltage, (volts / 1.35)^2: a lower bound of the real energy.
 * @param volts above 0, at most 1.35
 * @param where path of the voltage in the configuration, for the error
 * @throws ConfigError outside that range
 */
export function relativeEnergy(volts: number, where = 'volts'): number {
  if (!(volts > 0 && volts <= NOMINAL_VOLTS)) {
    throw new ConfigError(`${where}: ${volts} V is not above 0 and at most ${NOMINAL_VOLTS} V, nominal`);
  }
  const ratio = volts / NOMINAL_VOLTS;
  return ratio * ratio;
}

/** The bytes of one layer's weights that are read from memory, and the supply voltage at which they are read. */
export interface WeightRead {
  readonly layer: string;
  readonly bytes: number;
  readonly volts: number;
}

/**
 * Energy of the reads of all layers. `nominal` and `energy` are in units of the energy of reading one byte at nominal
 * voltage; `saving` = 1 - energy / nominal is an upper bound (see above), and 0 if nothing is read.
 * @throws ConfigError naming the layer, for a voltage out of range or bytes that are not a number >= 0
 */
export function weightReadEnergy(reads: readonly WeightRead[]): {
  bytes: number;
  nominal: number;
  energy: number;
  saving: number;
} {
  let total = 0;
  let energy = 0;
  for (const { layer, bytes, volts } of reads) {
    if (!(bytes >= 0 && bytes < Infinity)) {
      throw new ConfigError(`${layer}.bytes: ${bytes} is not a number of bytes; give one >= 0`);
    }
    total += bytes;
    energy += bytes * relativeEnergy(volts, `${layer}.volts`);
  }
  return { bytes: total, nominal: total, energy, saving: total === 0 ? 0 : 1 - energy / total };
}

/**
 * Currents and timings of a DDR3 chip, in mA and ns: Micron's data sheet of the 4 Gb MT41J512M8, die revisions E and J, at
 * DDR3-1600 (-125), as gem5 quotes them for its DDR3_1600_8x8 (src/mem/DRAMInterface.py, before 2020 DRAMCtrl.py). They are maxima at 1.5 V, the sheet's
 * conditions; {@link dramEnergy} scales them to the supply voltage.
 */
export const DDR3_1600 = {
  volts: 1.5,
  /** One bank, activated and precharged as fast as allowed. */
  idd0: 55,
  /** All banks precharged; a bank open; bursts of reads; refreshes one after the other. */
  idd2n: 32,
  idd3n: 38,
  idd4r: 157,
  idd5b: 235,
  tRAS: 35,
  tRP: 13.75,
  tRCD: 13.75,
  tCL: 13.75,
  /** Eight transfers at 1600 MT/s. */
  tBurst: 5,
  tRFC: 260,
  tREFI: 7800,
} as const;

/** Chips of eight data lines that form a rank of 64, and bytes of a burst of a rank. */
const CHIPS = 8;
const BURST_BYTES = 64;

/** What {@link dramEnergy} and {@link accessTime} leave out; shown beside their numbers. */
export const ENERGY_LEAVES_OUT = [
  'termination and drivers of the data lines, and the memory controller',
  'power-down and self-refresh states',
  'leakage that does not follow the square of the voltage',
  'currents below the maxima of the data sheet, which measured chips need',
] as const;
export const TIME_LEAVES_OUT = [
  'waiting in queues, for other banks and for refresh',
  'reads that overlap: a stream that keeps the data lines busy gains nothing',
  'the time that a row must stay open (tRAS), which limits accesses to other rows of a bank',
] as const;

/** What a rank of DDR3L does while it is measured. */
export interface DramActivity {
  /** Bytes that are read. */
  readonly bytes: number;
  /** Bytes that are read for each activated row: 8192 for whole rows in order, 64 for random lines. */
  readonly bytesPerActivation: number;
  /** Duration, seconds; background and refresh go on for all of it. */
  readonly seconds: number;
  /** Share of the time in which a bank is open, 0..1. */
  readonly openShare: number;
  /** Supply voltage, above 0 and at most 1.35 V. */
  readonly volts: number;
}

/** Energy of a rank by cause, joules. */
export interface DramEnergy {
  readonly activate: number;
  readonly read: number;
  readonly background: number;
  readonly refresh: number;
  readonly total: number;
}

/**
 * Energy of a rank of eight DDR3L chips by cause, by the formulas of Micron's technical note TN-41-01, "Calculating Memory System
 * Power for DDR3": what activating a row, a burst of reads, and a refresh take above standby, and standby itself, all scaled by
 * the square of the voltage as the note does. {@link ENERGY_LEAVES_OUT} says what is missing. Unlike {@link weightReadEnergy} it
 * counts what does not depend on reads, so a saving of total energy is smaller than that of the reads if time passes idle.
 * @throws ConfigError for numbers out of range
 */
export function dramEnergy(activity: DramActivity): DramEnergy {
  const { bytes, bytesPerActivation, seconds, openShare, volts } = activity;
  for (const [name, value] of Object.entries({ bytes, seconds })) {
    if (!(value >= 0 && value < Infinity)) throw new ConfigError(`${name}: ${value} is not a number >= 0`);
  }
  if (!(bytesPerActivation >= BURST_BYTES && bytesPerActivation < Infinity)) {
    throw new ConfigError(
      `bytesPerActivation: ${bytesPerActivation} is less than a burst; give ${BURST_BYTES} or more`,
    );
  }
  if (!(openShare >= 0 && openShare <= 1)) throw new ConfigError(`openShare: ${openShare} is not in 0..1`);
  relativeEnergy(volts); // refuses a voltage out of range
  const { idd0, idd2n, idd3n, idd4r, idd5b, tRAS, tRP, tBurst, tRFC, tREFI } = DDR3_1600;
  // mA times V times ns is 10^-12 J.
  const perRank = CHIPS * DDR3_1600.volts * (volts / DDR3_1600.volts) ** 2 * 1e-12;
  const ns = seconds * 1e9;
  const ofActivation = idd0 * (tRAS + tRP) - idd3n * tRAS - idd2n * tRP;
  const activate = (bytes / bytesPerActivation) * ofActivation * perRank;
  const read = (bytes / BURST_BYTES) * (idd4r - idd3n) * tBurst * perRank;
  const background = (openShare * idd3n + (1 - openShare) * idd2n) * ns * perRank;
  const refresh = (ns / tREFI) * (idd5b - idd3n) * tRFC * perRank;
  return { activate, read, background, refresh, total: activate + read + background + refresh };
}

/** Bytes per second of a rank of 64 data lines at 1600 MT/s, all busy, and bytes of a row of a rank. */
const PEAK_RATE = 12.8e9;
const ROW_BYTES = 8192;

/**
 * Energy of a rank that reads weights row by row in order, as fast as its data lines allow, and does nothing else: {@link dramEnergy}
 * of each layer at its voltage, added up. A rank that also waits needs more for background and refresh.
 * @throws ConfigError as {@link dramEnergy}
 */
export function streamEnergy(reads: readonly WeightRead[]): DramEnergy {
  const sum = { activate: 0, read: 0, background: 0, refresh: 0, total: 0 };
  for (const { bytes, volts } of reads) {
    const own = dramEnergy({ bytes, bytesPerActivation: ROW_BYTES, seconds: bytes / PEAK_RATE, openShare: 1, volts });
    for (const cause of Object.keys(sum) as (keyof DramEnergy)[]) sum[cause] += own[cause];
  }
  return sum;
}

/** Timings of a read, ns. */
export interface ReadTiming {
  /** From the activation of a row to a read of it; standard 13.75. */
  readonly tRCD?: number;
  /** From the precharge of a row to the activation of another; standard 13.75. */
  readonly tRP?: number;
}

/**
 * Time from a request to the last data of a burst, ns, mean over reads that hit an open row and reads that must close one and open
 * another: tRP + tRCD + CL + the burst for the latter, CL + the burst for the former. `saving` is relative to the standard
 * timings, an upper bound for reads that wait for each other; {@link TIME_LEAVES_OUT} says what is missing.
 * @param hitShare share of reads that hit an open row, 0..1
 * @throws ConfigError for numbers out of range
 */
export function accessTime(
  { tRCD = DDR3_1600.tRCD, tRP = DDR3_1600.tRP }: ReadTiming,
  hitShare: number,
): { ns: number; standard: number; saving: number } {
  for (const [name, value, most] of [
    ['tRCD', tRCD, DDR3_1600.tRCD],
    ['tRP', tRP, DDR3_1600.tRP],
  ] as const) {
    if (!(value > 0 && value <= most))
      throw new ConfigError(`${name}: ${value} ns is not above 0 and at most ${most}, standard`);
  }
  if (!(hitShare >= 0 && hitShare <= 1)) throw new ConfigError(`hitShare: ${hitShare} is not in 0..1`);
  const { tCL, tBurst } = DDR3_1600;
  const time = (opening: number) => tCL + tBurst + (1 - hitShare) * opening;
  const standard = time(DDR3_1600.tRCD + DDR3_1600.tRP);
  const ns = time(tRCD + tRP);
  return { ns, standard, saving: 1 - ns / standard };
}
