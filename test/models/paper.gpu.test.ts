import { afterEach, expect } from 'vitest';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { recordMse, recordSoftmaxCrossEntropy } from '../../src/kernels/loss.ts';
import { recordAdam, writeAdamStep } from '../../src/kernels/optimizer.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { FlatParameters, type ParameterSlice } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { initializeParameters, modelLayout } from '../../src/models/model_parameters.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import { parameterCount } from '../../src/models/plan.ts';
import { yangClassifier, yangInversion } from '../../src/models/yang.ts';
import { mse, softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { batchNormStatistics } from '../../src/reference/norm.ts';
import { adam } from '../../src/reference/optimizer.ts';
import { parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { longTest } from '../support/long.ts';

// Compares one training step of the published networks at full width, on a batch of two, with the float64 reference: every
// logit, every gradient, every parameter. No other test has tensors of this size. It takes two minutes and 4.5 GB.
const BATCH = 2;
const SIZE = 64;
const CLASSES = 530;
const LEARNING_RATE = 2e-4;
const ADAM = { betas: [0.5, 0.999], epsilon: 1e-8 } as const;
/** For sums of up to 16384 products through up to six layers and back; `absolute` is times the tensor's root mean square. */
const GRADIENT = { absolute: 5e-4, relative: 1e-5 };
/** At this share of the root mean square or above, a gradient has the reference's sign, which decides Adam's first step. */
const DECIDED = 1e-2;

const device = useGpu();
let arena: Arena | undefined;
afterEach(() => arena?.destroy());

function rootMeanSquare(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ** 2;
  return Math.sqrt(sum / values.length);
}

async function compareStep(full: ModelSpec, kind: 'classify' | 'invert'): Promise<void> {
  const { gpu } = device;
  arena = new Arena(gpu);
  // The reference has no dropout.
  const layers = full.layers.map((layer) => (layer.kind === 'dropout' ? { ...layer, rate: 0 } : layer));
  const layout = modelLayout(full);
  const [parameters, gradients, firstMoment, secondMoment, secondMomentMax] = [
    'parameters',
    'gradients',
    'first moment',
    'second moment',
    'largest second moment',
  ].map((label) => new FlatParameters(arena!, label, layout));
  await initializeParameters(gpu, parameters, 5);
  const inputs = randomValues(BATCH * full.inputs, 6).map((value) => (value + 1) / 2);
  const images = randomValues(BATCH * SIZE * SIZE, 7).map((value) => (value + 1) / 2);
  const labels = Uint32Array.of(3, 529);

  const x = arena.matrix('x', BATCH, full.inputs);
  writeMatrix(gpu, x, inputs);
  const run = planGraph(arena, layers, x, {
    mode: { training: true, seed: 1 },
    gradients: { parameters: true },
  });
  const [output, gradOutput] = [run.values[layers.length], run.gradients[layers.length]!];
  const results = arena.allocate('results', BATCH * 8);
  const weights = plainWeights(parameters);
  const recorder = new Recorder(gpu);
  recordForward(recorder, arena, layers, weights, run);
  if (kind === 'classify') {
    const targets = arena.allocate('targets', BATCH * 4);
    gpu.write(targets, labels);
    recordSoftmaxCrossEntropy(recorder, { logits: output, targets, gradLogits: gradOutput, results });
  } else {
    const target = arena.matrix('target', BATCH, SIZE * SIZE);
    writeMatrix(gpu, target, images);
    recordMse(recorder, { output, target, gradOutput, results });
  }
  recordBackward(recorder, arena, layers, weights, run, gradients);
  const trainable = layout.slices.filter((slice) => slice.trainable !== false);
  const count = Math.max(...trainable.map(({ offset, length }) => offset + length));
  const update = new Recorder(gpu);
  recordAdam(update, {
    count,
    parameters: parameters.view,
    gradients: gradients.view,
    firstMoment: firstMoment.view,
    secondMoment: secondMoment.view,
    secondMomentMax: secondMomentMax.view,
    ...ADAM,
  });
  const [gradient, optimize] = await Promise.all([recorder.build('gradient'), update.build('adam')]);

  const before = parametersOf(layout, await gpu.readWords(parameters.view));
  gradient.run();
  writeAdamStep(optimize, LEARNING_RATE, ADAM.betas, 1);
  optimize.run();

  const values = stackForward(layers, before, inputs, BATCH, true);
  const last = values[layers.length];
  const outputs = { absolute: 5e-5 * rootMeanSquare(last), relative: 1e-5 };
  expectAllclose(await readMatrix(gpu, output), last, outputs, 'output');
  const judged = kind === 'classify' ? softmaxCrossEntropy(last, labels, CLASSES) : mse(last, images, SIZE * SIZE);
  const losses = (await gpu.readFloats(results)).subarray(0, 2 * BATCH);
  expectAllclose(losses, judged.results, { absolute: 5e-5, relative: 0 }, 'loss');

  const reference = stackBackward(layers, before, values, judged.gradient, true).parameters;
  // Biases before a batch normalisation have a gradient of 0 except for rounding, so the layer's weights give their scale.
  const scaleOf = ({ layer, name }: ParameterSlice) =>
    Math.max(...[name, `${layer}.weight`].map((each) => rootMeanSquare(reference.get(each)!)));
  const gradientWords = await gpu.readWords(gradients.view);
  const afterWords = await gpu.readWords(parameters.view);
  const valuesOf = (slice: ParameterSlice, words: Uint32Array) => new Float32Array(layout.unpack(slice, words).buffer);
  for (const slice of trainable) {
    const { name } = slice;
    const [expected, moved] = [reference.get(name)!, before.get(name)!];
    const scale = scaleOf(slice);
    const tolerance = { ...GRADIENT, absolute: GRADIENT.absolute * scale };
    expectAllclose(valuesOf(slice, gradientWords), expected, tolerance, `${name} gradient`);

    const zeros = () => new Float64Array(expected.length);
    adam(moved, expected, { first: zeros(), second: zeros(), secondMax: zeros() }, LEARNING_RATE, 1, ADAM);
    const after = valuesOf(slice, afterWords);
    // Where the gradient is nearly 0 the step may go the other way.
    expectAllclose(after, moved, { absolute: 2.001 * LEARNING_RATE, relative: 1.2e-7 }, `${name} after a step`);
    let decided = 0;
    for (let i = 0; i < expected.length; i++) {
      if (Math.abs(expected[i]) >= DECIDED * scale) decided++;
      else moved[i] = after[i];
    }
    expectAllclose(after, moved, { absolute: 1e-3 * LEARNING_RATE, relative: 1.2e-7 }, `${name} after a step`);
    // Most rows of the last layer belong to people whom the softmax finds unlikely, so their gradients are small.
    const share = name === 'fc2.weight' ? 0.3 : 0.9;
    if (name.endsWith('.weight')) expect(decided / expected.length, `${name} decided`).toBeGreaterThan(share);
  }
  for (const [i, { kind: layer, name }] of layers.entries()) {
    if (layer !== 'batch_norm') continue;
    const [mean, variance] = ['running_mean', 'running_var'].map((part) => layout.find(`${name}.${part}`));
    const running = { mean: before.get(mean.name)!, variance: before.get(variance.name)! };
    const { runningMean, runningVariance } = batchNormStatistics(values[i], running);
    for (const [slice, expected] of [
      [mean, runningMean],
      [variance, runningVariance],
    ] as const) {
      const tolerance = { absolute: 1e-5 * rootMeanSquare(expected), relative: 1e-5 };
      expectAllclose(valuesOf(slice, afterWords), expected, tolerance, slice.name);
    }
  }
}

longTest('the published classifier takes the same training step as its reference', 15, async () => {
  const spec = yangClassifier({ kind: 'yang-classifier', size: SIZE, ndf: 128, classes: CLASSES });
  expect(parameterCount(spec)).toBe(51_025_344);
  await compareStep(spec, 'classify');
});

longTest('the published inversion network takes the same training step as its reference', 15, async () => {
  const spec = yangInversion({ kind: 'yang-inversion', size: SIZE, ngf: 128, classes: CLASSES });
  expect(parameterCount(spec)).toBe(19_701_377);
  await compareStep(spec, 'invert');
});
