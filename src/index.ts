/// <reference types="@webgpu/types" preserve="true" />
/**
 * What another page imports from `midas-webgpu`: open a device, take or draw faces, train a victim, put it into approximate
 * memory, attack it, measure. Each is documented where it is defined; README.md has an example.
 */

// The device. Everything built on it has its buffers in an Arena.

export type { DecodedImage } from './formats/image.ts';
export { Arena, type Matrix } from './gpu/arena.ts';
export type { ShaderSource } from './gpu/composer.ts';
export { type Gpu, type OpenOptions, openGpu } from './gpu/device.ts';
export type { AdapterSummary, BufferView } from './gpu/guarded_device.ts';
export { bundledShaders, openWebGpu } from './gpu/web.ts';

// Faces: photographs, or people who do not exist.

export {
  createDataset,
  type ImageDataset,
  meanImage,
  type Split,
  seededSplit,
  toFloat,
} from './data/dataset.ts';
export type { Population } from './data/faces.ts';
export { centreSquare, resize, toGray } from './data/image_ops.ts';
export { augment, selectPeople } from './data/people.ts';
export { type RenderFacesOptions, renderFaces } from './data/render_faces.ts';
export type { GrayImage } from './formats/pgm.ts';

// Victims, and networks that invert them.

export { type LayerSpec, plainWeights, type WeightsOf } from './layers/stack.ts';
export { type Checkpoint, loadParameters, readCheckpoint, writeCheckpoint } from './models/checkpoint.ts';
export { type DeviceDataset, uploadDataset } from './models/device_dataset.ts';
export { Evaluator } from './models/evaluate.ts';
export type { ModelDescription, ModelKind, ModelSpec } from './models/model_spec.ts';
export { layerNames, modelSpec } from './models/specs.ts';
export {
  type EpochResult,
  type OptimizerConfig,
  PUBLISHED_TRAINING,
  Trainer,
  type TrainingConfig,
  type TrainingData,
  type TrainingErrors,
  type TrainingState,
} from './models/trainer.ts';
export { stackVictim } from './models/victims.ts';
export { yangClassifier, yangInversion } from './models/yang.ts';

// Approximate memory.

export { ApproximateMemory } from './injection/approximate_memory.ts';
export {
  type FaultModel,
  type LayerMemory,
  type MemoryConfig,
  type MemoryConfigInput,
  type NumberFormat,
  parseMemoryConfig,
} from './memory/config.ts';
export { findPreset, PRESETS, type Preset } from './memory/presets.ts';

// Attacks and defences: interfaces, and lists of all there are.

export type {
  Attack,
  AttackContext,
  AttackedVictim,
  AttackOutput,
  AttackResult,
  BuiltAttack,
  PreparedAttack,
  Reconstruction,
} from './attacks/attack.ts';
export {
  type Alignment,
  alignLogits,
  InversionAttack,
  type InversionAttacker,
  Predictor,
  type Reconstructions,
} from './attacks/inversion.ts';
export { MiFace, type MiFaceResult, type SearchSpace } from './attacks/mi_face.ts';
export { type MiFaceConfig, type MiFaceInput, miFaceOptions } from './attacks/mi_face_config.ts';
export { ATTACKS, type AttackConfig } from './attacks/registry.ts';
export type { ReleaseDefence, TrainingDefence } from './defences/defence.ts';
export { RELEASE_DEFENCES, TRAINING_DEFENCES } from './defences/registry.ts';
export type { Victim, VictimRun } from './models/victim.ts';
export { releasedVictim } from './models/victims.ts';

// Measures.

export { type NullBaselines, nullBaselines } from './metrics/baselines.ts';
export { type BootstrapInterval, type BootstrapOptions, bootstrapInterval } from './metrics/bootstrap.ts';
export { type IdentityClassifier, trainIdentityClassifier } from './metrics/identity.ts';
export {
  indexPhotographs,
  mse,
  type PhotographIndex,
  pcc,
  psnr,
  type Similarity,
  similarityToPhotographs,
  ssim,
} from './metrics/similarity.ts';

// Whole experiments: all of the above under many conditions.

export { plannedConditions } from './experiments/conditions.ts';
export {
  type ExperimentConfig,
  type ExperimentInput,
  type NamedMemory,
  parseExperiment,
  type SweepConfig,
} from './experiments/config.ts';
export { type ExperimentOutcome, runExperiment } from './experiments/experiment.ts';
export { experimentData, proceduralData } from './experiments/faces.ts';
export { PRESETS as EXPERIMENT_PRESETS, type PresetOptions, presetInput } from './experiments/presets.ts';
export { InMemoryRunStore, type ProgressSink, type RunContext, type RunStore } from './experiments/store.ts';
export { type DrawResult, Sweep } from './experiments/sweep.ts';
export { type ExperimentData, Testbed } from './experiments/testbed.ts';
export {
  type Condition,
  conditionKey,
  conditionLabel,
  type Interval,
  type Metric,
  type Row,
  type SummaryEntry,
  summarise,
  toCsv,
} from './results/results.ts';

// Everything that can go wrong.

export * from './errors.ts';
