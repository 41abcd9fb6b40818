/**
 * Membership inference as an attack of an experiment: from the confidences that the victim releases for a photograph it judges
 * whether the victim was trained on that photograph. It returns no images.
 *
 * Members are training photographs of the attacked people, non-members as many held-out photographs of the same people: half of
 * the photographs are members. Shadow models are trained without errors by the victim's own recipe, each on a random half of the
 * photographs of the victim's people, members or not, so the attacker has all of these photographs, knows who is on them, and does
 * not know which the victim was trained on (the game of Carlini et al., S&P 2022).
 */
import * as v from 'valibot';
import { Arena } from '../gpu/arena.ts';
import { Random } from '../random.ts';
import type { Attack, AttackContext, AttackedVictim, AttackOutput, AttackResult, BuiltAttack } from './attack.ts';
import { Predictor } from './inversion.ts';
import { likelihoodRatios, scaledConfidence } from './lira.ts';

export const MembershipOptions = v.strictObject({
  kind: v.literal('membership'),
  shadows: v.optional(
    v.pipe(
      v.number('must be a number'),
      v.integer('must be a whole number'),
      v.minValue(4),
      v.maxValue(256),
      v.multipleOf(2, 'must be even'),
      v.description(
        'Shadow models of a likelihood-ratio test (LiRA, Carlini et al., S&P 2022): each is trained by the victim’s recipe on half of ' +
          'the photographs of its people. By default there is only the threshold on the loss (Yeom et al., CSF 2018).',
      ),
    ),
  ),
});
export type MembershipConfig = v.InferOutput<typeof MembershipOptions>;

/** First of the streams from which shadow models take their halves and their seeds (src/random.ts). */
const SHADOW_STREAMS = 2 ** 30 + 2 ** 16;

const LOSS: AttackOutput = { name: 'membership loss', title: 'Membership by the loss', units: 1 };

function outputsOf({ shadows }: MembershipConfig): AttackOutput[] {
  if (!shadows) return [LOSS];
  return [LOSS, { name: 'membership LiRA', title: `Membership by LiRA, ${shadows} shadow models`, units: 1 }];
}

const shadowName = (index: number) => `shadow-${index + 1}`;

export const MEMBERSHIP: Attack<MembershipConfig> = {
  kind: 'membership',
  title: 'Membership inference',
  onPhotographs: true,
  infersMembership: true,
  needsPublicFaces: false,
  description:
    'Membership inference (Yeom et al., CSF 2018; Carlini et al., S&P 2022): was the victim trained on this photograph? ' +
    'Shadow models are trained like the victim.',
  schema: MembershipOptions,
  access: () => 'scores',
  defaults: () => ({ kind: 'membership', shadows: 8 }),
  outputs: outputsOf,
  dependency: ({ kind, shadows }, output) => (output === LOSS.name ? { kind } : { kind, shadows }),
  networks: ({ shadows = 0 }, { spec, training }) =>
    Array.from({ length: shadows }, (_, index) => ({ name: shadowName(index), spec, training })),
  async prepare(config, context) {
    const judged = judgedPhotographs(context);
    const shadows = config.shadows ? await shadowScores(config.shadows, context, judged) : undefined;
    return {
      outputs: outputsOf(config),
      varies: false,
      build: (attacked: AttackedVictim) => BuiltMembership.build(context, judged, shadows, attacked),
    };
  },
};

/** Photographs whose membership is judged, and the person on each; the first half are members. */
interface Judged {
  readonly indices: Uint32Array;
  readonly persons: readonly number[];
}

/** As many training as held-out photographs of every attacked person, the first of each split. */
function judgedPhotographs({ splits, people }: AttackContext): Judged {
  const lists = (['training', 'held-out'] as const).map((split) => {
    const { indices, persons } = splits[split];
    return people.map((person) => [...indices].filter((_, i) => persons[i] === person));
  });
  const counts = people.map((_, i) => Math.min(...lists.map((own) => own[i].length)));
  return {
    indices: Uint32Array.from(lists.flatMap((own) => own.flatMap((photographs, i) => photographs.slice(0, counts[i])))),
    persons: lists.flatMap(() => people.flatMap((person, i) => Array<number>(counts[i]).fill(person))),
  };
}

