/**
 * Reads ONNX files (https://onnx.ai/onnx/repo-docs/IR.html), which are protocol buffers: the graph with its nodes and
 * attributes, and the tensors in it, which stay where they are until they are read. Numbers of fields are those of onnx.proto.
 */
import { PbfReader } from 'pbf';
import { DataError } from '../errors.ts';
import { listed, printable } from '../printable.ts';
import { fileKind } from './file_kind.ts';
import { type Elements, elementType, type OnnxTensor, onnxTensor } from './onnx_tensor.ts';
import { concatenated } from './safetensors.ts';
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
  /** True if it holds the body of a loop or a branch, which is not read. */
  readonly hasGraph: boolean;
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
}

/**
 * The bytes of a file that tensors of a model are in.
 * @param location path relative to the folder of the model, which it does not leave; with `/` between its parts
 * @returns undefined if there is no such file
 */
export type ExternalFiles = (location: string) => Uint8Array | undefined;

/** Messages, names and numbers of lists in a file; a network of 1000 layers has about 50,000. Tensors' elements do not count. */
const MAX_ITEMS = 500_000;
/** A node takes as much memory as this number of other messages. */
const NODE_ITEMS = 10;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** A file that is being read. */
interface Reading {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly external: (location: string) => Uint8Array | undefined;
  /** Files of tensors that are not there. */
  readonly missing: Set<string>;
  itemsLeft: number;
}

/** Reads one field of a message; fields that it does not consume are skipped. */
type FieldReader = (field: number, reader: PbfReader) => void;

