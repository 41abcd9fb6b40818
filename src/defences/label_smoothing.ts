import * as v from 'valibot';
import { ConfigError } from '../errors.ts';
import type { TrainingDefence } from './defence.ts';

const Smoothing = v.pipe(
  v.number('must be a number'),
  v.minValue(-1),
  v.maxValue(1),
  v.description(
    'a, -1..1: the victim learns (1 - a) times the right label plus a times equal shares of all labels. Above 0 it is the usual ' +
      'regularisation; below 0, such as -0.05, it is meant to hinder model inversion.',
  ),
);

/**
 * Label smoothing (Szegedy et al., CVPR 2016). Struppek et al. (ICLR 2024, "Be careful what you smooth for") found on deep networks
 * that it eases model inversion, and that smoothing by a negative number is a defence. Small networks need not follow: see
 * test/experiments/rivals.gpu.test.ts. The number is the same in all epochs.
 */
export const LABEL_SMOOTHING: TrainingDefence<number, number> = {
  stage: 'training',
  name: 'labelSmoothing',
  description: 'Trains with smoothed labels.',
  schema: Smoothing,
  flags: [
    {
      flags: '--label-smoothing <a>',
      description:
        'train with labels smoothed by a in -1..1; below 0, such as -0.05, it is meant to hinder model inversion',
      read(text) {
        const smoothing = text.trim() === '' ? Number.NaN : Number(text);
        if (!v.is(Smoothing, smoothing)) throw new ConfigError(`--label-smoothing ${text}: give a number in -1..1`);
        return smoothing;
      },
    },
  ],
  training: (labelSmoothing) => ({ labelSmoothing }),
};
