/**
 * Float64 reference of src/layers/graph.ts for chains of layers, forward and backward; every layer is computed by its
 * reference. Images are NHWC without padding. Parameters have PyTorch's order and shape, as in files.
 */

import { groupChannels, tapsOf as kernelTaps } from '../../src/kernels/conv_shape.ts';
import { inputShape, type LayerSpec, outputShape } from '../../src/layers/kinds.ts';
import type { FlatParameters } from '../../src/layers/parameters.ts';
import { poolShape } from '../../src/layers/pool_shape.ts';
import { activationBackward, activationForward } from '../../src/reference/activation.ts';
import { conv2d, conv2dInputGradient, conv2dWeightGradient } from '../../src/reference/conv.ts';
import { gemm } from '../../src/reference/gemm.ts';
import {
  batchNormBackward,
  batchNormForward,
  batchNormStatistics,
  inverseDeviation,
} from '../../src/reference/norm.ts';
import { maxPool2d, maxPool2dBackward } from '../../src/reference/pool.ts';
import { columnSum } from '../../src/reference/reduce.ts';

/** Values of every parameter by name. */
export type Parameters = ReadonlyMap<string, Float64Array>;

/** The parameters by name, from the words of a flat buffer. */
export function parametersOf(layout: FlatParameters['layout'], words: Uint32Array): Map<string, Float64Array> {
  return new Map(
    layout.slices.map((slice) => [slice.name, new Float64Array(new Float32Array(layout.unpack(slice, words).buffer))]),
  );
}

/** The values of a forward pass: the input, then the output of every layer. */
export type Activations = readonly Float64Array[];

/** [rows, channels, taps] <-> [rows, taps, channels]: PyTorch's order and the engine's. */
function transposeTaps(values: ArrayLike<number>, channels: number, taps: number): Float64Array {
  const result = new Float64Array(values.length);
  for (let row = 0, i = 0; i < values.length; row++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let tap = 0; tap < taps; tap++, i++) result[(row * taps + tap) * channels + channel] = values[i];
    }
  }
  return result;
}

/** The weights of a layer with its taps before its channels. */
function engineWeights(spec: LayerSpec, parameters: Parameters): Float64Array {
  const weight = parameters.get(`${spec.name}.weight`)!;
  const [channels, taps] = tapsOf(spec);
  return transposeTaps(weight, channels, taps);
}

function tapsOf(spec: LayerSpec): [channels: number, taps: number] {
  if (spec.kind === 'conv2d' || spec.kind === 'conv_transpose2d') {
    const shape = convShape(spec, 1);
    return [groupChannels(shape), kernelTaps(shape)];
  }
  if (spec.kind === 'dense' && spec.flattened) {
    const { height, width, channels } = spec.flattened;
    return [channels, height * width];
  }
  return [1, 1];
}

/** The shape of a convolution; for a transposed one, of the convolution whose input gradient it computes. */
function convShape(spec: Extract<LayerSpec, { kind: 'conv2d' | 'conv_transpose2d' }>, batch: number) {
  const { kernelSize, stride, padding, dilation, groups } = spec;
  const [large, small] =
    spec.kind === 'conv2d' ? [spec.input, outputShape(spec)] : [outputShape(spec), inputShape(spec)];
  const { height, width, channels: inChannels } = large;
  return {
    batch,
    height,
    width,
    inChannels,
    outChannels: small.channels,
    ...{ kernelSize, stride, padding, dilation, groups },
  };
}

function addBias(values: Float64Array, bias: Float64Array): Float64Array {
  return values.map((value, i) => value + bias[i % bias.length]);
}

function normalisation(spec: LayerSpec, parameters: Parameters, x: Float64Array, training: boolean) {
  const [gamma, mean, variance] = ['weight', 'running_mean', 'running_var'].map(
    (part) => parameters.get(`${spec.name}.${part}`)!,
  );
  if (!training) return { gamma, mean, inverseDeviation: inverseDeviation(variance) };
  return { gamma, ...batchNormStatistics(x, { mean, variance }) };
}

/**
 * Runs all layers forward.
 * @param x batch x inputs of the first layer
 * @param training true: batch normalisation uses the statistics of the batch. Dropout is the identity in either case.
 */
