/** The options of MI-Face as data: they are validated once and written into the manifest. */
import * as v from 'valibot';
import { MOST_READS } from './repeated_reads.ts';

// The type leaves the text out, which would triple the type declarations.
const described = <T>(text: string) => v.description<T, string>(text);
const whole = (low: number, high: number): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.integer('must be a whole number'), v.minValue(low), v.maxValue(high));
const number = (low: number, high: number): v.GenericSchema<number> =>
  v.pipe(v.number('must be a number'), v.minValue(low), v.maxValue(high));

/**
 * The start of an attack: a black image, the attacker's mean face, the mean of the photographs that the victim was trained on, or
 * noise.
 */
export const STARTS = ['zero', 'mean', 'training-mean', 'noise'] as const;

export const MiFaceOptions = v.strictObject({
  kind: v.literal('mi-face'),
  start: v.pipe(
    v.picklist(STARTS),
    described(
      'Where the attack starts: a black image (zero), the mean of the public faces or, without any, of the victim’s training ' +
        'photographs (mean), the latter in any case (training-mean), or noise.',
    ),
  ),
  cost: v.optional(
    v.pipe(
      v.picklist(['oneMinusConfidence', 'negativeLogConfidence']),
      described('The cost that is minimised: 1 - f_c(x) as in the paper, or -log f_c(x).'),
    ),
    'negativeLogConfidence',
  ),
  iterations: v.pipe(whole(1, 1_000_000), described("Largest number of iterations: Fredrikson's alpha.")),
  beta: v.optional(
    v.pipe(
      v.nullable(whole(1, 1_000_000)),
      described('A class stops after this number of iterations without a lower objective; null for never.'),
    ),
    null,
  ),
  gamma: v.optional(
    v.pipe(v.nullable(v.number()), described('A class stops when its objective is at most this; null for never.')),
    null,
  ),
  step: v.pipe(
    number(0, 1e6),
    described('Length of a step; with normalised gradients an L2 norm over the image, in pixel units (0..1).'),
  ),
  schedule: v.optional(
    v.pipe(v.picklist(['constant', 'linear']), described('linear: the step falls to zero over the iterations.')),
    'linear',
  ),
  momentum: v.optional(v.pipe(number(0, 0.999999), described('Momentum of the steps, 0..1, 1 excluded.')), 0),
  keep: v.optional(
    v.pipe(
      v.picklist(['best', 'last']),
      described(
        'Which image of a class is the result: the one of the lowest objective, as in the paper, or the one where the class ' +
          'stopped. Normalised, shrinking steps under strong total variation do not lower the objective: keep the last.',
      ),
    ),
    'best',
  ),
  normalise: v.optional(v.pipe(v.boolean(), described('Divide the gradient of every image by its L2 norm.')), true),
  totalVariation: v.optional(
    v.pipe(number(0, 1e9), described("Weight of the mean total variation in the objective (the paper's AuxInfo).")),
    0,
  ),
  epsilon: v.optional(v.pipe(number(1e-12, 1), described('Smoothing of the total variation at zero, above 0.')), 0.01),
  process: v.optional(
    v.pipe(
      v.strictObject({
        every: v.pipe(whole(1, 1_000_000), described('Iterations between two PROCESS steps.')),
        strength: v.pipe(number(1e-6, 10), described('Strength of the non-local means filter, in pixel units (0..1).')),
        sharpen: v.pipe(number(0, 100), described('Amount of the unsharp mask.')),
      }),
      described('PROCESS of Fredrikson et al.: every few iterations the images are denoised and sharpened.'),
    ),
  ),
  reads: v.optional(
    v.pipe(
      whole(2, MOST_READS),
      described(
        'How often the attacker reads the weights: objective and gradient of every iteration are the mean over these reads ' +
          '(expectation over fault maps). Where faults are drawn with every load, the reads are that many loads, the same in ' +
          'all iterations; at pass and inference every iteration reads anew. One read by default.',
      ),
    ),
  ),
  combine: v.optional(
    v.pipe(
      v.picklist(['gradients', 'votes']),
      described(
        'What the attacker does with several reads: gradients, averages gradients and objectives (default), or votes, takes ' +
          'every stored bit as most reads return it, and attacks the weights that it recovers.',
      ),
    ),
  ),
  shift: v.optional(
    v.pipe(
      whole(1, 64),
      described(
        'In every read the victim sees the image moved by up to this number of pixels, at random: expectation over ' +
          'transformations. Not for black-box attacks or an attack in latent space.',
      ),
    ),
  ),
  search: v.optional(
    v.pipe(
      v.strictObject({
        directions: v.pipe(
          whole(1, 4096),
          described('Random directions per iteration; each costs two queries per class.'),
        ),
        sigma: v.pipe(number(1e-6, 10), described('Length of the difference along a direction, in pixel units.')),
        cell: v.pipe(whole(1, 64), described('Side of the square of pixels that share a value of a direction.')),
        distribution: v.optional(
          v.pipe(
            v.picklist(['signs', 'gaussian']),
            described(
              'Values of a direction: signs (default: simultaneous perturbation, Spall 1992) or normal numbers (gaussian: NES, ' +
                'as used against classifiers by Ilyas et al., ICML 2018), of which sigma is then the deviation.',
            ),
          ),
        ),
      }),
      described(
        'If present, a black-box attack: it sees released confidences only, and estimates gradients by finite differences along ' +
          'pairs of opposite directions.',
      ),
    ),
  ),
});

/** The options of MI-Face with every default filled in. */
export type MiFaceConfig = v.InferOutput<typeof MiFaceOptions>;
/** The options as a user gives them. */
export type MiFaceInput = v.InferInput<typeof MiFaceOptions>;

/** Fills in the options of MI-Face that are not given: a black start, and the defaults. @throws ValiError */
export function miFaceOptions(input: Partial<MiFaceInput> & Pick<MiFaceInput, 'iterations' | 'step'>): MiFaceConfig {
  return v.parse(MiFaceOptions, { kind: 'mi-face', start: 'zero', ...input });
}

/** What is wrong with options that contradict each other; undefined if nothing is. */
export function miFaceContradiction({ reads, combine, search, shift }: MiFaceConfig): string | undefined {
  if (combine && !reads) return 'combine: there is nothing to combine; give the number of reads';
  if (search && combine === 'votes')
    return 'combine: a black-box attacker cannot read the bits of the weights; use gradients';
  if (search && shift) return 'shift: only an attack that follows the gradient of the victim moves images';
  return undefined;
}
