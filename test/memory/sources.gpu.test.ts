import { afterEach, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import type { DenseSpec } from '../../src/layers/dense.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { codeAt } from '../../src/memory/codec.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { fetchCodes, fetchTensor } from '../../src/memory/fault_sampler.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { encodedImage, type Layer, MEMORIES, SMALL_GEOMETRY, UNIFORM } from '../support/memories.ts';

const device = useGpu();

const SPECS: readonly DenseSpec[] = [
  { kind: 'dense', name: 'fc1', inputs: 100, outputs: 37, activation: 'none' },
  { kind: 'dense', name: 'fc2', inputs: 37, outputs: 19, activation: 'none' },
];
const LAYERS = ['fc1', 'fc2'];
const layout = new ParameterLayout(layerParameters(SPECS));
const NAMES = layout.slices.map(({ name }) => name);

const weights = new Float32Array(layout.length);
for (const [i, slice] of layout.slices.entries()) {
  const values = randomValues(slice.rows * slice.columns, i, [0.3, 0.02, 1.7, 0.9][i]);
  layout.pack(slice, new Uint32Array(values.buffer), new Uint32Array(weights.buffer));
}

let arena: Arena | undefined;
afterEach(() => arena?.destroy());

async function store(config: MemoryConfigInput, draw = 2) {
  arena = new Arena(device.gpu);
  const parameters = new FlatParameters(arena, 'parameters', layout);
  device.gpu.write(parameters.view, weights);
  const memory = await ApproximateMemory.store(arena, parameters);
  await memory.configure(parseMemoryConfig(config, LAYERS));
  await memory.load(draw);
  return memory;
}

const imageOf = (memory: ApproximateMemory, name: string) => encodedImage(memory, layout.find(name), weights);

describe.each(Object.entries(MEMORIES))('weights in a memory: %s', (_, layer) => {
  const config: MemoryConfigInput = {
    seed: 7,
    chip: 3,
    granularity: 'pass',
    geometry: SMALL_GEOMETRY,
    layers: { '*': layer },
  };

  it('weights are encoded, fetched and decoded bit for bit as by the reference, in different passes', async () => {
    const memory = await store(config);
    const recorder = new Recorder(device.gpu);
    memory.recordPass(recorder, 1);
    const program = await recorder.build('pass');
    program.setStep({ passIndex: 4 });
    program.run();
    let failed = 0;
    for (const name of NAMES) {
      const image = imageOf(memory, name);
      const used = image.words.length;
      expect((await memory.readCodes(name)).subarray(0, used), `codes of ${name}`).toEqual(image.words);
      const expected = fetchCodes(image, memory.faultSamplerOf(name, 6));
      const returned = await memory.fetchCodes(name, 6);
      expect(returned.subarray(0, used), `returned codes of ${name}`).toEqual(expected);
      for (let i = 0; i < used; i++) failed += expected[i] === image.words[i] ? 0 : 1;
      const decoded = fetchTensor(image, memory.faultSamplerOf(name, 5));
      expect(await memory.fetchedWeights(name), `weights of ${name}`).toEqual(decoded);
    }
    expect(failed).toBeGreaterThan(0);
  });
});

/** Multiplies fc2 with the identity, forward and backward, so that the fused products show the weights that they read. */
async function fusedWeights(config: MemoryConfigInput) {
  const memory = await store(config);
  const { inputs, outputs } = SPECS[1];
  const unit = (n: number) => Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
  const planned = arena!;
  const recorder = new Recorder(device.gpu);
  const pass = (batch: number) =>
    planGraph(planned, [SPECS[1]], planned.matrix('x', batch, inputs), { gradients: { input: true } });
  const forward = pass(inputs);
  const backward = pass(outputs);
  writeMatrix(device.gpu, forward.values[0], unit(inputs));
  writeMatrix(device.gpu, backward.gradients[1]!, unit(outputs));
  recordForward(recorder, planned, [SPECS[1]], memory.weightsOf, forward);
  recordBackward(recorder, planned, [SPECS[1]], memory.weightsOf, backward);
  const program = await recorder.build('layer');
  program.setStep({ passIndex: 8 });
  program.run();
  const [y, dx] = [forward.values[1], backward.gradients[0]!];
  return { memory, y: await readMatrix(device.gpu, y), dx: await readMatrix(device.gpu, dx) };
}

describe('fused products of every memory', () => {
  // A weight that is not finite makes a whole row of a product not finite, so float formats are compared without them.
  const FUSED = [
    'fixed point of 3 bits',
    'int8 with a scale per channel',
    'int4 with a scale per channel',
    'fp16, saturating',
    'bf16, saturating',
    'fp32, zeros for what is not finite',
    'EDEN EM1',
    'SECDED over stored values, int4',
    "two's complement of 12 bits",
    'inverted storage',
    'inverted storage under protected bits, int4',
    'reordered bits',
  ];

  it.each(FUSED)('fused products of %s multiply with exactly the weights that a pass reads', async (kind) => {
    const layer = MEMORIES[kind];
    const common = { seed: 7, granularity: 'pass', path: 'fused', geometry: SMALL_GEOMETRY } as const;
    const { memory, y, dx } = await fusedWeights({ ...common, layers: { fc2: { ...layer } } });
    const { rows, columns, stride } = layout.find('fc2.weight');
    const read = (pass: number) =>
      new Float32Array(fetchTensor(imageOf(memory, 'fc2.weight'), memory.faultSamplerOf('fc2.weight', pass)).buffer);
    const bias = new Float32Array(
      fetchTensor(imageOf(memory, 'fc2.bias'), memory.faultSamplerOf('fc2.bias', 8)).buffer,
    );
    const [w, back] = [read(8), read(9)];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const at = row * stride + column;
        // All other terms are zero, so only the sum with the bias is rounded.
        expect(y[column * rows + row] + 0, `weight ${row} ${column}`).toBe(Math.fround(w[at] + bias[row]) + 0);
        expect(dx[row * columns + column] + 0).toBe(back[at] + 0);
      }
    }
  });

  it('a float format that lets infinities through keeps them out of pads', async () => {
    // Every cell fails: every code is its complement, and zeros in pads become NaN.
    const layer: Layer = {
      kind: 'stored',
      format: { kind: 'bf16' },
      faults: [{ kind: 'bit-plane', rates: [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1] }],
    };
    const { memory, y, dx } = await fusedWeights({ path: 'fused', layers: { fc2: layer } });
    const image = imageOf(memory, 'fc2.weight');
    const decoded = new Float32Array(fetchTensor(image, memory.faultSamplerOf('fc2.weight')).buffer);
    expect(decoded.every(Number.isFinite)).toBe(true);
    expect(codeAt(fetchCodes(image, memory.faultSamplerOf('fc2.weight')), 40, 16)).toBe(0x7f80);
    expect(y.every(Number.isFinite) && dx.every(Number.isFinite)).toBe(true);
  });
});

