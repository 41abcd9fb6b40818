import { describe, expect, test } from 'vitest';
import { separation } from '../../src/metrics/membership.ts';
import { Random } from '../../src/random.ts';
import { aggregate } from '../../src/results/aggregate.ts';
import { markdownReport } from '../../src/results/markdown.ts';
import { membershipEntries, membershipTable } from '../../src/results/membership.ts';
import { reportHtml } from '../../src/results/report.ts';
import {
  type Condition,
  parseResults,
  type Results,
  type Row,
  summarise,
  summaryCsv,
  toCsv,
} from '../../src/results/results.ts';
import { summaryTable } from '../../src/results/tables.ts';
import { verdictOf } from '../../src/results/verdict.ts';
import { EARLY_ROW, fakeResults } from './fake.ts';

const NOBODY = { pcc: [], pccLift: [], identity: [] };

/** A row whose members have higher scores by `shift` of about two standard deviations of the scores. */
function judgedRow(condition: Condition, draw: number, shift: number, photographs = 120, seed = 3): Row {
  const random = new Random(seed, draw);
  const uniform = () => random.nextU32() / 2 ** 32;
  const scores = (more: number) => Array.from({ length: photographs }, () => uniform() + uniform() + more);
  const [members, nonMembers] = [scores(shift), scores(0)];
  const { auc, tprAtOnePercent } = separation(members, nonMembers);
  return {
    ...{ condition, draw, accuracy: 0.8, attack: 'membership loss' },
    ...{ pcc: null, pccLift: null, mse: null, psnr: null, ssim: null, identity: null },
    ...EARLY_ROW,
    n: 0,
    queries: 1,
    membership: { auc, tprAtOnePercent, members, nonMembers },
    perIdentity: NOBODY,
  };
}

const NONE: Condition = { kind: 'none', rates: {}, layers: 'none' };
const plain = fakeResults({ draws: 2, identities: 6 });

function withMemberships(more: readonly Row[]): Results {
  const rows = [...plain.rows, ...more];
  return { ...plain, rows, summary: summarise(rows) };
}

describe('membership inference in results', () => {
  const bits = plain.rows.find(({ condition }) => condition.kind === 'bit-error')!.condition;
  const results = withMemberships([judgedRow(NONE, 0, 1), judgedRow(bits, 0, 0.4), judgedRow(bits, 1, 0.4)]);

  test('everything about reconstructions is as without it', () => {
    expect(results.summary).toEqual(plain.summary);
    expect(summaryTable(results)).toEqual(summaryTable(plain));
    expect(summaryCsv(results.summary)).toBe(summaryCsv(plain.summary));
    expect(parseResults(JSON.stringify(results), 'results.json')).toEqual(results);
  });

  test('tables and columns of their own exist only if there are such rows', () => {
    expect(membershipTable(plain)).toBeUndefined();
    expect(membershipTable(results)!.rows).toHaveLength(2);
    for (const write of [markdownReport, (of: Results) => reportHtml({ results: of, figures: [] })]) {
      expect(write(plain)).not.toContain('AUC of membership');
      expect(write(results)).toContain('AUC of membership');
    }
    expect(toCsv(plain.rows)).not.toContain('membership');
    expect(toCsv(results.rows).split('\r\n')[0]).toContain(',membershipAuc,membershipTprAtOnePercent,');
    expect(reportHtml({ results, figures: [] })).toContain('(0.5 by guessing)');
  });

  test('a run of nothing else has a report', () => {
    const rows = [judgedRow(NONE, 0, 0.5, 40)];
    const alone = { ...plain, rows, summary: [], baselines: { ...plain.baselines, shuffledPcc: null } };
    expect(verdictOf(alone).answer).toContain('too few photographs to measure 1 % false positives');
    expect(reportHtml({ results: alone, figures: [] })).not.toMatch(/NaN|Infinity|undefined/);
    expect(membershipEntries(alone)[0].tprAtOnePercent).toEqual({ mean: null, ci95: null });
  });

  test('the interval of the AUC covers the true one in 93 to 98 % of samples of photographs', () => {
    // Scores are sums of two uniform numbers, one of them moved by 0.3: the AUC is the distribution of a sum of four at 2.3
    // (Irwin and Hall).
    const auc = (2.3 ** 4 - 4 * 1.3 ** 4 + 6 * 0.3 ** 4) / 24;
    const samples = 600;
    const rows = Array.from({ length: samples }, (_, sample) => judgedRow(NONE, 0, 0.3, 60, sample));
    const covered = rows.filter((row) => {
      const [low, high] = membershipEntries({ ...plain, rows: [row] })[0].auc.ci95!;
      return low <= auc && auc <= high;
    });
    expect(covered.length / samples).toBeGreaterThan(0.93);
    expect(covered.length / samples).toBeLessThan(0.98);
  });

  test('a single draw of errors has no interval, and perfect separation none of zero width', () => {
    const [one] = membershipEntries({ ...plain, rows: [judgedRow(bits, 0, 0.4)] });
    expect(one.auc.ci95).toBeNull();
    const [perfect] = membershipEntries({ ...plain, rows: [judgedRow(NONE, 0, 5)] });
    expect(perfect.auc.mean).toBe(1);
    expect(perfect.auc.ci95![0]).toBeLessThan(0.99);
  });

  test('several seeds are summarised over their victims', () => {
    const runs = [1, 2, 3].map((seed) => ({
      ...{ ...plain, rows: [judgedRow(NONE, 0, seed * 0.3, 120, seed)], summary: [] },
      manifest: { ...plain.manifest, seed },
    }));
    const [entry] = membershipEntries(aggregate(runs));
    const each = runs.map((run) => membershipEntries(run)[0].auc.mean!);
    expect(entry.draws).toBe(3);
    expect(entry.auc.mean).toBeCloseTo(each.reduce((a, b) => a + b, 0) / 3, 12);
    expect(entry.auc.ci95![1] - entry.auc.ci95![0]).toBeGreaterThan(each[2] - each[0]);
    expect(aggregate(runs).summary).toEqual([]);
  });
});
