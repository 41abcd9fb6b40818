/** The interface of every kind of layer: its shapes, its parameters, and the recording of its passes. */
import type { Arena, Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { ConvArguments } from '../kernels/conv_shape.ts';
import type { Codes16, StoredTensor } from '../kernels/stored.ts';
import type { ParameterDeclaration } from './parameters.ts';

/** The shape of an image at one point of a network. A vector is one pixel with many channels. */
export interface ImageShape {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

export function vectorShape(channels: number): ImageShape {
  return { height: 1, width: 1, channels };
}

/** Number of values of one image. */
export function sizeOf({ height, width, channels }: ImageShape): number {
  return height * width * channels;
}

/** Allocates a batch of images in NHWC order, one row per pixel. Vectors get the wider rows that dense layers read. */
export function planImages(arena: Arena, label: string, batch: number, shape: ImageShape): Matrix {
  const { height, width, channels } = shape;
  return height * width === 1
    ? arena.matrix(label, batch, channels)
    : arena.image(label, batch, height, width, channels);
}

/** The source of a layer's weights when it runs: plain f32, or a fetch from approximate memory inside the kernel. */
export type LayerWeights = {
  /** Layers read from memory by one use of the weights, on hardware that keeps no copy; for the energy of reads. */
  readonly reads: readonly string[];
} & (
  | {
      readonly kind: 'plain';
      readonly weight: Matrix;
      /** Absent in a layer without one. */
      readonly bias?: Matrix;
      /** Dense layers only: `weight` holds codes of 16 bits, which products decode. */
      readonly codes16?: Codes16;
      /** Batch normalisation only. */
      readonly runningMean?: Matrix;
      readonly runningVariance?: Matrix;
    }
  | {
      readonly kind: 'fused';
      readonly weight: StoredTensor;
      readonly bias?: StoredTensor;
      readonly codes: BufferView;
      readonly faultTable: BufferView;
      /** True at granularity `inference`: every image reads the weights separately. */
      readonly perImage: boolean;
      /** With `perImage` and uniform faults: the error-free weights, which a dense layer corrects image by image. */
      readonly errorFree?: Matrix;
    }
);

/** The mode of a stack: batch normalisation and dropout behave differently in training. */
export interface Mode {
  readonly training: boolean;
  /** Seed of the random numbers of training, together with the step's iteration. */
  readonly seed: number;
}

/** The mode in which a trained network is used. */
export const INFERENCE: Mode = { training: false, seed: 0 };

/** Buffers of a layer in addition to inputs and outputs: what the forward pass writes for the backward pass, and constants. */
export interface Saved {
  /** Batch normalisation: means and inverse deviations, 2 x channels. */
  readonly statistics?: Matrix;
  /** Max pooling: index of the maximum in each window. */
  readonly chosen?: BufferView;
  /** Normalisation: means and deviations, 2 x channels, for the values and for their gradients, whose means are zero. */
  readonly constants?: { readonly forward: Matrix; readonly backward: Matrix };
}

/** What every layer of a network has. */
export interface LayerBase {
  /** Unique in the network. */
  readonly name: string;
  /** Names of the layers whose outputs it reads, or `input`; by default the layer before it. */
  readonly from?: readonly string[];
}

/** One layer of a planned stack and its buffers for a batch. */
export interface LayerRun<Spec> {
  readonly recorder: Recorder;
  readonly arena: Arena;
  readonly spec: Spec;
  readonly batch: number;
  readonly mode: Mode;
  /** The first input, which is the only one of most kinds. */
  readonly x: Matrix;
  /** All inputs. */
  readonly xs: readonly Matrix[];
  readonly y: Matrix;
  readonly saved: Saved;
  /** Returns the weights of a layer with parameters; each call counts as one read of them. */
  readonly weights: () => LayerWeights;
  /** Replaces the activation of a convolution by the batch normalisation after it and that layer's activation. */
  readonly epilogue?: () => Pick<ConvArguments, 'normalisation' | 'activation'>;
}

/** The buffers that a backward pass reads and writes. */
export interface LayerGradient {
  /** With respect to the output: before the activation, or after it if the kind differentiates the activation itself. */
  readonly dy: Matrix;
  /** With respect to the first input; absent if not needed. */
  readonly dx?: Matrix;
  /** With respect to every input; absent ones are not needed. */
  readonly dxs: readonly (Matrix | undefined)[];
  /** With respect to the parameters; absent in an attack. */
  readonly parameters?: { readonly weight: Matrix; readonly bias?: Matrix };
}

/** One kind of layer. Recording throws ShapeError if shapes disagree. */
export interface LayerKind<Spec> {
  /** Shape of the first input, which is the only one of most kinds. */
  input(spec: Spec): ImageShape;
  /** Shapes of all inputs, for kinds that read several. */
  inputs?(spec: Spec): readonly ImageShape[];
  output(spec: Spec): ImageShape;
  parameters(spec: Spec): readonly ParameterDeclaration[];
  /**
   * Whether the backward pass reads the layer's inputs and its output, so that their buffers must keep them until then; by
   * default both. @param learns true if it computes the gradients of the parameters
   */
  backwardReads?(spec: Spec, learns: boolean): { readonly x: boolean; readonly y: boolean };
  /** True if the kernels of the backward pass also differentiate the layer's activation. */
  readonly differentiatesActivation?: true;
  /** Allocates the buffers that the forward pass writes for the backward pass, and writes constants. */
  save?(arena: Arena, spec: Spec, batch: number): Saved;
  /** Returns the output as a view of the input's buffer, or undefined if it needs its own buffer. */
  view?(spec: Spec, x: Matrix, batch: number, mode: Mode): Matrix | undefined;
  /** True if the gradient of an input is that of the output, so that they can share a buffer; default false. */
  sharesGradient?(spec: Spec): boolean;
  forward(run: LayerRun<Spec>): void;
  backward(run: LayerRun<Spec>, gradient: LayerGradient): void;
}

export const NO_PARAMETERS: readonly ParameterDeclaration[] = [];
