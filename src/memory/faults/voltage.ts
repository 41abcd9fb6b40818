import * as v from 'valibot';
import { described, whole } from '../fields.ts';
import { dimmOfChip, lineErrorRate, VENDORS } from '../undervolting.ts';
import { badLineRateField, badLines } from './clustered.ts';
import { defineFaultModel, drawnField, kindField } from './model.ts';

export const voltage = defineFaultModel({
  kind: 'voltage',
  schema: described(
    v.strictObject({
      kind: kindField('voltage'),
      vendor: described(v.picklist(VENDORS), "Vendor of the DIMM; the configuration's chip selects one of its DIMMs."),
      volts: described(
        v.number('must be a number'),
        'Supply voltage, from the lowest at which the DIMM was measured to the nominal 1.35 V.',
      ),
      dimm: v.optional(
        described(
          whole,
          "Number of the DIMM whose measured share of bad lines every chip has; by default that of the chip's number.",
        ),
      ),
      bitErrorRate: badLineRateField,
      drawn: drawnField,
    }),
    'Cache lines are bad as often as measured on an undervolted DDR3L DIMM (Chang et al., SIGMETRICS 2017).',
  ),
  sources({ vendor, volts, dimm, bitErrorRate, drawn }, site) {
    const shown = lineErrorRate(dimmOfChip(vendor, dimm ?? site.chip), volts, `${site.path}.volts`);
    return [badLines(shown, site.source({ rate: bitErrorRate, drawn }), site)];
  },
  needsAddresses: () => true,
  supplyVolts: ({ volts }) => volts,
  dimmOf: ({ vendor, dimm }, chip) => (dimm === undefined ? dimmOfChip(vendor, chip).name : undefined),
});
