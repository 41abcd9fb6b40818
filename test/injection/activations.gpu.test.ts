import { afterEach, describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory, type MeasureActivations } from '../../src/injection/approximate_memory.ts';
import { type LayerSpec, layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { storeActivations } from '../../src/memory/activations.ts';
import { type FaultModel, type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { randomValues, useGpu } from '../support/gpu.ts';
import { binomialSigmas } from '../support/statistics.ts';

const device = useGpu();

const SPECS: readonly LayerSpec[] = [
  {
    kind: 'reshape',
    name: 'pixels',
    input: { height: 1, width: 1, channels: 20 },
    output: { height: 5, width: 4, channels: 1 },
  },
  {
    kind: 'conv2d',
    name: 'conv1',
    input: { height: 5, width: 4, channels: 1 },
    channels: 3,
    kernelSize: 3,
    stride: 1,
    padding: 1,
    activation: 'relu',
  },
  {
    kind: 'reshape',
    name: 'flat',
    input: { height: 5, width: 4, channels: 3 },
    output: { height: 1, width: 1, channels: 60 },
  },
  { kind: 'dense', name: 'fc1', inputs: 60, outputs: 6, activation: 'none' },
];
const LAYERS = ['conv1', 'fc1'];
const layout = new ParameterLayout(layerParameters(SPECS));

let arena: Arena | undefined;
afterEach(() => arena?.destroy());

/** Runs a victim on images x of 20 pixels; returns its memory, its plan, and the logits and the input after the run. */
async function run(
  config: Partial<MemoryConfigInput>,
  x: Float32Array,
  first = 0,
  pass = 0,
  measureActivations?: MeasureActivations,
) {
  arena = new Arena(device.gpu);
  const parameters = new FlatParameters(arena, 'parameters', layout);
  const weights = new Float32Array(layout.length);
  for (const [i, slice] of layout.slices.entries()) {
    const values = randomValues(
      slice.shape.reduce((product, n) => product * n, 1),
      i,
      0.5,
    );
    layout.pack(slice, new Uint32Array(values.buffer), new Uint32Array(weights.buffer));
  }
  device.gpu.write(parameters.view, weights);
  const memory = await ApproximateMemory.store(arena, parameters, measureActivations);
  await memory.configure(parseMemoryConfig({ seed: 3, layers: {}, ...config }, LAYERS));
  await memory.load(1);
  const rows = x.length / 20;
  const input = arena.matrix('x', rows, 20);
  const padded = new Float32Array(rows * input.stride);
  for (let row = 0; row < rows; row++) padded.set(x.subarray(row * 20, (row + 1) * 20), row * input.stride);
  device.gpu.write(input, padded);
  const recorder = new Recorder(device.gpu);
  const victim = stackVictim(SPECS, memory.weightsOf, memory).plan(arena, input);
  victim.recordForward(recorder);
  const program = await recorder.build('forward');
  program.setStep({ passIndex: pass });
  program.setStep({ firstImage: first });
  program.run();
  return {
    memory,
    logits: await device.gpu.readWords(victim.logits),
    input: await device.gpu.readFloats(input),
    victim,
  };
}

const x = randomValues(7 * 20, 9).map(Math.abs);
const faults: FaultModel[] = [{ kind: 'uniform', bitErrorRate: 0.05, drawn: 'read' }];
const floatOf = (word: number) => new Float32Array(Uint32Array.of(word).buffer)[0];
type Activations = NonNullable<MemoryConfigInput['activations']>;

describe('activations in approximate memory', () => {
  it.each([
    ['fixed point', { kind: 'fixed' }],
    ['int8', { kind: 'int8' }],
    ['int4', { kind: 'int4' }],
    ['fp16', { kind: 'fp16', nonFinite: 'saturate' }],
    ['fp32', { kind: 'fp32', nonFinite: 'zero' }],
  ] as const)('stored inputs are read with the bits of the reference, in %s', async (_, format) => {
    const granularity = 'inference';
    const { memory } = await run({ granularity, activations: { input: { kind: 'stored', format, faults } } }, x, 40, 6);
    const values = new Float32Array(7 * 32);
    for (let row = 0; row < 7; row++) values.set(x.subarray(row * 20, (row + 1) * 20), row * 32);
    const matrix = { ...arena!.matrix('activations', 7, 20) };
    device.gpu.write(matrix, values);
    const recorder = new Recorder(device.gpu);
    memory.recordActivation(recorder, 'input', matrix, 7);
    const program = await recorder.build('store');
    program.setStep({ passIndex: 6 });
    program.setStep({ firstImage: 40 });
    program.run();
    const { codec } = memory.activationSamplerOf('input', 6, 40);
    const shape = { elements: 32, columns: 20, stride: 32 };
    const samplerOf = (image: number) => memory.activationSamplerOf('input', 6, image).sampler;
    const expected = storeActivations(values, shape, codec, 40, samplerOf);
    expect(await device.gpu.readWords(matrix)).toEqual(expected);
    expect(expected).not.toEqual(new Uint32Array(values.buffer));
  });

  it('activations of images with narrow rows, whose blocks span several pixels, agree with the reference', async () => {
    const { memory } = await run({ activations: { conv1: { kind: 'stored', range: 4, faults } } }, x);
    const images = arena!.image('pixels', 3, 5, 4, 3);
    const values = new Float32Array(images.rows * images.stride);
    const some = randomValues(images.rows * 3, 4, 3);
    for (let row = 0; row < images.rows; row++) values.set(some.subarray(row * 3, row * 3 + 3), row * images.stride);
    device.gpu.write(images, values);
    const recorder = new Recorder(device.gpu);
    memory.recordActivation(recorder, 'conv1', images, 3);
    (await recorder.build('store')).run();
    const { codec } = memory.activationSamplerOf('conv1', 0, 0);
    const shape = { elements: 20 * images.stride, columns: 3, stride: images.stride };
    const expected = storeActivations(
      values,
      shape,
      codec,
      0,
      (image) => memory.activationSamplerOf('conv1', 0, image).sampler,
    );
    const words = await device.gpu.readWords({ ...images, size: values.byteLength });
    expect(words).toEqual(expected);
  });

  it('errors in activations change the outputs, equally however batches are cut, and leave the caller’s input unchanged', async () => {
    const config: Partial<MemoryConfigInput> = {
      granularity: 'inference',
      activations: {
        input: { kind: 'stored', format: { kind: 'int8' }, faults },
        conv1: { kind: 'stored', format: { kind: 'int8' }, range: 4, faults },
      },
    };
    const whole = await run(config, x);
    expect(whole.input.subarray(0, 20)).toEqual(x.subarray(0, 20));
    const exact = await run({}, x);
    expect(exact.logits).not.toEqual(whole.logits);
    const last = await run(config, x.subarray(5 * 20), 5);
    expect(last.logits.subarray(0, 2 * 16)).toEqual(whole.logits.subarray(5 * 16, 7 * 16));
    const other = await run(config, x, 0, 2);
    expect(other.logits).not.toEqual(whole.logits);
  });

  it('formats whose range is left open are fitted to measured activations, once', async () => {
    const without = run({ activations: { input: { kind: 'stored' }, fc1: { kind: 'stored' } } }, x);
    await expect(without).rejects.toThrow(ConfigError);
    await expect(without).rejects.toThrow(
      /^memory\.activations\.fc1\.range: give the largest value that fixed must hold$/,
    );
    arena?.destroy();
    let calls = 0;
    const measured = new Map([
      ['conv1', 3],
      ['fc1', 0.7],
    ]);
    const measure = async () => {
      calls++;
      return measured;
    };
    const int8 = { kind: 'stored', format: { kind: 'int8' } } as const;
    const { memory } = await run({ activations: { '*': int8 } }, x, 0, 0, measure);
    const largest = (name: string) => floatOf(memory.activationSamplerOf(name, 0, 0).codec.decode(127, 0));
    expect(largest('conv1')).toBeCloseTo(3, 1);
    expect(largest('fc1')).toBeCloseTo(0.7, 1);
    const given = { fc1: { ...int8, range: 5 }, conv1: int8, input: int8 };
    await memory.configure(parseMemoryConfig({ layers: {}, activations: given }, LAYERS));
    expect(largest('fc1')).toBeCloseTo(5, 1);
    expect(largest('input')).toBeCloseTo(1, 1);
    expect(calls).toBe(1);
  });

  it.each([
    ['inference', true],
    ['load', false],
  ] as const)(
    'at granularity %s the stated share of bits flips, and those of a pass are new: %s',
    async (granularity, isNew) => {
      const stored = { kind: 'stored', format: { kind: 'int8' }, range: 127, faults } as const;
      const { memory } = await run({ granularity, activations: { fc1: stored } }, x);
      const [rows, columns] = [40, 256];
      const flipsOf = async (pass: number) => {
        const zeros = arena!.matrix('activations', rows, columns);
        const recorder = new Recorder(device.gpu);
        memory.recordActivation(recorder, 'fc1', zeros, rows);
        const program = await recorder.build('store');
        program.setStep({ passIndex: pass });
        program.run();
        const unit = floatOf(memory.activationSamplerOf('fc1', 0, 0).codec.decode(1, 0));
        // A code of 8 bits in two's complement: that of zero has no bit set.
        return Array.from(await device.gpu.readFloats(zeros), (value) => Math.round(value / unit) & 0xff);
      };
      const [first, second] = [await flipsOf(0), await flipsOf(2)];
      const count = (codes: readonly number[]) =>
        codes.reduce((sum, code) => sum + [...code.toString(2)].filter((bit) => bit === '1').length, 0);
      const bits = 8 * rows * columns;
      expect(Math.abs(binomialSigmas(count(first), bits, 0.05))).toBeLessThan(4);
      const both = count(first.map((code, i) => code & second[i]));
      if (isNew) expect(Math.abs(binomialSigmas(both, bits, 0.05 ** 2))).toBeLessThan(4);
      else expect(second).toEqual(first);
      // Images have errors of their own.
      const rowOf = (row: number) => first.slice(row * columns, (row + 1) * columns);
      expect(rowOf(0)).not.toEqual(rowOf(1));
    },
  );

  it('activations without errors in fp32 are unchanged', async () => {
    const fp32: Activations[string] = { kind: 'stored', format: { kind: 'fp32' } };
    const stored = await run({ activations: { input: fp32, conv1: fp32, fc1: fp32 } }, x);
    expect(stored.logits).toEqual((await run({}, x)).logits);
  });
});
