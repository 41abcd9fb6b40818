/** The interface of every kind of layer: shapes, parameters, and the recording of its passes. */
import type { Arena, Matrix } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import type { ConvArguments } from '../kernels/conv.ts';
import type { Codes16, StoredTensor } from '../kernels/stored.ts';
import type { ParameterDeclaration } from './parameters.ts';

/** The shape of an image at one point of a network. A vector is one pixel of many channels. */
export interface ImageShape {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

export function vectorShape(channels: number): ImageShape {
  return { height: 1, width: 1, channels };
}

/** Values of one image. */
export function sizeOf({ height, width, channels }: ImageShape): number {
  return height * width * channels;
}

/** A buffer for a batch of images, NHWC: a row per pixel. Vectors get the wider rows that dense layers read. */
export function planImages(arena: Arena, label: string, batch: number, shape: ImageShape): Matrix {
  const { height, width, channels } = shape;
  return height * width === 1
    ? arena.matrix(label, batch, channels)
    : arena.image(label, batch, height, width, channels);
}

/** The source of a layer's weights when it runs: plain f32, or a fetch from approximate memory inside the kernel. */
export type LayerWeights = {
  /** Layers that one use of the weights reads from memory, as hardware would that keeps no copy: for the energy of reads. */
  readonly reads: readonly string[];
} & (
  | {
      readonly kind: 'plain';
      readonly weight: Matrix;
      readonly bias: Matrix;
      /** Dense layers only: `weight` holds codes of 16 bits, which products decode. */
      readonly codes16?: Codes16;
      /** Batch normalisation only. */
      readonly runningMean?: Matrix;
      readonly runningVariance?: Matrix;
    }
  | {
      readonly kind: 'fused';
      readonly weight: StoredTensor;
      readonly bias: StoredTensor;
      readonly codes: BufferView;
      readonly faultTable: BufferView;
      /** Granularity `inference`: every image reads weights of its own. */
      readonly perImage: boolean;
      /** Then, where they fail uniformly: the weights decoded without errors, which a dense layer corrects image by image. */
      readonly errorFree?: Matrix;
    }
);

/** How a stack runs: layers that behave otherwise in training (batch normalisation, dropout) ask. */
export interface Mode {
  readonly training: boolean;
  /** Keys what is drawn while training, together with the step's iteration. */
  readonly seed: number;
}

export const INFERENCE: Mode = { training: false, seed: 0 };

/** Buffers that a forward pass writes for the backward pass, in addition to inputs and outputs. */
export interface Saved {
  /** Batch normalisation: means, inverse deviations. */
  readonly statistics?: Matrix;
  /** Max pooling: places of the maxima. */
  readonly chosen?: BufferView;
}

/** A layer in a planned stack, for a batch. */
export interface LayerRun<Spec> {
  readonly recorder: Recorder;
  readonly arena: Arena;
  readonly spec: Spec;
  readonly batch: number;
  readonly mode: Mode;
  readonly x: Matrix;
  readonly y: Matrix;
  readonly saved: Saved;
  /** For a layer with parameters. */
  readonly weights: () => LayerWeights;
  /** The epilogue of a convolution in place of its own activation: the batch normalisation after it, with that layer's activation. */
  readonly epilogue?: () => Pick<ConvArguments, 'normalisation' | 'activation'>;
}

/** The buffers that a backward pass reads and writes. */
export interface LayerGradient {
  /** With respect to the output; before the layer's activation, unless the kind differentiates that itself. */
  readonly dy: Matrix;
  /** Absent where nobody wants it. */
  readonly dx?: Matrix;
  /** Absent for an attack. */
  readonly parameters?: { readonly weight: Matrix; readonly bias: Matrix };
}

/** One kind of layer. Recording throws ShapeError where shapes disagree. */
export interface LayerKind<Spec> {
  input(spec: Spec): ImageShape;
  output(spec: Spec): ImageShape;
  parameters(spec: Spec): readonly ParameterDeclaration[];
  /** True if the kernels of the backward pass go through the layer's activation on their way. */
  readonly differentiatesActivation?: true;
  /** Buffers that live from the forward to the backward pass. */
  save?(arena: Arena, spec: Spec, batch: number): Saved;
  /** The output as another view of the input's buffer, where it can be one. */
  view?(spec: Spec, x: Matrix, batch: number, mode: Mode): Matrix | undefined;
  forward(run: LayerRun<Spec>): void;
  backward(run: LayerRun<Spec>, gradient: LayerGradient): void;
}

export const NO_PARAMETERS: readonly ParameterDeclaration[] = [];
