import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MiFace } from '../../src/attacks/mi_face.ts';
import { type MiFaceConfig, miFaceOptions } from '../../src/attacks/mi_face_config.ts';
import type { SearchSpace } from '../../src/attacks/search_space.ts';
import { MemoryReads } from '../../src/experiments/reads.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import type { FlatParameters } from '../../src/layers/parameters.ts';
import { plainWeights, type WeightsOf } from '../../src/layers/weights.ts';
import { type Granularity, parseMemoryConfig } from '../../src/memory/config.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { layerNames, modelSpec } from '../../src/models/specs.ts';
import { Trainer } from '../../src/models/trainer.ts';
import { foldedVictim, isLinear, stackVictim } from '../../src/models/victims.ts';
import { translate } from '../../src/reference/image.ts';
import { confidenceCost } from '../../src/reference/loss.ts';
import { parametersOf, stackBackward, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { configuration } from '../support/experiment.ts';
import { useGpu } from '../support/gpu.ts';
import { randomParameters, SGD, TOY, toyDataset } from '../support/toy.ts';

const device = useGpu();
const SPEC = modelSpec('mlp', TOY.pixels, TOY.classes, [6]);
const SPACE: SearchSpace = { height: TOY.height, width: TOY.width };
const TARGETS = [3, 0, 4, 1, 2];
const GRAY = new Float32Array(TOY.pixels).fill(0.5);
const CONFIG = miFaceOptions({ iterations: 10, step: 0.2, keep: 'last' });

let lasting: Arena;
let parameters: FlatParameters;
beforeAll(async () => {
  lasting = new Arena(device.gpu);
  const dataset = await toyDataset();
  const all = Uint32Array.from(dataset.labels.keys());
  const trainer = await Trainer.create(lasting, SPEC, uploadDataset(lasting, dataset), all, { ...SGD, epochs: 20 });
  while (trainer.epoch < trainer.epochs) await trainer.trainEpoch();
  trainer.finish();
  parameters = trainer.parameters;
});
afterAll(() => lasting.destroy());

describe('MI-Face with gradients averaged over reads', () => {
  it.each([
    ['weights', undefined],
    ['queries', { directions: 400, sigma: 0.02, cell: 1 }],
  ] as const)('a step from %s follows the mean of the gradients of all reads', async (_, search) => {
    const arena = new Arena(device.gpu);
    const known = [1, 2, 3].map((seed) => randomParameters(arena, SPEC, seed, 0.6));
    const victims = known.map((each) => stackVictim(SPEC.layers, plainWeights(each)));
    const config: MiFaceConfig = {
      ...CONFIG,
      iterations: 1,
      step: 0.05,
      schedule: 'constant',
      normalise: false,
      search,
    };
    const order: number[] = [];
    const select = async (read: number) => void order.push(read);
    const attack = await MiFace.build(device.gpu, victims[0], SPACE, TARGETS, config, { victims, select });
    const results = await attack.run(GRAY, 3);
    const images = Float64Array.from(TARGETS.flatMap(() => [...GRAY]));
    const gradient = new Float64Array(images.length);
    for (const each of known) {
      const values = parametersOf(each.layout, await device.gpu.readWords(each.view));
      const run = stackForward(SPEC.layers, values, images, TARGETS.length);
      const cost = confidenceCost(config.cost, run[SPEC.layers.length], TARGETS, TOY.classes);
      const own = stackBackward(SPEC.layers, values, run, cost.gradient).input;
      for (const [i, value] of own.entries()) gradient[i] += value / 3;
    }
    const moved = Float64Array.from(images, (value, i) => value - 0.05 * gradient[i]);
    const actual = Float32Array.from(results.flatMap(({ image }) => [...image]));
    // Random directions estimate the gradient with the error of 400 samples.
    expectAllclose(actual, moved, { absolute: search ? 0.01 : 1e-6, relative: 0 }, 'images');
    expect(Math.max(...moved.map((value, i) => Math.abs(value - images[i])))).toBeGreaterThan(0.02);
    // The measured load, read 0, comes last, so that it is in memory afterwards.
    expect(order).toEqual([2, 1, 0, 2, 1, 0]);
    attack.destroy();
    arena.destroy();
  });

  it('a step with random shifts follows the mean gradient of the moved images', async () => {
    const weights = plainWeights(parameters);
    const victim = stackVictim(SPEC.layers, weights);
    const config: MiFaceConfig = {
      ...CONFIG,
      iterations: 1,
      step: 0.05,
      schedule: 'constant',
      normalise: false,
      shift: 2,
    };
    const again = { victims: [victim, victim, victim], select: async () => {} };
    const attack = await MiFace.build(device.gpu, victim, SPACE, TARGETS, config, again);
    const start = Float32Array.from({ length: TOY.pixels }, (_, i) => ((i * 5) % 9) / 20 + 0.3);
    const key = 77;
    const results = await attack.run(start, key);
    const images = Float64Array.from(TARGETS.flatMap(() => [...start]));
    const values = parametersOf(parameters.layout, await device.gpu.readWords(parameters.view));
    const gradient = new Float64Array(images.length);
    for (const read of [0, 2, 4]) {
      const move = { width: TOY.width, channels: 1, shift: 2, key, read };
      const moved = translate(images, TOY.pixels, { ...move, back: false });
      const run = stackForward(SPEC.layers, values, moved, TARGETS.length);
      const cost = confidenceCost(config.cost, run[SPEC.layers.length], TARGETS, TOY.classes);
      const own = stackBackward(SPEC.layers, values, run, cost.gradient).input;
      for (const [i, value] of translate(own, TOY.pixels, { ...move, back: true }).entries()) gradient[i] += value / 3;
    }
    const expected = Float64Array.from(images, (value, i) => value - 0.05 * gradient[i]);
    const actual = Float32Array.from(results.flatMap(({ image }) => [...image]));
    expectAllclose(actual, expected, { absolute: 1e-6, relative: 0 }, 'images');
    expect(Math.max(...gradient.map(Math.abs))).toBeGreaterThan(0.1);
    attack.destroy();
  });

  /** Root mean square over draws of the distance from the attack on exact weights, with one read and with eight. */
  async function distances(granularity: Granularity, folds = false): Promise<{ one: number; eight: number }> {
    const arena = new Arena(device.gpu);
    const memory = await ApproximateMemory.store(arena, parameters);
    const uniform = { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.005 }] };
    await memory.configure(parseMemoryConfig({ granularity, layers: { '*': uniform } }, layerNames(SPEC)));
    await memory.load(0);
    const { layers } = SPEC;
    if (!isLinear(layers)) throw new Error('the victim must be linear');
    const copy = (owner: Arena, weights: WeightsOf) => foldedVictim(owner, layers, weights, 1);
    const folding = folds ? { victim: await copy(arena, memory.weightsOf), copy } : undefined;
    const victim = folding?.victim.victim ?? stackVictim(layers, memory.weightsOf, memory);
    const exact = await MiFace.build(device.gpu, stackVictim(layers, plainWeights(parameters)), SPACE, TARGETS, CONFIG);
    const clean = await exact.run(GRAY);
    const reads = new MemoryReads(device.gpu, memory, {
      ...{ victim, folding, with: (weights: WeightsOf) => stackVictim(layers, weights) },
    });
    const held = await reads.hold(8);
    const naive = await MiFace.build(device.gpu, victim, SPACE, TARGETS, CONFIG);
    const adaptive = await MiFace.build(device.gpu, victim, SPACE, TARGETS, CONFIG, held);
    const sums = { one: 0, eight: 0 };
    for (const draw of [0, 1, 2, 3]) {
      await memory.load(draw);
      folding?.victim.folds[0].run();
      const before = await naive.run(GRAY);
      await held.begin([draw]);
      const images = { one: before, eight: await adaptive.run(GRAY) };
      for (const name of ['one', 'eight'] as const) {
        for (const [row, { image }] of images[name].entries()) {
          sums[name] += image.reduce((sum, value, i) => sum + (value - clean[row].image[i]) ** 2, 0);
        }
      }
      await reads.restore([draw]);
      expect(await naive.run(GRAY)).toEqual(before);
    }
    for (const each of [exact, naive, adaptive, held]) each.destroy();
    arena.destroy();
    return { one: Math.sqrt(sums.one), eight: Math.sqrt(sums.eight) };
  }

  it('averaging removes errors that are drawn per load, with copies of the product or with reloads', async () => {
    const reloaded = await distances('load');
    expect(reloaded.eight).toBeLessThan(0.7 * reloaded.one);
    const copied = await distances('load', true);
    expect(copied.one).toBeCloseTo(reloaded.one, 4);
    expect(copied.eight).toBeCloseTo(reloaded.eight, 4);
  });

  it('averaging removes errors that are drawn per pass', async () => {
    const { one, eight } = await distances('pass');
    expect(eight).toBeLessThan(0.8 * one);
  });

  it.each([false, true])(
    'averaging removes no error of a chip, whose faults never change (product: %s)',
    async (folds) => {
      const { one, eight } = await distances('chip', folds);
      expect(one).toBeGreaterThan(0.1);
      expect(eight).toBeCloseTo(one, 4);
    },
  );
});

it.each([
  ['combine', { combine: 'votes' }],
  ['combine', { reads: 3, combine: 'votes', search: { directions: 2, sigma: 0.1, cell: 1 } }],
  ['shift', { shift: 1, search: { directions: 2, sigma: 0.1, cell: 1 } }],
] as const)('options of MI-Face that contradict each other are refused by %s', (name, options) => {
  const attack = { kind: 'mi-face', start: 'zero', iterations: 1, step: 1, ...options };
  expect(() => configuration('mlp', { attacks: [attack] })).toThrow(new RegExp(`^test: attacks.0: ${name}: `));
});
