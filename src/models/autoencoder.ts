/**
 * A convolutional autoencoder of images, whose decoder is a generative prior: a variational autoencoder in which every code has
 * the same variance, and to which a density of the codes is fitted afterwards (Ghosh, Sajjadi, Vergari, Black, Schölkopf, "From
 * Variational to Deterministic Autoencoders", ICLR 2020: CV-VAE, section 3). It needs neither a second network nor sampling of
 * variances, and trains reliably on a few hundred faces.
 */
import type { Arena, Matrix } from '../gpu/arena.ts';
import { firstRows } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { type ImageSizeInput, imageValues } from '../image_size.ts';
import { recordCorrupt } from '../kernels/batch.ts';
import { recordMse } from '../kernels/loss.ts';
import { recordAddScaled } from '../kernels/mi_face.ts';
import { firstImages, type GraphPlan, planGraph, recordBackward, recordForward } from '../layers/graph.ts';
import { outputShape } from '../layers/kinds.ts';
import type { FlatParameters } from '../layers/parameters.ts';
import { flatten } from '../layers/reshape.ts';
import { plainWeights } from '../layers/weights.ts';
import type { AutoencoderDescription, ModelSpec } from './model_spec.ts';
import { networkLayers } from './network.ts';
import type { LayerDescription } from './network_description.ts';

/** Both sides are halved until neither is longer than this many pixels. */
const LONGEST_SIDE = 7;

/** The sizes of the images at the levels of the network: [height, width], the whole image first. */
function levelsOf({ height, width }: ImageSizeInput): (readonly [number, number])[] {
  const levels: [number, number][] = [[height, width]];
  let last = levels[0];
  while (Math.max(...last) > LONGEST_SIDE) {
    last = [Math.ceil(last[0] / 2), Math.ceil(last[1] / 2)];
    levels.push(last);
  }
  return levels;
}

/** Edges of a convolution of stride 2 that halves a size, or of the transposed one that doubles it to that size; rounded up. */
function edgesOf([height, width]: readonly [number, number]): [number, number, number, number] {
  return [1, 1, 1 + (height % 2), 1 + (width % 2)];
}

/**
 * Image -> 4 x 4 convolutions of stride 2, each with batch normalisation and ReLU, with `filters`, 2 `filters`, 4 `filters` ...
 * channels, until neither side has more than 7 pixels -> one convolution of the whole image to the code, without activation; the
 * decoder is its mirror image, with a sigmoid at the end. Images of any size, gray or RGB.
 */
export function autoencoder(description: AutoencoderDescription): ModelSpec {
  const { filters, code, channels = 1 } = description;
  const levels = levelsOf(description);
  const steps = levels.slice(0, -1);
  const widthAt = (level: number) => (level === 0 ? channels : filters * 2 ** (level - 1));
  const halving = { kernelSize: 4, stride: 2 } as const;
  const whole = { kernelSize: [...levels[steps.length]] as [number, number] };
  const rectified = (name: string): LayerDescription[] => [
    { kind: 'batch_norm', name: `${name}_bn` },
    { kind: 'relu', name: `${name}_relu` },
  ];
  const layers = networkLayers({
    kind: 'network',
    input: { height: description.height, width: description.width, channels },
    layers: [
      ...steps.flatMap((size, i): LayerDescription[] => {
        const name = `encoder${i + 1}`;
        return [
          { kind: 'conv2d', name, channels: widthAt(i + 1), ...halving, padding: edgesOf(size) },
          ...rectified(name),
        ];
      }),
      { kind: 'conv2d', name: 'code', channels: code, ...whole },
    ],
  });
  const first = 'decoder0';
  const decoder = networkLayers({
    kind: 'network',
    input: { height: 1, width: 1, channels: code },
    layers: [
      { kind: 'conv_transpose2d', name: first, channels: widthAt(steps.length), ...whole },
      ...(steps.length > 0 ? rectified(first) : []),
      ...[...steps].reverse().flatMap((size, i): LayerDescription[] => {
        const level = steps.length - 1 - i;
        const name = `decoder${i + 1}`;
        return [
          { kind: 'conv_transpose2d', name, channels: widthAt(level), ...halving, padding: edgesOf(size) },
          ...(level > 0 ? rectified(name) : []),
        ];
      }),
      { kind: 'sigmoid', name: 'sigmoid' },
    ],
  });
  // Images of data sets are vectors of pixels, each with all its channels.
  decoder.push(flatten('pixels', outputShape(decoder[decoder.length - 1])));
  const values = imageValues(description);
  return { description, inputs: values, outputs: values, layers, encoderLayers: layers.length, decoder, keys: {} };
}

