import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { TrainingDefence } from './defence.ts';

const Share = v.pipe(v.number('must be a number'), v.minValue(0), v.maxValue(1));

const Area = (text: string) =>
  v.pipe(
    v.number('must be a number'),
    v.gtValue(0),
    v.ltValue(1),
    v.description(`${text} area, a share of the image.`),
  );

const Erasing = v.pipe(
  v.strictObject({
    probability: v.optional(
      v.pipe(
        Share,
        v.description('Probability that an image has an erased rectangle, drawn anew in every epoch, 0..1.'),
      ),
      0.5,
    ),
    least: v.optional(Area('Smallest'), 0.02),
    most: v.optional(Area('Largest'), 0.4),
  }),
  v.check(({ least, most }) => least <= most, 'least must not exceed most'),
);

type Erasing = v.InferOutput<typeof Erasing>;
type ErasingInput = Partial<Erasing>;

/**
 * Random erasing of training images (Zhong et al., AAAI 2020; the defaults are theirs). The victim never sees a whole face in one
 * step, which hinders model inversion (Tran et al., "Random erasing vs. model inversion", TMLR 2025).
 */
export const RANDOM_ERASING: TrainingDefence<Erasing, ErasingInput> = {
  stage: 'training',
  name: 'randomErasing',
  description: 'Trains on images of which a random rectangle is erased.',
  schema: Erasing as v.GenericSchema<ErasingInput, Erasing>,
  flags: [
    {
      flags: '--random-erasing <p>',
      description: 'train on images of which a random rectangle is erased with this probability',
      read(text, before) {
        const probability = text.trim() === '' ? Number.NaN : Number(text);
        if (!v.is(Share, probability)) throw new ConfigError(`--random-erasing ${text}: give a number in 0..1`);
        return { ...before, probability };
      },
    },
    {
      flags: '--erased-area <least,most>',
      description: 'its area, as shares of the image (default: 0.02,0.4)',
      read(text, before) {
        if (!before) throw new ConfigError('--erased-area: give --random-erasing too');
        const [least, most, more] = text.split(',').map(Number);
        const read = { ...before, least, most };
        if (more !== undefined || !v.is(Erasing, read)) {
          throw new ConfigError(`--erased-area ${text}: give two numbers above 0 and below 1, such as 0.02,0.4`);
        }
        return read;
      },
    },
  ],
  training: (erasing) => ({ erasing }),
};
