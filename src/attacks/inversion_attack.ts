/**
 * The inversion network (Yang et al., CCS'19) as an attack of an experiment: trained on the victim's predictions for other
 * people's faces, it turns the prediction for a photograph back into that photograph.
 */

import { AdaptiveAttackers, learnedReads } from './adaptive_inversion.ts';
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
import { InversionAttack, type Reconstructions } from './inversion.ts';
import { type AttackerConfig, type InversionConfig, InversionOptions } from './inversion_config.ts';
import {
  hasYangSize,
  inversionNetwork,
  inversionTraining,
  type TrainedAttackers,
  trainNetworks,
} from './inversion_networks.ts';
import { RepeatedInversion } from './repeated_inversion.ts';
import type { RepeatedReads } from './repeated_reads.ts';

/** Outputs named `inversion, held-out`, or with several attackers `inversion floor, held-out`. */
function outputsOf({ attackers, splits }: InversionConfig): Required<Omit<AttackOutput, 'prior' | 'isControl'>>[] {
  return attackers.flatMap((attacker) =>
    splits.map((split) => {
      const { name, reads = 1, learns } = attacker;
      const own = attackers.length > 1 ? ` ${name}` : '';
      const who = attackers.length > 1 ? ` (${name})` : '';
      const photographs = split === 'training' ? 'training photographs' : 'held-out photographs';
      const title = `Inversion network${who}${adaptationText(attacker)}, ${photographs}`;
      return { name: `inversion${own}, ${split}`, title, split, units: reads + (learns?.maps ?? 0), attacker: name };
    }),
  );
}

function adaptationText({ reads, temperature, learns }: AttackerConfig): string {
  return [
    ...(reads ? [`, mean of ${reads} answers`] : []),
    ...(temperature ? [', recalibrated'] : []),
    ...(learns ? [', trained on errors'] : []),
  ].join('');
}

/** True for an attacker who does more than invert one answer. */
function adapts({ reads, temperature, learns }: AttackerConfig): boolean {
  return reads !== undefined || temperature !== undefined || learns !== undefined;
}

export const INVERSION: Attack<InversionConfig> = {
  kind: 'inversion',
  title: 'Inversion network',
  onPhotographs: true,
  needsPublicFaces: true,
  description: 'A network that inverts predictions (Yang et al., CCS 2019), trained on other people’s faces.',
  schema: InversionOptions,
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
  networks(config, victim) {
    const spec = inversionNetwork(config, victim.classes, victim);
    const training = inversionTraining(config, victim.seed);
    const learning = config.attackers.filter(({ learns }) => learns);
    const names = ['inversion', ...learning.map(({ name }) => `inversion ${name}, for every condition`)];
    return names.map((name) => ({ name, spec, training }));
  },
  async prepare(config, context): Promise<PreparedAttack> {
    const networks = await trainNetworks(config, context);
    return {
      outputs: outputsOf(config),
      varies: false,
      keepsPublicFaces: config.attackers.some(({ temperature, learns }) => learns || temperature === 'matched'),
      build: (attacked) => BuiltInversion.build(config, context, networks, attacked),
      async invert({ victim, release }, photographs, indices) {
        const { gpu, batchSize } = context;
        const seen = release ? release.apply(victim) : victim;
        const { attackers } = trainedUnder(release, networks);
        const own = attackers.filter((_, i) => !adapts(config.attackers[i]));
        if (own.length === 0) return new Map();
        const attack = await InversionAttack.build(gpu, seen, photographs, indices, own, batchSize);
        try {
          return new Map([...(await attack.run())].map(([name, { images }]) => [name, images]));
        } finally {
          attack.destroy();
        }
      },
    };
  },
};

function trainedUnder(release: Release | undefined, trained: readonly TrainedAttackers[]): TrainedAttackers {
  return trained.find((each) => each.release?.name === release?.name)!;
}

/** Attackers who adapt, and the programs of their attack. */
interface AdaptiveAttack {
  readonly attackers: AdaptiveAttackers;
  readonly inversion: RepeatedInversion;
}

