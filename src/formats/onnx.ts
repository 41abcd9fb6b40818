/**
 * Reads ONNX files (https://onnx.ai/onnx/repo-docs/IR.html), which are protocol buffers: the graph with its nodes and
 * attributes, and the tensors in it, which stay where they are until they are read. Numbers of fields are those of onnx.proto.
 */
import { DataError } from '../errors.ts';
import { listed, printable } from '../printable.ts';
import type { ExternalFiles } from './external_files.ts';
import { foreignFormat, isOnnx } from './foreign.ts';
import { elementType, type OnnxTensor, readEntry, readTensor, type TensorSource } from './onnx_tensor.ts';
import {
  addFloats,
  addIntegers,
  bytesOf,
  floatOf,
  integerOf,
  MAX_ITEMS,
  readMessage,
  spend,
  textOf,
} from './protobuf.ts';
import { guardReading } from './stored_tensor.ts';

export interface OnnxAttribute {
  readonly name: string;
  readonly float?: number;
  /** Beyond 2^53 only nearly exact. */
  readonly int?: number;
  readonly text?: string;
  readonly tensor?: OnnxTensor;
  readonly floats: readonly number[];
  readonly ints: readonly number[];
  /** A branch of If, or the body of a loop. */
  readonly graph?: OnnxGraph;
  /** The attribute of the function around the node that it takes its value from. */
  readonly reference?: string;
}

export interface OnnxNode {
  /** Often empty, and not always unique. */
  readonly name: string;
  readonly operator: string;
  /** Empty for the operators of ONNX itself. */
  readonly domain: string;
  /** Names of values; an empty name is an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, OnnxAttribute>;
  /** What the exporter adds, such as the modules that a node came from. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** Nodes inside an attribute; they also read values of the graph around it. */
export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  /** Tensors by the names of their values. */
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  /** Names of values. */
  readonly results: readonly string[];
}

/** A function that a file defines, which nodes call as an operator. */
export interface OnnxFunction {
  readonly name: string;
  readonly domain: string;
  /** Names of values. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes that a call may leave out, with their values. */
  readonly defaults: ReadonlyMap<string, OnnxAttribute>;
  readonly nodes: readonly OnnxNode[];
}

/** An input or output of a graph. */
export interface OnnxValue {
  readonly name: string;
  /** As safetensors files call it, or ONNX's name; empty if it is no tensor. */
  readonly dtype: string;
  /** Sizes; a size that is not fixed is a name, perhaps an empty one. Undefined if the file does not say. */
  readonly shape?: readonly (number | string)[];
}

export interface OnnxModel {
  /** The program that wrote the file, and its version. */
  readonly producer: string;
  /** Version of the operators of ONNX itself. */
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  /** Tensors by the names of their values. */
  readonly initializers: ReadonlyMap<string, OnnxTensor>;
  /** The inputs that are no initializers. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** What programs add to a file: texts by their keys. */
  readonly metadata: ReadonlyMap<string, string>;
  readonly functions: readonly OnnxFunction[];
}

/** A node takes as much memory as this number of other messages. */
const NODE_ITEMS = 10;
/** Branches inside branches. */
const MAX_DEPTH = 16;

/** A file that is being read. */
interface Reading extends TensorSource {
  /** How many branches the graph that is being read lies in. */
  depth: number;
}

/**
 * Reads a model. Its tensors are views of `bytes`, which must not change.
 *
 * @param file name, for messages
 * @param external the files beside it that hold tensors, if there are any
 * @throws DataError for another format, a damaged file, and files of tensors that are not there, which are named
 */
export function readOnnx(bytes: Uint8Array, file: string, external: ExternalFiles = () => undefined): OnnxModel {
  if (!isOnnx(bytes)) {
    const format = foreignFormat(bytes, 'network');
    throw new DataError(
      `${file}: ${format ? `${format.name}, not` : 'not'} an ONNX file; give a file of torch.onnx.export`,
    );
  }
  const files = new Map<string, Uint8Array | undefined>();
  const reading: Reading = {
    file,
    bytes,
    external(location) {
      if (!files.has(location)) files.set(location, external(location));
      return files.get(location);
    },
    missing: new Set(),
    itemsLeft: MAX_ITEMS,
    depth: 0,
  };
  const model = guardReading(file, () => readModel(reading));
  if (reading.missing.size > 0) {
    const names = listed(
      [...reading.missing].map((name) => printable(name, 60)),
      180,
    );
    throw new DataError(`${file}: its weights are in ${names}, which is not there; put it beside the file`);
  }
  return model;
}

