/** Checks of shaders/conv/conv2d_direct_* and conv2d_depthwise_*. */

import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../../kernels/conv.ts';
import {
  type ConvShape,
  type ConvWeights,
  convOutputSize,
  convWeightColumns,
  groupChannels,
  tapColumns,
  tapsOf,
} from '../../kernels/conv_shape.ts';
import { conv2d, conv2dInputGradient, conv2dWeightGradient } from '../../reference/conv.ts';
import { sumTolerance } from '../../reference/tolerances.ts';
import { FIRST_IMAGE, memoryImage, PASS } from './memory.ts';
import { type Check, numbers, pad, type Trial, unpad } from './trial.ts';

/** Classes of pixels with and without a tap, a strip that ends at the image and one that does not, channels with pads. */
const DEPTHWISE: ConvShape = {
  batch: 2,
  height: 5,
  width: 7,
  inChannels: 6,
  outChannels: 6,
  kernelSize: [3, 2],
  stride: [2, 1],
  padding: [1, 0, 2, 1],
  groups: 6,
};
/** Four adjacent channels in two groups. */
const GROUPED: ConvShape = {
  ...DEPTHWISE,
  outChannels: 4,
  kernelSize: [1, 3],
  stride: [1, 2],
  padding: [0, 2],
  dilation: [1, 2],
  groups: 2,
};
/** Rows of weights that end within a block of codes. */
const DENSE: ConvShape = {
  ...DEPTHWISE,
  inChannels: 5,
  outChannels: 7,
  kernelSize: [3, 1],
  stride: 2,
  padding: [2, 0],
  dilation: [2, 1],
  groups: 1,
};

const largePixels = ({ height, width }: ConvShape) => height * width;
function smallPixels(shape: ConvShape): number {
  const { height, width } = convOutputSize(shape);
  return height * width;
}

const inputs = (shape: ConvShape) => ({
  x: numbers(shape.batch * largePixels(shape) * shape.inChannels, 1),
  dy: numbers(shape.batch * smallPixels(shape) * shape.outChannels, 2),
});

/** Weights [oc, ky, kx, ic] as rows of a weight matrix. */
const padTaps = (shape: ConvShape, values: ArrayLike<number>) =>
  pad(values, shape.outChannels * tapsOf(shape), groupChannels(shape), tapColumns(shape), Float64Array);
const unpadTaps = (shape: ConvShape, values: ArrayLike<number>) =>
  unpad(values, shape.outChannels * tapsOf(shape), groupChannels(shape), tapColumns(shape));

type Direction = 'forward' | 'input_gradient';

/** Records a product with bias and ReLU, which a backward pass ignores. */
function recordProduct(
  trial: Trial,
  direction: Direction,
  args: { label: string; shape: ConvShape; weights: ConvWeights; pass: 'forward' | 'backward' },
) {
  const { shape } = args;
  const { batch, inChannels, outChannels } = shape;
  const { x, dy } = inputs(shape);
  const [large, small] = [batch * largePixels(shape), batch * smallPixels(shape)];
  if (direction === 'forward') {
    const y = trial.imagesOutput(small, outChannels);
    recordConv2d(trial.recorder, { ...args, activation: 'relu', x: trial.images(large, inChannels, x), y });
    return y;
  }
  const dx = trial.imagesOutput(large, inChannels);
  const gradients = trial.images(small, outChannels, dy);
  recordConv2dInputGradient(trial.recorder, { ...args, activation: 'relu', dy: gradients, dx });
  return dx;
}

/** The reference of {@link recordProduct} for some of its images. Without `bias` it is that of a backward pass. */
function referenceOf(
  direction: Direction,
  whole: ConvShape,
  [first, count]: readonly [number, number],
  weights: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
): Float64Array {
  const shape = { ...whole, batch: count };
  const activation = bias ? 'relu' : 'none';
  const { x, dy } = inputs(whole);
  const part = (values: Float32Array, image: number) => values.subarray(first * image, (first + count) * image);
  return direction === 'forward'
    ? conv2d(shape, part(x, largePixels(shape) * shape.inChannels), weights, bias, activation)
    : conv2dInputGradient(shape, part(dy, smallPixels(shape) * shape.outChannels), weights, bias, activation);
}

const biasesOf = (direction: Direction, { inChannels, outChannels }: ConvShape) =>
  direction === 'forward' ? outChannels : inChannels;

function toleranceOf(direction: Direction, shape: ConvShape) {
  const { outChannels, groups = 1 } = shape;
  return sumTolerance(tapsOf(shape) * (direction === 'forward' ? groupChannels(shape) : outChannels / groups));
}

