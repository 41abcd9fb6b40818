/** The networks of inversion attackers: their shapes, and their training on the victim's predictions for public faces. */
import { ConfigError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import { type ImageSizeInput, imageValues } from '../image_size.ts';
import { plainWeights } from '../layers/weights.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { denseInversion } from '../models/specs.ts';
import type { TrainingConfig } from '../models/training_config.ts';
import { yangInversion } from '../models/yang.ts';
import type { AttackContext, Release } from './attack.ts';
import { type Alignment, alignLogits, Predictor, smallestLogConfidence } from './inversion.ts';
import type { InversionConfig } from './inversion_config.ts';
import { meanEntropy } from './recalibration.ts';
import type { RepeatingAttacker } from './repeated_inversion.ts';

export function hasYangSize(width: number, height: number): boolean {
  return width === height && (width === 32 || width === 64);
}

/** The network of a configuration. @param classes length of a prediction vector. @throws ConfigError */
export function inversionNetwork(
  { network }: Pick<InversionConfig, 'network'>,
  classes: number,
  size: ImageSizeInput,
): ModelSpec {
  const { width, height, channels } = size;
  if (network.kind === 'dense') {
    return denseInversion({ kind: 'dense-inversion', classes, hidden: network.hidden, pixels: imageValues(size) });
  }
  if (!hasYangSize(width, height)) {
    throw new ConfigError(
      `attacks: the inversion network yang gives images of 32x32 or 64x64 pixels, these have ${width}x${height}; ` +
        'use the network dense, or images of that size',
    );
  }
  const colour = channels === 3 ? { channels } : {};
  return yangInversion({ kind: 'yang-inversion', size: width, ...colour, ngf: network.ngf, classes });
}

/** The published recipe, Adam with AMSGrad, at the configuration's learning rate. */
export function inversionTraining({ training }: Pick<InversionConfig, 'training'>, seed: number): TrainingConfig {
  const { learningRate, ...rest } = training;
  const optimizer = { kind: 'adam', learningRate, betas: [0.5, 0.999], epsilon: 1e-8, amsgrad: true } as const;
  return { ...rest, optimizer, dropLast: true, seed };
}

/** The attackers under one change of the released confidences, with the networks that they trained without errors. */
export interface TrainedAttackers {
  readonly release: Release | undefined;
  readonly attackers: readonly RepeatingAttacker[];
  /** Mean entropy of the victim's predictions for the public faces, in nats. */
  readonly entropy: number;
}

/** Trains an inversion network per attacker and release; attackers with equal prediction vectors share one. */
export async function trainNetworks(config: InversionConfig, context: AttackContext): Promise<TrainedAttackers[]> {
  const { gpu, publicFaces, classes, seed } = context;
  if (!publicFaces) throw new Error('an inversion network needs public faces');
  const { data, indices } = publicFaces;
  const spec = inversionNetwork(config, classes, context);
  const arena = new Arena(gpu);
  const trained: TrainedAttackers[] = [];
  const known: { readonly values: Float32Array; readonly weights: RepeatingAttacker['weights'] }[] = [];
  try {
    for (const release of [undefined, ...context.releases]) {
      const victim = release ? release.apply(context.exact) : context.exact;
      const predictor = await Predictor.build(gpu, victim, data, indices, context.batchSize);
      const logits = await predictor.run();
      predictor.destroy();
      // Rounded down because the device rounds too: a slightly larger clip would change the vectors that it was taken from.
      const observed = Math.floor(smallestLogConfidence(logits, classes));
      const attackers: RepeatingAttacker[] = [];
      for (const { name, truncation = classes, floor, clip, reads = 1 } of config.attackers) {
        const alignment: Alignment = { truncation, floor, clip: clip === 'observed' ? observed : clip };
        const { vectors, values } = await alignLogits(arena, logits, classes, alignment);
        let network = known.find((other) => other.values.every((value, i) => Object.is(value, values[i])));
        if (!network) {
          // No attacker has a line break in its name, so no attacker's name is that of another one under a release.
          const own = release ? `inversion-${name}\n${release.name}` : `inversion-${name}`;
          const file = known.length === 0 ? 'inversion' : own;
          const training = inversionTraining(config, seed);
          const parameters = await context.network(file, spec, { ...data, vectors }, indices, training, values);
          network = { values, weights: plainWeights(parameters) };
          known.push(network);
        }
        attackers.push({ name, alignment, layers: spec.layers, weights: network.weights, reads });
      }
      trained.push({ release, attackers, entropy: meanEntropy(logits, classes) });
    }
    return trained;
  } finally {
    arena.destroy();
  }
}
