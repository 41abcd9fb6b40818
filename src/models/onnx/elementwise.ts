/** Activations, sums, and multiplications and additions of constants from nodes of ONNX. */
import type { LayerBody, NetworkBuilder } from './builder.ts';
import type { NodeReader } from './node_reader.ts';
import { absorbBias } from './products.ts';
import { type Activation, type Affine, type Constant, sameShape, scalarOf, type Value } from './values.ts';

/** A layer that computes every value from itself: it may read any view, and its result is the same view. */
function plain(node: NodeReader, builder: NetworkBuilder, value: Activation, body: LayerBody): Activation {
  const { shape, view, order, viewedBy } = value;
  return { ...builder.addPlain(node.node, body, [builder.read(value, node)], shape), view, order, viewedBy };
}

/** The conversion of an operator that has no attributes. */
export const activation =
  (body: LayerBody) =>
  (node: NodeReader, builder: NetworkBuilder): Activation =>
    plain(node, builder, node.activation(0), body);

export function leakyRelu(node: NodeReader, builder: NetworkBuilder): Activation {
  return withSlope(node, builder, node.float('alpha') ?? 0.01);
}

export function pRelu(node: NodeReader, builder: NetworkBuilder): Activation {
  const slopes = node.constant(1, 'slopes').read();
  if (slopes.some((slope) => slope !== slopes[0])) node.unsupported('with a slope per channel', 'use LeakyReLU');
  return withSlope(node, builder, slopes[0] ?? Number.NaN);
}

function withSlope(node: NodeReader, builder: NetworkBuilder, stored: number): Activation {
  const slope = decimal(stored);
  if (!(slope >= 0 && slope <= 1)) node.unsupported(`with slope ${slope}`, 'use a slope from 0 to 1');
  return plain(
    node,
    builder,
    node.activation(0),
    slope === 0.01 ? { kind: 'leaky_relu' } : { kind: 'leaky_relu', slope },
  );
}

/** The decimal number that a float32 was written for: 0.1 for 0.10000000149. */
export function decimal(stored: number): number {
  const short = Number(stored.toPrecision(7));
  return Math.fround(short) === Math.fround(stored) ? short : stored;
}

/** The largest float32, which limits nothing. */
const LARGEST = Number(3.4028234663852886e38);

/** A limit by attribute or input; undefined if it is left out. */
function limit(node: NodeReader, name: string, input: number): number | undefined {
  const stated = node.float(name);
  if (stated !== undefined) return stated;
  if (!node.input(input)) return undefined;
  const value = scalarOf(node.input(input));
  return value ?? node.unsupported('with limits that are computed', 'use fixed limits');
}

export function clip(node: NodeReader, builder: NetworkBuilder): Value {
  return clipped(node, builder, node.activation(0), limit(node, 'min', 1), limit(node, 'max', 2));
}

function clipped(node: NodeReader, builder: NetworkBuilder, value: Activation, min?: number, max?: number): Activation {
  const low = min === undefined || !(min > -LARGEST) ? -LARGEST : decimal(min);
  const high = max === undefined || !(max < LARGEST) ? LARGEST : decimal(max);
  if (low === -LARGEST && high === LARGEST) return value;
  if (low === 0 && high === LARGEST) return plain(node, builder, value, { kind: 'relu' });
  if (low === 0 && high === 6) return plain(node, builder, value, { kind: 'relu6' });
  return plain(node, builder, value, { kind: 'clip', low, high });
}

/** Min and Max with a number limit values. */
export const limited =
  (isMin: boolean) =>
  (node: NodeReader, builder: NetworkBuilder): Activation => {
    const value = node.values.find((each) => each?.kind === 'activation');
    const bound = scalarOf(node.values.find((each) => each !== value));
    if (node.values.length !== 2 || value?.kind !== 'activation' || bound === undefined) {
      return node.unsupported('of several activations', 'use max pooling, or the sum');
    }
    return isMin ? clipped(node, builder, value, undefined, bound) : clipped(node, builder, value, bound);
  };

export function softmax(kind: 'softmax' | 'log_softmax') {
  return (node: NodeReader, builder: NetworkBuilder): Activation => {
    const value = node.activation(0);
    const rank = value.view.length + 1;
    // Before opset 13 the axis was 1 by default, and all axes from it on were one.
    const axis = node.int('axis') ?? (node.opset < 13 ? 1 : -1);
    const isLast = value.view.length === 1 && (axis === 1 || axis === -1);
    const isWhole = node.opset < 13 && (axis === 1 || axis === 1 - rank);
    if (!isLast && !isWhole) {
      node.unsupported(`over axis ${axis} of [batch,${value.view}]`, 'use it on the vector of classes only');
    }
    const { layer, shape } = builder.real({ ...value, view: [value.shape.reduce((a, b) => a * b, 1)] }, node);
    const result = builder.addPlain(node.node, { kind }, [layer], shape);
    return { ...result, view: value.view };
  };
}

/** Adds results of layers; more than two one after the other. */
function sum(node: NodeReader, builder: NetworkBuilder, values: readonly Activation[]): Activation {
  const [first, ...rest] = values;
  return rest.reduce((a, b) => {
    if (!sameShape(a.view, b.view)) {
      node.unsupported(`of values of shapes [batch,${a.view}] and [batch,${b.view}]`, 'add values of the same shape');
    }
    const isAlike = sameShape(a.shape, b.shape) && sameShape(a.order ?? [], b.order ?? []);
    if (isAlike) {
      const reads = [builder.read(a, node), builder.read(b, node)];
      const { shape, view, order, viewedBy } = a;
      return { ...builder.addPlain(node.node, { kind: 'add' }, reads, shape), view, order, viewedBy };
    }
    const [left, right] = [builder.real(a, node), builder.real(b, node)];
    return builder.addPlain(node.node, { kind: 'add' }, [left.layer, right.layer], left.shape);
  }, first);
}

