import * as v from 'valibot';
import { described, Rate } from '../fields.ts';
import { defineFaultModel, kindField } from './model.ts';

export const stuckAt = defineFaultModel({
  kind: 'stuck-at',
  schema: described(
    v.strictObject({
      kind: kindField('stuck-at'),
      zero: described(Rate, 'Probability that a cell always reads 0.'),
      one: described(Rate, 'Probability that a cell always reads 1.'),
    }),
    'Some cells of the chip read the same value whatever they store.',
  ),
  sources: ({ zero, one }, { source }) => [
    source({ rate: zero, drawn: 'chip', effect: 'stuck-at-0' }),
    source({ rate: one, drawn: 'chip', effect: 'stuck-at-1' }),
  ],
});
