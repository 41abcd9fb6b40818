import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ConfigError, DataError } from '../../src/errors.ts';
import { toFloat32 } from '../../src/formats/float.ts';
import { readSafetensors, type Tensor, writeSafetensors } from '../../src/formats/safetensors.ts';
import { readTensorFile } from '../../src/formats/tensor_file.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import type { ModelDescription } from '../../src/models/model_spec.ts';
import { parameterCount } from '../../src/models/plan.ts';
import { importNetwork } from '../../src/models/recognise.ts';
import { modelName } from '../../src/models/specs.ts';
import { yangClassifier, yangInversion } from '../../src/models/yang.ts';
import { loadFixture } from '../support/fixtures.ts';

const yang = loadFixture('yang');
const file = (name: string) => readFileSync(fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url)));
/** The tensors of the network in a fixture, under the names of the publication. */
const load = (name: string): Map<string, Tensor> => {
  const { dictionaries } = readTensorFile(file(`${name}.pth`), `${name}.pth`);
  const { tensors } = dictionaries.find(({ path }) => path === 'model')!;
  return new Map([...tensors].map(([key, tensor]) => [key.replace('module.', ''), tensor.read()]));
};
/** Imports a file of these tensors. */
const imported = (tensors: ReadonlyMap<string, Tensor>, key?: string) =>
  importNetwork(writeSafetensors(tensors), 'model.pth', key);
const renamed = (tensors: ReadonlyMap<string, Tensor>, rename: (key: string) => string) =>
  new Map([...tensors].map(([key, tensor]) => [rename(key), tensor]));

const CLASSIFIER = { kind: 'yang-classifier', size: 64, ndf: 4, classes: 7 } as const;
const INVERSION = { kind: 'yang-inversion', size: 64, ngf: 4, classes: 7 } as const;

/** Tensors of a network as its files have them, all zero. */
function emptyTensors(description: ModelDescription): Map<string, Tensor> {
  const spec = description.kind === 'yang-classifier' ? yangClassifier(description) : undefined;
  const model = spec ?? yangInversion(description as typeof INVERSION);
  const state = { epoch: 0, parameters: new Uint32Array(modelLayout(model).length), optimizer: [] };
  return readSafetensors(writeCheckpoint({ spec: model, state, metadata: {} }), 'empty').tensors;
}

describe('recognising a published network', () => {
  it.each([
    ['classifier', CLASSIFIER, 'yang-classifier 64x64, ndf 4, nz 7'],
    ['inversion', INVERSION, 'yang-inversion 64x64, ngf 4, nz 7'],
  ] as const)(
    'a published network is recognised in %s.pth, and its checkpoint has the same bits',
    (name, description, label) => {
      const { spec, parameters, notes } = importNetwork(file(`${name}.pth`), `${name}.pth`);
      expect(spec.description).toEqual(description);
      expect(modelName(spec)).toBe(label);
      expect(notes).toEqual([]);
      const layout = modelLayout(spec);
      expect(parameters).toHaveLength(layout.length);
      const bytes = writeCheckpoint({
        spec,
        state: { epoch: 0, parameters, optimizer: [] },
        metadata: { source: `${name}.pth` },
      });

      const back = readCheckpoint(bytes, 'a', spec);
      expect(back.spec.description).toEqual(description);
      expect(back.state).toEqual({ epoch: 0, parameters, optimizer: [] });
      expect(back.metadata).toEqual({ source: `${name}.pth` });

      // The file has PyTorch's names, shapes and bits, and nothing else.
      const written = readSafetensors(bytes, 'a').tensors;
      const weights = [...load(name).keys()].filter((key) => !key.endsWith('.num_batches_tracked'));
      expect([...written.keys()].sort()).toEqual(weights.sort());
      for (const [key, { dtype, shape, data }] of written) {
        const golden = yang.tensor(`${name}/after3/${key}`);
        expect([key, dtype, shape]).toEqual([key, 'F32', golden.shape]);
        expect(new Uint32Array(data.buffer), key).toEqual(
          new Uint32Array(golden.data.buffer, golden.data.byteOffset, golden.data.length),
        );
      }
    },
  );

  it.each([
    { kind: 'yang-classifier', size: 32, ndf: 3, classes: 5 },
    { kind: 'yang-classifier', size: 64, ndf: 2, classes: 9 },
    { kind: 'yang-inversion', size: 32, ngf: 3, classes: 5 },
    { kind: 'yang-inversion', size: 64, ngf: 2, classes: 9 },
  ] as const)('a published network is recognised at any size: %o', (description) => {
    expect(imported(emptyTensors(description)).spec.description).toEqual(description);
  });

  it('a published network has as many parameters as PyTorch counts', () => {
    expect(parameterCount(yangClassifier({ kind: 'yang-classifier', size: 64, ndf: 128, classes: 530 }))).toBe(
      51025344,
    );
    expect(parameterCount(yangInversion({ kind: 'yang-inversion', size: 64, ngf: 128, classes: 530 }))).toBe(19701377);
  });
});

