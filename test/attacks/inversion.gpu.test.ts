import { afterEach, describe, expect, it } from 'vitest';
import {
  alignLogits,
  InversionAttack,
  type InversionAttacker,
  Predictor,
  smallestLogConfidence,
} from '../../src/attacks/inversion.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { plainWeights } from '../../src/layers/weights.ts';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { layerNames, modelSpec } from '../../src/models/specs.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { truncateAlign } from '../../src/reference/align.ts';
import { parametersOf, stackForward } from '../reference/model.ts';
import { expectAllclose } from '../support/allclose.ts';
import { useGpu } from '../support/gpu.ts';
import { randomParameters, TOY, toyDataset } from '../support/toy.ts';

const device = useGpu();
const VICTIM = modelSpec('mlp', TOY.pixels, TOY.classes, [6]);
// The attack takes any network from vectors to images; dense layers are the quickest.
const NETWORK = modelSpec('mlp-sigmoid', TOY.classes, TOY.pixels, [7]);
const ATTACKED = Uint32Array.of(3, 7, 7, 21, 0, 12, 29);

let arena: Arena | undefined;
afterEach(() => arena?.destroy());

async function scene() {
  arena = new Arena(device.gpu);
  const dataset = await toyDataset();
  const data = uploadDataset(arena, dataset);
  const victim = randomParameters(arena, VICTIM, 3, 4);
  const network = randomParameters(arena, NETWORK, 40, 0.1);
  const values = async (parameters: typeof victim) =>
    parametersOf(parameters.layout, await device.gpu.readWords(parameters.view));
  const inputs = Float64Array.from(
    [...ATTACKED].flatMap((image) =>
      Array.from(dataset.images.subarray(image * TOY.pixels, (image + 1) * TOY.pixels), (pixel) => pixel / 255),
    ),
  );
  const logits = stackForward(VICTIM.layers, await values(victim), inputs, ATTACKED.length)[2];
  return { dataset, data, victim, network, logits, networkValues: await values(network) };
}

const attacker = (name: string, network: InversionAttacker['weights'], more: object = {}): InversionAttacker => ({
  name,
  alignment: { truncation: TOY.classes, floor: 'direct', ...more },
  layers: NETWORK.layers,
  weights: network,
});

describe('predictions of the victim', () => {
  it('predictions equal those of the reference, image by image, however batches are cut', async () => {
    const { data, victim, logits } = await scene();
    for (const batchSize of [3, 7, 100]) {
      const predictor = await Predictor.build(
        device.gpu,
        stackVictim(VICTIM.layers, plainWeights(victim)),
        data,
        ATTACKED,
        batchSize,
      );
      expectAllclose(await predictor.run(), logits, { absolute: 1e-4, relative: 1e-5 }, `batches of ${batchSize}`);
      predictor.destroy();
    }
  });

  it('a prediction counts as correct if the largest logit is that of the label', async () => {
    const { data, victim, logits } = await scene();
    const predictor = await Predictor.build(
      device.gpu,
      stackVictim(VICTIM.layers, plainWeights(victim)),
      data,
      ATTACKED,
      4,
    );
    const largest = ATTACKED.map((_, i) => {
      const row = [...logits.subarray(i * TOY.classes, (i + 1) * TOY.classes)];
      return row.indexOf(Math.max(...row));
    });
    expect(await predictor.accuracy(largest)).toBe(1);
    const wrong = largest.map((label, i) => (i < 2 ? (label + 1) % TOY.classes : label));
    expect(await predictor.accuracy(wrong)).toBeCloseTo(5 / 7, 12);
    predictor.destroy();
  });
});

describe('inversion of predictions', () => {
  it('an inversion aligns predictions as each attacker specifies and runs its network on them', async () => {
    const { data, victim, network, logits, networkValues } = await scene();
    const weights = plainWeights(network);
    const attackers = [
      attacker('all', weights),
      attacker('two', weights, { truncation: 2 }),
      attacker('clipped', weights, { clip: -3 }),
    ];
    const attack = await InversionAttack.build(
      device.gpu,
      stackVictim(VICTIM.layers, plainWeights(victim)),
      data,
      ATTACKED,
      attackers,
      4,
    );
    const results = await attack.run();
    expect([...results.keys()]).toEqual(['all', 'two', 'clipped']);
    for (const { name, alignment } of attackers) {
      const { output: vectors, floored } = truncateAlign(logits, TOY.classes, alignment);
      const expected = stackForward(NETWORK.layers, networkValues, vectors, ATTACKED.length)[2];
      const { images, underflow } = results.get(name)!;
      expect(images.length).toBe(ATTACKED.length);
      expectAllclose(
        Float32Array.from(images.flatMap((image) => [...image])),
        expected,
        { absolute: 1e-4, relative: 0 },
        name,
      );
      expect(underflow).toBe(Array.from(floored).filter((count) => count > 0).length / ATTACKED.length);
    }
    expect(results.get('two')!.images[0]).not.toEqual(results.get('all')!.images[0]);
    attack.destroy();
  });

  it('an inversion of a defended victim differs between draws and is the same for the same draw', async () => {
    const { data, victim, network } = await scene();
    const memory = await ApproximateMemory.store(arena!, victim);
    const uniform = { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.05 }] };
    await memory.configure(parseMemoryConfig({ layers: { fc1: uniform } }, layerNames(VICTIM)));
    const defended = stackVictim(VICTIM.layers, memory.weightsOf, memory);
    const attackers = [attacker('all', plainWeights(network))];
    const attack = await InversionAttack.build(device.gpu, defended, data, ATTACKED, attackers, 4);
    const draw = async (number: number) => {
      await memory.load(number);
      return (await attack.run()).get('all')!.images;
    };
    const [first, second, again] = [await draw(1), await draw(2), await draw(1)];
    expect(again).toEqual(first);
    expect(second).not.toEqual(first);
    attack.destroy();
  });
});

it('the smallest log-confidence is that of a direct log-softmax', () => {
  const logits = Float32Array.of(0, 0, 0, 0, 1, 200, -300, 5);
  expect(smallestLogConfidence(logits.subarray(0, 4), 4)).toBeCloseTo(Math.log(0.25), 12);
  expect(smallestLogConfidence(logits, 4)).toBe(-500);
});

it('aligned vectors on the host equal those on the device', async () => {
  arena = new Arena(device.gpu);
  const logits = Float32Array.from({ length: 35 }, (_, i) => ((i * 7) % 11) - 30 * Number(i % 9 === 0));
  const alignment = { truncation: 3, floor: 'direct' } as const;
  const { vectors, values } = await alignLogits(arena, logits, 5, alignment);
  const reference = truncateAlign(logits, 5, alignment);
  const rows = Float32Array.from({ length: 35 }, (_, i) => values[Math.floor(i / 5) * vectors.stride + (i % 5)]);
  expectAllclose(rows, reference.output, { absolute: 1e-5, relative: 1e-6 }, 'vectors');
});
