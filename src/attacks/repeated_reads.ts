/** How attacks read the weights of a victim more than once. */
import type { Victim } from '../models/victim.ts';

/** Lets an attack read the weights of the victim more often than once per draw. */
export interface RepeatedReads {
  /**
   * True where the faults stay the same for a whole load (granularity `load`), so that other faults need a reload. At `pass` and
   * `inference` every pass has other faults, without a reload; at `chip` the faults never change.
   */
  needReloads(): boolean;
  /**
   * Selects the read that the victim returns from now on. Where reads need reloads, the memory is loaded with a number that no
   * measured draw and no calibration uses; elsewhere nothing happens, and the attack must count its passes on. The measured
   * load returns by itself after the attack has run.
   * @param draws the numbers of the draws that the victim holds
   * @param read 0 for the measured load, up to {@link MOST_READS} - 1
   * @throws DeviceLostError
   */
  select(draws: readonly number[], read: number): Promise<void>;
  /**
   * Selects a fault map from which an attacker learns and which is never measured: at `load` another load, at `pass` and
   * `inference` a load whose passes the attack counts on, at `chip` the attacked chip or another one. `select(draws, 0)`
   * returns to the measured load.
   * @throws ConfigError where the other chip was not measured, DeviceLostError
   */
  selectMap(draws: readonly number[], map: number, chip: 'own' | 'other'): Promise<void>;
  /** A short text, the same only where an attacker learns from the same maps: of the memory and, where it matters, the draws. */
  nameMaps(draws: readonly number[], chip: 'own' | 'other'): Promise<string>;
  /** Prepares reads of the searched victim for an attack of many iterations, which returns to every read again and again. */
  hold(count: number): Promise<HeldReads>;
  /**
   * Prepares a copy of the searched victim whose weights an attacker recovers from several reads by majority vote, bit by bit, and
   * then uses on hardware without errors: the only victim of the result.
   */
  vote(count: number): Promise<HeldReads>;
}

/** Several reads of a victim. */
export interface HeldReads {
  /**
   * The searched victim in every read; the measured load is the first. They are the same object where the victim reads the
   * memory itself, and copies where it holds the product of its layers.
   */
  readonly victims: readonly Victim[];
  /** Call at the beginning of a run: fills the copies. @param draws the numbers of the draws that the victim holds */
  begin(draws: readonly number[]): Promise<void>;
  /** Call before a program that uses the victim of this read. */
  select(read: number): Promise<void>;
  destroy(): void;
}

/** Largest number of times that an attack reads the same weights. */
export const MOST_READS = 1024;
