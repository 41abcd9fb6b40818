import { afterEach, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import type { DenseSpec } from '../../src/layers/dense.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { packCodes } from '../../src/memory/codec.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { fetchCodes, fetchTensor } from '../../src/memory/fault_sampler.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();

const SPECS: readonly DenseSpec[] = [
  { kind: 'dense', name: 'fc1', inputs: 100, outputs: 37, activation: 'none' },
  { kind: 'dense', name: 'fc2', inputs: 37, outputs: 19, activation: 'none' },
];
const LAYERS = ['fc1', 'fc2'];
const layout = new ParameterLayout(layerParameters(SPECS));

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

function imageOf(memory: ApproximateMemory, name: string) {
  const { rows, columns, stride, offset } = layout.find(name);
  const codec = memory.codecOf(name);
  const codes = Array.from(weights.subarray(offset, offset + rows * stride), (weight, i) =>
    codec.encode(weight, Math.floor(i / stride)),
  );
  return { words: packCodes(codes, codec.storageBits), rows, columns, stride, codec };
}

type Layer = Extract<MemoryConfigInput['layers'][string], { kind: 'stored' }>;
const stored = (faults: Layer['faults'], rest: Partial<Layer> = {}): Layer => ({ kind: 'stored', faults, ...rest });

// Many small rows, so that the tensors lie in several banks and bands.
const GEOMETRY = { banks: 8, rows: 1024, rowBytes: 256 } as const;

const rows = { kind: 'rows', volts: 1.15, bitErrorRate: 0.1 } as const;
const early = { kind: 'latency', vendor: 'B', tRCD: 7.5 } as const;
const uniform = { kind: 'uniform', bitErrorRate: 0.01 } as const;

const MEMORIES: Readonly<Record<string, { layer: Layer; rest?: Partial<MemoryConfigInput> }>> = {
  'rows of the population': { layer: stored([rows]) },
  'rows of a named DIMM, interpolated': { layer: stored([{ ...rows, dimm: 'C1', volts: 1.2 }]) },
  'rows, a low rate': { layer: stored([{ ...rows, bitErrorRate: 0.005 }]) },
  'rows, drawn once per chip, int8': { layer: stored([{ ...rows, drawn: 'chip' }], { format: { kind: 'int8' } }) },
  'rows, cells interleaved by lines': {
    layer: stored([rows]),
    rest: { geometry: { ...GEOMETRY, channels: 2, mapping: 'line-interleaved' } },
  },
  'rows, bank after bank, fp32': {
    layer: stored([rows], { format: { kind: 'fp32', nonFinite: 'zero' } }),
    rest: { geometry: { ...GEOMETRY, mapping: 'bank-sequential' } },
  },
  'rows, permuted banks': { layer: stored([rows]), rest: { geometry: { ...GEOMETRY, mapping: 'permuted' } } },
  'rows in given banks': {
    layer: stored([rows]),
    rest: { geometry: { ...GEOMETRY, rowBytes: 4096 }, place: { fc1: 'bank:2,6', '*': 'rows:bad' } },
  },
  'reads that are early': { layer: stored([early]) },
  'reads that are early, most cells fail': { layer: stored([{ ...early, vendor: 'A', tRCD: 2.5, dimm: 'b18' }]) },
  'early precharge, protected bits, lines': {
    layer: stored([{ kind: 'latency', vendor: 'A', tRP: 7.5 }], { protectedBits: 2 }),
    rest: { geometry: { ...GEOMETRY, mapping: 'line-interleaved' } },
  },
  'rows and early reads and uniform errors': { layer: stored([uniform, rows, early]) },
  'two maps of rows and a cache-line model': {
    layer: stored([rows, { ...rows, dimm: 'C2', volts: 1.175 }, { kind: 'clustered', lines: 0.2, bitErrorRate: 0.05 }]),
  },
  'early reads with SECDED': { layer: stored([{ ...early, vendor: 'C', tRCD: 5 }], { ecc: {} }) },
  'rows with SECDED, scrubbed': {
    layer: stored([{ ...rows, drawn: 'load' }, uniform], { ecc: { scrub: true } }),
  },
};

describe.each(Object.entries(MEMORIES))('weights in measured DRAM: %s', (_, { layer, rest }) => {
  const config = (path: 'materialised' | 'fused'): MemoryConfigInput => ({
    seed: 7,
    chip: 1,
    granularity: 'pass',
    geometry: GEOMETRY,
    path,
    ...rest,
    layers: { '*': layer },
  });

  it('weights are fetched and decoded bit for bit as by the reference, in different passes', async () => {
    const memory = await store(config('materialised'));
    const recorder = new Recorder(device.gpu);
    memory.recordPass(recorder, 1);
    const program = await recorder.build('pass');
    program.setStep({ passIndex: 4 });
    program.run();
    let failed = 0;
    for (const { name } of layout.slices) {
      const image = imageOf(memory, name);
      const used = image.words.length;
      const expected = fetchCodes(image, memory.faultSamplerOf(name, 6));
      expect((await memory.fetchCodes(name, 6)).subarray(0, used), `returned codes of ${name}`).toEqual(expected);
      for (let i = 0; i < used; i++) failed += expected[i] === image.words[i] ? 0 : 1;
      const decoded = fetchTensor(image, memory.faultSamplerOf(name, 5));
      expect(await memory.fetchedWeights(name), `weights of ${name}`).toEqual(decoded);
    }
    expect(failed).toBeGreaterThan(0);
  });

  it('fused products multiply with exactly the weights that a pass reads', async () => {
    const memory = await store(config('fused'));
    const { inputs, outputs } = SPECS[1];
    const unit = (n: number) => Float32Array.from({ length: n * n }, (_, i) => Number(i % (n + 1) === 0));
    const recorder = new Recorder(device.gpu);
    const pass = (batch: number) =>
      planGraph(arena!, [SPECS[1]], arena!.matrix('x', batch, inputs), { gradients: { input: true } });
    const forward = pass(inputs);
    const backward = pass(outputs);
    writeMatrix(device.gpu, forward.values[0], unit(inputs));
    writeMatrix(device.gpu, backward.gradients[1]!, unit(outputs));
    recordForward(recorder, arena!, [SPECS[1]], memory.weightsOf, forward);
    recordBackward(recorder, arena!, [SPECS[1]], memory.weightsOf, backward);
    const program = await recorder.build('layer');
    program.setStep({ passIndex: 8 });
    program.run();
    const y = await readMatrix(device.gpu, forward.values[1]);
    const dx = await readMatrix(device.gpu, backward.gradients[0]!);
    const shape = layout.find('fc2.weight');
    const read = (name: string, pass: number) =>
      new Float32Array(fetchTensor(imageOf(memory, name), memory.faultSamplerOf(name, pass)).buffer);
    const [w, back, bias] = [read('fc2.weight', 8), read('fc2.weight', 9), read('fc2.bias', 8)];
    for (let row = 0; row < shape.rows; row++) {
      for (let column = 0; column < shape.columns; column++) {
        const at = row * shape.stride + column;
        expect(y[column * shape.rows + row] + 0).toBe(Math.fround(w[at] + bias[row]) + 0);
        expect(dx[row * shape.columns + column] + 0).toBe(back[at] + 0);
      }
    }
  });
});

describe('a memory whose configuration changes', () => {
  it('zones that need a larger table, or none, read the same weights as in a new memory', async () => {
    const configs: MemoryConfigInput[] = [
      { layers: { '*': stored([uniform]) } },
      { geometry: GEOMETRY, layers: { '*': stored([rows]) } },
      { geometry: { ...GEOMETRY, mapping: 'line-interleaved' }, layers: { '*': stored([rows, early]) } },
      { layers: { fc1: stored([early]), fc2: stored([uniform]) } },
      { layers: { '*': stored([uniform]) } },
    ];
    const read = async (memory: ApproximateMemory) =>
      Promise.all(layout.slices.map(({ name }) => memory.fetchedWeights(name)));
    const fresh: Uint32Array[][] = [];
    for (const config of configs) {
      fresh.push(await read(await store(config)));
      arena!.destroy();
    }
    const memory = await store(configs[0]);
    for (const [i, config] of configs.entries()) {
      await memory.configure(parseMemoryConfig(config, LAYERS));
      await memory.load(2);
      expect(await read(memory), `configuration ${i}`).toEqual(fresh[i]);
    }
  });
});
