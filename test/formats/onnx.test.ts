import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PbfWriter } from 'pbf';
import { describe, expect, it, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { isOnnx } from '../../src/formats/foreign.ts';
import { readOnnx } from '../../src/formats/onnx.ts';
import { onnxNetwork } from '../../src/models/onnx_network.ts';
import { fuzz } from '../support/fuzz.ts';
import { longTest } from '../support/long.ts';
import {
  bytesOf,
  external,
  floats,
  node,
  onnxFile,
  type TestTensor,
  TYPES,
  typed,
  weights,
  wholes,
} from '../support/onnx.ts';

const NETWORKS = fileURLToPath(new URL('../fixtures/networks/', import.meta.url));
const fixture = (name: string) => readFileSync(`${NETWORKS}${name}`);
const reading = (tensor: TestTensor) =>
  readOnnx(onnxFile({ nodes: [node('Relu', ['image'], 'y')], initializers: { w: tensor } }), 'n.onnx').initializers.get(
    'w',
  )!;

function messageOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return (error as DataError).message;
  }
  throw new Error('nothing was thrown');
}

describe('ONNX files as models', () => {
  it('nodes, attributes, inputs and producer of a file of PyTorch are read', () => {
    const model = readOnnx(fixture('lenet.onnx'), 'lenet.onnx');
    expect(model).toMatchObject({ producer: 'pytorch 1.13.0', opset: 13 });
    expect(model.inputs).toEqual([{ name: 'image', dtype: 'F32', shape: ['batch', 1, 32, 32] }]);
    expect(model.outputs).toEqual([{ name: 'logits', dtype: 'F32', shape: ['batch', 10] }]);
    const [conv] = model.nodes;
    expect(conv).toMatchObject({ name: '/0/Conv', operator: 'Conv', domain: '', outputs: ['/0/Conv_output_0'] });
    expect(conv.inputs).toEqual(['image', '0.weight', '0.bias']);
    expect(conv.attributes.get('pads')?.ints).toEqual([2, 2, 2, 2]);
    expect(model.nodes.at(-1)?.attributes.get('alpha')?.float).toBe(1);
    expect(model.nodes[2].attributes.get('value')?.tensor?.read()).toEqual(new BigInt64Array(8));
    expect(model.initializers.get('7.weight')).toMatchObject({ dtype: 'F32', shape: [40, 576], count: 23040 });
  });

  it('aligned tensors are views of the file, at any place of the file', () => {
    const file = onnxFile({ nodes: [node('Relu', ['image'], 'y')], initializers: { w: floats([3], [1, 2, 3]) } });
    const views = [0, 1, 2, 3].map((shift) => {
      const moved = new Uint8Array(new ArrayBuffer(file.length + shift), shift);
      moved.set(file);
      const data = readOnnx(moved, 'n').initializers.get('w')!.read();
      expect([...data]).toEqual([1, 2, 3]);
      return data.buffer === moved.buffer;
    });
    expect(views.filter((isView) => isView)).toHaveLength(1);
  });

  it.each([
    ['float_data', typed([2], TYPES.float, 'float_data', [0.5, -2]), [0.5, -2]],
    ['double_data', typed([2], TYPES.double, 'double_data', [0.1, -2]), [0.1, -2]],
    ['int32_data', typed([3], TYPES.int32, 'int32_data', [1, -2, 2 ** 31 - 1]), [1, -2, 2 ** 31 - 1]],
    ['int32_data of int8', typed([2], TYPES.int8, 'int32_data', [127, -128]), [127, -128]],
    ['int32_data of booleans', typed([2], TYPES.bool, 'int32_data', [1, 0]), [1, 0]],
    ['int32_data of half floats', typed([2], TYPES.float16, 'int32_data', [0x3c00, 0xc000]), [0x3c00, 0xc000]],
    ['int64_data', typed([3], TYPES.int64, 'int64_data', [3, -1, 2 ** 40]), [3n, -1n, 2n ** 40n]],
    ['raw integers', wholes([5, -6]), [5n, -6n]],
    ['raw half floats', bytesOf([2], TYPES.bfloat16, Uint16Array.of(0x3f80, 0xbf80)), [0x3f80, 0xbf80]],
  ])('the elements of %s are read', (_, tensor, expected) => {
    const read = reading(tensor);
    expect([...read.read()]).toEqual(expected);
    expect([...read.read(1, 2)]).toEqual([expected[1]]);
  });

  it('numbers of lists that are not packed are read, too', () => {
    const unpacked: TestTensor = {
      shape: [2],
      type: TYPES.float,
      write(writer) {
        writer.writeFloatField(4, 1.5);
        writer.writeFloatField(4, 2.5);
      },
    };
    expect([...reading(unpacked).read()]).toEqual([1.5, 2.5]);
  });

  it('tensors of types that are not read are named when they are read', () => {
    const tensor = reading(bytesOf([2], TYPES.string, new Uint8Array(0)));
    expect(messageOf(() => tensor.read())).toBe(
      'n.onnx: tensor w: tensors of string are not read; export the network with float weights',
    );
  });
});

