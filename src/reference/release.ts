/** Float64 reference of shaders/loss/round_confidences.wgsl. */
import { roundHalfEven } from '../memory/integer.ts';

/** Rounds confidences. @param logits [rows, columns] @returns logarithms of the rounded confidences, the same shape */
export function roundConfidences(logits: ArrayLike<number>, columns: number, decimals: number): Float64Array {
  const levels = 10 ** decimals;
  const released = new Float64Array(logits.length);
  for (let first = 0; first < logits.length; first += columns) {
    const row = Array.from({ length: columns }, (_, j) => logits[first + j]);
    const largest = Math.max(...row);
    const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
    for (const [j, value] of row.entries()) {
      const rounded = roundHalfEven((Math.exp(value - largest) / sum) * levels) / levels;
      released[first + j] = Math.log(Math.max(rounded, 0.5 / levels));
    }
  }
  return released;
}
