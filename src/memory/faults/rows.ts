import * as v from 'valibot';
import { described } from '../fields.ts';
import { MAPPED_DIMMS, rowMapOfChip } from '../row_maps.ts';
import { badLineRateField } from './clustered.ts';
import { defineFaultModel, drawnField, kindField } from './model.ts';

export const rows = defineFaultModel({
  kind: 'rows',
  schema: described(
    v.strictObject({
      kind: kindField('rows'),
      volts: described(
        v.number('must be a number'),
        'Supply voltage, from the lowest at which rows were measured to 1.35 V.',
      ),
      dimm: v.optional(
        described(
          v.picklist(MAPPED_DIMMS, `must be one of ${MAPPED_DIMMS.join(', ')}, whose rows were measured`),
          'Name of the DIMM whose map every chip has; by default that of the chip’s number among all DIMMs that were ' +
            'measured at this voltage.',
        ),
      ),
      bitErrorRate: badLineRateField,
      drawn: drawnField,
    }),
    'Rows are bad where and as often as measured on an undervolted DDR3L DIMM of vendor C (Chang et al., SIGMETRICS 2017): ' +
      'whole banks and bands of rows first. Every bit of a bad row flips with the same probability.',
  ),
  sources({ volts, dimm, bitErrorRate, drawn }, { chip, path, source }) {
    const { shares } = rowMapOfChip({ volts, dimm }, chip, `${path}.volts`);
    return [source({ rate: bitErrorRate, drawn, zone: { kind: 'rows', shares } })];
  },
  needsAddresses: () => true,
  placed: true,
  supplyVolts: ({ volts }) => volts,
  dimmOf: ({ volts, dimm }, chip) => (dimm === undefined ? rowMapOfChip({ volts }, chip).dimm : undefined),
});