function plainCheck(kernel: string, direction: Direction, shape: ConvShape): Check {
  return {
    kernel,
    record(trial) {
      const biases = biasesOf(direction, shape);
      const [w, bias] = [numbers(shape.outChannels * tapsOf(shape) * groupChannels(shape), 3), numbers(biases, 4)];
      const weight = trial.matrix(shape.outChannels, convWeightColumns(shape), padTaps(shape, w));
      const weights = { kind: 'plain', weight, bias: trial.matrix(1, biases, bias) } as const;
      const output = recordProduct(trial, direction, { label: kernel, shape, weights, pass: 'forward' });
      const expected = referenceOf(direction, shape, [0, shape.batch], w, bias);
      trial.expectMatrix(output, expected, toleranceOf(direction, shape));
    },
  };
}

function weightGradientCheck(kernel: string, shape: ConvShape, slices: number): Check {
  return {
    kernel,
    record(trial) {
      const { x, dy } = inputs(shape);
      const { batch, inChannels, outChannels } = shape;
      const [large, small] = [batch * largePixels(shape), batch * smallPixels(shape)];
      const dw = trial.output(outChannels, convWeightColumns(shape));
      recordConv2dWeightGradient(trial.recorder, trial.arena, {
        label: kernel,
        shape,
        x: trial.images(large, inChannels, x),
        dy: trial.images(small, outChannels, dy),
        dw,
        slices,
      });
      trial.expectMatrix(dw, padTaps(shape, conv2dWeightGradient(shape, x, dy)), sumTolerance(small));
    },
  };
}

/** A forward pass, or the backward pass that reads the weights once more, with weights in approximate memory. */
function approximateCheck(
  kernel: string,
  direction: Direction,
  shape: ConvShape,
  { perImage, pass }: { perImage: boolean; pass: 'forward' | 'backward' },
): Check {
  return {
    kernel,
    record(trial) {
      const biases = biasesOf(direction, shape);
      const { outChannels, batch } = shape;
      const columns = convWeightColumns(shape);
      const { codes, faultTable, tensors } = memoryImage(trial, perImage ? 'inference' : 'pass', [
        [outChannels, columns],
        [1, biases],
      ]);
      const [weight, bias] = tensors;
      const weights = { kind: 'fused', weight: weight.stored, bias: bias.stored, codes, faultTable, perImage } as const;
      const output = recordProduct(trial, direction, { label: kernel, shape, weights, pass });
      const read = PASS + (pass === 'forward' ? 0 : 1);
      const multiply = (images: readonly [first: number, count: number], image?: number) => {
        const fetched = unpadTaps(shape, unpad(weight.fetch(read, image), outChannels, columns, weight.stored.stride));
        const added = pass === 'forward' ? bias.fetch(read, image).subarray(0, biases) : undefined;
        return referenceOf(direction, shape, images, fetched, added);
      };
      const expected = perImage
        ? Array.from({ length: batch }, (_, n) => [...multiply([n, 1], FIRST_IMAGE + n)]).flat()
        : multiply([0, batch]);
      trial.expectMatrix(output, expected, toleranceOf(direction, shape));
    },
    prepare(program) {
      program.setStep({ passIndex: PASS });
      program.setStep({ firstImage: FIRST_IMAGE });
    },
  };
}

export const DIRECT_CONVOLUTIONS: readonly Check[] = [
  plainCheck('conv2d_depthwise_forward', 'forward', DEPTHWISE),
  plainCheck('conv2d_depthwise_input_gradient', 'input_gradient', DEPTHWISE),
  weightGradientCheck('conv2d_depthwise_weight_gradient', DEPTHWISE, 2),
  plainCheck('conv2d_direct_forward dense', 'forward', DENSE),
  plainCheck('conv2d_direct_forward grouped', 'forward', GROUPED),
  plainCheck('conv2d_direct_input_gradient dense', 'input_gradient', DENSE),
  plainCheck('conv2d_direct_input_gradient grouped', 'input_gradient', GROUPED),
  weightGradientCheck('conv2d_direct_weight_gradient dense', DENSE, 1),
  weightGradientCheck('conv2d_direct_weight_gradient grouped', GROUPED, 2),
  approximateCheck('conv2d_depthwise_forward per image', 'forward', DEPTHWISE, { perImage: true, pass: 'forward' }),
  approximateCheck('conv2d_depthwise_input_gradient approximate', 'input_gradient', DEPTHWISE, {
    perImage: false,
    pass: 'backward',
  }),
  approximateCheck('conv2d_direct_forward approximate', 'forward', DENSE, { perImage: false, pass: 'forward' }),
  approximateCheck('conv2d_direct_forward per image', 'forward', GROUPED, { perImage: true, pass: 'backward' }),
  approximateCheck('conv2d_direct_input_gradient approximate', 'input_gradient', GROUPED, {
    perImage: false,
    pass: 'backward',
  }),
  approximateCheck('conv2d_direct_input_gradient per image', 'input_gradient', DENSE, {
    perImage: true,
    pass: 'forward',
  }),
];
