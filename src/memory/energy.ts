/**
 * Energy of weight reads by V^2. The saving is an upper bound of the dynamic saving: V^2 of the array and its reads
 * only; static, I/O and refresh power are left out. 1.10 V saves at most 33.6 %.
 */

import { ConfigError } from '../errors.ts';

/** Supply voltage of DDR3L, volts. */
export const NOMINAL_VOLTS = 1.35;

/**
 * Dynamic energy of a read relative to nominal voltage, (volts / 1.35)^2: a lower bound of what is really left.
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

/** Bytes one layer's weights are read from memory, and the supply voltage they are read at. */
export interface WeightRead {
  readonly layer: string;
  readonly bytes: number;
  readonly volts: number;
}

/**
 * Energy of the reads of all layers. `nominal` and `energy` are in units of the energy of reading one byte at nominal
 * voltage; `saving` = 1 - energy / nominal, 0 where nothing is read: an upper bound (see above).
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
