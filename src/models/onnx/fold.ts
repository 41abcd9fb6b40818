/**
 * Computes nodes whose inputs are all known: the arithmetic of shapes that exporters leave in a graph, with the size of the
 * batch as a symbol, and constants that are computed from others.
 */
import { elementType } from '../../formats/onnx_tensor.ts';
import { PartMemory } from '../../formats/safetensors.ts';
import {
  axisOf,
  broadcast,
  commonShape,
  gathered,
  type Movement,
  reshapedTo,
  sliced,
  squeezed,
  transposed,
  unsqueezed,
} from './movement.ts';
import type { NodeReader } from './node_reader.ts';
import {
  type Constant,
  computed,
  type Integers,
  integers,
  MAX_COMPUTED,
  MAX_INTEGERS,
  numbersOf,
  productOf,
  reshaped,
  type Size,
  sameShape,
  scalarOf,
  tensorValue,
  type Value,
} from './values.ts';

type Known = Integers | Constant;

/** Computes the results of a node; undefined where they are not known. */
type Fold = (node: NodeReader) => Known | (Known | undefined)[] | undefined;

/** True for operators that are computed if all that they read is known. */
export const isFoldable = (operator: string): boolean => Object.hasOwn(FOLDS, operator);

/** The results of a node that reads known values; undefined if they are not known without running the network. */
export function fold(node: NodeReader): (Known | undefined)[] | undefined {
  const result = FOLDS[node.operator](node);
  return result === undefined || Array.isArray(result) ? result : [result];
}

/** The sizes of a value, as Shape gives them. */
export function sizesOf(value: Value): Size[] | undefined {
  if (value.kind === 'unknown') return undefined;
  return value.kind === 'activation' ? [{ batch: 1 }, ...value.view] : [...value.shape];
}

const known = (value: Value | undefined): Known | undefined =>
  value?.kind === 'integers' || value?.kind === 'constant' ? value : undefined;

/** The elements that a movement takes from a value. */
function moved(value: Known, movement: Movement | undefined): Known | undefined {
  if (!movement) return undefined;
  const { shape, from } = movement;
  if (value.kind === 'integers') {
    return from.length > MAX_INTEGERS
      ? undefined
      : integers(
          Array.from(from, (at) => value.items[at]),
          shape,
        );
  }
  if (value.count > MAX_COMPUTED) return undefined;
  const values = value.read();
  return computed(
    Float32Array.from(from, (at) => values[at]),
    shape,
    value.name,
  );
}

function withShape(value: Known, shape: readonly number[] | undefined): Known | undefined {
  if (!shape) return undefined;
  return value.kind === 'integers' ? { ...value, shape } : reshaped(value, shape);
}

/** A matrix is transposed when it is read; the original is kept, because dense layers take it as it is. */
export function transpose(value: Known, order: readonly number[]): Known | undefined {
  if (order.every((axis, i) => axis === i)) return value;
  if (value.kind !== 'constant' || value.shape.length !== 2) return moved(value, transposed(value.shape, order));
  if (value.transposed) return value.transposed;
  const [rows, columns] = value.shape;
  const memory = new PartMemory();
  const read = (begin = 0, end = value.count) => {
    // The columns with the elements that are asked for; row by row, because a copy of unaligned weights needs memory, too.
    const [first, last] = [Math.floor(begin / rows), Math.ceil(end / rows)];
    const count = (last - first) * rows;
    const result = (count < value.count ? memory : new PartMemory()).array('F32', count) as Float32Array;
    for (let row = 0; row < rows; row++) {
      const values = value.read(row * columns + first, row * columns + last);
      for (let column = 0; column < values.length; column++) result[column * rows + row] = values[column];
    }
    return result.subarray(begin - first * rows, end - first * rows);
  };
  return { ...value, shape: [columns, rows], read, transposed: value };
}

const isBatch = (size: Size): size is { readonly batch: number } => typeof size === 'object';

