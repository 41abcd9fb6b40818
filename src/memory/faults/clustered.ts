import * as v from 'valibot';
import { ConfigError } from '../../errors.ts';
import { described, Rate } from '../fields.ts';
import { defineFaultModel, drawnField, type FaultSite, type FaultSource, kindField } from './model.ts';

/** Probability that a bit of a bad line or row flips. No published measurement gives it. */
export const ASSUMED_RATE = 0.05;

/** The bit error rate in bad lines. */
export const badLineRateField = v.optional(
  described(Rate, 'Probability that a bit of a bad line flips. The default is an assumption, not a measurement.'),
  ASSUMED_RATE,
);

export const clustered = defineFaultModel({
  kind: 'clustered',
  schema: described(
    v.strictObject({
      kind: kindField('clustered'),
      lines: described(Rate, 'Share of the cache lines that show at least one flipped bit.'),
      bitErrorRate: badLineRateField,
      drawn: drawnField,
    }),
    'Whole cache lines of 64 bytes are bad, and every bit of a bad line flips with the same probability.',
  ),
  sources: ({ lines, bitErrorRate, drawn }, site) => [
    badLines(lines, site.source({ rate: bitErrorRate, drawn }), site),
  ],
  needsAddresses: () => true,
});

/**
 * A source that fails cells in bad cache lines only.
 * @param shown share of cache lines with at least one flipped bit
 * @throws ConfigError if fewer lines than `shown` would show a flip even if all lines were bad
 */
export function badLines(
  shown: number,
  source: FaultSource,
  { lineCells, path }: Pick<FaultSite, 'lineCells' | 'path'>,
): FaultSource {
  const { rate } = source;
  const shownByBad = 1 - (1 - rate) ** lineCells;
  const share = shown === 0 ? 0 : shown / shownByBad;
  if (!(share <= 1)) {
    throw new ConfigError(
      `${path}.bitErrorRate: with ${rate} in bad lines, at most ${(100 * shownByBad).toPrecision(3)} % of lines show an ` +
        `error, not ${(100 * shown).toPrecision(3)} %; use a higher rate`,
    );
  }
  return { ...source, lines: { kind: 'cache-line', from: 0, to: share } };
}
