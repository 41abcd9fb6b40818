/** Float64 references of the kernels of src/kernels/mi_face.ts. Judge and step change their arrays in place. */
import { MI_FACE_STATE } from '../gpu/structs.ts';
import type { SearchedImages, SearchOptions } from '../kernels/mi_face.ts';
import { pcg4d } from '../memory/hash.ts';
import { standardNormals } from './random.ts';

const { at: AT, words: WORDS } = MI_FACE_STATE;

/**
 * Updates the state of every row after its cost is known.
 * @param results [rows, 2]: cost, confidence
 * @param state rows of MI_FACE_STATE
 */
export function miFaceJudge(
  results: Float32Array,
  state: Uint32Array,
  iteration: number,
  beta: number,
  gamma: number,
  keep: 'best' | 'last',
): void {
  const floats = new Float32Array(state.buffer, state.byteOffset, state.length);
  for (let row = 0; row < results.length / 2; row++) {
    const first = row * WORDS;
    state[first + AT.retain] = 0;
    if (state[first + AT.isActive] === 0) continue;
    state[first + AT.judged]++;
    const cost = results[2 * row];
    const improved = cost < floats[first + AT.best];
    if (improved) {
      floats[first + AT.best] = cost;
      state[first + AT.waited] = 0;
      state[first + AT.bestIteration] = iteration;
    } else {
      state[first + AT.waited]++;
    }
    if (improved || keep === 'last') {
      floats[first + AT.confidence] = results[2 * row + 1];
      floats[first + AT.objective] = cost;
      state[first + AT.retain] = 1;
    }
    if (state[first + AT.waited] >= beta || cost <= gamma) state[first + AT.isActive] = 0;
  }
}

/** The images of an attack, their velocities, and the retained images, all of the same length. */
export interface InversionImages {
  readonly x: Float64Array;
  readonly velocity: Float64Array;
  readonly retained: Float64Array;
}

/** Retains marked images and takes a step in active rows. @param norms gradient norm per row, used by `normalise` */
export function miFaceStep(
  { x, velocity, retained }: InversionImages,
  gradient: ArrayLike<number>,
  norms: ArrayLike<number>,
  state: Uint32Array,
  { rate, momentum, normalise }: { rate: number; momentum: number; normalise: boolean },
): void {
  const columns = x.length / norms.length;
  for (let i = 0; i < x.length; i++) {
    const row = Math.floor(i / columns);
    if (state[row * WORDS + AT.retain]) retained[i] = x[i];
    if (!state[row * WORDS + AT.isActive]) continue;
    velocity[i] = momentum * velocity[i] + gradient[i] / (normalise ? norms[row] + 1e-12 : 1);
    x[i] = Math.min(Math.max(x[i] - rate * velocity[i], 0), 1);
  }
}

/** Options and step of a black-box search, which together determine its directions. */
export interface SearchStep extends SearchOptions, SearchedImages {
  readonly iteration: number;
  /** Key of the seed and the draw, a u32. */
  readonly draw: number;
}

/** A value of a direction, the same for all pixels of a cell of `cell` x `cell` in one channel. */
export function searchDirection(
  step: Omit<SearchStep, 'sigma'>,
  direction: number,
  row: number,
  value: number,
): number {
  const { cell, distribution, width, channels = 1, iteration, draw } = step;
  const pixel = Math.floor(value / channels);
  const line = Math.floor(Math.floor(pixel / width) / cell);
  const column = Math.floor((pixel % width) / cell);
  const place = (line * width + column) * channels + (value % channels);
  const [first, second] = pcg4d(place, (row << 12) | direction, iteration, draw);
  if (distribution === 'gaussian') return standardNormals(first, second)[0];
  return first >>> 31 ? 1 : -1;
}

/** Returns [2 directions rows, columns]: for each direction all rows of x moved forward by their radius, then all moved back. */
export function searchDirections(
  x: ArrayLike<number>,
  radii: ArrayLike<number>,
  columns: number,
  step: Omit<SearchStep, 'sigma'>,
): Float64Array {
  const rows = x.length / columns;
  return Float64Array.from({ length: 2 * step.directions * x.length }, (_, i) => {
    const [query, pixel] = [Math.floor(i / columns), i % columns];
    const row = query % rows;
    const side = Math.floor(query / rows) % 2 === 0 ? 1 : -1;
    const direction = Math.floor(query / rows / 2);
    return x[row * columns + pixel] + side * radii[row] * searchDirection(step, direction, row, pixel);
  });
}

/** Estimates the gradient of an answer. @param results [2 directions rows, 2], ordered as {@link searchDirections} */
export function searchGradient(
  results: ArrayLike<number>,
  rows: number,
  columns: number,
  step: SearchStep,
  answer: 0 | 1 = 0,
): Float64Array {
  return Float64Array.from({ length: rows * columns }, (_, i) => {
    const [row, pixel] = [Math.floor(i / columns), i % columns];
    let sum = 0;
    for (let d = 0; d < step.directions; d++) {
      const difference = results[2 * (2 * d * rows + row) + answer] - results[2 * ((2 * d + 1) * rows + row) + answer];
      sum += difference * searchDirection(step, d, row, pixel);
    }
    return sum / (2 * step.sigma * step.directions);
  });
}

/** sum = scale * value, or sum += scale * value, in place. */
export function addScaled(sum: Float64Array, value: ArrayLike<number>, scale: number, accumulate: boolean): void {
  for (const [i, before] of sum.entries()) sum[i] = (accumulate ? before : 0) + scale * value[i];
}
