import { type Arena, firstRows, type Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { type Activation, recordActivationBackward } from '../kernels/activation.ts';
import { ACTIVATION, type ActivationSpec } from './activation.ts';
import { ADD, type AddSpec } from './add.ts';
import { AVG_POOL, type AvgPoolSpec } from './avg_pool.ts';
import { BATCH_NORM, type BatchNormSpec, batchNormEpilogue } from './batch_norm.ts';
import { CONCAT, type ConcatSpec } from './concat.ts';
import { CONV_TRANSPOSE2D, type ConvTranspose2dSpec } from './conv_transpose2d.ts';
import { CONV2D, type Conv2dSpec } from './conv2d.ts';
import { DENSE, type DenseSpec } from './dense.ts';
import { DROPOUT, type DropoutSpec } from './dropout.ts';
import { GLOBAL_AVG_POOL, type GlobalAvgPoolSpec } from './global_avg_pool.ts';
import {
  type ImageShape,
  INFERENCE,
  type LayerKind,
  type LayerWeights,
  type Mode,
  planImages,
  type Saved,
} from './layer.ts';
import { MAX_POOL, type MaxPoolSpec } from './max_pool.ts';
import { NORMALISE, type NormaliseSpec } from './normalise.ts';
import { PAD, type PadSpec } from './pad.ts';
import type { FlatParameters, ParameterDeclaration } from './parameters.ts';
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
  | AvgPoolSpec
  | GlobalAvgPoolSpec
  | AddSpec
  | ConcatSpec
  | PadSpec
  | NormaliseSpec
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
  avg_pool: AVG_POOL,
  global_avg_pool: GLOBAL_AVG_POOL,
  add: ADD,
  concat: CONCAT,
  pad: PAD,
  normalise: NORMALISE,
  reshape_channels_first: RESHAPE_CHANNELS_FIRST,
  softmax: SOFTMAX,
  log_softmax: LOG_SOFTMAX,
};

// Each kind of spec belongs to one kind of layer, which the type of the table cannot express.
const kindOf = (spec: LayerSpec) => KINDS[spec.kind] as LayerKind<LayerSpec>;

/** The shape of the images that a layer takes. */
export function inputShape(spec: LayerSpec): ImageShape {
  return kindOf(spec).input(spec);
}

/** The shape of the images that a layer returns. */
export function outputShape(spec: LayerSpec): ImageShape {
  return kindOf(spec).output(spec);
}

/** The parameters of all layers, in the order of the layers. */
export function stackParameters(specs: readonly LayerSpec[]): ParameterDeclaration[] {
  return specs.flatMap((spec) => kindOf(spec).parameters(spec));
}

/** Names of the layers that multiply by their weights: dense layers and convolutions. */
export function productLayers(specs: readonly LayerSpec[]): string[] {
  return specs
    .filter(({ kind }) => kind === 'dense' || kind === 'conv2d' || kind === 'conv_transpose2d')
    .map(({ name }) => name);
}

/** Returns the weights of a layer for one use and counts one read of them, or one per image if images read separately. */
function readWeights(recorder: Recorder, weights: WeightsOf, layer: string, images: number): LayerWeights {
  const read = weights(layer);
  const times = read.kind === 'fused' && read.perImage ? images : 1;
  for (const each of read.reads) recorder.countRead(each, times);
  return read;
}

/** Returns the weights of a layer: from a plain flat buffer, or as approximate memory provides them. */
export type WeightsOf = (layer: string) => LayerWeights;

/** Reads every layer from one flat buffer without errors. */
export function plainWeights(parameters: FlatParameters): WeightsOf {
  return (layer) => {
    const optional = (part: string) =>
      parameters.layout.has(`${layer}.${part}`) ? parameters.matrix(`${layer}.${part}`) : undefined;
    const weight = parameters.matrix(`${layer}.weight`);
    return {
      kind: 'plain',
      reads: [layer],
      weight,
      bias: optional('bias'),
      runningMean: optional('running_mean'),
      runningVariance: optional('running_var'),
    };
  };
}

