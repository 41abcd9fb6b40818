import { expect, it } from 'vitest';
import type { Tensor } from '../../src/formats/safetensors.ts';
import { Arena, type Matrix } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { recordMse, recordSoftmaxCrossEntropy } from '../../src/kernels/loss.ts';
import { recordAdam, writeAdamStep } from '../../src/kernels/optimizer.ts';
import { planGraph, recordBackward, recordForward } from '../../src/layers/graph.ts';
import { FlatParameters } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { packTensors } from '../../src/models/checkpoint.ts';
import { modelLayout } from '../../src/models/model_parameters.ts';
import type { ModelSpec } from '../../src/models/model_spec.ts';
import { yangClassifier, yangInversion } from '../../src/models/yang.ts';
import { expectAllclose } from '../support/allclose.ts';
import { loadFixture } from '../support/fixtures.ts';
import { readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';

const device = useGpu();
const yang = loadFixture('yang');
const { ndf, ngf, nz, lr, betas, steps, classifierLoss, inversionLoss } = yang.description as {
  ndf: number;
  ngf: number;
  nz: number;
  lr: number;
  betas: [number, number];
  steps: number;
  classifierLoss: number[];
  inversionLoss: number[];
};
const [IMAGES, , SIZE] = yang.tensor('x').shape;

/** The tensors whose keys begin with a prefix, under their keys without it. */
function tensorsOf(prefix: string): Map<string, Tensor> {
  return new Map(
    yang.keys.filter((key) => key.startsWith(prefix)).map((key) => [key.slice(prefix.length), yang.tensor(key)]),
  );
}

/** The fixture was made without dropout. */
function withoutDropout(spec: ModelSpec): ModelSpec {
  const layers = spec.layers.map((layer) => (layer.kind === 'dropout' ? { ...layer, rate: 0 } : layer));
  return { ...spec, layers };
}

/** Repeats the training of the fixture. @returns the values that the fixture recorded */
async function train(spec: ModelSpec, name: string, input: Float32Array, lossOf: 'labels' | 'images') {
  const arena = new Arena(device.gpu);
  const layout = modelLayout(spec);
  const [parameters, gradients, first, second, largest] = ['parameters', 'gradients', 'm', 'v', 'v max'].map(
    (label) => new FlatParameters(arena, label, layout),
  );
  device.gpu.write(parameters.view, packTensors(spec, tensorsOf(`${name}/init/`), 'yang'));
  const x = arena.matrix('x', IMAGES, spec.inputs);
  writeMatrix(device.gpu, x, input);
  const target = arena.matrix('target', IMAGES, SIZE * SIZE);
  writeMatrix(device.gpu, target, yang.floats('x'));
  const labels = arena.allocate('labels', IMAGES * 4);
  device.gpu.write(labels, Uint32Array.from(yang.tensor('target').data as ArrayLike<number>));
  const results = arena.allocate('results', IMAGES * 8);
  const run = planGraph(arena, spec.layers, x, {
    mode: { training: true, seed: 1 },
    gradients: { parameters: true },
  });
  const [output, gradOutput] = [run.values[spec.layers.length], run.gradients[spec.layers.length]!];
  const weights = plainWeights(parameters);
  const recorder = new Recorder(device.gpu);
  recordForward(recorder, arena, spec.layers, weights, run);
  if (lossOf === 'labels') {
    recordSoftmaxCrossEntropy(recorder, { logits: output, targets: labels, gradLogits: gradOutput, results });
  } else {
    recordMse(recorder, { output, target, gradOutput, results });
  }
  recordBackward(recorder, arena, spec.layers, weights, run, gradients);
  const gradient = await recorder.build('gradient');
  const update = new Recorder(device.gpu);
  recordAdam(update, {
    count: layout.length,
    parameters: parameters.view,
    gradients: gradients.view,
    firstMoment: first.view,
    secondMoment: second.view,
    secondMomentMax: largest.view,
    betas,
    epsilon: 1e-8,
  });
  const adam = await update.build('adam');
  const losses: number[] = [];
  let trainOutput = new Float32Array(0);
  let firstGradients = new Uint32Array(0);
  for (let step = 1; step <= steps; step++) {
    gradient.run();
    writeAdamStep(adam, lr, betas, step);
    if (step === 1) {
      trainOutput = await readMatrix(device.gpu, output);
      firstGradients = await device.gpu.readWords(gradients.view);
    }
    adam.run();
    const rows = (await device.gpu.readFloats(results)).subarray(0, 2 * IMAGES);
    losses.push(rows.reduce((sum, value, i) => (i % 2 ? sum : sum + value), 0) / IMAGES);
  }
  const after = await device.gpu.readWords(parameters.view);
  const evaluate = new Recorder(device.gpu);
  const evaluated = planGraph(arena, spec.layers, x);
  recordForward(evaluate, arena, spec.layers, weights, evaluated);
  (await evaluate.build('evaluate')).run();
  const evalOutput = await readMatrix(device.gpu, evaluated.values[spec.layers.length] as Matrix);
  const tensors = (words: Uint32Array) =>
    new Map(
      layout.slices.map((slice) => [
        `${spec.keys[slice.layer]}${slice.name.slice(slice.layer.length)}`,
        new Float32Array(layout.unpack(slice, words).buffer),
      ]),
    );
  arena.destroy();
  return { losses, trainOutput, evalOutput, gradients: tensors(firstGradients), after: tensors(after) };
}

function expectTensors(actual: Map<string, Float32Array>, prefix: string, absolute: number, relative: number): void {
  const expected = tensorsOf(prefix);
  expect(expected.size).toBeGreaterThan(10);
  for (const [key, { data }] of expected) {
    expectAllclose(actual.get(key)!, data as Float32Array, { absolute, relative }, `${prefix}${key}`);
  }
}

// Gradients of biases before a batch normalisation are 0 except for rounding, and Adam turns their sign into steps of lr.
const ROUNDING = lr * steps;

it('golden: the classifier takes three AMSGrad steps as in PyTorch', async () => {
  const spec = withoutDropout(yangClassifier({ kind: 'yang-classifier', size: SIZE, ndf, classes: nz }));
  const result = await train(spec, 'classifier', yang.floats('x'), 'labels');
  expectAllclose(
    result.trainOutput,
    yang.floats('classifier/logits_train0'),
    { absolute: 2e-5, relative: 1e-5 },
    'trainOutput',
  );
  expectTensors(result.gradients, 'classifier/grad0/', 2e-6, 2e-4);
  expectAllclose(result.losses, classifierLoss, { absolute: 1e-4, relative: 0 }, 'losses');
  expectTensors(result.after, 'classifier/after3/', 2 * ROUNDING, 1e-4);
  expectAllclose(
    result.evalOutput,
    yang.floats('classifier/logits_eval'),
    { absolute: 5e-3, relative: 0 },
    'evalOutput',
  );
});

it('golden: the inversion network takes three AMSGrad steps as in PyTorch', async () => {
  const spec = yangInversion({ kind: 'yang-inversion', size: SIZE, ngf, classes: nz });
  const result = await train(spec, 'inversion', yang.floats('inversion/input'), 'images');
  expectAllclose(
    result.trainOutput,
    yang.floats('inversion/recon_train0'),
    { absolute: 2e-5, relative: 1e-5 },
    'trainOutput',
  );
  expectTensors(result.gradients, 'inversion/grad0/', 2e-7, 2e-4);
  expectAllclose(result.losses, inversionLoss, { absolute: 1e-5, relative: 0 }, 'losses');
  expectTensors(result.after, 'inversion/after3/', 2 * ROUNDING, 1e-4);
  expectAllclose(result.evalOutput, yang.floats('inversion/recon_eval'), { absolute: 5e-3, relative: 0 }, 'evalOutput');
});

it('the inversion network for RGB gives every channel the image of the gray network with that channel’s weights', async () => {
  const gray = yangInversion({ kind: 'yang-inversion', size: SIZE, ngf, classes: nz });
  const rgb = yangInversion({ kind: 'yang-inversion', size: SIZE, channels: 3, ngf, classes: nz });
  expect(rgb.outputs).toBe(3 * gray.outputs);
  const tensors = tensorsOf('inversion/init/');
  const last = `${gray.keys[gray.layers.findLast(({ kind }) => kind === 'conv_transpose2d')!.name]}.weight`;
  const { shape, data } = tensors.get(last)!;
  const [inputs, , side] = shape;
  const taps = side * side;
  // Green has the weights of red times -1, and blue half of them; the biases are equal.
  const factors = [1, -1, 0.5];
  const weightsOf = (own: readonly number[]) =>
    Float32Array.from({ length: inputs * own.length * taps }, (_, i) => {
      const [input, channel] = [Math.floor(i / (own.length * taps)), Math.floor(i / taps) % own.length];
      return own[channel] * (data as Float32Array)[input * taps + (i % taps)];
    });
  const bias = last.replace('weight', 'bias');
  const biases = tensors.get(bias)!.data as Float32Array;
  const imagesOf = async (spec: ModelSpec, own: readonly number[]) => {
    const arena = new Arena(device.gpu);
    const parameters = new FlatParameters(arena, 'parameters', modelLayout(spec));
    const changed = new Map(tensors);
    changed.set(last, { dtype: 'F32', shape: [inputs, own.length, side, side], data: weightsOf(own) });
    changed.set(bias, { dtype: 'F32', shape: [own.length], data: Float32Array.from(own, () => biases[0]) });
    device.gpu.write(parameters.view, packTensors(spec, changed, 'yang'));
    const x = arena.matrix('x', IMAGES, spec.inputs);
    writeMatrix(device.gpu, x, yang.floats('inversion/input'));
    const run = planGraph(arena, spec.layers, x);
    const recorder = new Recorder(device.gpu);
    recordForward(recorder, arena, spec.layers, plainWeights(parameters), run);
    (await recorder.build('inversion')).run();
    const images = await readMatrix(device.gpu, run.values[spec.layers.length] as Matrix);
    arena.destroy();
    return images;
  };
  const colour = await imagesOf(rgb, factors);
  for (const [channel, factor] of factors.entries()) {
    const expected = await imagesOf(gray, [factor]);
    const own = colour.filter((_, i) => i % 3 === channel);
    expectAllclose(own, expected, { absolute: 1e-6, relative: 1e-5 }, `channel ${channel}`);
  }
});
