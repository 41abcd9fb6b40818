import { afterEach, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { type GraphPlan, planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { productLayers } from '../../src/layers/kinds.ts';
import { FlatParameters } from '../../src/layers/parameters.ts';
import { graph } from '../../src/library/models.ts';
import { type MemoryConfigInput, parseMemoryConfig } from '../../src/memory/config.ts';
import { initializeParameters, modelLayout } from '../../src/models/model_parameters.ts';
import { describedNetwork } from '../../src/models/network.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => {
  arena?.destroy();
  arena = undefined;
});

const BATCH = 2;
/** Channel counts that leave pads in every row, a residual, and dense layers whose rows end in more than one vec4 of zeros. */
const SPEC = describedNetwork(
  graph({ height: 7, width: 6, channels: 3, mean: [0.5] }, [
    { kind: 'conv2d', name: 'conv', channels: 5, kernelSize: 3, padding: 1 },
    { kind: 'batch_norm', name: 'bn' },
    { kind: 'relu', name: 'relu' },
    { kind: 'conv2d', name: 'depthwise', channels: 5, groups: 5, kernelSize: 3, padding: 1, bias: false },
    { kind: 'add', name: 'sum', inputs: ['depthwise', 'relu'] },
    { kind: 'leaky_relu', name: 'leaky' },
    { kind: 'concat', name: 'both', inputs: ['leaky', 'relu'] },
    { kind: 'avg_pool', name: 'pool', kernelSize: 2 },
    { kind: 'flatten', name: 'flat' },
    { kind: 'dense', name: 'fc1', outputs: 25 },
    { kind: 'tanh', name: 'tanh' },
    { kind: 'dense', name: 'fc2', outputs: 5 },
  ]),
);

/** Fills every buffer of a plan, up to its rows of zeros. */
function fill({ values, gradients, preactivations, parts }: GraphPlan): void {
  const buffers = [...values.slice(1), ...gradients, ...preactivations, ...parts.flat()];
  for (const matrix of buffers) {
    if (!matrix) continue;
    const shared = matrix.stride === 4 * Math.ceil(matrix.columns / 4);
    if (shared) device.gpu.write(matrix, new Float32Array(matrix.size / 4).fill(1));
  }
}

it.each(['fused', 'materialised'] as const)(
  'a network has the same bits whatever its buffers held before, with %s weights',
  async (path) => {
    arena = new Arena(device.gpu);
    const { layers } = SPEC;
    const parameters = new FlatParameters(arena, 'parameters', modelLayout(SPEC));
    await initializeParameters(device.gpu, parameters, 7);
    const memory = await ApproximateMemory.store(arena, parameters);
    const names = productLayers(layers);
    const stored: MemoryConfigInput['layers'][string] = {
      kind: 'stored',
      faults: [{ kind: 'uniform', bitErrorRate: 0.05 }],
    };
    const config = { path, layers: Object.fromEntries(names.map((name) => [name, stored])) };
    await memory.configure(parseMemoryConfig(config, names));
    await memory.load(0);
    const x = arena.matrix('x', BATCH, SPEC.inputs);
    writeMatrix(device.gpu, x, randomValues(BATCH * SPEC.inputs, 1));
    const plan = planGraph(arena, layers, x, { gradients: { input: true } });
    const [forward, backward] = [new Recorder(device.gpu), new Recorder(device.gpu)];
    memory.recordPass(forward, 0);
    recordForward(forward, arena, layers, memory.weightsOf, plan);
    memory.recordPass(backward, 1);
    recordBackward(backward, arena, layers, memory.weightsOf, plan);
    const programs = [await forward.build('forward'), await backward.build('backward')];
    const run = async () => {
      programs[0].run();
      writeMatrix(device.gpu, plan.gradients[layers.length]!, randomValues(BATCH * SPEC.outputs, 2));
      programs[1].run();
      return [
        await readMatrix(device.gpu, plan.values[layers.length]),
        await readMatrix(device.gpu, plan.gradients[0]!),
      ];
    };
    const clean = await run();
    fill(plan);
    expect(await run()).toEqual(clean);
    expect(plan.bytes.shared).toBeLessThan(plan.bytes.alone);
  },
);