const addSizes = (a: Size, b: Size): Size => {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (isBatch(a) && isBatch(b)) return { batch: a.batch + b.batch };
  if (a === 0) return b;
  return b === 0 ? a : undefined;
};
const negated = (a: Size): Size => (isBatch(a) ? { batch: -a.batch } : a === undefined ? undefined : -a);
const multiplySizes = (a: Size, b: Size): Size => {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  if (isBatch(a) && typeof b === 'number') return { batch: a.batch * b };
  return isBatch(b) && typeof a === 'number' ? { batch: a * b.batch } : undefined;
};
const divideSizes = (a: Size, b: Size): Size => {
  if (typeof a === 'number' && typeof b === 'number') return b === 0 ? undefined : Math.trunc(a / b);
  if (isBatch(a) && isBatch(b)) return a.batch % b.batch === 0 ? a.batch / b.batch : undefined;
  return isBatch(a) && typeof b === 'number' && a.batch % b === 0 ? { batch: a.batch / b } : undefined;
};
const ofNumbers =
  (compute: (a: number, b: number) => number) =>
  (a: Size, b: Size): Size =>
    typeof a === 'number' && typeof b === 'number' ? compute(a, b) : undefined;
const equalSizes = (a: Size, b: Size): Size => {
  if (isBatch(a) && isBatch(b)) return a.batch === b.batch ? 1 : undefined;
  // A size of the batch is never negative: sizes are compared with -1.
  if (isBatch(a) || isBatch(b)) return [a, b].some((size) => typeof size === 'number' && size < 0) ? 0 : undefined;
  return a === undefined || b === undefined ? undefined : Number(a === b);
};

/** An operator of two operands, which are broadcast. */
function binary(ofSizes: (a: Size, b: Size) => Size, ofFloats?: (a: number, b: number) => number): Fold {
  return (node) => {
    const [a, b] = [known(node.input(0)), known(node.input(1))];
    const shape = a && b && commonShape(a.shape, b.shape);
    if (!a || !b || !shape) return undefined;
    const [left, right] = [moved(a, broadcast(a.shape, shape)), moved(b, broadcast(b.shape, shape))];
    if (left?.kind === 'integers' && right?.kind === 'integers') {
      return integers(
        left.items.map((item, i) => ofSizes(item, right.items[i])),
        shape,
      );
    }
    if (!ofFloats || left?.kind !== 'constant' || right?.kind !== 'constant') return undefined;
    const values = right.read();
    return computed(
      left.read().map((value, i) => ofFloats(value, values[i])),
      shape,
    );
  };
}

function unary(ofSize: (a: Size) => Size, ofFloat: (a: number) => number): Fold {
  return (node) => {
    const value = known(node.input(0));
    if (value?.kind === 'integers') return integers(value.items.map(ofSize), value.shape);
    return value && value.count <= MAX_COMPUTED ? computed(value.read().map(ofFloat), value.shape) : undefined;
  };
}

const floatsOnly = (ofFloat: (a: number) => number): Fold => unary(() => undefined, ofFloat);

/** To another type: whole numbers to floats, floats to whole numbers if there are few, else the same value. */
function cast(value: Known | undefined, toFloat: boolean, toBoolean = false): Known | undefined {
  if (value?.kind === 'integers') {
    if (!toFloat) {
      return toBoolean
        ? { ...value, items: value.items.map((item) => ofNumbers((a) => Number(a !== 0))(item, 0)) }
        : value;
    }
    const numbers = numbersOf(value);
    return numbers && computed(Float32Array.from(numbers), value.shape);
  }
  if (!value || toFloat) return value;
  if (value.count > MAX_INTEGERS) return undefined;
  return integers(Array.from(value.read(), toBoolean ? (x) => Number(x !== 0) : Math.trunc), value.shape);
}

const FLOAT_TYPES: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16']);

/** The value that a Constant node holds. @throws DataError */
function constant(node: NodeReader): Known | undefined {
  const tensor = node.attribute('value')?.tensor;
  if (tensor) return known(tensorValue(tensor));
  const float = node.attribute('value_float')?.float;
  if (float !== undefined) return computed(Float32Array.of(float), []);
  const int = node.attribute('value_int')?.int;
  if (int !== undefined) return integers([int], []);
  const ints = node.attribute('value_ints')?.ints;
  if (ints) return ints.length > MAX_INTEGERS ? undefined : integers(ints);
  const floats = node.attribute('value_floats')?.floats;
  return floats && computed(Float32Array.from(floats), [floats.length]);
}

