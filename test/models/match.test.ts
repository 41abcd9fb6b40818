import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, test } from 'vitest';
import { ConfigError, DataError } from '../../src/errors.ts';
import { readOnnx } from '../../src/formats/onnx.ts';
import {
  type Dtype,
  readSafetensors,
  type Tensor,
  typedArray,
  writeSafetensors,
} from '../../src/formats/safetensors.ts';
import { importParameters, matchParameters, type ParameterShape } from '../../src/models/match.ts';
import type { LayerDescription, NetworkDescription } from '../../src/models/network_description.ts';
import { onnxNetwork } from '../../src/models/onnx_network.ts';
import { networkForward } from '../reference/network.ts';
import { expectAllclose } from '../support/allclose.ts';

const NETWORKS = fileURLToPath(new URL('../fixtures/networks/', import.meta.url));
const file = (name: string) => readFileSync(`${NETWORKS}${name}`);

const wanted: ParameterShape[] = [
  { name: 'conv1.weight', shape: [2, 1, 3, 3] },
  { name: 'conv1.bias', shape: [2] },
  { name: 'bn1.weight', shape: [2] },
  { name: 'bn1.bias', shape: [2] },
  { name: 'bn1.running_mean', shape: [2] },
  { name: 'bn1.running_var', shape: [2] },
  { name: 'conv2.weight', shape: [2, 2, 3, 3] },
  { name: 'fc.weight', shape: [3, 8] },
];

/** A tensor of consecutive numbers. */
function tensorOf(shape: readonly number[], dtype: Dtype = 'F32'): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const data = typedArray(dtype, new ArrayBuffer(count * (dtype === 'F64' ? 8 : dtype === 'F32' ? 4 : 2)));
  for (let i = 0; i < count; i++) data[i] = i + 1;
  return { dtype, shape: [...shape], data };
}
const dictionary = (rename: (name: string) => string = (name) => name, without: RegExp = /^$/) =>
  new Map(wanted.filter(({ name }) => !without.test(name)).map(({ name, shape }) => [rename(name), tensorOf(shape)]));
const match = (tensors: ReadonlyMap<string, Tensor>, isOrdered = true) =>
  matchParameters(
    wanted,
    new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, read: () => tensor }])),
    isOrdered,
    'm.pth',
  );
const refusal = (tensors: ReadonlyMap<string, Tensor>, isOrdered = true) => {
  try {
    match(tensors, isOrdered);
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    return (error as DataError).message;
  }
  throw new Error('it was matched');
};

