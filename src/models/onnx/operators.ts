/** The operators of ONNX and what converts them; the order is that of the documentation. */
import type { NetworkBuilder } from './builder.ts';
import { activation, arithmetic, clip, leakyRelu, limited, negated, pRelu, softmax, sumOf } from './elementwise.ts';
import type { NodeReader } from './node_reader.ts';
import { averagePool, globalAveragePool, globalMaxPool, maxPool, reduced } from './pooling.ts';
import { batchNormalization, conv, convTranspose, gemm, matMul } from './products.ts';
import {
  cast,
  concat,
  dropout,
  flatten,
  identity,
  pad,
  reshape,
  shape,
  size,
  slice,
  squeeze,
  transpose,
  unsqueeze,
} from './shapes.ts';
import type { Value } from './values.ts';

/**
 * Converts a node that reads results of layers.
 * @param batch the size of the batch that the file fixes
 * @returns the value of its first result
 */
export type Convert = (node: NodeReader, builder: NetworkBuilder, batch: number | undefined) => Value;

export const OPERATORS: Readonly<Record<string, Convert>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  Gemm: gemm,
  MatMul: matMul,
  BatchNormalization: batchNormalization,
  Relu: activation({ kind: 'relu' }),
  Tanh: activation({ kind: 'tanh' }),
  Sigmoid: activation({ kind: 'sigmoid' }),
  LeakyRelu: leakyRelu,
  PRelu: pRelu,
  Clip: clip,
  Min: limited(true),
  Max: limited(false),
  Softmax: softmax('softmax'),
  LogSoftmax: softmax('log_softmax'),
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  GlobalMaxPool: globalMaxPool,
  ReduceMean: reduced('mean'),
  ReduceSum: reduced('sum'),
  ReduceMax: reduced('max'),
  Add: arithmetic,
  Sub: arithmetic,
  Mul: arithmetic,
  Div: arithmetic,
  Neg: negated,
  Sum: sumOf,
  Concat: concat,
  Pad: pad,
  Flatten: flatten,
  Reshape: reshape,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Slice: slice,
  Dropout: dropout,
  Identity: identity,
  Cast: cast,
  CastLike: identity,
  Shape: shape,
  Size: size,
};
