/** Nodes of ONNX that change the shape of values, or leave them as they are. */
import { elementType } from '../../formats/onnx_tensor.ts';
import type { NetworkBuilder } from './builder.ts';
import { sizesOf } from './fold.ts';
import { axisOf, sliceOf, squeezed, unsqueezed } from './movement.ts';
import type { NodeReader } from './node_reader.ts';
import {
  type Activation,
  integers,
  numbersOf,
  productOf,
  type Size,
  sameShape,
  scalarOf,
  type Value,
} from './values.ts';
import { shortPadding } from './windows.ts';

const MIXED = 'keep the batch as the first axis';

export const identity = (node: NodeReader): Activation => node.activation(0);

const viewed = (value: Activation, view: readonly number[], { node }: NodeReader): Activation => ({
  ...value,
  view,
  viewedBy: node,
});

/** A view of values whose axes were transposed: the vector of all of them, or the image that they are. */
function keepsOrder(value: Activation, view: readonly number[], node: NodeReader): Activation {
  if (value.order && view.length !== 1 && !sameShape(view, value.view)) {
    return node.unsupported('of transposed values', 'leave the order of axes as it is');
  }
  return viewed(value, view, node);
}

export function flatten(node: NodeReader): Activation {
  const value = node.activation(0);
  const rank = value.view.length + 1;
  const axis = axisOf(node.int('axis') ?? 1, rank);
  if (axis !== 1) return node.unsupported(`from axis ${node.int('axis')} on`, MIXED);
  return keepsOrder(value, [productOf(value.view)], node);
}

export function reshape(node: NodeReader, _: NetworkBuilder, batch: number | undefined): Activation {
  const value = node.activation(0);
  const shape = node.input(1);
  const sizes: readonly Size[] | undefined =
    node.ints('shape') ?? (shape?.kind === 'integers' ? shape.items : undefined);
  const view = sizes && reshapedView(value.view, sizes, node.int('allowzero') === 1, batch);
  if (!view) {
    const to = (sizes ?? []).map((size) => (typeof size === 'object' ? 'batch' : (size ?? '?')));
    return node.unsupported(`of [batch,${value.view}] to [${to}]`, MIXED);
  }
  return keepsOrder(value, view, node);
}

/**
 * The shape of values without the batch after a reshape.
 * @param batch the size of the batch that the file fixes
 * @returns undefined if values of several images would be mixed
 */
function reshapedView(
  view: readonly number[],
  sizes: readonly Size[],
  allowZero: boolean,
  batch: number | undefined,
): number[] | undefined {
  const [first, ...rest] = sizes.map((size, axis) => {
    if (size !== 0 || allowZero) return size;
    return axis === 0 ? { batch: 1 } : view[axis - 1];
  });
  const numbers = rest.filter((size) => typeof size === 'number');
  if (numbers.length !== rest.length) return undefined;
  const count = productOf(view);
  const isBatch = typeof first === 'object' && first.batch === 1;
  if (numbers.includes(-1)) {
    // The other size of the first axis is that of the batch, or of a batch of the size that the file fixes.
    if (!isBatch && first !== batch) return undefined;
    numbers[numbers.indexOf(-1)] = count / productOf(numbers.filter((size) => size !== -1));
  } else if (!isBatch && typeof first !== 'number') {
    return undefined;
  }
  const isWhole = numbers.every((size) => Number.isSafeInteger(size) && size >= 0);
  return isWhole && productOf(numbers) === count ? numbers : undefined;
}

/** Axes of a node as axes of a view, which has no batch. @returns undefined if the batch is among them */
function viewAxes(axes: readonly number[], rank: number): number[] | undefined {
  const found = axes.map((axis) => axisOf(axis, rank));
  return found.every((axis) => axis) ? found.map((axis) => axis! - 1) : undefined;
}

export function squeeze(node: NodeReader): Activation {
  const value = node.activation(0);
  const axes = node.axes(1);
  const inView = axes && viewAxes(axes, value.view.length + 1);
  const view = axes && !inView ? undefined : squeezed(value.view, inView);
  if (!view) return node.unsupported(`of axes ${axes} of [batch,${value.view}]`, MIXED);
  return keepsOrder(value, view, node);
}

export function unsqueeze(node: NodeReader): Activation {
  const value = node.activation(0);
  const axes = node.axes(1) ?? [];
  const inView = viewAxes(axes, value.view.length + 1 + axes.length);
  const view = inView && unsqueezed(value.view, inView);
  if (!view) return node.unsupported(`at axes ${axes} of [batch,${value.view}]`, MIXED);
  return keepsOrder(value, view, node);
}

/** Transposing only renames axes: later nodes see to it that nothing is read in the wrong order. */
export function transpose(node: NodeReader): Activation {
  const value = node.activation(0);
  const { shape, view } = value;
  const stated = node.ints('perm') ?? [...view.map((_, axis) => axis + 1), 0].reverse();
  const axes = viewAxes(stated.slice(1), view.length + 1);
  if (stated[0] !== 0 || axes?.length !== view.length || new Set(axes).size !== axes.length) {
    return node.unsupported(`to the order ${stated}`, MIXED);
  }
  const sizes = axes.map((axis) => view[axis]);
  const moved = axes.filter((axis) => view[axis] !== 1);
  if (!value.order && moved.every((axis, i) => i === 0 || axis > moved[i - 1])) return viewed(value, sizes, node);
  const before = value.order ?? shape.map((_, axis) => axis);
  const isWhole = sameShape(
    view,
    before.map((axis) => shape[axis]),
  );
  if (!isWhole)
    return node.unsupported(`of values of shape [batch,${view}]`, 'keep images as [batch,channels,height,width]');
  const order = axes.map((axis) => before[axis]);
  const isInOrder = order.every((axis, i) => axis === i);
  return { ...viewed(value, sizes, node), order: isInOrder ? undefined : order };
}