describe('tensors of ONNX in other files', () => {
  const model = (...locations: string[]) =>
    onnxFile({
      nodes: [node('Relu', ['image'], 'y')],
      initializers: Object.fromEntries(
        locations.map((location, i) => [`w${i}`, external([2], { location, offset: 8 * i, length: 8 })]),
      ),
    });
  const data = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);

  it('each file is asked for once, and its tensors are views of it', () => {
    const asked: string[] = [];
    const { initializers } = readOnnx(model('net.data', './net.data'), 'n', (location) => {
      asked.push(location);
      return data;
    });
    expect(asked).toEqual(['net.data']);
    expect([...initializers.values()].map((tensor) => [...tensor.read()])).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(initializers.get('w1')!.read().buffer).toBe(data.buffer);
  });

  it('all files that are not there are named', () => {
    expect(messageOf(() => readOnnx(model('a.bin', 'parts/b.bin'), 'n.onnx'))).toBe(
      'n.onnx: its weights are in a.bin, parts/b.bin, which is not there; put it beside the file',
    );
  });

  it.each(['../secret', 'a/../../b', '/etc/passwd', 'C:\\data', 'a\\..\\b', '', 'a//b'])(
    'the path %j is refused',
    (location) => {
      const read = () => readOnnx(model(location), 'n.onnx', () => data);
      expect(messageOf(read)).toMatch(
        /^n\.onnx: tensor w0: its file ".*" is not in the folder of the network; export it again$/,
      );
    },
  );

  it('a part beyond the end of the file is refused', () => {
    expect(messageOf(() => readOnnx(model('a', 'a', 'a'), 'n.onnx', () => data))).toBe(
      'n.onnx: tensor w2: it is bytes 16 to 24 of a, which has 16; fetch both files again',
    );
  });
});

