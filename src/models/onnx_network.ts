/** Turns the graph of an ONNX file into a network's description and its parameters by PyTorch's names and shapes. */
import { ConfigError, DataError } from '../errors.ts';
import type { OnnxGraph, OnnxModel, OnnxNode, OnnxValue } from '../formats/onnx.ts';
import type { LazyTensor } from '../formats/safetensors.ts';
import { listed, printable } from '../printable.ts';
import { type NetworkDescription, parseNetwork } from './network_description.ts';
import { NetworkBuilder } from './onnx/builder.ts';
import { fold, isFoldable } from './onnx/fold.ts';
import { nodeText, orderNodes } from './onnx/graph.ts';
import { inlineFunctions } from './onnx/inline.ts';
import { NodeReader, UnsupportedNode } from './onnx/node_reader.ts';
import { OPERATORS } from './onnx/operators.ts';
import { hasAttention, insteadOf, isQuantised, quantisedError, unsupportedError } from './onnx/unsupported.ts';
import { type Activation, productOf, scalarOf, tensorValue, UNKNOWN, type Value } from './onnx/values.ts';
import { conversionNotes } from './state_dict.ts';

/** A network that was read from a file of another program. */
export interface ForeignNetwork {
  readonly description: NetworkDescription;
  /**
   * Float32 parameters named `<layer>.weight`, `.bias`, `.running_mean` and `.running_var`, in PyTorch's shapes. They are read
   * when they are used, as views of the file's bytes where these are aligned.
   */
  readonly tensors: Map<string, LazyTensor>;
  /** What a user should know about the conversion, in whole sentences. */
  readonly notes: readonly string[];
}

