/** Writes ONNX files for tests, with the writer of the library that reads them; numbers of fields are those of onnx.proto. */
import { PbfWriter } from 'pbf';
import { Random } from '../../src/random.ts';

/** Numbers of element types. */
export const TYPES = {
  float: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  bfloat16: 16,
};

export interface TestTensor {
  readonly shape: readonly number[];
  readonly type: number;
  readonly write: (writer: PbfWriter) => void;
}

const raw = (shape: readonly number[], type: number, data: ArrayBufferView): TestTensor => ({
  shape,
  type,
  write: (writer) => writer.writeBytesField(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
});

/** Float32 numbers as raw bytes. */
export const floats = (shape: readonly number[], values: ArrayLike<number>): TestTensor =>
  raw(shape, TYPES.float, Float32Array.from(values));

/** Random float32 weights in -0.5..0.5. */
export function weights(shape: readonly number[], seed: number): TestTensor {
  const random = new Random(seed);
  const count = shape.reduce((product, size) => product * size, 1);
  return floats(
    shape,
    Array.from({ length: count }, () => random.nextU32() / 2 ** 32 - 0.5),
  );
}

/** Integers of 64 bits as raw bytes. */
export const wholes = (values: readonly number[], shape: readonly number[] = [values.length]): TestTensor =>
  raw(shape, TYPES.int64, BigInt64Array.from(values, BigInt));

/** Bytes of any type. */
export const bytesOf = raw;

/** Numbers in one of the typed fields of a tensor. */
export const typed = (
  shape: readonly number[],
  type: number,
  field: 'float_data' | 'int32_data' | 'int64_data' | 'double_data',
  values: readonly number[],
): TestTensor => ({
  shape,
  type,
  write(writer) {
    if (field === 'float_data') writer.writePackedFloat(4, [...values]);
    else if (field === 'double_data') writer.writePackedDouble(10, [...values]);
    else writer.writePackedVarint(field === 'int32_data' ? 5 : 7, [...values]);
  },
});

/** A tensor in another file. */
export const external = (shape: readonly number[], entries: Readonly<Record<string, string | number>>): TestTensor => ({
  shape,
  type: TYPES.float,
  write(writer) {
    for (const [key, value] of Object.entries(entries)) {
      writer.writeMessage(
        13,
        (_, entry) => {
          entry.writeStringField(1, key);
          entry.writeStringField(2, String(value));
        },
        undefined,
      );
    }
    writer.writeVarintField(14, 1);
  },
});

/** Integers and lists of them are numbers; floats are given as {float}, strings and tensors as they are. */
export type TestAttribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly graph: true }
  | TestTensor;

export interface TestNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  /** By default one, called like the node. */
  readonly outputs?: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, TestAttribute>>;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A function of a file, which nodes of its domain call by its name. */
export interface TestFunction {
  readonly name: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly TestNode[];
}

export interface TestModel {
  readonly functions?: readonly TestFunction[];
  readonly opset?: number;
  readonly nodes: readonly TestNode[];
  readonly initializers?: Readonly<Record<string, TestTensor>>;
  /** Shapes by name; by default `image` of [batch, 1, 6, 6]. */
  readonly inputs?: Readonly<Record<string, readonly (number | string)[] | undefined>>;
  /** Element type of the inputs; by default float. */
  readonly inputType?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  /** By default the last node's. */
  readonly outputs?: Readonly<Record<string, readonly (number | string)[] | undefined>>;
}

/** A node whose result has a name. */
export const node = (
  operator: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, TestAttribute>> = {},
  name = output,
): TestNode => ({ operator, inputs, outputs: [output], name, attributes });

function writeTensor({ shape, type, write }: TestTensor, name: string, writer: PbfWriter): void {
  writer.writePackedVarint(1, [...shape]);
  writer.writeVarintField(2, type);
  writer.writeStringField(8, name);
  write(writer);
}

