/** Presets: named configurations, whose fields a user may change. */

import { ATTACKS } from '../attacks/registry.ts';
import { ConfigError } from '../errors.ts';
import { type ImageSizeInput, imageValues } from '../image_size.ts';
import type { NetworkDescription } from '../models/network_description.ts';
import type { ExperimentInput, VictimKind } from './config.ts';

/** Presets by name, each in several sizes, the first of which is the default. */
export const PRESETS = { shallow: ['quick', 'full'], deep: ['tiny', 'small', 'paper'] } as const;
export type PresetName = keyof typeof PRESETS;
export type PresetSize<Name extends PresetName = PresetName> = (typeof PRESETS)[Name][number];

export interface PresetOptions<Name extends PresetName = PresetName> {
  readonly size?: PresetSize<Name>;
  /** Kind of victim, or the description of another network; the preset's by default. */
  readonly victim?: VictimKind | NetworkDescription;
  /** Size of the images; the preset's by default. */
  readonly images?: ImageSizeInput;
}

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

/** 2^from, 2^(from + 1), .. 2^to. */
const powersOfTwo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => 2 ** (from + i));

/** The differences between the sizes of the preset `deep`. The least number of steps is that on its procedural faces. */
const DEEP = {
  tiny: { pixels: 32, ndf: 8, ngf: 16, victimEpochs: 30, inversionEpochs: 40, batchSize: 32, rate: 1e-3, steps: 390 },
  small: { pixels: 32, ndf: 32, ngf: 32, victimEpochs: 60, inversionEpochs: 60, batchSize: 64, rate: 5e-4, steps: 360 },
  paper: {
    pixels: 64,
    ndf: 128,
    ngf: 128,
    victimEpochs: 100,
    inversionEpochs: 100,
    batchSize: 128,
    rate: 2e-4,
    steps: 300,
  },
} as const;

/** Layers that a preset sweeps, by kind of victim: those of the published sweep together, and each alone. */
const LAYERS: Record<VictimKind | 'network', { readonly all: string; readonly each: readonly string[] }> = {
  softmax: { all: 'all', each: [] },
  mlp: { all: 'both', each: ['fc1', 'fc2'] },
  'mlp-sigmoid': { all: 'both', each: ['fc1', 'fc2'] },
  dae: { all: 'all', each: ['fc1', 'fc2', 'fc3'] },
  yang: { all: 'fc1+fc2', each: ['fc1', 'fc2', 'conv1', 'conv2', 'conv3', 'conv4'] },
  network: { all: 'all', each: [] },
};

/** Training of a network that a user describes: Adam, and at least as many steps as on the procedural faces. */
const NETWORK_TRAINING: ExperimentInput['victim']['training'] = {
  epochs: 60,
  steps: 600,
  batchSize: 32,
  optimizer: { kind: 'adam', learningRate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: false },
  dropLast: true,
};

const kindOf = (victim: VictimKind | NetworkDescription) => (typeof victim === 'string' ? victim : victim.kind);

/**
 * The configuration of a preset. `shallow` is the published MI-Face protocol with its bugs fixed, `deep` that of the inversion
 * network: `full` and `paper` have the published widths, rates and draws, the smaller sizes answer the same questions in
 * minutes on a software adapter.
 * @returns input of parseExperiment, which the caller may change first
 * @throws ConfigError for a size that the preset does not have
 */
export function presetInput<Name extends PresetName>(name: Name, options: PresetOptions<Name> = {}): ExperimentInput {
  const sizes: readonly string[] = PRESETS[name];
  const size = options.size ?? sizes[0];
  if (!sizes.includes(size)) throw new ConfigError(`--preset ${size}: choose one of ${sizes.join(', ')}`);
  return name === 'shallow' ? shallow(size === 'full', options) : deep(size as PresetSize<'deep'>, options);
}

function shallow(full: boolean, { victim = 'mlp', images }: PresetOptions): ExperimentInput {
  const size = images ?? (victim === 'yang' ? { width: 32, height: 32 } : { width: 56, height: 64 });
  const { width, height } = size;
  const kind = kindOf(victim);
  const { all, each } = LAYERS[kind];
  return {
    data: {
      kind: 'procedural',
      width,
      height,
      people: 40,
      photographs: 10,
      trained: 7,
      public: { people: 40, photographs: 10 },
    },
    victim: victimOf(victim, 'tiny', full),
    format: { kind: 'fixed', bits: 12, exponent: 'per-tensor', headroom: 0, encoding: 'corrected' },
    granularity: 'load',
    sweeps: [...(full ? each : each.slice(0, 1)), all].map((layers) => ({
      layers,
      rates: full ? powersOfTwo(-12, -3) : powersOfTwo(-6, -3),
    })),
    draws: full ? 5 : 3,
    noise: { kinds: full ? ['gaussian', 'laplacian'] : ['gaussian'] },
    attacks: miFaceAttacks(kind, imageValues(size)),
    // The convolutional network is trained with small batches; classifying in the same size needs no further kernels.
    ...((kind === 'yang' || kind === 'network') && { evaluationBatch: DEEP.tiny.batchSize }),
  };
}

