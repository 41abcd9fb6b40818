import { describe, expect, it } from 'vitest';
import { LimitError } from '../../src/errors.ts';
import { parseExperiment } from '../../src/experiments/config.ts';
import { DEFAULT_LIMITS, planExperiment, type StorageLimits, trainingTime } from '../../src/experiments/plan.ts';
import { changedTraining, type PresetSize, presetInput } from '../../src/experiments/presets.ts';
import { epochsFor, PUBLISHED_TRAINING } from '../../src/models/training_config.ts';

const presetTraining = { ...PUBLISHED_TRAINING, seed: 1 };
const GIB = 2 ** 30;
const AMPLE = { maxStorageBufferBindingSize: 4 * GIB, maxBufferSize: 4 * GIB };
const config = (size: PresetSize<'deep'>) => parseExperiment(presetInput('deep', { size }), size);

/** The plans of both networks of the preset `deep` in the given size. */
function planDeep(
  size: PresetSize<'deep'>,
  classes: number,
  limits: StorageLimits,
  images = { victim: 0, inversion: 0 },
) {
  const side = size === 'paper' ? 64 : 32;
  const data = { classes, width: side, height: side, trained: images.victim, publicFaces: images.inversion };
  const [victim, inversion] = planExperiment(config(size), data, limits);
  return { victim, inversion };
}

/** Operations per image of a convolution with `pixels` output (if transposed, input) pixels: two per multiply-add. */
const conv = (pixels: number, from: number, to: number, taps: number) => 2 * pixels * from * to * taps;

describe('the least number of steps of a training', () => {
  const training = { ...presetTraining, steps: 200, epochs: 40, batchSize: 64 };

  it('few photographs are trained on for more epochs, until their steps are as many', () => {
    // 84 photographs are two batches per epoch, 280 are five.
    expect(epochsFor(training, 84)).toBe(100);
    expect(epochsFor(training, 280)).toBe(40);
    expect(epochsFor({ ...training, dropLast: true }, 84)).toBe(200);
    expect(epochsFor({ ...training, steps: undefined }, 84)).toBe(40);
  });

  it('a number of epochs that is asked for replaces the least number of steps', () => {
    expect(changedTraining(training, { epochs: 3 })).toMatchObject({ epochs: 3, steps: undefined });
    expect(changedTraining(training, { batchSize: 8 })).toMatchObject({ epochs: 40, steps: 200 });
    expect(changedTraining(training, { epochs: 3, steps: 50 })).toMatchObject({ epochs: 3, steps: 50 });
  });
});

