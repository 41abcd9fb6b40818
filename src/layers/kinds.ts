/** The kinds of layers: one line each in the union and in the table. */
import { ACTIVATION, type ActivationSpec } from './activation.ts';
import { ADD, type AddSpec } from './add.ts';
import { AVG_POOL, type AvgPoolSpec } from './avg_pool.ts';
import { BATCH_NORM, type BatchNormSpec } from './batch_norm.ts';
import { BOTTLENECK, type BottleneckSpec } from './bottleneck.ts';
import { CONCAT, type ConcatSpec } from './concat.ts';
import { CONV_TRANSPOSE2D, type ConvTranspose2dSpec } from './conv_transpose2d.ts';
import { CONV2D, type Conv2dSpec } from './conv2d.ts';
import { DENSE, type DenseSpec } from './dense.ts';
import { DROPOUT, type DropoutSpec } from './dropout.ts';
import { GLOBAL_AVG_POOL, type GlobalAvgPoolSpec } from './global_avg_pool.ts';
import type { ImageShape, LayerKind } from './layer.ts';
import { MAX_POOL, type MaxPoolSpec } from './max_pool.ts';
import { NORMALISE, type NormaliseSpec } from './normalise.ts';
import { PAD, type PadSpec } from './pad.ts';
import type { ParameterDeclaration } from './parameters.ts';
import { RESHAPE, type ReshapeSpec } from './reshape.ts';
import { RESHAPE_CHANNELS_FIRST, type ReshapeChannelsFirstSpec } from './reshape_channels_first.ts';
import { LOG_SOFTMAX, type LogSoftmaxSpec, SOFTMAX, type SoftmaxSpec } from './softmax.ts';

/** A layer of a network, discriminated by its kind. */
export type LayerSpec =
  | DenseSpec
  | Conv2dSpec
  | ConvTranspose2dSpec
  | BatchNormSpec
  | MaxPoolSpec
  | DropoutSpec
  | ReshapeSpec
  | ActivationSpec
  | AddSpec
  | AvgPoolSpec
  | BottleneckSpec
  | ConcatSpec
  | GlobalAvgPoolSpec
  | NormaliseSpec
  | PadSpec
  | ReshapeChannelsFirstSpec
  | SoftmaxSpec
  | LogSoftmaxSpec;

const KINDS = {
  dense: DENSE,
  conv2d: CONV2D,
  conv_transpose2d: CONV_TRANSPOSE2D,
  batch_norm: BATCH_NORM,
  max_pool: MAX_POOL,
  dropout: DROPOUT,
  reshape: RESHAPE,
  activation: ACTIVATION,
  add: ADD,
  avg_pool: AVG_POOL,
  bottleneck: BOTTLENECK,
  concat: CONCAT,
  global_avg_pool: GLOBAL_AVG_POOL,
  normalise: NORMALISE,
  pad: PAD,
  reshape_channels_first: RESHAPE_CHANNELS_FIRST,
  softmax: SOFTMAX,
  log_softmax: LOG_SOFTMAX,
};

// Each kind of spec belongs to one kind of layer, which the type of the table cannot express.
export const kindOf = (spec: LayerSpec) => KINDS[spec.kind] as LayerKind<LayerSpec>;

/** The shape of the images that a layer takes, or of the first of several inputs. */
export function inputShape(spec: LayerSpec): ImageShape {
  return kindOf(spec).input(spec);
}

/** The shape of the images that a layer returns. */
export function outputShape(spec: LayerSpec): ImageShape {
  return kindOf(spec).output(spec);
}

/** The parameters of all layers, in the order of the layers. */
export function layerParameters(specs: readonly LayerSpec[]): ParameterDeclaration[] {
  return specs.flatMap((spec) => kindOf(spec).parameters(spec));
}

/** Names of the layers that multiply by their weights: dense layers and convolutions. */
export function productLayers(specs: readonly LayerSpec[]): string[] {
  return specs
    .filter(({ kind }) => kind === 'dense' || kind === 'conv2d' || kind === 'conv_transpose2d')
    .map(({ name }) => name);
}
