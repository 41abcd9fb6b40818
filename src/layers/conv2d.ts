import type { Activation } from '../kernels/activation.ts';
import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../kernels/conv.ts';
import { type ConvShape, checkGroups, convWeightColumns, groupChannels, tapsOf } from '../kernels/conv_shape.ts';
import { type Padding, type Pair, pairOf, windowedSize } from '../kernels/geometry.ts';
import { recordBiasGradient } from './dense.ts';
import type { ImageShape, LayerBase, LayerKind } from './layer.ts';
import { biasParameter } from './parameters.ts';

/** A convolution, y = act(x * W + b). */
export interface Conv2dSpec extends LayerBase {
  readonly kind: 'conv2d';
  readonly input: ImageShape;
  readonly channels: number;
  readonly kernelSize: Pair;
  readonly stride: Pair;
  readonly padding: Padding;
  /** Distance of neighbouring taps in pixels. Default 1. */
  readonly dilation?: Pair;
  /** Groups of channels that are convolved separately; as many as input channels is depthwise. Default 1. */
  readonly groups?: number;
  readonly activation: Activation;
  /** Whether it adds a bias. Default true. */
  readonly bias?: boolean;
}

/** @throws ShapeError when the groups do not divide the channels */
function shapeOf(spec: Conv2dSpec, batch: number): ConvShape {
  const { input, channels, kernelSize, stride, padding, dilation, groups } = spec;
  const { height, width, channels: inChannels } = input;
  const windows = { kernelSize, stride, padding, dilation, groups };
  const shape = { batch, height, width, inChannels, outChannels: channels, ...windows };
  checkGroups(spec.name, shape);
  return shape;
}

/**
 * A convolution as a layer, initialised as published: Kaiming normal weights over the fan out, which is that of a group, and
 * zero biases.
 */
export const CONV2D: LayerKind<Conv2dSpec> = {
  input: ({ input }) => input,
  output: (spec) => ({ ...windowedSize(spec.name, spec.input, spec), channels: spec.channels }),

  parameters: (spec) => {
    const { name, channels, kernelSize, groups = 1, bias } = spec;
    const shape = shapeOf(spec, 1);
    const [height, width] = pairOf(kernelSize);
    return [
      {
        name: `${name}.weight`,
        layer: name,
        rows: channels,
        columns: convWeightColumns(shape),
        shape: [channels, groupChannels(shape), height, width],
        taps: { height, width, channels: groupChannels(shape) },
        initialization: { kind: 'kaimingNormal', fanOut: (channels / groups) * tapsOf(shape) },
      },
      ...biasParameter(name, channels, bias),
    ];
  },

  backwardReads: (_, learns) => ({ x: learns, y: false }),

  forward({ recorder, spec, batch, weights, epilogue, x, y }) {
    const shape = shapeOf(spec, batch);
    const { activation, name } = spec;
    const product = { label: `${name} forward`, shape, x, weights: weights(), y, pass: 'forward' } as const;
    recordConv2d(recorder, { ...product, activation, ...epilogue?.() });
  },

  backward({ recorder, arena, spec, batch, weights, x }, { dy, dx, parameters }) {
    const { name } = spec;
    const shape = shapeOf(spec, batch);
    if (parameters) {
      const { weight: dw, bias } = parameters;
      recordConv2dWeightGradient(recorder, arena, { label: `${name} weight gradient`, shape, x, dy, dw });
      if (bias) recordBiasGradient(recorder, arena, name, dy, bias);
    }
    if (dx) {
      const label = `${name} input gradient`;
      recordConv2dInputGradient(recorder, { label, shape, dy, weights: weights(), dx, pass: 'backward' });
    }
  },
};