function readModel(reading: Reading): OnnxModel {
  let producer = '';
  let version = '';
  const opsets = new Map<string, number>();
  const metadata = new Map<string, string>();
  let graph: Graph | undefined;
  const functions: OnnxFunction[] = [];
  readMessage(reading, reading.bytes, 'model', (field, reader) => {
    if (field === 2) producer = textOf(reading, reader);
    else if (field === 3) version = textOf(reading, reader);
    else if (field === 7) graph = readGraph(reading, bytesOf(reading, reader));
    else if (field === 8) {
      const [domain, number] = readOpset(reading, bytesOf(reading, reader));
      opsets.set(domain, number);
    } else if (field === 14) metadata.set(...readEntry(reading, bytesOf(reading, reader)));
    else if (field === 25) functions.push(readFunction(reading, bytesOf(reading, reader)));
  });
  if (!graph) throw new DataError(`${reading.file}: it has no graph; it is truncated, fetch it again`);
  const opset = opsets.get('') ?? opsets.get('ai.onnx');
  if (opset === undefined) {
    throw new DataError(`${reading.file}: it does not say its version of the operators; export it again`);
  }
  const { nodes, initializers, outputs } = graph;
  // Before version 4 of the format every initializer was an input, too.
  const inputs = graph.inputs.filter(({ name }) => !initializers.has(name));
  return {
    producer: [producer, version].filter(Boolean).join(' '),
    opset,
    nodes,
    initializers,
    inputs,
    outputs,
    functions,
    metadata,
  };
}

function readFunction(reading: Reading, bytes: Uint8Array): OnnxFunction {
  let name = '';
  let domain = '';
  const inputs: string[] = [];
  const outputs: string[] = [];
  const defaults = new Map<string, OnnxAttribute>();
  const nodes: OnnxNode[] = [];
  readMessage(reading, bytes, 'function', (field, reader) => {
    if (field === 1) name = textOf(reading, reader);
    else if (field === 4) inputs.push(textOf(reading, reader));
    else if (field === 5) outputs.push(textOf(reading, reader));
    else if (field === 7) nodes.push(readNode(reading, bytesOf(reading, reader)));
    else if (field === 10) domain = textOf(reading, reader);
    else if (field === 11) {
      const attribute = readAttribute(reading, bytesOf(reading, reader));
      defaults.set(attribute.name, attribute);
    }
  });
  return { name, domain, inputs, outputs, defaults, nodes };
}

function readOpset(reading: Reading, bytes: Uint8Array): [domain: string, version: number] {
  let domain = '';
  let version = 0;
  readMessage(reading, bytes, 'operator set', (field, reader) => {
    if (field === 1) domain = textOf(reading, reader);
    else if (field === 2) version = integerOf(reading, reader);
  });
  return [domain, version];
}

interface Graph extends Pick<OnnxModel, 'nodes' | 'inputs' | 'outputs'> {
  readonly initializers: Map<string, OnnxTensor>;
}

function readGraph(reading: Reading, bytes: Uint8Array): Graph {
  const nodes: OnnxNode[] = [];
  const initializers = new Map<string, OnnxTensor>();
  const inputs: OnnxValue[] = [];
  const outputs: OnnxValue[] = [];
  readMessage(reading, bytes, 'graph', (field, reader) => {
    if (field === 1) nodes.push(readNode(reading, bytesOf(reading, reader)));
    else if (field === 5) {
      const tensor = readTensor(reading, bytesOf(reading, reader));
      initializers.set(tensor.name, tensor);
    } else if (field === 11) inputs.push(readValue(reading, bytesOf(reading, reader)));
    else if (field === 12) outputs.push(readValue(reading, bytesOf(reading, reader)));
    else if (field === 15) {
      throw new DataError(`${reading.file}: sparse weights are not read; export the network with dense ones`);
    }
  });
  return { nodes, initializers, inputs, outputs };
}

