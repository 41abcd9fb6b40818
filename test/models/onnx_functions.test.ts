import { describe, expect, it, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readOnnx } from '../../src/formats/onnx.ts';
import { onnxNetwork } from '../../src/models/onnx_network.ts';
import { networkForward } from '../reference/network.ts';
import { node, onnxFile, type TestFunction, type TestModel, type TestNode, weights, wholes } from '../support/onnx.ts';

const network = (model: TestModel) => onnxNetwork(readOnnx(onnxFile(model), 'n.onnx'), 'n.onnx');
const layersOf = (model: TestModel) => network(model).description.layers.map(({ kind }) => kind);
const flat = node('Flatten', ['image'], 'f');
const call = (name: string, inputs: readonly string[], outputs: readonly string[]): TestNode => ({
  operator: name,
  domain: 'own',
  inputs,
  outputs,
});
const of = (name: string, nodes: readonly TestNode[], inputs = ['x'], outputs = ['y']): TestFunction => ({
  name,
  domain: 'own',
  inputs,
  outputs,
  nodes,
});

// The golden logits of a file with functions inside functions, references to attributes and branches are in
// onnx_network.test.ts: exports/functions_dynamo_local.
describe('functions of ONNX files', () => {
  it('a function that is called twice makes its layers twice, and its inner values do not meet', () => {
    const functions = [of('twice', [node('Relu', ['x'], 'v'), node('Tanh', ['v'], 'y')])];
    const nodes = [flat, call('twice', ['f'], ['a']), call('twice', ['a'], ['v'])];
    expect(layersOf({ nodes, functions })).toEqual(['relu', 'tanh', 'relu', 'tanh', 'flatten']);
  });

  it('a result of a function may be its input, and a call may leave inputs and results out', () => {
    const functions = [of('both', [node('Clip', ['x', 'low', 'high'], 'y')], ['x', 'low', 'high'], ['y', 'x'])];
    const initializers = { six: weights([], 1) };
    const nodes = [flat, call('both', ['f', '', 'six'], ['', 'same']), node('Relu', ['same'], 'y')];
    expect(layersOf({ nodes, functions, initializers })).toEqual(['relu', 'flatten']);
  });

  it('a function of a name that ONNX has, too, is another operator', () => {
    const nodes = [flat, call('Relu', ['f'], ['y'])];
    expect(layersOf({ nodes, functions: [of('Relu', [node('Tanh', ['x'], 'y')])] })).toEqual(['tanh', 'flatten']);
  });

  it.each([
    ['itself', [of('a', [call('a', ['x'], ['y'])])]],
    ['another that calls it', [of('a', [call('b', ['x'], ['y'])]), of('b', [call('a', ['x'], ['y'])])]],
  ])('a function that calls %s is refused', (_, functions) => {
    const read = () => network({ nodes: [flat, call('a', ['f'], ['y'])], functions });
    expect(read).toThrow(DataError);
    expect(read).toThrow('n.onnx: function a calls itself; export it again');
  });

  it('functions that make more nodes than any network are refused', () => {
    const doubled = Array.from({ length: 40 }, (_, i) =>
      of(`f${i}`, [call(`f${i + 1}`, ['x'], ['m']), call(`f${i + 1}`, ['m'], ['y'])]),
    );
    const read = () => network({ nodes: [flat, call('f0', ['f'], ['y'])], functions: doubled });
    expect(read).toThrow('n.onnx: its functions make more than 100000 nodes; export it again');
  });

  it('an operator inside a function that is not supported is named', () => {
    const functions = [of('act', [node('HardSwish', ['x'], 'y', {}, '/act/HardSwish')])];
    expect(() => network({ nodes: [flat, call('act', ['f'], ['y'])], functions })).toThrow(
      'n.onnx: not supported: HardSwish (node /act/HardSwish): use ReLU6 or LeakyReLU',
    );
  });
});

test('a sum over pixels is the mean times their number, and a negation a factor', () => {
  const pixels = Float32Array.from({ length: 36 }, (_, i) => (i % 7) / 7);
  const { description, tensors } = network({
    nodes: [
      node('ReduceSum', ['image', 'axes'], 's', { keepdims: 0 }),
      node('Neg', ['s'], 'n'),
      node('Relu', ['n'], 'r'),
      node('Add', ['r', 'n'], 'y'),
    ],
    initializers: { axes: wholes([2, 3]) },
  });
  const { values } = [...networkForward(description, tensors, pixels).values()].at(-1)!;
  const sum = pixels.reduce((a, b) => a + b, 0);
  expect([...values]).toEqual([expect.closeTo(-sum, 5)]);
});