describe('a published network among other tensors', () => {
  const network = emptyTensors({ kind: 'yang-classifier', size: 32, ndf: 1, classes: 4 });
  const nameOf = (tensors: ReadonlyMap<string, Tensor>, key?: string) => modelName(imported(tensors, key).spec);
  const NAME = 'yang-classifier 32x32, ndf 1, nz 4';
  const integers: Tensor = { dtype: 'I8', shape: [2], data: new Int8Array(2) };
  const floats: Tensor = { dtype: 'F32', shape: [2], data: new Float32Array(2) };

  it.each([
    'module.',
    'module.module.',
    '_orig_mod.',
    '_orig_mod.module.',
    'module._orig_mod.',
    'model.',
    'model._orig_mod.module.',
    'net.backbone.',
    '_fsdp_wrapped_module.',
  ])('a published network is recognised below the wrapper %s', (prefix) => {
    expect(nameOf(renamed(network, (key) => prefix + key))).toBe(NAME);
  });

  it('a published network is recognised when a part of it is wrapped', () => {
    expect(nameOf(renamed(network, (key) => key.replace('encoder.', 'encoder.module.')))).toBe(NAME);
  });

  it('integers, names without a dot, and other modules beside a published network are left out', () => {
    expect(nameOf(new Map([...network, ['encoder.0.weight_mask', integers], ['loss', floats]]))).toBe(NAME);
    const module = renamed(network, (key) => `model.${key}`);
    expect(nameOf(new Map([...module, ['criterion.weight', floats], ['metric.total', floats]]))).toBe(NAME);
  });

  it('several copies of a network are told apart by the usual key, or else by --key', () => {
    const copies = (...names: string[]) =>
      new Map(names.flatMap((name) => [...renamed(network, (key) => `${name}.${key}`)]));
    expect(nameOf(copies('ema', 'model'))).toBe(NAME);
    expect(() => nameOf(copies('ema', 'best'))).toThrow(
      'holds several networks: ema (classifier), best (classifier); name one: midas import FILE --key NAME',
    );
    expect(nameOf(copies('ema', 'best'), 'best')).toBe(NAME);
    expect(() => nameOf(copies('ema', 'best'), 'worst')).toThrow(ConfigError);
  });
});

describe('tensors of an unknown model', () => {
  const more = ['fc.4.weight', load('classifier').get('fc.2.weight')!] as const;
  const cases: [string, Map<string, Tensor>, string][] = [
    ['nothing', new Map(), 'model.pth: holds no tensors'],
    [
      'a perceptron of the same names',
      new Map([...load('classifier')].filter(([key]) => key.startsWith('fc.'))),
      'neither the classifier nor the inversion network of Yang et al. (its tensors are fc.0.weight F32, ',
    ],
    [
      'one more layer',
      new Map([...load('classifier'), more]),
      'beside the tensors of the published classifier it has fc.4.weight, so it is another network',
    ],
    ['both networks together', new Map([...load('classifier'), ...load('inversion')]), 'holds several networks: '],
  ];
  it.each(cases)('an unknown model is refused with what the file holds: %s', (_, tensors, message) => {
    expect(() => imported(tensors)).toThrow(DataError);
    expect(() => imported(tensors)).toThrow(message);
  });
});

describe('a published network of other floating-point types', () => {
  const network = load('classifier');
  const floats = [...network].filter(([, { dtype }]) => dtype === 'F32');
  /** Every weight as the bits of bfloat16, whose numbers float32 and float64 also have. */
  const brain = (data: Tensor['data']) => Uint16Array.from(new Uint32Array(data.buffer), (bits) => bits >>> 16);
  const exact = (bits: Uint16Array) => new Float32Array(Uint32Array.from(bits, (each) => each << 16).buffer);
  const as = (convert: (data: Tensor['data']) => Pick<Tensor, 'dtype' | 'data'>) =>
    imported(new Map(floats.map(([key, { shape, data }]) => [key, { shape, ...convert(data) } as Tensor])));
  const rounded = as((data) => ({ dtype: 'F32', data: exact(brain(data)) }));

  it('bfloat16 becomes float32 exactly, and the conversion is told', () => {
    const { parameters, notes } = as((data) => ({ dtype: 'BF16', data: brain(data) }));
    expect(parameters).toEqual(rounded.parameters);
    expect(notes).toEqual(['model.pth: its bfloat16 weights became float32, which is exact.']);
  });

  it('float64 is rounded to float32, and the rounding is told', () => {
    const { parameters, notes } = as((data) => ({ dtype: 'F64', data: Float64Array.from(exact(brain(data))) }));
    expect(parameters).toEqual(rounded.parameters);
    expect(notes).toEqual(['model.pth: its float64 weights were rounded to float32.']);
    const wide = as((data) => ({ dtype: 'F64', data: Float64Array.from(data as Float32Array, (x) => x + 1e-12) }));
    expect(wide.parameters).toHaveLength(parameters.length);
  });

  it('a number beyond float32 is refused with its value', () => {
    expect(() => as((data) => ({ dtype: 'F64', data: new Float64Array(data.length).fill(1e300) }))).toThrow(
      /key encoder\.0\.weight: element 0 is 1e\+300, too large for float32/,
    );
  });

  it('every number of float16 becomes the float32 of the same value', () => {
    const all = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits);
    const values = toFloat32({ dtype: 'F16', shape: [all.length], data: all })!;
    expect([0, 0x3c00, 0xc000, 0x7bff, 1, 0x8400, 0x7c00].map((bits) => values[bits])).toEqual([
      0,
      1,
      -2,
      65504,
      2 ** -24,
      -(2 ** -14),
      Number.POSITIVE_INFINITY,
    ]);
    expect(Object.is(values[0x8000], -0)).toBe(true);
    expect([0x7c01, 0xffff].map((bits) => values[bits])).toEqual([Number.NaN, Number.NaN]);
    for (let bits = 1; bits < 0x7c00; bits++) if (!(values[bits] > values[bits - 1])) expect(bits).toBe(-1);
  });
});

