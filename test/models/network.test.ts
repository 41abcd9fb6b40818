import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { type graph, sequential } from '../../src/library/models.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import { describedNetwork } from '../../src/models/network.ts';
import { type LayerDescription, parseNetwork } from '../../src/models/network_description.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { yangClassifier, yangInversion } from '../../src/models/yang.ts';

const INPUT = { height: 8, width: 6, channels: 3 };
const conv = (name: string, inputs?: string[]): LayerDescription => ({
  kind: 'conv2d',
  name,
  ...(inputs && { inputs }),
  channels: 4,
  kernelSize: 3,
  padding: 1,
});
const head: LayerDescription[] = [
  { kind: 'global_avg_pool', name: 'pool' },
  { kind: 'dense', name: 'fc', outputs: 5 },
];
const layersOf = (layers: readonly LayerDescription[], input: Parameters<typeof graph>[0] = INPUT) =>
  describedNetwork({ kind: 'network', input, layers: [...layers] }).layers;

describe('a described network', () => {
  it('infers its shapes, and takes an activation into the layer before it', () => {
    const layers = layersOf([
      conv('a'),
      { kind: 'relu', name: 'r' },
      { kind: 'max_pool', name: 'p', kernelSize: 2 },
      ...head,
    ]);
    expect(layers.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'input/image reshape',
      'a conv2d',
      'p max_pool',
      'pool global_avg_pool',
      'fc dense',
    ]);
    expect(layers[1]).toMatchObject({ input: INPUT, activation: 'relu' });
    expect(layers[3]).toMatchObject({ input: { height: 4, width: 3, channels: 4 } });
  });

  it('keeps an activation apart where another layer reads what is before it', () => {
    const layers = layersOf([
      conv('a'),
      { kind: 'relu', name: 'r' },
      { kind: 'add', name: 'sum', inputs: ['a', 'r'] },
      ...head,
    ]);
    expect(layers.map(({ kind }) => kind)).toContain('activation');
    expect(layers.find(({ name }) => name === 'sum')).toMatchObject({ from: ['a', 'r'], count: 2 });
  });

  it('normalises pixels by channel, before every other layer', () => {
    const layers = layersOf([conv('a'), ...head], { ...INPUT, mean: [0.5], deviation: [0.1, 0.2, 0.3] });
    expect(layers[1]).toMatchObject({ kind: 'normalise', mean: [0.5, 0.5, 0.5], deviation: [0.1, 0.2, 0.3] });
  });

  it('orders layers by what they read', () => {
    const layers = layersOf([
      { kind: 'dense', name: 'fc', inputs: ['pool'], outputs: 5 },
      { kind: 'global_avg_pool', name: 'pool', inputs: ['a'] },
      conv('a', ['input']),
    ]);
    expect(layers.map(({ name }) => name)).toEqual(['input/image', 'a', 'pool', 'fc']);
  });

  it('reads vectors as they are', () => {
    const fc: LayerDescription = { kind: 'dense', name: 'fc', outputs: 5 };
    expect(layersOf([fc], { height: 1, width: 1, channels: 7 })).toMatchObject([{ kind: 'dense', inputs: 7 }]);
  });

  it('leaves out a last softmax, which the model releases in any case', () => {
    expect(layersOf([conv('a'), ...head, { kind: 'softmax', name: 's' }]).map(({ kind }) => kind)).not.toContain(
      'softmax',
    );
  });

  it.each<[string, LayerDescription[], string]>([
    ['two layers of one name', [conv('a'), conv('a'), ...head], 'a: two layers have this name'],
    ['a layer called input', [conv('input'), ...head], 'input: two layers have this name'],
    ['an unknown layer', [conv('a', ['b']), ...head], 'a: it reads b, but there is no layer of this name'],
    ['a circle', [conv('a', ['c']), conv('b', ['a']), conv('c', ['b'])], 'these layers read each other in a circle'],
    ['two outputs', [conv('a'), conv('b', ['input']), ...head.slice(0, 1)], 'a, pool: no layer reads these'],
    ['a sum of one', [conv('a'), { kind: 'add', name: 's' }, ...head], 's: add reads two layers or more, not 1'],
    ['an image as output', [conv('a')], 'a: the last layer returns 4 x 8 x 6'],
    ['a dense layer on an image', [conv('a'), head[1]], 'fc: a dense layer reads a vector; put a flatten'],
  ])('refuses %s, naming the layer', (_, layers, message) => {
    expect(() => layersOf(layers)).toThrow(ConfigError);
    expect(() => layersOf(layers)).toThrow(message);
  });

  it('refuses another number of class names than outputs', () => {
    const description = {
      kind: 'network' as const,
      input: INPUT,
      layers: [conv('a'), ...head],
      classNames: ['x', 'y'],
    };
    expect(() => describedNetwork(description)).toThrow('classNames: 2 names, but the network has 5 outputs');
  });

  it('names the path of a field that is not valid', () => {
    const wrong = { kind: 'network', input: INPUT, layers: [{ ...conv('a'), kernelSize: 0 }] };
    expect(() => parseNetwork(wrong, 'net.json')).toThrow(/^net\.json: layers\.0\.kernelSize: /);
  });
});

it('sequential names layers by their kind and number', () => {
  const { layers } = sequential(INPUT, [
    { kind: 'conv2d', channels: 4, kernelSize: 3 },
    { kind: 'relu' },
    { kind: 'conv2d', channels: 4, kernelSize: 3 },
    { kind: 'flatten' },
    { kind: 'dense', outputs: 2, name: 'head' },
  ]);
  expect(layers.map(({ name }) => name)).toEqual(['conv2d1', 'relu1', 'conv2d2', 'flatten1', 'head']);
});

describe('a published network', () => {
  const namesOf = ({ layers }: ModelSpec) => layers.map(({ name }) => name);

  it('is made of described layers, and each activation is part of the layer before it', () => {
    const spec = yangClassifier({ kind: 'yang-classifier', size: 32, ndf: 2, classes: 3 });
    const blocks = [1, 2, 3, 4].flatMap((n) => [`conv${n}`, `bn${n}`, `pool${n}`]);
    expect(namesOf(spec)).toEqual(['input/image', ...blocks, 'flatten', 'fc1', 'dropout', 'fc2']);
    expect(spec.layers.filter((layer) => 'activation' in layer && layer.activation === 'relu')).toHaveLength(4);
    expect(namesOf(modelSpec('dae', 6, 2, [5, 4]))).toEqual(['fc1', 'fc2', 'fc3']);
    expect(modelSpec('dae', 6, 2, [5, 4]).decoder).toMatchObject([
      { name: 'decoder1', inputs: 4, outputs: 5, activation: 'sigmoid' },
      { name: 'decoder2', inputs: 5, outputs: 6, activation: 'sigmoid' },
    ]);
  });

  it('drops the units that it dropped when the shipped networks were trained', () => {
    const { layers } = yangClassifier({ kind: 'yang-classifier', size: 64, ndf: 2, classes: 3 });
    expect(layers.find(({ kind }) => kind === 'dropout')).toMatchObject({ key: 19 });
  });

  it('returns images pixel by pixel, as data sets hold them', () => {
    const { layers } = yangInversion({ kind: 'yang-inversion', size: 32, channels: 3, ngf: 2, classes: 3 });
    expect(layers[0]).toMatchObject({ kind: 'conv_transpose2d', input: { height: 1, width: 1, channels: 3 } });
    expect(layers.at(-1)).toMatchObject({ kind: 'reshape', input: { height: 32, width: 32, channels: 3 } });
  });
});
