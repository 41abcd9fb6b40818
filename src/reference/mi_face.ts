/** Twins of the kernels of src/kernels/inversion.ts. Floats in float64; they change their arrays in place, as the kernels do. */
import { type SearchOptions, STATE_WORDS } from '../kernels/inversion.ts';
import { pcg4d } from '../memory/hash.ts';

/**
 * @param results [rows, 2]: cost, confidence
 * @param state rows x STATE_WORDS u32, laid out as in shaders/optimizer/inversion_judge.wgsl
 */
export function inversionJudge(
  results: Float32Array,
  state: Uint32Array,
  iteration: number,
  beta: number,
  gamma: number,
  keep: 'best' | 'last',
): void {
  const floats = new Float32Array(state.buffer, state.byteOffset, state.length);
  for (let row = 0; row < results.length / 2; row++) {
    const at = row * STATE_WORDS;
    state[at + 5] = 0;
    if (state[at + 4] === 0) continue;
    state[at + 7]++;
    const cost = results[2 * row];
    const improved = cost < floats[at];
    if (improved) {
      floats[at] = cost;
      state[at + 3] = 0;
      state[at + 6] = iteration;
    } else {
      state[at + 3]++;
    }
    if (improved || keep === 'last') {
      floats.set([results[2 * row + 1], cost], at + 1);
      state[at + 5] = 1;
    }
    if (state[at + 3] >= beta || cost <= gamma) state[at + 4] = 0;
  }
}

export interface InversionImages {
  readonly x: Float64Array;
  readonly velocity: Float64Array;
  readonly kept: Float64Array;
}

/** @param norms one a row; ignored unless `normalise` */
export function inversionStep(
  { x, velocity, kept }: InversionImages,
  gradient: ArrayLike<number>,
  norms: ArrayLike<number>,
  state: Uint32Array,
  { rate, momentum, normalise }: { rate: number; momentum: number; normalise: boolean },
): void {
  const columns = x.length / norms.length;
  for (let i = 0; i < x.length; i++) {
    const row = Math.floor(i / columns);
    if (state[row * STATE_WORDS + 5]) kept[i] = x[i];
    if (!state[row * STATE_WORDS + 4]) continue;
    velocity[i] = momentum * velocity[i] + gradient[i] / (normalise ? norms[row] + 1e-12 : 1);
    x[i] = Math.min(Math.max(x[i] - rate * velocity[i], 0), 1);
  }
}

/** What the directions of a black-box search depend on besides {@link SearchOptions}. */
export interface SearchStep extends SearchOptions {
  readonly width: number;
  readonly iteration: number;
  readonly draw: number;
}

/** The direction's sign at a pixel, the same over cells of `cell` x `cell` pixels. */
export function searchSign(step: SearchStep, direction: number, row: number, pixel: number): number {
  const { cell, width, iteration, draw } = step;
  const line = Math.floor(Math.floor(pixel / width) / cell);
  const column = Math.floor((pixel % width) / cell);
  return pcg4d(line * width + column, row, direction, iteration ^ (draw << 16))[0] >>> 31 ? 1 : -1;
}

/** [2 directions rows, columns]: for each direction every row of x moved forward, then every row moved back. */
export function searchDirections(x: ArrayLike<number>, columns: number, step: SearchStep): Float64Array {
  const rows = x.length / columns;
  return Float64Array.from({ length: 2 * step.directions * x.length }, (_, i) => {
    const [query, pixel] = [Math.floor(i / columns), i % columns];
    const row = query % rows;
    const side = Math.floor(query / rows) % 2 === 0 ? 1 : -1;
    const direction = Math.floor(query / rows / 2);
    return x[row * columns + pixel] + side * step.sigma * searchSign(step, direction, row, pixel);
  });
}

/** @param results [2 directions rows, 2]: cost, confidence, in the order of {@link searchDirections} */
export function searchGradient(
  results: ArrayLike<number>,
  rows: number,
  columns: number,
  step: SearchStep,
): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, i) => {
    const [row, pixel] = [Math.floor(i / columns), i % columns];
    let sum = 0;
    for (let d = 0; d < step.directions; d++) {
      const difference = results[2 * (2 * d * rows + row)] - results[2 * ((2 * d + 1) * rows + row)];
      sum += difference * searchSign(step, d, row, pixel);
    }
    return sum / (2 * step.sigma * step.directions);
  });
}
