/** The kinds of layers: one line each in the union and in the table. */
import { BATCH_NORM, type BatchNormSpec } from './batch_norm.ts';
import { CONV_TRANSPOSE2D, type ConvTranspose2dSpec } from './conv_transpose2d.ts';
import { CONV2D, type Conv2dSpec } from './conv2d.ts';
import { DENSE, type DenseSpec } from './dense.ts';
import { DROPOUT, type DropoutSpec } from './dropout.ts';
import type { ImageShape, LayerKind } from './layer.ts';
import { MAX_POOL, type MaxPoolSpec } from './max_pool.ts';
import type { ParameterDeclaration } from './parameters.ts';
import { RESHAPE, type ReshapeSpec } from './reshape.ts';

/** A layer of a network, discriminated by its kind. */
export type LayerSpec =
  | DenseSpec
  | Conv2dSpec
  | ConvTranspose2dSpec
  | BatchNormSpec
  | MaxPoolSpec
  | DropoutSpec
  | ReshapeSpec;

const KINDS = {
  dense: DENSE,
  conv2d: CONV2D,
  conv_transpose2d: CONV_TRANSPOSE2D,
  batch_norm: BATCH_NORM,
  max_pool: MAX_POOL,
  dropout: DROPOUT,
  reshape: RESHAPE,
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
