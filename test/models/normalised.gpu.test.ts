import { afterEach, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { type LayerSpec, layerParameters } from '../../src/layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../../src/layers/parameters.ts';
import { plainWeights, type WeightsOf } from '../../src/layers/weights.ts';
import { type FaultModel, type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

// A network that is not trained further normalises where its convolutions store their outputs. Here pooling lies between.
const SPECS: readonly LayerSpec[] = [
  {
    kind: 'reshape',
    name: 'image',
    input: { height: 1, width: 1, channels: 120 },
    output: { height: 6, width: 5, channels: 4 },
  },
  {
    kind: 'conv2d',
    name: 'conv1',
    input: { height: 6, width: 5, channels: 4 },
    channels: 7,
    kernelSize: 3,
    stride: 1,
    padding: 1,
    activation: 'none',
  },
  { kind: 'batch_norm', name: 'bn1', input: { height: 6, width: 5, channels: 7 }, activation: 'none' },
  { kind: 'max_pool', name: 'pool1', input: { height: 6, width: 5, channels: 7 }, kernelSize: 2, activation: 'relu' },
  {
    kind: 'conv_transpose2d',
    name: 'deconv2',
    input: { height: 3, width: 2, channels: 7 },
    channels: 5,
    kernelSize: 4,
    stride: 2,
    padding: 1,
    activation: 'none',
  },
  { kind: 'batch_norm', name: 'bn2', input: { height: 6, width: 4, channels: 5 }, activation: 'tanh' },
  {
    kind: 'reshape',
    name: 'values',
    input: { height: 6, width: 4, channels: 5 },
    output: { height: 1, width: 1, channels: 120 },
  },
];
const LAYERS = ['conv1', 'bn1', 'deconv2', 'bn2'];
const layout = new ParameterLayout(layerParameters(SPECS));
const IMAGES = 3;
const X = randomValues(IMAGES * 120, 8);
const DY = randomValues(IMAGES * 120, 9);

function parametersOn(owner: Arena): FlatParameters {
  const parameters = new FlatParameters(owner, 'parameters', layout);
  const flat = new Uint32Array(layout.length);
  for (const slice of layout.slices) {
    const values = randomValues(slice.rows * slice.columns, slice.index, 0.5);
    // Scales and variances are above 0.
    const positive = slice.name.endsWith('var') || /^bn.*weight$/.test(slice.name);
    layout.pack(slice, new Uint32Array((positive ? values.map((v) => v + 0.7) : values).buffer), flat);
  }
  device.gpu.write(parameters.view, flat);
  return parameters;
}

/** Runs the network. @returns output, input gradient and number of dispatches */
async function run(owner: Arena, weights: WeightsOf, keeps?: (layer: string) => boolean) {
  const x = owner.matrix('x', IMAGES, 120);
  writeMatrix(device.gpu, x, X);
  const planned = planGraph(owner, SPECS, x, { gradients: { input: true }, keeps });
  const recorder = new Recorder(device.gpu);
  recordForward(recorder, owner, SPECS, weights, planned);
  writeMatrix(device.gpu, planned.gradients[SPECS.length]!, DY);
  recordBackward(recorder, owner, SPECS, weights, planned);
  const program = await recorder.build('network');
  program.run();
  const output = await readMatrix(device.gpu, planned.values[SPECS.length]);
  const gradient = await readMatrix(device.gpu, planned.gradients[0]!);
  return { output, gradient, dispatches: program.length };
}

const kept = () => true;
type Activations = NonNullable<MemoryConfigInput['activations']>;
const FAULTS: FaultModel[] = [{ kind: 'uniform', bitErrorRate: 0.02, drawn: 'read' }];
const uniform: MemoryConfigInput['layers'][string] = { kind: 'stored', faults: FAULTS };

describe('a finished network normalises inside its convolutions', () => {
  it('normalising inside convolutions agrees with the reference, forwards and backwards', async () => {
    arena = new Arena(device.gpu);
    const parameters = parametersOn(arena);
    const { output, gradient } = await run(arena, plainWeights(parameters));
    const reference = parametersOf(layout, await device.gpu.readWords(parameters.view));
    const values = stackForward(SPECS, reference, X, IMAGES);
    // For sums of up to 63 products below 1 through two layers.
    const tolerance = { relative: 1e-5, absolute: 1e-5 };
    expectAllclose(output, values[SPECS.length], tolerance, 'output');
    expectAllclose(gradient, stackBackward(SPECS, reference, values, DY).input, tolerance, 'gradient');
  });

  it.each([
    ['exact weights', undefined, 'materialised'],
    ['weights and batch normalisation in approximate memory', LAYERS, 'materialised'],
    ['weights that are fetched inside the products', LAYERS, 'fused'],
  ] as const)(
    'normalising inside convolutions gives the bits of separate normalisation in fewer dispatches: %s',
    async (_, stored, path) => {
      arena = new Arena(device.gpu);
      const parameters = parametersOn(arena);
      const memory = await ApproximateMemory.store(arena, parameters);
      const layers = Object.fromEntries((stored ?? []).map((layer) => [layer, uniform]));
      await memory.configure(parseMemoryConfig({ seed: 3, path, layers }, LAYERS));
      await memory.load(1);
      const [inside, apart] = [await run(arena, memory.weightsOf), await run(arena, memory.weightsOf, kept)];
      expect(inside.output).toEqual(apart.output);
      expect(inside.gradient).toEqual(apart.gradient);
      expect(inside.dispatches).toBe(apart.dispatches - 2);
      const exact = await run(arena, plainWeights(parameters));
      if (stored) expect(inside.output).not.toEqual(exact.output);
      else expect(inside.output).toEqual(exact.output);
    },
  );

  it('an output of a convolution that lies in approximate memory is not normalised inside the convolution', async () => {
    arena = new Arena(device.gpu);
    const memory = await ApproximateMemory.store(arena, parametersOn(arena));
    const x = arena.matrix('x', IMAGES, 120);
    writeMatrix(device.gpu, x, X);
    const answer = async (activations: Activations) => {
      await memory.configure(parseMemoryConfig({ seed: 3, layers: {}, activations }, LAYERS));
      await memory.load(1);
      const recorder = new Recorder(device.gpu);
      const victim = stackVictim(SPECS, memory.weightsOf, memory).plan(arena!, x);
      victim.recordForward(recorder);
      (await recorder.build('forward')).run();
      return readMatrix(device.gpu, victim.logits);
    };
    const none = await answer({});
    const fp32 = { kind: 'stored', format: { kind: 'fp32' } } as const;
    expect(await answer({ conv1: fp32, bn2: fp32 })).toEqual(none);
    const int8: Activations[string] = { kind: 'stored', format: { kind: 'int8' }, range: 4, faults: FAULTS };
    const [before, behind] = [await answer({ conv1: int8 }), await answer({ bn1: int8 })];
    expect(before).not.toEqual(none);
    expect(behind).not.toEqual(none);
    expect(before).not.toEqual(behind);
  });

  it('a network that learns keeps the inputs of its batch normalisation, which their gradients need', () => {
    arena = new Arena(device.gpu);
    const x = arena.matrix('x', IMAGES, 120);
    const value = SPECS.findIndex(({ kind }) => kind === 'batch_norm');
    const buffers = (gradients: { input: boolean; parameters?: boolean }) =>
      planGraph(arena!, SPECS, x, { gradients })
        .values.slice(value, value + 2)
        .map(({ buffer }) => buffer);
    expect(new Set(buffers({ input: true })).size).toBe(1);
    expect(new Set(buffers({ input: true, parameters: true })).size).toBe(2);
  });
});
