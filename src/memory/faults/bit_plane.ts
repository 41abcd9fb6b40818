import * as v from 'valibot';
import { ConfigError } from '../../errors.ts';
import { described, Rate } from '../fields.ts';
import { defineFaultModel, drawnField, kindField } from './model.ts';

export const bitPlane = defineFaultModel({
  kind: 'bit-plane',
  schema: described(
    v.strictObject({
      kind: kindField('bit-plane'),
      rates: described(
        v.array(Rate),
        'Probability that a bit flips, for each bit of a code, the lowest first; bits beyond the list never flip.',
      ),
      drawn: drawnField,
    }),
    'Every bit of a code has its own bit error rate.',
  ),
  sources({ rates, drawn }, { width, ecc, path, source }) {
    if (ecc) throw new ConfigError(`${path}: check bits have no bit plane; use ecc with another model`);
    if (rates.length > width) throw new ConfigError(`${path}.rates: ${rates.length} rates for ${width} bits`);
    return rates.map((rate, firstBit) => source({ rate, firstBit, bits: 1, drawn }));
  },
});
