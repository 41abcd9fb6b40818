import { afterEach, describe, expect, it } from 'vitest';
import { InversionAttack, Predictor } from '../../src/attacks/inversion.ts';
import { MeanPredictions, RepeatedInversion, type RepeatingAttacker } from '../../src/attacks/repeated_inversion.ts';
import { MemoryReads } from '../../src/experiments/reads.ts';
import { Arena } from '../../src/gpu/arena.ts';
import { ApproximateMemory } from '../../src/injection/approximate_memory.ts';
import { plainWeights, type WeightsOf } from '../../src/layers/weights.ts';
import { type Granularity, parseMemoryConfig } from '../../src/memory/config.ts';
import { uploadDataset } from '../../src/models/device_dataset.ts';
import { layerNames, modelSpec } from '../../src/models/specs.ts';
import type { Victim } from '../../src/models/victim.ts';
import { stackVictim } from '../../src/models/victims.ts';
import { logSoftmaxForward } from '../../src/reference/softmax.ts';
import { useGpu } from '../support/gpu.ts';
import { randomParameters, TOY, toyDataset } from '../support/toy.ts';

const device = useGpu();
const VICTIM = modelSpec('mlp', TOY.pixels, TOY.classes, [6]);
const NETWORK = modelSpec('mlp-sigmoid', TOY.classes, TOY.pixels, [7]);
const ATTACKED = Uint32Array.of(3, 7, 21, 0, 12, 29, 5);
const ALIGNMENT = { truncation: TOY.classes, floor: 'direct' } as const;

const searched = (victim: Victim) => ({
  victim,
  with: (weights: WeightsOf) => stackVictim(VICTIM.layers, weights),
});

let arena: Arena | undefined;
afterEach(() => arena?.destroy());

/** A victim whose weights fail with probability 1/200 per bit, and the same victim without errors. */
async function scene(granularity: Granularity) {
  arena = new Arena(device.gpu);
  const data = uploadDataset(arena, await toyDataset());
  const parameters = randomParameters(arena, VICTIM, 3, 0.4);
  const weights = plainWeights(randomParameters(arena, NETWORK, 40, 0.5));
  const memory = await ApproximateMemory.store(arena, parameters);
  const uniform = { kind: 'stored', faults: [{ kind: 'uniform', bitErrorRate: 0.005 }] };
  await memory.configure(parseMemoryConfig({ granularity, layers: { '*': uniform } }, layerNames(VICTIM)));
  await memory.load(0);
  const victim = stackVictim(VICTIM.layers, memory.weightsOf, memory);
  const attacker = (name: string, reads: number): RepeatingAttacker => ({
    ...{ name, reads, alignment: ALIGNMENT, layers: NETWORK.layers, weights },
  });
  return { data, victim, exact: stackVictim(VICTIM.layers, plainWeights(parameters)), memory, attacker };
}

const distance = (a: readonly Float32Array[], b: readonly Float32Array[]) =>
  Math.sqrt(a.reduce((sum, image, i) => sum + image.reduce((own, value, k) => own + (value - b[i][k]) ** 2, 0), 0));

/** Root mean square over draws of the distance from the reconstructions without errors, by attacker. */
async function distances(granularity: Granularity, counts: readonly number[]): Promise<number[]> {
  const { data, victim, exact, memory, attacker } = await scene(granularity);
  const attackers = counts.map((reads) => attacker(`${reads}`, reads));
  const undefended = await InversionAttack.build(device.gpu, exact, data, ATTACKED, attackers.slice(0, 1), 4);
  const [clean] = [...(await undefended.run()).values()];
  const attack = await RepeatedInversion.build(device.gpu, victim, data, ATTACKED, attackers, 4);
  const reads = new MemoryReads(device.gpu, memory, searched(victim));
  const sums = counts.map(() => 0);
  const draws = [0, 1, 2, 3, 4, 5];
  for (const draw of draws) {
    await memory.load(draw);
    const found = await attack.run((read) => reads.select([draw], read));
    for (const [i, { name }] of attackers.entries()) sums[i] += distance(found.get(name)!.images, clean.images) ** 2;
  }
  undefended.destroy();
  attack.destroy();
  return sums.map((sum) => Math.sqrt(sum / draws.length));
}

