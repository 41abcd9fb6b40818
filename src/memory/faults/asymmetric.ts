import * as v from 'valibot';
import { described, Rate } from '../fields.ts';
import { defineFaultModel, drawnField, kindField } from './model.ts';

export const asymmetric = defineFaultModel({
  kind: 'asymmetric',
  schema: described(
    v.strictObject({
      kind: kindField('asymmetric'),
      zeroToOne: described(Rate, 'Probability that a cell that stores 0 reads 1.'),
      oneToZero: described(Rate, 'Probability that a cell that stores 1 reads 0.'),
      drawn: drawnField,
    }),
    'Every stored bit flips with a probability that depends on its value.',
  ),
  sources: ({ zeroToOne, oneToZero, drawn }, { source }) => [
    source({ rate: zeroToOne, stored: 'zero', drawn }),
    source({ rate: oneToZero, stored: 'one', drawn }),
  ],
});
