/** What a shallow experiment does, as data: validated once, written into the manifest. */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { FETCH_PATHS, GRANULARITIES, NamedMemories, NOISE_KINDS, NumberFormat, Rate } from '../memory/config.ts';
import { MODEL_KINDS } from '../models/specs.ts';
import { ROBUST_TRAINING } from './robust_training.ts';

const whole = (low: number, high: number) =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const number = (low: number, high: number) => v.pipe(v.number('must be a number'), v.minValue(low), v.maxValue(high));

const Training = v.strictObject({
  epochs: whole(1, 100_000),
  batchSize: whole(1, 65_536),
  optimizer: v.variant('kind', [
    v.strictObject({
      kind: v.literal('sgd'),
      learningRate: number(0, 1e3),
      momentum: number(0, 0.999999),
      weightDecay: number(0, 1),
    }),
    v.strictObject({
      kind: v.literal('adam'),
      learningRate: number(0, 1e3),
      betas: v.tuple([number(0, 0.999999), number(0, 0.999999)]),
      epsilon: number(0, 1),
      amsgrad: v.boolean(),
    }),
  ]),
  reconstruction: v.optional(
    v.strictObject({ epochs: whole(1, 100_000), deviation: number(0, 10), learningRate: number(0, 1e3) }),
  ),
  ...ROBUST_TRAINING,
});

/** Where an attack starts: a black image, a mean face, or noise. */
export const STARTS = ['zero', 'mean', 'noise'] as const;

const Attack = v.strictObject({
  start: v.picklist(STARTS),
  cost: v.optional(v.picklist(['oneMinusConfidence', 'negativeLogConfidence']), 'negativeLogConfidence'),
  iterations: whole(1, 1_000_000),
  /** Iterations without a lower cost after which a class stops; null for never. */
  beta: v.optional(v.nullable(whole(1, 1_000_000)), null),
  /** Cost at which a class stops; null for never. */
  gamma: v.optional(v.nullable(v.number()), null),
  step: number(0, 1e6),
  schedule: v.optional(v.picklist(['constant', 'linear']), 'linear'),
  momentum: v.optional(number(0, 0.999999), 0),
  keep: v.optional(v.picklist(['best', 'last']), 'best'),
  normalise: v.optional(v.boolean(), true),
  totalVariation: v.optional(number(0, 1e9), 0),
  epsilon: v.optional(number(1e-12, 1), 0.01),
  process: v.optional(
    v.strictObject({ every: whole(1, 1_000_000), strength: number(1e-6, 10), sharpen: number(0, 100) }),
  ),
  decimals: v.optional(whole(0, 6)),
  search: v.optional(v.strictObject({ directions: whole(1, 4096), sigma: number(1e-6, 10), cell: whole(1, 64) })),
});
export type AttackConfig = v.InferOutput<typeof Attack>;

export const ShallowConfig = v.strictObject({
  model: v.picklist(MODEL_KINDS),
  hidden: v.array(whole(1, 100_000)),
  training: Training,
  format: NumberFormat,
  granularity: v.picklist(GRANULARITIES),
  path: v.optional(v.picklist(FETCH_PATHS), 'auto'),
  /** Bit error rates, the same on every layer of a set. */
  rates: v.array(Rate),
  /** Sets of layers that lie in approximate memory, one after the other; `both` or `all` for every layer. */
  layerSets: v.array(v.string()),
  /** Bit error rates of the first two layers, crossed; empty for no grid. */
  grid: v.array(Rate),
  /** A rate a layer, as one more condition each. */
  rateMaps: v.optional(v.array(v.record(v.string(), Rate)), []),
  memories: v.optional(NamedMemories, []),
  draws: whole(1, 10_000),
  /** Additive noise to compare with, its scale calibrated to the accuracies that the bit errors left. */
  noise: v.array(v.picklist(NOISE_KINDS)),
  attacks: v.pipe(v.array(Attack), v.minLength(1, 'name at least one attack')),
  /** Classes to attack; all by default. */
  classes: v.optional(v.array(whole(0, 65_535))),
  seed: v.pipe(v.number(), v.safeInteger('must be a whole number'), v.minValue(0)),
});
export type ShallowConfig = v.InferOutput<typeof ShallowConfig>;

/** Validates a configuration. @param where it is from, for messages. @throws ConfigError naming the path in it */
export function parseShallowConfig(input: unknown, where: string): ShallowConfig {
  const result = v.safeParse(ShallowConfig, input);
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw new ConfigError(`${[where, v.getDotPath(issue)].filter(Boolean).join(': ')}: ${issue.message}`);
}

/** 2^from, 2^(from + 1), .. 2^to. */
function powersOfTwo(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => 2 ** (from + i));
}

export type Preset = 'quick' | 'full';

/**
 * The two presets. `full` is the published protocol with its faults mended: 2^-12 .. 2^-3 on each layer and on both, five
 * draws, noise calibrated to the same accuracies. `quick` answers the same questions in a few minutes.
 * @param pixels of an image; steps scale with its square root, the weight of the total variation with its size
 * @returns what {@link parseShallowConfig} takes, after any change
 */
export function shallowPreset(preset: Preset, model: ShallowConfig['model'], pixels: number, seed: number): unknown {
  const full = preset === 'full';
  const scale = Math.sqrt(pixels / 10304);
  const sigmoid = model === 'mlp-sigmoid' || model === 'dae';
  const small = full ? undefined : { softmax: [], mlp: [200], 'mlp-sigmoid': [200], dae: [200, 60] }[model];
  const training = {
    epochs: full ? 100 : 40,
    batchSize: full ? 128 : 64,
    optimizer: sigmoid
      ? { kind: 'adam', learningRate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: false }
      : { kind: 'sgd', learningRate: full ? 1e-3 : 4e-3, momentum: 0.9, weightDecay: 5e-4 },
    ...(model === 'dae' && { reconstruction: { epochs: full ? 100 : 40, deviation: 0.1, learningRate: 1e-3 } }),
  };
  const pixelAttacks = [
    { start: 'zero', iterations: 60, step: 8 * scale, totalVariation: 5000 * scale ** 2, epsilon: 0.01, keep: 'last' },
    { start: 'mean', iterations: 60, step: 4 * scale, totalVariation: 500 * scale ** 2, epsilon: 0.01, keep: 'last' },
  ];
  const latentAttacks = [
    { start: 'zero', iterations: 60, step: 1, process: { every: 10, strength: 0.1, sharpen: 0.3 } },
    { start: 'mean', iterations: 60, step: 0.5, process: { every: 10, strength: 0.1, sharpen: 0.3 } },
  ];
  return {
    model,
    hidden: small ?? { softmax: [], mlp: [1000], 'mlp-sigmoid': [3000], dae: [1000, 300] }[model],
    training,
    format: { kind: 'fixed', bits: 12, exponent: 'per-tensor', headroom: 0, encoding: 'corrected' },
    granularity: 'load',
    rates: full ? powersOfTwo(-12, -3) : powersOfTwo(-6, -3),
    layerSets: model === 'softmax' ? ['all'] : full ? ['fc1', 'fc2', 'both'] : ['fc1', 'both'],
    grid: [],
    draws: full ? 5 : 3,
    noise: full ? ['gaussian', 'laplacian'] : ['gaussian'],
    attacks: model === 'dae' ? latentAttacks : pixelAttacks,
    seed,
  };
}
