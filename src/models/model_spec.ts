/** A network as data: its description, from which it can be rebuilt, and its layers. */
import type { LayerSpec } from '../layers/stack.ts';

export const MODEL_KINDS = ['softmax', 'mlp', 'mlp-sigmoid', 'dae'] as const;
/**
 * `softmax`: softmax regression. `mlp`: the published network, one hidden layer without activation. `mlp-sigmoid`:
 * Fredrikson et al. (CCS'15), one hidden sigmoid layer. `dae`: theirs too, a denoising autoencoder of sigmoid layers
 * under a softmax.
 */
export type ModelKind = (typeof MODEL_KINDS)[number];

/** A model of dense layers. */
export interface DenseDescription {
  readonly kind: ModelKind;
  readonly inputs: number;
  readonly classes: number;
  readonly hidden: readonly number[];
}

export interface YangClassifierDescription {
  readonly kind: 'yang-classifier';
  /** Side of the square gray image in pixels, 32 or 64. */
  readonly size: number;
  /** Channels of the first convolution; the three after it have 2, 4 and 8 times as many. */
  readonly ndf: number;
  /** People (nz). The hidden dense layer has 5 times as many units. */
  readonly classes: number;
}

export interface YangInversionDescription {
  readonly kind: 'yang-inversion';
  readonly size: number;
  /** Channels of the last but one image. */
  readonly ngf: number;
  /** Length of the prediction vector (nz). */
  readonly classes: number;
}

/** A network of dense layers that inverts prediction vectors, for images of any size. */
export interface DenseInversionDescription {
  readonly kind: 'dense-inversion';
  /** Length of the prediction vector. */
  readonly classes: number;
  readonly hidden: readonly number[];
  /** Pixels of an image. */
  readonly pixels: number;
}

/** The description from which a model can be rebuilt; written into its checkpoints. */
export type ModelDescription =
  | DenseDescription
  | DenseInversionDescription
  | YangClassifierDescription
  | YangInversionDescription;

/** A network: `layers` from input to output; a DAE has a decoder beside them. */
export interface ModelSpec {
  readonly description: ModelDescription;
  /** Pixels of an image; of the inversion network the length of a prediction vector. */
  readonly inputs: number;
  /** People; of the inversion network pixels. */
  readonly outputs: number;
  readonly layers: readonly LayerSpec[];
  /** DAE only: how many of `layers` are the encoder, and the decoder from its code back to the image. */
  readonly encoderLayers: number;
  readonly decoder: readonly LayerSpec[];
  /** Names of layers in files, where they are the publication's and not the engine's: `encoder.0` for `conv1`. */
  readonly keys: Readonly<Record<string, string>>;
}