describe('ONNX files that are damaged', () => {
  const whole = fixture('mlp3.onnx');

  it.each([40, 1000, 50_000, whole.length - 1])('a file that is cut after %i bytes is called truncated', (length) => {
    expect(messageOf(() => readOnnx(whole.subarray(0, length), 'n.onnx'))).toMatch(
      /^n\.onnx: byte \d+: a field has \d+ bytes, \d+ are left; the file is truncated or damaged, fetch it again$|has no graph/,
    );
  });

  it('files of other kinds are named', () => {
    expect(messageOf(() => readOnnx(fixture('mlp3.pth'), 'm.onnx'))).toBe(
      'm.onnx: a PyTorch file, not an ONNX file; give a file of torch.onnx.export',
    );
    expect(messageOf(() => readOnnx(new Uint8Array(0), 'm.onnx'))).toMatch(/^m\.onnx: an empty file/);
    expect([isOnnx(whole), isOnnx(fixture('mlp3.safetensors'))]).toEqual([true, false]);
  });

  it.each([
    [floats([3], [1, 2]), 'F32 [3] needs 12 bytes, the file has 8; it is damaged, fetch it again'],
    [floats([-1], []), 'its shape [-1] is not a list of sizes; the file is damaged'],
    [
      floats([2 ** 31, 2 ** 31], []),
      'its shape [2147483648,2147483648] has more elements than a file; the file is damaged',
    ],
    [floats(Array<number>(65).fill(1), [1]), 'its shape [1,1,1,1,1,1,1,1] is not a list of sizes; the file is damaged'],
  ])('a tensor whose shape does not fit is refused: %o', (tensor, message) => {
    expect(messageOf(() => reading(tensor))).toBe(`n.onnx: tensor w: ${message}`);
  });

  it('a tensor of numbers of variable length needs no memory that the file does not have', () => {
    const tensor = reading(typed([2 ** 31], TYPES.int64, 'int64_data', [1, 2]));
    expect(messageOf(() => tensor.read())).toBe(
      'n.onnx: tensor w: needs 2147483648 elements, the file has at most 2; it is damaged, fetch it again',
    );
  });

  it('a number of variable length that does not end is an error of its tensor', () => {
    const endless: TestTensor = {
      shape: [1],
      type: TYPES.int64,
      write: (writer) => writer.writeBytesField(7, new Uint8Array(11).fill(0xff)),
    };
    expect(() => reading(endless).read()).toThrow(DataError);
    expect(messageOf(() => reading(endless).read())).toMatch(
      /^n\.onnx: tensor w: cannot be read \(.*\); give another file/,
    );
  });

  it('a file of many empty nodes, and one of deeply nested messages, are read in bounds', () => {
    const many = new PbfWriter();
    many.writeVarintField(1, 8);
    many.writeBytesField(
      7,
      new Uint8Array(200_000).map((_, i) => (i % 2 === 0 ? 0x0a : 0)),
    );
    expect(messageOf(() => readOnnx(many.finish(), 'n'))).toMatch(/more than 500000 nodes, names and numbers/);
    let nested = new Uint8Array(0);
    for (let depth = 0; depth < 2000; depth++) {
      const writer = new PbfWriter();
      // A node with an attribute that is a graph, or a graph with a node.
      writer.writeBytesField(depth % 3 === 1 ? 5 : depth % 3 === 2 ? 1 : 6, nested);
      nested = writer.finish().slice();
    }
    const deep = new PbfWriter();
    deep.writeVarintField(1, 8);
    deep.writeBytesField(7, nested);
    expect(messageOf(() => readOnnx(deep.finish(), 'n'))).toMatch(/version of the operators/);
  });
});

describe('mutated files of ONNX', () => {
  const small = readdirSync(`${NETWORKS}exports`)
    .filter((name) => name.endsWith('.onnx'))
    .map((name) => fixture(`exports/${name}`));
  const chains = onnxFile({
    nodes: [
      node('Shape', ['image'], 's'),
      node('ConstantOfShape', ['n'], 'c'),
      node('Concat', ['n', 'n'], 'm', { axis: 0 }),
      node('Expand', ['f', 'm'], 'e'),
      node('Range', ['a', 'b', 'a'], 'r'),
      node('Gather', ['s', 'a'], 'g', { axis: 0 }),
      node('Split', ['n'], 'p', { axis: 0 }),
      node('Mul', ['c', 'e'], 'x'),
      node('Pad', ['image', 'zeros'], 'q'),
      node('Add', ['q', 'f'], 'y'),
    ],
    initializers: {
      n: wholes([3]),
      f: weights([1], 1),
      a: wholes([1], []),
      b: wholes([9], []),
      zeros: wholes([0, 0, 0, 0, 0, 0, 0, 0]),
    },
    outputs: { y: undefined },
  });
  const read = (bytes: Uint8Array) => {
    const model = readOnnx(bytes, 'n.onnx', () => new Uint8Array(1000));
    for (const tensor of model.initializers.values()) tensor.count < 1e6 && onlyTyped(() => tensor.read());
    onlyTyped(() => onnxNetwork(model, 'n.onnx'));
  };
  const onlyTyped = (call: () => unknown) => {
    try {
      call();
    } catch (error) {
      if (!(error instanceof DataError) || error.message.length > 500) throw error;
    }
  };

  test('every mutation of a file of ONNX gives a network or a typed error', async () => {
    const { tried, values, errors, failures } = await fuzz(read, [...small, chains], 1500, 1);
    expect(failures).toEqual([]);
    expect(values + errors).toBe(tried);
    expect(values).toBeGreaterThan(0);
    expect(errors).toBeGreaterThan(0);
  });

  longTest('every one of 50,000 mutations of a file of ONNX gives a network or a typed error', 30, async () => {
    const { failures, ...counts } = await fuzz(read, [...small, chains], 50_000, 2);
    console.error(`ONNX: ${JSON.stringify(counts)}`);
    expect(failures).toEqual([]);
  });
});