describe('configurations that are not possible', () => {
  const refused: readonly (readonly [string, MemoryConfigInput, RegExp])[] = [
    [
      'a geometry smaller than the image',
      { geometry: { banks: 1, rows: 1, rowBytes: 64 }, layers: { '*': { kind: 'stored' } } },
      /^memory\.geometry: 1 banks of 1 rows of 64 bytes hold 64 bytes, but the image has \d+$/,
    ],
    [
      'more protected bits than a code has',
      { layers: { fc1: { kind: 'stored', format: { kind: 'int4' }, protectedBits: 5 } } },
      /^memory\.layers\.fc1\.protectedBits: 5 bits, but a code has only 4$/,
    ],
    [
      'a voltage outside the table',
      { chip: 3, layers: { fc1: { kind: 'stored', faults: [{ kind: 'voltage', vendor: 'C', volts: 1.0 }] } } },
      /^memory\.layers\.fc1\.faults\.0\.volts: 1 V is outside 1\.1\.\.1\.35 V, where DIMM C4 was measured/,
    ],
    [
      'lines that cannot show so many errors',
      { layers: { fc1: { kind: 'stored', faults: [{ kind: 'clustered', lines: 0.9, bitErrorRate: 0.001 }] } } },
      /^memory\.layers\.fc1\.faults\.0\.bitErrorRate: with 0\.001 in bad lines, at most 31\.9 % of lines show an error/,
    ],
    [
      'shares of lines that add up to more than 1',
      {
        layers: {
          fc1: {
            kind: 'stored',
            faults: [
              {
                kind: 'eden',
                model: 'EM2',
                lines: [
                  { share: 0.7, weakCells: 0 },
                  { share: 0.7, weakCells: 0 },
                ],
              },
            ],
          },
        },
      },
      /^memory\.layers\.fc1\.faults\.0\.lines: the shares add up to more than 1$/,
    ],
    [
      'protected bits in code words',
      { layers: { fc1: { kind: 'stored', protectedBits: 1, ecc: {} } } },
      /^memory\.layers\.fc1\.protectedBits: protected bits are in no code word; use either protectedBits or ecc$/,
    ],
    [
      'faults by line in activations',
      { layers: {}, activations: { input: { kind: 'stored', faults: [{ kind: 'clustered', lines: 0.1 }] } } },
      /^memory\.activations\.input\.faults: activations have no addresses/,
    ],
    [
      'faults by bit plane in check bits',
      { layers: { fc1: { kind: 'stored', faults: [{ kind: 'bit-plane', rates: [0.1] }], ecc: {} } } },
      /^memory\.layers\.fc1\.faults\.0: check bits have no bit plane/,
    ],
    [
      'more rates than bits',
      {
        layers: {
          fc1: { kind: 'stored', format: { kind: 'int4' }, faults: [{ kind: 'bit-plane', rates: [0, 0, 0, 0, 0.1] }] },
        },
      },
      /^memory\.layers\.fc1\.faults\.0\.rates: 5 rates for 4 bits$/,
    ],
    [
      'more fault sources than an entry of the fault table holds',
      {
        layers: {
          fc1: { kind: 'stored', faults: Array.from({ length: 30 }, () => ({ kind: 'uniform', bitErrorRate: 0.9 })) },
        },
      },
      /^memory\.layers\.fc1\.faults: 30 sources of faults at these rates need more than the 2048 words of an entry/,
    ],
  ];

  it.each(refused)('a configuration with %s is refused', async (_, config, message) => {
    await expect(store(config)).rejects.toThrow(message);
  });
});