describe('matching a state dict to a described network', () => {
  it('equal names match without a note, whatever their order, and counters are left out', () => {
    const tensors = new Map([...dictionary()].reverse());
    tensors.set('bn1.num_batches_tracked', { dtype: 'I64', shape: [], data: new BigInt64Array(1) });
    const { tensors: found, notes } = match(tensors, false);
    expect([...found.keys()]).toEqual(wanted.map(({ name }) => name));
    expect(notes).toEqual([]);
  });

  it.each(['module.', '_orig_mod.module.'])('the wrapper %s is taken off', (wrapper) => {
    expect(match(dictionary((name) => wrapper + name)).notes).toEqual([]);
  });

  it('the names below a module match, and the parameters beside the module are left out', () => {
    const tensors = dictionary((name) => `net.student.${name}`);
    tensors.set('net.teacher.fc.weight', tensorOf([3, 8]));
    expect(match(tensors).notes).toEqual([
      'm.pth: its parameters are those of net.student.',
      'm.pth: not used: net.teacher.fc.weight [3,8].',
    ]);
  });

  it.each(['', 'net.'])(
    'buffers that no layer uses are named with the place of a normalisation, below "%s"',
    (prefix) => {
      const tensors = dictionary((name) => prefix + name);
      tensors.set('mean', tensorOf([1, 3, 1, 1])).set('std', tensorOf([1, 3, 1, 1]));
      expect(match(tensors).notes.at(-1)).toBe(
        'm.pth: not used: mean [1,3,1,1], std [1,3,1,1]; if they normalise the input, put them into input.mean and input.deviation.',
      );
    },
  );

  it('other names match by order and shape, which a note tells', () => {
    const names: Record<string, string> = { conv1: 'features.0', bn1: 'features.1', conv2: 'features.3', fc: 'head' };
    const { notes, tensors } = match(dictionary((name) => name.replace(/^\w+/, (layer) => names[layer])));
    expect(notes).toEqual([
      'm.pth: layers were matched by order and shape: features.0 is conv1, features.1 is bn1, features.3 is conv2, head is fc.',
    ]);
    expect(tensors.get('conv2.weight')?.shape).toEqual([2, 2, 3, 3]);
  });

  it('where some names agree, the other layers match by shape', () => {
    const tensors = dictionary((name) => name.replace(/^fc/, 'head').replace(/^conv2/, 'second'));
    expect(match(new Map([...tensors].reverse()), false).notes).toEqual([
      'm.pth: some layers were matched by shape: second is conv2, head is fc.',
    ]);
  });

  it('two layers of the same shape under other names are ambiguous where the order is not known', () => {
    const both: ParameterShape[] = ['a', 'b'].map((layer) => ({ name: `${layer}.weight`, shape: [2, 2] }));
    const stored = new Map(
      ['x.weight', 'y.weight'].map((name) => [name, { ...tensorOf([2, 2]), read: () => tensorOf([2, 2]) }]),
    );
    expect(() => matchParameters(both, stored, false, 'm')).toThrow(
      'm: layer a (weight [2,2]) may be x, y; give the layers of the description the names of the file',
    );
    expect(matchParameters(both, stored, true, 'm').notes[0]).toMatch(/order and shape: x is a, y is b/);
  });

  it('a batch normalisation without weight and bias gets 1 and 0', () => {
    const { tensors, notes } = match(dictionary(undefined, /^bn1\.(weight|bias)$/));
    expect([[...tensors.get('bn1.weight')!.data], [...tensors.get('bn1.bias')!.data]]).toEqual([
      [1, 1],
      [0, 0],
    ]);
    expect(notes).toEqual(['m.pth: bn1.weight, bn1.bias are not in the file (affine=False) and became 1 and 0.']);
  });

  it('what is missing, of another shape, or left over is named with its shape', () => {
    expect(refusal(dictionary(undefined, /^conv1\.bias/))).toBe(
      'm.pth: key conv1.bias [2] is missing; give a file of the whole network, or describe the layer without it',
    );
    expect(refusal(dictionary(undefined, /^fc/))).toBe(
      'm.pth: the parameters fc.weight [3,8] are missing; give a file of the described network',
    );
    expect(refusal(dictionary().set('fc.weight', tensorOf([4, 8])))).toBe(
      'm.pth: key fc.weight is [4,8], the network needs [3,8] for fc.weight; give a file of that network',
    );
    expect(refusal(dictionary((name) => name.replace('fc', 'head')).set('head.weight', tensorOf([4, 8])))).toBe(
      'm.pth: the parameters fc.weight [3,8] are missing; it has head.weight [4,8]; give a file of the described network',
    );
    expect(refusal(dictionary().set('fc.bias', tensorOf([3])))).toBe(
      "m.pth: key fc.bias [3]: the network's layer fc has no bias; describe the layer with it",
    );
    expect(refusal(dictionary().set('bn2.weight', tensorOf([2])))).toBe(
      'm.pth: the network has no layer for bn2.weight [2]; describe those layers, or save the file without them',
    );
  });

  it('half, bfloat16 and double weights become float32, which the notes tell', () => {
    const tensors = dictionary()
      .set('fc.weight', tensorOf([3, 8], 'F64'))
      .set('conv1.bias', tensorOf([2], 'F16'));
    const { notes, tensors: found } = match(tensors.set('conv1.weight', tensorOf([2, 1, 3, 3], 'BF16')));
    expect(new Set([...found.values()].map(({ dtype }) => dtype))).toEqual(new Set(['F32']));
    expect(notes).toEqual([
      'm.pth: its float64 weights were rounded to float32.',
      'm.pth: its float16 and bfloat16 weights became float32, which is exact.',
    ]);
    const large: Tensor = { dtype: 'F64', shape: [3, 8], data: new Float64Array(24).fill(1e300) };
    expect(refusal(dictionary().set('fc.weight', large))).toMatch(
      /key fc\.weight: element 0 is 1e\+300, too large for float32/,
    );
    const holes: Tensor = { dtype: 'F32', shape: [3, 8], data: new Float32Array(24).fill(Number.NaN) };
    expect(refusal(dictionary().set('fc.weight', holes))).toMatch(/key fc\.weight: element 0 is not finite/);
  });

  it('a key that a file does not have is refused', () => {
    expect(() => importParameters(writeSafetensors(dictionary()), 'm.safetensors', wanted, 'ema')).toThrow(ConfigError);
  });
});