describe('the published networks', () => {
  const { victim, inversion } = planDeep('paper', 530, AMPLE);

  it('the published networks have the published numbers of parameters', () => {
    expect(victim.parameters).toBe(51_025_344);
    expect(inversion.parameters).toBe(19_701_377);
    expect(victim.largestTensor).toMatchObject({ label: 'fc1.weight' });
    // 2650 rows of 16384, padded to 2652.
    expect(victim.largestTensor.bytes).toBe(2652 * 16384 * 4);
    expect(victim.parameterBytes).toBeGreaterThanOrEqual(4 * victim.parameters);
    expect(victim.parameterBytes).toBeLessThan(1.01 * 4 * victim.parameters);
  });

  it('the plan counts gradients and three moments beside the parameters, and accounts for every byte', () => {
    for (const network of [victim, inversion]) {
      expect(network.gradientBytes).toBe(network.parameterBytes);
      expect(network.optimizerBytes).toBe(3 * network.parameterBytes);
      const { parameterBytes, gradientBytes, optimizerBytes, activationBytes, trainingBytes, buffers } = network;
      expect(parameterBytes + gradientBytes + optimizerBytes + activationBytes).toBe(trainingBytes);
      expect(buffers.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(trainingBytes);
    }
  });

  it('the plan lists the buffers that exceed the default limits', () => {
    const labels = victim.beyondDefaults.map(({ label }) => label);
    expect(labels).toContain('parameters');
    expect(labels).toContain('conv1 output');
    expect(inversion.beyondDefaults).toEqual([]);
    expect(planDeep('small', 30, DEFAULT_LIMITS).victim.beyondDefaults).toEqual([]);
  });

  it('the plan counts two operations per multiply-add of the products, and little more', () => {
    const victimProducts =
      conv(64 ** 2, 1, 128, 9) +
      conv(32 ** 2, 128, 256, 9) +
      conv(16 ** 2, 256, 512, 9) +
      conv(8 ** 2, 512, 1024, 9) +
      conv(1, 16384, 2650, 1) +
      conv(1, 2650, 530, 1);
    const inversionProducts =
      conv(1, 530, 1024, 16) +
      conv(4 ** 2, 1024, 512, 16) +
      conv(8 ** 2, 512, 256, 16) +
      conv(16 ** 2, 256, 128, 16) +
      conv(32 ** 2, 128, 1, 16);
    for (const [network, products] of [
      [victim, victimProducts],
      [inversion, inversionProducts],
    ] as const) {
      expect(network.inferenceFlops).toBeGreaterThanOrEqual(products);
      expect(network.inferenceFlops).toBeLessThan(1.01 * products);
      // Forward, weight gradients and input gradients, of which the first layer has none.
      expect(network.stepFlops).toBeLessThan(1.02 * 3 * 128 * products);
      expect(network.stepFlops).toBeGreaterThan(0.98 * 3 * 128 * products - 128 * conv(1, 530, 1024, 16));
    }
  });
});

describe('an adapter that is too small', () => {
  const refusal = (...args: Parameters<typeof planDeep>): string => {
    try {
      planDeep(...args);
    } catch (error) {
      expect(error).toBeInstanceOf(LimitError);
      return (error as LimitError).message;
    }
    throw new Error('the plan was accepted');
  };

  it('an adapter that is too small is refused with the numbers and the preset that fits', () => {
    expect(refusal('paper', 530, DEFAULT_LIMITS)).toBe(
      'victim: conv1 gradient (with 4 others) needs a storage buffer of 268439552 bytes, this adapter has maxStorageBufferBindingSize ' +
        '134217728 and maxBufferSize 268435456; the largest preset that fits is small',
    );
    const tight = { maxStorageBufferBindingSize: 2 ** 21, maxBufferSize: 2 ** 21 };
    expect(refusal('small', 30, tight)).toMatch(/; the largest preset that fits is tiny$/);
    const none = { maxStorageBufferBindingSize: 2 ** 12, maxBufferSize: 2 ** 12 };
    expect(refusal('tiny', 30, none)).toMatch(/; no preset fits, use another adapter$/);
  });

  it('an adapter that is too small for the data set is refused', () => {
    const images = { victim: 100, inversion: 100_000 };
    expect(refusal('tiny', 530, { ...AMPLE, maxBufferSize: 2e8 }, images)).toMatch(
      /^inversion: prediction vectors needs a storage buffer of 217600000 bytes/,
    );
  });
});

describe('the planned training time', () => {
  const plan = planDeep('tiny', 30, AMPLE, { victim: 420, inversion: 10 });

  it('the training time is that of the full batches of an epoch, and inverse to the speed', () => {
    const slow = trainingTime(plan.victim, 10);
    expect(slow.stepsPerEpoch).toBe(Math.floor(420 / plan.victim.batchSize));
    expect(slow.seconds).toBeCloseTo(slow.epochSeconds * plan.victim.epochs, 6);
    expect(trainingTime(plan.victim, 20).seconds).toBeCloseTo(slow.seconds / 2, 6);
    expect(slow.epochSeconds * 10e9).toBeGreaterThan(slow.stepsPerEpoch * plan.victim.stepFlops);
  });

  it('an epoch has one step when the images do not fill a batch', () => {
    expect(trainingTime(plan.inversion, 10).stepsPerEpoch).toBe(1);
  });
});