export function sumOf(node: NodeReader, builder: NetworkBuilder): Activation {
  return sum(
    node,
    builder,
    node.values.map((_, i) => node.activation(i)),
  );
}

/** The axis of a view that counts channels; undefined if the view has none. */
function channelAxis({ shape, view, order }: Activation): number | undefined {
  if (order) return view.length === shape.length ? order.indexOf(0) : undefined;
  if (sameShape(shape, view)) return 0;
  const [channels] = shape;
  const isOnePixel = shape.slice(1).every((size) => size === 1);
  return isOnePixel ? view.indexOf(channels) : undefined;
}

/** The numbers of a constant by channel, or one number for all; undefined if it differs from pixel to pixel. */
function byChannel(constant: Constant, value: Activation): number[] | undefined {
  const rank = value.view.length + 1;
  const axes = constant.shape.map((size, i) => ({ size, axis: i + rank - constant.shape.length }));
  if (axes.some(({ size, axis }) => size !== 1 && (axis < 1 || size !== value.view[axis - 1]))) return undefined;
  const wide = axes.filter(({ size }) => size !== 1);
  const channels = channelAxis(value);
  if (wide.length === 0 || (wide.length === 1 && channels !== undefined && wide[0].axis === channels + 1)) {
    return Array.from(constant.read());
  }
  const values = constant.read();
  return values.every((each) => each === values[0]) ? [values[0]] : undefined;
}

const zip = (a: readonly number[], b: readonly number[], compute: (a: number, b: number) => number): number[] =>
  Array.from({ length: Math.max(a.length, b.length) }, (_, i) =>
    compute(a[a.length === 1 ? 0 : i], b[b.length === 1 ? 0 : i]),
  );

/** Composes a scale and shift with another step. */
const STEPS: Readonly<
  Record<string, (affine: Affine, by: readonly number[], isConstantFirst: boolean) => Affine | undefined>
> = {
  Add: ({ scale, shift }, by) => ({ scale, shift: zip(shift, by, (a, b) => a + b) }),
  Sub: ({ scale, shift }, by, isConstantFirst) =>
    isConstantFirst
      ? { scale: scale.map((a) => -a), shift: zip(shift, by, (a, b) => b - a) }
      : { scale, shift: zip(shift, by, (a, b) => a - b) },
  Mul: ({ scale, shift }, by) => ({
    scale: zip(scale, by, (a, b) => a * b),
    shift: zip(shift, by, (a, b) => a * b),
  }),
  Div: ({ scale, shift }, by, isConstantFirst) =>
    isConstantFirst ? undefined : { scale: zip(scale, by, (a, b) => a / b), shift: zip(shift, by, (a, b) => a / b) },
};

const INSTEAD: Readonly<Record<string, string>> = {
  Mul: 'leave gates, such as SiLU and squeeze-and-excitation, out',
  Div: 'divide by fixed numbers only',
};

/** Add, Sub, Mul and Div: of two results of layers, or of one and a constant for every channel. */
export function arithmetic(node: NodeReader, builder: NetworkBuilder): Activation {
  const { operator } = node;
  const [left, right] = [node.input(0), node.input(1)];
  if (left?.kind === 'activation' && right?.kind === 'activation') {
    if (operator === 'Add') return sum(node, builder, [left, right]);
    if (operator === 'Sub') return sum(node, builder, [left, negative(right, node)]);
    return node.unsupported('of two activations', INSTEAD[operator]);
  }
  const isConstantFirst = left?.kind === 'constant';
  const value = node.activation(isConstantFirst ? 1 : 0);
  const constant = node.constant(isConstantFirst ? 0 : 1, 'operands');
  const seen = asRealVector(value, constant, node, builder);
  const by = byChannel(constant, seen);
  if (!by) return node.unsupported(`of a constant of shape [${constant.shape}]`, 'use one number per channel');
  const readers = node.readersOf(isConstantFirst ? 1 : 0);
  if (operator === 'Add' && absorbBias(builder, seen, constant, by, readers)) return seen;
  const affine = STEPS[operator](seen.affine ?? { scale: [1], shift: [0] }, by, isConstantFirst);
  if (!affine || ![...affine.scale, ...affine.shift].every(Number.isFinite)) {
    return node.unsupported('of a constant by an activation', INSTEAD[operator]);
  }
  const isIdentity = affine.scale.every((scale) => scale === 1) && affine.shift.every((shift) => shift === 0);
  if (isIdentity) return { ...seen, affine: undefined };
  return { ...seen, affine, scaledBy: node.node };
}

export const negated = (node: NodeReader): Activation => negative(node.activation(0), node);

function negative(value: Activation, node: NodeReader): Activation {
  const { scale, shift } = value.affine ?? { scale: [1], shift: [0] };
  return { ...value, affine: { scale: scale.map((a) => -a), shift: shift.map((a) => -a) }, scaledBy: node.node };
}

/** Numbers for every value of a flattened image are for a vector, not for channels. */
function asRealVector(value: Activation, constant: Constant, node: NodeReader, builder: NetworkBuilder): Activation {
  if (value.view.length !== 1 || value.order || sameShape(value.view, value.shape) || constant.count === 1)
    return value;
  const { layer, shape } = builder.real(value, node);
  return { kind: 'activation', layer, shape, view: shape };
}
