/** The network of the face evaluator (src/models/face_evaluator.ts). */

import { type LayerSpec, outputShape } from '../layers/kinds.ts';
import { vectorShape } from '../layers/layer.ts';
import { flatten } from '../layers/reshape.ts';
import type { FaceNetworkDescription, ModelSpec } from './model_spec.ts';

/** Side of the square images that the network takes, in pixels. */
export const FACE_SIDE = 32;

/**
 * Channels of the three convolutions. The first two work on the large images and take most of the time of training; the
 * features come from the last.
 */
const CHANNELS = [8, 16, 64];

/**
 * 32 x 32 -> 3 x [3 x 3 convolution, batch normalisation, 2 x 2 max pooling, ReLU] -> dense layer. The 4 x 4 x 64 values
 * before the dense layer are the features that the evaluator reads.
 */
export function faceNetwork(description: FaceNetworkDescription): ModelSpec {
  const { classes } = description;
  const side = FACE_SIDE;
  const image = { height: side, width: side, channels: 1 };
  const layers: LayerSpec[] = [{ kind: 'reshape', name: 'image', input: vectorShape(side * side), output: image }];
  const shape = () => outputShape(layers[layers.length - 1]);
  for (const [i, channels] of CHANNELS.entries()) {
    const n = i + 1;
    const convolution = { kernelSize: 3, stride: 1, padding: 1, activation: 'none' } as const;
    layers.push({ kind: 'conv2d', name: `conv${n}`, input: shape(), channels, ...convolution });
    layers.push({ kind: 'batch_norm', name: `bn${n}`, input: shape(), activation: 'none' });
    layers.push({ kind: 'max_pool', name: `pool${n}`, input: shape(), kernelSize: 2, activation: 'relu' });
  }
  const flattened = shape();
  layers.push(flatten('features', flattened));
  const inputs = shape().channels;
  layers.push({ kind: 'dense', name: 'fc', inputs, outputs: classes, activation: 'none', flattened });
  return { description, inputs: side * side, outputs: classes, layers, encoderLayers: 0, decoder: [], keys: {} };
}