function constantOfShape(node: NodeReader): Known | undefined {
  const shape = numbersOf(node.input(0));
  if (!shape?.every((size) => size >= 0) || productOf(shape) > MAX_COMPUTED) return undefined;
  const count = productOf(shape);
  const tensor = node.attribute('value')?.tensor;
  const fill = tensor ? known(tensorValue(tensor)) : computed(Float32Array.of(0), []);
  const value = scalarOf(fill);
  if (value === undefined) return undefined;
  if (fill?.kind === 'constant') return computed(new Float32Array(count).fill(value), shape);
  return count > MAX_INTEGERS ? undefined : integers(Array<number>(count).fill(value), shape);
}

function concat(node: NodeReader): Known | undefined {
  const parts = node.values.map(known);
  const [first] = parts;
  const axis = first && axisOf(node.int('axis') ?? 0, first.shape.length);
  if (!first || axis === undefined) return undefined;
  const isAlike = (part: Known | undefined): part is Known =>
    part?.kind === first.kind &&
    part.shape.length === first.shape.length &&
    part.shape.every((size, i) => i === axis || size === first.shape[i]);
  if (!parts.every(isAlike)) return undefined;
  const shape = first.shape.map((size, i) => (i === axis ? parts.reduce((sum, part) => sum + part.shape[i], 0) : size));
  if (productOf(shape) > (first.kind === 'integers' ? MAX_INTEGERS : MAX_COMPUTED)) return undefined;
  const outer = productOf(shape.slice(0, axis));
  const rowOf = ({ shape: sizes }: Known) => productOf(sizes.slice(axis));
  const items: Size[] = [];
  const values = new Float32Array(first.kind === 'constant' ? productOf(shape) : 0);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (const part of parts) {
      const row = rowOf(part);
      if (part.kind === 'integers') items.push(...part.items.slice(o * row, (o + 1) * row));
      else values.set(part.read(o * row, (o + 1) * row), at);
      at += row;
    }
  }
  return first.kind === 'integers' ? integers(items, shape) : computed(values, shape);
}

function slice(node: NodeReader): Known | undefined {
  const value = known(node.input(0));
  const parts = node.slices(value?.shape.length ?? 0);
  return value && parts && moved(value, sliced(value.shape, parts));
}

function split(node: NodeReader): (Known | undefined)[] | undefined {
  const value = known(node.input(0));
  const axis = value && axisOf(node.int('axis') ?? 0, value.shape.length);
  if (!value || axis === undefined) return undefined;
  const count = node.outputs.length;
  const even = Math.ceil(value.shape[axis] / count);
  const sizes = node.ints('split') ?? numbersOf(node.input(1)) ?? Array<number>(count).fill(even);
  let start = 0;
  return sizes.map((size) => {
    const end = start + size;
    const part = moved(value, sliced(value.shape, [{ axis, start, end, step: 1 }]));
    start = end;
    return part;
  });
}

/** The product or sum of all elements, for counts. */
function reduced(combine: (a: Size, b: Size) => Size): Fold {
  return (node) => {
    const value = node.input(0);
    if (value?.kind !== 'integers' || value.items.length === 0) return undefined;
    const axes = node.axes(1);
    if (axes && axes.length !== value.shape.length) return undefined;
    const shape = (node.int('keepdims') ?? 1) === 0 ? [] : value.shape.map(() => 1);
    return integers([value.items.reduce(combine)], shape);
  };
}

function range(node: NodeReader): Known | undefined {
  const [start, limit, step] = [0, 1, 2].map((i) =>
    node.input(i)?.kind === 'integers' ? scalarOf(node.input(i)) : undefined,
  );
  if (start === undefined || limit === undefined || !step) return undefined;
  const count = Math.max(0, Math.ceil((limit - start) / step));
  return count > MAX_INTEGERS ? undefined : integers(Array.from({ length: count }, (_, i) => start + i * step));
}

function where(node: NodeReader): Known | undefined {
  const [condition, yes, no] = [0, 1, 2].map((i) => known(node.input(i)));
  const choices = numbersOf(condition);
  if (!choices || !yes || !no) return undefined;
  if (choices.every((choice) => choice !== 0) && sameShape(yes.shape, condition!.shape)) return yes;
  if (choices.every((choice) => choice === 0) && sameShape(no.shape, condition!.shape)) return no;
  const shape = commonShape(condition!.shape, commonShape(yes.shape, no.shape) ?? []);
  if (!shape || yes.kind !== 'integers' || no.kind !== 'integers') return undefined;
  const [c, a, b] = [condition!, yes, no].map((value) => moved(value, broadcast(value.shape, shape)));
  if (c?.kind !== 'integers' || a?.kind !== 'integers' || b?.kind !== 'integers') return undefined;
  return integers(
    c.items.map((choice, i) => (choice === 0 ? b.items[i] : a.items[i])),
    shape,
  );
}

