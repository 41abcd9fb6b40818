/** What a deep experiment needs of an adapter, and how long it trains: from its configuration, without running it. */
import { LimitError } from '../errors.ts';
import { ROW_ALIGNMENT, roundUp } from '../gpu/arena.ts';
import { type NetworkPlan, type PlannedBuffer, planNetwork } from '../models/plan.ts';
import type { ModelSpec } from '../models/specs.ts';
import { deepInversion, deepTraining, deepVictim } from './deep.ts';
import { DEEP_PRESETS, type DeepConfig, deepPreset, parseDeepConfig } from './deep_config.ts';

/** Bytes; names are WebGPU's. */
export interface StorageLimits {
  readonly maxStorageBufferBindingSize: number;
  readonly maxBufferSize: number;
}

/** What every adapter has unless more is asked for. */
export const DEFAULT_LIMITS: StorageLimits = { maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 28 };

export const NETWORKS = ['victim', 'inversion'] as const;
export type DeepNetwork = (typeof NETWORKS)[number];

/** Images that the two networks are trained on: the victim's people's, and other people's. */
export type DeepImages = Readonly<Record<DeepNetwork, number>>;

/** A network and its training. */
export interface DeepNetworkPlan extends NetworkPlan {
  readonly epochs: number;
  /** Images to train on; 0 where they were not given. */
  readonly images: number;
  /** Those images, and for the inversion network a prediction vector each. */
  readonly dataBytes: number;
  /** Buffers that WebGPU's default limits do not allow, so that more must be requested. */
  readonly beyondDefaults: readonly PlannedBuffer[];
}

export type DeepPlan = Readonly<Record<DeepNetwork, DeepNetworkPlan>>;

/**
 * Plans both networks of a configuration. Nothing is allocated on a device.
 * @param classes the victim's people
 * @param limits of the adapter
 * @param images that the networks are trained on, to count the data sets too
 * @throws LimitError naming the largest buffer that the adapter cannot have, and the largest preset that fits it
 */
export function planDeep(config: DeepConfig, classes: number, limits: StorageLimits, images?: DeepImages): DeepPlan {
  const plan = planNetworks(config, classes, images);
  const refused = tooLarge(plan, limits);
  if (!refused) return plan;
  const fitting = [...DEEP_PRESETS].reverse().find((preset) => {
    const other = parseDeepConfig(deepPreset(preset, config.seed), preset);
    return !tooLarge(planNetworks(other, classes, images), limits);
  });
  const { maxStorageBufferBindingSize, maxBufferSize } = limits;
  throw new LimitError(
    `${refused.label} needs a storage buffer of ${refused.bytes} bytes, this adapter has ` +
      `maxStorageBufferBindingSize ${maxStorageBufferBindingSize} and maxBufferSize ${maxBufferSize}; ` +
      (fitting ? `the largest preset that fits is ${fitting}` : 'no preset fits, use another adapter'),
  );
}

function planNetworks(config: DeepConfig, classes: number, images?: DeepImages): DeepPlan {
  const plan = (network: DeepNetwork, spec: ModelSpec): DeepNetworkPlan => {
    const { training } = config[network];
    const planned = planNetwork(spec, deepTraining(training, config.seed));
    const count = images?.[network] ?? 0;
    const data = [{ label: 'images', bytes: count * config.size ** 2 }];
    if (network === 'inversion') {
      data.push({ label: 'prediction vectors', bytes: count * roundUp(classes, ROW_ALIGNMENT) * 4 });
    }
    const buffers = [...planned.buffers, ...data];
    return {
      ...planned,
      epochs: training.epochs,
      images: count,
      dataBytes: data.reduce((sum, { bytes }) => sum + bytes, 0),
      buffers,
      beyondDefaults: buffers.filter((buffer) => exceeds(buffer, DEFAULT_LIMITS)),
    };
  };
  return {
    victim: plan('victim', deepVictim(config, classes)),
    inversion: plan('inversion', deepInversion(config, classes)),
  };
}

/** Kernels bind whole tensors: a buffer must fit both limits. */
function exceeds({ bytes }: PlannedBuffer, { maxStorageBufferBindingSize, maxBufferSize }: StorageLimits): boolean {
  return bytes > Math.min(maxStorageBufferBindingSize, maxBufferSize);
}

/** The largest buffer that does not fit, with its network's name. */
function tooLarge(plan: DeepPlan, limits: StorageLimits): PlannedBuffer | undefined {
  const named = NETWORKS.flatMap((network) =>
    plan[network].buffers.map(({ label, bytes }) => ({ label: `${network}: ${label}`, bytes })),
  );
  return named.filter((buffer) => exceeds(buffer, limits)).sort((a, b) => b.bytes - a.bytes)[0];
}

/**
 * What training reaches of the GEMM rate of 512 x 512 x 512, and what a dispatch costs, in operations at that rate. Fitted to
 * steps of both networks of the presets on SwiftShader, of which it misses none by more than a fifth.
 */
const TRAINING_SHARE = 0.7;
const DISPATCH_FLOPS = 6e6;

export interface TrainingTime {
  readonly stepsPerEpoch: number;
  readonly epochSeconds: number;
  readonly seconds: number;
}

/**
 * Time of training; good to a factor of two. What does not fill a batch is left out, as in training.
 * @param gflops that the adapter reaches in a GEMM of 512 x 512 x 512
 */
export function trainingTime(network: DeepNetworkPlan, gflops: number): TrainingTime {
  const { images, batchSize, epochs, stepFlops, stepDispatches } = network;
  const stepsPerEpoch = Math.max(1, Math.floor(images / batchSize));
  const stepSeconds = (stepFlops / TRAINING_SHARE + stepDispatches * DISPATCH_FLOPS) / (gflops * 1e9);
  const epochSeconds = stepsPerEpoch * stepSeconds;
  return { stepsPerEpoch, epochSeconds, seconds: epochs * epochSeconds };
}
