/** Networks: the victims of experiments, and the parts with which a program trains, stores and evaluates its own. */
import type { ExperimentInput, VictimKind } from '../experiments/config.ts';
import { changedTraining, presetInput } from '../experiments/presets.ts';
import { describedNetwork } from '../models/network.ts';
import { type LayerDescription, type NetworkDescription, parseNetwork } from '../models/network_description.ts';

export type { LayerSpec } from '../layers/kinds.ts';
export { plainWeights, type WeightsOf } from '../layers/weights.ts';
export { type Checkpoint, loadParameters, readCheckpoint, writeCheckpoint } from '../models/checkpoint.ts';
export { type DeviceDataset, uploadDataset } from '../models/device_dataset.ts';
export { Evaluator } from '../models/evaluate.ts';
export { type ImportOptions, importAnyNetwork as importNetwork } from '../models/import_network.ts';
export type { ImportedNetwork, ModelDescription, ModelKind, ModelSpec, TrainedNetwork } from '../models/model_spec.ts';
export { describedNetwork } from '../models/network.ts';
export type { LayerDescription, NetworkDescription } from '../models/network_description.ts';
export { importOnnx } from '../models/onnx_file.ts';
export { layerNames, modelSpec } from '../models/specs.ts';
export { type EpochResult, Trainer, type TrainingData, type TrainingState } from '../models/trainer.ts';
export {
  type OptimizerConfig,
  PUBLISHED_TRAINING,
  type TrainingConfig,
  type TrainingErrors,
} from '../models/training_config.ts';
export type { Victim, VictimRun } from '../models/victim.ts';
export { releasedVictim, stackVictim } from '../models/victims.ts';
export { yangClassifier, yangInversion } from '../models/yang.ts';

type VictimInput = ExperimentInput['victim'];
type Dense = Extract<VictimInput, { kind: Exclude<VictimKind, 'yang'> }>;
type Yang = Extract<VictimInput, { kind: 'yang' }>;

/** Options of a victim of dense layers. Omitted options come from the smallest size of the preset `shallow`. */
export interface DenseOptions {
  /** Widths of the hidden layers. */
  readonly hidden?: readonly number[];
  /** Any of epochs, batch size and optimiser. */
  readonly training?: Partial<Dense['training']>;
}

/** Options of the convolutional victim. Omitted options come from the smallest size of the preset `deep`. */
export interface YangOptions {
  /** Channels of the first convolution, 1..1024. */
  readonly ndf?: number;
  readonly training?: Partial<Yang['training']>;
}

function dense(kind: Exclude<VictimKind, 'yang'>, { hidden, training }: DenseOptions): Dense {
  const victim = presetInput('shallow', { victim: kind }).victim as Dense;
  return {
    ...victim,
    ...(hidden && { hidden: [...hidden] }),
    training: changedTraining(victim.training, training ?? {}),
  };
}

/** Softmax regression, the smallest victim of an experiment. Default: 40 epochs. */
export function softmax(options: Omit<DenseOptions, 'hidden'> = {}): Dense {
  return dense('softmax', options);
}

/** The published network, one hidden layer without activation. Default: 200 units instead of the published 1000, 40 epochs. */
export function mlp(options: DenseOptions = {}): Dense {
  return dense('mlp', options);
}

/** One hidden layer of sigmoids (Fredrikson et al., CCS 2015). Default: 200 units instead of the published 3000, 40 epochs. */
export function sigmoidMlp(options: DenseOptions = {}): Dense {
  return dense('mlp-sigmoid', options);
}

/** A softmax on the code of a denoising autoencoder (Fredrikson et al., CCS 2015). Default: 200 and 60 units, 40 epochs. */
export function denoisingAutoencoder(options: DenseOptions = {}): Dense {
  return dense('dae', options);
}

/**
 * Any network, described layer by layer, for images of its input's size. Default training: Adam, 60 epochs or 600 steps.
 * `sequential` and `graph` make descriptions.
 */
export function network(
  description: NetworkDescription,
  { training }: { readonly training?: Partial<VictimInput['training']> } = {},
): Extract<VictimInput, { kind: 'network' }> {
  const victim = presetInput('shallow', { victim: description }).victim as Extract<VictimInput, { kind: 'network' }>;
  return { ...victim, training: changedTraining(victim.training, training ?? {}) };
}

type Input = NetworkDescription['input'];
/** A layer of a chain, whose name can be left out. */
type ChainedLayer = LayerDescription extends infer L
  ? L extends unknown
    ? Omit<L, 'name' | 'inputs'> & { name?: string }
    : never
  : never;

/**
 * The description of a network whose layers read each other in turn. Layers without a name get that of their kind and a number.
 * @throws ConfigError for a name that is used twice
 */
export function sequential(input: Input, layers: readonly ChainedLayer[]): NetworkDescription {
  const counts = new Map<string, number>();
  const named = layers.map((layer) => {
    const count = (counts.get(layer.kind) ?? 0) + 1;
    counts.set(layer.kind, count);
    return { ...layer, name: layer.name ?? `${layer.kind}${count}` };
  });
  return graph(input, named as LayerDescription[]);
}

/**
 * The description of a network of named layers, each of which names the layers that it reads.
 * @throws ConfigError naming the layer: unknown fields and names, circles, several outputs
 */
export function graph(input: Input, layers: readonly LayerDescription[]): NetworkDescription {
  const description = parseNetwork({ kind: 'network', input, layers }, 'network');
  describedNetwork(description);
  return description;
}

/** The convolutional network of Yang et al. (CCS 2019), for images of 32 x 32 or 64 x 64 pixels. Default: ndf 8, 30 epochs. */
export function yang({ ndf, training }: YangOptions = {}): Yang {
  const victim = presetInput('deep').victim as Yang;
  return { ...victim, ...(ndf !== undefined && { ndf }), training: changedTraining(victim.training, training ?? {}) };
}
