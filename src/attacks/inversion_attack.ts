/**
 * The inversion network (Yang et al., CCS'19) as an attack of an experiment: trained on the victim's predictions for other
 * people's faces, it turns the prediction for a photograph back into that photograph.
 */

import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import { Arena } from '../gpu/arena.ts';
import { type ImageSizeInput, imageValues } from '../image_size.ts';
import { plainWeights } from '../layers/weights.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import { denseInversion } from '../models/specs.ts';
import type { TrainingConfig } from '../models/trainer.ts';
import { yangInversion } from '../models/yang.ts';
import {
  type Attack,
  type AttackContext,
  type AttackedVictim,
  type AttackOutput,
  type AttackResult,
  type BuiltAttack,
  type PreparedAttack,
  type Release,
  SPLITS,
  type SplitName,
} from './attack.ts';
import {
  type Alignment,
  alignLogits,
  InversionAttack,
  type InversionAttacker,
  Predictor,
  type Reconstructions,
  smallestLogConfidence,
} from './inversion.ts';

const whole = (low: number, high: number) =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const number = (low: number, high: number) => v.pipe(v.number('must be a number'), v.minValue(low), v.maxValue(high));

const Attacker = v.strictObject({
  name: v.pipe(
    v.string(),
    v.regex(/^[^\p{Cc}\p{Cs}\p{Cn}]{1,80}$/u, 'must have 1 to 80 printable characters'),
    v.description('Names the attacker in tables and figures.'),
  ),
  truncation: v.optional(
    v.pipe(whole(1, 65_536), v.description('How many of the largest confidences the attacker sees; all by default.')),
  ),
  floor: v.optional(
    v.pipe(
      v.picklist(['direct', 'faithful']),
      v.description(
        'direct: logarithms computed from the logits. faithful: as published, confidences that underflow count as -1000.',
      ),
    ),
    'direct',
  ),
  clip: v.optional(
    v.pipe(
      v.union([v.literal('observed'), number(-1000, 0)]),
      v.description(
        'Log-confidences below this are raised to it: a number, or observed, the smallest on public images before any ' +
          'error, rounded down to a whole number.',
      ),
    ),
  ),
});

const Inversion = v.strictObject({
  kind: v.literal('inversion'),
  network: v.pipe(
    v.variant('kind', [
      v.strictObject({
        kind: v.literal('yang'),
        ngf: v.pipe(whole(1, 1024), v.description('Channels before the last transposed convolution.')),
      }),
      v.strictObject({
        kind: v.literal('dense'),
        hidden: v.pipe(v.array(whole(1, 100_000)), v.description('Widths of the hidden layers.')),
      }),
    ]),
    v.description(
      'yang: transposed convolutions, for square images of 32 or 64 pixels. dense: for images of any size.',
    ),
  ),
  training: v.pipe(
    v.strictObject({
      epochs: whole(1, 100_000),
      batchSize: whole(2, 65_536),
      learningRate: number(0, 1e3),
    }),
    v.description("The network's training: the published recipe, Adam with AMSGrad, at this learning rate."),
  ),
  attackers: v.optional(
    v.pipe(
      v.array(Attacker),
      v.minLength(1, 'name at least one attacker'),
      v.description('Attackers that preprocess a prediction vector differently; each has its own result.'),
    ),
    [{ name: 'direct' }],
  ),
  splits: v.optional(
    v.pipe(
      v.array(v.picklist(SPLITS)),
      v.minLength(1, 'name at least one split'),
      v.description('Photographs that are attacked: held-out ones, or those that the victim was trained on.'),
    ),
    [...SPLITS],
  ),
});
export type InversionConfig = v.InferOutput<typeof Inversion>;
/** The options as a user gives them. */
export type InversionInput = v.InferInput<typeof Inversion>;

/** Outputs named `inversion, held-out`, or with several attackers `inversion floor, held-out`. */
function outputsOf({ attackers, splits }: InversionConfig): (AttackOutput & { readonly attacker: string })[] {
  return attackers.flatMap(({ name }) =>
    splits.map((split) => {
      const own = attackers.length > 1 ? ` ${name}` : '';
      const who = attackers.length > 1 ? ` (${name})` : '';
      const photographs = split === 'training' ? 'training photographs' : 'held-out photographs';
      const title = `Inversion network${who}, ${photographs}`;
      return { name: `inversion${own}, ${split}`, title, split, units: 1, attacker: name };
    }),
  );
}

