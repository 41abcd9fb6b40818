import { describe, expect, it } from 'vitest';
import { parseMemoryConfig } from '../../src/memory/config.ts';
import { planeMemory } from '../../src/memory/planes.ts';
import { aggregate } from '../../src/results/aggregate.ts';
import { attributions, attributionTable } from '../../src/results/attribution.ts';
import { markdownReport } from '../../src/results/markdown.ts';
import { reportHtml } from '../../src/results/report.ts';
import { type Condition, type Results, type Row, summarise } from '../../src/results/results.ts';
import { fakeResults, fakeRow, uniform } from './fake.ts';

const RATE = 0.0625;
const common = { format: 'fixed12', granularity: 'load' } as const;
const errors = (rates: Record<string, number>, layers: string): Condition => ({
  kind: 'bit-error',
  ...common,
  rates,
  layers,
});
const NONE: Condition = { kind: 'none', rates: {}, layers: 'none' };
const QUANTISED: Condition = { kind: 'quantised', ...common, rates: { fc1: 0, fc2: 0 }, layers: 'both' };
const BOTH = errors({ fc1: RATE, fc2: RATE }, 'both');
const FC1 = errors({ fc1: RATE }, 'fc1');
const planes = (plane: 'sign' | 'low', rate = RATE): Condition => {
  const layer = planeMemory(parsed.format, rate, plane)!;
  const memory = parseMemoryConfig({ layers: { fc1: layer, fc2: layer } }, ['fc1', 'fc2']);
  return {
    ...{ kind: 'memory', label: `${plane} ${rate}`, setting: plane, granularity: 'load', layers: 'both', memory },
    rates: { fc1: rate / 12, fc2: rate / 12 },
  };
};
const stored = parseMemoryConfig({ layers: { fc1: { kind: 'stored' } } }, ['fc1']).layers.fc1;
if (stored.kind !== 'stored') throw new Error('the default memory must be stored');
const parsed = stored;

const PEOPLE = 8;
/** Rows in which the whole lowers the lift by about 0.2 and the accuracy by 0.4, and each part by its share of that. */
function runOf(shares: ReadonlyMap<Condition, number>, seed = 1): Results {
  const random = uniform(seed);
  const person = Array.from({ length: PEOPLE }, () => random());
  const row = (condition: Condition, draw: number, share: number): Row => {
    const lifts = person.map((p) => 0.3 + 0.1 * p - share * (0.2 + 0.05 * (p - 0.5) + 0.02 * (random() - 0.5)));
    const correct = Array.from({ length: 200 }, (_, i) =>
      ((i * 7 + 3 * draw) % 200) / 200 < 0.9 - 0.4 * share ? 1 : 0,
    );
    const fake = fakeRow(condition, draw, { accuracy: 0.9 - 0.4 * share, pcc: 0.5, lift: 0.2 }, PEOPLE);
    return {
      ...fake,
      accuracy: correct.reduce<number>((sum, each) => sum + each, 0) / 200,
      correct: correct.join(''),
      liftMeanFree: lifts.reduce((sum, lift) => sum + lift, 0) / PEOPLE,
      perIdentity: { ...fake.perIdentity, liftMeanFree: lifts },
    };
  };
  const rows = [
    row(NONE, 0, 0),
    row(QUANTISED, 0, 0),
    ...[...shares].flatMap(([condition, share]) => [0, 1, 2, 3].map((draw) => row(condition, draw, share))),
  ];
  const { manifest, baselines, schema } = fakeResults({ draws: 1, identities: 2 });
  return { schema, manifest: { ...manifest, seed }, rows, summary: summarise(rows), baselines };
}

const SHARES = new Map<Condition, number>([
  [BOTH, 1],
  [FC1, 0.25],
  [planes('sign'), 0.5],
  [planes('low'), 0],
  [planes('sign', 0.03), 0.3],
]);

describe('the shares of parts of the errors', () => {
  const results = runOf(SHARES);
  const found = attributions(results);
  const of = (part: string, metric: string) =>
    found.find(
      (each) => each.metric === metric && (each.part.kind === 'memory' ? each.part.label : each.part.layers) === part,
    )!;

  it('planted shares are found, inside their intervals, for accuracy and for the lift', () => {
    for (const [part, share] of [
      ['fc1', 0.25],
      ['sign 0.0625', 0.5],
      ['low 0.0625', 0],
    ] as const) {
      for (const metric of ['accuracy', 'liftMeanFree']) {
        const { mean, ci95 } = of(part, metric).share;
        expect(mean).toBeCloseTo(share, 1);
        expect(ci95![0]).toBeLessThanOrEqual(share);
        expect(ci95![1]).toBeGreaterThanOrEqual(share);
        expect(ci95![1] - ci95![0]).toBeLessThan(0.3);
      }
    }
  });

  it('kinds of bits in all layers have their share of the flips; layers and other rates are no part of them', () => {
    expect(of('sign 0.0625', 'accuracy').flips).toBeCloseTo(1 / 12, 12);
    expect(of('fc1', 'accuracy').flips).toBeUndefined();
    expect(found.every(({ whole }) => whole === BOTH)).toBe(true);
    expect(found.map(({ part }) => (part.kind === 'memory' ? part.label : part.layers))).not.toContain('sign 0.03');
    expect(found).toHaveLength(6);
  });

  it('errors without any effect have no shares', () => {
    const none = attributions(
      runOf(
        new Map([
          [BOTH, 0],
          [FC1, 0],
        ]),
      ),
    );
    expect(none.map(({ share }) => share)).toEqual([
      { mean: null, ci95: null },
      { mean: null, ci95: null },
    ]);
  });

  it('several victims give one share, and reports have a table only where parts were measured', () => {
    const all = attributions(aggregate([1, 2, 3].map((seed) => runOf(SHARES, seed))));
    expect(all).toHaveLength(6);
    const lift = all.find(({ part, metric }) => part.layers === 'fc1' && metric === 'liftMeanFree')!;
    expect(lift.share.mean).toBeCloseTo(0.25, 1);
    expect(lift.share.ci95).not.toBeNull();
    expect(markdownReport(results)).toContain('### Which errors do the work');
    expect(reportHtml({ results, figures: [] })).toContain('id="parts"');
    const plain = fakeResults({ draws: 2, identities: 6 });
    expect(attributionTable(plain)).toBeUndefined();
    expect(reportHtml({ results: plain, figures: [] })).not.toContain('id="parts"');
  });
});
