import * as v from 'valibot';
import { ConfigError } from '../../errors.ts';
import { described } from '../fields.ts';
import { type LatencyRates, latencyRates } from '../latency.ts';
import { VENDORS } from '../undervolting.ts';
import { defineFaultModel, drawnField, kindField } from './model.ts';

const nanoseconds = v.pipe(v.number('must be a number'), v.minValue(0, 'must be at least 0'));

/** The DIMM that a chip is: those of the table, in its order, again and again. */
const ratesOfChip = (all: readonly LatencyRates[], chip: number): LatencyRates => all[chip % all.length];

export const latency = defineFaultModel({
  kind: 'latency',
  schema: described(
    v.strictObject({
      kind: kindField('latency'),
      vendor: described(v.picklist(VENDORS), "Vendor of the DIMM; the configuration's chip selects one of its DIMMs."),
      tRCD: v.optional(
        described(
          nanoseconds,
          'Time from activating a row to reading it, in nanoseconds; the standard asks for 13.75.',
        ),
      ),
      tRP: v.optional(
        described(
          nanoseconds,
          'Time of closing a row, in nanoseconds, if that is reduced instead; the standard asks for 13.75.',
        ),
      ),
      dimm: v.optional(
        described(
          v.string('must be a name'),
          'Name of the DIMM whose rates every chip has, such as p1; by default that of the chip’s number among all DIMMs of ' +
            'the vendor that were measured at this timing.',
        ),
      ),
      drawn: drawnField,
    }),
    'Bits flip as often as measured on DDR3 DIMMs that are read too early, by bank and stored value (Chang et al., ' +
      'SIGMETRICS 2016). Give either tRCD or tRP.',
  ),
  sources({ vendor, tRCD, tRP, dimm, drawn }, { chip, path, source }) {
    if ((tRCD === undefined) === (tRP === undefined)) throw new ConfigError(`${path}: give either tRCD or tRP`);
    const { zeroToOne, oneToZero } = ratesOfChip(latencyRates(vendor, { tRCD, tRP }, dimm, path), chip);
    const mean = (rates: readonly number[]) => rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
    return [
      source({ rate: mean(zeroToOne), stored: 'zero', drawn, zone: { kind: 'banks', rates: zeroToOne } }),
      source({ rate: mean(oneToZero), stored: 'one', drawn, zone: { kind: 'banks', rates: oneToZero } }),
    ];
  },
  needsAddresses: () => true,
  placed: true,
  dimmOf: ({ vendor, tRCD, tRP, dimm }, chip) =>
    dimm === undefined ? ratesOfChip(latencyRates(vendor, { tRCD, tRP }), chip).dimm : undefined,
  readTiming: ({ tRCD, tRP }) => ({ ...(tRCD !== undefined && { tRCD }), ...(tRP !== undefined && { tRP }) }),
});