/** How the codes of an autoencoder are kept near a normal distribution. */
export interface CodeTraining {
  /** Deviation of the noise that is added to every code in training: the constant deviation of the posterior. */
  readonly noise: number;
  /** Weight of the mean square of the codes beside the mean squared error of the images: the rest of the KL divergence. */
  readonly penalty: number;
}

/** The buffers of a training step of an autoencoder. */
export interface PlannedAutoencoder {
  readonly encoder: GraphPlan;
  readonly noisy: Matrix;
  readonly decoder: GraphPlan;
}

/** @param input a batch of images, one per row */
export function planAutoencoder(
  arena: Arena,
  { layers, decoder }: ModelSpec,
  input: Matrix,
  seed: number,
): PlannedAutoencoder {
  const mode = { training: true, seed };
  const encoder = planGraph(arena, layers, input, { mode, gradients: { parameters: true } });
  const code = encoder.values[layers.length];
  const noisy = arena.matrix('noisy codes', code.rows, code.columns);
  const both = { input: true, parameters: true };
  return { encoder, noisy, decoder: planGraph(arena, decoder, noisy, { mode, gradients: both }) };
}

/**
 * Records the step of a batch up to the gradients: encoder, noise on the codes, decoder, mean squared error, and back.
 * @param args.images the first images of the planned batch, which are also the targets
 * @param args.order indices of the images: the noise of an image does not depend on its batch
 * @param args.results rows x (mean squared error, 0)
 */
export function recordAutoencoder(
  recorder: Recorder,
  arena: Arena,
  args: {
    spec: ModelSpec;
    planned: PlannedAutoencoder;
    images: Matrix;
    order: BufferView;
    results: BufferView;
    parameters: FlatParameters;
    gradients: FlatParameters;
    code: CodeTraining;
    seed: number;
  },
): void {
  const { spec, planned, images, order, results, parameters, gradients, seed } = args;
  const { noise, penalty } = args.code;
  const { layers, decoder: decoding } = spec;
  const [encoder, decoder] = [planned.encoder, planned.decoder].map((plan) => firstImages(plan, images.rows));
  const noisy = firstRows(planned.noisy, images.rows);
  const weights = plainWeights(parameters);
  const code = encoder.values[layers.length];
  recordForward(recorder, arena, layers, weights, encoder);
  recordCorrupt(recorder, { input: code, order, output: noisy, deviation: noise, seed });
  recordForward(recorder, arena, decoding, weights, decoder);
  const output = decoder.values[decoding.length];
  recordMse(recorder, { output, target: images, gradOutput: decoder.gradients[decoding.length]!, results });
  recordBackward(recorder, arena, decoding, weights, decoder, gradients);
  // The noise has no parameters: the gradient of a code is that of the noisy code, and that of its own mean square.
  const sum = encoder.gradients[layers.length]!;
  const vectors = (code.rows * code.stride) / 4;
  recordAddScaled(recorder, { vectors, value: decoder.gradients[0]!, sum, scale: 1, accumulate: false });
  const scale = (2 * penalty) / (code.rows * code.columns);
  recordAddScaled(recorder, { vectors, value: code, sum, scale, accumulate: true });
  recordBackward(recorder, arena, layers, weights, encoder, gradients);
}
