import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type ImageDataset, toFloat } from '../../src/data/dataset.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { batchSizes, uploadDataset } from '../../src/models/device_dataset.ts';
import { Evaluator } from '../../src/models/evaluate.ts';
import type { ModelKind } from '../../src/models/model_spec.ts';
import { layerNames, modelSpec } from '../../src/models/specs.ts';
import type { Victim } from '../../src/models/victim.ts';
import { foldedVictim, isLinear, stackVictim } from '../../src/models/victims.ts';
import { softmaxCrossEntropy } from '../../src/reference/loss.ts';
import { type Parameters, parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { randomParameters, TOY, toyDataset } from '../support/toy.ts';

const device = useGpu();
let dataset: ImageDataset;
beforeAll(async () => {
  dataset = await toyDataset();
});

let arena: Arena;
const newArena = () => {
  arena = new Arena(device.gpu);
  return arena;
};
afterEach(() => arena?.destroy());

// Batches, classes and hidden layers are at most 8, because small tiles compile fast.
const BATCH = 6;
const TOLERANCE = { relative: 2e-5, absolute: 5e-6 };
const LINEAR = modelSpec('mlp', TOY.pixels, TOY.classes, [6]);

/** Plans a victim. @returns a function that runs it and reads the logits and the input gradient */
async function ask(victim: Victim, x: Float32Array, gradLogits: Float32Array) {
  const inputs = arena.matrix('x', BATCH, victim.inputs);
  writeMatrix(device.gpu, inputs, x);
  const recorder = new Recorder(device.gpu);
  const run = victim.plan(arena, inputs);
  run.recordForward(recorder);
  run.recordInputGradient(recorder);
  writeMatrix(device.gpu, run.gradLogits, gradLogits);
  const program = await recorder.build('ask');
  return async () => {
    program.run();
    return { logits: await readMatrix(device.gpu, run.logits), gradient: await readMatrix(device.gpu, run.gradInput) };
  };
}

const X = randomValues(BATCH * TOY.pixels, 1);
const GRADIENT = randomValues(BATCH * TOY.classes, 2);

describe('the outputs of a victim', () => {
  it.each([
    ['softmax', []],
    ['mlp-sigmoid', [6]],
    ['dae', [7, 6]],
  ] as const)('a %s victim has the logits and the input gradient of its reference', async (kind, hidden) => {
    const spec = modelSpec(kind, TOY.pixels, TOY.classes, hidden);
    const parameters = randomParameters(newArena(), spec, 5);
    const victim = stackVictim(spec.layers, plainWeights(parameters));
    expect(victim).toMatchObject({ inputs: TOY.pixels, classes: TOY.classes });
    const { logits, gradient } = await (await ask(victim, X, GRADIENT))();
    const reference = parametersOf(parameters.layout, await device.gpu.readWords(parameters.view));
    const values = stackForward(spec.layers, reference, X, BATCH);
    expectAllclose(logits, values[spec.layers.length], TOLERANCE, 'logits');
    expectAllclose(gradient, stackBackward(spec.layers, reference, values, GRADIENT).input, TOLERANCE, 'gradient');
  });

  it('two linear layers folded into one give the same outputs, also after another load', async () => {
    const parameters = randomParameters(newArena(), LINEAR, 5);
    const memory = await ApproximateMemory.store(arena, parameters);
    const uniform = { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.02 }] };
    await memory.configure(parseMemoryConfig({ layers: { fc1: uniform, fc2: uniform } }, layerNames(LINEAR)));
    const { victim, folds } = await foldedVictim(arena, LINEAR.layers, memory.weightsOf);
    expect(victim).toMatchObject({ inputs: TOY.pixels, classes: TOY.classes });
    const folded = await ask(victim, X, GRADIENT);
    const stacked = await ask(stackVictim(LINEAR.layers, memory.weightsOf, memory), X, GRADIENT);
    const answers: Float32Array[] = [];
    for (const draw of [0, 1]) {
      await memory.load(draw);
      folds[0].run();
      const [one, two] = [await folded(), await stacked()];
      expectAllclose(one.logits, two.logits, TOLERANCE, 'logits');
      expectAllclose(one.gradient, two.gradient, TOLERANCE, 'gradient');
      answers.push(one.logits);
    }
    expect(answers[0]).not.toEqual(answers[1]);
  });

  it('several draws folded side by side each have the bits of a victim of that draw alone', async () => {
    const parameters = randomParameters(newArena(), LINEAR, 5);
    const memory = await ApproximateMemory.store(arena, parameters);
    const uniform = { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.05 }] };
    await memory.configure(parseMemoryConfig({ layers: { fc1: uniform, fc2: uniform } }, layerNames(LINEAR)));
    const draws = 3;
    const several = await foldedVictim(arena, LINEAR.layers, memory.weightsOf, draws);
    const one = await foldedVictim(arena, LINEAR.layers, memory.weightsOf);
    expect(several.victim.draws).toBe(draws);
    const alone = [];
    const rows = BATCH / draws;
    const data = uploadDataset(arena, dataset);
    const everyone = Uint32Array.from({ length: 30 }, (_, i) => 29 - i);
    const evaluated = await Evaluator.build(device.gpu, several.victim, data, everyone, 8);
    const each = await Evaluator.build(device.gpu, one.victim, data, everyone, 8);
    const accuracies = [];
    const answer = await ask(one.victim, X, GRADIENT);
    for (const draw of [0, 1, 2]) {
      await memory.load(draw);
      several.folds[draw].run();
      one.folds[0].run();
      const { logits, gradient } = await answer();
      const slice = (values: Float32Array) =>
        values.slice((draw * rows * values.length) / BATCH, ((draw + 1) * rows * values.length) / BATCH);
      alone.push({ logits: [...slice(logits)], gradient: [...slice(gradient)] });
      accuracies.push(...(await each.run()));
    }
    const { logits, gradient } = await (await ask(several.victim, X, GRADIENT))();
    expect([...logits]).toEqual(alone.flatMap((draw) => draw.logits));
    expect([...gradient]).toEqual(alone.flatMap((draw) => draw.gradient));
    expect(await evaluated.run()).toEqual(accuracies);
    expect(new Set(accuracies.map(({ loss }) => loss)).size).toBe(draws);
    expect(evaluated.weightReads).toEqual(each.weightReads);
    expect(() => several.victim.plan(arena, arena.matrix('x', 4, TOY.pixels))).toThrow(
      /4 inputs cannot be divided into 3 equal groups/,
    );
    evaluated.destroy();
    each.destroy();
  });

  it('only two layers with nothing between them and plain reads can be folded', async () => {
    expect(isLinear(LINEAR.layers)).toBe(true);
    for (const [kind, hidden] of [
      ['softmax', []],
      ['mlp-sigmoid', [6]],
      ['mlp', [6, 6]],
      ['dae', [6]],
    ] as const) {
      expect(isLinear(modelSpec(kind as ModelKind, 24, 5, hidden).layers), kind).toBe(false);
    }
    const memory = await ApproximateMemory.store(arena, randomParameters(newArena(), LINEAR, 5));
    const layers = { fc2: { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.02 }] } };
    await memory.configure(parseMemoryConfig({ path: 'fused', layers }, layerNames(LINEAR)));
    await expect(foldedVictim(arena, LINEAR.layers, memory.weightsOf)).rejects.toThrow(/fused layers cannot be folded/);
    await memory.configure(parseMemoryConfig({ granularity: 'pass', layers }, layerNames(LINEAR)));
    await expect(foldedVictim(arena, LINEAR.layers, memory.weightsOf)).rejects.toThrow(
      /read every pass cannot be folded/,
    );
  });
});

