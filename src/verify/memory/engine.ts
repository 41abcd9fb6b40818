/** Proofs that the device and the reference, both paths of a fetch, and any cut into batches read the same bits; and of energy. */
import { Arena } from '../../gpu/arena.ts';
import type { Gpu } from '../../gpu/device.ts';
import { Recorder } from '../../gpu/recorder.ts';
import { ApproximateMemory } from '../../injection/approximate_memory.ts';
import { recordApproximateGemm } from '../../kernels/gemm.ts';
import type { DenseSpec } from '../../layers/dense.ts';
import { layerParameters } from '../../layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../layers/parameters.ts';
import { packCodes } from '../../memory/codec.ts';
import { parseMemoryConfig } from '../../memory/config.ts';
import { weightReadEnergy } from '../../memory/energy.ts';
import { fetchCodes, fetchTensor } from '../../memory/fault_sampler.ts';
import { PRESETS } from '../../memory/presets.ts';
import { stackVictim } from '../../models/victims.ts';
import { exactly, FORMATS, type Layer, type Proof, SEED, stored, uniform } from './proof.ts';
import { noise } from './specimen.ts';

/** Two layers whose tensors have pads on all sides. */
const SMALL: readonly DenseSpec[] = [
  { kind: 'dense', name: 'fc1', inputs: 100, outputs: 37, activation: 'none' },
  { kind: 'dense', name: 'fc2', inputs: 37, outputs: 19, activation: 'none' },
];

async function smallMemory(gpu: Gpu, arena: Arena): Promise<{ memory: ApproximateMemory; weights: Float32Array }> {
  const layout = new ParameterLayout(layerParameters(SMALL));
  const parameters = new FlatParameters(arena, 'parameters', layout);
  const values = noise(layout.length, 2);
  const weights = new Float32Array(layout.length);
  for (const { rows, columns, stride, offset } of layout.slices) {
    for (let row = 0; row < rows; row++) {
      const at = offset + row * stride;
      weights.set(values.subarray(at, at + columns), at);
    }
  }
  gpu.write(parameters.view, weights);
  return { memory: await ApproximateMemory.store(arena, parameters), weights };
}

/** Compares the device with the reference under every preset: encoded, fetched and materialised words. */
export async function presetReferences(gpu: Gpu): Promise<Proof> {
  const arena = new Arena(gpu);
  const { memory, weights } = await smallMemory(gpu, arena);
  let [differences, words] = [0, 0];
  const compare = (actual: Uint32Array, expected: Uint32Array) => {
    for (let i = 0; i < expected.length; i++) differences += actual[i] === expected[i] ? 0 : 1;
    words += expected.length;
  };
  for (const { memory: preset } of PRESETS) {
    await memory.configure(parseMemoryConfig({ ...preset, seed: SEED }, ['fc1', 'fc2']));
    await memory.load(1);
    const perPass = preset.granularity === 'pass';
    if (perPass) {
      const recorder = new Recorder(gpu);
      memory.recordPass(recorder, 0);
      (await recorder.build('pass')).run();
    }
    for (const { name, rows, columns, stride, offset } of memory.fetched.layout.slices) {
      const codec = memory.codecOf(name);
      const codes = Array.from(weights.subarray(offset, offset + rows * stride), (weight, i) =>
        codec.encode(weight, Math.floor(i / stride)),
      );
      const image = { words: packCodes(codes, codec.storageBits), rows, columns, stride, codec };
      const map = memory.faultSamplerOf(name);
      compare(await memory.readCodes(name), image.words);
      compare(await memory.fetchCodes(name), fetchCodes(image, map));
      compare(await memory.fetchedWeights(name), fetchTensor(image, map));
    }
  }
  arena.destroy();
  return exactly(
    `encoded, fetched and materialised = reference, all ${PRESETS.length} presets`,
    differences,
    `${words} words`,
  );
}

