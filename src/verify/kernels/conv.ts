/**
 * Checks of shaders/conv. Each shader runs on small tiles only: the large ones take seconds to compile on a software
 * adapter, and differ only in the tile, which the products of ./gemm.ts check.
 */

import { roundUp } from '../../gpu/arena.ts';
import { recordConv2d, recordConv2dInputGradient, recordConv2dWeightGradient } from '../../kernels/conv.ts';
import {
  type ConvArguments,
  type ConvShape,
  type ConvWeightGradient,
  convOutputSize,
  convWeightColumns,
  tapsOf,
} from '../../kernels/conv_shape.ts';
import { isQuad } from '../../kernels/tiles.ts';
import { activationForward } from '../../reference/activation.ts';
import { conv2d, conv2dInputGradient, conv2dWeightGradient } from '../../reference/conv.ts';
import { batchNormForward, inverseDeviation } from '../../reference/norm.ts';
import { batchNormTolerance, sumTolerance, TOLERANCES } from '../../reference/tolerances.ts';
import { FIRST_IMAGE, memoryImage, PASS } from './memory.ts';
import { type Check, numbers, pad, pixels, plus, type Trial, unpad } from './trial.ts';

/** Windows that hang over edges on some sides, channels with pads, blocks of codes in two taps, pixels of two tiles. */
const SHAPE: ConvShape = {
  batch: 2,
  height: 5,
  width: 6,
  inChannels: 9,
  outChannels: 7,
  kernelSize: 3,
  stride: 2,
  padding: 1,
};
const { batch: BATCH, inChannels: IN, outChannels: OUT } = SHAPE;
const TAPS = tapsOf(SHAPE);
const OUTPUT = convOutputSize(SHAPE);
/** Pixels of an image on the large side, the input of the forward pass, and on the small side. */
const LARGE = SHAPE.height * SHAPE.width;
const SMALL = OUTPUT.height * OUTPUT.width;
const X = numbers(BATCH * LARGE * IN, 1);
const DY = numbers(BATCH * SMALL * OUT, 2);

/** Weights [oc, ky, kx, ic] as rows of a weight matrix, in which every tap has pad channels. */
const padTaps = (values: ArrayLike<number>) => pad(values, OUT * TAPS, IN, roundUp(IN, 4), Float64Array);
/** The inverse of {@link padTaps}. */
const unpadTaps = (values: ArrayLike<number>) => unpad(values, OUT * TAPS, IN, roundUp(IN, 4));

type Direction = 'forward' | 'input_gradient';

/** The inputs of the two directions that read weights, and their reference for one image or several. */
function sides(direction: Direction) {
  const forward = direction === 'forward';
  return {
    biases: forward ? OUT : IN,
    terms: TAPS * (forward ? IN : OUT),
    record(trial: Trial, args: ConvArguments) {
      const output = trial.imagesOutput(BATCH * (forward ? SMALL : LARGE), forward ? OUT : IN);
      if (forward) recordConv2d(trial.recorder, { ...args, x: trial.images(BATCH * LARGE, IN, X), y: output });
      else {
        const dy = trial.images(BATCH * SMALL, OUT, DY);
        recordConv2dInputGradient(trial.recorder, { ...args, dy, dx: output });
      }
      return output;
    },
    referenceOf(first: number, batch: number, weights: ArrayLike<number>, bias: ArrayLike<number> | undefined) {
      const shape = { ...SHAPE, batch };
      const activation = bias ? 'relu' : 'none';
      const part = (values: Float32Array, image: number) => values.subarray(first * image, (first + batch) * image);
      return forward
        ? conv2d(shape, part(X, LARGE * IN), weights, bias, activation)
        : conv2dInputGradient(shape, part(DY, SMALL * OUT), weights, bias, activation);
    },
  };
}

const tolerance = (terms: number) => plus(sumTolerance(terms), TOLERANCES.tanh);

