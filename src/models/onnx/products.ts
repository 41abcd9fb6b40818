/** Layers with parameters from nodes of ONNX: convolutions, dense layers and batch normalisations. */
import type { NetworkBuilder, Result } from './builder.ts';
import { isVoid } from './builder.ts';
import { transpose } from './fold.ts';
import { transposed } from './movement.ts';
import { isParameterName } from './names.ts';
import type { NodeReader } from './node_reader.ts';
import { type Activation, type Constant, computed, productOf, reshaped, sameShape } from './values.ts';
import { describeWindows, explicitPads, halves, pairAttribute, shortPair, slideWindows, windowsOf } from './windows.ts';

/** The bias of a node, of as many values as the result has channels; undefined if it has none or one that does nothing. */
function biasOf(node: NodeReader, input: number, channels: number): Constant | undefined {
  if (!node.input(input)) return undefined;
  const bias = node.constant(input, 'biases');
  if (bias.count !== channels) {
    node.wrong(`bias ${nameOf(bias)} has shape [${bias.shape}], its result has ${channels} channels; export it again`);
  }
  return isVoid(bias) ? undefined : bias;
}

const nameOf = ({ name }: Constant) => name ?? 'that is computed';

/** The name of the bias that the next node adds, for a layer whose weights have lost their name. */
function laterBias({ soleReader, outputs }: NodeReader): string | undefined {
  if (soleReader?.operator !== 'Add') return undefined;
  return soleReader.inputs.find((name) => name !== outputs[0] && isParameterName(name));
}

/** Weights of a convolution, which have four axes. */
function kernelsOf(node: NodeReader): Constant {
  const weight = node.constant(1, 'weights');
  if (weight.shape.length !== 4) {
    node.unsupported(`over ${weight.shape.length - 2} axes`, 'images have two axes, height and width');
  }
  if (weight.count === 0) node.wrong(`weight ${nameOf(weight)} [${weight.shape}] is empty; export it again`);
  return weight;
}

function nameLayer(
  builder: NetworkBuilder,
  kind: string,
  node: NodeReader,
  parameters: readonly (Constant | undefined)[],
) {
  return builder.names.ofParameters(kind, node.node, [...parameters.map((each) => each?.name), laterBias(node)]);
}

function setBias(builder: NetworkBuilder, layer: string, bias: Constant | undefined, factor = 1): void {
  if (bias) builder.setParameter(`${layer}.bias`, multiplied(reshaped(bias, [bias.count]), factor));
}

export function conv(node: NodeReader, builder: NetworkBuilder): Activation {
  const value = node.activation(0);
  const weight = kernelsOf(node);
  const image = builder.image(value, node);
  const [channels, perGroup, ...kernel] = weight.shape;
  const groups = node.int('group') ?? 1;
  if (perGroup * groups !== image.channels || channels % groups !== 0) {
    node.wrong(
      `weight ${nameOf(weight)} [${weight.shape}] in ${groups} groups needs ${perGroup * groups} channels, ` +
        `its input has ${image.channels}; export it again`,
    );
  }
  const bias = biasOf(node, 2, channels);
  const windows = windowsOf(node, image, [kernel[0], kernel[1]]);
  const { height, width } = slideWindows(node, image, windows);
  const name = nameLayer(builder, 'conv2d', node, [weight, bias]);
  builder.setParameter(`${name}.weight`, weight);
  setBias(builder, name, bias);
  const body = {
    kind: 'conv2d' as const,
    channels,
    ...describeWindows(windows, [1, 1]),
    ...(groups === 1 ? {} : { groups }),
    ...(bias ? {} : { bias: false }),
  };
  return builder.add(name, body, [image.layer], [channels, height, width]);
}

/**
 * Sizes and padding of a transposed convolution: stride (n - 1) + outputPadding + dilation (kernelSize - 1) + 1 - padding,
 * where the padding follows from the size if the node states that (ConvTranspose in https://onnx.ai/onnx/operators/).
 */
