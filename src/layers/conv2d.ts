import type { Activation } from '../kernels/activation.ts';
import {
  type ConvShape,
  convOutputSize,
  convWeightColumns,
  recordConv2d,
  recordConv2dInputGradient,
  recordConv2dWeightGradient,
} from '../kernels/conv.ts';
import { recordBiasGradient } from './dense.ts';
import type { ImageShape, LayerBase, LayerKind } from './layer.ts';
import { biasParameter } from './parameters.ts';

/** A convolution with square kernels, y = act(x * W + b). */
export interface Conv2dSpec extends LayerBase {
  readonly kind: 'conv2d';
  readonly input: ImageShape;
  readonly channels: number;
  readonly kernelSize: number;
  readonly stride: number;
  readonly padding: number;
  readonly activation: Activation;
  /** Whether it adds a bias. Default true. */
  readonly bias?: boolean;
}

function shapeOf({ input, channels, kernelSize, stride, padding }: Conv2dSpec, batch: number): ConvShape {
  const { height, width, channels: inChannels } = input;
  return { batch, height, width, inChannels, outChannels: channels, kernelSize, stride, padding };
}

/** A convolution as a layer, initialised as published: Kaiming normal weights over the fan out, zero biases. */
export const CONV2D: LayerKind<Conv2dSpec> = {
  input: ({ input }) => input,
  output: (spec) => ({ ...convOutputSize(shapeOf(spec, 1)), channels: spec.channels }),

  parameters: (spec) => {
    const { name, input, channels, kernelSize, bias } = spec;
    return [
      {
        name: `${name}.weight`,
        layer: name,
        rows: channels,
        columns: convWeightColumns(shapeOf(spec, 1)),
        shape: [channels, input.channels, kernelSize, kernelSize],
        taps: { height: kernelSize, width: kernelSize, channels: input.channels },
        initialization: { kind: 'kaimingNormal', fanOut: channels * kernelSize ** 2 },
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
