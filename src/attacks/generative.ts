/**
 * An attack with a generative prior, of the class of GMI (Zhang et al., CVPR 2020), PLG-MI and PPA (Struppek et al., ICML 2022). The
 * attacker has learned from public faces what faces look like (src/attacks/generative_prior.ts) and searches only among those for
 * one that the victim takes for the person. Steps as in PPA: many faces are drawn from the prior, for every person the search starts
 * from those of which the victim is most confident, and of the results the one is kept of which it is most confident while the
 * image is moved. A second output shows what the prior draws without the victim: a plausible face is not yet the person's.
 */
import { standardNormals } from '../models/gaussian.ts';
import { Random } from '../random.ts';
import type { Attack, AttackOutput, BuiltAttack, PreparedAttack } from './attack.ts';
import { type GenerativeConfig, GenerativeOptions } from './generative_config.ts';
import { GenerativePrior, PRIOR_FILE, priorNetwork, priorTraining } from './generative_prior.ts';
import { GenerativeSearch } from './generative_search.ts';

/** First stream of the faces that the prior draws; one each (src/random.ts). The control's faces come after the candidates'. */
const STREAMS = 2 ** 30 + 2 ** 18;

/** Faces per person that the control draws. None of them knows anything of the person: their scores are averaged. */
const CONTROL_FACES = 4;

const CONTROL: AttackOutput = {
  name: 'generative prior, no victim',
  title: 'Generative prior, without the victim',
  split: 'training',
  isControl: true,
  units: 1,
};

function outputsOf({ starts, iterations, reads, control }: GenerativeConfig): readonly AttackOutput[] {
  const [name, title] = reads ? [` ${reads} reads`, `, mean of ${reads} reads`] : ['', ''];
  const units = starts * iterations * (reads ?? 1);
  const found = {
    name: `generative prior${name}`,
    title: `Generative prior${title}`,
    split: 'training',
    units,
  } as const;
  return control ? [found, CONTROL] : [found];
}

export const GENERATIVE: Attack<GenerativeConfig> = {
  kind: 'generative',
  title: 'Generative prior',
  onPhotographs: false,
  needsPublicFaces: true,
  description:
    'A decoder that was trained on other people’s faces makes the images (the class of GMI, CVPR 2020, and PPA, ICML 2022): the ' +
    'attack searches its latent space.',
  schema: GenerativeOptions,
  access: () => 'white-box',
  // A training takes less than a quarter of an hour on two cores: 5 minutes for images of 32 x 32 pixels, 10 for 92 x 112.
  defaults({ width, height }) {
    const side = Math.max(width, height);
    return {
      kind: 'generative',
      filters: Math.min(16, Math.max(4, 4 * Math.round(128 / side))),
      training: { steps: side > 64 ? 750 : 1500, batchSize: 32, learningRate: 2e-3 },
    };
  },
  outputs: outputsOf,
  dependency({ control: _, ...config }, output) {
    const { kind, filters, code, training, candidates } = config;
    return output === CONTROL.name ? { kind, filters, code, training, candidates } : config;
  },
  networks: (config, victim) => [
    {
      name: PRIOR_FILE,
      spec: priorNetwork(config, victim),
      training: priorTraining(config, victim.seed),
      isShared: true,
    },
  ],
  async prepare(config, context): Promise<PreparedAttack> {
    const { gpu, people, seed } = context;
    const prior = await GenerativePrior.train(config, context);
    const draw = (count: number, first: number) =>
      Array.from({ length: count }, (_, i) => standardNormals(new Random(seed, STREAMS + first + i), prior.size));
    const candidates = draw(config.candidates, 0);
    const images = await prior.faces(gpu, candidates);
    const control = await prior.faces(gpu, draw(CONTROL_FACES * people.length, config.candidates));
    const outputs = outputsOf(config).map((each) => (each === CONTROL ? each : { ...each, prior: prior.quality }));
    return {
      outputs,
      // The faces that the prior draws are the same for all draws of the memory.
      varies: false,
      // Images, moved images, their gradients, and the layers of the decoder, for every start and read; and the candidates.
      imagesPerDraw: 12 * config.starts * (config.reads ?? 1) + (2 * config.candidates) / people.length,
      async build(attacked): Promise<BuiltAttack> {
        const built = await GenerativeSearch.build(context, attacked, prior, { codes: candidates, images }, config);
        return {
          plan: `generative prior ${built.plan}`,
          async run({ name }, draws, tick) {
            if (name !== CONTROL.name) return built.run(draws, tick);
            const reconstructions = control.map((image, i) => ({ image, person: people[i % people.length] }));
            return draws.map(() => ({ reconstructions, queries: 0 }));
          },
          destroy: () => built.destroy(),
        };
      },
    };
  },
};
