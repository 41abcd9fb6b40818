/** A network as data: its description, from which it can be rebuilt, and its layers. */
import type { Tensor } from '../formats/safetensors.ts';
import type { LayerSpec } from '../layers/kinds.ts';
import type { NetworkDescription } from './network_description.ts';

export const MODEL_KINDS = ['softmax', 'mlp', 'mlp-sigmoid', 'dae'] as const;
/**
 * `softmax`: softmax regression. `mlp`: the published network, one hidden layer without activation. `mlp-sigmoid`:
 * Fredrikson et al. (CCS'15), one hidden sigmoid layer. `dae`: from the same paper, a softmax on the code of a
 * denoising autoencoder of sigmoid layers.
 */
export type ModelKind = (typeof MODEL_KINDS)[number];

/** A model of dense layers. */
export interface DenseDescription {
  readonly kind: ModelKind;
  readonly inputs: number;
  readonly classes: number;
  readonly hidden: readonly number[];
}

/** The classifier of Yang et al. (src/models/yang.ts). */
export interface YangClassifierDescription {
  readonly kind: 'yang-classifier';
  /** Side of the square gray image in pixels, 32 or 64. */
  readonly size: number;
  /** Channels of the first convolution; the three after it have 2, 4 and 8 times as many. */
  readonly ndf: number;
  /** People (nz). The hidden dense layer has 5 times as many units. */
  readonly classes: number;
}

/** The inversion network of Yang et al. (src/models/yang.ts). */
export interface YangInversionDescription {
  readonly kind: 'yang-inversion';
  /** Side of the square image in pixels, 32 or 64. */
  readonly size: number;
  /** 3 for RGB images; absent for gray ones. */
  readonly channels?: 3;
  /** Channels before the last transposed convolution. */
  readonly ngf: number;
  /** Length of the prediction vector (nz). */
  readonly classes: number;
}

/** A network of dense layers that inverts prediction vectors, for images of any size, gray or RGB. */
export interface DenseInversionDescription {
  readonly kind: 'dense-inversion';
  /** Length of the prediction vector. */
  readonly classes: number;
  readonly hidden: readonly number[];
  /** Values of an image: its pixels, times its channels. */
  readonly pixels: number;
}

/** A convolutional autoencoder (src/models/autoencoder.ts), for images of any size. */
export interface AutoencoderDescription {
  readonly kind: 'autoencoder';
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** 3 for RGB images; absent for gray ones. */
  readonly channels?: 3;
  /** Channels after the first convolution; they double with every further one. */
  readonly filters: number;
  /** Length of the code. */
  readonly code: number;
}

/** The network of the face evaluator (src/models/face_network.ts), for images of 32 x 32 pixels. */
export interface FaceNetworkDescription {
  readonly kind: 'face-network';
  /** People. */
  readonly classes: number;
}

/** The description from which a model can be rebuilt; written into its checkpoints. */
export type ModelDescription =
  | AutoencoderDescription
  | DenseDescription
  | DenseInversionDescription
  | FaceNetworkDescription
  | NetworkDescription
  | YangClassifierDescription
  | YangInversionDescription;

/** A network: `layers` from input to output; a DAE also has a decoder, and an autoencoder is nothing but encoder and decoder. */
export interface ModelSpec {
  readonly description: ModelDescription;
  /** Values of an image (pixels times channels); for an inversion network the length of a prediction vector. */
  readonly inputs: number;
  /** People; for an inversion network or an autoencoder the values of an image. */
  readonly outputs: number;
  readonly layers: readonly LayerSpec[];
  /** How many of `layers` are the encoder of a DAE, or of an autoencoder: all of them; 0 for other models. */
  readonly encoderLayers: number;
  /** Layers of a DAE or an autoencoder from its code back to the image; empty for other models. */
  readonly decoder: readonly LayerSpec[];
  /** The publication's names of layers in files, where they differ from the engine's: `encoder.0` for `conv1`. */
  readonly keys: Readonly<Record<string, string>>;
}

/** A network with its parameters. */
export interface TrainedNetwork {
  readonly spec: ModelSpec;
  /** Float32 parameters in the model's padded layout; those of an imported network are packed again at every use. */
  readonly parameters: Uint32Array<ArrayBuffer>;
}

/** A network of a file. */
export interface ImportedNetwork extends TrainedNetwork {
  /** The parameters by their names in checkpoints; those of an ONNX file are read when they are used. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Hash of the images that a checkpoint of midas was trained on; absent for networks of other programs. */
  readonly dataset?: string;
  /** What a user should know about the conversion, in whole sentences; usually nothing. */
  readonly notes: readonly string[];
}
