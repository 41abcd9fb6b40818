import { describe, expect, test } from 'vitest';
import { pairedComparisons } from '../../src/results/paired.ts';
import { headlines } from '../../src/results/report.ts';
import { type Condition, conditionKey, type NoiseCondition, type Row, summarise } from '../../src/results/results.ts';
import { fakeResults, fakeRow } from './fake.ts';

const bits: Condition = {
  kind: 'bit-error',
  rates: { fc1: 0.01 },
  layers: 'fc1',
  format: 'fixed12',
  granularity: 'load',
};
const noise: NoiseCondition = {
  kind: 'gaussian',
  rates: { fc1: 0.2 },
  granularity: 'load',
  layers: 'fc1',
  matchedTo: conditionKey(bits),
};
const { manifest, ...rest } = fakeResults({ draws: 2, identities: 6, perLayer: false });

/** Rows of bit errors and of a condition whose PCC is higher by `better` for everybody. */
function rowsOf(condition: Condition, better: number, draws = [0, 1, 2]): Row[] {
  return draws.flatMap((draw) => {
    const row = fakeRow(bits, draw, { accuracy: 0.8, pcc: 0.6, lift: 0.2 });
    const { perIdentity } = row;
    const shifted = { ...perIdentity, pcc: perIdentity.pcc.map((value) => value + better) };
    return [row, { ...row, condition, pcc: row.pcc + better, perIdentity: shifted }];
  });
}

describe('bit errors and the noise that was calibrated to them', () => {
  test('a difference that is the same for everybody has an interval of no width, whatever the spread between people', () => {
    const [pair, ...others] = pairedComparisons({ rows: rowsOf(noise, 0.05), manifest });
    expect(others).toEqual([]);
    expect(pair.bitErrors).toEqual(bits);
    expect(pair.noise).toEqual(noise);
    expect(pair.accuracy.bitErrors).toBeCloseTo(pair.accuracy.noise, 12);
    const { mean, ci95 } = pair.difference('pcc');
    for (const value of [mean, ...ci95]) expect(value).toBeCloseTo(-0.05, 12);
    expect(pair.difference('pccLift')).toEqual({ mean: 0, ci95: [0, 0] });
  });

  test('bit errors and noise are paired by draw, in whatever order the draws finished', () => {
    const rows = rowsOf(noise, 0.05);
    const [forwards] = pairedComparisons({ rows, manifest });
    const [backwards] = pairedComparisons({ rows: [...rows].reverse(), manifest });
    expect(backwards.accuracy).toEqual(forwards.accuracy);
    for (const metric of ['pcc', 'pccLift', 'identity'] as const) {
      expect(backwards.difference(metric)).toEqual(forwards.difference(metric));
    }
  });

  test('bit errors and noise are not compared when a draw is missing or the accuracies differ by design', () => {
    const rows = rowsOf(noise, 0.05);
    expect(pairedComparisons({ rows: rows.slice(0, -1), manifest })).toEqual([]);
    expect(pairedComparisons({ rows: rowsOf({ ...noise, calibration: 'moments' }, 0.05), manifest })).toEqual([]);
    expect(pairedComparisons({ rows: rowsOf({ ...noise, matchedTo: undefined }, 0.05), manifest })).toEqual([]);
  });
});

test('the headlines state the difference within the pairs', () => {
  const clean = fakeRow({ kind: 'none', rates: {}, layers: 'none' }, 0, { accuracy: 0.9, pcc: 0.8, lift: 0.3 });
  const rows = [clean, ...rowsOf(noise, 0.05)];
  // Noise of published strength, which hardly lowers the accuracy, does not prevent the comparison.
  const published: Condition = { ...noise, rates: { fc1: 0.01 }, matchedTo: undefined, calibration: 'published' };
  rows.push({ ...clean, condition: published });
  const lines = headlines({ ...rest, manifest, rows, summary: summarise(rows, 1) });
  expect(lines.find((line) => line.startsWith('Paired'))).toMatch(
    /“Bit errors 1 %, fc1” minus “Gaussian noise 0\.2, fc1” .* is −0\.050 .*in PCC, 0\.000 in lift/,
  );
});
