/**
 * Convolutions: the checks of their operands, and the choice of a family of kernels. Square shapes of one group have tile
 * kernels (conv_tiled.ts), depthwise and all other convolutions those of conv_direct.ts.
 */
import type { Arena, Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { recordDirectProduct, recordDirectWeightGradient } from './conv_direct.ts';
import {
  type ConvArguments,
  type ConvProduct,
  type ConvWeightGradient,
  checkShape,
  checkWeightMatrix,
  checkWeights,
  squareShape,
} from './conv_shape.ts';
import { recordTiledProduct, recordTiledWeightGradient } from './conv_tiled.ts';

/**
 * Records y = act(norm(conv(x, W) + bias)); with `pass: 'backward'` the input gradient of a transposed convolution.
 *
 * @param args.x images of batch x height x width, inChannels columns, with a row of zeros (Arena.image)
 * @param args.y images of {@link convOutputSize}, outChannels columns; pads are written zero
 * @throws ShapeError, LimitError
 */
export function recordConv2d(recorder: Recorder, args: ConvArguments & { x: Matrix; y: Matrix }): void {
  const { label, x, y } = args;
  checkShape(label, args.shape, { large: ['x', x], small: ['y', y] });
  checkWeights(args, args.shape.outChannels);
  recordConvProduct(recorder, args, { transposed: false, gathered: ['x', x], written: y });
}

/**
 * Records dx = act(norm(convᵀ(dy, W) + bias)): with `pass: 'backward'` the gradient of {@link recordConv2d} with respect
 * to x, otherwise the forward pass of a transposed convolution, whose bias has inChannels values.
 *
 * @param args.dy images of {@link convOutputSize}, outChannels columns, with a row of zeros (Arena.image)
 * @param args.dx images of batch x height x width, inChannels columns; pads are written zero
 * @throws ShapeError, LimitError
 */
export function recordConv2dInputGradient(recorder: Recorder, args: ConvArguments & { dy: Matrix; dx: Matrix }): void {
  const { label, dy, dx } = args;
  checkShape(label, args.shape, { large: ['dx', dx], small: ['dy', dy] });
  checkWeights(args, args.shape.inChannels);
  recordConvProduct(recorder, args, { transposed: true, gathered: ['dy', dy], written: dx });
}

function recordConvProduct(recorder: Recorder, args: ConvArguments, product: ConvProduct): void {
  const shape = squareShape(args.shape);
  if (shape) recordTiledProduct(recorder, { ...args, shape }, product);
  else recordDirectProduct(recorder, args, product);
}

/**
 * Records dW = dyᵀ (taps of x): the gradient of {@link recordConv2d} with respect to the weights. For a transposed
 * convolution, x is the gradient of its output and dy is its input.
 *
 * @param args.x images of batch x height x width, inChannels columns, with a row of zeros (Arena.image)
 * @param args.dy images of {@link convOutputSize}, outChannels columns
 * @param args.dw outChannels x {@link convWeightColumns}; pads are written zero
 * @throws ShapeError, LimitError
 */
export function recordConv2dWeightGradient(recorder: Recorder, arena: Arena, args: ConvWeightGradient): void {
  const { label, x, dy, dw } = args;
  checkShape(label, args.shape, { large: ['x', x], small: ['dy', dy] });
  checkWeightMatrix(label, 'dw', args.shape, dw);
  const shape = squareShape(args.shape);
  if (shape) recordTiledWeightGradient(recorder, arena, { ...args, shape });
  else recordDirectWeightGradient(recorder, arena, args);
}
