import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { Dependence } from '../models/dependence_penalty.ts';
import type { TrainingDefence } from './defence.ts';

const Weight = v.pipe(v.number('must be a number'), v.minValue(0), v.maxValue(1e9));

const Bido = v.strictObject({
  input: v.pipe(Weight, v.description('Factor of the dependence of hidden values on the image, 0..1e9.')),
  labels: v.pipe(Weight, v.description('Factor of their dependence on the label, which is subtracted, 0..1e9.')),
});

/**
 * Bilateral dependency optimisation (Peng et al., KDD 2022; src/models/dependence_penalty.ts): the loss gets
 * input * sum_j HSIC(X, Z_j) - labels * sum_j HSIC(Z_j, Y). The estimator is the biased one of the paper. The published code
 * normalises the kernel matrices (Fukumizu et al., NIPS 2007), so its factors, such as 0.05 and 0.5, are not those here: in
 * small networks HSIC was 1e-8 to 1e-5 with images and 1e-5 to 1e-1 with labels. It grows with the hidden values, so that a
 * large factor of the labels makes these large, and their dependence on images, too.
 */
export const BIDO: TrainingDefence<Dependence, Dependence> = {
  stage: 'training',
  name: 'bido',
  description: 'Trains hidden values to depend on the label, and little on the image (BiDO).',
  schema: Bido,
  flags: [
    {
      flags: '--bido <input,labels>',
      description: 'train with these factors of the dependence of hidden values on images and labels, such as 1e6,1e3',
      read(text) {
        const [input, labels, ...more] = text
          .split(',')
          .map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
        const read = { input, labels };
        if (more.length > 0 || !v.is(Bido, read)) throw new ConfigError(`--bido ${text}: give two numbers in 0..1e9`);
        return read;
      },
    },
  ],
  training: (dependence) => ({ dependence }),
};
