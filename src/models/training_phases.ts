/** The phases of a training: which layers run and learn in each, and its optimiser on the device. */
import { ConfigError } from '../errors.ts';
import type { Arena } from '../gpu/arena.ts';
import type { BufferView } from '../gpu/guarded_device.ts';
import type { Recorder } from '../gpu/recorder.ts';
import { recordAdam, recordSgd } from '../kernels/optimizer.ts';
import { type LayerSpec, layerParameters } from '../layers/kinds.ts';
import { FlatParameters, ParameterLayout } from '../layers/parameters.ts';
import type { ModelSpec } from './model_spec.ts';
import { isAutoencoder, isInversion } from './specs.ts';
import type { OptimizerConfig, TrainingConfig } from './training_config.ts';

/**
 * `reconstruct`: a DAE learns to reconstruct images from noisy images. `classify`: a classifier learns labels from images.
 * `invert`: an inversion network learns images from prediction vectors. `autoencode`: an autoencoder learns images from their
 * codes, to which noise is added.
 */
export type PhaseKind = 'reconstruct' | 'classify' | 'invert' | 'autoencode';

export interface Phase {
  readonly kind: PhaseKind;
  readonly epochs: number;
  readonly optimizer: OptimizerConfig;
  /** Layers that run before those that learn. */
  readonly frozen: readonly LayerSpec[];
  readonly trained: readonly LayerSpec[];
}

/** The phases of a training, in their order. @throws ConfigError if the configuration lacks what the network needs */
export function phasesOf(spec: ModelSpec, config: TrainingConfig): Phase[] {
  const { layers, encoderLayers, decoder } = spec;
  const { epochs, optimizer, reconstruction } = config;
  if (isAutoencoder(spec)) {
    if (!config.code) throw new ConfigError('code: an autoencoder needs the noise and the penalty of its codes');
    return [{ kind: 'autoencode', epochs, optimizer, frozen: [], trained: [...layers, ...decoder] }];
  }
  const kind = isInversion(spec) ? 'invert' : 'classify';
  if (decoder.length === 0) return [{ kind, epochs, optimizer, frozen: [], trained: layers }];
  if (!reconstruction) throw new ConfigError('reconstruction: a DAE needs its epochs, deviation and learningRate');
  const { learningRate } = reconstruction;
  const encoder = layers.slice(0, encoderLayers);
  return [
    {
      kind: 'reconstruct',
      epochs: reconstruction.epochs,
      optimizer: { kind: 'adam', learningRate, betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: false },
      frozen: [],
      trained: [...encoder, ...decoder],
    },
    // The encoder stays as it was when reconstruction ended: its decoder must still fit it.
    { kind: 'classify', epochs, optimizer, frozen: encoder, trained: layers.slice(encoderLayers) },
  ];
}

/** The buffers of an optimiser for parameters of `bytes`. */
export function optimizerBuffers(arena: Arena, optimizer: OptimizerConfig, bytes: number): BufferView[] {
  const names =
    optimizer.kind === 'sgd'
      ? ['velocity']
      : ['first moment', 'second moment', ...(optimizer.amsgrad ? ['largest second moment'] : [])];
  return names.map((name) => arena.allocate(name, bytes));
}

/** Parameters that exist in training only, those of layers that the network does not have: zero at first. */
interface AddedParameters extends Pick<Phase, 'optimizer' | 'trained'> {
  readonly parameters: FlatParameters;
  readonly moments: readonly BufferView[];
}

/**
 * The parameters of layers that exist in training only; undefined without such layers.
 * @param layers those that the phase runs: the trained ones, and perhaps others
 */
export function addedParameters(
  arena: Arena,
  { optimizer, trained: own }: Phase,
  layers: readonly LayerSpec[],
): AddedParameters | undefined {
  const trained = layers.filter((layer) => own.every(({ name }) => name !== layer.name));
  if (trained.length === 0) return undefined;
  const layout = new ParameterLayout(layerParameters(trained));
  const parameters = new FlatParameters(arena, 'parameters of training only', layout);
  return { optimizer, trained, parameters, moments: optimizerBuffers(arena, optimizer, layout.length * 4) };
}

/** One step over the flat buffers from the first to the last trained layer: weight decay must not reach frozen ones. */
export function recordOptimizer(
  recorder: Recorder,
  { optimizer, trained }: Pick<Phase, 'optimizer' | 'trained'>,
  parameters: FlatParameters,
  gradients: FlatParameters,
  buffers: readonly BufferView[],
): void {
  const { layout } = parameters;
  const moved = layerParameters(trained).filter(({ trainable }) => trainable !== false);
  const first = layout.find(moved[0].name).offset;
  const last = layout.find(moved[moved.length - 1].name);
  const count = last.offset + last.length - first;
  const range = (view: BufferView, from = first): BufferView => ({ ...view, offset: from * 4, size: count * 4 });
  const firstGradient = gradients.layout.find(moved[0].name).offset;
  const flat = { count, parameters: range(parameters.view), gradients: range(gradients.view, firstGradient) };
  if (optimizer.kind === 'sgd') {
    recordSgd(recorder, { ...flat, ...optimizer, velocity: range(buffers[0]) });
  } else {
    const [firstMoment, secondMoment, secondMomentMax] = buffers.map((view) => range(view));
    recordAdam(recorder, { ...flat, ...optimizer, firstMoment, secondMoment, secondMomentMax });
  }
}
