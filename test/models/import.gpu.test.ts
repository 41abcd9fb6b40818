import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { planGraph, recordForward } from '../../src/layers/graph.ts';
import { FlatParameters } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { readCheckpoint, writeCheckpoint } from '../../src/models/checkpoint.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import { importNetwork } from '../../src/models/recognise.ts';
import { expectAllclose } from '../support/allclose.ts';
import { loadFixture } from '../support/fixtures.ts';
import { readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

// Both files hold the weights after the three steps of yang.safetensors, from which its outputs in inference mode were
// computed; the imported networks must give the same outputs.
const device = useGpu();
const yang = loadFixture('yang');
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

it.each([
  ['classifier', 'x', 'classifier/logits_eval', { absolute: 2e-5, relative: 1e-5 }],
  ['inversion', 'inversion/input', 'inversion/recon_eval', { absolute: 2e-6, relative: 1e-5 }],
] as const)('golden: the imported %s gives the outputs of PyTorch', async (name, inputs, outputs, tolerance) => {
  const { gpu } = device;
  arena = new Arena(gpu);
  const file = `${name}.pth`;
  const bytes = readFileSync(fileURLToPath(new URL(`../fixtures/${file}`, import.meta.url)));
  const { spec: recognised, parameters: imported } = importNetwork(bytes, file);
  const saved = { spec: recognised, state: { epoch: 0, parameters: imported, optimizer: [] }, metadata: {} };
  const { spec, state } = readCheckpoint(writeCheckpoint(saved), file);

  const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
  gpu.write(parameters.view, state.parameters);
  const [batch] = yang.tensor(inputs).shape;
  const x = arena.matrix('x', batch, spec.inputs);
  writeMatrix(gpu, x, yang.floats(inputs));
  const run = planGraph(arena, spec.layers, x);
  const recorder = new Recorder(gpu);
  recordForward(recorder, arena, spec.layers, plainWeights(parameters), run);
  (await recorder.build(name)).run();
  expectAllclose(await readMatrix(gpu, run.values[spec.layers.length]), yang.floats(outputs), tolerance, outputs);
});
