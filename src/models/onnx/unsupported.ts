/** Operators of ONNX that no layer computes, and what would do instead. */
import { DataError } from '../../errors.ts';
import type { OnnxNode } from '../../formats/onnx.ts';
import { listed } from '../../printable.ts';
import { nodeText } from './graph.ts';
import type { UnsupportedNode } from './node_reader.ts';

const INSTEAD: Readonly<Record<string, string>> = {
  HardSwish: 'use ReLU6 or LeakyReLU',
  HardSigmoid: 'use Sigmoid or ReLU6',
  Elu: 'use LeakyReLU',
  Selu: 'use LeakyReLU',
  Celu: 'use LeakyReLU',
  Gelu: 'use ReLU or LeakyReLU',
  Mish: 'use ReLU or LeakyReLU',
  Swish: 'use ReLU6 or LeakyReLU',
  Softplus: 'use ReLU',
  Softsign: 'use Tanh',
  ThresholdedRelu: 'use ReLU',
  Erf: 'use ReLU instead of GELU',
  InstanceNormalization: 'use BatchNorm2d',
  GroupNormalization: 'use BatchNorm2d',
  LayerNormalization: 'use BatchNorm2d',
  RMSNormalization: 'use BatchNorm2d',
  SimplifiedLayerNormalization: 'use BatchNorm2d',
  LpNormalization: 'leave it out',
  LRN: 'use BatchNorm2d',
  MeanVarianceNormalization: 'use BatchNorm2d',
  LpPool: 'use AvgPool2d or MaxPool2d',
  Resize: 'use ConvTranspose2d',
  Upsample: 'use ConvTranspose2d',
  DepthToSpace: 'use ConvTranspose2d',
  SpaceToDepth: 'use a convolution with a stride',
  Split: 'use a convolution for each part',
  Gather: 'use a network that reads all values',
  Einsum: 'use Linear',
  ArgMax: 'export the scores of the classes',
  TopK: 'export the scores of the classes',
  NonMaxSuppression: 'use an image classifier',
  LSTM: 'use an image classifier',
  GRU: 'use an image classifier',
  RNN: 'use an image classifier',
  If: 'export the network without branches that depend on the image',
  Loop: 'export the network without loops',
  Scan: 'export the network without loops',
};

/** Operators that only transformers have. */
const OF_TRANSFORMERS: ReadonlySet<string> = new Set([
  'Attention',
  'MultiHeadAttention',
  'GroupQueryAttention',
  'LayerNormalization',
  'SkipLayerNormalization',
  'SimplifiedLayerNormalization',
  'RMSNormalization',
  'RotaryEmbedding',
]);

/** What would do instead of an operator that is not supported at all. */
export function insteadOf({ operator, domain }: OnnxNode): string {
  if (domain !== '') return `export it with operators of ONNX, not of ${domain}`;
  return INSTEAD[operator] ?? 'use convolutions, pooling, dense layers and ReLU';
}

/** True for an operator of networks with 8-bit integers. */
export function isQuantised({ operator }: OnnxNode): boolean {
  return /^(QLinear|QuantizeLinear$|DequantizeLinear$|DynamicQuantizeLinear|ConvInteger|MatMulInteger|QGemm|QAttention)/.test(
    operator,
  );
}

/** The error for a network with 8-bit integers. */
export function quantisedError(node: OnnxNode, file: string): DataError {
  return new DataError(
    `${file}: an int8 network, with ${nodeText(node)}; export the float32 network from before its quantisation`,
  );
}

/** The error for all nodes that are not supported: each kind of problem once, with its first node. */
export function unsupportedError(nodes: readonly UnsupportedNode[], file: string): DataError {
  const kinds = new Map<string, { readonly first: UnsupportedNode; count: number }>();
  for (const each of nodes) {
    const kind = `${each.node.domain} ${each.node.operator} ${each.problem}`;
    const known = kinds.get(kind);
    if (known) known.count++;
    else kinds.set(kind, { first: each, count: 1 });
  }
  const texts = [...kinds.values()].map(({ first, count }) => {
    const more = count > 1 ? ` and ${count - 1} more` : '';
    const text = nodeText(first.node).replace(/\)$/, `${more})`);
    return `${text}${first.problem ? ` ${first.problem}` : ''}: ${first.instead}`;
  });
  const isTransformer = nodes.some(
    ({ node, problem }) => OF_TRANSFORMERS.has(node.operator) || problem.endsWith('as in attention'),
  );
  const what = isTransformer ? 'a transformer, which is not supported' : 'not supported';
  return new DataError(`${file}: ${what}: ${listed(texts, 420 - Math.min(120, file.length))}`);
}
