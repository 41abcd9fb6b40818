import { describe, expect, test } from 'vitest';
import { createDocument } from '../../src/cli/render.ts';
import { ConfigError } from '../../src/errors.ts';
import { equalAccuracyPairs } from '../../src/results/comparisons.ts';
import { figuresOf } from '../../src/results/figures/index.ts';
import { reportHtml } from '../../src/results/report.ts';
import {
  aggregate,
  type Condition,
  conditionKey,
  conditionLabel,
  isAggregated,
  latexTable,
  type Results,
  type Row,
  summarise,
  summaryCsv,
} from '../../src/results/results.ts';
import { summaryTable } from '../../src/results/tables.ts';
import { fakeMemory, fakeResults, fakeRow } from './fake.ts';

const bits: Condition = {
  kind: 'bit-error',
  format: 'fixed12',
  granularity: 'load',
  rates: { fc1: 0.1 },
  layers: 'fc1',
};
const none: Condition = { kind: 'none', rates: {}, layers: 'none' };
const noise = (scale: number, target: Condition = bits): Condition => ({
  kind: 'gaussian',
  rates: { fc1: scale },
  granularity: 'load',
  layers: 'fc1',
  matchedTo: conditionKey(target),
});

/** A run with the given seed and accuracy; the PCC of every identity equals the accuracy. */
function run(seed: number, accuracy: number, conditions: Condition[], config: Record<string, unknown> = {}): Results {
  const rows = conditions.flatMap((condition) =>
    [0, 1].map((draw): Row => {
      const row = fakeRow(condition, draw, { accuracy: 0.5, pcc: 0.5, lift: 0.1 }, 3, 'zero');
      return { ...row, accuracy, perIdentity: { ...row.perIdentity, pcc: [accuracy, accuracy, accuracy] } };
    }),
  );
  const { manifest, schema, baselines } = fakeResults({ draws: 1, identities: 2 });
  const own = { ...manifest, seed, config: { ...manifest.config, seed, ...config }, seconds: 10 };
  return { schema, manifest: own, rows, summary: summarise(rows), baselines };
}