export function pad(node: NodeReader, builder: NetworkBuilder): Activation {
  const value = node.activation(0);
  const mode = node.text('mode') || 'constant';
  if (mode !== 'constant') node.unsupported(`in mode ${mode}`, 'pad with a constant');
  const rank = value.view.length + 1;
  const stated = node.ints('pads') ?? node.ints('paddings') ?? numbersOf(node.input(1));
  const axes = node.input(3) ? numbersOf(node.input(3)) : Array.from({ length: rank }, (_, axis) => axis);
  const places = axes?.map((axis) => axisOf(axis, rank));
  if (!stated || !places || places.includes(undefined) || stated.length !== 2 * places.length) {
    return node.unsupported('by numbers that are computed', 'pad by fixed numbers');
  }
  const at = (axis: number, end: 0 | 1) => {
    const place = places.indexOf(axis);
    return place < 0 ? 0 : stated[place + end * places.length];
  };
  if (stated.every((size) => size === 0)) return value;
  const image = builder.image(value, node);
  if ([at(0, 0), at(0, 1), at(1, 0), at(1, 1)].some((size) => size !== 0)) {
    node.unsupported('of the batch or of channels', 'pad height and width only');
  }
  const [top, left, bottom, right] = [at(2, 0), at(3, 0), at(2, 1), at(3, 1)];
  const edges = [top, left, bottom, right] as const;
  if (edges.some((edge) => edge < 0)) node.unsupported('by negative numbers', 'cut the image before it is given');
  const number = node.input(2) ? scalarOf(node.input(2)) : (node.float('value') ?? 0);
  if (number === undefined || !Number.isFinite(number)) return node.unsupported('with no finite number', 'pad with 0');
  const body = { kind: 'pad' as const, padding: shortPadding(edges), ...(number === 0 ? {} : { value: number }) };
  const shape = [image.channels, image.height + top + bottom, image.width + left + right];
  return builder.addPlain(node.node, body, [image.layer], shape);
}

export function concat(node: NodeReader, builder: NetworkBuilder): Activation {
  const values = node.values.map((_, i) => node.activation(i));
  const [{ view }] = values;
  const axis = axisOf(node.int('axis') ?? 1, view.length + 1);
  const isImage = view.length === 3;
  if (axis !== 1 || (!isImage && view.length !== 1)) {
    node.unsupported(`along axis ${node.int('axis')} of [batch,${view}]`, 'concatenate channels, axis 1');
  }
  if (values.length === 1) return values[0];
  for (const other of values) {
    if (!sameShape(other.view.slice(1), view.slice(1)) || other.view.length !== view.length) {
      node.wrong(`its inputs have shapes [batch,${view}] and [batch,${other.view}]; export it again`);
    }
  }
  const parts = values.map((value) => builder.real(value, node));
  const channels = parts.reduce((sum, { shape }) => sum + shape[0], 0);
  const reads = parts.map(({ layer }) => layer);
  return builder.addPlain(node.node, { kind: 'concat' }, reads, [channels, ...view.slice(1)]);
}

/** Only a slice of everything is read: exporters leave it where a network cuts nothing off. */
export function slice(node: NodeReader): Activation {
  const value = node.activation(0);
  const parts = node.slices(value.view.length + 1);
  const isWhole = parts?.every(({ axis, start, end, step }) => {
    const at = axisOf(axis, value.view.length + 1);
    if (at === undefined) return false;
    // The batch is taken for as large as can be.
    const size = at === 0 ? 2 ** 31 : value.view[at - 1];
    const part = sliceOf(size, { start, end, step });
    return step === 1 && part.start === 0 && part.count >= (at === 0 ? 2 ** 31 - 1 : size);
  });
  return isWhole ? value : node.unsupported('of activations', 'cut the image before it is given, or use a stride');
}

export function dropout(node: NodeReader, builder: NetworkBuilder): Activation {
  const value = node.activation(0);
  const rate = node.float('ratio') ?? scalarOf(node.input(1)) ?? 0.5;
  if (!(rate > 0 && rate < 1)) return value;
  const { shape, view, order, viewedBy } = value;
  const body = { kind: 'dropout' as const, rate: Number(rate.toPrecision(7)) };
  return { ...builder.addPlain(node.node, body, [builder.read(value, node)], shape), view, order, viewedBy };
}

/** A conversion between floating-point types, which are all float32 here. */
export function cast(node: NodeReader): Activation {
  const type = elementType(node.int('to') ?? 1);
  if (!['F64', 'F32', 'F16', 'BF16'].includes(type)) node.unsupported(`to ${type}`, 'keep activations in float32');
  return node.activation(0);
}

/** The sizes of a value, from `start` up to `end` (from opset 15 on). */
export function shape(node: NodeReader): Value {
  const sizes = sizesOf(node.input(0)!) ?? [];
  return integers(sizes.slice(node.int('start') ?? 0, node.int('end') ?? sizes.length));
}

export function size(node: NodeReader): Value {
  const sizes = sizesOf(node.input(0)!) ?? [];
  const [first, ...rest] = sizes;
  const count = productOf(rest.filter((each) => typeof each === 'number'));
  return integers([typeof first === 'object' ? { batch: first.batch * count } : (first ?? 1) * count], []);
}
