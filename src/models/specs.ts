import type { Activation } from '../kernels/activation.ts';
import type { DenseSpec } from '../layers/dense.ts';

export const MODEL_KINDS = ['softmax', 'mlp', 'mlp-sigmoid', 'dae'] as const;
/**
 * `softmax`: softmax regression. `mlp`: the published network, one hidden layer without activation. `mlp-sigmoid`:
 * Fredrikson et al. (CCS'15), one hidden sigmoid layer. `dae`: theirs too, a denoising autoencoder of sigmoid layers
 * under a softmax.
 */
export type ModelKind = (typeof MODEL_KINDS)[number];

/** A classifier of images: `layers` from image to logits; a DAE has a decoder beside them. */
export interface ModelSpec {
  readonly kind: ModelKind;
  readonly inputs: number;
  readonly classes: number;
  readonly hidden: readonly number[];
  /** Image to logits. */
  readonly layers: readonly DenseSpec[];
  /** DAE only: how many of `layers` are the encoder, and the decoder from its code back to the image. */
  readonly encoderLayers: number;
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
 * @param inputs pixels of an image
 * @param classes people
 * @param hidden widths of the hidden layers, the publications' by default
 */
export function modelSpec(
  kind: ModelKind,
  inputs: number,
  classes: number,
  hidden: readonly number[] = PUBLISHED_HIDDEN[kind],
): ModelSpec {
  const activation: Activation = kind === 'mlp' ? 'none' : 'sigmoid';
  const dense = (name: string, from: number, to: number, act: Activation): DenseSpec => ({
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
    kind,
    inputs,
    classes,
    hidden,
    layers: [...body, head],
    encoderLayers: kind === 'dae' ? hidden.length : 0,
    decoder,
  };
}

/** Names of the layers a memory configuration may name. */
export function layerNames(spec: ModelSpec): string[] {
  return spec.layers.map(({ name }) => name);
}
