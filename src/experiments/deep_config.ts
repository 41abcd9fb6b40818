/** What a deep experiment does, as data: validated once, written into the manifest. */
import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { FETCH_PATHS, GRANULARITIES, NamedMemories, NOISE_KINDS, NumberFormat, Rate } from '../memory/config.ts';
import { ROBUST_TRAINING } from './robust_training.ts';

const whole = (low: number, high: number) =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const number = (low: number, high: number) => v.pipe(v.number('must be a number'), v.minValue(low), v.maxValue(high));
/** Adam as published, but for its rate. */
const Training = v.strictObject({
  epochs: whole(1, 100_000),
  batchSize: whole(2, 65_536),
  learningRate: number(0, 1e3),
});

const Attacker = v.strictObject({
  /** In tables and figures. */
  name: v.string(),
  /** How many of the largest confidences the attacker sees; all by default. */
  truncation: v.optional(whole(1, 65_536)),
  floor: v.optional(v.picklist(['direct', 'faithful']), 'direct'),
  /**
   * Smallest log-confidence the attacker believes: a number, or `observed`, the smallest on public images before any
   * error, rounded down to a whole number.
   */
  clip: v.optional(v.union([v.literal('observed'), number(-1000, 0)])),
});
export type AttackerConfig = v.InferOutput<typeof Attacker>;

export const DeepConfig = v.strictObject({
  /** Side of the images, pixels. */
  size: v.picklist([32, 64]),
  victim: v.strictObject({
    ndf: whole(1, 1024),
    training: v.strictObject({ ...Training.entries, ...ROBUST_TRAINING }),
  }),
  inversion: v.strictObject({ ngf: whole(1, 1024), training: Training }),
  format: NumberFormat,
  granularity: v.picklist(GRANULARITIES),
  path: v.optional(v.picklist(FETCH_PATHS), 'auto'),
  /** Bit error rates, the same on every layer of a set, one set after the other. */
  sweeps: v.array(v.strictObject({ layers: v.string(), rates: v.array(Rate) })),
  memories: v.optional(NamedMemories, []),
  draws: whole(1, 10_000),
  noise: v.strictObject({
    kinds: v.array(v.picklist(NOISE_KINDS)),
    /** Sets whose noise is calibrated to the accuracies that bit errors on `matched` left. */
    sets: v.array(v.string()),
    matched: v.string(),
    levels: v.optional(
      v.strictObject({
        layers: v.string(),
        gaussian: v.array(number(0, 1e6)),
        laplacian: v.array(number(0, 1e6)),
      }),
    ),
    moments: v.boolean(),
  }),
  attackers: v.pipe(v.array(Attacker), v.minLength(1, 'name at least one attacker')),
  /** Photographs a person that are attacked, of the victim's training images and of its held-out ones. */
  photographs: whole(1, 10_000),
  seed: v.pipe(v.number(), v.safeInteger('must be a whole number'), v.minValue(0)),
});
export type DeepConfig = v.InferOutput<typeof DeepConfig>;

/** Validates a configuration. @param where it is from, for messages. @throws ConfigError naming the path in it */
export function parseDeepConfig(input: unknown, where: string): DeepConfig {
  const result = v.safeParse(DeepConfig, input);
  if (result.success) return result.output;
  const issue = result.issues[0];
  throw new ConfigError(`${[where, v.getDotPath(issue)].filter(Boolean).join(': ')}: ${issue.message}`);
}

export const DEEP_PRESETS = ['tiny', 'small', 'paper'] as const;
export type DeepPreset = (typeof DEEP_PRESETS)[number];

/** Bit error rates of the published tables: on fc1 and fc2 together, and on one layer alone. */
export const PUBLISHED_DIAGONAL = [
  1 / 1024,
  1 / 512,
  1 / 256,
  1 / 128,
  1 / 96,
  1 / 76.8,
  1 / 64,
  1 / 48,
  1 / 38.4,
  1 / 32,
  1 / 24,
  1 / 19.2,
  1 / 16,
  0.07,
];
export const PUBLISHED_SINGLE = [1 / 1024, 1 / 256, 1 / 64, 1 / 32, 1 / 16];

const steps = (first: number, last: number, step: number) =>
  Array.from({ length: Math.round((last - first) / step) + 1 }, (_, i) => Number((first + i * step).toFixed(6)));

/** Noise scales of the published tables, in units of the weights. */
export const PUBLISHED_LEVELS = {
  gaussian: [0.003, 0.006, 0.009, ...steps(0.012, 0.025, 0.001)],
  laplacian: steps(0.001, 0.017, 0.001),
};

/** What sets the presets apart. */
const SIZES = {
  tiny: { size: 32, ndf: 8, ngf: 16, victimEpochs: 30, inversionEpochs: 40, batchSize: 32, rate: 1e-3 },
  small: { size: 32, ndf: 32, ngf: 32, victimEpochs: 60, inversionEpochs: 60, batchSize: 64, rate: 5e-4 },
  paper: { size: 64, ndf: 128, ngf: 128, victimEpochs: 100, inversionEpochs: 100, batchSize: 128, rate: 2e-4 },
} as const;

/**
 * The presets: `paper` has the published widths and recipe, `small` and `tiny` are narrower and learn faster, so that a
 * software adapter finishes. All follow the same protocol. One bit of headroom, as the published format has at least.
 * @returns what {@link parseDeepConfig} takes, after any change
 */
export function deepPreset(preset: DeepPreset, seed: number): Record<string, unknown> {
  const { size, ndf, ngf, victimEpochs, inversionEpochs, batchSize, rate: learningRate } = SIZES[preset];
  const both = 'fc1+fc2';
  return {
    size,
    victim: { ndf, training: { epochs: victimEpochs, batchSize, learningRate } },
    inversion: { ngf, training: { epochs: inversionEpochs, batchSize, learningRate } },
    format: { kind: 'fixed', bits: 12, exponent: 'per-tensor', headroom: 1, encoding: 'corrected' },
    granularity: 'load',
    sweeps: [
      { layers: both, rates: PUBLISHED_DIAGONAL },
      ...['fc1', 'fc2', 'conv1', 'conv2', 'conv3', 'conv4'].map((layers) => ({ layers, rates: PUBLISHED_SINGLE })),
    ],
    draws: 5,
    noise: {
      kinds: ['gaussian', 'laplacian'],
      sets: [both, 'fc1', 'fc2'],
      matched: both,
      levels: { layers: both, ...PUBLISHED_LEVELS },
      moments: true,
    },
    attackers: [{ name: 'direct' }, { name: 'floor', floor: 'faithful' }, { name: 'clipped', clip: 'observed' }],
    photographs: 2,
    seed,
  };
}