class BuiltInversion implements BuiltAttack {
  readonly #config: InversionConfig;
  readonly #context: AttackContext;
  readonly #reads: RepeatedReads;
  /** The attackers who invert one answer, and those who adapt to errors. */
  readonly #plain: InversionAttack | undefined;
  readonly #adaptive: AdaptiveAttack | undefined;
  /** Reconstructions of all attackers from the memory as it is loaded now; computed at most once per load. */
  readonly #found = new Map<'plain' | 'adaptive', Promise<Map<string, Reconstructions>>>();

  private constructor(
    config: InversionConfig,
    context: AttackContext,
    reads: RepeatedReads,
    plain: InversionAttack | undefined,
    adaptive: AdaptiveAttack | undefined,
  ) {
    this.#config = config;
    this.#context = context;
    this.#reads = reads;
    this.#plain = plain;
    this.#adaptive = adaptive;
  }

  static async build(
    config: InversionConfig,
    context: AttackContext,
    trained: readonly TrainedAttackers[],
    { victim, release, reads }: AttackedVictim,
  ): Promise<BuiltInversion> {
    const { gpu, photographs, attacked, batchSize } = context;
    const seen = release ? release.apply(victim) : victim;
    const known = trainedUnder(release, trained);
    const indices = Uint32Array.from(config.splits.flatMap((split) => [...attacked[split].indices]));
    const once = known.attackers.filter((_, i) => !adapts(config.attackers[i]));
    const plain =
      once.length > 0 ? await InversionAttack.build(gpu, seen, photographs, indices, once, batchSize) : undefined;
    if (once.length === known.attackers.length) return new BuiltInversion(config, context, reads, plain, undefined);
    const attackers = new AdaptiveAttackers(config, context, known, seen, reads);
    const own = attackers.attackers;
    const inversion = await RepeatedInversion.build(gpu, seen, photographs, indices, own, batchSize);
    return new BuiltInversion(config, context, reads, plain, { attackers, inversion });
  }

  get plan(): string {
    return `inversion ${[this.#plain?.plan, this.#adaptive?.inversion.plan].filter(Boolean).join(', ')}`;
  }

  async run({ name }: AttackOutput, draws: readonly number[]): Promise<AttackResult[]> {
    const { attacker, split } = outputsOf(this.#config).find((each) => each.name === name)!;
    const config = this.#config.attackers.find((each) => each.name === attacker)!;
    const { images, failed, underflow } = (await this.#reconstructions(adapts(config), draws)).get(attacker)!;
    const { indices, persons } = this.#context.attacked[split];
    const first = this.#firstOf(split);
    const reconstructions = [...indices].map((photograph, i) => ({
      image: images[first + i],
      person: persons[i],
      photograph,
      failed: failed[first + i],
    }));
    const { reads = 1 } = config;
    const reloads = reads - 1 + learnedReads(config);
    const waited = this.#reads.needReloads() && reloads > 0 ? { reloads } : {};
    return [{ reconstructions, queries: reads, ...waited, underflow }];
  }

  #reconstructions(adaptive: boolean, draws: readonly number[]): Promise<Map<string, Reconstructions>> {
    const name = adaptive ? 'adaptive' : 'plain';
    const found = this.#found.get(name) ?? (adaptive ? this.#adapt(draws) : this.#plain!.run());
    this.#found.set(name, found);
    return found;
  }

  async #adapt(draws: readonly number[]): Promise<Map<string, Reconstructions>> {
    const { attackers, inversion } = this.#adaptive!;
    const temperatures = await attackers.adapt(draws);
    return inversion.run((read) => this.#reads.select(draws, read), temperatures);
  }

  /** Index of a split's first photograph among those that are attacked together. */
  #firstOf(split: SplitName): number {
    const before = this.#config.splits.slice(0, this.#config.splits.indexOf(split));
    return before.reduce((sum, each) => sum + this.#context.attacked[each].indices.length, 0);
  }

  forget(): void {
    this.#found.clear();
  }

  destroy(): void {
    this.#plain?.destroy();
    this.#adaptive?.inversion.destroy();
    this.#adaptive?.attackers.destroy();
  }
}
