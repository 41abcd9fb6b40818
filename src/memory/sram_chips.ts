/**
 * SRAM chips below their nominal voltage as profiled by D. Stutz, N. Chandramoorthy, M. Hein and B. Schiele, "Bit Error
 * Robustness for Energy-Efficient DNN Accelerators", MLSys 2021, one profile per chip and voltage: shares of all cells that
 * read 1 where 0 is stored and 0 where 1 is stored, and the share that is stuck, that is, fails in every read. The columns
 * are interpreted as follows: the two directions add up to the published bit error rate `total`, the stuck cells are the
 * same proportion of both directions, and the other faulty cells fail independently from read to read.
 */
export interface SramChip {
  /** Published rate, 0..1; the two directions add up to it except for rounding and 0.17 percentage points of chip2-high. */
  readonly total: number;
  readonly zeroToOne: number;
  readonly oneToZero: number;
  readonly stuck: number;
}

const chip = (total: number, zeroToOne: number, oneToZero: number, stuck: number): SramChip => ({
  total: total / 100,
  zeroToOne: zeroToOne / 100,
  oneToZero: oneToZero / 100,
  stuck: stuck / 100,
});

export const SRAM_CHIPS = {
  'chip1-high': chip(2.744, 1.27, 1.47, 1.223),
  'chip1-low': chip(0.866, 0.38, 0.49, 0.393),
  'chip2-high': chip(4.707, 3.443, 1.091, 0.627),
  'chip2-mid': chip(1.01, 0.82, 0.19, 0.105),
  'chip2-low': chip(0.136, 0.115, 0.021, 0.01),
  'chip3-high': chip(2.297, 1.81, 0.48, 0.204),
  'chip3-low': chip(0.597, 0.496, 0.0995, 0.206),
} as const;

export type SramProfile = keyof typeof SRAM_CHIPS;
export const SRAM_PROFILES = Object.keys(SRAM_CHIPS) as SramProfile[];
