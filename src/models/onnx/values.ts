/** The values of an ONNX graph while it is read: what constants, sizes and images are known to be without running it. */
import { toFloat32 } from '../../formats/float.ts';
import type { OnnxNode } from '../../formats/onnx.ts';
import type { OnnxTensor } from '../../formats/onnx_tensor.ts';
import { type Dtype, PartMemory } from '../../formats/safetensors.ts';

/** A number, a multiple of the size of a batch, which is not fixed, or undefined for what is neither. */
export type Size = number | { readonly batch: number } | undefined;

/** A tensor of integers or truth values, as shapes are computed with. */
export interface Integers {
  readonly kind: 'integers';
  readonly shape: readonly number[];
  readonly items: readonly Size[];
}

/** A tensor of floating-point numbers that is known, such as weights. */
export interface Constant {
  readonly kind: 'constant';
  /** Name of the parameter that it is or was made of; absent if it was computed. */
  readonly name?: string;
  /** Element type in the file. */
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly count: number;
  /**
   * Its elements as float32, from `begin` up to `end`, by default all: a view of the file where that is possible. The next call may
   * overwrite those of a call that did not read all.
   */
  read(begin?: number, end?: number): Float32Array;
  /** The matrix of which this one is the transpose. */
  readonly transposed?: Constant;
}

/** One factor and one summand a channel, or one for all channels; applied to a value before it is read. */
export interface Affine {
  readonly scale: readonly number[];
  readonly shift: readonly number[];
}

/** The result of a layer for every image of a batch, or a view of it. */
export interface Activation {
  readonly kind: 'activation';
  /** Name of the layer that computes it, or `input`. */
  readonly layer: string;
  /** The result of that layer without the batch: [channels, height, width] or [features]. */
  readonly shape: readonly number[];
  /** The shape that the graph sees, without the batch: as many values, in the same order after `order`. */
  readonly view: readonly number[];
  /** Axes of `shape` in the order in which the graph sees them, where values were transposed. */
  readonly order?: readonly number[];
  /** The node that made the view. */
  readonly viewedBy?: OnnxNode;
  readonly affine?: Affine;
  /** The node that made the scale and shift. */
  readonly scaledBy?: OnnxNode;
}

/** The result of a node that is not supported. */
export interface Unknown {
  readonly kind: 'unknown';
}

export type Value = Integers | Constant | Activation | Unknown;

export const UNKNOWN: Unknown = { kind: 'unknown' };

/** Integers up to this number are computed with; larger tensors are no shapes. */
export const MAX_INTEGERS = 4096;
/** The number of elements of a constant that is computed; weights as they are in the file may be larger. */
export const MAX_COMPUTED = 2 ** 24;

export function integers(items: readonly Size[], shape: readonly number[] = [items.length]): Integers {
  return { kind: 'integers', shape, items };
}

/** A constant that was computed. */
export function computed(values: Float32Array, shape: readonly number[], name?: string): Constant {
  const read = (begin = 0, end = values.length) => values.subarray(begin, end);
  return { kind: 'constant', name, dtype: 'F32', shape, count: values.length, read };
}

/** A constant with the same elements in another shape. */
export function reshaped(constant: Constant, shape: readonly number[]): Constant {
  return { ...constant, shape, transposed: undefined };
}

export const productOf = (sizes: readonly number[]): number => sizes.reduce((product, size) => product * size, 1);

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

const FLOATS: ReadonlySet<string> = new Set(['F64', 'F32', 'F16', 'BF16']);
const WHOLE: ReadonlySet<string> = new Set(['I64', 'I32', 'I16', 'I8', 'U64', 'U32', 'U16', 'U8', 'BOOL']);

/** The value of a tensor of the file; unknown if nothing can be done with its type. @throws DataError */
export function tensorValue(tensor: OnnxTensor): Value {
  const { dtype, shape, count } = tensor;
  if (FLOATS.has(dtype)) return floatConstant(tensor, dtype as Dtype);
  if (!WHOLE.has(dtype) || count > MAX_INTEGERS) return UNKNOWN;
  return integers(Array.from(tensor.read() as ArrayLike<number | bigint>, Number), shape);
}

function floatConstant({ name, shape, count, read }: OnnxTensor, dtype: Dtype): Constant {
  const memory = new PartMemory();
  return {
    kind: 'constant',
    name: name === '' ? undefined : name,
    dtype,
    shape,
    count,
    read(begin, end) {
      const data = read(begin, end);
      return toFloat32({ dtype, shape: [], data }, data.length < count ? memory : undefined) as Float32Array;
    },
  };
}

/** The number of a tensor of one element. */
export function scalarOf(value: Value | undefined): number | undefined {
  if (value?.kind === 'constant' && value.count === 1) return value.read()[0];
  if (value?.kind === 'integers' && value.items.length === 1) {
    const [item] = value.items;
    return typeof item === 'number' ? item : undefined;
  }
  return undefined;
}

/** The numbers of a tensor of integers, if all of them are known. */
export function numbersOf(value: Value | undefined): number[] | undefined {
  if (value?.kind !== 'integers') return undefined;
  const numbers = value.items.filter((item) => typeof item === 'number');
  return numbers.length === value.items.length ? numbers : undefined;
}
