import * as v from 'valibot';
import { described } from '../fields.ts';
import { SRAM_CHIPS, SRAM_PROFILES } from '../sram_chips.ts';
import { defineFaultModel, kindField } from './model.ts';

export const sramChip = defineFaultModel({
  kind: 'sram-chip',
  schema: described(
    v.strictObject({
      kind: kindField('sram-chip'),
      profile: described(v.picklist(SRAM_PROFILES), 'The chip and one of its measured error rates.'),
    }),
    'Cells fail as profiled on an SRAM chip below its nominal voltage (Stutz et al., MLSys 2021).',
  ),
  sources({ profile }, { source }) {
    const { zeroToOne, oneToZero, stuck } = SRAM_CHIPS[profile];
    // Faulty cells that fail in every read are drawn once for the chip; the rest is drawn with the reads.
    const persistent = stuck / (zeroToOne + oneToZero);
    return (['chip', 'read'] as const).flatMap((drawn) => {
      const share = drawn === 'chip' ? persistent : 1 - persistent;
      return [
        source({ rate: zeroToOne * share, stored: 'zero', drawn }),
        source({ rate: oneToZero * share, stored: 'one', drawn }),
      ];
    });
  },
});
