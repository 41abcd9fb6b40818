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

/** Operators that only networks with attention have. */
const OF_TRANSFORMERS: ReadonlySet<string> = new Set([
  'Attention',
  'MultiHeadAttention',
  'GroupQueryAttention',
  'RotaryEmbedding',
]);

const ADAPTIVE = 'probably AdaptiveAvgPool2d to a size that does not divide its input; use AvgPool2d';

/** From this number on, gathers are the windows of a pooling that an exporter has written out. */
const MANY_GATHERS = 8;

/** True if a network multiplies two results that depend on its input, as attention does. @param nodes in their order */
export function hasAttention(nodes: readonly OnnxNode[], input: string): boolean {
  const dependent = new Set([input]);
  let found = false;
  for (const { operator, inputs, outputs } of nodes) {
    const read = inputs.filter((name) => dependent.has(name));
    found ||= OF_TRANSFORMERS.has(operator) || (/^(MatMul|Einsum)$/.test(operator) && read.length > 1);
    if (read.length > 0) for (const name of outputs) dependent.add(name);
  }
  return found;
}

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
export function unsupportedError(
  nodes: readonly UnsupportedNode[],
  file: string,
  { isTransformer }: { readonly isTransformer: boolean },
): DataError {
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
    const isPooling = first.node.operator === 'Gather' && count >= MANY_GATHERS;
    const instead = isPooling ? ADAPTIVE : first.instead;
    return `${text}${first.problem ? ` ${first.problem}` : ''}: ${instead}`;
  });
  const what = isTransformer ? 'a transformer, which is not supported' : 'not supported';
  // What would be left out of a longer message is the middle of the list.
  return new DataError(`${file}: ${what}: ${listed(texts, Math.max(120, 280 - file.length - what.length))}`);
}