export function stackForward(
  specs: readonly LayerSpec[],
  parameters: Parameters,
  x: ArrayLike<number>,
  batch: number,
  training = false,
): Activations {
  const values: Float64Array[] = [new Float64Array(x)];
  for (const spec of specs) {
    const input = values[values.length - 1];
    const bias = () => parameters.get(`${spec.name}.bias`)!;
    switch (spec.kind) {
      case 'dense': {
        const shape = { transposition: 'nt', m: batch, n: spec.outputs, k: spec.inputs } as const;
        values.push(gemm(shape, input, engineWeights(spec, parameters), bias(), spec.activation));
        break;
      }
      case 'conv2d': {
        const y = conv2d(convShape(spec, batch), input, engineWeights(spec, parameters));
        values.push(activationForward(spec.activation, addBias(y, bias())));
        break;
      }
      case 'conv_transpose2d': {
        const y = conv2dInputGradient(convShape(spec, batch), input, engineWeights(spec, parameters));
        values.push(activationForward(spec.activation, addBias(y, bias())));
        break;
      }
      case 'batch_norm':
        values.push(
          activationForward(
            spec.activation,
            batchNormForward(input, normalisation(spec, parameters, input, training), bias()),
          ),
        );
        break;
      case 'max_pool': {
        const { output } = maxPool2d(poolShape(spec.name, batch, spec.input, spec), input, spec.input.channels);
        values.push(activationForward(spec.activation, output));
        break;
      }
      default:
        values.push(input);
    }
  }
  return values;
}

/**
 * Runs all layers backward.
 * @param values result of {@link stackForward}
 * @param gradOutput gradient of the last layer's output
 * @returns gradients of the parameters by name, and of the input
 */
export function stackBackward(
  specs: readonly LayerSpec[],
  parameters: Parameters,
  values: Activations,
  gradOutput: ArrayLike<number>,
  training = false,
): { parameters: Map<string, Float64Array>; input: Float64Array } {
  const gradients = new Map<string, Float64Array>();
  let gradient: Float64Array = new Float64Array(gradOutput);
  const { height, width, channels } = inputShape(specs[0]);
  const batch = values[0].length / (height * width * channels);
  for (let i = specs.length - 1; i >= 0; i--) {
    const spec = specs[i];
    const input = values[i];
    if ('activation' in spec) gradient = activationBackward(spec.activation, values[i + 1], gradient);
    const keep = (weight: Float64Array, columns: number) => {
      const [tapChannels, taps] = tapsOf(spec);
      gradients.set(`${spec.name}.weight`, transposeTaps(weight, taps, tapChannels));
      gradients.set(`${spec.name}.bias`, columnSum(gradient, columns));
    };
    switch (spec.kind) {
      case 'dense': {
        const { inputs, outputs } = spec;
        keep(gemm({ transposition: 'tn', m: outputs, n: inputs, k: batch }, gradient, input), outputs);
        const shape = { transposition: 'nn', m: batch, n: inputs, k: outputs } as const;
        gradient = gemm(shape, gradient, engineWeights(spec, parameters));
        break;
      }
      case 'conv2d': {
        const shape = convShape(spec, batch);
        keep(conv2dWeightGradient(shape, input, gradient), spec.channels);
        gradient = conv2dInputGradient(shape, gradient, engineWeights(spec, parameters));
        break;
      }
      case 'conv_transpose2d': {
        const shape = convShape(spec, batch);
        keep(conv2dWeightGradient(shape, gradient, input), spec.channels);
        gradient = conv2d(shape, gradient, engineWeights(spec, parameters));
        break;
      }
      case 'batch_norm': {
        const result = batchNormBackward(input, normalisation(spec, parameters, input, training), gradient);
        gradients.set(`${spec.name}.weight`, result.gamma);
        gradients.set(`${spec.name}.bias`, result.beta);
        gradient = training ? result.input : result.inputOfInference;
        break;
      }
      case 'max_pool': {
        const shape = poolShape(spec.name, batch, spec.input, spec);
        const { chosen } = maxPool2d(shape, input, spec.input.channels);
        gradient = maxPool2dBackward(shape, chosen, gradient, spec.input.channels);
        break;
      }
      default:
    }
  }
  return { parameters: gradients, input: gradient };
}