function plainCheck(direction: Direction, tile: NonNullable<ConvArguments['tile']>): Check {
  const kernel = `conv2d_${direction} ${tile}`;
  return {
    kernel,
    quads: isQuad(tile),
    record(trial) {
      const { biases, terms, record, referenceOf } = sides(direction);
      const [w, bias] = [numbers(OUT * TAPS * IN, 3), numbers(biases, 4)];
      const weight = trial.matrix(OUT, convWeightColumns(SHAPE), padTaps(w));
      const output = record(trial, {
        label: kernel,
        shape: SHAPE,
        weights: { kind: 'plain', weight, bias: trial.matrix(1, biases, bias) },
        pass: 'forward',
        activation: 'relu',
        tile,
      });
      trial.expectMatrix(output, referenceOf(0, BATCH, w, bias), tolerance(terms));
    },
  };
}

/** A forward pass of a trained network that normalises its output as it stores it. */
function normalisedCheck(direction: Direction): Check {
  const kernel = `conv2d_${direction} normalised`;
  return {
    kernel,
    record(trial) {
      const { biases: channels, terms, record } = sides(direction);
      const w = numbers(OUT * TAPS * IN, 3);
      const [bias, gamma, beta, mean] = [4, 5, 6, 7].map((seed) => numbers(channels, seed));
      const variance = pixels(channels, 8).map((value) => value + 0.5);
      const vector = (values: ArrayLike<number>) => trial.matrix(1, channels, values);
      const output = record(trial, {
        label: kernel,
        shape: SHAPE,
        weights: {
          kind: 'plain',
          weight: trial.matrix(OUT, convWeightColumns(SHAPE), padTaps(w)),
          bias: vector(bias),
        },
        pass: 'forward',
        activation: 'tanh',
        normalisation: {
          gamma: vector(gamma),
          beta: vector(beta),
          runningMean: vector(mean),
          runningVariance: vector(variance),
        },
        tile: '8x8',
      });
      const sums = direction === 'forward' ? conv2d(SHAPE, X, w, bias) : conv2dInputGradient(SHAPE, DY, w, bias);
      const inverse = inverseDeviation(variance);
      const expected = activationForward(
        'tanh',
        batchNormForward(sums, { gamma, mean, inverseDeviation: inverse }, beta),
      );
      // The error of the sums is multiplied by at most 1.5.
      const before = plus(tolerance(terms), tolerance(terms));
      trial.expectMatrix(output, expected, plus(before, batchNormTolerance(inverse)));
    },
  };
}

/** A forward pass with bias and activation, or the backward pass that reads its weights once more. */
function approximateCheck(
  direction: Direction,
  perImage: boolean,
  { pass, tile }: Pick<ConvArguments, 'pass' | 'tile'>,
): Check {
  const kernel = `conv2d_${direction} ${perImage ? 'per image' : 'approximate'}`;
  const read = PASS + (pass === 'forward' ? 0 : 1);
  return {
    kernel,
    record(trial) {
      const { biases, terms, record, referenceOf } = sides(direction);
      const columns = convWeightColumns(SHAPE);
      const { codes, faultTable, tensors } = memoryImage(trial, perImage ? 'inference' : 'pass', [
        [OUT, columns],
        [1, biases],
      ]);
      const [weight, bias] = tensors;
      const output = record(trial, {
        label: kernel,
        shape: SHAPE,
        weights: { kind: 'fused', weight: weight.stored, bias: bias.stored, codes, faultTable, perImage },
        pass,
        activation: 'relu',
        tile,
      });
      const multiply = (first: number, count: number, image?: number) => {
        const weights = unpadTaps(unpad(weight.fetch(read, image), OUT, columns, weight.stored.stride));
        return referenceOf(
          first,
          count,
          weights,
          pass === 'forward' ? bias.fetch(read, image).subarray(0, biases) : undefined,
        );
      };
      const expected = perImage
        ? Array.from({ length: BATCH }, (_, n) => [...multiply(n, 1, FIRST_IMAGE + n)]).flat()
        : multiply(0, BATCH);
      trial.expectMatrix(output, expected, tolerance(terms));
    },
    prepare(program) {
      program.setStep({ passIndex: PASS });
      program.setStep({ firstImage: FIRST_IMAGE });
    },
  };
}