function deep(size: PresetSize<'deep'>, { victim = 'yang', images }: PresetOptions): ExperimentInput {
  const { pixels, ngf, inversionEpochs, batchSize, rate: learningRate } = DEEP[size];
  const { width, height } = images ?? { width: pixels, height: pixels };
  const { all, each } = LAYERS[kindOf(victim)];
  const both = victim === 'mlp' || victim === 'mlp-sigmoid' ? 'fc1+fc2' : all;
  const isSquare = width === height && (width === 32 || width === 64);
  return {
    data: {
      kind: 'procedural',
      width,
      height,
      people: 30,
      photographs: 20,
      trained: 0.7,
      public: { people: 150, photographs: 8 },
    },
    victim: victimOf(victim, size, size === 'paper'),
    // One bit of headroom, the least that the published format has.
    format: { kind: 'fixed', bits: 12, exponent: 'per-tensor', headroom: 1, encoding: 'corrected' },
    granularity: 'load',
    sweeps: [
      { layers: both, rates: PUBLISHED_DIAGONAL },
      ...each.map((layers) => ({ layers, rates: PUBLISHED_SINGLE })),
    ],
    draws: 5,
    noise: {
      kinds: ['gaussian', 'laplacian'],
      sets: [both, ...each.slice(0, 2)],
      matched: both,
      levels: { layers: both, ...PUBLISHED_LEVELS },
      moments: true,
    },
    attacks: [
      {
        kind: 'inversion',
        network: isSquare ? { kind: 'yang', ngf } : { kind: 'dense', hidden: [500] },
        training: { epochs: inversionEpochs, batchSize, learningRate },
        attackers: [{ name: 'direct' }, { name: 'floor', floor: 'faithful' }, { name: 'clipped', clip: 'observed' }],
      },
    ],
    photographs: 2,
    evaluationBatch: batchSize,
  };
}

/** A training with some fields changed. A number of epochs that is asked for replaces the preset's least number of steps. */
export function changedTraining<T extends { readonly epochs: number; readonly steps?: number }>(
  training: T,
  changes: Partial<T>,
): T {
  return { ...training, ...(changes.epochs !== undefined && { steps: undefined }), ...changes };
}

function victimOf(
  victim: VictimKind | NetworkDescription,
  size: PresetSize<'deep'>,
  full: boolean,
): ExperimentInput['victim'] {
  if (typeof victim !== 'string') return { kind: 'network', network: victim, training: NETWORK_TRAINING };
  return victim === 'yang' ? yangVictim(size) : denseVictim(victim, full);
}

function yangVictim(size: PresetSize<'deep'>): ExperimentInput['victim'] {
  const { ndf, victimEpochs, steps, batchSize, rate: learningRate } = DEEP[size];
  const betas: [number, number] = [0.5, 0.999];
  const optimizer = { kind: 'adam' as const, learningRate, betas, epsilon: 1e-8, amsgrad: true };
  return { kind: 'yang', ndf, training: { epochs: victimEpochs, steps, batchSize, optimizer, dropLast: true } };
}

function denseVictim(kind: Exclude<VictimKind, 'yang'>, full: boolean): ExperimentInput['victim'] {
  const small = { softmax: [], mlp: [200], 'mlp-sigmoid': [200], dae: [200, 60] }[kind];
  const published = { softmax: [], mlp: [1000], 'mlp-sigmoid': [3000], dae: [1000, 300] }[kind];
  const hasSigmoids = kind === 'mlp-sigmoid' || kind === 'dae';
  const epochs = full ? 100 : 40;
  return {
    kind,
    hidden: full ? published : small,
    training: {
      epochs,
      // As many as on the procedural faces.
      steps: full ? 300 : 200,
      batchSize: full ? 128 : 64,
      optimizer: hasSigmoids
        ? { kind: 'adam', learningRate: 1e-3, betas: [0.9, 0.999], epsilon: 1e-8, amsgrad: false }
        : { kind: 'sgd', learningRate: full ? 1e-3 : 4e-3, momentum: 0.9, weightDecay: 5e-4 },
      ...(kind === 'dae' && { reconstruction: { epochs, deviation: 0.1, learningRate: 1e-3 } }),
    },
  };
}

