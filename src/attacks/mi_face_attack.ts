/** MI-Face as an attack of an experiment: it makes an image of every attacked person and needs only the victim. */
import { imageValues } from '../image_size.ts';
import type { Victim } from '../models/victim.ts';
import { Random } from '../random.ts';
import type {
  Attack,
  AttackContext,
  AttackedVictim,
  AttackOutput,
  AttackResult,
  BuiltAttack,
  MeanFaceOf,
  PreparedAttack,
  Tick,
} from './attack.ts';
import { MiFace, searchKey } from './mi_face.ts';
import { type MiFaceConfig, MiFaceOptions, miFaceContradiction } from './mi_face_config.ts';
import type { HeldReads, RepeatedReads } from './repeated_reads.ts';

const TRAINING_MEAN = 'the mean of the victim’s training photographs';

function startedFrom(start: MiFaceConfig['start'], meanOf: MeanFaceOf | undefined): string {
  const mean = { public: 'the mean of public faces', training: TRAINING_MEAN };
  const names = { zero: 'a black image', 'training-mean': TRAINING_MEAN, noise: 'noise' };
  return start === 'mean' ? (meanOf ? mean[meanOf] : 'a mean face') : names[start];
}

/** The output of a configuration. Its name is `mi-face zero`, followed by the differences from the plain white-box attack. */
function outputOf(config: MiFaceConfig, meanOf?: MeanFaceOf): AttackOutput {
  const { start, search, process, reads, combine, shift, iterations } = config;
  const votes = combine === 'votes';
  // Each difference in a name and in a title.
  const differences = [
    ...(search ? [search.distribution === 'gaussian' ? ['NES', 'black box (NES)'] : ['black-box', 'black box']] : []),
    ...(process ? [['PROCESS', 'with PROCESS']] : []),
    ...(reads
      ? [votes ? [`${reads} votes`, `majority of ${reads} reads`] : [`${reads} reads`, `mean of ${reads} reads`]]
      : []),
    ...(shift ? [[`shift ${shift}`, `moved by up to ${shift} pixels`]] : []),
  ];
  const name = ['mi-face', start, ...differences.map(([short]) => short)].join(' ');
  const title = `MI-Face from ${startedFrom(start, meanOf)}${differences.map(([, long]) => `, ${long}`).join('')}`;
  return { name, title, split: 'training', units: iterations * (votes ? 1 : (reads ?? 1)) };
}

export const MI_FACE: Attack<MiFaceConfig> = {
  kind: 'mi-face',
  title: 'MI-Face',
  onPhotographs: false,
  needsPublicFaces: false,
  description:
    'MI-Face (Fredrikson et al., CCS 2015): moves the pixels along the gradient so that the victim recognises the person.',
  schema: MiFaceOptions,
  contradiction: miFaceContradiction,
  access: ({ search }) => (search ? 'scores' : 'white-box'),
  defaults({ latent, ...size }) {
    if (latent) return { kind: 'mi-face', start: 'zero', iterations: 60, step: 1 };
    // The step scales with the square root of the number of values, the weight of total variation with that number.
    const scale = Math.sqrt(imageValues(size) / 10304);
    const input = { kind: 'mi-face', start: 'zero', iterations: 60, keep: 'last' } as const;
    return { ...input, step: 8 * scale, totalVariation: 5000 * scale ** 2 };
  },
  outputs: (config, meanOf) => [outputOf(config, meanOf)],
  async prepare(config, context): Promise<PreparedAttack> {
    const { classes, people } = context;
    const { reads = 1 } = config;
    // For every further read a gradient, and the product of the layers, which is an image per class.
    const perRead = 1 + classes / people.length;
    return {
      outputs: [outputOf(config)],
      // Black and mean starts do not change from draw to draw; random directions and shifts do.
      varies: config.start === 'noise' || config.search !== undefined || config.shift !== undefined,
      // x, velocity, gradient and the retained image, one more with PROCESS. Random directions and shifts are those of one draw.
      imagesPerDraw: config.search || config.shift ? undefined : (config.process ? 5 : 4) + (reads - 1) * perRead,
      build: (attacked) => BuiltMiFace.build(config, context, attacked),
    };
  },
};