describe('one memory under one configuration after the other', () => {
  const logitsOf = async (configs: readonly MemoryConfigInput[]) => {
    arena = new Arena(device.gpu);
    const parameters = new FlatParameters(arena, 'parameters', layout);
    device.gpu.write(parameters.view, weights);
    const memory = await ApproximateMemory.store(arena, parameters);
    const x = arena.matrix('x', 3, 100);
    writeMatrix(device.gpu, x, randomValues(300, 5));
    let words: Uint32Array = new Uint32Array(0);
    for (const config of configs) {
      await memory.configure(parseMemoryConfig(config, LAYERS));
      await memory.load(1);
      const recorder = new Recorder(device.gpu);
      const run = stackVictim(SPECS, memory.weightsOf, memory).plan(arena, x);
      run.recordForward(recorder);
      (await recorder.build('forward')).run();
      words = await device.gpu.readWords(run.logits);
    }
    arena.destroy();
    return words;
  };

  it('a memory that had other configurations before gives the same bits as a new one', async () => {
    const layers = { '*': { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.05 }] } } as const;
    const again = (): MemoryConfigInput['layers'] => JSON.parse(JSON.stringify(layers));
    const int8 = (): MemoryConfigInput['layers'] =>
      JSON.parse(JSON.stringify(layers).replace('"faults"', '"format":{"kind":"int8"},"faults"'));
    const inference: MemoryConfigInput = { granularity: 'inference', layers: again() };
    const before: MemoryConfigInput[] = [
      { path: 'fused', layers: again() },
      { path: 'fused', layers: int8() },
      { granularity: 'inference', layers: int8() },
      { layers: { fc1: { kind: 'gaussian', scale: 0.1 } } },
    ];
    expect(await logitsOf([...before, inference])).toEqual(await logitsOf([inference]));
    const fused: MemoryConfigInput = { path: 'fused', layers: again() };
    expect(await logitsOf([...before, inference, fused])).toEqual(await logitsOf([fused]));
  });

  it('the bytes of a read are counted in the format of the present configuration', async () => {
    const memory = await store({ layers: { fc1: { kind: 'stored', format: { kind: 'int8' } } } });
    const { length } = layout.find('fc1.weight');
    const bias = layout.find('fc1.bias').length;
    expect(memory.bytesOf('fc1')).toBe(length + bias);
    const f32 = memory.bytesOf('fc2');
    expect(f32).toBe(4 * (layout.find('fc2.weight').length + layout.find('fc2.bias').length));
    await memory.configure(parseMemoryConfig({ layers: { '*': { kind: 'stored', ecc: {} } } }, LAYERS));
    expect(memory.bytesOf('fc1')).toBe((2 * (length + bias) * 9) / 8);
    expect(memory.bytesOf('fc2')).toBe((f32 / 2) * (9 / 8));
    await expect(memory.fetchCodes('fc1.weight')).resolves.toHaveLength(length / 2);
    await memory.configure(
      parseMemoryConfig({ granularity: 'inference', layers: { '*': { kind: 'stored', faults: [UNIFORM] } } }, LAYERS),
    );
    await expect(memory.fetchCodes('fc1.weight')).rejects.toThrow(/every image reads the weights separately/);
  });
});
