/** Operators that move elements of constants: shapes of their results, and where each element comes from. */
import { MAX_COMPUTED, productOf } from './values.ts';

/** The shape of a result, and the index of every element of it among the operand's elements. */
export interface Movement {
  readonly shape: readonly number[];
  readonly from: Int32Array;
}

/** Distances of neighbours along each axis. */
function stridesOf(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let axis = shape.length - 2; axis >= 0; axis--) strides[axis] = strides[axis + 1] * shape[axis + 1];
  return strides;
}

/**
 * Walks a result of that shape whose elements are at `start` plus multiples of `strides`.
 * @returns undefined if it has more elements than are computed
 */
function walked(shape: readonly number[], strides: readonly number[], start = 0): Movement | undefined {
  const count = productOf(shape);
  if (!(count <= MAX_COMPUTED) || shape.length > 16) return undefined;
  const from = new Int32Array(count);
  const index = shape.map(() => 0);
  let at = start;
  for (let i = 0; i < count; i++) {
    from[i] = at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      index[axis]++;
      if (index[axis] < shape[axis]) break;
      at -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return { shape, from };
}

/** An axis counted from the end as one from the beginning. @returns undefined if there is no such axis */
export function axisOf(axis: number, rank: number): number | undefined {
  const positive = axis < 0 ? axis + rank : axis;
  return Number.isInteger(positive) && positive >= 0 && positive < rank ? positive : undefined;
}

/** @param order axes of the operand in the order of the result */
export function transposed(shape: readonly number[], order: readonly number[]): Movement | undefined {
  if (order.length !== shape.length || new Set(order).size !== order.length) return undefined;
  if (order.some((axis) => axisOf(axis, shape.length) !== axis)) return undefined;
  const strides = stridesOf(shape);
  return walked(
    order.map((axis) => shape[axis]),
    order.map((axis) => strides[axis]),
  );
}

/** The operand as often as it takes to fill a shape that it is aligned with at the end. */
export function broadcast(shape: readonly number[], to: readonly number[]): Movement | undefined {
  const padded = [...Array<number>(Math.max(0, to.length - shape.length)).fill(1), ...shape];
  if (padded.length !== to.length || padded.some((size, axis) => size !== 1 && size !== to[axis])) return undefined;
  const strides = stridesOf(padded);
  return walked(
    to,
    padded.map((size, axis) => (size === 1 ? 0 : strides[axis])),
  );
}

/** The shape that operands of two shapes are broadcast to. @returns undefined if they do not fit */
export function commonShape(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const at = (shape: readonly number[], axis: number) => shape[axis - rank + shape.length] ?? 1;
  const sizes = Array.from({ length: rank }, (_, axis) => [at(a, axis), at(b, axis)]);
  if (sizes.some(([x, y]) => x !== y && x !== 1 && y !== 1)) return undefined;
  return sizes.map(([x, y]) => (x === 1 ? y : x));
}

/** A part of every axis, from `start` up to `end` in steps; beyond the edges it is clamped, as in Python. */
export function sliced(
  shape: readonly number[],
  parts: readonly { readonly axis: number; readonly start: number; readonly end: number; readonly step: number }[],
): Movement | undefined {
  const strides = stridesOf(shape);
  const sizes = [...shape];
  let first = 0;
  for (const part of parts) {
    const axis = axisOf(part.axis, shape.length);
    if (axis === undefined || !Number.isInteger(part.step) || part.step === 0) return undefined;
    const { start, count } = sliceOf(shape[axis], part);
    sizes[axis] = count;
    first += start * strides[axis];
    strides[axis] *= part.step;
  }
  return walked(sizes, strides, first);
}

/** Where a slice of an axis begins, and how many elements it has. */
export function sliceOf(
  size: number,
  { start, end, step }: { readonly start: number; readonly end: number; readonly step: number },
): { start: number; count: number } {
  const clamp = (position: number, low: number, high: number) =>
    Math.min(high, Math.max(low, position < 0 ? position + size : position));
  const from = step > 0 ? clamp(start, 0, size) : clamp(start, 0, size - 1);
  const to = step > 0 ? clamp(end, 0, size) : clamp(end, -1, size - 1);
  return { start: from, count: Math.max(0, Math.ceil((to - from) / step)) };
}

/** Elements of an axis by their indices, which may have a shape of their own. */
export function gathered(
  shape: readonly number[],
  axis: number,
  indices: readonly number[],
  indexShape: readonly number[],
): Movement | undefined {
  const at = axisOf(axis, shape.length);
  if (at === undefined) return undefined;
  const size = shape[at];
  const places = indices.map((index) => (index < 0 ? index + size : index));
  if (places.some((place) => !Number.isInteger(place) || place < 0 || place >= size)) return undefined;
  const outer = productOf(shape.slice(0, at));
  const inner = productOf(shape.slice(at + 1));
  const result = [...shape.slice(0, at), ...indexShape, ...shape.slice(at + 1)];
  if (!(productOf(result) <= MAX_COMPUTED)) return undefined;
  const from = new Int32Array(productOf(result));
  let i = 0;
  for (let o = 0; o < outer; o++) {
    for (const place of places) for (let k = 0; k < inner; k++) from[i++] = (o * size + place) * inner + k;
  }
  return { shape: result, from };
}

/** The shape after axes of size 1 are removed. @param axes all of size 1 by default */
export function squeezed(shape: readonly number[], axes?: readonly number[]): number[] | undefined {
  if (!axes) return shape.filter((size) => size !== 1);
  const removed = axes.map((axis) => axisOf(axis, shape.length));
  if (removed.some((axis) => axis === undefined || shape[axis] !== 1)) return undefined;
  return shape.filter((_, axis) => !removed.includes(axis));
}

/** The shape after axes of size 1 are added, counted in the result. */
export function unsqueezed(shape: readonly number[], axes: readonly number[]): number[] | undefined {
  const rank = shape.length + axes.length;
  const added = axes.map((axis) => axisOf(axis, rank));
  if (rank > 64 || added.includes(undefined) || new Set(added).size !== axes.length) return undefined;
  const rest = [...shape];
  return Array.from({ length: rank }, (_, axis) => (added.includes(axis) ? 1 : (rest.shift() as number)));
}

/** The shape of as many elements with one size -1 computed, and sizes 0 taken over. */
export function reshapedTo(shape: readonly number[], to: readonly number[], allowZero: boolean): number[] | undefined {
  const sizes = to.map((size, axis) => (size === 0 && !allowZero ? (shape[axis] ?? -2) : size));
  const count = productOf(shape);
  const open = sizes.indexOf(-1);
  const known = productOf(sizes.filter((size) => size !== -1));
  if (open >= 0 && known > 0) sizes[open] = count / known;
  const isValid = sizes.every((size) => Number.isSafeInteger(size) && size >= 0) && productOf(sizes) === count;
  return isValid ? sizes : undefined;
}