function transposedWindows(
  node: NodeReader,
  image: { height: number; width: number },
  kernel: readonly [number, number],
) {
  const stride = pairAttribute(node, 'strides', [1, 1]);
  const dilation = pairAttribute(node, 'dilations', [1, 1]);
  const added = [...pairAttribute(node, 'output_padding', [0, 0])];
  const stated = node.ints('output_shape')?.slice(-2);
  const automatic = node.text('auto_pad') ?? 'NOTSET';
  const pads = automatic === 'NOTSET' || automatic === '' ? explicitPads(node) : [0, 0, 0, 0];
  const sizes = [image.height, image.width].map((n, axis) => {
    const full = stride[axis] * (n - 1) + added[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
    const isSame = automatic === 'SAME_UPPER' || automatic === 'SAME_LOWER';
    const size = stated?.[axis] ?? (isSame ? n * stride[axis] : undefined);
    if (size === undefined) return full - pads[axis] - pads[axis + 2];
    // The stated size rules; what is too little is added at the end, what is too much is padding.
    if (size > full) added[axis] += size - full;
    [pads[axis], pads[axis + 2]] = halves(Math.max(0, full - size), automatic === 'SAME_UPPER');
    return size;
  });
  const [top, left, bottom, right] = pads;
  return {
    kernel,
    stride,
    dilation,
    pads: [top, left, bottom, right] as const,
    added: [added[0], added[1]] as const,
    sizes,
  };
}

export function convTranspose(node: NodeReader, builder: NetworkBuilder): Activation {
  const value = node.activation(0);
  const weight = kernelsOf(node);
  const image = builder.image(value, node);
  const [inputs, perGroup, ...kernel] = weight.shape;
  const groups = node.int('group') ?? 1;
  if (inputs !== image.channels || inputs % groups !== 0) {
    node.wrong(
      `weight ${nameOf(weight)} [${weight.shape}] in ${groups} groups needs ${inputs} channels, ` +
        `its input has ${image.channels}; export it again`,
    );
  }
  const channels = perGroup * groups;
  const bias = biasOf(node, 2, channels);
  const windows = transposedWindows(node, image, [kernel[0], kernel[1]]);
  const [height, width] = windows.sizes;
  if (!(height > 0 && width > 0)) node.wrong(`its result would be ${height} x ${width} pixels; export it again`);
  const name = nameLayer(builder, 'conv_transpose2d', node, [weight, bias]);
  builder.setParameter(`${name}.weight`, weight);
  setBias(builder, name, bias);
  const body = {
    kind: 'conv_transpose2d' as const,
    channels,
    ...describeWindows({ ...windows, ceilMode: false }, [1, 1]),
    ...(windows.added.some((pad) => pad !== 0) ? { outputPadding: shortPair(windows.added) } : {}),
    ...(groups === 1 ? {} : { groups }),
    ...(bias ? {} : { bias: false }),
  };
  return builder.add(name, body, [image.layer], [channels, height, width]);
}

/** A dense layer. @param weight [outputs, inputs] */
function dense(
  node: NodeReader,
  builder: NetworkBuilder,
  value: Activation,
  weight: Constant,
  bias: Constant | undefined,
  [weightFactor, biasFactor]: readonly [number, number] = [1, 1],
): Activation {
  const [outputs, inputs] = weight.shape;
  if (inputs !== productOf(value.view)) {
    node.wrong(
      `weight ${nameOf(weight)} [${weight.shape}] needs ${inputs} values, its input has ${productOf(value.view)} ` +
        `[${value.view}]; export it again`,
    );
  }
  if (weight.count === 0) node.wrong(`weight ${nameOf(weight)} [${weight.shape}] is empty; export it again`);
  const flat = builder.flat(value, node);
  const name = nameLayer(builder, 'dense', node, [weight, bias]);
  const ordered = value.order ? inOrder(weight, value.shape, value.order) : weight;
  builder.setParameter(`${name}.weight`, multiplied(ordered, weightFactor));
  setBias(builder, name, bias, biasFactor);
  const body = { kind: 'dense' as const, outputs, ...(bias ? {} : { bias: false }) };
  return builder.add(name, body, [flat.layer], [outputs]);
}

/** Weights whose columns are for values of `shape` after their axes were transposed, for the values before. */
function inOrder(weight: Constant, shape: readonly number[], order: readonly number[]): Constant {
  const [, inputs] = weight.shape;
  const { from } = transposed(shape, order)!;
  const read = (begin = 0, end = weight.count) => {
    const first = Math.floor(begin / inputs) * inputs;
    const values = weight.read(first, Math.ceil(end / inputs) * inputs);
    const result = new Float32Array(values.length);
    for (let row = 0; row < values.length; row += inputs) {
      for (let column = 0; column < inputs; column++) result[row + from[column]] = values[row + column];
    }
    return result.subarray(begin - first, end - first);
  };
  return { ...weight, read, transposed: undefined };
}

/** A constant times a number. */
function multiplied(constant: Constant, factor: number): Constant {
  if (factor === 1) return constant;
  return { ...constant, read: (begin, end) => constant.read(begin, end).map((value) => value * factor) };
}

const transposedMatrix = (matrix: Constant) => transpose(matrix, [1, 0]) as Constant;

/** True for values that are vectors, one an image. */
const isVector = ({ view }: Activation) => view.length > 0 && view.at(-1) === productOf(view);

export function gemm(node: NodeReader, builder: NetworkBuilder): Activation {
  const value = node.activation(0);
  const matrix = node.constant(1, 'weights');
  if (node.int('transA') === 1) node.unsupported('with transA', 'leave the batch as the first axis');
  if (matrix.shape.length !== 2) node.wrong(`weight ${nameOf(matrix)} [${matrix.shape}] is no matrix; export it again`);
  if (value.view.length !== 1)
    node.unsupported(`of values of shape [batch,${value.view}]`, 'flatten the image before it');
  const weight = node.int('transB') === 1 ? matrix : transposedMatrix(matrix);
  let bias = node.input(2) ? node.constant(2, 'biases') : undefined;
  const [outputs] = weight.shape;
  if (bias?.count === 1 && outputs > 1) bias = repeated(bias, outputs);
  if (bias && (bias.count !== outputs || bias.shape.at(-1) !== outputs)) {
    node.wrong(`bias ${nameOf(bias)} has shape [${bias.shape}], its result has ${outputs} values; export it again`);
  }
  const factors = [node.float('alpha') ?? 1, node.float('beta') ?? 1] as const;
  return dense(node, builder, value, weight, bias && isVoid(bias) ? undefined : bias, factors);
}

/** A constant of one element as one of many. */
function repeated(constant: Constant, count: number): Constant {
  const [value] = constant.read();
  return {
    ...constant,
    shape: [count],
    count,
    read: (begin = 0, end = count) => new Float32Array(end - begin).fill(value),
  };
}

export function matMul(node: NodeReader, builder: NetworkBuilder): Activation {
  const [a, b] = [node.input(0), node.input(1)];
  if (a?.kind === 'activation' && b?.kind === 'activation') {
    node.unsupported('of two activations, as in attention', 'use a network of convolutions and dense layers');
  }
  const value = node.activation(0);
  const matrix = node.constant(1, 'weights');
  if (matrix.shape.length !== 2) node.wrong(`weight ${nameOf(matrix)} [${matrix.shape}] is no matrix; export it again`);
  if (!isVector(value)) {
    node.unsupported(`of values of shape [batch,${value.view}]`, 'flatten the image before a dense layer');
  }
  const result = dense(node, builder, value, transposedMatrix(matrix), undefined);
  return { ...result, view: [...value.view.slice(0, -1), ...result.shape], viewedBy: node.node };
}

/**
 * Adds a bias to the layer whose result a value is, if it is a product without one, and nothing else reads that value.
 * @param readers number of nodes that read the value
 * @returns whether it did
 */
export function absorbBias(
  builder: NetworkBuilder,
  value: Activation,
  bias: Constant,
  values: readonly number[],
  readers: number,
): boolean {
  const layer = builder.layer(value.layer);
  if (layer?.kind !== 'conv2d' && layer?.kind !== 'conv_transpose2d' && layer?.kind !== 'dense') return false;
  if (layer.bias !== false || value.affine || readers !== 1) return false;
  const [channels] = value.shape;
  const data = Float32Array.from({ length: channels }, (_, c) => values[values.length === 1 ? 0 : c]);
  builder.setParameter(`${layer.name}.bias`, { ...computed(data, [channels]), dtype: bias.dtype });
  delete layer.bias;
  return true;
}

const NORM_PARAMETERS = ['weight', 'bias', 'running_mean', 'running_var'] as const;

export function batchNormalization(node: NodeReader, builder: NetworkBuilder): Activation {
  const value = node.activation(0);
  const isTraining = node.int('training_mode') === 1 || node.outputs.slice(1).some((name) => name !== '');
  if (isTraining) node.unsupported('in training mode', 'export the network after model.eval()');
  const real: Result = builder.real(value, node);
  const [channels] = real.shape;
  const parameters = NORM_PARAMETERS.map((part, i) => {
    const parameter = node.constant(i + 1, 'parameters');
    if (!sameShape(parameter.shape, [channels])) {
      node.wrong(
        `${part} ${nameOf(parameter)} has shape [${parameter.shape}], its input ${channels} channels; export it again`,
      );
    }
    return parameter;
  });
  const epsilon = node.float('epsilon') ?? 1e-5;
  const name = builder.names.ofParameters(
    'batch_norm',
    node.node,
    parameters.map((each) => each.name),
  );
  for (const [i, part] of NORM_PARAMETERS.entries()) {
    const values = parameters[i].read();
    if (part === 'running_var' && values.some((variance) => !(variance + epsilon > 0))) {
      node.wrong(`${nameOf(parameters[i])} has a negative variance; train or export it again`);
    }
    builder.setParameter(`${name}.${part}`, parameters[i]);
  }
  // 1e-5 as float32 is 0.00001 within its precision.
  const short = Number(epsilon.toPrecision(7));
  const body = { kind: 'batch_norm' as const, ...(short === 1e-5 ? {} : { epsilon: Math.max(short, 1e-12) }) };
  return builder.add(name, body, [real.layer], real.shape);
}