describe('the evaluation of a victim', () => {
  const TEST = Uint32Array.from({ length: 14 }, (_, i) => (i * 11) % 30);

  /** Accuracy and mean loss of the reference. */
  function count(parameters: Parameters, indices: Uint32Array) {
    const values = stackForward(LINEAR.layers, parameters, toFloat(dataset, indices), indices.length);
    const targets = Array.from(indices, (image) => dataset.labels[image]);
    const { results } = softmaxCrossEntropy(values[2], targets, TOY.classes);
    let loss = 0;
    for (let i = 0; i < indices.length; i++) loss += results[2 * i];
    const correct = targets.map((_, i) => results[2 * i + 1] === 1);
    return { accuracy: correct.filter(Boolean).length / indices.length, loss: loss / indices.length, correct };
  }

  it('an evaluator counts what the reference counts, for every batch size and on every run', async () => {
    const parameters = randomParameters(newArena(), LINEAR, 6);
    const reference = parametersOf(parameters.layout, await device.gpu.readWords(parameters.view));
    const expected = count(reference, TEST);
    expect(expected.accuracy).toBeGreaterThan(0);
    const data = uploadDataset(arena, dataset);
    const victim = stackVictim(LINEAR.layers, plainWeights(parameters));
    for (const batchSize of [8, 7]) {
      const evaluator = await Evaluator.build(device.gpu, victim, data, TEST, batchSize);
      const [result] = await evaluator.run();
      expect(result.accuracy).toBe(expected.accuracy);
      expect(result.correct).toEqual(expected.correct);
      expect(Math.abs(result.loss - expected.loss)).toBeLessThan(1e-5);
      expect(await evaluator.run()).toEqual([result]);
      evaluator.destroy();
    }
  });

  it('two evaluators of one data set do not disturb each other', async () => {
    const parameters = randomParameters(newArena(), LINEAR, 6);
    const data = uploadDataset(arena, dataset);
    const victim = stackVictim(LINEAR.layers, plainWeights(parameters));
    const [some, others] = await Promise.all(
      [TEST, Uint32Array.of(1, 2, 3, 4)].map((indices) => Evaluator.build(device.gpu, victim, data, indices, 7)),
    );
    const alone = await some.run();
    const [second, first] = await Promise.all([others.run(), some.run()]);
    expect(first).toEqual(alone);
    expect(second).not.toEqual(alone);
    some.destroy();
    others.destroy();
  });

  it('the evaluation of a memory that every image reads separately does not depend on the batches', async () => {
    const parameters = randomParameters(newArena(), LINEAR, 6);
    const memory = await ApproximateMemory.store(arena, parameters);
    const layers = { fc2: { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.1 }] } };
    await memory.configure(parseMemoryConfig({ granularity: 'inference', layers }, layerNames(LINEAR)));
    await memory.load(0);
    const data = uploadDataset(arena, dataset);
    const victim = stackVictim(LINEAR.layers, memory.weightsOf, memory);
    const results = [];
    for (const batchSize of [8, 7]) {
      const evaluator = await Evaluator.build(device.gpu, victim, data, TEST, batchSize);
      results.push(...(await evaluator.run()));
      evaluator.destroy();
    }
    expect(results[1].accuracy).toBe(results[0].accuracy);
    expect(Math.abs(results[1].loss - results[0].loss)).toBeLessThan(1e-6);
  });

  it('images are divided into full batches and the rest', () => {
    expect(batchSizes(19, 8)).toEqual([8, 8, 3]);
    expect(batchSizes(16, 8)).toEqual([8, 8]);
    expect(batchSizes(3, 8)).toEqual([3]);
  });
});