describe('an attacker who averages answers', () => {
  it.each(['load', 'pass', 'inference'] as const)(
    'averaging removes errors that are drawn per %s',
    async (granularity) => {
      const [one, four, many] = await distances(granularity, [1, 4, 16]);
      expect(one).toBeGreaterThan(1e-4);
      expect(four).toBeLessThan(0.75 * one);
      expect(many).toBeLessThan(0.5 * one);
    },
  );

  it('averaging removes no error of a chip, whose faults are the same in every read', async () => {
    const [one, many] = await distances('chip', [1, 16]);
    expect(one).toBeGreaterThan(1e-4);
    expect(many).toBeCloseTo(one, 6);
  });

  it('an attacker with one answer gets what an attacker gets who does not average', async () => {
    const { data, victim, attacker } = await scene('load');
    const attackers = [attacker('one', 1)];
    const plain = await InversionAttack.build(device.gpu, victim, data, ATTACKED, attackers, 4);
    const repeated = await RepeatedInversion.build(device.gpu, victim, data, ATTACKED, attackers, 4);
    const [expected, actual] = [(await plain.run()).get('one')!, (await repeated.run(async () => {})).get('one')!];
    expect(distance(actual.images, expected.images)).toBeLessThan(1e-5);
    expect(actual.failed).toEqual(expected.failed);
    plain.destroy();
    repeated.destroy();
  });

  it('reads of a load leave the measured load as it was', async () => {
    const { data, victim, memory } = await scene('load');
    const predictor = await Predictor.build(device.gpu, victim, data, ATTACKED, 4);
    const reads = new MemoryReads(device.gpu, memory, searched(victim));
    const measured = await predictor.run();
    await reads.select([0], 1);
    const second = await predictor.run();
    expect(second).not.toEqual(measured);
    await reads.select([0], 2);
    expect(await predictor.run()).not.toEqual(second);
    await reads.restore([0]);
    expect(await predictor.run()).toEqual(measured);
    // Another draw is reloaded with other faults.
    await reads.select([1], 1);
    expect(await predictor.run()).not.toEqual(second);
    predictor.destroy();
  });
});

describe('the mean of answers', () => {
  const logits = Float32Array.of(1, 0, -2, 5, 5, 4);
  const other = Float32Array.of(0, 3, 1, -1, 2, 2);

  it('the mean is that of log-confidences', () => {
    const mean = new MeanPredictions(2, 3, ALIGNMENT);
    mean.add(logits);
    mean.add(other);
    const [a, b] = [logSoftmaxForward(logits, 3), logSoftmaxForward(other, 3)];
    for (const [i, value] of mean.mean.entries()) expect(value).toBeCloseTo((a[i] + b[i]) / 2, 6);
  });

  it('the mean leaves out answers that are not numbers, and is none if there are only such', () => {
    const mean = new MeanPredictions(2, 3, ALIGNMENT);
    mean.add(Float32Array.of(Number.NaN, 1, 2, 1, 2, Number.POSITIVE_INFINITY));
    expect([...mean.mean].every(Number.isNaN)).toBe(true);
    mean.add(logits);
    const expected = logSoftmaxForward(logits, 3);
    for (const [i, value] of mean.mean.entries()) expect(value).toBeCloseTo(expected[i], 6);
  });

  it('the mean is that of floored and clipped values', () => {
    const lost = Float32Array.of(0, -200, 0, 0, 0, 0);
    const of = (alignment: object) => {
      const mean = new MeanPredictions(2, 3, { ...ALIGNMENT, ...alignment });
      mean.add(lost);
      mean.add(Float32Array.of(0, 0, 0, 0, 0, 0));
      return mean.mean[1];
    };
    expect(of({})).toBeCloseTo(-(200 + Math.log(2) + Math.log(3)) / 2, 4);
    expect(of({ floor: 'faithful' })).toBeCloseTo(-(1000 + Math.log(3)) / 2, 4);
    expect(of({ clip: -3 })).toBeCloseTo(-(3 + Math.log(3)) / 2, 4);
  });
});
