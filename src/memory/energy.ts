/**
 * Energy of weight reads, taken as proportional to the square of the supply voltage. The saving is an upper bound of the
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
