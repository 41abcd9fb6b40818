import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readOnnx } from '../../src/formats/onnx.ts';
import { readSafetensors } from '../../src/formats/safetensors.ts';
import { importOnnx } from '../../src/models/onnx_file.ts';
import { type ImageSize, onnxNetwork } from '../../src/models/onnx_network.ts';
import { networkForward } from '../reference/network.ts';
import { expectAllclose } from '../support/allclose.ts';
import {
  floats,
  node,
  onnxFile,
  type TestModel,
  type TestNode,
  TYPES,
  typed,
  weights,
  wholes,
} from '../support/onnx.ts';

const NETWORKS = fileURLToPath(new URL('../fixtures/networks/', import.meta.url));
const file = (name: string) => readFileSync(`${NETWORKS}${name}`);
const imported = (name: string) => onnxNetwork(readOnnx(file(`${name}.onnx`), name), name);
const network = (model: TestModel, image?: ImageSize) =>
  onnxNetwork(readOnnx(onnxFile(model), 'n.onnx'), 'n.onnx', image);
/** The layers of a network without their names. */
const layersOf = (model: TestModel) => network(model).description.layers.map(({ name: _, ...layer }) => layer);

/** Compares the logits of a network with PyTorch's. */
function expectGolden(name: string, golden: string): void {
  const { description, tensors } = imported(name);
  const { tensors: expected } = readSafetensors(file(golden), golden);
  const results = networkForward(description, tensors, expected.get('x')!.data as Float32Array);
  const { values } = [...results.values()].at(-1)!;
  const logits = expected.get('logits')!.data as Float32Array;
  const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expectAllclose(values, logits, { relative: 1e-5, absolute: 1e-6 * largest }, name);
}

describe('the names of classes in an ONNX file', () => {
  const named = (classNames: string) =>
    importOnnx(
      onnxFile({
        nodes: [node('Flatten', ['image'], 'flat'), node('Gemm', ['flat', 'fc.weight'], 'y', { transB: 1 })],
        initializers: { 'fc.weight': weights([2, 36], 1) },
        metadata: { author: 'somebody', classNames },
      }),
      'n.onnx',
    );

  it.each(['["dog", "cat"]', 'dog\ncat\n'])('%j are those of the network', (text) => {
    const { spec, notes } = named(text);
    expect(spec.description).toMatchObject({ name: 'n', classNames: ['dog', 'cat'] });
    expect(notes).toEqual([]);
  });

  it.each([
    ['["dog", "dog"]', 'dog appears twice'],
    ['["dog", "cat", "ant"]', 'its 3 classNames are not used: it has 2 outputs'],
  ])('%j are not used, which is said', (text, message) => {
    const { spec, notes } = named(text);
    expect(spec.description).not.toHaveProperty('classNames');
    expect(notes.join()).toContain(message);
  });
});

describe('networks as PyTorch exports them', () => {
  test.each(['lenet', 'mlp3', 'mobile', 'resnet_rgb', 'vgg_rgb'])(
    'the logits of %s agree with the golden ones',
    (name) => {
      expectGolden(name, `${name}.safetensors`);
    },
  );

  const exported = readdirSync(`${NETWORKS}exports`).filter((name) => name.endsWith('.onnx'));
  test.each(exported.map((name) => basename(name, '.onnx')))(
    'the logits of the export %s agree with PyTorch',
    (name) => {
      expectGolden(`exports/${name}`, `exports/${name.split(/_(?=torchscript|dynamo)/)[0]}.safetensors`);
    },
  );

  it('layers have the names of their modules, also where the batch normalisation was folded', () => {
    const { description, tensors } = imported('resnet_rgb');
    expect(description.layers.map(({ name }) => name).slice(0, 11)).toEqual([
      'conv1',
      'relu1',
      'layers.0.conv1',
      'layers.0.relu',
      'layers.0.conv2',
      'layers.0.add',
      'layers.0.relu_2',
      'layers.1.conv1',
      'layers.1.relu',
      'layers.1.conv2',
      'layers.1.downsample.0',
    ]);
    expect(description.layers[10]).toMatchObject({ inputs: ['layers.0.relu_2'], stride: 2, kernelSize: 1 });
    expect(tensors.get('layers.1.downsample.0.weight')?.shape).toEqual([16, 8, 1, 1]);
    expect(description.input).toEqual({ height: 32, width: 32, channels: 3 });
  });

  it('a layer that is used twice has its weights twice, under two names', () => {
    const { description, tensors } = imported('exports/shared_torchscript17');
    expect(description.layers.filter(({ kind }) => kind === 'conv2d').map(({ name }) => name)).toEqual([
      'conv',
      'conv_2',
    ]);
    expect(tensors.get('conv_2.weight')?.data).toEqual(tensors.get('conv.weight')?.data);
  });

  it('the normalisation of the image becomes part of the input, from either exporter', () => {
    for (const name of ['norm_torchscript17', 'norm_dynamo']) {
      const { input, layers } = imported(`exports/${name}`).description;
      expect(input.mean?.map((value) => value.toFixed(5))).toEqual(['0.48500', '0.45600', '0.40600']);
      expect(input.deviation?.map((value) => value.toFixed(5))).toEqual(['0.22900', '0.22400', '0.22500']);
      expect(layers[0].kind).toBe('conv2d');
    }
  });
});