const ofOne =
  (compute: (value: Known, node: NodeReader) => Known | undefined): Fold =>
  (node) => {
    const value = known(node.input(0));
    return value && compute(value, node);
  };

const FOLDS: Readonly<Record<string, Fold>> = {
  Constant: constant,
  ConstantOfShape: constantOfShape,
  Identity: ofOne((value, node) => {
    // Exporters give equal parameters one tensor and the others by their names.
    return value.kind === 'constant' ? { ...value, name: node.parameterName(value.name) } : value;
  }),
  Cast: ofOne((value, node) => {
    const type = elementType(node.int('to') ?? 0);
    return cast(value, FLOAT_TYPES.has(type), type === 'BOOL');
  }),
  Gather: ofOne((value, node) => {
    const indices = numbersOf(node.input(1));
    return (
      indices && moved(value, gathered(value.shape, node.int('axis') ?? 0, indices, (node.input(1) as Integers).shape))
    );
  }),
  Slice: slice,
  Split: split,
  Concat: concat,
  Squeeze: ofOne((value, node) => withShape(value, squeezed(value.shape, node.axes(1)))),
  Unsqueeze: ofOne((value, node) => withShape(value, unsqueezed(value.shape, node.axes(1) ?? []))),
  Reshape: ofOne((value, node) => {
    const to = node.ints('shape') ?? numbersOf(node.input(1));
    return to && withShape(value, reshapedTo(value.shape, to, node.int('allowzero') === 1));
  }),
  Flatten: ofOne((value, node) => {
    const axis = node.int('axis') ?? 1;
    const at = axis === value.shape.length ? axis : axisOf(axis, value.shape.length);
    if (at === undefined) return undefined;
    return withShape(value, [productOf(value.shape.slice(0, at)), productOf(value.shape.slice(at))]);
  }),
  Transpose: ofOne((value, node) => transpose(value, node.ints('perm') ?? value.shape.map((_, i) => i).reverse())),
  Expand: ofOne((value, node) => {
    const to = numbersOf(node.input(1));
    const shape = to && commonShape(value.shape, to);
    return shape && moved(value, broadcast(value.shape, shape));
  }),
  Range: range,
  Where: where,
  Add: binary(addSizes, (a, b) => a + b),
  Sub: binary(
    (a, b) => addSizes(a, negated(b)),
    (a, b) => a - b,
  ),
  Mul: binary(multiplySizes, (a, b) => a * b),
  Div: binary(divideSizes, (a, b) => a / b),
  Mod: binary(ofNumbers((a, b) => (b === 0 ? 0 : ((a % b) + b) % b))),
  Pow: binary(
    ofNumbers((a, b) => a ** b),
    (a, b) => a ** b,
  ),
  Min: binary(ofNumbers(Math.min), Math.min),
  Max: binary(ofNumbers(Math.max), Math.max),
  Equal: binary(equalSizes),
  Less: binary(ofNumbers((a, b) => Number(a < b))),
  Greater: binary(ofNumbers((a, b) => Number(a > b))),
  And: binary(ofNumbers((a, b) => a & b)),
  Or: binary(ofNumbers((a, b) => a | b)),
  Not: unary(
    (a) => (typeof a === 'number' ? Number(a === 0) : undefined),
    (a) => Number(a === 0),
  ),
  Neg: unary(negated, (a) => -a),
  Abs: unary((a) => (typeof a === 'number' ? Math.abs(a) : a), Math.abs),
  Sqrt: floatsOnly(Math.sqrt),
  Exp: floatsOnly(Math.exp),
  Reciprocal: floatsOnly((a) => 1 / a),
  Floor: floatsOnly(Math.floor),
  Ceil: floatsOnly(Math.ceil),
  ReduceProd: reduced(multiplySizes),
  ReduceSum: reduced(addSizes),
};