function writeAttribute([name, value]: [string, TestAttribute], writer: PbfWriter): void {
  writer.writeStringField(1, name);
  if (typeof value === 'number') {
    writer.writeVarintField(3, value);
    writer.writeVarintField(20, 2);
  } else if (typeof value === 'string') {
    writer.writeStringField(4, value);
    writer.writeVarintField(20, 3);
  } else if ('float' in value) {
    writer.writeFloatField(2, value.float);
    writer.writeVarintField(20, 1);
  } else if ('graph' in value) {
    writer.writeMessage(6, () => {}, undefined);
    writer.writeVarintField(20, 5);
  } else if ('type' in value) {
    writer.writeMessage(5, (tensor, inner) => writeTensor(tensor, '', inner), value);
    writer.writeVarintField(20, 4);
  } else {
    for (const number of value) writer.writeVarintField(8, number);
    writer.writeVarintField(20, 7);
  }
}

function writeEntry([key, value]: [string, string], writer: PbfWriter): void {
  writer.writeStringField(1, key);
  writer.writeStringField(2, value);
}

function writeNode(
  { operator, inputs, outputs, name = '', domain = '', attributes = {}, metadata = {} }: TestNode,
  writer: PbfWriter,
) {
  for (const input of inputs) writer.writeStringField(1, input);
  for (const output of outputs ?? [name]) writer.writeStringField(2, output);
  writer.writeStringField(3, name);
  writer.writeStringField(4, operator);
  for (const attribute of Object.entries(attributes)) writer.writeMessage(5, writeAttribute, attribute);
  if (domain !== '') writer.writeStringField(7, domain);
  for (const entry of Object.entries(metadata)) writer.writeMessage(9, writeEntry, entry);
}

function writeValue(
  [name, shape, type = TYPES.float]: [string, readonly (number | string)[] | undefined, type?: number],
  writer: PbfWriter,
): void {
  writer.writeStringField(1, name);
  const writeSize = (size: number | string, inner: PbfWriter) => {
    if (typeof size === 'number') inner.writeVarintField(1, size);
    else if (size !== '') inner.writeStringField(2, size);
  };
  const writeShape = (sizes: readonly (number | string)[], inner: PbfWriter) => {
    for (const size of sizes) inner.writeMessage(1, writeSize, size);
  };
  const writeType = (_: undefined, inner: PbfWriter) => {
    inner.writeVarintField(1, type);
    if (shape) inner.writeMessage(2, writeShape, shape);
  };
  writer.writeMessage(2, (_, inner) => inner.writeMessage(1, writeType, undefined), undefined);
}

function writeFunction({ name, domain, inputs, outputs, nodes }: TestFunction, writer: PbfWriter): void {
  writer.writeStringField(1, name);
  for (const input of inputs) writer.writeStringField(4, input);
  for (const output of outputs) writer.writeStringField(5, output);
  for (const each of nodes) writer.writeMessage(7, writeNode, each);
  writer.writeStringField(10, domain);
}

/** The bytes of a file. */
export function onnxFile({
  opset = 13,
  nodes,
  initializers = {},
  inputs,
  inputType,
  outputs,
  metadata = {},
  functions = [],
}: TestModel): Uint8Array {
  const writer = new PbfWriter();
  const last = nodes.at(-1);
  const result = last?.outputs?.[0] ?? last?.name ?? 'result';
  writer.writeVarintField(1, 8);
  writer.writeStringField(2, 'test');
  writer.writeMessage(
    8,
    (_, set) => {
      set.writeStringField(1, '');
      set.writeVarintField(2, opset);
    },
    undefined,
  );
  writer.writeMessage(
    7,
    (_, graph) => {
      for (const each of nodes) graph.writeMessage(1, writeNode, each);
      for (const [name, tensor] of Object.entries(initializers)) {
        graph.writeMessage(5, (value, inner) => writeTensor(value, name, inner), tensor);
      }
      const shapes = inputs ?? { image: ['batch', 1, 6, 6] };
      for (const [name, shape] of Object.entries(shapes)) graph.writeMessage(11, writeValue, [name, shape, inputType]);
      for (const value of Object.entries(outputs ?? { [result]: undefined })) graph.writeMessage(12, writeValue, value);
    },
    undefined,
  );
  for (const entry of Object.entries(metadata)) writer.writeMessage(14, writeEntry, entry);
  for (const each of functions) writer.writeMessage(25, writeFunction, each);
  return writer.finish().slice();
}
