/** How a network is trained, as data. */
import type { Erasing } from '../kernels/batch.ts';
import type { NumberFormat } from '../memory/config.ts';
import type { CodeTraining } from './autoencoder.ts';
import type { Dependence } from './dependence_penalty.ts';
import type { PrivateTraining } from './private_gradients.ts';

/** The optimiser: torch.optim.SGD with momentum and L2 weight decay, or torch.optim.Adam, optionally AMSGrad. */
export type OptimizerConfig =
  | { readonly kind: 'sgd'; readonly learningRate: number; readonly momentum: number; readonly weightDecay: number }
  | {
      readonly kind: 'adam';
      readonly learningRate: number;
      readonly betas: readonly [number, number];
      readonly epsilon: number;
      readonly amsgrad: boolean;
    };

/** How a model is trained: by the cross-entropy of its classes, or the mean squared error of its output images. */
export interface TrainingConfig {
  readonly epochs: number;
  /** Least number of steps: few images are trained on for more epochs, until their steps are as many. */
  readonly steps?: number;
  /** Images per step. */
  readonly batchSize: number;
  readonly optimizer: OptimizerConfig;
  /** Leave out the last images of a shuffled epoch if they do not fill a batch and there is a full one. */
  readonly dropLast?: boolean;
  /** Seed of the initial weights and of everything that is shuffled or sampled: integer in 0..2^53-1. */
  readonly seed: number;
  /** DAE only: epochs of reconstruction before the classifier, and the deviation of the noise on its input. */
  readonly reconstruction?: { readonly epochs: number; readonly deviation: number; readonly learningRate: number };
  /** Autoencoders only. */
  readonly code?: CodeTraining;
  /** Classifiers only: after every step, weights and biases of layers with products are clipped to +-weightClip. */
  readonly weightClip?: number;
  /** Classifiers only: error-aware training. */
  readonly errors?: TrainingErrors;
  /** Classifiers only: label smoothing, -1..1; see recordSoftmaxCrossEntropy. */
  readonly labelSmoothing?: number;
  /** Classifiers only: a rectangle of every training image is erased anew in every epoch, while the labels are learned. */
  readonly erasing?: Erasing;
  /**
   * Classifiers only: DP-SGD, in all phases. The examples of a step are computed one after the other, so that a step takes as many
   * forward and backward passes, and submits, as it has images.
   */
  readonly privacy?: PrivateTraining;
  /** Classifiers only: a penalty on what hidden values tell about the image. Reported losses do not include it. */
  readonly dependence?: Dependence;
  /** Classifiers only: a variational bottleneck before the last layer, with this factor of its information in the loss. */
  readonly bottleneck?: number;
}

/**
 * Error-aware training, after RandBET (Stutz et al., MLSys 2021): every step stores the weights in `format`, draws bit
 * errors anew and computes loss and gradients with what it fetched; the gradient moves the exact weights (straight
 * through). The format is fitted to the weights once per epoch. `rampEpochs`: the rate rises in equal steps over this number
 * of epochs and has its full value in the last of them, as in EDEN's curriculum; 0 for the full rate from the start.
 */
export interface TrainingErrors {
  readonly format: NumberFormat;
  /** 0..1 */
  readonly bitErrorRate: number;
  readonly rampEpochs: number;
  /** All layers with products by default; batch normalisation is always exact. */
  readonly layers?: readonly string[];
}

/** The published recipe of the shallow experiment. */
export const PUBLISHED_TRAINING: Omit<TrainingConfig, 'seed'> = {
  epochs: 100,
  batchSize: 128,
  optimizer: { kind: 'sgd', learningRate: 1e-3, momentum: 0.9, weightDecay: 5e-4 },
};

/** Steps of an epoch over a number of images. */
export function stepsPerEpoch({ batchSize, dropLast }: TrainingConfig, images: number): number {
  return Math.max(1, dropLast ? Math.floor(images / batchSize) : Math.ceil(images / batchSize));
}

/** Epochs of a training on a number of images: those of the configuration, or more to reach its least number of steps. */
export function epochsFor(config: TrainingConfig, images: number): number {
  return Math.max(config.epochs, Math.ceil((config.steps ?? 0) / stepsPerEpoch(config, images)));
}