const shapesOf = (tensors: ReadonlyMap<string, Tensor>): ParameterShape[] =>
  [...tensors].map(([name, { shape }]) => ({ name, shape }));

test.each(['mlp3', 'lenet'])('the state dict of %s gives the same parameters as its ONNX file', (name) => {
  const { tensors } = onnxNetwork(readOnnx(file(`${name}.onnx`), name), name);
  const { tensors: found, notes } = importParameters(file(`${name}.pth`), `${name}.pth`, shapesOf(tensors));
  expect(notes).toEqual([]);
  for (const [key, { data }] of tensors) expect(found.get(key)?.data, key).toEqual(data);
});

test('the state dict of vgg_rgb and a description with other names give the golden probabilities', () => {
  const kinds = ['conv2d', 'batch_norm', 'relu', 'max_pool'] as const;
  const block = (i: number, channels: number): LayerDescription[] =>
    kinds.map((kind) => {
      const name = `${kind}.${i}`;
      if (kind === 'conv2d') return { kind, name, channels, kernelSize: 3, padding: 1 };
      return kind === 'max_pool' ? { kind, name, kernelSize: 2 } : { kind, name };
    });
  const description: NetworkDescription = {
    kind: 'network',
    input: { height: 32, width: 28, channels: 3 },
    layers: [
      ...block(1, 8),
      ...block(2, 16),
      { kind: 'flatten', name: 'flat' },
      { kind: 'dense', name: 'fc', outputs: 20 },
      { kind: 'softmax', name: 'softmax' },
    ],
  };
  const norm = (i: number, channels: number) =>
    ['weight', 'bias', 'running_mean', 'running_var'].map((part) => ({
      name: `batch_norm.${i}.${part}`,
      shape: [channels],
    }));
  const shapes = [
    { name: 'conv2d.1.weight', shape: [8, 3, 3, 3] },
    { name: 'conv2d.1.bias', shape: [8] },
    ...norm(1, 8),
    { name: 'conv2d.2.weight', shape: [16, 8, 3, 3] },
    { name: 'conv2d.2.bias', shape: [16] },
    ...norm(2, 16),
    { name: 'fc.weight', shape: [20, 896] },
    { name: 'fc.bias', shape: [20] },
  ];
  const { tensors, notes } = importParameters(file('vgg_rgb.pth'), 'vgg_rgb.pth', shapes);
  expect(notes[0]).toMatch(/^vgg_rgb\.pth: layers were matched by order and shape: 0 is conv2d\.1, 1 is batch_norm\.1/);
  const golden = readSafetensors(file('vgg_rgb.safetensors'), 'vgg_rgb').tensors;
  const results = networkForward(description, tensors, golden.get('x')!.data as Float32Array);
  const { values } = results.get('softmax')!;
  expectAllclose(values, golden.get('logits')!.data as Float32Array, { relative: 1e-5, absolute: 1e-9 }, 'vgg_rgb');
});
