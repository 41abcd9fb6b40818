import { ShapeError } from '../errors.ts';
import type { Activation } from '../kernels/activation.ts';
import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../kernels/conv.ts';
import { type ConvShape, checkGroups, convWeightColumns, groupChannels, tapsOf } from '../kernels/conv_shape.ts';
import { edgesOf, type Padding, type Pair, pairOf } from '../kernels/geometry.ts';
import { recordBiasGradient } from './dense.ts';
import type { ImageShape, LayerBase, LayerKind } from './layer.ts';
import { biasParameter } from './parameters.ts';

/**
 * A transposed convolution, y = act(x *ᵀ W + b). Its forward pass is the input gradient of the convolution that maps its
 * output to its input, and its backward pass is that convolution.
 */
export interface ConvTranspose2dSpec extends LayerBase {
  readonly kind: 'conv_transpose2d';
  readonly input: ImageShape;
  readonly channels: number;
  readonly kernelSize: Pair;
  readonly stride: Pair;
  /** Pixels of the result that are cut off at the edges. */
  readonly padding: Padding;
  /** Pixels added to the result at bottom and right, fewer than the stride. Default 0. */
  readonly outputPadding?: Pair;
  /** Distance of neighbouring taps in pixels. Default 1. */
  readonly dilation?: Pair;
  /** Groups of channels that are convolved separately. Default 1. */
  readonly groups?: number;
  readonly activation: Activation;
  /** Whether it adds a bias. Default true. */
  readonly bias?: boolean;
}

/** @throws ShapeError when the result has no pixels, or the output padding is not below the stride */
function outputOf(spec: ConvTranspose2dSpec): ImageShape {
  const { name, input, channels, kernelSize, stride, padding, outputPadding = 0, dilation = 1 } = spec;
  const { top, left, bottom, right } = edgesOf(padding);
  const [kernels, strides, dilations, added] = [kernelSize, stride, dilation, outputPadding].map(pairOf);
  const size = (n: number, axis: 0 | 1) =>
    (n - 1) * strides[axis] + dilations[axis] * (kernels[axis] - 1) + 1 + added[axis];
  const [height, width] = [size(input.height, 0) - top - bottom, size(input.width, 1) - left - right];
  if (added.some((pixels, axis) => !Number.isInteger(pixels) || pixels < 0 || pixels >= strides[axis])) {
    throw new ShapeError(
      `${name}: outputPadding ${added.join(' x ')} is not below stride ${strides.join(' x ')}; give from 0 to stride - 1`,
    );
  }
  if (height < 1 || width < 1) {
    throw new ShapeError(
      `${name}: images of ${input.height} x ${input.width} become ${height} x ${width}; give less padding`,
    );
  }
  return { height, width, channels };
}

/** The shape of the convolution from the output back to the input. @throws ShapeError */
function shapeOf(spec: ConvTranspose2dSpec, batch: number): ConvShape {
  const { height, width, channels } = outputOf(spec);
  const { input, kernelSize, stride, padding, dilation, groups } = spec;
  const windows = { kernelSize, stride, padding, dilation, groups };
  const shape = { batch, height, width, inChannels: channels, outChannels: input.channels, ...windows };
  checkGroups(spec.name, shape);
  return shape;
}

/**
 * A transposed convolution as a layer, initialised by PyTorch's default: uniform, with the output channels of a group x
 * kernel area as the fan-in.
 */
export const CONV_TRANSPOSE2D: LayerKind<ConvTranspose2dSpec> = {
  input: ({ input }) => input,
  output: outputOf,

  parameters: (spec) => {
    const { name, input, channels, kernelSize, bias } = spec;
    const shape = shapeOf(spec, 1);
    const [height, width] = pairOf(kernelSize);
    const initialization = { kind: 'uniform', fanIn: groupChannels(shape) * tapsOf(shape) } as const;
    return [
      {
        name: `${name}.weight`,
        layer: name,
        rows: input.channels,
        columns: convWeightColumns(shape),
        shape: [input.channels, groupChannels(shape), height, width],
        taps: { height, width, channels: groupChannels(shape) },
        transposed: true,
        initialization,
      },
      ...biasParameter(name, channels, bias, initialization),
    ];
  },

  backwardReads: (_, learns) => ({ x: learns, y: false }),

  forward({ recorder, spec, batch, weights, epilogue, x, y }) {
    const { name, activation } = spec;
    recordConv2dInputGradient(recorder, {
      label: `${name} forward`,
      shape: shapeOf(spec, batch),
      dy: x,
      weights: weights(),
      dx: y,
      pass: 'forward',
      activation,
      ...epilogue?.(),
    });
  },

  backward({ recorder, arena, spec, batch, weights, x }, { dy, dx, parameters }) {
    const { name } = spec;
    const shape = shapeOf(spec, batch);
    if (parameters) {
      const { weight: dw, bias } = parameters;
      recordConv2dWeightGradient(recorder, arena, { label: `${name} weight gradient`, shape, x: dy, dy: x, dw });
      if (bias) recordBiasGradient(recorder, arena, name, dy, bias);
    }
    if (dx) {
      const label = `${name} input gradient`;
      recordConv2d(recorder, { label, shape, x: dy, weights: weights(), y: dx, pass: 'backward' });
    }
  },
};