/** Multiplies the identity by weights that the products fetch themselves, so that the result is the weights that were read. */
export async function fused(gpu: Gpu): Promise<Proof> {
  let [differences, words] = [0, 0];
  const { name, inputs, outputs } = SMALL[1];
  const layers = FORMATS.map((format) => {
    // A weight that is not finite would make a whole row of the product not finite.
    const finite = format.kind.startsWith('fp') || format.kind === 'bf16' ? { nonFinite: 'zero' as const } : {};
    return stored([uniform(0.03)], { format: { ...format, ...finite } as Layer['format'] });
  });
  layers.push(
    stored([{ kind: 'rows', volts: 1.1, bitErrorRate: 0.1, drawn: 'read' }]),
    stored([{ kind: 'latency', vendor: 'B', tRCD: 7.5, drawn: 'read' }]),
  );
  for (const layer of layers) {
    const arena = new Arena(gpu);
    const { memory } = await smallMemory(gpu, arena);
    const config = { seed: SEED, granularity: 'pass', path: 'fused', layers: { [name]: layer } };
    await memory.configure(parseMemoryConfig(config, ['fc1', 'fc2']));
    await memory.load(0);
    const weights = memory.weightsOf(name);
    if (weights.kind !== 'fused') throw new Error('the layer is not fused');
    const { bias: _, ...source } = weights;
    const recorder = new Recorder(gpu);
    const identity = (n: number) => {
      const matrix = arena.matrix('identity', n, n);
      const values = new Float32Array(n * matrix.stride);
      for (let i = 0; i < n; i++) values[i * matrix.stride + i] = 1;
      gpu.write(matrix, values);
      return matrix;
    };
    const [y, dx] = [arena.matrix('y', inputs, outputs), arena.matrix('dx', outputs, inputs)];
    const product = { ...source, label: 'fused', passOffset: 0 } as const;
    recordApproximateGemm(recorder, { ...product, transposition: 'nt', a: identity(inputs), c: y });
    recordApproximateGemm(recorder, { ...product, transposition: 'nn', a: identity(outputs), c: dx });
    (await recorder.build('fused')).run();
    const image = {
      words: (await memory.readCodes(`${name}.weight`)).slice(),
      ...memory.fetched.layout.find(`${name}.weight`),
      codec: memory.codecOf(`${name}.weight`),
    };
    const expected = new Float32Array(fetchTensor(image, memory.faultSamplerOf(`${name}.weight`)).buffer);
    const [forward, backward] = [await gpu.readFloats(y), await gpu.readFloats(dx)];
    for (let row = 0; row < outputs; row++) {
      for (let column = 0; column < inputs; column++) {
        const weight = expected[row * image.stride + column];
        if (forward[column * y.stride + row] !== weight) differences++;
        if (backward[row * dx.stride + column] !== weight) differences++;
        words += 2;
      }
    }
    arena.destroy();
  }
  return exactly(
    'products read the same weights, forward and backward, in every format and in measured DRAM',
    differences,
    `${words} weights`,
  );
}

/** Compares a forward pass at granularity `inference` in one batch with the same pass in two batches. */
export async function batches(gpu: Gpu): Promise<Proof> {
  const images = noise(21 * 100, 3);
  const logits = async (first: number, rows: number) => {
    const arena = new Arena(gpu);
    const { memory } = await smallMemory(gpu, arena);
    const layers = { '*': stored([uniform(0.02)]) };
    await memory.configure(parseMemoryConfig({ seed: SEED, granularity: 'inference', layers }, ['fc1', 'fc2']));
    await memory.load(0);
    const x = arena.matrix('x', rows, 100);
    const padded = new Float32Array(rows * x.stride);
    for (let row = 0; row < rows; row++) {
      padded.set(images.subarray((first + row) * 100, (first + row + 1) * 100), row * x.stride);
    }
    gpu.write(x, padded);
    const recorder = new Recorder(gpu);
    const run = stackVictim(SMALL, memory.weightsOf, memory).plan(arena, x);
    run.recordForward(recorder);
    const program = await recorder.build('forward');
    program.setStep({ firstImage: first });
    program.run();
    const words = await gpu.readWords({ ...run.logits, size: rows * run.logits.stride * 4 });
    arena.destroy();
    return words;
  };
  const whole = await logits(0, 21);
  const parts = Uint32Array.of(...(await logits(0, 16)), ...(await logits(16, 5)));
  const differences = whole.reduce((sum, word, i) => sum + (word === parts[i] ? 0 : 1), 0);
  return exactly('an image reads the same weights, however batches are cut', differences, `${whole.length} logits`);
}

/** Compares the energy of weight reads with cases computed by hand. */
export function energy(): Proof {
  const cases: readonly (readonly [reads: Parameters<typeof weightReadEnergy>[0], saving: number])[] = [
    [[{ layer: 'fc1', bytes: 1000, volts: 1.35 }], 0],
    [[{ layer: 'fc1', bytes: 1000, volts: 1.1 }], 1 - 1.21 / 1.8225],
    [
      [
        { layer: 'fc1', bytes: 3000, volts: 1.2 },
        { layer: 'fc2', bytes: 1000, volts: 1.35 },
      ],
      0.75 * (1 - 1.44 / 1.8225),
    ],
  ];
  const worst = Math.max(...cases.map(([reads, saving]) => Math.abs(weightReadEnergy(reads).saving - saving)));
  return {
    claim: 'energy of reads is V^2 times bytes',
    measured: `largest error ${worst.toPrecision(2)}`,
    ok: worst < 1e-12,
  };
}