class BuiltMiFace implements BuiltAttack {
  readonly #config: MiFaceConfig;
  readonly #context: AttackContext;
  readonly #attack: MiFace;
  readonly #reads: RepeatedReads;
  /** The reads over which gradients are averaged, where there are several. */
  readonly #held: HeldReads | undefined;

  private constructor(
    config: MiFaceConfig,
    context: AttackContext,
    attack: MiFace,
    reads: RepeatedReads,
    held: HeldReads | undefined,
  ) {
    this.#config = config;
    this.#context = context;
    this.#attack = attack;
    this.#reads = reads;
    this.#held = held;
  }

  static async build(
    config: MiFaceConfig,
    context: AttackContext,
    { search: { victim, space }, release, reads }: AttackedVictim,
  ): Promise<BuiltMiFace> {
    const targets = Array.from({ length: victim.draws }, () => context.people).flat();
    const votes = config.combine === 'votes';
    const held = config.reads && (await (votes ? reads.vote(config.reads) : reads.hold(config.reads)));
    // A white-box attack reads the weights: a change of the released confidences has no effect on it.
    const seen = (each: Victim) => (config.search && release ? release.apply(each) : each);
    const again = held && !votes ? { victims: seenOnce(held.victims, seen), select: held.select } : undefined;
    const attacked = held ? held.victims[0] : victim;
    const attack = await MiFace.build(context.gpu, seen(attacked), space, targets, config, again);
    return new BuiltMiFace(config, context, attack, reads, held || undefined);
  }

  get plan(): string {
    return `${outputOf(this.#config).name} ${this.#attack.plan}`;
  }

  async run(_output: AttackOutput, draws: readonly number[], tick: Tick): Promise<AttackResult[]> {
    const { people, seed } = this.#context;
    const starts = draws.flatMap((draw) => this.#starts(draw));
    await this.#held?.begin(draws);
    const images = async () => (await this.#attack.results()).map(({ image }) => image);
    const results = await this.#attack.run(starts, searchKey(seed, draws[0]), (iteration) => tick(iteration, images));
    // Every image that is judged was classified, and for a black box so were two images per direction.
    const { search, combine, reads = 1 } = this.#config;
    const queriesPerImage = (combine === 'votes' ? 1 : reads) * (1 + 2 * (search?.directions ?? 0));
    const reloads = reads > 1 && this.#reads.needReloads() ? { reloads: reads - 1 } : {};
    return draws.map((_, i) => {
      const [first, end] = [i * people.length, (i + 1) * people.length];
      const own = results.slice(first, end);
      return {
        reconstructions: own.map(({ image, target, failed }, person) => ({
          image,
          person: target,
          failed: failed || image.every((value, k) => value === starts[first + person][k]),
        })),
        queries: (own.reduce((sum, { iterations }) => sum + iterations + 1, 0) / own.length) * queriesPerImage,
        ...reloads,
      };
    });
  }

  #starts(draw: number): Float32Array[] {
    const { people, meanFace, trainingMean, seed } = this.#context;
    const { start } = this.#config;
    return people.map((target) => {
      if (start === 'mean') return meanFace;
      if (start === 'training-mean') return trainingMean;
      const image = new Float32Array(imageValues(this.#context));
      if (start === 'noise') {
        const random = new Random(seed, 1 + draw * 0x10000 + target);
        for (let i = 0; i < image.length; i++) image[i] = random.nextU32() / 2 ** 32;
      }
      return image;
    });
  }

  destroy(): void {
    this.#attack.destroy();
    this.#held?.destroy();
  }
}

/** The victims as the attacker sees them; a victim that occurs several times stays one object. */
export function seenOnce(victims: readonly Victim[], seen: (victim: Victim) => Victim): Victim[] {
  const known = new Map([...new Set(victims)].map((victim) => [victim, seen(victim)]));
  return victims.map((victim) => known.get(victim)!);
}
