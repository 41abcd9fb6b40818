import * as v from 'valibot';
import { described, Rate } from '../fields.ts';
import { defineFaultModel, drawnField, kindField } from './model.ts';

export const uniform = defineFaultModel({
  kind: 'uniform',
  schema: described(
    v.strictObject({
      kind: kindField('uniform'),
      bitErrorRate: described(Rate, 'Probability that a bit flips.'),
      drawn: drawnField,
    }),
    'Every stored bit flips with the same probability, independently of all others.',
  ),
  sources: ({ bitErrorRate, drawn }, { source }) => [source({ rate: bitErrorRate, drawn })],
});
