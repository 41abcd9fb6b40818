import type { Activation } from '../kernels/activation.ts';
import type { DenseSpec } from '../layers/dense.ts';
import { type LayerSpec, layerParameters } from '../layers/kinds.ts';
import { vectorShape } from '../layers/layer.ts';
import { faceNetwork } from './face_network.ts';
import type {
  DenseDescription,
  DenseInversionDescription,
  ModelDescription,
  ModelKind,
  ModelSpec,
} from './model_spec.ts';
import { describedNetwork } from './network.ts';
import { yangClassifier, yangInversion } from './yang.ts';

/** A model of dense layers only. */
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
  const activation: Activation = kind === 'mlp' ? 'none' : 'sigmoid';
  const dense = (name: string, from: number, to: number, act: Activation): DenseSpec => ({
    kind: 'dense',
    name,
    inputs: from,
    outputs: to,
    activation: act,
  });
  const widths = [inputs, ...hidden];
  const body = hidden.map((width, i) => dense(`fc${i + 1}`, widths[i], width, activation));
  const head = dense(`fc${hidden.length + 1}`, widths[hidden.length], classes, 'none');
  const decoder =
    kind === 'dae'
      ? hidden.map((_, i) => {
          const from = hidden.length - i;
          return dense(`decoder${i + 1}`, widths[from], widths[from - 1], 'sigmoid');
        })
      : [];
  return {
    description: { kind, inputs, classes, hidden },
    inputs,
    outputs: classes,
    layers: [...body, head],
    encoderLayers: kind === 'dae' ? hidden.length : 0,
    decoder,
    keys: {},
  };
}

/**
 * Prediction vector -> [dense layer, batch normalisation, tanh] for each hidden width -> dense layer with sigmoid, the values of the image.
 * Aligned vectors have values around 50: without the normalisation every tanh would saturate.
 */
export function denseInversion(description: DenseInversionDescription): ModelSpec {
  const { classes, hidden, pixels } = description;
  const layers: LayerSpec[] = [];
  let inputs = classes;
  for (const [i, outputs] of hidden.entries()) {
    layers.push({ kind: 'dense', name: `fc${i + 1}`, inputs, outputs, activation: 'none' });
    layers.push({ kind: 'batch_norm', name: `bn${i + 1}`, input: vectorShape(outputs), activation: 'tanh' });
    inputs = outputs;
  }
  layers.push({ kind: 'dense', name: `fc${hidden.length + 1}`, inputs, outputs: pixels, activation: 'sigmoid' });
  return { description, inputs: classes, outputs: pixels, layers, encoderLayers: 0, decoder: [], keys: {} };
}

/** True if a network turns prediction vectors into images, and is trained on both. */
export function isInversion({ description: { kind } }: ModelSpec): boolean {
  return kind === 'yang-inversion' || kind === 'dense-inversion';
}

/** Builds the model of a description. @throws ConfigError */
export function describedModel(description: ModelDescription): ModelSpec {
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
  const { kind, size, classes } = description;
  const width = 'ndf' in description ? `ndf ${description.ndf}` : `ngf ${description.ngf}`;
  const colour = 'channels' in description ? ' RGB' : '';
  return `${kind} ${size}x${size}${colour}, ${width}, nz ${classes}`;
}

/** Names of the layers that a memory configuration may name: those that have parameters. */
export function layerNames(spec: ModelSpec): string[] {
  return [...new Set(layerParameters(spec.layers).map(({ layer }) => layer))];
}