/** Sizes of images, for files that leave them open. */
export interface ImageSize {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/**
 * Converts a network from an image to the scores of classes. Constants and the arithmetic of shapes are computed; nodes on
 * which the first output does not depend are left out.
 *
 * @param file name, for messages
 * @param image the images, where the file leaves their size open or takes them as vectors
 * @throws DataError naming file and node: operators that are not supported (all of them together), networks of integers, a
 *   circle, a missing tensor, shapes that do not agree
 */
export function onnxNetwork(called: OnnxModel, file: string, image?: ImageSize): ForeignNetwork {
  const model = inlineFunctions(called, file);
  const quantised = model.nodes.find(isQuantised);
  if (quantised) throw quantisedError(quantised, file);
  const [output, ...others] = model.outputs;
  if (!output) throw new DataError(`${file}: its graph has no output; export it again`);
  const { nodes, readers } = orderNodes(model, output.name, file);
  const used = model.inputs.filter(({ name }) => readers.has(name));
  if (used.length !== 1) {
    const names =
      listed(
        used.map(({ name }) => printable(name, 40)),
        120,
      ) || 'none';
    throw new DataError(`${file}: its result depends on ${used.length} inputs (${names}); give a network of one image`);
  }
  const [input] = used;
  const inputReaders = readers.get(input.name) ?? [];
  const { value: start, size, batch } = inputValue(input, inputReaders, file, image);
  const builder = new NetworkBuilder(file);
  const values = new Map<string, Value>([[input.name, start]]);
  const problems: UnsupportedNode[] = [];
  const valueNamed = (name: string): Value | undefined => {
    if (name === '') return undefined;
    let value = values.get(name);
    if (!value) {
      const tensor = model.initializers.get(name);
      value = tensor ? tensorValue(tensor) : UNKNOWN;
      values.set(name, value);
    }
    return value;
  };
  const convertAll = (all: readonly OnnxNode[]) => {
    for (const node of all) {
      const reader = new NodeReader(node, node.inputs.map(valueNamed), model.opset, readers, file);
      const branch = branchOf(reader);
      for (const [name, tensor] of branch?.initializers ?? []) values.set(name, tensorValue(tensor));
      if (branch) convertAll(branch.nodes);
      const results = branch ? branch.results.map(valueNamed) : convert(reader, builder, batch, problems);
      node.outputs.forEach((name, i) => {
        if (name !== '') values.set(name, results[i] ?? UNKNOWN);
      });
    }
  };
  convertAll(nodes);
  const isTransformer = hasAttention(nodes, input.name);
  if (problems.length > 0) throw unsupportedError(problems, file, { isTransformer });
  finish(valueNamed(output.name), output, nodes, builder, model, file);
  const description = describe(size, input, builder, file);
  return { description, tensors: builder.tensors, notes: notesOf(builder, others, input, size, file) };
}

/** The branch that an If takes, if its condition does not depend on the image. */
function branchOf(node: NodeReader): OnnxGraph | undefined {
  const condition = node.operator === 'If' && node.node.domain === '' ? scalarOf(node.input(0)) : undefined;
  return condition === undefined ? undefined : node.attribute(condition === 0 ? 'else_branch' : 'then_branch')?.graph;
}

/** The values of a node's results. Problems with it are added to `problems`. */
function convert(
  node: NodeReader,
  builder: NetworkBuilder,
  batch: number | undefined,
  problems: UnsupportedNode[],
): readonly (Value | undefined)[] {
  const { operator } = node;
  const isStandard = node.node.domain === '';
  const isConverted = isStandard && Object.hasOwn(OPERATORS, operator);
  const isFolded = isStandard && isFoldable(operator);
  try {
    const inputs = node.values.filter((value) => value !== undefined);
    const areKnown = inputs.every(({ kind }) => kind === 'integers' || kind === 'constant');
    const folded = isFolded && areKnown ? fold(node) : undefined;
    if (folded) return folded;
    if (isStandard && operator === 'CastLike' && node.input(0)?.kind === 'constant') return [node.input(0)];
    if (!isConverted && !(isFolded && areKnown)) node.unsupported('', insteadOf(node.node));
    // Nothing is known about a node after one that is not supported.
    if (inputs.some(({ kind }) => kind === 'unknown')) return [];
    if (!isConverted) node.unsupported('of these constants', 'export the network with constants folded');
    return [OPERATORS[operator](node, builder, batch)];
  } catch (error) {
    if (!(error instanceof UnsupportedNode)) throw error;
    problems.push(error);
    return [];
  }
}

interface Input {
  readonly value: Activation;
  readonly size: ImageSize;
  /** The size of the batch that the file fixes. */
  readonly batch?: number;
}

/** What the graph's input is: images, perhaps with their channels last, or as vectors. */
function inputValue(
  { name, dtype, shape }: OnnxValue,
  allReaders: readonly OnnxNode[],
  file: string,
  image?: ImageSize,
): Input {
  const readers = allReaders.filter(({ operator }) => operator !== 'Shape');
  const where = `${file}: input ${printable(name, 60)}`;
  if (!['F32', 'F16', 'F64', 'BF16', 'U8', ''].includes(dtype)) {
    throw new DataError(`${where}: it is ${dtype}; give a network that takes images of floats`);
  }
  const sizes = shape?.map((size) => (typeof size === 'number' && size > 0 ? size : undefined));
  const shown = sizes && `[${(shape ?? []).map((size) => (size === '' ? '?' : printable(String(size), 20)))}]`;
  const batch = sizes?.[0];
  const activation = (whole: readonly number[], view: readonly number[], order?: readonly number[]): Activation => ({
    kind: 'activation',
    layer: 'input',
    shape: whole,
    view,
    order,
  });
  const areLast = readers.length > 0 && readers.every(isToChannelsFirst);
  const rest = sizes?.slice(1) ?? [];
  if (!sizes || rest.length === 3) {
    const [c, h, w] = areLast ? [rest[2], rest[0], rest[1]] : rest;
    const channels = c ?? image?.channels;
    const height = h ?? image?.height;
    const width = w ?? image?.width;
    if (channels === undefined || height === undefined || width === undefined) {
      throw new DataError(
        `${where}: it has shape ${shown ?? 'none'}; export it for images of a fixed size: ` +
          "torch.onnx.export(model, torch.zeros(1, 3, 32, 32), 'net.onnx') without dynamic_axes or dynamic_shapes",
      );
    }
    const whole = [channels, height, width];
    const value = areLast ? activation(whole, [height, width, channels], [1, 2, 0]) : activation(whole, whole);
    return { value, size: { channels, height, width }, batch };
  }
  const known = rest.filter((size) => size !== undefined);
  if (known.length === rest.length && (known.length === 1 || known.length === 2)) {
    const size =
      known.length === 2 ? { channels: 1, height: known[0], width: known[1] } : (image ?? vectorSize(known[0]));
    const { channels, height, width } = size;
    if (channels * height * width !== productOf(known)) {
      throw new DataError(
        `${where}: it takes ${productOf(known)} values, images of ${height} x ${width} x ${channels} have ` +
          `${channels * height * width}; give images of its size`,
      );
    }
    return { value: activation([channels, height, width], known), size, batch };
  }
  throw new DataError(`${where}: it has shape ${shown}; give a network of images, [batch,channels,height,width]`);
}

/** True for the first node of a network from TensorFlow, which takes the channels from the end to the front. */
function isToChannelsFirst({ operator, attributes }: OnnxNode): boolean {
  return operator === 'Transpose' && attributes.get('perm')?.ints.join() === '0,3,1,2';
}

/** A square gray or RGB image of as many values; else one row of pixels. */
function vectorSize(count: number): ImageSize {
  for (const channels of [1, 3]) {
    const side = Math.sqrt(count / channels);
    if (Number.isInteger(side)) return { channels, height: side, width: side };
  }
  return { channels: 1, height: 1, width: count };
}

/** Checks the network's result, and makes it a vector. */
function finish(
  result: Value | undefined,
  output: OnnxValue,
  nodes: readonly OnnxNode[],
  builder: NetworkBuilder,
  model: OnnxModel,
  file: string,
): void {
  const last = nodes.at(-1);
  if (result?.kind !== 'activation' || !last) {
    throw new DataError(
      `${file}: its output ${printable(output.name, 60)} does not depend on the image; export it again`,
    );
  }
  const stated = output.shape?.slice(1);
  const differs =
    stated &&
    (stated.length !== result.view.length ||
      stated.some((n, i) => typeof n === 'number' && n > 0 && n !== result.view[i]));
  if (differs) {
    throw new DataError(
      `${file}: its output ${printable(output.name, 60)} is declared as [batch,${printable(stated.join(), 60)}], ` +
        `its nodes make [batch,${result.view}]; export it again`,
    );
  }
  const reader = new NodeReader(last, [], model.opset, new Map(), file);
  const isScores = productOf(result.view) === result.view.find((size) => size !== 1) || productOf(result.view) === 1;
  try {
    const real = builder.real(isScores ? { ...result, view: [productOf(result.view)] } : result, reader);
    if (real.layer === 'input' || real.layer !== builder.layers.at(-1)?.name) {
      throw new DataError(`${file}: ${nodeText(last)} is not the last layer; give a network with one result`);
    }
  } catch (error) {
    throw error instanceof UnsupportedNode ? unsupportedError([error], file, { isTransformer: false }) : error;
  }
}

function describe(size: ImageSize, { dtype }: OnnxValue, builder: NetworkBuilder, file: string): NetworkDescription {
  const { height, width, channels } = size;
  const { normalisation, layers } = builder;
  const input = { height, width, channels, ...normalisedBy(normalisation, areBytes(dtype, normalisation)) };
  try {
    return parseNetwork({ kind: 'network', input, layers }, file);
  } catch (error) {
    throw error instanceof ConfigError ? new DataError(error.message, { cause: error }) : error;
  }
}

/** Above this deviation pixels are 0 to 255. */
const BYTES_FROM = 20;

/**
 * Mean and deviation of pixels in 0..1 from the factor and summand of a channel: x a + b = (x - mean) / deviation.
 * @param bytes true if x is 0 to 255
 */
function normalisedBy(affine: NetworkBuilder['normalisation'], bytes: boolean) {
  if (!affine && !bytes) return {};
  const { scale, shift } = affine ?? { scale: [1], shift: [0] };
  const count = Math.max(scale.length, shift.length);
  const at = (values: readonly number[], i: number) => values[values.length === 1 ? 0 : i];
  const unit = bytes ? 255 : 1;
  const mean = Array.from({ length: count }, (_, i) => -at(shift, i) / at(scale, i) / unit);
  const deviation = Array.from({ length: count }, (_, i) => 1 / at(scale, i) / unit);
  const short = (values: number[]) =>
    (values.every((value) => value === values[0]) ? [values[0]] : values).map(rounded);
  const [means, deviations] = [short(mean), short(deviation)];
  return {
    ...(means.every((value) => value === 0) ? {} : { mean: means }),
    ...(deviations.every((value) => value === 1) ? {} : { deviation: deviations }),
  };
}

/** True if the pixels that a network takes are 0 to 255: integers, or numbers that it divides by about as much. */
const areBytes = (dtype: string, affine: NetworkBuilder['normalisation']): boolean =>
  /^[IU]\d+$/.test(dtype) || (affine?.scale.every((factor) => 1 / factor > BYTES_FROM) ?? false);

/** Without the digits that float32 does not have; -0 becomes 0. */
const rounded = (value: number) => Number(value.toPrecision(8)) + 0;

function notesOf(
  builder: NetworkBuilder,
  others: readonly OnnxValue[],
  input: OnnxValue,
  size: ImageSize,
  file: string,
): string[] {
  const { types, normalisation } = builder;
  const notes = conversionNotes(types, file);
  if (others.length > 0) {
    const names = listed(
      others.map(({ name }) => printable(name, 40)),
      120,
    );
    notes.push(`${file}: of its outputs only the first was taken; left out: ${names}.`);
  }
  if (areBytes(input.dtype, normalisation)) {
    notes.push(`${file}: it takes pixels of 0 to 255; its mean and deviation were converted to pixels of 0 to 1.`);
  }
  if (input.shape?.length === 2) {
    const { height, width, channels } = size;
    notes.push(
      `${file}: its input of ${input.shape[1]} values is taken for images of ${height} x ${width} x ${channels}.`,
    );
  }
  return notes;
}
