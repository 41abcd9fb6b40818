import { sizeName } from '../image_size.ts';
import type { DenseSpec } from '../layers/dense.ts';
import { type LayerSpec, layerParameters } from '../layers/kinds.ts';
import { autoencoder } from './autoencoder.ts';
import { faceNetwork } from './face_network.ts';
import type {
  DenseDescription,
  DenseInversionDescription,
  ModelDescription,
  ModelKind,
  ModelSpec,
} from './model_spec.ts';
import { describedNetwork, networkLayers } from './network.ts';
import type { LayerDescription } from './network_description.ts';
import { yangClassifier, yangInversion } from './yang.ts';

/** A model of dense layers only: each activation is part of the layer before it. */
export interface DenseModelSpec extends ModelSpec {
  readonly description: DenseDescription;
  readonly layers: readonly DenseSpec[];
  readonly decoder: readonly DenseSpec[];
}

/** Hidden widths of the publications, by kind. */
export const PUBLISHED_HIDDEN: Record<ModelKind, readonly number[]> = {
  softmax: [],
  mlp: [1000],
  'mlp-sigmoid': [3000],
  dae: [1000, 300],
};

/**
 * A classifier of dense layers: fc1, fc2 and so on; a DAE also has decoder1, decoder2.
 * @param inputs values of an image: pixels times channels
 * @param classes people
 * @param hidden widths of the hidden layers, the publications' by default
 */
export function modelSpec(
  kind: ModelKind,
  inputs: number,
  classes: number,
  hidden: readonly number[] = PUBLISHED_HIDDEN[kind],
): DenseModelSpec {
  const body = hidden.flatMap((width, i) => block(`fc${i + 1}`, width, kind === 'mlp' ? undefined : 'sigmoid'));
  const layers = layersFrom(inputs, [...body, ...block(`fc${hidden.length + 1}`, classes)]) as DenseSpec[];
  const widths = [inputs, ...hidden.slice(0, -1)].reverse();
  const code = kind === 'dae' ? hidden.at(-1) : undefined;
  const decoder = widths.flatMap((width, i) => block(`decoder${i + 1}`, width, 'sigmoid'));
  return {
    description: { kind, inputs, classes, hidden },
    inputs,
    outputs: classes,
    layers,
    encoderLayers: kind === 'dae' ? hidden.length : 0,
    decoder: code === undefined ? [] : (layersFrom(code, decoder) as DenseSpec[]),
    keys: {},
  };
}

/** A dense layer and its activation. */
function block(name: string, outputs: number, activation?: 'sigmoid'): LayerDescription[] {
  const dense: LayerDescription = { kind: 'dense', name, outputs };
  return activation ? [dense, { kind: activation, name: `${name}.${activation}` }] : [dense];
}

/** The layers of a network that takes vectors. */
function layersFrom(inputs: number, layers: LayerDescription[]): LayerSpec[] {
  return networkLayers({ kind: 'network', input: { height: 1, width: 1, channels: inputs }, layers });
}

/**
 * Prediction vector -> [dense layer, batch normalisation, tanh] for each hidden width -> dense layer with sigmoid, the values of the image.
 * Aligned vectors have values around 50: without the normalisation every tanh would saturate.
 */
export function denseInversion(description: DenseInversionDescription): ModelSpec {
  const { classes, hidden, pixels } = description;
  const blocks = hidden.map((width, i): LayerDescription[] => [
    ...block(`fc${i + 1}`, width),
    { kind: 'batch_norm', name: `bn${i + 1}` },
    { kind: 'tanh', name: `tanh${i + 1}` },
  ]);
  const layers = layersFrom(classes, [...blocks.flat(), ...block(`fc${hidden.length + 1}`, pixels, 'sigmoid')]);
  return { description, inputs: classes, outputs: pixels, layers, encoderLayers: 0, decoder: [], keys: {} };
}

/** True if a network turns prediction vectors into images, and is trained on both. */
export function isInversion({ description: { kind } }: ModelSpec): boolean {
  return kind === 'yang-inversion' || kind === 'dense-inversion';
}

/** True if a network is nothing but an encoder and a decoder of images. */
export function isAutoencoder({ description: { kind } }: ModelSpec): boolean {
  return kind === 'autoencoder';
}

/** Builds the model of a description. @throws ConfigError */
export function describedModel(description: ModelDescription): ModelSpec {
  if (description.kind === 'autoencoder') return autoencoder(description);
  if (description.kind === 'yang-classifier') return yangClassifier(description);
  if (description.kind === 'yang-inversion') return yangInversion(description);
  if (description.kind === 'dense-inversion') return denseInversion(description);
  if (description.kind === 'face-network') return faceNetwork(description);
  if (description.kind === 'network') return describedNetwork(description);
  return modelSpec(description.kind, description.inputs, description.classes, description.hidden);
}

/** Name of a model for messages, for example `mlp 10304-1000-40`. */
export function modelName({ description, outputs }: ModelSpec): string {
  if (description.kind === 'dense-inversion') {
    const { kind, classes, hidden, pixels } = description;
    return `${kind} ${[classes, ...hidden, pixels].join('-')}`;
  }
  if ('hidden' in description) {
    const { kind, inputs, hidden, classes } = description;
    return `${kind} ${[inputs, ...hidden, classes].join('-')}`;
  }
  if (description.kind === 'face-network') return `${description.kind} ${description.classes}`;
  if (description.kind === 'network') {
    const { height, width, channels } = description.input;
    return `${description.name ?? 'network'}, ${channels} x ${height} x ${width} to ${outputs} classes`;
  }
  if (description.kind === 'autoencoder') {
    const { kind, filters, code, height, width, channels } = description;
    return `${kind} ${sizeName({ height, width, channels: channels ?? 1 })}, filters ${filters}, code ${code}`;
  }
  const { kind, size, classes } = description;
  const width = 'ndf' in description ? `ndf ${description.ndf}` : `ngf ${description.ngf}`;
  const colour = 'channels' in description ? ' RGB' : '';
  return `${kind} ${size}x${size}${colour}, ${width}, nz ${classes}`;
}

/** Names of the layers that a memory configuration may name: those that have parameters. */
export function layerNames(spec: ModelSpec): string[] {
  return [...new Set(layerParameters(spec.layers).map(({ layer }) => layer))];
}
