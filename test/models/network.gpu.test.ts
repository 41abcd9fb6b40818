import { afterEach, describe, expect, it } from 'vitest';
import { readOnnx } from '../../src/formats/onnx.ts';
import type { Tensor } from '../../src/formats/safetensors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { type LayerSpec, productLayers } from '../../src/layers/kinds.ts';
import { vectorShape } from '../../src/layers/layer.ts';
import { plainWeights, type WeightsOf } from '../../src/layers/weights.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { loadParameters, packTensors } from '../../src/models/checkpoint.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import { describedNetwork } from '../../src/models/network.ts';
import { onnxNetwork } from '../../src/models/onnx_network.ts';
import { expectAllclose } from '../support/allclose.ts';
import { loadFixture } from '../support/fixtures.ts';
import { readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { imagesShape, toNchw, toNhwc } from '../support/nhwc.ts';
import { readFixture } from '../support/platform.ts';

const NETWORKS = ['mlp3', 'lenet', 'vgg_rgb', 'resnet_rgb', 'mobile'];

/** In a browser, fused weights are tested with this network only; Node tests them with every network. */
const FUSED_IN_BROWSER = 'lenet';
const inBrowser = typeof document !== 'undefined';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => {
  arena?.destroy();
  arena = undefined;
});

/** A network of the fixtures, as PyTorch exported it, and its golden values. */
function network(name: string) {
  const file = `networks/${name}.onnx`;
  const { description, tensors } = onnxNetwork(readOnnx(readFixture(file), file), file);
  const spec = describedNetwork(description);
  const parameters = packTensors(spec, tensors as ReadonlyMap<string, Tensor>, file);
  const golden = loadFixture(`networks/${name}`);
  const last = description.layers[description.layers.length - 1];
  return {
    spec,
    parameters,
    golden,
    shape: imagesShape(golden.tensor('x').shape),
    endsInSoftmax: last.kind === 'softmax',
  };
}

/** The layers that PyTorch ran: a description's last softmax is not among those of the engine. */
function layersOf({ layers, outputs }: ModelSpec, endsInSoftmax: boolean): readonly LayerSpec[] {
  return endsInSoftmax ? [...layers, { kind: 'softmax', name: 'softmax', input: vectorShape(outputs) }] : layers;
}

/** Runs a network and propagates `g` back. @returns outputs and input gradient, one row per image */
async function run(
  layers: readonly LayerSpec[],
  weights: WeightsOf,
  images: Float32Array,
  rows: number,
  g: Float32Array,
  memory?: ApproximateMemory,
) {
  const x = arena!.matrix('x', rows, images.length / rows);
  writeMatrix(device.gpu, x, images);
  const planned = planGraph(arena!, layers, x, { gradients: { input: true } });
  const forward = new Recorder(device.gpu);
  memory?.recordPass(forward, 0);
  recordForward(forward, arena!, layers, weights, planned);
  const backward = new Recorder(device.gpu);
  memory?.recordPass(backward, 1);
  recordBackward(backward, arena!, layers, weights, planned);
  (await forward.build('forward')).run();
  writeMatrix(device.gpu, planned.gradients[layers.length]!, g);
  (await backward.build('backward')).run();
  return {
    outputs: await readMatrix(device.gpu, planned.values[layers.length]),
    gradient: await readMatrix(device.gpu, planned.gradients[0]!),
    bytes: planned.bytes,
  };
}

const largest = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

describe.each(NETWORKS)('network %s as PyTorch exported it', (name) => {
  it('golden: its outputs and input gradient', async () => {
    arena = new Arena(device.gpu);
    const { spec, parameters, golden, shape, endsInSoftmax } = network(name);
    const weights = plainWeights(loadParameters(arena, { spec, parameters }));
    const images = toNhwc(golden.floats('x'), shape);
    const { outputs, gradient, bytes } = await run(
      layersOf(spec, endsInSoftmax),
      weights,
      images,
      shape[0],
      golden.floats('g'),
    );
    const logits = golden.floats('logits');
    expectAllclose(outputs, logits, { relative: 0, absolute: 1e-5 * largest(logits) }, 'outputs');
    const expected = golden.floats('grad_x');
    const tolerance = { relative: 0, absolute: 1e-4 * largest(expected) };
    expectAllclose(toNchw(gradient, shape), expected, tolerance, 'input gradient');
    expect(bytes.shared).toBeLessThanOrEqual(bytes.alone);
  });

  const fused = it.skipIf(inBrowser && name !== FUSED_IN_BROWSER);
  fused('weights that are fetched inside the products have the values of materialised ones', async () => {
    const { spec, parameters, golden, shape } = network(name);
    const images = toNhwc(golden.floats('x'), shape);
    const stored: MemoryConfigInput['layers'][string] = {
      kind: 'stored',
      format: { kind: 'fixed', bits: 12 },
      faults: [{ kind: 'uniform', bitErrorRate: 0.01 }],
    };
    const layers = productLayers(spec.layers);
    const answer = async (path: 'fused' | 'materialised') => {
      arena = new Arena(device.gpu);
      const memory = await ApproximateMemory.store(arena, loadParameters(arena, { spec, parameters }));
      const config = { path, granularity: 'load', layers: Object.fromEntries(layers.map((layer) => [layer, stored])) };
      await memory.configure(parseMemoryConfig(config as MemoryConfigInput, layers, 'memory'));
      await memory.load(0);
      const g = Float32Array.from({ length: shape[0] * spec.outputs }, (_, i) => Math.sin(i));
      const { outputs, gradient } = await run(spec.layers, memory.weightsOf, images, shape[0], g, memory);
      arena.destroy();
      return { outputs, gradient };
    };
    const answers = { fused: await answer('fused'), materialised: await answer('materialised') };
    for (const part of ['outputs', 'gradient'] as const) {
      // The products add in another order.
      const tolerance = { relative: 0, absolute: 1e-5 * largest(answers.materialised[part]) };
      expectAllclose(answers.fused[part], answers.materialised[part], tolerance, part);
    }
  });
});
