import { afterEach, expect, it } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { recordMse, recordSoftmaxCrossEntropy } from '../../src/kernels/loss.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { FlatParameters } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import type { ModelKind } from '../../src/models/model_spec.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { mse, softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { TOLERANCES } from '../../src/reference/tolerances.ts';
import { parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { randomParameters } from '../support/toy.ts';

// Compares whole models with their float64 reference, whose gradients reference.test.ts checks by finite differences.
// Batch and classes are at most 8, so that every product takes the small tile, which compiles fast.
const [BATCH, INPUTS, CLASSES] = [7, 24, 5];
/** For sums of up to 24 products below 1 through up to four layers, against a float64 reference. */
const TOLERANCE = { relative: 1e-5, absolute: 2e-6 };

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

const CASES: readonly (readonly [ModelKind, hidden: readonly number[], loss: 'classify' | 'reconstruct'])[] = [
  ['softmax', [], 'classify'],
  ['mlp', [6], 'classify'],
  ['mlp-sigmoid', [6], 'classify'],
  ['dae', [7, 5], 'classify'],
  ['dae', [7, 5], 'reconstruct'],
];

it.each(CASES)('%s with hidden layers %s, %s: every gradient agrees with the reference', async (kind, hidden, loss) => {
  const { gpu } = device;
  arena = new Arena(gpu);
  const spec = modelSpec(kind, INPUTS, CLASSES, hidden);
  const specs = loss === 'classify' ? spec.layers : [...spec.layers.slice(0, spec.encoderLayers), ...spec.decoder];
  const parameters = randomParameters(arena, spec, 40);
  const gradients = new FlatParameters(arena, 'gradients', modelLayout(spec));
  const [x, wanted] = [randomValues(BATCH * INPUTS, 1), randomValues(BATCH * INPUTS, 2)];
  const targets = Uint32Array.from({ length: BATCH }, (_, i) => (i * 3) % CLASSES);

  const input = arena.matrix('x', BATCH, INPUTS);
  writeMatrix(gpu, input, x);
  const run = planGraph(arena, specs, input, { gradients: { input: true, parameters: true } });
  const output = run.values[specs.length];
  const gradOutput = run.gradients[specs.length]!;
  const results = arena.allocate('results', BATCH * 8);
  const recorder = new Recorder(gpu);
  const weights = plainWeights(parameters);
  recordForward(recorder, arena, specs, weights, run);
  if (loss === 'classify') {
    const classes = arena.allocate('targets', BATCH * 4);
    gpu.write(classes, targets);
    recordSoftmaxCrossEntropy(recorder, { logits: output, targets: classes, gradLogits: gradOutput, results });
  } else {
    const target = arena.matrix('wanted', BATCH, INPUTS);
    writeMatrix(gpu, target, wanted);
    recordMse(recorder, { output, target, gradOutput, results });
  }
  recordBackward(recorder, arena, specs, weights, run, gradients);
  const program = await recorder.build('gradients');
  program.run();
  const [flat, gradient] = [await gpu.readWords(parameters.view), await gpu.readWords(gradients.view)];

  const referenceParameters = parametersOf(parameters.layout, flat);
  const values = stackForward(specs, referenceParameters, x, BATCH);
  const last = values[specs.length];
  expectAllclose(await readMatrix(gpu, output), last, TOLERANCE, 'output');
  const judged = loss === 'classify' ? softmaxCrossEntropy(last, targets, CLASSES) : mse(last, wanted, INPUTS);
  const losses = (await gpu.readFloats(results)).subarray(0, 2 * BATCH);
  expectAllclose(losses, judged.results, { ...TOLERANCES.cross_entropy, absolute: 5e-6 }, 'loss');
  const reference = stackBackward(specs, referenceParameters, values, judged.gradient);
  const measured = parametersOf(gradients.layout, gradient);
  for (const { name } of gradients.layout.slices) {
    const expected = reference.parameters.get(name) ?? new Float64Array(measured.get(name)!.length);
    expectAllclose(measured.get(name)!, expected, TOLERANCE, name);
  }
  expectAllclose(await readMatrix(gpu, run.gradients[0]!), reference.input, TOLERANCE, 'input');

  // Pads and unused layers have no gradient, so that the optimiser does not change them.
  const logical = new Uint32Array(gradient.length);
  for (const slice of gradients.layout.slices) {
    if (reference.parameters.has(slice.name))
      gradients.layout.pack(slice, gradients.layout.unpack(slice, gradient), logical);
  }
  expect(gradient.findIndex((word, i) => word !== logical[i])).toBe(-1);

  program.run();
  expect(await gpu.readWords(gradients.view)).toEqual(gradient);
});
