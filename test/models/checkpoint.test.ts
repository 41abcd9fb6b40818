import { describe, expect, it } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { readSafetensors, type Tensor, writeSafetensors } from '../../src/formats/safetensors.ts';
import { halfPrecision, importedCheckpoint, readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import { importAnyNetwork } from '../../src/models/import_network.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import type { ModelKind, ModelSpec } from '../../src/models/model_spec.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { yangInversion } from '../../src/models/yang.ts';
import { Random } from '../../src/random.ts';

const KINDS: readonly (readonly [ModelKind, number[]])[] = [
  ['softmax', []],
  ['mlp', [6]],
  ['mlp-sigmoid', [17]],
  ['dae', [9, 4]],
];

/** Finite random parameters in the padded layout, including subnormals and both zeros. */
function exampleState(spec: ModelSpec) {
  const layout = modelLayout(spec);
  const random = new Random(2);
  const parameters = new Uint32Array(layout.length);
  for (const slice of layout.slices) {
    const values = Uint32Array.from({ length: slice.rows * slice.columns }, () => random.nextU32() & 0xbfffffff);
    values.set([0x80000000, 0, 1, 0x80000001].slice(0, values.length));
    layout.pack(slice, values, parameters);
  }
  const optimizer = [0, 1].map(() => Uint32Array.from({ length: layout.length }, () => random.nextU32()));
  return { epoch: 7, parameters, optimizer };
}

const MLP = modelSpec('mlp', 20, 5, [6]);
const METADATA = { dataset: 'abc123', config: '{"seed":1}' };
const FILE = writeCheckpoint({ spec: MLP, state: exampleState(MLP), metadata: METADATA });

describe('reading and writing a checkpoint file', () => {
  it.each(KINDS)('a checkpoint of a %s with hidden layers %s is read back bit for bit', (kind, hidden) => {
    const spec = modelSpec(kind, 20, 5, hidden);
    const state = exampleState(spec);
    const bytes = writeCheckpoint({ spec, state, metadata: METADATA });
    expect(readCheckpoint(bytes, 'a.safetensors', spec)).toEqual({ spec, state, metadata: METADATA });
    expect(readCheckpoint(bytes, 'a.safetensors')).toEqual({ spec, state, metadata: METADATA });
  });

  it('a checkpoint of an inversion network for RGB is told from one for gray', () => {
    const gray = yangInversion({ kind: 'yang-inversion', size: 32, ngf: 2, classes: 5 });
    const rgb = yangInversion({ kind: 'yang-inversion', size: 32, channels: 3, ngf: 2, classes: 5 });
    const state = { ...exampleState(rgb), optimizer: [] };
    const bytes = writeCheckpoint({ spec: rgb, state, metadata: {} });
    expect(readCheckpoint(bytes, 'a', rgb)).toEqual({ spec: rgb, state, metadata: {} });
    expect(() => readCheckpoint(bytes, 'a', gray)).toThrow(
      'a: it holds a yang-inversion 32x32 RGB, ngf 2, nz 5, this run needs a yang-inversion 32x32, ngf 2, nz 5',
    );
    const plain = writeCheckpoint({ spec: gray, state: { ...exampleState(gray), optimizer: [] }, metadata: {} });
    expect(readSafetensors(plain, 'a').metadata.model).not.toContain('channels');
  });

  it('a checkpoint in half floats has the nearest half floats and says what it was trained on', () => {
    const spec = modelSpec('softmax', 4, 2, []);
    const layout = modelLayout(spec);
    const parameters = new Uint32Array(layout.length);
    // Exact values, two ties, both zeros, and numbers below the smallest normal half float.
    const weights = [1, -0.5, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 65504, -0, 2 ** -24, 2 ** -26];
    const rounded = [1, -0.5, 1, 1 + 2 ** -9, 65504, -0, 2 ** -24, 0];
    const pack = (values: number[]) => {
      const words = new Uint32Array(Float32Array.from(values).buffer);
      layout.pack(layout.slices[0], words, parameters);
      return { epoch: 3, parameters: parameters.slice(), optimizer: [] };
    };
    const bytes = writeCheckpoint({ spec, state: pack(weights), metadata: { dataset: 'abc123' } });
    const { dataset, tensors } = importAnyNetwork(bytes, 'a.safetensors');
    const half = importedCheckpoint({ spec, dataset, tensors: halfPrecision(tensors, 'a') }, { source: 'a' });
    const file = writeSafetensors(...half);
    expect([...readSafetensors(file, 'b').tensors.values()].map(({ dtype }) => dtype)).toEqual(['F16', 'F16']);
    const { state, metadata } = readCheckpoint(file, 'b', spec);
    expect(state.parameters).toEqual(pack(rounded).parameters);
    expect(metadata.dataset).toBe('abc123');
    const large = importAnyNetwork(writeCheckpoint({ spec, state: pack([65505]), metadata: {} }), 'a');
    expect(() => halfPrecision(large.tensors, 'net.pth')).toThrow(
      /^net.pth: key .*: element 0 is 65505, larger than any half/,
    );
  });

  it('a checkpoint without optimiser state is read back without it', () => {
    const state = { ...exampleState(MLP), optimizer: [] };
    const bytes = writeCheckpoint({ spec: MLP, state, metadata: {} });
    expect(readCheckpoint(bytes, 'a')).toEqual({ spec: MLP, state, metadata: {} });
  });

  it("a checkpoint holds PyTorch's names and shapes, without padding", () => {
    const { tensors, metadata } = readSafetensors(FILE, 'a');
    const shapes = [...tensors].map(([name, { dtype, shape }]) => `${name} ${dtype} ${shape.join('x')}`);
    expect(shapes.slice(0, 4)).toEqual([
      'fc1.weight F32 6x20',
      'fc1.bias F32 6',
      'fc2.weight F32 5x6',
      'fc2.bias F32 5',
    ]);
    expect(metadata).toMatchObject({ format: 'midas-checkpoint/1', epoch: '7', ...METADATA });
  });
});

/** The example file with something changed. */
function damaged(change: (tensors: Map<string, Tensor>, metadata: Record<string, string>) => void): Uint8Array {
  const { tensors, metadata } = readSafetensors(FILE, 'a');
  change(tensors, metadata);
  return writeSafetensors(tensors, metadata);
}

describe('refusing a checkpoint file with a DataError', () => {
  const cases: readonly (readonly [string, Uint8Array, RegExp])[] = [
    ['not safetensors', Uint8Array.of(1, 2, 3), /^model\.safetensors: byte 0/],
    ['cut short', FILE.subarray(0, FILE.length - 4), /^model\.safetensors: /],
    [
      'another format',
      damaged((_, metadata) => {
        metadata.format = 'midas-checkpoint/2';
      }),
      /^model\.safetensors: key format: this is not a midas-checkpoint\/1 file; give one that a run saved, or convert it: midas import$/,
    ],
    [
      'no metadata',
      damaged((_, metadata) => {
        for (const key of Object.keys(metadata)) delete metadata[key];
      }),
      /^model\.safetensors: key format: /,
    ],
    [
      'no model',
      damaged((_, metadata) => {
        delete metadata.model;
      }),
      /^model\.safetensors: key format: /,
    ],
    [
      'a model that is not JSON',
      damaged((_, metadata) => {
        metadata.model = 'mlp';
      }),
      /^model\.safetensors: key model: /,
    ],
    [
      'an unknown kind of model',
      damaged((_, metadata) => {
        metadata.model = '{"kind":"cnn","inputs":1,"classes":1,"hidden":[]}';
      }),
      /^model\.safetensors: key model: /,
    ],
    [
      'a model without size',
      damaged((_, metadata) => {
        metadata.model = '{"kind":"mlp","inputs":0,"classes":5,"hidden":[6]}';
      }),
      /^model\.safetensors: key model: /,
    ],
    [
      'a missing tensor',
      damaged((tensors) => {
        tensors.delete('fc2.bias');
      }),
      /^model\.safetensors: key fc2\.bias is missing$/,
    ],
    [
      'another shape',
      damaged((tensors) => {
        tensors.set('fc1.weight', { dtype: 'F32', shape: [20, 6], data: new Float32Array(120) });
      }),
      /^model\.safetensors: key fc1\.weight is F32 \[20,6\], the model needs F32 or F16 \[6,20\]$/,
    ],
    [
      'another type',
      damaged((tensors) => {
        tensors.set('fc1.bias', { dtype: 'BF16', shape: [6], data: new Uint16Array(6) });
      }),
      /^model\.safetensors: key fc1\.bias is BF16 \[6\], the model needs F32 or F16 \[6\]$/,
    ],
    [
      'a NaN',
      damaged((tensors) => {
        new Uint32Array(tensors.get('fc2.weight')!.data.buffer)[3] = 0x7f800001;
      }),
      /^model\.safetensors: key fc2\.weight: element 3 is not finite \(0x7f800001\)/,
    ],
    [
      'an infinity',
      damaged((tensors) => {
        tensors.get('fc1.bias')!.data[0] = -Infinity;
      }),
      /^model\.safetensors: key fc1\.bias: element 0 is not finite/,
    ],
    [
      'no epoch',
      damaged((_, metadata) => {
        delete metadata.epoch;
      }),
      /^model\.safetensors: key epoch: /,
    ],
    [
      'an epoch that is no number',
      damaged((_, metadata) => {
        metadata.epoch = 'seven';
      }),
      /^model\.safetensors: key epoch: /,
    ],
    [
      'optimiser words of another type',
      damaged((tensors) => {
        tensors.set('training.optimizer.1', { dtype: 'F32', shape: [4], data: new Float32Array(4) });
      }),
      /^model\.safetensors: key training\.optimizer\.1 is F32/,
    ],
  ];

  it.each(cases)('the error names the checkpoint file and what is wrong: %s', (_, bytes, message) => {
    const read = () => readCheckpoint(bytes, 'model.safetensors');
    expect(read).toThrow(DataError);
    expect(read).toThrow(message);
  });

  it('a checkpoint of another model than the run needs is refused', () => {
    for (const other of [
      modelSpec('mlp-sigmoid', 20, 5, [6]),
      modelSpec('mlp', 20, 5, [7]),
      modelSpec('mlp', 21, 5, [6]),
      modelSpec('mlp', 20, 4, [6]),
    ]) {
      const read = () => readCheckpoint(FILE, 'model.safetensors', other);
      expect(read).toThrow(DataError);
      expect(read).toThrow(
        /^model\.safetensors: it holds a mlp 20-6-5, this run needs a mlp\S* \d+-\d-\d; give another file$/,
      );
    }
  });
});
