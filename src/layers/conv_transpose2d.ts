import type { Activation } from '../kernels/activation.ts';
import {
  type ConvShape,
  convWeightColumns,
  recordConv2d,
  recordConv2dInputGradient,
  recordConv2dWeightGradient,
} from '../kernels/conv.ts';
import { recordBiasGradient } from './dense.ts';
import type { ImageShape, LayerBase, LayerKind } from './layer.ts';
import { biasParameter } from './parameters.ts';

/**
 * A transposed convolution with square kernels, y = act(x *ᵀ W + b). Its forward pass is the input gradient of the
 * convolution that maps its output to its input, and its backward pass is that convolution.
 */
export interface ConvTranspose2dSpec extends LayerBase {
  readonly kind: 'conv_transpose2d';
  readonly input: ImageShape;
  readonly channels: number;
  readonly kernelSize: number;
  readonly stride: number;
  readonly padding: number;
  readonly activation: Activation;
  /** Whether it adds a bias. Default true. */
  readonly bias?: boolean;
}

function outputOf({ input, channels, kernelSize, stride, padding }: ConvTranspose2dSpec): ImageShape {
  const size = (n: number) => (n - 1) * stride - 2 * padding + kernelSize;
  return { height: size(input.height), width: size(input.width), channels };
}

/** The shape of the convolution from the output back to the input. */
function shapeOf(spec: ConvTranspose2dSpec, batch: number): ConvShape {
  const { height, width, channels } = outputOf(spec);
  const { input, kernelSize, stride, padding } = spec;
  return { batch, height, width, inChannels: channels, outChannels: input.channels, kernelSize, stride, padding };
}

/**
 * A transposed convolution as a layer, initialised by PyTorch's default: uniform, with output channels x kernel area as the
 * fan-in.
 */
export const CONV_TRANSPOSE2D: LayerKind<ConvTranspose2dSpec> = {
  input: ({ input }) => input,
  output: outputOf,

  parameters: (spec) => {
    const { name, input, channels, kernelSize, bias } = spec;
    const initialization = { kind: 'uniform', fanIn: channels * kernelSize ** 2 } as const;
    return [
      {
        name: `${name}.weight`,
        layer: name,
        rows: input.channels,
        columns: convWeightColumns(shapeOf(spec, 1)),
        shape: [input.channels, channels, kernelSize, kernelSize],
        taps: { height: kernelSize, width: kernelSize, channels },
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