function weightGradientCheck(tile: NonNullable<ConvWeightGradient['tile']>, slices: number): Check {
  const kernel = `conv2d_weight_gradient ${tile}`;
  return {
    kernel,
    quads: isQuad(tile),
    record(trial) {
      const dw = trial.output(OUT, convWeightColumns(SHAPE));
      recordConv2dWeightGradient(trial.recorder, trial.arena, {
        label: kernel,
        shape: SHAPE,
        x: trial.images(BATCH * LARGE, IN, X),
        dy: trial.images(BATCH * SMALL, OUT, DY),
        dw,
        slices,
        tile,
      });
      trial.expectMatrix(dw, padTaps(conv2dWeightGradient(SHAPE, X, DY)), tolerance(BATCH * SMALL));
    },
  };
}

/**
 * Images of one channel. On a software adapter, where they are expected to be faster, special kernels convolve these images.
 * Elsewhere this checks another tile, and the tuner compares the bits of the special kernels with it before it uses them.
 */
function oneChannelCheck(direction: Direction | 'weight_gradient'): Check {
  const kernel = `conv2d_${direction} one channel`;
  const shape = { ...SHAPE, inChannels: 1 };
  return {
    kernel,
    quads: direction === 'input_gradient',
    record(trial) {
      const x = numbers(BATCH * LARGE, 1);
      const w = numbers(OUT * TAPS, 3);
      const taps = (values: ArrayLike<number>) => pad(values, OUT * TAPS, 1, 4, Float64Array);
      const [images, gradients] = [trial.images(BATCH * LARGE, 1, x), trial.images(BATCH * SMALL, OUT, DY)];
      if (direction === 'weight_gradient') {
        const dw = trial.output(OUT, convWeightColumns(shape));
        recordConv2dWeightGradient(trial.recorder, trial.arena, { label: kernel, shape, x: images, dy: gradients, dw });
        trial.expectMatrix(dw, taps(conv2dWeightGradient(shape, x, DY)), tolerance(BATCH * SMALL));
        return;
      }
      const forward = direction === 'forward';
      const bias = numbers(forward ? OUT : 1, 4);
      const weight = trial.matrix(OUT, convWeightColumns(shape), taps(w));
      const weights = { kind: 'plain', weight, bias: trial.matrix(1, bias.length, bias) } as const;
      const args = { label: kernel, shape, weights, pass: 'forward', activation: 'relu' } as const;
      const output = trial.imagesOutput(BATCH * (forward ? SMALL : LARGE), bias.length);
      if (forward) recordConv2d(trial.recorder, { ...args, x: images, y: output });
      else recordConv2dInputGradient(trial.recorder, { ...args, dy: gradients, dx: output });
      const expected = forward ? conv2d(shape, x, w, bias, 'relu') : conv2dInputGradient(shape, DY, w, bias, 'relu');
      trial.expectMatrix(output, expected, tolerance(TAPS * (forward ? 1 : OUT)));
    },
  };
}

export const CONVOLUTIONS: readonly Check[] = [
  plainCheck('forward', '8x8'),
  plainCheck('forward', '16x8'),
  plainCheck('forward', 'quad_16x32'),
  plainCheck('forward', 'quad_32x16'),
  plainCheck('input_gradient', '8x8'),
  plainCheck('input_gradient', '16x4'),
  plainCheck('input_gradient', 'quad_16x16'),
  plainCheck('input_gradient', 'quad_32x32'),
  normalisedCheck('forward'),
  normalisedCheck('input_gradient'),
  weightGradientCheck('8x8', 2),
  weightGradientCheck('quad_16x32', 1),
  weightGradientCheck('quad_32x16', 2),
  weightGradientCheck('quad_16x16', 2),
  oneChannelCheck('forward'),
  oneChannelCheck('input_gradient'),
  oneChannelCheck('weight_gradient'),
  // The forward pass has only one tile.
  approximateCheck('forward', false, { pass: 'forward' }),
  approximateCheck('forward', true, { pass: 'forward' }),
  approximateCheck('input_gradient', false, { pass: 'backward', tile: '16x4' }),
  // The forward pass of a transposed convolution. Its tile has more columns than one block of codes covers in some taps.
  approximateCheck('input_gradient', true, { pass: 'forward', tile: '16x8' }),
];
