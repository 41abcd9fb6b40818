import { afterEach, describe, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { planGraph, recordForward } from '../../src/layers/graph.ts';
import { FlatParameters } from '../../src/layers/parameters.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { initializeParameters, modelLayout } from '../../src/models/model_parameters.ts';
import { layerNames } from '../../src/models/specs.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { yangClassifier, yangInversion } from '../../src/models/yang.ts';
import { expectAllclose } from '../support/allclose.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
const IMAGES = 3;
const VICTIM = yangClassifier({ kind: 'yang-classifier', size: 32, ndf: 4, classes: 5 });
const INVERSION = yangInversion({ kind: 'yang-inversion', size: 32, ngf: 4, classes: 5 });

let arena: Arena | undefined;
afterEach(() => arena?.destroy());

async function stored(spec: typeof VICTIM) {
  arena = new Arena(device.gpu);
  const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
  await initializeParameters(device.gpu, parameters, 7);
  const memory = await ApproximateMemory.store(arena, parameters);
  const x = arena.matrix('x', IMAGES, spec.inputs);
  writeMatrix(
    device.gpu,
    x,
    randomValues(IMAGES * spec.inputs, 1).map((value) => value + 0.5),
  );
  const names = layerNames(spec);
  const forward = async (config: MemoryConfigInput, pass = 0) => {
    await memory.configure(parseMemoryConfig(config, names));
    await memory.load(1);
    const recorder = new Recorder(device.gpu);
    memory.recordPass(recorder, 0);
    const run = planGraph(arena!, spec.layers, x);
    recordForward(recorder, arena!, spec.layers, memory.weightsOf, run);
    const program = await recorder.build('forward');
    program.setStep({ passIndex: pass });
    program.run();
    return readMatrix(device.gpu, run.values[spec.layers.length]);
  };
  return { memory, parameters, names, x, forward };
}

const uniform = (bitErrorRate: number): MemoryConfigInput['layers'][string] => ({
  kind: 'stored',
  faults: [{ kind: 'uniform', bitErrorRate }],
});

describe('a convolutional network in approximate memory', () => {
  it('a convolutional network names its layers, including batch normalisation', async () => {
    expect(layerNames(VICTIM)).toEqual(['conv1', 'bn1', 'conv2', 'bn2', 'conv3', 'bn3', 'conv4', 'bn4', 'fc1', 'fc2']);
  });

  it('predictions are the same whether weights are fetched before the kernels or inside them', async () => {
    // Each network is run at one granularity only, because a software adapter compiles for seconds.
    for (const [spec, granularity] of [
      [VICTIM, 'pass'],
      [INVERSION, 'load'],
    ] as const) {
      const { forward, names } = await stored(spec);
      const layers = Object.fromEntries(
        names.filter((name) => !name.startsWith('bn')).map((name) => [name, uniform(0.01)]),
      );
      const exact = await forward({ layers: {} });
      const materialised = await forward({ layers, granularity, path: 'materialised' }, 4);
      const fused = await forward({ layers, granularity, path: 'fused' }, 4);
      const size = Math.max(...materialised.map(Math.abs));
      expectAllclose(fused, materialised, { absolute: 1e-4 * size, relative: 0 }, granularity);
      expect(materialised).not.toEqual(exact);
    }
  });

  it('a network stored without errors in a format of 16 bits predicts nearly what the exact network does', async () => {
    const { forward, names } = await stored(VICTIM);
    const format = { kind: 'fixed', bits: 16 } as const;
    const layers = Object.fromEntries(names.map((name) => [name, { ...uniform(0), format }]));
    const [exact, quantised] = [await forward({ layers: {} }), await forward({ layers })];
    expectAllclose(quantised, exact, { absolute: 2e-3 * Math.max(...exact.map(Math.abs)), relative: 0 }, 'logits');
    expect(quantised).not.toEqual(exact);
  });

  it('predictions stay finite even when every stored bit of batch normalisation may flip', async () => {
    const { forward } = await stored(VICTIM);
    const bn = ['bn1', 'bn2', 'bn3', 'bn4'];
    const exact = await forward({ layers: {} });
    for (const rate of [0.01, 0.5, 1]) {
      const layers = Object.fromEntries(bn.map((name) => [name, uniform(rate)]));
      const logits = await forward({ layers });
      expect(logits.every(Number.isFinite), `rate ${rate}`).toBe(true);
      expect(logits).not.toEqual(exact);
    }
  });

  it('granularity inference gives repeatable predictions and refuses batch normalisation', async () => {
    const { forward } = await stored(VICTIM);
    const config = (layer: string) => ({ granularity: 'inference', layers: { [layer]: uniform(0.02) } }) as const;
    for (const layer of ['conv2', 'fc1']) {
      const [once, again] = [await forward(config(layer)), await forward(config(layer))];
      expect(again).toEqual(once);
    }
    await expect(forward(config('bn1'))).rejects.toThrow(/memory\.layers\.bn1: granularity inference needs a layer/);
  });

  it('an attacker’s gradient flows through the approximate fetches of convolutions', async () => {
    const { memory, names, x } = await stored(VICTIM);
    const gradient = async (config: MemoryConfigInput) => {
      await memory.configure(parseMemoryConfig(config, names));
      await memory.load(0);
      const run = stackVictim(VICTIM.layers, memory.weightsOf, memory).plan(arena!, x);
      const recorder = new Recorder(device.gpu);
      run.recordForward(recorder);
      writeMatrix(device.gpu, run.gradLogits, randomValues(IMAGES * 5, 2));
      run.recordInputGradient(recorder);
      (await recorder.build('gradient')).run();
      return readMatrix(device.gpu, run.gradInput);
    };
    const layers = { conv1: uniform(0.02), conv3: uniform(0.02) };
    const materialised = await gradient({ layers, path: 'materialised' });
    const fused = await gradient({ layers, path: 'fused' });
    const exact = await gradient({ layers: {} });
    const size = Math.max(...materialised.map(Math.abs));
    expect(size).toBeGreaterThan(0);
    expectAllclose(fused, materialised, { absolute: 1e-4 * size, relative: 0 }, 'gradient');
    expect(materialised).not.toEqual(exact);
  });
});
