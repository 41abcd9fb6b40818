/** Float64 reference of shaders/loss/truncate_align.wgsl. */
import { CONFIDENCE_UNDERFLOW, type ConfidenceFloor } from '../kernels/align.ts';
import { logSoftmaxForward } from './softmax.ts';

/** Parameters of the attacker's preprocessing, as those of recordTruncateAlign (src/kernels/align.ts). */
export interface Alignment {
  readonly truncation: number;
  readonly offset?: number;
  readonly floor?: ConfidenceFloor;
  readonly clip?: number;
}

/** Preprocessed predictions. */
export interface Aligned {
  readonly output: Float64Array;
  /** Number of kept entries of each row below {@link CONFIDENCE_UNDERFLOW}. */
  readonly floored: Uint32Array;
}

/** @param x logits, [rows, columns] */
export function truncateAlign(x: ArrayLike<number>, columns: number, alignment: Alignment): Aligned {
  const { truncation, offset = 50, floor = 'direct', clip = -1000 } = alignment;
  const logConfidences = logSoftmaxForward(x, columns);
  const output = new Float64Array(x.length);
  const floored = new Uint32Array(x.length / columns);
  for (let row = 0; row < floored.length; row++) {
    const at = (column: number) => row * columns + column;
    const kept = Array.from({ length: columns }, (_, column) => column)
      .sort((a, b) => x[at(b)] - x[at(a)] || a - b)
      .slice(0, truncation);
    const entries = kept.map((column) => {
      const t = logConfidences[at(column)];
      const below = t < CONFIDENCE_UNDERFLOW;
      if (below) floored[row]++;
      return Math.max(below && floor === 'faithful' ? -1000 : t, clip) + offset;
    });
    const lift = Math.max(0, -Math.min(...entries));
    kept.forEach((column, i) => {
      output[at(column)] = entries[i] + lift;
    });
  }
  return { output, floored };
}