const relu = (input: string, output = 'y') => node('Relu', [input], output);
const conv = (attributes: TestNode['attributes'] = {}, output = 'c') =>
  node('Conv', ['image', 'conv.weight'], output, attributes);
const kernel = { 'conv.weight': weights([2, 1, 3, 3], 1) };
const imageOf = (...shape: number[]) => ({ image: ['batch', ...shape] });

describe('convolutions and windows of ONNX', () => {
  it.each([
    [
      { auto_pad: 'SAME_UPPER', strides: [2, 2] },
      { stride: 2, padding: [0, 0, 1, 1] },
    ],
    [
      { auto_pad: 'SAME_LOWER', strides: [2, 2] },
      { stride: 2, padding: [1, 1, 0, 0] },
    ],
    [{ auto_pad: 'SAME_UPPER' }, { padding: 1 }],
    [{ auto_pad: 'VALID', pads: [1, 1, 1, 1] }, {}],
    [
      { pads: [0, 1, 2, 3], dilations: [1, 2] },
      { padding: [0, 1, 2, 3], dilation: [1, 2] },
    ],
    [
      { pads: [1, 2, 1, 2], strides: [1, 2] },
      { padding: [1, 2], stride: [1, 2] },
    ],
  ])('a convolution with %o is described by %o', (attributes, expected) => {
    expect(layersOf({ nodes: [conv(attributes)], initializers: kernel })).toEqual([
      { kind: 'conv2d', channels: 2, kernelSize: 3, ...expected, bias: false },
    ]);
  });

  it('a convolution without a scope in its name gets a short name, and each name once', () => {
    const initializers = { 'onnx::Conv_7': weights([1, 1, 3, 3], 1), 'onnx::Conv_8': weights([1, 1, 3, 3], 2) };
    const nodes = [
      node('Conv', ['image', 'onnx::Conv_7'], '11', {}, 'Conv_0'),
      node('Relu', ['11'], '12', {}, 'Relu_1'),
      node('Conv', ['12', 'onnx::Conv_8'], '13', {}, 'Conv_2'),
    ];
    expect(network({ nodes, initializers }).description.layers.map(({ name }) => name)).toEqual([
      'conv1',
      'relu1',
      'conv2',
    ]);
  });

  it.each([
    [{ strides: [2, 2], output_shape: [12, 12] }, { stride: 2, padding: [1, 1, 0, 0] }, [12, 12]],
    [{ strides: [2, 2], auto_pad: 'SAME_UPPER' }, { stride: 2, padding: [0, 0, 1, 1] }, [12, 12]],
    [
      { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
      { stride: 2, padding: 1, outputPadding: 1 },
      [12, 12],
    ],
    [{ strides: [3, 2], output_shape: [19, 13] }, { stride: [3, 2], outputPadding: [1, 0] }, [19, 13]],
  ])('a transposed convolution with %o is described by %o', (attributes, expected, size) => {
    const nodes = [node('ConvTranspose', ['image', 'up.weight'], 'y', attributes)];
    const { description, tensors } = network({ nodes, initializers: { 'up.weight': weights([1, 2, 3, 3], 1) } });
    const [{ name, ...layer }] = description.layers;
    expect([name, layer]).toEqual([
      'up',
      { kind: 'conv_transpose2d', channels: 2, kernelSize: 3, ...expected, bias: false },
    ]);
    const [, result] = networkForward(description, tensors, new Float32Array(36)).values();
    expect(result.shape).toEqual([2, ...size]);
  });

  it.each([
    ['AveragePool', { kernel_shape: [2, 2], strides: [2, 2] }, { kind: 'avg_pool', kernelSize: 2 }],
    [
      'AveragePool',
      { kernel_shape: [3, 3], pads: [1, 1, 1, 1] },
      { kind: 'avg_pool', kernelSize: 3, stride: 1, padding: 1, countIncludePad: false },
    ],
    [
      'AveragePool',
      { kernel_shape: [3, 2], pads: [1, 1, 1, 1], strides: [3, 2], count_include_pad: 1, ceil_mode: 1 },
      { kind: 'avg_pool', kernelSize: [3, 2], padding: 1, ceilMode: true },
    ],
    [
      'MaxPool',
      { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' },
      { kind: 'max_pool', kernelSize: 3, stride: 2, padding: [0, 0, 1, 1] },
    ],
    [
      'MaxPool',
      { kernel_shape: [3, 3], strides: [3, 3], pads: [0, 0, 3, 3] },
      { kind: 'max_pool', kernelSize: 3, padding: [0, 0, 3, 3] },
    ],
    ['GlobalMaxPool', {}, { kind: 'max_pool', kernelSize: 6 }],
  ])('%s with %o is described by %o', (operator, attributes, expected) => {
    const nodes = [node(operator, ['image'], 'y', attributes as TestNode['attributes'])];
    if (operator === 'MaxPool' && 'pads' in attributes) {
      expect(() => layersOf({ nodes })).toThrow(/its padding \[0,0,3,3\] is as large as its windows/);
    } else {
      expect(layersOf({ nodes })).toEqual([expected, ...(operator === 'GlobalMaxPool' ? [{ kind: 'flatten' }] : [])]);
    }
  });
});

describe('dense layers of ONNX', () => {
  const flat = node('Flatten', ['image'], 'f');
  const run = (model: TestModel) => {
    const { description, tensors } = network(model);
    const pixels = Float32Array.from({ length: 36 }, (_, i) => i / 36);
    return { description, tensors, values: [...networkForward(description, tensors, pixels).values()].at(-1)!.values };
  };
  const matrix = Float32Array.from({ length: 108 }, (_, i) => Math.sin(i));
  const product = (at: (row: number, k: number) => number) =>
    [0, 1, 2].map((row) => Array.from({ length: 36 }, (_, k) => (k / 36) * at(row, k)).reduce((a, b) => a + b));

  it('a Gemm is a dense layer, with its factors in the parameters', () => {
    const initializers = { 'fc.weight': floats([36, 3], matrix), 'fc.bias': floats([1, 3], [1, 2, 3]) };
    const attributes = { alpha: { float: 0.5 }, beta: { float: 2 } };
    const { values, tensors } = run({
      nodes: [flat, node('Gemm', ['f', 'fc.weight', 'fc.bias'], 'y', attributes)],
      initializers,
    });
    expect(tensors.get('fc.weight')?.shape).toEqual([3, 36]);
    const expected = product((row, k) => matrix[k * 3 + row]).map((sum, row) => sum / 2 + 2 * (row + 1));
    expectAllclose(values, expected, { relative: 1e-6, absolute: 0 }, 'gemm');
  });

  it('a MatMul and the Add after it are one dense layer, which is called as its bias where its weight has no name', () => {
    const initializers = { 'onnx::MatMul_9': floats([36, 3], matrix), 'head.fc.bias': floats([3], [1, 2, 3]) };
    const nodes = [
      flat,
      node('MatMul', ['f', 'onnx::MatMul_9'], 'm', {}, 'MatMul_3'),
      node('Add', ['head.fc.bias', 'm'], 'y'),
    ];
    const { values, description } = run({ nodes, initializers });
    expect(description.layers.slice(1)).toEqual([{ kind: 'dense', name: 'head.fc', outputs: 3 }]);
    const expected = product((row, k) => matrix[k * 3 + row]).map((sum, row) => sum + row + 1);
    expectAllclose(values, expected, { relative: 1e-6, absolute: 0 }, 'matmul');
  });

  it('weights that the graph transposes are taken as they are, without a copy', () => {
    const weight = floats([3, 36], matrix);
    const nodes = [node('Transpose', ['fc.weight'], 't', { perm: [1, 0] }), flat, node('MatMul', ['f', 't'], 'y')];
    const { tensors, values } = run({ nodes, initializers: { 'fc.weight': weight } });
    expect(tensors.get('fc.weight')?.data).toEqual(matrix);
    expectAllclose(
      values,
      product((row, k) => matrix[row * 36 + k]),
      { relative: 1e-6, absolute: 0 },
      'transposed',
    );
  });

  it('the channels-last order of TensorFlow is undone in the weights', () => {
    const initializers = {
      'conv.weight': weights([2, 1, 3, 3], 1),
      w: floats(
        [32, 1],
        Float32Array.from({ length: 32 }, (_, i) => i),
      ),
    };
    const nodes = [
      node('Transpose', ['image'], 't', { perm: [0, 3, 1, 2] }),
      node('Conv', ['t', 'conv.weight'], 'c'),
      node('Transpose', ['c'], 'u', { perm: [0, 2, 3, 1] }),
      node('Relu', ['u'], 'r'),
      node('Reshape', ['r', 'shape'], 'f'),
      node('MatMul', ['f', 'w'], 'y'),
    ];
    const { tensors, description } = run({
      nodes,
      initializers: { ...initializers, shape: wholes([-1, 32]) },
      inputs: { image: ['batch', 6, 6, 1] },
    });
    expect(description.layers.map(({ kind }) => kind)).toEqual(['conv2d', 'relu', 'flatten', 'dense']);
    // Channel c of pixel p is column 2 p + c in TensorFlow, 16 c + p here.
    const data = [...(tensors.get('y.weight')!.data as Float32Array)];
    expect(data).toEqual(Array.from({ length: 32 }, (_, i) => 2 * (i % 16) + Math.floor(i / 16)));
  });

  it('an input of vectors is taken for square images, or for those that the caller names', () => {
    const model: TestModel = {
      nodes: [node('Gemm', ['image', 'fc.weight'], 'y', { transB: 1 })],
      initializers: { 'fc.weight': floats([3, 36], matrix) },
      inputs: { image: ['batch', 36] },
    };
    const { description, notes } = network(model);
    expect(description).toMatchObject({ input: { height: 6, width: 6, channels: 1 } });
    expect(description.layers.map(({ kind }) => kind)).toEqual(['flatten', 'dense']);
    expect(notes).toEqual(['n.onnx: its input of 36 values is taken for images of 6 x 6 x 1.']);
    const size = { height: 4, width: 3, channels: 3 };
    expect(network(model, size).description.input).toEqual(size);
    expect(() => network(model, { ...size, width: 4 })).toThrow('it takes 36 values, images of 4 x 4 x 3 have 48');
  });
});

describe('activations and arithmetic of ONNX', () => {
  const two = { 'c.weight': weights([2, 1, 1, 1], 1) };
  const start = node('Conv', ['image', 'c.weight'], 'x');
  const scalar = (value: number) => typed([], TYPES.float, 'float_data', [value]);
  const layersAfter = (each: TestNode, initializers: TestModel['initializers'] = {}, opset = 13) =>
    layersOf({ opset, nodes: [start, each], initializers: { ...two, ...initializers } }).slice(1);

  it.each([
    ['Clip', { min: { float: 0 }, max: { float: 6 } }, { kind: 'relu6' }],
    ['Clip', { min: { float: 0 } }, { kind: 'relu' }],
    ['Clip', { min: { float: -0.1 }, max: { float: 1 } }, { kind: 'clip', low: -0.1, high: 1 }],
    ['Clip', { max: { float: 2 } }, { kind: 'clip', low: -3.4028234663852886e38, high: 2 }],
    ['LeakyRelu', {}, { kind: 'leaky_relu' }],
    ['LeakyRelu', { alpha: { float: 0.2 } }, { kind: 'leaky_relu', slope: 0.2 }],
    ['Tanh', {}, { kind: 'tanh' }],
    ['Sigmoid', {}, { kind: 'sigmoid' }],
    ['Dropout', { ratio: { float: 0.3 } }, { kind: 'dropout', rate: 0.3 }],
  ])('before opset 11, %s with %o is %o', (operator, attributes, expected) => {
    expect(layersAfter(node(operator, ['x'], 'y', attributes as TestNode['attributes']), {}, 9)).toEqual([expected]);
  });

  it.each([
    ['Clip', ['x', 'zero', 'six'], { kind: 'relu6' }],
    ['Clip', ['x', '', 'six'], { kind: 'clip', low: -3.4028234663852886e38, high: 6 }],
    ['Clip', ['x', 'zero'], { kind: 'relu' }],
    ['Max', ['zero', 'x'], { kind: 'relu' }],
    ['Min', ['x', 'six'], { kind: 'clip', low: -3.4028234663852886e38, high: 6 }],
    ['PRelu', ['x', 'slope'], { kind: 'leaky_relu', slope: 0.25 }],
  ])('%s of %o is %o', (operator, inputs, expected) => {
    const initializers = { zero: scalar(0), six: scalar(6), slope: floats([1, 1, 1], [0.25]) };
    expect(layersAfter(node(operator, inputs, 'y'), initializers)).toEqual([expected]);
  });

  it('a scale and a shift per channel are a batch normalisation with a variance of 1', () => {
    const initializers = { ...two, g: floats([2, 1, 1], [2, 3]), b: floats([1, 2, 1, 1], [4, 5]) };
    const { description, tensors } = network({
      nodes: [start, node('Mul', ['g', 'x'], 'm'), node('Sub', ['m', 'b'], 's'), relu('s')],
      initializers,
    });
    expect(description.layers.map(({ kind }) => kind)).toEqual(['conv2d', 'batch_norm', 'relu']);
    const valuesOf = (part: string) => [...(tensors.get(`s.${part}`)!.data as Float32Array)];
    expect(['weight', 'bias', 'running_mean', 'running_var'].map(valuesOf)).toEqual([
      [2, 3],
      [-4, -5],
      [0, 0],
      [1, 1],
    ]);
  });

  it('a bias that is added to a convolution alone is its bias, one that is read elsewhere too is not', () => {
    const initializers = { ...two, b: floats([1, 2, 1, 1], [4, 5]) };
    const add = node('Add', ['x', 'b'], 'a');
    const alone = network({ nodes: [start, add, relu('a')], initializers });
    expect(alone.description.layers.map(({ kind }) => kind)).toEqual(['conv2d', 'relu']);
    expect([...(alone.tensors.get('c.bias')!.data as Float32Array)]).toEqual([4, 5]);
    const both = { nodes: [start, add, node('Add', ['a', 'x'], 'y')], initializers };
    expect(layersOf(both).map(({ kind }) => kind)).toEqual(['conv2d', 'batch_norm', 'add']);
  });

  it('pixels of 0 to 255 are converted to the pixels of 0 to 1 that networks take here', () => {
    const initializers = { ...kernel, k: scalar(127.5), one: scalar(1) };
    const nodes = [
      node('Div', ['image', 'k'], 'd'),
      node('Sub', ['d', 'one'], 's'),
      node('Conv', ['s', 'conv.weight'], 'y'),
    ];
    const { description, notes } = network({ nodes, initializers });
    expect(description.input).toMatchObject({ mean: [0.5], deviation: [0.5] });
    expect(notes[0]).toMatch(/takes pixels of 0 to 255/);
  });

  it.each([
    ['are only cast', [], undefined, 1 / 255],
    ['are divided by 255', [node('Div', ['f', 'k'], 'd')], undefined, undefined],
  ])('integers as pixels that %s are converted to pixels of 0 to 1', (_, more, mean, deviation) => {
    const nodes = [
      node('Cast', ['image'], 'f', { to: TYPES.float }),
      ...more,
      node('Conv', [more.length === 0 ? 'f' : 'd', 'conv.weight'], 'y'),
    ];
    const { description, notes } = network({
      nodes,
      initializers: { ...kernel, k: scalar(255) },
      inputType: TYPES.uint8,
    });
    expect(description.input.mean).toEqual(mean);
    expect(description.input.deviation?.[0]).toEqual(
      deviation === undefined ? undefined : expect.closeTo(deviation, 9),
    );
    expect(notes[0]).toMatch(/takes pixels of 0 to 255/);
  });

  it('a sum of three results is two additions', () => {
    const nodes = [start, node('Relu', ['x'], 'r'), node('Tanh', ['x'], 't'), node('Sum', ['x', 'r', 't'], 'y')];
    expect(layersOf({ nodes, initializers: two }).slice(3)).toEqual([
      { kind: 'add', inputs: ['c', 'r'] },
      { kind: 'add', inputs: ['y', 't'] },
    ]);
  });

  it('a softmax over the classes is kept, and one over pixels is refused', () => {
    const flat = node('Flatten', ['image'], 'f');
    expect(layersOf({ nodes: [flat, node('Softmax', ['f'], 'y')] }).at(-1)).toEqual({ kind: 'softmax' });
    expect(layersOf({ nodes: [flat, node('LogSoftmax', ['f'], 'y', { axis: 1 })] }).at(-1)).toEqual({
      kind: 'log_softmax',
    });
    expect(() => network({ nodes: [node('Softmax', ['image'], 'y', { axis: 1 })] })).toThrow(
      'not supported: Softmax (node y) over axis 1 of [batch,1,6,6]: use it on the vector of classes only',
    );
  });
});

describe('shapes in graphs of ONNX', () => {
  it('a padding that is computed by a chain of nodes is a layer', () => {
    const initializers = {
      sizes: wholes([1, 2, 0, 1]),
      four: wholes([4]),
      pairs: wholes([-1, 2]),
      all: wholes([-1]),
      low: wholes([-(2 ** 53)]),
      zero: wholes([0]),
    };
    const nodes = [
      node('ConstantOfShape', ['four'], 'zeros', { value: wholes([0]) }),
      node('Concat', ['sizes', 'zeros'], 'long', { axis: 0 }),
      node('Reshape', ['long', 'pairs'], 'two'),
      node('Slice', ['two', 'all', 'low', 'zero', 'all'], 'reversed'),
      node('Transpose', ['reversed'], 'turned', { perm: [1, 0] }),
      node('Reshape', ['turned', 'all'], 'flat'),
      node('Cast', ['flat'], 'pads', { to: 7 }),
      node('Pad', ['image', 'pads', ''], 'y', { mode: 'constant' }),
    ];
    expect(layersOf({ nodes, initializers })).toEqual([{ kind: 'pad', padding: [0, 1, 1, 2] }]);
  });

  it('Pad takes its sizes from attributes, an input, or an input for some axes', () => {
    const attribute = node('Pad', ['image'], 'y', { pads: [0, 0, 1, 1, 0, 0, 1, 1], value: { float: 0.5 } });
    expect(layersOf({ opset: 9, nodes: [attribute] })).toEqual([{ kind: 'pad', padding: 1, value: 0.5 }]);
    const axes = {
      nodes: [node('Pad', ['image', 'p', '', 'a'], 'y')],
      initializers: { p: wholes([2, 3]), a: wholes([-1]) },
    };
    expect(layersOf({ opset: 18, ...axes })).toEqual([{ kind: 'pad', padding: [0, 2, 0, 3] }]);
    const none = {
      nodes: [node('Pad', ['image', 'p'], 'q'), relu('q')],
      initializers: { p: wholes([0, 0, 0, 0, 0, 0, 0, 0]) },
    };
    expect(layersOf(none)).toEqual([{ kind: 'relu' }]);
  });

  const view = (nodes: TestNode[], initializers: TestModel['initializers'] = {}) =>
    layersOf({
      nodes: [...nodes, node('Gemm', ['f', 'fc.weight'], 'y', { transB: 1 })],
      initializers: { 'fc.weight': weights([2, 36], 1), ...initializers },
    });

  it('a view of the size of the batch and the rest is a flatten layer', () => {
    const sizes = [
      node('Shape', ['image'], 's'),
      node('Gather', ['s', 'zero'], 'n', { axis: 0 }),
      node('Unsqueeze', ['n', 'axis'], 'u'),
      node('Concat', ['u', 'rest'], 'shape', { axis: 0 }),
      node('Reshape', ['image', 'shape'], 'f'),
    ];
    expect(view(sizes, { zero: wholes([0], []), axis: wholes([0]), rest: wholes([-1]) })[0]).toEqual({
      kind: 'flatten',
    });
  });

  it('a view of the product of sizes is a flatten layer', () => {
    const sizes = [
      node('Shape', ['image'], 's'),
      node('Slice', ['s', 'one', 'four'], 'tail'),
      node('ReduceProd', ['tail'], 'count', { keepdims: 1 }),
      node('Concat', ['minus', 'count'], 'shape', { axis: 0 }),
      node('Reshape', ['image', 'shape'], 'f'),
    ];
    expect(view(sizes, { one: wholes([1]), four: wholes([4]), minus: wholes([-1]) })[0]).toEqual({ kind: 'flatten' });
  });

  it.each([[[0, -1]], [[-1, 36]], [[0, 36]]])('a reshape to %o is a flatten layer', (shape) => {
    expect(view([node('Reshape', ['image', 'shape'], 'f')], { shape: wholes(shape) })[0]).toEqual({ kind: 'flatten' });
  });

  it('a reshape that would mix the images of a batch is refused', () => {
    for (const shape of [[36, -1], [-1, 18], [-1], [-1, 6, 12]]) {
      const nodes = [node('Reshape', ['image', 'shape'], 'y')];
      expect(() => network({ nodes, initializers: { shape: wholes(shape) } }), String(shape)).toThrow(
        /Reshape \(node y\) of \[batch,1,6,6\] to .*: keep the batch as the first axis/,
      );
    }
  });

  it('a reshape to another image is a layer, and one back and forth is none', () => {
    const initializers = { a: wholes([0, 4, 3, 3]), b: wholes([0, 1, 6, 6]), ...kernel };
    const there = [node('Reshape', ['image', 'a'], 'r'), relu('r')];
    expect(layersOf({ nodes: there, initializers })).toEqual([{ kind: 'relu' }, { kind: 'reshape', shape: [4, 3, 3] }]);
    const back = [
      node('Reshape', ['image', 'a'], 'r'),
      node('Reshape', ['r', 'b'], 'i'),
      node('Conv', ['i', 'conv.weight'], 'y'),
    ];
    expect(layersOf({ nodes: back, initializers }).map(({ kind }) => kind)).toEqual(['conv2d']);
  });

  it.each([
    [13, { axes: [2, 3], keepdims: 1 }, []],
    [13, { axes: [-1, -2], keepdims: 0 }, []],
    [18, { keepdims: 0 }, ['axes']],
  ])('in opset %i, a mean over the pixels with %o is a global average', (opset, attributes, more) => {
    const nodes = [node('ReduceMean', ['image', ...more], 'm', attributes), node('Flatten', ['m'], 'y')];
    expect(layersOf({ opset, nodes, initializers: { axes: wholes([2, 3]) } })).toEqual([
      { kind: 'global_avg_pool' },
      { kind: 'flatten' },
    ]);
  });

  it('channels are concatenated, in images and in vectors', () => {
    const nodes = [relu('image', 'r'), node('Concat', ['image', 'r'], 'c', { axis: -3 }), node('Flatten', ['c'], 'y')];
    expect(layersOf({ nodes }).slice(1)).toEqual([{ kind: 'concat', inputs: ['input', 'r'] }, { kind: 'flatten' }]);
    expect(() => network({ nodes: [node('Concat', ['image', 'image'], 'y', { axis: 2 })] })).toThrow(
      /concatenate channels, axis 1/,
    );
  });

  it('the size of images is asked for where the file leaves it open', () => {
    const model: TestModel = {
      nodes: [conv()],
      initializers: kernel,
      inputs: { image: ['batch', 1, 'height', 'width'] },
    };
    expect(() => network(model)).toThrow(
      'n.onnx: input image: it has shape [batch,1,height,width]; export it for images of a fixed size',
    );
    expect(network(model, { height: 9, width: 7, channels: 1 }).description.input).toEqual({
      height: 9,
      width: 7,
      channels: 1,
    });
  });

  it('what the first output does not depend on is left out, and the other outputs are named', () => {
    const nodes = [relu('image', 'a'), node('LSTM', ['image'], 'b')];
    const { description, notes } = network({ nodes, outputs: { a: undefined, b: undefined } });
    expect(description.layers).toEqual([{ kind: 'relu', name: 'a' }]);
    expect(notes).toEqual(['n.onnx: of its outputs only the first was taken; left out: b.']);
  });
});

describe('networks of ONNX that are refused', () => {
  const refusal = (model: TestModel) => {
    try {
      network(model);
    } catch (error) {
      expect(error).toBeInstanceOf(DataError);
      return (error as DataError).message;
    }
    throw new Error('it was not refused');
  };

  it('all operators that are not supported are named together, with their nodes and what would do instead', () => {
    const nodes = [
      node('HardSwish', ['image'], 'a', {}, '/features/3/act'),
      node('Resize', ['a'], 'b', {}, '/up'),
      node('HardSwish', ['b'], 'c', {}, '/features/4/act'),
      node('Mul', ['c', 'a'], 'd', {}, '/gate'),
      node('FusedConv', ['image'], 'e'),
      node('Add', ['d', 'e'], 'y'),
    ].map((each) => (each.operator === 'FusedConv' ? { ...each, domain: 'com.microsoft' } : each));
    expect(refusal({ nodes })).toBe(
      'n.onnx: not supported: HardSwish (node /features/3/act and 1 more): use ReLU6 or LeakyReLU, ' +
        'Resize (node /up): use ConvTranspose2d, FusedConv (node e): export it with operators of ONNX, not of com.microsoft',
    );
  });

  it('a gate, attention, and the normalisation of transformers are refused by name', () => {
    const gate = [node('Sigmoid', ['image'], 's'), node('Mul', ['image', 's'], 'y', {}, '/act')];
    expect(refusal({ nodes: gate })).toBe(
      'n.onnx: not supported: Mul (node /act) of two activations: leave gates, such as SiLU and squeeze-and-excitation, out',
    );
    expect(refusal({ nodes: [node('MatMul', ['image', 'image'], 'y')] })).toMatch(
      /^n\.onnx: a transformer, which is not supported/,
    );
    // Convolutional networks have layer normalisations, too.
    const norm = node('LayerNormalization', ['image'], 'y');
    expect(refusal({ nodes: [norm] })).toMatch(/^n\.onnx: not supported: LayerNormalization .*: use BatchNorm2d$/);
    const attention = [node('LayerNormalization', ['image'], 'n'), node('MatMul', ['n', 'n'], 'y')];
    expect(refusal({ nodes: attention })).toMatch(/^n\.onnx: a transformer, which is not supported: LayerNorm/);
  });

  it('many gathers are named as an adaptive pooling, in a message that is not cut', () => {
    const gathers = Array.from({ length: 30 }, (_, i) => node('Gather', [i === 0 ? 'image' : `g${i - 1}`], `g${i}`));
    const text = refusal({ nodes: [...gathers, node('Erf', ['g29'], 'y')] });
    expect(text).toMatch(/Gather \(.* and 29 more\): probably AdaptiveAvgPool2d/);
    expect(text.length).toBeLessThan(290);
  });

  it.each(['QuantizeLinear', 'DequantizeLinear', 'QLinearConv', 'ConvInteger', 'MatMulInteger'])(
    'a network with %s is refused as one of int8',
    (operator) => {
      expect(refusal({ nodes: [node(operator, ['image'], 'q', {}, '/quant')] })).toBe(
        `n.onnx: an int8 network, with ${operator} (node /quant); export the float32 network from before its quantisation`,
      );
    },
  );

  it('a circle of nodes is named', () => {
    const nodes = [node('Add', ['image', 'b'], 'a'), node('Relu', ['a'], 'b', {}, '/loop'), relu('b')];
    expect(refusal({ nodes })).toBe(
      'n.onnx: its nodes form a circle: Relu (node /loop), Add (node a); export it again',
    );
  });

  it('a tensor that is missing is named with the node that reads it', () => {
    expect(refusal({ nodes: [conv()] })).toBe(
      'n.onnx: Conv (node c) reads conv.weight, which no node makes and no initializer holds; the file is incomplete, export it again',
    );
  });

  it.each([
    [
      conv({ group: 2 }),
      'Conv (node c): weight conv.weight [2,1,3,3] in 2 groups needs 2 channels, its input has 1; export it again',
    ],
    [conv({ kernel_shape: [5, 5] }), 'Conv (node c): its windows are [5,5], its weights have [3,3]; export it again'],
    [
      node('Conv', ['image', 'conv.weight', 'b'], 'c'),
      'Conv (node c): bias b has shape [3], its result has 2 channels; export it again',
    ],
    [
      node('BatchNormalization', ['image', 'b', 'b', 'b', 'b'], 'c'),
      'BatchNormalization (node c): weight b has shape [3], its input 1 channels; export it again',
    ],
    [
      conv({ dilations: [3, 3] }),
      'Conv (node c): Conv: images of 6 x 6, windows of 3 x 3: the windows are larger than the padded images',
    ],
  ])('shapes that do not agree are both named: %o', (each, message) => {
    expect(refusal({ nodes: [each], initializers: { ...kernel, b: floats([3], [1, 2, 3]) } })).toBe(
      `n.onnx: ${message}`,
    );
  });

  it('a dense layer of other inputs, and a declared output of another shape, are refused with both shapes', () => {
    const nodes = [node('Flatten', ['image'], 'f'), node('Gemm', ['f', 'fc.weight'], 'y', { transB: 1 })];
    expect(refusal({ nodes, initializers: { 'fc.weight': weights([2, 35], 1) } })).toBe(
      'n.onnx: Gemm (node y): weight fc.weight [2,35] needs 35 values, its input has 36 [36]; export it again',
    );
    expect(refusal({ nodes, initializers: { 'fc.weight': weights([2, 36], 1) }, outputs: { y: ['batch', 3] } })).toBe(
      'n.onnx: its output y is declared as [batch,3], its nodes make [batch,2]; export it again',
    );
  });

  it('weights that are not finite are named', () => {
    const bytes = onnxFile({
      nodes: [conv()],
      initializers: { 'conv.weight': floats([2, 1, 6, 6], Array<number>(72).fill(Number.NaN)) },
    });
    expect(() => importOnnx(bytes, 'n.onnx')).toThrow(/^n\.onnx: key conv\.weight: element 0 is not finite/);
  });

  it.each([
    [
      [node('Transpose', ['image'], 't', { perm: [0, 1, 3, 2] }), node('Conv', ['t', 'conv.weight'], 'y')],
      /Conv \(node y\) of transposed values/,
    ],
    [[node('Slice', ['image', 's', 'e', 's'], 'y')], /Slice \(node y\) of activations/],
    [[node('Pad', ['image', 's'], 'y', { mode: 'reflect' })], /Pad \(node y\) in mode reflect: pad with a constant/],
    [
      [node('If', ['image'], 'y', { then_branch: { graph: true } })],
      /If \(node y\): export the network without branches/,
    ],
    [
      [node('Add', ['image', 'mean'], 'y')],
      /Add \(node y\) of a constant of shape \[6,6\]: use one number per channel/,
    ],
  ])('what no layer computes is refused: %o', (nodes, message) => {
    const initializers = { ...kernel, s: wholes([1]), e: wholes([5]), mean: weights([6, 6], 1) };
    expect(refusal({ nodes: nodes as TestNode[], initializers })).toMatch(message);
  });

  it('a network of two inputs, and one whose output does not depend on the image, are refused', () => {
    const inputs = { ...imageOf(1, 6, 6), other: ['batch', 1, 6, 6] };
    expect(refusal({ nodes: [node('Add', ['image', 'other'], 'y')], inputs })).toMatch(
      /its result depends on 2 inputs \(image, other\)/,
    );
    expect(refusal({ nodes: [node('Identity', ['c'], 'y')], initializers: { c: floats([1, 2], [1, 2]) } })).toMatch(
      /depends on 0 inputs/,
    );
  });
});

test('initializers that are inputs, too, as in old files, are no inputs of the network', () => {
  const inputs = { ...imageOf(1, 6, 6), 'conv.weight': [2, 1, 3, 3] };
  expect(network({ opset: 9, nodes: [conv()], initializers: kernel, inputs }).description.layers).toHaveLength(1);
});

test('half and double weights become float32, which the notes tell', () => {
  const initializers = {
    'a.weight': typed([1, 1, 1, 1], TYPES.float16, 'int32_data', [0x3c00]),
    'b.weight': typed([1, 1, 1, 1], TYPES.double, 'double_data', [0.1]),
    'c.weight': typed([1, 1, 1, 1], TYPES.bfloat16, 'int32_data', [0xbf80]),
  };
  const nodes = ['a', 'b', 'c'].map((name, i, all) =>
    node('Conv', [i === 0 ? 'image' : all[i - 1], `${name}.weight`], name),
  );
  const { tensors, notes } = network({ nodes, initializers });
  expect([...tensors.values()].map(({ dtype, data }) => [dtype, data[0]])).toEqual([
    ['F32', 1],
    ['F32', Math.fround(0.1)],
    ['F32', -1],
  ]);
  expect(notes).toEqual([
    'n.onnx: its float64 weights were rounded to float32.',
    'n.onnx: its float16 and bfloat16 weights became float32, which is exact.',
  ]);
});
