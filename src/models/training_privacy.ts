import { epsilonOf, epsilonOncePerEpoch } from '../metrics/privacy.ts';
import type { ModelSpec } from './model_spec.ts';
import { epochsFor, stepsPerEpoch, type TrainingConfig } from './training_config.ts';

/** The privacy of a network that was trained by DP-SGD, for one training photograph that is added or removed. */
export interface TrainingPrivacy {
  readonly epsilon: number;
  readonly epsilonOncePerEpoch: number;
  readonly delta: number;
  readonly clip: number;
  readonly noise: number;
  readonly rate: number;
  readonly steps: number;
}

/**
 * Accounts for a training (src/metrics/privacy.ts). All phases count, also that in which an autoencoder learns to reconstruct.
 * @param delta probability with which the bound may fail, above 0
 * @param images number of training images
 * @returns undefined for a training without DP-SGD
 */
export function trainingPrivacy(
  config: TrainingConfig,
  { decoder }: ModelSpec,
  delta: number,
  images: number,
): TrainingPrivacy | undefined {
  const { privacy, batchSize, reconstruction } = config;
  if (!privacy) return undefined;
  const epochs = epochsFor(config, images) + (decoder.length > 0 ? (reconstruction?.epochs ?? 0) : 0);
  const steps = epochs * stepsPerEpoch(config, images);
  const rate = Math.min(1, batchSize / images);
  const { clip, noise } = privacy;
  return {
    epsilon: epsilonOf(rate, noise, steps, delta),
    epsilonOncePerEpoch: epsilonOncePerEpoch(noise, epochs, delta),
    ...{ delta, clip, noise, rate, steps },
  };
}