describe('aggregating runs that differ in their seed', () => {
  test('the mean of aggregated runs is over seeds, and its interval covers the variation between seeds', () => {
    const { summary, seeds, manifest } = aggregate([run(1, 0.6, [none, bits]), run(2, 0.8, [none, bits])]);
    expect(seeds).toEqual([1, 2]);
    expect(manifest.seconds).toBe(20);
    expect(summary).toHaveLength(2);
    expect(summary[1]).toMatchObject({ seeds: 2, draws: 4, n: 12, attack: 'zero', condition: bits });
    // Two victims: standard error 0.1, t of 0.05 with one degree of freedom 12.706, beyond the range of a share.
    expect(summary[1].accuracy.mean).toBeCloseTo(0.7, 12);
    expect(summary[1].accuracy.ci95).toEqual([0, 1]);
    const three = aggregate([0.6, 0.7, 0.8].map((accuracy, i) => run(i + 1, accuracy, [none, bits]))).summary[1];
    // The standard error is 0.1 / sqrt(3), t with two degrees of freedom 4.303. PCCs are equal for all people.
    const half = (4.30265 * 0.1) / Math.sqrt(3);
    for (const { ci95 } of [three.accuracy, three.pcc]) {
      expect(ci95).toEqual([expect.closeTo(0.7 - half, 4), expect.closeTo(0.7 + half, 4)]);
    }
    expect(summary[1].pcc.mean).toBeCloseTo(0.7, 12);
  });

  test('accuracies of the evaluators are means over the runs, which have evaluators of their own', () => {
    const evaluated = (seed: number, evaluators?: { linear: number; convolutional?: number }) => {
      const results = run(seed, 0.6, [none]);
      return { ...results, manifest: { ...results.manifest, evaluators } };
    };
    const both = aggregate([
      evaluated(1, { linear: 0.8, convolutional: 0.9 }),
      evaluated(2, { linear: 0.6, convolutional: 1 }),
    ]);
    expect(both.manifest.evaluators).toEqual({ linear: 0.7, convolutional: 0.95 });
    expect(aggregate([evaluated(1, { linear: 0.8 }), evaluated(2, { linear: 0.6 })]).manifest.evaluators).toEqual({
      linear: 0.7,
    });
    expect(aggregate([evaluated(1, { linear: 0.8 }), evaluated(2)]).manifest.evaluators).toBeUndefined();
  });

  test('bit errors are compared with noise that most victims have, even if other errors are nearer to halfway', () => {
    const [mild, strong] = [0.05, 0.2].map((rate): Condition => ({ ...bits, rates: { fc1: rate } }));
    const accuracyOf = new Map([
      [mild, 0.7],
      [strong, 0.5],
    ]);
    const victim = (seed: number, conditions: Condition[]) => {
      const own = run(seed, 0.9, [none, mild, strong, ...conditions]);
      const rows = own.rows.map((row) => ({ ...row, accuracy: accuracyOf.get(row.condition) ?? row.accuracy }));
      return { ...own, rows, summary: summarise(rows) };
    };
    // 0.7 is halfway between 0.9 and 0.5, but a single victim has noise for it.
    const runs = [victim(1, [noise(0.1, strong)]), victim(2, [noise(0.1, strong), noise(0.1, mild)])];
    const { summary } = aggregate(runs);
    const base = summary.find(({ condition }) => condition.kind === 'none')!;
    expect(equalAccuracyPairs(summary, base, 'zero').map(({ first }) => first.condition)).toEqual([strong]);
    const alone = aggregate([runs[1]]).summary;
    expect(equalAccuracyPairs(alone, base, 'zero').map(({ first }) => first.condition)).toEqual([mild]);
  });

  test('noise calibrated to the same bit errors is one condition, whose scale is the mean over the runs', () => {
    const runs = [run(1, 0.6, [none, bits, noise(0.2)]), run(2, 0.8, [none, bits, noise(0.3)])];
    const { summary } = aggregate(runs);
    expect(summary.map(({ condition }) => conditionLabel(condition))).toEqual([
      'Undefended',
      'Bit errors 10 %, fc1',
      'Gaussian noise 0.25, fc1',
    ]);
  });

  test('a condition that only some runs have is kept with its number of seeds', () => {
    const { summary } = aggregate([run(1, 0.6, [none]), run(2, 0.8, [none, bits])]);
    expect(summary.map(({ seeds }) => seeds)).toEqual([2, 1]);
  });

  test('memories that differ in their seed alone are one condition', () => {
    const memory = (seed: number) => {
      const condition = fakeMemory('chip');
      return { ...condition, memory: { ...condition.memory, seed } };
    };
    expect(aggregate([run(1, 0.6, [memory(1)]), run(2, 0.8, [memory(2)])]).summary).toHaveLength(1);
  });

  test('runs that differ in anything else are refused with the field and both values', () => {
    const [a, b] = [run(1, 0.6, [none], { draws: 3 }), run(2, 0.6, [none], { draws: 5 })];
    expect(() => aggregate([a, b], ['runs/a', 'runs/b'])).toThrow(
      new ConfigError(
        'runs/b: config.draws is 5, but 3 in runs/a; only runs that differ in the seed alone can be aggregated',
      ),
    );
    const deeper = run(2, 0.6, [none], { draws: 3, attacks: [{ start: 'zero', iterations: 9 }] });
    const other = run(3, 0.6, [none], { draws: 3, attacks: [{ start: 'zero' }] });
    expect(() => aggregate([deeper, other])).toThrow('run 2: config.attacks[0].iterations is not set, but 9 in run 1');
    const elsewhere = run(2, 0.6, [none], { draws: 3 });
    elsewhere.manifest.dataset = { ...elsewhere.manifest.dataset, name: 'other faces' };
    expect(() => aggregate([a, elsewhere])).toThrow('run 2: dataset.name is "other faces", but "procedural faces"');
  });

  test('two runs with the same seed are refused', () => {
    expect(() => aggregate([run(1, 0.6, [none]), run(2, 0.6, [none]), run(1, 0.6, [none])])).toThrow(
      'run 3: seed is 1, as in run 1',
    );
  });

  test('aggregated runs give one report with figures, which says that the intervals are over seeds', () => {
    const runs = [1, 2, 3].map((seed) => {
      const results = fakeResults({ draws: 2, identities: 4, perLayer: true });
      return { ...results, manifest: { ...results.manifest, seed } };
    });
    const results = aggregate(runs);
    expect(isAggregated(results)).toBe(true);
    expect(figuresOf(results).map(({ file }) => file)).toEqual(['recognition', 'curve', 'layers']);
    const figures = figuresOf(results).map((figure) => ({
      name: figure.file,
      svg: figure.draw(results, { document: createDocument() }),
      caption: figure.caption(results),
    }));
    const html = reportHtml({ results, figures });
    expect(html).toMatch(/Seeds<\/dt><dd>1, 2, 3/);
    expect(html).toContain('95\u00a0% intervals over victims and people');
    expect(summaryTable(results).columns.slice(0, 4)).toEqual(['Condition', 'Attack', 'Seeds', 'Draws']);
  });
});

