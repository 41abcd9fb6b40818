/**
 * The networks of Yang, Zhang, Chang, Liang ("Neural network inversion in adversarial setting via background knowledge
 * alignment", CCS'19), as MIDAS used them: a convolutional face classifier, and the network that inverts its predictions.
 */
import { ConfigError } from '../errors.ts';
import { outputShape } from '../layers/kinds.ts';
import { flatten } from '../layers/reshape.ts';
import type { ModelSpec, YangClassifierDescription, YangInversionDescription } from './model_spec.ts';
import { describedNetwork, networkLayers } from './network.ts';
import type { LayerDescription } from './network_description.ts';

/** Key of the dropout masks. The shipped networks were trained with it: a seed must continue to drop the same units. */
const DROPOUT_KEY = 19;

function checkSize(size: number): void {
  if (size !== 32 && size !== 64) throw new ConfigError(`size: images are 32 or 64 pixels wide, not ${size}`);
}

/** 3 x 3 convolution, batch normalisation, 2 x 2 max pooling, ReLU. @param n number of the block, from 1 */
export function poolingBlock(n: number, channels: number): LayerDescription[] {
  return [
    { kind: 'conv2d', name: `conv${n}`, channels, kernelSize: 3, padding: 1 },
    { kind: 'batch_norm', name: `bn${n}` },
    { kind: 'max_pool', name: `pool${n}`, kernelSize: 2 },
    { kind: 'relu', name: `relu${n}` },
  ];
}

/**
 * size x size -> 4 x [3 x 3 convolution, batch normalisation, 2 x 2 max pooling, ReLU] with ndf, 2 ndf, 4 ndf, 8 ndf
 * channels -> dense 5 nz -> dropout 0.5 -> dense nz, without an activation between the two dense layers.
 * @throws ConfigError
 */
export function yangClassifier(description: YangClassifierDescription): ModelSpec {
  const { size, ndf, classes } = description;
  checkSize(size);
  const blocks = [1, 2, 4, 8].map((factor, i) => poolingBlock(i + 1, ndf * factor));
  const network = describedNetwork({
    kind: 'network',
    input: { height: size, width: size, channels: 1 },
    layers: [
      ...blocks.flat(),
      { kind: 'flatten', name: 'flatten' },
      { kind: 'dense', name: 'fc1', outputs: 5 * classes },
      { kind: 'dropout', name: 'dropout', rate: 0.5 },
      { kind: 'dense', name: 'fc2', outputs: classes },
    ],
  });
  const layers = network.layers.map((layer) => (layer.kind === 'dropout' ? { ...layer, key: DROPOUT_KEY } : layer));
  const keys: Record<string, string> = { fc1: 'fc.0', fc2: 'fc.2' };
  for (const i of blocks.keys()) {
    keys[`conv${i + 1}`] = `encoder.${4 * i}`;
    keys[`bn${i + 1}`] = `encoder.${4 * i + 1}`;
  }
  return { ...network, description, layers, keys };
}

/**
 * Prediction vector -> 4 x 4 transposed convolution to 4 x 4 pixels -> [batch normalisation, tanh, 4 x 4 transposed
 * convolution of stride 2] until size x size -> sigmoid. 8 ngf, 4 ngf, 2 ngf, ngf channels; size 32 leaves the first out. The
 * published network has one output channel; for RGB images it has three.
 * @throws ConfigError
 */
export function yangInversion(description: YangInversionDescription): ModelSpec {
  const { size, ngf, classes, channels: ofImage = 1 } = description;
  checkSize(size);
  const widths = size === 64 ? [8, 4, 2, 1] : [4, 2, 1];
  const last = widths.length + 1;
  const keys: Record<string, string> = { [`deconv${last}`]: `decoder.${3 * widths.length}` };
  const enlarging = { kind: 'conv_transpose2d', kernelSize: 4, stride: 2, padding: 1 } as const;
  const blocks = widths.map((factor, i): LayerDescription[] => {
    const n = i + 1;
    keys[`deconv${n}`] = `decoder.${3 * i}`;
    keys[`bn${n}`] = `decoder.${3 * i + 1}`;
    const toFour = i === 0 ? { stride: 1, padding: 0 } : {};
    return [
      { ...enlarging, name: `deconv${n}`, channels: ngf * factor, ...toFour },
      { kind: 'batch_norm', name: `bn${n}` },
      { kind: 'tanh', name: `tanh${n}` },
    ];
  });
  const layers = networkLayers({
    kind: 'network',
    input: { height: 1, width: 1, channels: classes },
    layers: [
      ...blocks.flat(),
      { ...enlarging, name: `deconv${last}`, channels: ofImage },
      { kind: 'sigmoid', name: 'sigmoid' },
    ],
  });
  // Images of data sets are vectors of pixels, each with all its channels; a description would flatten channel by channel.
  layers.push(flatten('pixels', outputShape(layers[layers.length - 1])));
  return { description, inputs: classes, outputs: size * size * ofImage, layers, encoderLayers: 0, decoder: [], keys };
}