export const INVERSION: Attack<InversionConfig> = {
  kind: 'inversion',
  title: 'Inversion network',
  onPhotographs: true,
  needsPublicFaces: true,
  description: 'A network that inverts predictions (Yang et al., CCS 2019), trained on other people’s faces.',
  schema: Inversion,
  access: () => 'scores',
  defaults({ width, height }) {
    const network = hasYangSize(width, height) ? { kind: 'yang', ngf: 16 } : { kind: 'dense', hidden: [500] };
    return { kind: 'inversion', network, training: { epochs: 40, batchSize: 32, learningRate: 1e-3 } } as const;
  },
  outputs: outputsOf,
  dependency({ attackers, splits: _, ...common }, output) {
    const { attacker } = outputsOf({ attackers, splits: [...SPLITS], ...common }).find(({ name }) => name === output)!;
    // The first attacker's network is shared by all whose prediction vectors equal the first attacker's.
    return { ...common, attacker: attackers.find(({ name }) => name === attacker), first: attackers[0] };
  },
  networks: (config, victim) => [
    {
      name: 'inversion',
      spec: inversionNetwork(config, victim.classes, victim),
      training: inversionTraining(config, victim.seed),
    },
  ],
  async prepare(config, context): Promise<PreparedAttack> {
    const networks = await trainNetworks(config, context);
    return {
      outputs: outputsOf(config),
      varies: false,
      build: (attacked) => BuiltInversion.build(config, context, networks, attacked),
      async invert({ victim, release }, photographs, indices) {
        const { gpu, batchSize } = context;
        const seen = release ? release.apply(victim) : victim;
        const attackers = attackersOf(networks, release);
        const attack = await InversionAttack.build(gpu, seen, photographs, indices, attackers, batchSize);
        try {
          return new Map([...(await attack.run())].map(([name, { images }]) => [name, images]));
        } finally {
          attack.destroy();
        }
      },
    };
  },
};

function hasYangSize(width: number, height: number): boolean {
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

/** Attackers with their networks, by the release whose confidences they learned from. */
type Networks = ReadonlyMap<Release | undefined, readonly InversionAttacker[]>;

/** Trains an inversion network per attacker and release; attackers with equal prediction vectors share one. */
async function trainNetworks(config: InversionConfig, context: AttackContext): Promise<Networks> {
  const { gpu, publicFaces, classes, seed } = context;
  if (!publicFaces) throw new Error('an inversion network needs public faces');
  const { data, indices } = publicFaces;
  const spec = inversionNetwork(config, classes, context);
  const arena = new Arena(gpu);
  const networks = new Map<Release | undefined, InversionAttacker[]>();
  const known: { readonly values: Float32Array; readonly weights: InversionAttacker['weights'] }[] = [];
  try {
    for (const release of [undefined, ...context.releases]) {
      const victim = release ? release.apply(context.exact) : context.exact;
      const predictor = await Predictor.build(gpu, victim, data, indices, context.batchSize);
      const logits = await predictor.run();
      predictor.destroy();
      // Rounded down because the device rounds too: a slightly larger clip would change the vectors that it was taken from.
      const observed = Math.floor(smallestLogConfidence(logits, classes));
      const attackers: InversionAttacker[] = [];
      for (const { name, truncation = classes, floor, clip } of config.attackers) {
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
        attackers.push({ name, alignment, layers: spec.layers, weights: network.weights });
      }
      networks.set(release, attackers);
    }
    return networks;
  } finally {
    arena.destroy();
  }
}

function attackersOf(networks: Networks, release: Release | undefined): readonly InversionAttacker[] {
  return [...networks].find(([each]) => each?.name === release?.name)![1];
}

class BuiltInversion implements BuiltAttack {
  readonly #config: InversionConfig;
  readonly #context: AttackContext;
  readonly #attack: InversionAttack;
  /** Reconstructions of all attackers from the memory as it is loaded now; computed at most once per load. */
  #found: Promise<Map<string, Reconstructions>> | undefined;

  private constructor(config: InversionConfig, context: AttackContext, attack: InversionAttack) {
    this.#config = config;
    this.#context = context;
    this.#attack = attack;
  }

  static async build(
    config: InversionConfig,
    context: AttackContext,
    networks: Networks,
    { victim, release }: AttackedVictim,
  ): Promise<BuiltInversion> {
    const { gpu, photographs, attacked, batchSize } = context;
    const seen = release ? release.apply(victim) : victim;
    const attackers = attackersOf(networks, release);
    const indices = Uint32Array.from(config.splits.flatMap((split) => [...attacked[split].indices]));
    const attack = await InversionAttack.build(gpu, seen, photographs, indices, attackers, batchSize);
    return new BuiltInversion(config, context, attack);
  }

  get plan(): string {
    return `inversion ${this.#attack.plan}`;
  }

  async run({ name }: AttackOutput): Promise<AttackResult[]> {
    this.#found ??= this.#attack.run();
    const { attacker, split } = outputsOf(this.#config).find((each) => each.name === name)!;
    const { images, failed, underflow } = (await this.#found).get(attacker)!;
    const { indices, persons } = this.#context.attacked[split];
    const first = this.#firstOf(split);
    const reconstructions = [...indices].map((photograph, i) => ({
      image: images[first + i],
      person: persons[i],
      photograph,
      failed: failed[first + i],
    }));
    return [{ reconstructions, queries: 1, underflow }];
  }

  /** Index of a split's first photograph among those that are attacked together. */
  #firstOf(split: SplitName): number {
    const before = this.#config.splits.slice(0, this.#config.splits.indexOf(split));
    return before.reduce((sum, each) => sum + this.#context.attacked[each].indices.length, 0);
  }

  forget(): void {
    this.#found = undefined;
  }

  destroy(): void {
    this.#attack.destroy();
  }
}