describe('the summary as CSV', () => {
  test('the summary as CSV has the condition, its fields, and every metric with the ends of its interval', () => {
    const [header, first] = summaryCsv(run(1, 0.6, [bits]).summary).split('\r\n');
    expect(header).toMatch(
      /^condition,kind,label,format,granularity,layers,matchedTo,rate\.fc1,attack,draws,n,unmeasured,accuracy,/,
    );
    expect(header).toContain('pcc,pcc.low,pcc.high');
    expect(first).toMatch(/^"Bit errors 10 %, fc1",bit-error,,fixed12,load,fc1,,0\.1,zero,2,6,0,0\.6,0\.6,0\.6,/);
    expect(first.replace(/"[^"]*"/g, '').split(',')).toHaveLength(header.split(',').length);
  });

  test('the summary as CSV counts the seeds when there are several', () => {
    const { summary } = aggregate([run(1, 0.6, [bits]), run(2, 0.8, [bits])]);
    expect(summaryCsv(summary)).toMatch(/attack,seeds,draws,n.*\r\n.*,zero,2,4,12,/);
  });
});

describe('the summary as a LaTeX table', () => {
  const { summary } = run(1, 0.6, [none, bits]);

  test('the LaTeX table has booktabs rules, a line per condition and every interval', () => {
    const lines = latexTable(summary).split('\n');
    expect(lines.slice(0, 5)).toEqual([
      '% Needs \\usepackage{booktabs}. In brackets: 95 % confidence intervals.',
      '\\begin{tabular}{lrlllll}',
      '\\toprule',
      'Condition & Draws & Accuracy & PCC & PCC lift & Lift, mean-free & Rank-1 \\\\',
      '\\midrule',
    ]);
    expect(lines[6]).toMatch(
      /^Bit errors 10 \\%, fc1 & 2 & \$0\.600\$ \[\$0\.600\$, \$0\.600\$\] & \$0\.600\$ \[\$0\.600\$, \$0\.600\$\] & \$0\.\d{3}\$ \[\$-?0\.\d{3}\$, \$0\.\d{3}\$\] & .* \\\\$/,
    );
    expect(lines.slice(7)).toEqual(['\\bottomrule', '\\end{tabular}', '']);
  });

  test('the LaTeX table escapes characters that are special in LaTeX', () => {
    const evil = { ...summary[0], condition: fakeMemory('50 % of {x}_1 & #2 ~ $\\alpha^2$ < "b" | −1\nend') };
    expect(latexTable([evil], { metrics: [] })).toContain(
      '50 \\% of \\{x\\}\\_1 \\& \\#2 \\textasciitilde{} \\$\\textbackslash{}alpha\\textasciicircum{}2\\$ \\textless{} ' +
        '\\textquotedbl{}b\\textquotedbl{} \\textbar{} $-$1 end & 2 \\\\',
    );
  });

  test('the LaTeX table floats with a caption and a label, and has an attack column when there are several attacks', () => {
    const both = [...summary, { ...summary[0], attack: 'mean' }];
    const attacks = [{ name: 'zero', kind: 'mi-face', title: 'MI-Face from black' }];
    const table = latexTable(both, { attacks, caption: 'PCC & lift', label: 'tab:midas', metrics: ['pcc'] });
    expect(table).toContain(
      '\\begin{table}\n\\centering\n\\caption{PCC \\& lift}\n\\label{tab:midas}\n\\begin{tabular}{llrl}',
    );
    expect(table).toContain('Undefended & MI-Face from black & 2 &');
    expect(table).toContain('Undefended & mean & 2 &');
  });
});