/**
 * Planned activations of a stack for a batch: `values[0]` is the input, `values[i]` the output of layer i - 1. A convolution
 * that shares its output with the batch normalisation after it applies the normalisation as its epilogue.
 */
export interface StackActivations {
  /** Number of images. */
  readonly batch: number;
  readonly mode: Mode;
  readonly values: readonly Matrix[];
  readonly saved: readonly Saved[];
}

/**
 * Planned gradients. `values[i]` is the gradient with respect to value i of the stack. `preactivations[i]` is the gradient
 * from which layer i propagates back: with respect to its output before the activation, or `values[i + 1]` if the layer has
 * no activation or differentiates it itself.
 */
export interface StackGradients {
  readonly values: readonly Matrix[];
  readonly preactivations: readonly Matrix[];
}

/** The activation that a backward pass must differentiate before the layer's own backward pass. */
function separateActivation(spec: LayerSpec): Activation {
  return 'activation' in spec && !kindOf(spec).differentiatesActivation ? spec.activation : 'none';
}

/** True if the layers are a convolution and a batch normalisation by running statistics that can be its epilogue. */
function isNormalised(layer: LayerSpec | undefined, next: LayerSpec, mode: Mode): boolean {
  if (mode.training || next.kind !== 'batch_norm') return false;
  return (layer?.kind === 'conv2d' || layer?.kind === 'conv_transpose2d') && layer.activation === 'none';
}

/**
 * Allocates the output of every layer.
 * @param x a batch of inputs, one per row; images are flattened
 * @param output buffer of the last layer's result; default: a new one
 * @param keeps returns true if something other than the next layer reads the output of a layer; default: always false
 */
export function planStack(
  arena: Arena,
  specs: readonly LayerSpec[],
  x: Matrix,
  mode: Mode = INFERENCE,
  output?: Matrix,
  keeps: (layer: string) => boolean = () => false,
): StackActivations {
  const batch = x.rows;
  const values = [x];
  for (const [i, spec] of specs.entries()) {
    const given = i === specs.length - 1 ? output : undefined;
    const before = specs[i - 1];
    const done = isNormalised(before, spec, mode) && !keeps(before.name) ? values[i] : undefined;
    const place = given ?? done ?? kindOf(spec).view?.(spec, values[i], batch, mode);
    values.push(place ?? planImages(arena, `${spec.name} output`, batch, outputShape(spec)));
  }
  return { batch, mode, values, saved: specs.map((spec) => kindOf(spec).save?.(arena, spec, batch) ?? {}) };
}

/** The parts of the buffers that hold the first `images` images of a planned batch. */
export function firstImages({ batch, mode, values, saved }: StackActivations, images: number): StackActivations {
  return { batch: images, mode, values: values.map((value) => firstRows(value, (value.rows / batch) * images)), saved };
}

/** The parts of the gradients that hold the first `images` images. @param batch number of images they were planned for */
export function firstGradients(
  { values, preactivations }: StackGradients,
  batch: number,
  images: number,
): StackGradients {
  const first = (matrix: Matrix) => firstRows(matrix, (matrix.rows / batch) * images);
  return { values: values.map(first), preactivations: preactivations.map(first) };
}

/** Index of the first layer that a backward pass must reach. @param input true if the gradient of the input is wanted */
function lowest(specs: readonly LayerSpec[], input: boolean): number {
  return input ? 0 : specs.findIndex((spec) => kindOf(spec).parameters(spec).length > 0);
}

/**
 * Allocates gradients for a backward pass. The loss must write the gradient of the last output into `values[specs.length]`.
 * @param input true if the gradient with respect to the input is wanted; otherwise the gradients needed only for it are
 * placeholders
 */
