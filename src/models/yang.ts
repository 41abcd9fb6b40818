/**
 * The networks of Yang, Zhang, Chang, Liang ("Neural network inversion in adversarial setting via background knowledge
 * alignment", CCS'19), as MIDAS used them: a convolutional face classifier, and the network that inverts its predictions.
 */
import { ConfigError } from '../errors.ts';
import { type LayerSpec, outputShape } from '../layers/kinds.ts';
import { type ImageShape, vectorShape } from '../layers/layer.ts';
import { flatten } from '../layers/reshape.ts';
import type { ModelSpec, YangClassifierDescription, YangInversionDescription } from './model_spec.ts';

/** Key of the dropout masks. The shipped networks were trained with it: a seed must continue to drop the same units. */
const DROPOUT_KEY = 19;

function checkSize(size: number): void {
  if (size !== 32 && size !== 64) throw new ConfigError(`size: images are 32 or 64 pixels wide, not ${size}`);
}

/**
 * size x size -> 4 x [3 x 3 convolution, batch normalisation, 2 x 2 max pooling, ReLU] with ndf, 2 ndf, 4 ndf, 8 ndf
 * channels -> dense 5 nz -> dropout 0.5 -> dense nz, without an activation between the two dense layers.
 * @throws ConfigError
 */
export function yangClassifier(description: YangClassifierDescription): ModelSpec {
  const { size, ndf, classes } = description;
  checkSize(size);
  const layers: LayerSpec[] = [
    {
      kind: 'reshape',
      name: 'image',
      input: vectorShape(size * size),
      output: { height: size, width: size, channels: 1 },
    },
  ];
  const keys: Record<string, string> = {};
  const shape = (): ImageShape => outputShape(layers[layers.length - 1]);
  for (const [i, factor] of [1, 2, 4, 8].entries()) {
    const n = i + 1;
    layers.push({
      kind: 'conv2d',
      name: `conv${n}`,
      input: shape(),
      channels: ndf * factor,
      kernelSize: 3,
      stride: 1,
      padding: 1,
      activation: 'none',
    });
    layers.push({ kind: 'batch_norm', name: `bn${n}`, input: shape(), activation: 'none' });
    layers.push({ kind: 'max_pool', name: `pool${n}`, input: shape(), kernelSize: 2, activation: 'relu' });
    keys[`conv${n}`] = `encoder.${4 * i}`;
    keys[`bn${n}`] = `encoder.${4 * i + 1}`;
  }
  const flattened = shape();
  layers.push(flatten('flatten', flattened));
  const [inputs, hidden] = [shape().channels, 5 * classes];
  layers.push({ kind: 'dense', name: 'fc1', inputs, outputs: hidden, activation: 'none', flattened });
  layers.push({ kind: 'dropout', name: 'dropout', input: vectorShape(hidden), rate: 0.5, key: DROPOUT_KEY });
  layers.push({ kind: 'dense', name: 'fc2', inputs: hidden, outputs: classes, activation: 'none' });
  keys.fc1 = 'fc.0';
  keys.fc2 = 'fc.2';
  return { description, inputs: size * size, outputs: classes, layers, encoderLayers: 0, decoder: [], keys };
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
  const layers: LayerSpec[] = [];
  const keys: Record<string, string> = {};
  const shape = (): ImageShape => (layers.length === 0 ? vectorShape(classes) : outputShape(layers[layers.length - 1]));
  for (const [i, channels] of [...widths.map((factor) => factor * ngf), ofImage].entries()) {
    const n = i + 1;
    const last = i === widths.length;
    layers.push({
      kind: 'conv_transpose2d',
      name: `deconv${n}`,
      input: shape(),
      channels,
      kernelSize: 4,
      stride: i === 0 ? 1 : 2,
      padding: i === 0 ? 0 : 1,
      activation: last ? 'sigmoid' : 'none',
    });
    keys[`deconv${n}`] = `decoder.${3 * i}`;
    if (last) break;
    layers.push({ kind: 'batch_norm', name: `bn${n}`, input: shape(), activation: 'tanh' });
    keys[`bn${n}`] = `decoder.${3 * i + 1}`;
  }
  layers.push(flatten('pixels', shape()));
  return { description, inputs: classes, outputs: size * size * ofImage, layers, encoderLayers: 0, decoder: [], keys };
}
