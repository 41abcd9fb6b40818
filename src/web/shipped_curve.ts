/** The curve of the shipped results: one sample of the errors per rate. */
import { formatPercent } from '../results/format.ts';
import type { PlotContent, PlotPoint } from './plot.ts';
import type { Pictures } from './protocol.ts';
import { RATES } from './rates.ts';
import { SHIPPED, type ShippedFaces } from './shipped.ts';
import { countText, namedBy, type Point, recognisedBy } from './verdict.ts';

/** Key of the point of a rate. */
export const keyOfRate = (rate: number) => `shipped ${rate}`;

export function shippedCurve({ truth, none, rates }: ShippedFaces): PlotContent {
  const point = (key: string, kind: PlotPoint['kind'], title: string, counts: Point, pictures: Pictures): PlotPoint => {
    const [named, recognised] = [namedBy(counts), recognisedBy(counts)];
    return {
      ...{ key, kind, title, pictures },
      x: named.right / named.of,
      y: recognised.right / recognised.of,
      said:
        `The classifier names ${countText(named)} photographs right; the evaluator recognises ${countText(recognised)} of the ` +
        'attacker’s pictures. One sample of the errors.',
    };
  };
  return {
    x: 'photographs named right',
    y: 'attacker’s pictures recognised',
    yIsShare: true,
    points: [
      point('none', 'none', 'No errors', SHIPPED.none, none),
      ...RATES.map((rate, i) =>
        point(keyOfRate(rate), 'errors', `${formatPercent(rate)} of the bits flip`, SHIPPED.rates[i], rates[i]),
      ),
    ],
    truth,
    names: SHIPPED.names.map((_, i) => `of person ${i + 1}`),
  };
}