/** Scores of the shadow models that were trained with and without each judged photograph, [photograph][model]. */
interface ShadowScores {
  readonly inside: readonly number[][];
  readonly outside: readonly number[][];
}

async function shadowScores(count: number, context: AttackContext, judged: Judged): Promise<ShadowScores> {
  const { gpu, photographs, batchSize, splits, seed } = context;
  const [inside, outside] = [judged, judged].map(({ persons }) => persons.map((): number[] => []));
  const indices = [...splits.training.indices, ...splits['held-out'].indices];
  const persons = [...splits.training.persons, ...splits['held-out'].persons];
  const everybody = [...new Set(persons)].map((person) => indices.filter((_, i) => persons[i] === person));
  for (let pair = 0; pair < count / 2; pair++) {
    // Of each pair one model is trained on a half and one on the other: every photograph is in as many models as it is not.
    const random = new Random(seed, SHADOW_STREAMS + pair);
    const first = new Set(
      everybody.flatMap((own, person) => random.shuffle([...own]).slice(0, (own.length + ((person + pair) % 2)) >> 1)),
    );
    for (const side of [0, 1]) {
      const half = indices.filter((photograph) => first.has(photograph) === (side === 0)).sort((a, b) => a - b);
      const arena = new Arena(gpu);
      try {
        const name = shadowName(2 * pair + side);
        const shadow = await context.shadow(name, Uint32Array.from(half), random.nextU32(), arena);
        const predictor = await Predictor.build(gpu, shadow, photographs, judged.indices, batchSize);
        const scores = await scoresOf(predictor, judged);
        predictor.destroy();
        const members = new Set(half);
        for (const [i, score] of scores.entries()) (members.has(judged.indices[i]) ? inside : outside)[i].push(score);
      } finally {
        arena.destroy();
      }
    }
  }
  return { inside, outside };
}

async function scoresOf(predictor: Predictor, { persons }: Judged): Promise<number[]> {
  const logits = await predictor.run();
  const classes = logits.length / persons.length;
  return persons.map((person, i) => scaledConfidence(logits.subarray(i * classes, (i + 1) * classes), person));
}

class BuiltMembership implements BuiltAttack {
  readonly #judged: Judged;
  readonly #shadows: ShadowScores | undefined;
  readonly #predictor: Predictor;
  /** Scores under the memory as it is loaded now. */
  #scores: Promise<number[]> | undefined;

  private constructor(judged: Judged, shadows: ShadowScores | undefined, predictor: Predictor) {
    this.#judged = judged;
    this.#shadows = shadows;
    this.#predictor = predictor;
  }

  static async build(
    { gpu, photographs, batchSize }: AttackContext,
    judged: Judged,
    shadows: ShadowScores | undefined,
    { victim, release }: AttackedVictim,
  ): Promise<BuiltMembership> {
    const seen = release ? release.apply(victim) : victim;
    const predictor = await Predictor.build(gpu, seen, photographs, judged.indices, batchSize);
    return new BuiltMembership(judged, shadows, predictor);
  }

  get plan(): string {
    return `membership ${this.#predictor.plan}`;
  }

  async run({ name }: AttackOutput): Promise<AttackResult[]> {
    this.#scores ??= scoresOf(this.#predictor, this.#judged);
    const scores = await this.#scores;
    const judged =
      name === LOSS.name ? scores : likelihoodRatios(scores, this.#shadows!.inside, this.#shadows!.outside);
    const memberships = judged.map((score, i) => ({ score, isMember: i < judged.length / 2 }));
    return [{ reconstructions: [], memberships, queries: 1 }];
  }

  forget(): void {
    this.#scores = undefined;
  }

  destroy(): void {
    this.#predictor.destroy();
  }
}
