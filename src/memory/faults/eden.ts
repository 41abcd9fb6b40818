/**
 * The four error models of EDEN: S. Koppula et al., "EDEN: Enabling Energy-Efficient, High-Performance Deep Neural Network
 * Inference Using Approximate DRAM", MICRO 2019. Weak cells belong to the chip and fail in a read with a probability.
 */
import * as v from 'valibot';
import { ConfigError } from '../../errors.ts';
import { described, Rate } from '../fields.ts';
import { defineFaultModel, kindField } from './model.ts';

const kind = kindField('eden');
const modelField = <const Name extends string>(name: Name) =>
  described(v.literal(name), 'Selects this error model of EDEN.');
const weakCells = described(Rate, 'Probability that a cell is weak.');
const failure = v.optional(described(Rate, 'Probability that a weak cell fails in a read.'), 1);
const lines = described(
  v.array(
    described(
      v.strictObject({ share: described(Rate, 'Share of all lines that this entry describes.'), weakCells, failure }),
      'A share of the lines and the cells in it.',
    ),
  ),
  'Shares of the lines, which add up to at most 1; there are no weak cells in the rest.',
);

export const eden = defineFaultModel({
  kind: 'eden',
  schema: described(
    v.variant('model', [
      described(
        v.strictObject({ kind, model: modelField('EM0'), weakCells, failure }),
        'Weak cells are equally likely everywhere.',
      ),
      described(v.strictObject({ kind, model: modelField('EM1'), lines }), 'Weak cells lie along bitlines.'),
      described(v.strictObject({ kind, model: modelField('EM2'), lines }), 'Weak cells lie along wordlines.'),
      described(
        v.strictObject({
          kind,
          model: modelField('EM3'),
          weakCells,
          failureOfOnes: described(Rate, 'Probability that a weak cell that stores 1 fails in a read.'),
          failureOfZeros: described(Rate, 'Probability that a weak cell that stores 0 fails in a read.'),
        }),
        'How often weak cells fail depends on what they store.',
      ),
    ]),
    'An error model of EDEN (Koppula et al., MICRO 2019): weak cells of the chip, which fail in a read with a probability.',
  ),
  sources(model, { source, path }) {
    switch (model.model) {
      case 'EM0':
        return [source({ rate: model.weakCells, failure: model.failure, drawn: 'chip' })];
      case 'EM1':
      case 'EM2': {
        const lineKind = model.model === 'EM1' ? 'bitline' : 'wordline';
        let from = 0;
        return model.lines.map((entry) => {
          const range = { kind: lineKind, from, to: from + entry.share } as const;
          from += entry.share;
          if (from > 1 + 1e-9) throw new ConfigError(`${path}.lines: the shares add up to more than 1`);
          return source({ rate: entry.weakCells, failure: entry.failure, drawn: 'chip', lines: range });
        });
      }
      case 'EM3': {
        // Both sources draw the same weak cells, whose probability of failing depends on what they store.
        const ones = source({ rate: model.weakCells, failure: model.failureOfOnes, stored: 'one', drawn: 'chip' });
        return [ones, { ...ones, failure: model.failureOfZeros, stored: 'zero' }];
      }
    }
  },
  needsAddresses: (model) => 'lines' in model,
});
