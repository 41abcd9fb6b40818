/** Plans the memory of an experiment and the time of its training from its configuration, without running it. */

import type { PlannedNetwork } from '../attacks/attack.ts';
import { attackOfKind } from '../attacks/registry.ts';
import { LimitError } from '../errors.ts';
import { ROW_ALIGNMENT, roundUp } from '../gpu/arena.ts';
import { type ImageSizeInput, imageValues } from '../image_size.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { type NetworkPlan, type PlannedBuffer, planNetwork } from '../models/plan.ts';
import { isAutoencoder, isInversion } from '../models/specs.ts';
import { epochsFor, type TrainingConfig } from '../models/training_config.ts';
import { type ExperimentConfig, parseExperiment } from './config.ts';
import { victimSpec, victimTraining } from './described_victim.ts';
import { PRESETS, presetInput } from './presets.ts';

/** Limits of an adapter in bytes, under WebGPU's names. */
export interface StorageLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
}

/** The limits that every adapter has unless more is requested. */
export const DEFAULT_LIMITS: StorageLimits = { maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 28 };

/** The faces of an experiment, as far as a plan needs them. */
export interface PlannedData extends ImageSizeInput {
  readonly classes: number;
  /** Photographs that the victim is trained on, and faces that the attacker has; 0 where they are not known. */
  readonly trained: number;
  readonly publicFaces: number;
}

/** A network and its training. */
export interface PlannedTraining extends NetworkPlan {
  /** `victim`, or the attacker's network by its name. */
  readonly name: string;
  readonly spec: ModelSpec;
  readonly epochs: number;
  /** Images to train on; 0 where they were not given. */
  readonly images: number;
  /** Size of those images and, for an inversion network, of one prediction vector per image. */
  readonly dataBytes: number;
  /** Buffers that WebGPU's default limits do not allow, so that more must be requested. */
  readonly beyondDefaults: readonly PlannedBuffer[];
}

/** The networks of an experiment: the victim first, then the attackers'. */
export type ExperimentPlan = readonly PlannedTraining[];

/**
 * Plans the networks of a configuration. Nothing is allocated on a device.
 * @param limits of the adapter
 * @throws LimitError naming the largest buffer that the adapter cannot have, and the largest preset that fits it
 */
export function planExperiment(config: ExperimentConfig, data: PlannedData, limits: StorageLimits): ExperimentPlan {
  const plan = planNetworks(config, data);
  const refused = tooLarge(plan, limits);
  if (!refused) return plan;
  const fitting = [...PRESETS.deep].reverse().find((size) => {
    const preset = parseExperiment(presetInput('deep', { size }), size);
    if (preset.data.kind !== 'procedural') return false;
    const { width, height } = preset.data;
    return !tooLarge(planNetworks(preset, { ...data, width, height, channels: 1 }), limits);
  });
  const { maxStorageBufferBindingSize, maxBufferSize } = limits;
  throw new LimitError(
    `${refused.label} needs a storage buffer of ${refused.bytes} bytes, this adapter has ` +
      `maxStorageBufferBindingSize ${maxStorageBufferBindingSize} and maxBufferSize ${maxBufferSize}; ` +
      (fitting ? `the largest preset that fits is ${fitting}` : 'no preset fits, use another adapter'),
  );
}

/**
 * The networks that an experiment trains: the victim first, then the attackers'.
 * @throws DataError, ConfigError for images that the networks do not take
 */
export function trainedNetworks(
  config: ExperimentConfig,
  { classes, width, height, channels }: ImageSizeInput & Pick<PlannedData, 'classes'>,
): PlannedNetwork[] {
  const faces = { name: 'faces', width, height, channels, classNames: [...Array(classes).keys()].map(String) };
  const victim = victimSpec(config.victim, { ...faces, labels: Uint32Array.from({ length: classes }, (_, i) => i) });
  const training = victimTraining(config);
  const shape = { classes, width, height, channels, seed: config.seed, spec: victim, training };
  const attackers = config.attacks.flatMap((attack) => attackOfKind(attack.kind).networks?.(attack, shape) ?? []);
  return [{ name: 'victim', spec: victim, training }, ...attackers];
}

function planNetworks(config: ExperimentConfig, data: PlannedData): ExperimentPlan {
  const { classes, trained, publicFaces } = data;
  const plan = (name: string, spec: ModelSpec, training: TrainingConfig, count: number): PlannedTraining => {
    const planned = planNetwork(spec, training);
    const buffers = [{ label: 'images', bytes: count * imageValues(data) }];
    if (isInversion(spec)) {
      buffers.push({ label: 'prediction vectors', bytes: count * roundUp(classes, ROW_ALIGNMENT) * 4 });
    }
    const all = [...planned.buffers, ...buffers];
    return {
      ...planned,
      name,
      spec,
      epochs: count > 0 ? epochsFor(training, count) : training.epochs,
      images: count,
      dataBytes: buffers.reduce((sum, { bytes }) => sum + bytes, 0),
      buffers: all,
      beyondDefaults: all.filter((buffer) => exceeds(buffer, DEFAULT_LIMITS)),
    };
  };
  return trainedNetworks(config, data).map(({ name, spec, training }) =>
    plan(name, spec, training, isInversion(spec) || isAutoencoder(spec) ? publicFaces : trained),
  );
}

/** Kernels bind whole tensors: a buffer must fit both limits. */
function exceeds({ bytes }: PlannedBuffer, { maxStorageBufferBindingSize, maxBufferSize }: StorageLimits): boolean {
  return bytes > Math.min(maxStorageBufferBindingSize, maxBufferSize);
}

/** The largest buffer that does not fit, with its network's name. */
function tooLarge(plan: ExperimentPlan, limits: StorageLimits): PlannedBuffer | undefined {
  const named = plan.flatMap(({ name, buffers }) =>
    buffers.map(({ label, bytes }) => ({ label: `${name}: ${label}`, bytes })),
  );
  return named.filter((buffer) => exceeds(buffer, limits)).sort((a, b) => b.bytes - a.bytes)[0];
}

/**
 * The share of the GEMM rate of 512 x 512 x 512 that training reaches, and the cost of a dispatch in operations at that rate.
 * Both were fitted to training steps of the two networks of the presets on SwiftShader, with errors of at most a fifth.
 */
const TRAINING_SHARE = 0.7;
const DISPATCH_FLOPS = 6e6;

export interface TrainingTime {
  readonly stepsPerEpoch: number;
  readonly epochSeconds: number;
  readonly seconds: number;
}

/**
 * Estimates the time of training, within a factor of two. A last batch that is not full is not counted.
 * @param gflops rate that the adapter reaches in a GEMM of 512 x 512 x 512
 */
export function trainingTime(network: PlannedTraining, gflops: number): TrainingTime {
  const { images, batchSize, epochs, stepFlops, stepDispatches } = network;
  const stepsPerEpoch = Math.max(1, Math.floor(images / batchSize));
  const stepSeconds = (stepFlops / TRAINING_SHARE + stepDispatches * DISPATCH_FLOPS) / (gflops * 1e9);
  const epochSeconds = stepsPerEpoch * stepSeconds;
  return { stepsPerEpoch, epochSeconds, seconds: epochs * epochSeconds };
}