/** Steps scale with the square root of the number of values, total variation with the number; 92 x 112 gray has scale 1. */
function miFaceAttacks(victim: VictimKind | 'network', values: number): ExperimentInput['attacks'] {
  if (victim === 'dae') {
    const latent = { kind: 'mi-face', iterations: 60, process: { every: 10, strength: 0.1, sharpen: 0.3 } };
    return [
      { ...latent, start: 'zero', step: 1 },
      { ...latent, start: 'mean', step: 0.5 },
    ];
  }
  const scale = Math.sqrt(values / 10304);
  const inPixels = { kind: 'mi-face', iterations: 60, epsilon: 0.01, keep: 'last' };
  return [
    { ...inPixels, start: 'zero', step: 8 * scale, totalVariation: 5000 * scale ** 2 },
    { ...inPixels, start: 'mean', step: 4 * scale, totalVariation: 500 * scale ** 2 },
  ];
}

/**
 * The attacks of some kinds: those of the preset where it has them, otherwise the defaults of the registry.
 * @throws ConfigError for an unknown kind
 */
export function attacksOfKinds(
  kinds: readonly string[],
  input: Pick<ExperimentInput, 'attacks' | 'victim'>,
  images: ImageSizeInput,
): ExperimentInput['attacks'] {
  return kinds.flatMap((kind) => {
    const attack = ATTACKS.find((each) => each.kind === kind);
    if (!attack)
      throw new ConfigError(`--attack ${kind}: choose one of ${ATTACKS.map((each) => each.kind).join(', ')}`);
    const own = (input.attacks as { kind: string }[]).filter((each) => each.kind === kind);
    return own.length > 0 ? own : [attack.defaults({ ...images, latent: input.victim.kind === 'dae' })];
  });
}

/**
 * The two halves of the demo. The first is a shallow experiment on small faces; the second is a deep one whose trained networks come with
 * the project. Each has a bit error rate that costs its owner at most a point of accuracy, one that costs some, and one that ruins the
 * network, in as many draws as a software adapter measures in a minute.
 * @param tiny smaller experiments for tests: every step runs, but nothing is learned well
 */
export function demoInputs(tiny: boolean): { readonly shallow: ExperimentInput; readonly deep: ExperimentInput } {
  const shallowInput = presetInput('shallow', { images: tiny ? { width: 21, height: 24 } : undefined });
  const { victim, attacks: shallowAttacks } = shallowInput;
  const both = 'fc1+fc2';
  const draws = tiny ? 2 : 8;
  const deepInput = presetInput('deep');
  const [inversion] = deepInput.attacks as object[];
  // The demo takes a minute, as long as the training of its convolutional evaluators would.
  const evaluator = 'linear' as const;
  return {
    shallow: {
      ...shallowInput,
      // Six held-out photographs of each person teach the linear evaluator; public faces only give a mean face here.
      data: {
        ...shallowInput.data,
        photographs: 13,
        public: { people: 40, photographs: 4 },
      } as typeof shallowInput.data,
      // The stronger of the two attacks of the preset: both would take twice the time.
      attacks: (shallowAttacks as object[]).slice(-1),
      evaluator,
      ...(tiny && {
        victim: {
          ...victim,
          hidden: [32],
          training: changedTraining(victim.training, { epochs: 12 }),
        } as typeof victim,
      }),
      sweeps: [{ layers: 'both', rates: tiny ? [2 ** -6, 2 ** -3] : [2 ** -10, 2 ** -6, 2 ** -3] }],
      noise: { kinds: ['gaussian'] },
      draws,
    },
    deep: {
      ...deepInput,
      evaluator,
      // The attacker's network is not trained here, so the public faces of the tiny demo only give a mean face.
      ...(tiny && {
        data: { ...deepInput.data, photographs: 8, public: { people: 20, photographs: 4 } } as typeof deepInput.data,
      }),
      // Two bits of headroom, one more than the preset: in a network this small they show the published effect.
      format: { kind: 'fixed', bits: 12, headroom: 2 },
      sweeps: [{ layers: both, rates: tiny ? [2 ** -6] : [2 ** -10, 2 ** -8, 2 ** -5] }],
      noise: { kinds: ['gaussian'], sets: [both], matched: both },
      attacks: [{ ...inversion, attackers: [{ name: 'direct' }] }],
      photographs: 1,
      draws,
    },
  };
}
