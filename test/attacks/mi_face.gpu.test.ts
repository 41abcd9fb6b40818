import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MiFace, type MiFaceResult } from '../../src/attacks/mi_face.ts';
import type { MiFaceConfig } from '../../src/attacks/mi_face_config.ts';
import type { SearchSpace } from '../../src/attacks/search_space.ts';
import type { ImageDataset } from '../../src/data/dataset.ts';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { Recorder } from '../../src/gpu/recorder.ts';
import { recordConfidenceCost } from '../../src/kernels/loss.ts';
import { recordSearchDirections, recordSearchGradient } from '../../src/kernels/mi_face.ts';
import { planGraph, recordForward } from '../../src/layers/graph.ts';
import type { FlatParameters } from '../../src/layers/parameters.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { modelSpec } from '../../src/models/specs.ts';
import { Trainer } from '../../src/models/trainer.ts';
import type { Victim } from '../../src/models/victim.ts';
import { foldedVictim, stackVictim } from '../../src/models/victims.ts';
import { confidenceCost } from '../../src/reference/loss.ts';
import { type MiFaceReference, miFace, type ReferenceResult } from '../reference/mi_face.ts';
import { parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { randomValues, readMatrix, useGpu, writeMatrix } from '../support/gpu.ts';
import { randomParameters, SGD, TOY, toyDataset } from '../support/toy.ts';

const device = useGpu();
const SPEC = modelSpec('mlp-sigmoid', TOY.pixels, TOY.classes, [6]);
const SPACE: SearchSpace = { height: TOY.height, width: TOY.width };
/** The attacked classes, not in order, one of them twice. */
const TARGETS = [3, 0, 4, 3];

/** The published attack: plain steps down 1 - confidence, best image kept. */
const PLAIN: MiFaceConfig = {
  kind: 'mi-face',
  start: 'zero',
  cost: 'oneMinusConfidence',
  iterations: 12,
  beta: null,
  gamma: null,
  step: 0.5,
  schedule: 'constant',
  momentum: 0,
  keep: 'best',
  normalise: false,
  totalVariation: 0,
  epsilon: 1e-4,
};

let lasting: Arena;
let dataset: ImageDataset;
let parameters: FlatParameters;
let victim: Victim;
let reference: MiFaceReference;

beforeAll(async () => {
  lasting = new Arena(device.gpu);
  dataset = await toyDataset();
  const all = Uint32Array.from({ length: 30 }, (_, i) => i);
  const trainer = await Trainer.create(lasting, SPEC, uploadDataset(lasting, dataset), all, { ...SGD, epochs: 20 });
  let accuracy = 0;
  while (trainer.epoch < trainer.epochs) ({ accuracy } = await trainer.trainEpoch());
  trainer.finish();
  expect(accuracy).toBeGreaterThan(0.9);
  parameters = trainer.parameters;
  victim = stackVictim(SPEC.layers, plainWeights(parameters));
  const values = parametersOf(parameters.layout, await device.gpu.readWords(parameters.view));
  reference = { specs: SPEC.layers, parameters: values, height: TOY.height, width: TOY.width, targets: TARGETS };
});
afterAll(() => lasting.destroy());

let attacks: MiFace[] = [];
const build = async (config: Partial<MiFaceConfig>, targets: readonly number[] = TARGETS) => {
  const attack = await MiFace.build(device.gpu, victim, SPACE, targets, { ...PLAIN, ...config });
  attacks.push(attack);
  return attack;
};
afterEach(() => {
  for (const attack of attacks) attack.destroy();
  attacks = [];
});

const GRAY = new Float32Array(TOY.pixels).fill(0.5);
const RANDOM_STARTS = TARGETS.map((_, i) => randomValues(TOY.pixels, i, 0.4).map((value) => value + 0.5));

function expectReference(
  actual: readonly MiFaceResult[],
  expected: readonly ReferenceResult[],
  tolerance = 2e-4,
): void {
  expect(actual.map(({ target }) => target)).toEqual(TARGETS);
  for (const [i, { image, objective, confidence, bestIteration, iterations }] of actual.entries()) {
    const { [i]: wanted } = expected;
    expectAllclose(image, wanted.image, { absolute: tolerance, relative: 0 }, `image ${i}`);
    expect(Math.abs(objective - wanted.objective), `objective ${i}`).toBeLessThan(tolerance);
    expect(Math.abs(confidence - wanted.confidence), `confidence ${i}`).toBeLessThan(tolerance);
    expect({ bestIteration, iterations }).toEqual({
      bestIteration: wanted.bestIteration,
      iterations: wanted.iterations,
    });
  }
}

describe('an attack follows its float64 reference', () => {
  const cases: readonly (readonly [string, Partial<MiFaceConfig>])[] = [
    ['as published', {}],
    [
      'with momentum and falling steps',
      { momentum: 0.9, schedule: 'linear', step: 0.2, cost: 'negativeLogConfidence' },
    ],
    ['with normalised gradients and total variation', { normalise: true, totalVariation: 0.5, step: 0.15 }],
    ['that keeps the last image', { keep: 'last', normalise: true, totalVariation: 2, step: 0.3, schedule: 'linear' }],
    ['with PROCESS', { cost: 'negativeLogConfidence', process: { every: 5, strength: 0.3, sharpen: 0.5 }, step: 0.2 }],
    ['by black-box queries', { search: { directions: 5, sigma: 0.05, cell: 2 }, step: 2 }],
    ['by NES', { search: { directions: 5, sigma: 0.05, cell: 2, distribution: 'gaussian' }, step: 2 }],
  ];

  it.each(cases)('an attack %s agrees with its reference', async (_, config) => {
    const attack = await build(config);
    expectReference(await attack.run(RANDOM_STARTS, 3), miFace(reference, { ...PLAIN, ...config }, RANDOM_STARTS, 3));
    expect(attack.plan).toMatch(/^arena \d+\.\d MB, \d+ buffers$/);
  });
});

describe('the result of MI-Face', () => {
  it('the result is the best image so far, if steps overshoot', async () => {
    // A step so long that the objective goes up and down.
    const config = { ...PLAIN, cost: 'negativeLogConfidence', step: 1.5, normalise: true, totalVariation: 1 } as const;
    const results = await (await build(config)).run(GRAY);
    const expected = miFace(
      reference,
      config,
      TARGETS.map(() => GRAY),
    );
    expectReference(results, expected);
    let interior = 0;
    for (const [i, { objective, bestIteration }] of results.entries()) {
      const { objectives } = expected[i];
      expect(Math.abs(objective - Math.min(...objectives))).toBeLessThan(2e-4);
      expect(bestIteration).toBe(objectives.indexOf(Math.min(...objectives)));
      if (bestIteration < config.iterations) interior++;
    }
    expect(interior).toBeGreaterThan(0);
  });

  it('the result lies in 0..1, however long the steps are', async () => {
    for (const { image } of await (await build({ step: 1e4, cost: 'negativeLogConfidence' })).run(GRAY)) {
      expect(image).toHaveLength(TOY.pixels);
      expect(image.every((pixel) => pixel >= 0 && pixel <= 1)).toBe(true);
      expect(image.some((pixel) => pixel === 0 || pixel === 1)).toBe(true);
    }
  });

  it('the result raises the confidence in the attacked class', async () => {
    const before = await (await build({ step: 0, iterations: 1 })).run(GRAY);
    const after = await (await build({ cost: 'negativeLogConfidence', iterations: 20 })).run(GRAY);
    for (const [i, { confidence }] of after.entries()) {
      expect(confidence).toBeGreaterThan(before[i].confidence + 0.2);
      // Nothing moved without steps.
      expect(before[i].image).toEqual(GRAY);
    }
  });

  it('the result has the same bits every time and does not depend on an earlier run', async () => {
    const config = { search: { directions: 3, sigma: 0.1, cell: 1 }, momentum: 0.5, step: 2 };
    const attack = await build(config);
    const first = await attack.run(GRAY, 1);
    const other = await attack.run(RANDOM_STARTS, 2);
    expect(other).not.toEqual(first);
    expect(await attack.run(GRAY, 1)).toEqual(first);
    expect(await (await build(config)).run(GRAY, 1)).toEqual(first);
    expect(await attack.run(GRAY, 2)).not.toEqual(first);
  });

  it('the result of a class does not depend on the other classes', async () => {
    const [, alone] = await (await build({}, [1, 3])).run(RANDOM_STARTS[0]);
    const [together] = await (await build({})).run(RANDOM_STARTS);
    expect(alone).toEqual(together);
  });
});

describe('several draws attacked together', () => {
  const LINEAR = modelSpec('mlp', TOY.pixels, TOY.classes, [6]);
  const CONFIG: MiFaceConfig = {
    ...PLAIN,
    cost: 'negativeLogConfidence',
    iterations: 30,
    beta: 2,
    step: 0.4,
    normalise: true,
    totalVariation: 0.2,
    process: { every: 5, strength: 0.3, sharpen: 0.5 },
  };

  it('draws attacked together have the results of each draw alone, also if their classes stop at different times', async () => {
    const arena = new Arena(device.gpu);
    const seeds = [5, 6, 7];
    const loaded = randomParameters(arena, LINEAR, 0);
    const weights = plainWeights(loaded);
    const one = await foldedVictim(arena, LINEAR.layers, weights);
    const three = await foldedVictim(arena, LINEAR.layers, weights, seeds.length);
    const targets = seeds.flatMap(() => TARGETS);
    const starts = seeds.flatMap(() => RANDOM_STARTS);
    const attackOne = await MiFace.build(device.gpu, one.victim, SPACE, TARGETS, CONFIG);
    const attackThree = await MiFace.build(device.gpu, three.victim, SPACE, targets, CONFIG);
    attacks.push(attackOne, attackThree);
    const alone: MiFaceResult[] = [];
    for (const [draw, seed] of seeds.entries()) {
      const drawn = randomParameters(arena, LINEAR, seed);
      device.gpu.write(loaded.view, await device.gpu.readWords(drawn.view));
      one.folds[0].run();
      three.folds[draw].run();
      alone.push(...(await attackOne.run(RANDOM_STARTS)));
    }
    expect(await attackThree.run(starts)).toEqual(alone);
    // A draw whose last class has stopped continues to run with the others.
    const stops = seeds.map((_, draw) =>
      Math.max(...alone.slice(draw * TARGETS.length, (draw + 1) * TARGETS.length).map(({ iterations }) => iterations)),
    );
    expect(Math.max(...stops)).toBeGreaterThan(Math.min(...stops) + 8);
    const search = { directions: 2, sigma: 0.1, cell: 1 };
    await expect(MiFace.build(device.gpu, three.victim, SPACE, targets, { ...PLAIN, search })).rejects.toThrow(
      /^attack\.search: a black-box attack runs on one draw of the memory at a time/,
    );
    arena.destroy();
  });
});

describe('stopping of a class', () => {
  it('without beta and gamma a class takes all iterations: the start and all later images are judged', async () => {
    const iterations: number[] = [];
    const attack = await build({ iterations: 20 });
    const results = await attack.run(GRAY, 0, (t) => iterations.push(t));
    expect(results.map((each) => each.iterations)).toEqual(TARGETS.map(() => 20));
    expect(iterations).toEqual([8, 16]);
  });

  it('a class stops after beta iterations without progress, independently of the others', async () => {
    const config = { ...PLAIN, beta: 2, step: 1.5, normalise: true, totalVariation: 1, iterations: 30 } as const;
    const results = await (await build(config)).run(RANDOM_STARTS);
    expectReference(results, miFace(reference, config, RANDOM_STARTS));
    for (const { bestIteration, iterations } of results) expect(iterations).toBe(bestIteration + config.beta);
    expect(new Set(results.map(({ iterations }) => iterations)).size).toBeGreaterThan(1);
  });

  it('a class stops at an objective of gamma, independently of the others', async () => {
    const config = { ...PLAIN, cost: 'negativeLogConfidence', gamma: 0.7, step: 0.3, iterations: 60 } as const;
    const results = await (await build(config)).run(RANDOM_STARTS);
    expectReference(results, miFace(reference, config, RANDOM_STARTS), 1e-3);
    for (const { objective, bestIteration, iterations } of results) {
      expect(objective).toBeLessThanOrEqual(config.gamma);
      expect(iterations).toBe(bestIteration);
      expect(iterations).toBeLessThan(60);
    }
    expect(new Set(results.map(({ iterations }) => iterations)).size).toBeGreaterThan(1);
  });
});

it('PROCESS leaves the kept image of a stopped class unchanged', async () => {
  const process = { every: 1, strength: 0.2, sharpen: 0.3 };
  const config = { ...PLAIN, keep: 'last', beta: 1, step: 1.5, normalise: true, iterations: 24, process } as const;
  const results = await (await build(config)).run(RANDOM_STARTS);
  expect(results.some(({ iterations }) => iterations < 20)).toBe(true);
  expectReference(results, miFace(reference, config, RANDOM_STARTS), 1e-3);
});

it('PROCESS smooths and sharpens the images between steps', async () => {
  const process = { every: 3, strength: 0.2, sharpen: 0.3 };
  const [with_, without] = await Promise.all([build({ process, keep: 'last' }), build({ keep: 'last' })]);
  const [processed, plain] = [await with_.run(RANDOM_STARTS), await without.run(RANDOM_STARTS)];
  for (const [i, { image }] of processed.entries()) expect(image).not.toEqual(plain[i].image);
});

it.each(['signs', 'gaussian'] as const)(
  'the gradient estimated by queries along %s points along the true one',
  async (distribution) => {
    const arena = new Arena(device.gpu);
    const rows = TARGETS.length;
    const search = { directions: 128, sigma: 0.02, cell: 1, distribution };
    const x = arena.matrix('x', rows, TOY.pixels);
    const start = Float32Array.from(RANDOM_STARTS.flatMap((image) => [...image]));
    writeMatrix(device.gpu, x, start);
    const many = Array.from({ length: 2 * search.directions }, () => TARGETS).flat();
    const queries = victim.plan(arena, arena.matrix('queries', many.length, TOY.pixels));
    const targets = arena.allocate('targets', many.length * 4);
    device.gpu.write(targets, Uint32Array.from(many));
    const results = arena.allocate('results', many.length * 8);
    const gradient = arena.matrix('gradient', rows, TOY.pixels);
    const recorder = new Recorder(device.gpu);
    const radii = arena.allocate('radii', rows * 4);
    device.gpu.write(radii, new Float32Array(rows).fill(search.sigma));
    recordSearchDirections(recorder, { ...search, x, radii, queries: queries.x, width: TOY.width });
    queries.recordForward(recorder);
    const { logits, gradLogits } = queries;
    recordConfidenceCost(recorder, { cost: 'negativeLogConfidence', logits, targets, gradLogits, results });
    recordSearchGradient(recorder, { ...search, results, gradient, width: TOY.width });
    (await recorder.build('search')).run();
    const estimated = await readMatrix(device.gpu, gradient);
    const values = stackForward(SPEC.layers, reference.parameters, start, rows);
    const cost = confidenceCost('negativeLogConfidence', values[2], TARGETS, TOY.classes);
    const exact = stackBackward(SPEC.layers, reference.parameters, values, cost.gradient).input;
    for (let row = 0; row < rows; row++) {
      const part = <T extends Float32Array | Float64Array>(all: T) =>
        all.subarray(row * TOY.pixels, (row + 1) * TOY.pixels);
      const [e, g] = [part(estimated), part(exact)];
      const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => {
        let sum = 0;
        for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
        return sum;
      };
      // Random directions leave a relative error of about sqrt(23 / 128): a cosine of 0.92.
      expect(dot(e, g) / Math.sqrt(dot(e, e) * dot(g, g)), `row ${row}`).toBeGreaterThan(0.8);
    }
    arena.destroy();
  },
);

describe('an attack in the latent space of an autoencoder', () => {
  const DAE = modelSpec('dae', TOY.pixels, TOY.classes, [7, 6]);

  async function latentAttack(config: Partial<MiFaceConfig>) {
    const arena = new Arena(device.gpu);
    const values = randomParameters(arena, DAE, 70, 1);
    const weights = plainWeights(values);
    const [encoder, head] = [DAE.layers.slice(0, 2), DAE.layers.slice(2)];
    const space: SearchSpace = {
      ...SPACE,
      latent: {
        size: 6,
        plan(planned, code, image, processed) {
          const decode = planGraph(planned, DAE.decoder, code, { output: image });
          const encode = planGraph(planned, encoder, processed, { output: code });
          return {
            recordDecode: (recorder) => recordForward(recorder, planned, DAE.decoder, weights, decode),
            recordEncode: (recorder) => recordForward(recorder, planned, encoder, weights, encode),
          };
        },
      },
    };
    const attack = await MiFace.build(device.gpu, stackVictim(head, weights), space, TARGETS, { ...PLAIN, ...config });
    const results = await attack.run(RANDOM_STARTS);
    const referenceValues = parametersOf(values.layout, await device.gpu.readWords(values.view));
    const starts = Float32Array.from(RANDOM_STARTS.flatMap((image) => [...image]));
    const codes = stackForward(encoder, referenceValues, starts, TARGETS.length)[2];
    const codeReference = { specs: head, parameters: referenceValues, height: 1, width: 6, targets: TARGETS };
    const codesOf = TARGETS.map((_, row) => codes.subarray(row * 6, (row + 1) * 6));
    const decode = (code: ArrayLike<number>) => stackForward(DAE.decoder, referenceValues, code, 1)[2];
    attack.destroy();
    arena.destroy();
    return { results, codeReference, codesOf, decode };
  }

  it.each(['best', 'last'] as const)('the attack searches codes and decodes the %s one', async (keep) => {
    const config = { ...PLAIN, keep, cost: 'negativeLogConfidence', step: 0.1, iterations: 6 } as const;
    const { results, codeReference, codesOf, decode } = await latentAttack(config);
    const expected = miFace(codeReference, config, codesOf).map((each) => ({ ...each, image: decode(each.image) }));
    expectReference(results, expected);
    for (const { image } of results) expect(image).toHaveLength(TOY.pixels);
  });

  it('PROCESS decodes the code, filters the image and encodes it again', async () => {
    const process = { every: 2, strength: 0.3, sharpen: 0.2 };
    const config = { cost: 'negativeLogConfidence', step: 0.1, iterations: 6, keep: 'last' } as const;
    const [plain, processed] = [await latentAttack(config), await latentAttack({ ...config, process })];
    for (const [i, { image }] of processed.results.entries()) {
      expect(image).not.toEqual(plain.results[i].image);
      expect(image.every((pixel) => pixel > 0 && pixel < 1)).toBe(true);
    }
  });

  it('total variation is refused in latent space, which has no pixels', async () => {
    await expect(latentAttack({ totalVariation: 1 })).rejects.toThrow(/^attack\.totalVariation: .*latent/);
  });
});

describe('settings that are refused', () => {
  it.each([
    [{ iterations: 0 }, /^attack\.iterations: 0 is not in 1\.\.1000000$/],
    [{ iterations: Number.NaN }, /^attack\.iterations: NaN/],
    [{ step: -1 }, /^attack\.step: -1/],
    [{ momentum: 1 }, /^attack\.momentum: 1 /],
    [{ totalVariation: -0.1 }, /^attack\.totalVariation: -0\.1/],
    [{ totalVariation: 1, epsilon: 0 }, /^epsilon: 0 must be above 0/],
  ] as const)('the configuration %o is refused', async (config, message) => {
    await expect(build(config)).rejects.toThrow(ConfigError);
    await expect(build(config)).rejects.toThrow(message);
  });

  it('classes that the victim does not have, and an empty list, are refused', async () => {
    for (const [targets, message] of [
      [[], /^classes: name at least one/],
      [[0, 5], /^classes: 5 is not a class of 0\.\.4$/],
      [[-1], /^classes: -1 /],
      [[1.5], /^classes: 1\.5 /],
    ] as const) {
      await expect(build({}, targets)).rejects.toThrow(ConfigError);
      await expect(build({}, targets)).rejects.toThrow(message);
    }
  });

  it('images of a size that the victim does not take are refused, as space and as start', async () => {
    const wide = { height: 4, width: 7 };
    await expect(MiFace.build(device.gpu, victim, wide, [0], PLAIN)).rejects.toThrow(ShapeError);
    await expect(MiFace.build(device.gpu, victim, wide, [0], PLAIN)).rejects.toThrow(/takes 24 inputs, .* searches 28/);
    const attack = await build({});
    await expect(attack.run(new Float32Array(23))).rejects.toThrow(/start image 0 has 23 pixels, 24 are needed/);
    await expect(attack.run(RANDOM_STARTS.slice(1))).rejects.toThrow(/start image 3 has undefined pixels/);
  });
});
