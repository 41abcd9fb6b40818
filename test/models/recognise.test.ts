import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readPth, stateDict } from '../../src/formats/pth.ts';
import { readSafetensors, type Tensor } from '../../src/formats/safetensors.ts';
import { packTensors, readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import type { ModelDescription } from '../../src/models/model_spec.ts';
import { parameterCount } from '../../src/models/plan.ts';
import { recogniseModel } from '../../src/models/recognise.ts';
import { modelName } from '../../src/models/specs.ts';
import { modelLayout } from '../../src/models/trainer.ts';
import { yangClassifier, yangInversion } from '../../src/models/yang.ts';
import { loadFixture } from '../support/fixtures.ts';

const yang = loadFixture('yang');
const load = (name: string) =>
  readPth(readFileSync(fileURLToPath(new URL(`../fixtures/${name}.pth`, import.meta.url))), `${name}.pth`);

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
      const tensors = load(name);
      const spec = recogniseModel(tensors, `${name}.pth`);
      expect(spec?.description).toEqual(description);
      expect(modelName(spec!)).toBe(label);
      const parameters = packTensors(spec!, tensors, `${name}.pth`);
      const layout = modelLayout(spec!);
      expect(parameters).toHaveLength(layout.length);
      const bytes = writeCheckpoint({
        spec: spec!,
        state: { epoch: 0, parameters, optimizer: [] },
        metadata: { source: `${name}.pth` },
      });

      const back = readCheckpoint(bytes, 'a', spec);
      expect(back.spec.description).toEqual(description);
      expect(back.state).toEqual({ epoch: 0, parameters, optimizer: [] });
      expect(back.metadata).toEqual({ source: `${name}.pth` });

      // The file has PyTorch's names, shapes and bits, and nothing else.
      const written = readSafetensors(bytes, 'a').tensors;
      expect([...written.keys()].sort()).toEqual([...tensors.keys()].sort());
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
    expect(recogniseModel(emptyTensors(description), 'a.pth')?.description).toEqual(description);
  });

  it('a published network has as many parameters as PyTorch counts', () => {
    expect(parameterCount(yangClassifier({ kind: 'yang-classifier', size: 64, ndf: 128, classes: 530 }))).toBe(
      51025344,
    );
    expect(parameterCount(yangInversion({ kind: 'yang-inversion', size: 64, ngf: 128, classes: 530 }))).toBe(19701377);
  });
});

describe('tensors of an unknown model', () => {
  const cases: [string, Map<string, Tensor>][] = [
    ['nothing', new Map()],
    ['a perceptron of the same names', new Map([...load('classifier')].filter(([key]) => key.startsWith('fc.')))],
    ['one more layer', new Map([...load('classifier'), ['fc.4.weight', load('classifier').get('fc.2.weight')!]])],
    ['both networks together', new Map([...load('classifier'), ...load('inversion')])],
  ];
  it.each(cases)('an unknown model is not recognised: %s', (_, tensors) => {
    expect(recogniseModel(tensors, 'a.pth')).toBeUndefined();
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
      set('classifier', 'fc.0.bias', { dtype: 'F16', shape: [35], data: new Uint16Array(35) }),
      'key fc.0.bias is F16 [35], the model needs F32 [35]',
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
    const recognise = () => recogniseModel(tensors, 'model.pth');
    expect(recognise).toThrow(DataError);
    expect(recognise).toThrow(`model.pth: ${message}`);
    expect(recognise).toThrow(/^[^\n]+[;,] [^\n]+$/);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])(
    'the error names the file and the key of a weight that is %s',
    (value) => {
      const tensors = load('classifier');
      tensors.get('fc.0.weight')!.data[5] = value;
      const spec = recogniseModel(tensors, 'model.pth')!;
      expect(() => packTensors(spec, tensors, 'model.pth')).toThrow(
        /^model\.pth: key fc\.0\.weight: element 5 is not finite/,
      );
    },
  );
});

describe('reading a state dict', () => {
  it('a state dict loses the prefix of DataParallel and the counters of batches', () => {
    const entries: [string, number][] = [
      ['module.a.weight', 1],
      ['module.b.num_batches_tracked', 2],
    ];
    expect(stateDict(entries, 'm')).toEqual([['a.weight', 1]]);
    expect(stateDict([...entries, ['other', 3]], 'm')).toEqual([
      ['module.a.weight', 1],
      ['other', 3],
    ]);
  });
});
