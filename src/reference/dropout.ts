/** Exact reference of shaders/activation/dropout.wgsl: each value is one f32 product, rounded once. */
import { dropoutKey, dropoutThreshold } from '../kernels/dropout.ts';
import { pcg4d } from '../memory/hash.ts';

/** The arguments that determine which elements are dropped. */
export interface DropoutDraw {
  readonly probability: number;
  readonly seed: number;
  readonly tensor: number;
  readonly iteration: number;
}

/** Mask of the elements that are kept, row by row. */
export function dropoutKept(rows: number, columns: number, draw: DropoutDraw): boolean[] {
  const threshold = dropoutThreshold(draw.probability);
  const [low, high] = dropoutKey(draw.seed, draw.tensor);
  return Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const quad = row * Math.ceil(columns / 4) + Math.floor(column / 4);
    return pcg4d(quad, draw.iteration, low, high)[column % 4] >= threshold;
  });
}

/** Applies dropout. @param x f32 values in rows of `columns` */
export function dropout(x: ArrayLike<number>, columns: number, draw: DropoutDraw): Float32Array<ArrayBuffer> {
  const scale = Math.fround(1 / (1 - draw.probability));
  const kept = dropoutKept(x.length / columns, columns, draw);
  return Float32Array.from(x, (value, i) => value * (kept[i] ? scale : 0));
}