describe('refusing a damaged published network with a DataError', () => {
  const changed = (name: string, change: (tensors: Map<string, Tensor>) => void) => {
    const tensors = load(name);
    change(tensors);
    return tensors;
  };
  const zeros = (...shape: number[]): Tensor => ({
    dtype: 'F32',
    shape,
    data: new Float32Array(shape.reduce((product, n) => product * n, 1)),
  });
  const set = (name: string, key: string, tensor: Tensor) => changed(name, (tensors) => tensors.set(key, tensor));

  const cases: [string, Map<string, Tensor>, string][] = [
    [
      'a wrong shape',
      set('classifier', 'encoder.4.weight', zeros(8, 4, 5, 5)),
      'key encoder.4.weight is F32 [8,4,5,5], the model needs F32 [8,4,3,3]',
    ],
    [
      'a wrong type',
      set('classifier', 'fc.0.bias', { dtype: 'I16', shape: [35], data: new Int16Array(35) }),
      'key fc.0.bias is I16 [35], the model needs F32 [35]',
    ],
    [
      'a hidden layer that is not five times the people',
      set('classifier', 'fc.0.weight', zeros(36, 512)),
      'key fc.0.weight is F32 [36,512], the model needs F32 [35,512]',
    ],
    [
      'images of another size',
      set('classifier', 'fc.0.weight', zeros(35, 288)),
      'key fc.0.weight is [35,288], after 32 channels the classifier needs [35,128] for 32x32 or [35,512] for 64x64',
    ],
    [
      'a dense layer that is a convolution',
      set('classifier', 'fc.2.weight', zeros(7, 35, 1, 1)),
      'key fc.2.weight is [7,35,1,1], the model needs 2 sizes above 0',
    ],
    [
      'a tensor of nothing',
      set('classifier', 'encoder.0.weight', zeros(0, 1, 3, 3)),
      'key encoder.0.weight is [0,1,3,3], the model needs 4 sizes above 0',
    ],
    [
      'a missing key',
      changed('classifier', (tensors) => tensors.delete('encoder.13.running_var')),
      'key encoder.13.run',
    ],
    [
      'a missing first key',
      changed('inversion', (tensors) => tensors.delete('decoder.0.weight')),
      'key decoder.0.weig',
    ],
    [
      'half a classifier',
      new Map([...load('classifier')].filter(([key]) => key.startsWith('encoder.'))),
      'key fc.2.weight is missing; give a file of the whole network',
    ],
    [
      'half an inversion network',
      new Map([...load('inversion')].filter(([key]) => /^decoder\.[0-6]\./.test(key))),
      'key decoder.7.weight [8] is missing',
    ],
    [
      'channels that are no multiple',
      set('inversion', 'decoder.0.weight', zeros(7, 30, 4, 4)),
      'key decoder.0.weight is [7,30,4,4], for 64x64 pixels the inversion network needs [7,8 ngf,4,4]',
    ],
  ];
  it.each(cases)('the error names the file and the key of a damaged network: %s', (_, tensors, message) => {
    const recognise = () => imported(tensors);
    expect(recognise).toThrow(DataError);
    expect(recognise).toThrow(`model.pth: ${message}`);
    expect(recognise).toThrow(/^[^\n]+[;,] [^\n]+$/);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'the error names the file and the key of a weight that is %s',
    (value) => {
      const tensors = load('classifier');
      tensors.get('fc.0.weight')!.data[5] = value;
      expect(() => imported(tensors)).toThrow(/^model\.pth: key fc\.0\.weight: element 5 is not finite/);
    },
  );
});