/** True if the bytes begin as those of ONNX files: the version of the format, and then another field of the model. */
export function isOnnx(bytes: Uint8Array): boolean {
  // Producer, its version, domain, version of the model, text, graph, operators.
  return (
    bytes[0] === 0x08 &&
    bytes[1] > 0 &&
    bytes[1] < 0x40 &&
    [0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42].includes(bytes[2])
  );
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
    const kind = fileKind(bytes);
    throw new DataError(
      `${file}: ${kind ? `${kind.what}, not` : 'not'} an ONNX file; give a file of torch.onnx.export`,
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
  readMessage(reading, reading.bytes, 'model', (field, reader) => {
    if (field === 2) producer = textOf(reading, reader);
    else if (field === 3) version = textOf(reading, reader);
    else if (field === 7) graph = readGraph(reading, bytesOf(reading, reader));
    else if (field === 8) {
      const [domain, number] = readOpset(reading, bytesOf(reading, reader));
      opsets.set(domain, number);
    } else if (field === 14) metadata.set(...readEntry(reading, bytesOf(reading, reader)));
  });
  if (!graph) throw new DataError(`${reading.file}: it has no graph; it is truncated, fetch it again`);
  const opset = opsets.get('') ?? opsets.get('ai.onnx');
  if (opset === undefined) {
    throw new DataError(`${reading.file}: it does not say its version of the operators; export it again`);
  }
  const { nodes, initializers, outputs } = graph;
  // Before version 4 of the format every initializer was an input, too.
  const inputs = graph.inputs.filter(({ name }) => !initializers.has(name));
  const program = [producer, version].filter(Boolean).join(' ');
  return { producer: program, opset, nodes, initializers, inputs, outputs, metadata };
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
  const single: { name: string; float?: number; int?: number; text?: string; tensor?: OnnxTensor } = { name: '' };
  const floats: number[] = [];
  const ints: number[] = [];
  let hasGraph = false;
  let type = 0;
  readMessage(reading, bytes, 'attribute', (field, reader) => {
    if (field === 1) single.name = textOf(reading, reader);
    else if (field === 2) single.float = floatOf(reading, reader);
    else if (field === 3) single.int = integerOf(reading, reader);
    else if (field === 4) single.text = textOf(reading, reader);
    else if (field === 5) single.tensor = readTensor(reading, bytesOf(reading, reader));
    else if (field === 6 || field === 11) hasGraph = true;
    else if (field === 7) addFloats(reading, reader, floats);
    else if (field === 8) addIntegers(reading, reader, ints);
    else if (field === 20) type = integerOf(reading, reader);
  });
  // Some writers leave out zeros and empty texts.
  if (type === 1) single.float ??= 0;
  if (type === 2) single.int ??= 0;
  if (type === 3) single.text ??= '';
  return { ...single, floats, ints, hasGraph };
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

function readEntry(reading: Reading, bytes: Uint8Array): [key: string, value: string] {
  let key = '';
  let value = '';
  readMessage(reading, bytes, 'entry', (field, reader) => {
    if (field === 1) key = textOf(reading, reader);
    else if (field === 2) value = textOf(reading, reader);
  });
  return [key, value];
}

function readTensor(reading: Reading, bytes: Uint8Array): OnnxTensor {
  let name = '';
  let type = 0;
  const shape: number[] = [];
  let raw: Uint8Array | undefined;
  const floats: Uint8Array[] = [];
  const varints: Uint8Array[] = [];
  let isExternal = false;
  let isSegment = false;
  const external = new Map<string, string>();
  readMessage(reading, bytes, 'tensor', (field, reader) => {
    if (field === 1) addIntegers(reading, reader, shape);
    else if (field === 2) type = integerOf(reading, reader);
    else if (field === 3) isSegment = true;
    else if (field === 4) floats.push(numbersOf(reading, reader, FIXED32));
    else if (field === 10) floats.push(numbersOf(reading, reader, FIXED64));
    else if (field === 5 || field === 7 || field === 11) varints.push(numbersOf(reading, reader, VARINT));
    else if (field === 8) name = textOf(reading, reader);
    else if (field === 9) raw = bytesOf(reading, reader);
    else if (field === 13) external.set(...readEntry(reading, bytesOf(reading, reader)));
    else if (field === 14) isExternal = integerOf(reading, reader) === 1;
  });
  const where = `${reading.file}: tensor ${printable(name, 60) || 'without a name'}`;
  if (isSegment) throw new DataError(`${where}: it is stored in segments, which are not read; export it again`);
  if (isExternal) {
    const count = shape.reduce((product, size) => product * size, 1);
    const found = externalBytes(reading, external, where);
    // The tensor of a file that is not there is replaced by an empty one; all such files are named together later.
    return found
      ? onnxTensor(name, type, shape, { kind: 'bytes', bytes: found }, where)
      : onnxTensor(name, type, [0], { kind: 'bytes', bytes: new Uint8Array() }, `${where} [${count}]`);
  }
  let elements: Elements;
  if (raw || varints.length === 0)
    elements = { kind: 'bytes', bytes: raw ?? (floats.length === 1 ? floats[0] : concatenated(floats)) };
  else elements = { kind: 'varints', parts: varints };
  return onnxTensor(name, type, shape, elements, where);
}

/** The bytes of a tensor in another file; undefined if there is no such file. @throws DataError */
function externalBytes(reading: Reading, entries: ReadonlyMap<string, string>, where: string): Uint8Array | undefined {
  const location = (entries.get('location') ?? '').replace(/^(\.\/)+/, '');
  const parts = location.split('/');
  if (location === '' || /[\\:\0]/.test(location) || parts.includes('') || parts.includes('..')) {
    throw new DataError(
      `${where}: its file ${JSON.stringify(printable(location, 80))} is not in the folder of the network; export it again`,
    );
  }
  const bytes = reading.external(location);
  if (!bytes) {
    reading.missing.add(location);
    return undefined;
  }
  const offset = Number(entries.get('offset') ?? 0);
  const length = Number(entries.get('length') ?? bytes.length - offset);
  const isCount = (n: number) => Number.isSafeInteger(n) && n >= 0;
  if (!isCount(offset) || !isCount(length) || offset + length > bytes.length) {
    throw new DataError(
      `${where}: it is bytes ${offset} to ${offset + length} of ${printable(location, 60)}, which has ${bytes.length}; ` +
        'fetch both files again',
    );
  }
  return bytes.subarray(offset, offset + length);
}

/** Calls `read` with every field of a message. @throws DataError if its fields do not end where it ends */
function readMessage(reading: Reading, bytes: Uint8Array, what: string, read: FieldReader): void {
  spend(reading, 1);
  const reader = new PbfReader(bytes);
  reader.readFields((field) => read(field, reader), undefined);
  if (reader.pos !== bytes.length) throw damaged(reading, reader, `a ${what} ends in the middle of a field`);
}

function damaged({ file, bytes }: Reading, reader: PbfReader, problem: string): DataError {
  const at = reader.buf.byteOffset - bytes.byteOffset + Math.min(reader.pos, reader.buf.length);
  return new DataError(`${file}: byte ${at}: ${problem}; the file is truncated or damaged, fetch it again`);
}

function spend(reading: Reading, items: number): void {
  reading.itemsLeft -= items;
  if (reading.itemsLeft < 0) {
    throw new DataError(`${reading.file}: it has more than ${MAX_ITEMS} nodes, names and numbers; the file is damaged`);
  }
}

function require(reading: Reading, reader: PbfReader, type: number): void {
  if (reader.type !== type) throw damaged(reading, reader, 'a field has another type than ONNX gives it');
}

/** The bytes of a field that has a length, without a copy. @throws DataError if there are fewer */
function bytesOf(reading: Reading, reader: PbfReader): Uint8Array {
  require(reading, reader, BYTES);
  const length = reader.readVarint();
  const left = reader.length - reader.pos;
  if (!(length <= left)) throw damaged(reading, reader, `a field has ${length} bytes, ${Math.max(0, left)} are left`);
  const begin = reader.pos;
  reader.pos += length;
  return reader.buf.subarray(begin, reader.pos);
}

function textOf(reading: Reading, reader: PbfReader): string {
  spend(reading, 1);
  return new TextDecoder().decode(bytesOf(reading, reader));
}

function integerOf(reading: Reading, reader: PbfReader): number {
  require(reading, reader, VARINT);
  return reader.readVarint(true);
}

function floatOf(reading: Reading, reader: PbfReader): number {
  require(reading, reader, FIXED32);
  return reader.readFloat();
}

/** Adds the numbers of a field: one, or a list of them as writers pack it. */
function addIntegers(reading: Reading, reader: PbfReader, numbers: number[]): void {
  const bytes = numbersOf(reading, reader, VARINT);
  const inner = new PbfReader(bytes);
  while (inner.pos < bytes.length) {
    spend(reading, 1);
    numbers.push(inner.readVarint(true));
  }
  if (inner.pos !== bytes.length) throw damaged(reading, inner, 'a list of numbers ends in the middle of one');
}

function addFloats(reading: Reading, reader: PbfReader, numbers: number[]): void {
  const bytes = numbersOf(reading, reader, FIXED32);
  if (bytes.length % 4 !== 0) throw damaged(reading, reader, 'a list of numbers ends in the middle of one');
  spend(reading, bytes.length / 4);
  const inner = new PbfReader(bytes);
  while (inner.pos < bytes.length) numbers.push(inner.readFloat());
}

/** The bytes of a field's numbers: of one, or of a list of them as writers pack it. @param type of one number */
function numbersOf(reading: Reading, reader: PbfReader, type: number): Uint8Array {
  if (reader.type === BYTES) return bytesOf(reading, reader);
  require(reading, reader, type);
  // Numbers that are not packed come one by one, and need memory each.
  spend(reading, 1);
  const begin = reader.pos;
  reader.skip(type);
  if (reader.pos > reader.length) throw damaged(reading, reader, 'a number ends in the middle');
  return reader.buf.subarray(begin, reader.pos);
}
