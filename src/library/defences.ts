/** Defences other than memories: changes of the released confidences, and of the victim's training. */
import type { ReleaseConfig } from '../experiments/config.ts';
import type { Dependence } from '../models/dependence_penalty.ts';

export type { ReleaseDefence, TrainingDefence } from '../defences/defence.ts';
export { RELEASE_DEFENCES, TRAINING_DEFENCES } from '../defences/registry.ts';
export type { Dependence, ReleaseConfig };

/** The victim rounds the confidences that it releases: an element of `releases` of an experiment. @param decimals 0..6 */
export function rounding(decimals: number): ReleaseConfig {
  return { kind: 'rounding', decimals };
}

/** The victim releases only its largest confidences: an element of `releases` of an experiment. @param k at least 1 */
export function topK(k: number): ReleaseConfig {
  return { kind: 'top-k', k };
}

/**
 * The victim adds normal noise to the confidences that it releases: an element of `releases` of an experiment.
 * @param deviation of the noise, 1e-6..10
 */
export function outputNoise(deviation: number): ReleaseConfig {
  return { kind: 'output-noise', deviation };
}

/** The victim is trained with weights and biases clipped to -bound..bound: for `defences`. @param bound 1e-6..1e6 */
export function weightClipping(bound: number): { readonly weightClip: number } {
  return { weightClip: bound };
}

/**
 * The victim is trained so that its hidden values depend on labels, and little on images (BiDO; Peng et al., KDD 2022): for
 * `defences` of an experiment.
 * @param input factor of the dependence on images, 0..1e9
 * @param labels factor of the dependence on labels, which is subtracted from the loss, 0..1e9
 */
export function bido(input: number, labels: number): { readonly bido: Dependence } {
  return { bido: { input, labels } };
}

/**
 * The victim is trained with a bottleneck of information before its last layer (MID; Wang et al., AAAI 2021): for `defences`
 * of an experiment.
 * @param beta factor of the information in the loss, in nats, above 0, up to 1e6
 */
export function mid(beta: number): { readonly mid: number } {
  return { mid: beta };
}

/** The victim is trained with bit errors in its weights: for `defences` of an experiment. @param bitErrorRate 0..1 */
export function errorTraining(bitErrorRate: number): { readonly errors: { readonly bitErrorRate: number } } {
  return { errors: { bitErrorRate } };
}

/**
 * The victim is trained with smoothed labels: for `defences` of an experiment.
 * @param smoothing -1..1; below 0 it is meant to hinder model inversion
 */
export function labelSmoothing(smoothing: number): { readonly labelSmoothing: number } {
  return { labelSmoothing: smoothing };
}

/**
 * The victim is trained on images of which a rectangle is erased: for `defences` of an experiment.
 * @param probability that an image has one, 0..1
 */
export function randomErasing(probability: number): { readonly randomErasing: { readonly probability: number } } {
  return { randomErasing: { probability } };
}

/** The victim is trained by DP-SGD: for `defences` of an experiment. @param noise noise multiplier, 0.1..1000 */
export function dpSgd(noise: number): { readonly dpSgd: { readonly noise: number } } {
  return { dpSgd: { noise } };
}
