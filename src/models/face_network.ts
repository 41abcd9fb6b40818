/** The network of the face evaluator (src/models/face_evaluator.ts). */

import type { FaceNetworkDescription, ModelSpec } from './model_spec.ts';
import { describedNetwork } from './network.ts';
import { poolingBlock } from './yang.ts';

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
  const network = describedNetwork({
    kind: 'network',
    input: { height: FACE_SIDE, width: FACE_SIDE, channels: 1 },
    layers: [
      ...CHANNELS.flatMap((channels, i) => poolingBlock(i + 1, channels)),
      { kind: 'flatten', name: 'features' },
      { kind: 'dense', name: 'fc', outputs: description.classes },
    ],
  });
  return { ...network, description };
}