export function planGradients(
  arena: Arena,
  specs: readonly LayerSpec[],
  { values, batch, mode }: StackActivations,
  input: boolean,
): StackGradients {
  const shape = (i: number) => (i === 0 ? inputShape(specs[0]) : outputShape(specs[i - 1]));
  const allocate = (i: number, label: string) => planImages(arena, label, batch, shape(i));
  const first = lowest(specs, input);
  const gradients: Matrix[] = [];
  for (const [i, value] of values.entries()) {
    const name = specs[i - 1]?.name ?? 'input';
    const placeholder = i < first || (i === first && !input);
    const spec = specs[i - 1];
    const view =
      i - 1 > first || (i - 1 === first && input)
        ? kindOf(spec).view?.(spec, gradients[i - 1], batch, mode)
        : undefined;
    gradients.push(placeholder ? value : (view ?? allocate(i, `${name} gradient`)));
  }
  const preactivations = specs.map((spec, i) =>
    separateActivation(spec) === 'none' ? gradients[i + 1] : allocate(i + 1, `${spec.name} preactivation gradient`),
  );
  return { values: gradients, preactivations };
}

/**
 * Records the forward pass of a stack.
 * @param onLayerOutput called after the kernels of a layer are recorded, to record kernels that change its output
 * @throws ShapeError
 */
export function recordStackForward(
  recorder: Recorder,
  arena: Arena,
  specs: readonly LayerSpec[],
  weights: WeightsOf,
  { batch, mode, values, saved }: StackActivations,
  onLayerOutput?: (layer: string, output: Matrix) => void,
): void {
  for (const [i, spec] of specs.entries()) {
    const [x, y] = [values[i], values[i + 1]];
    const read = (layer: string) => readWeights(recorder, weights, layer, batch);
    const next = specs[i + 1];
    const epilogue =
      next?.kind === 'batch_norm' && y.buffer === values[i + 2].buffer
        ? () => batchNormEpilogue(next, read(next.name))
        : undefined;
    const run = { recorder, arena, spec, batch, mode, x, xs: [x], y, saved: saved[i] };
    kindOf(spec).forward({ ...run, weights: () => read(spec.name), epilogue });
    onLayerOutput?.(spec.name, y);
  }
}

/**
 * Records the backward pass from the gradient of the last output.
 * @param parameterGradients buffer of the gradients of weights and biases; undefined in an attack
 * @param input true to compute the gradient with respect to the input
 * @throws ShapeError
 */
export function recordStackBackward(
  recorder: Recorder,
  arena: Arena,
  specs: readonly LayerSpec[],
  weights: WeightsOf,
  { batch, mode, values, saved }: StackActivations,
  gradients: StackGradients,
  parameterGradients: FlatParameters | undefined,
  input: boolean,
): void {
  const first = lowest(specs, input);
  for (let i = specs.length - 1; i >= first; i--) {
    const spec = specs[i];
    const kind = kindOf(spec);
    const [x, y] = [values[i], values[i + 1]];
    const dy = gradients.preactivations[i];
    const activation = separateActivation(spec);
    if (activation !== 'none') {
      recordActivationBackward(recorder, {
        activation,
        output: y,
        gradOutput: gradients.values[i + 1],
        gradInput: dy,
      });
    }
    const learns = kind.parameters(spec).length > 0;
    const run = { recorder, arena, spec, batch, mode, x, xs: [x], y, saved: saved[i] };
    const dx = i > first || input ? gradients.values[i] : undefined;
    kind.backward(
      { ...run, weights: () => readWeights(recorder, weights, spec.name, batch) },
      {
        dy,
        dx,
        dxs: [dx],
        parameters:
          parameterGradients && learns
            ? {
                weight: parameterGradients.matrix(`${spec.name}.weight`),
                bias: parameterGradients.matrix(`${spec.name}.bias`),
              }
            : undefined,
      },
    );
  }
}