function readNode(reading: Reading, bytes: Uint8Array): OnnxNode {
  spend(reading, NODE_ITEMS);
  const node = { name: '', operator: '', domain: '' };
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, OnnxAttribute>();
  const metadata = new Map<string, string>();
  readMessage(reading, bytes, 'node', (field, reader) => {
    if (field === 1) inputs.push(textOf(reading, reader));
    else if (field === 2) outputs.push(textOf(reading, reader));
    else if (field === 3) node.name = textOf(reading, reader);
    else if (field === 4) node.operator = textOf(reading, reader);
    else if (field === 5) {
      const attribute = readAttribute(reading, bytesOf(reading, reader));
      attributes.set(attribute.name, attribute);
    } else if (field === 7) node.domain = textOf(reading, reader);
    else if (field === 9) metadata.set(...readEntry(reading, bytesOf(reading, reader)));
  });
  const domain = node.domain === 'ai.onnx' ? '' : node.domain;
  return { ...node, domain, inputs, outputs, attributes, metadata };
}

function readAttribute(reading: Reading, bytes: Uint8Array): OnnxAttribute {
  const single: { -readonly [K in keyof Omit<OnnxAttribute, 'floats' | 'ints'>]: OnnxAttribute[K] } = { name: '' };
  const floats: number[] = [];
  const ints: number[] = [];
  let type = 0;
  readMessage(reading, bytes, 'attribute', (field, reader) => {
    if (field === 1) single.name = textOf(reading, reader);
    else if (field === 2) single.float = floatOf(reading, reader);
    else if (field === 3) single.int = integerOf(reading, reader);
    else if (field === 4) single.text = textOf(reading, reader);
    else if (field === 5) single.tensor = readTensor(reading, bytesOf(reading, reader));
    else if (field === 6) single.graph = readBranch(reading, bytesOf(reading, reader));
    else if (field === 21) single.reference = textOf(reading, reader);
    else if (field === 7) addFloats(reading, reader, floats);
    else if (field === 8) addIntegers(reading, reader, ints);
    else if (field === 20) type = integerOf(reading, reader);
  });
  // Some writers leave out zeros and empty texts.
  if (type === 1) single.float ??= 0;
  if (type === 2) single.int ??= 0;
  if (type === 3) single.text ??= '';
  return { ...single, floats, ints };
}

function readBranch(reading: Reading, bytes: Uint8Array): OnnxGraph {
  if (reading.depth === MAX_DEPTH) throw new DataError(`${reading.file}: branches in branches; the file is damaged`);
  reading.depth++;
  const { nodes, initializers, outputs } = readGraph(reading, bytes);
  reading.depth--;
  return { nodes, initializers, results: outputs.map(({ name }) => name) };
}

function readValue(reading: Reading, bytes: Uint8Array): OnnxValue {
  let name = '';
  let type = { dtype: '', shape: undefined as OnnxValue['shape'] };
  readMessage(reading, bytes, 'value', (field, reader) => {
    if (field === 1) name = textOf(reading, reader);
    else if (field === 2) {
      readMessage(reading, bytesOf(reading, reader), 'type', (kind, inner) => {
        if (kind === 1) type = readTensorType(reading, bytesOf(reading, inner));
      });
    }
  });
  return { name, ...type };
}

function readTensorType(reading: Reading, bytes: Uint8Array) {
  let dtype = '';
  let shape: (number | string)[] | undefined;
  readMessage(reading, bytes, 'type of a tensor', (field, reader) => {
    if (field === 1) dtype = elementType(integerOf(reading, reader));
    else if (field === 2) {
      const sizes: (number | string)[] = [];
      readMessage(reading, bytesOf(reading, reader), 'shape', (part, inner) => {
        if (part === 1) sizes.push(readSize(reading, bytesOf(reading, inner)));
      });
      shape = sizes;
    }
  });
  return { dtype, shape };
}

function readSize(reading: Reading, bytes: Uint8Array): number | string {
  let size: number | string = '';
  readMessage(reading, bytes, 'size', (field, reader) => {
    if (field === 1) size = integerOf(reading, reader);
    else if (field === 2) size = textOf(reading, reader);
  });
  return size;
}
