import { describe, expect, test } from 'vitest';
import { demoEndingLines, endingLines } from '../../src/cli/ending.ts';
import { verdictOf } from '../../src/results/verdict.ts';
import { fakeResults } from '../results/fake.ts';
import { AT_A_PRICE, PROTECTS, PROTECTS_NOBODY, plantedRun } from '../results/planted.ts';

describe('the last lines of a run', () => {
  test.each([
    ['that protects at no cost', PROTECTS],
    ['that protects nobody', PROTECTS_NOBODY],
    ['that protects at a price', AT_A_PRICE],
  ])('a run %s ends with question, verdict, four rows and the path of the report, in at most ten lines', (_, plan) => {
    const results = plantedRun(plan);
    const { question, answer, notes } = verdictOf(results);
    const lines = endingLines(results, 'runs/x/report.html');
    expect(lines.slice(0, 3)).toEqual([question, answer, notes.join(' ')]);
    expect(lines).toHaveLength(9);
    expect(lines.at(-1)).toBe('report: runs/x/report.html');
    expect(lines[3].trim().split(/ {2,}/)).toEqual([
      'owner’s accuracy',
      'evaluator recognises',
      'change of the recognised, in points of 100',
    ]);
    // Columns are aligned, and every row has the undefended value and its own.
    const column = lines[3].indexOf('owner');
    for (const line of lines.slice(4, 8)) {
      expect(line.slice(column)).toMatch(/^95\.0 % → \d\d\.\d % {2,}36 of 40 → \d+ of 40 {2,}\S/);
    }
  });

  test('a run in which nothing could be measured ends with a question, an answer and the path', () => {
    const empty = { ...fakeResults({ draws: 1 }), rows: [], summary: [] };
    expect(endingLines(empty, 'report.html')).toHaveLength(3);
  });
});

describe('the last lines of the demo', () => {
  const ending = (...plans: (typeof PROTECTS)[]) =>
    demoEndingLines(plans.map((plan, i) => ({ results: plantedRun(plan), report: `runs/${i}/report.html` })));

  test('the demo ends with at most ten lines, which name the verdict of each of its runs', () => {
    const lines = ending(PROTECTS, PROTECTS_NOBODY);
    expect(lines.length).toBeLessThanOrEqual(10);
    expect(lines[1]).toMatch(
      /^Multilayer perceptron\. It hides some of them: with “Bit errors 0\.098 %, fc1”, an independent evaluator recognises 12 of 40/,
    );
    expect(lines[2]).toMatch(/^Multilayer perceptron\. (No|Not shown): even with “Bit errors 12\.5 %, fc1”/);
    expect(lines.at(-1)).toBe('report: runs/0/report.html and runs/1/report.html');
  });

  test('a demo with the opposite outcome ends with the opposite verdict', () => {
    const [forwards, backwards] = [ending(PROTECTS, PROTECTS_NOBODY), ending(PROTECTS_NOBODY, PROTECTS)];
    expect(backwards[1]).toBe(forwards[2]);
    expect(backwards[2]).toBe(forwards[1]);
  });

  test('the table of the demo has the cheapest setting of each run, and the one that its verdict names', () => {
    const lines = ending(AT_A_PRICE, PROTECTS_NOBODY).slice(4, -1);
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^Multilayer perceptron {2}Bit errors 0\.098 %, fc1 .* 36 of 40 → 36 of 40 /);
    expect(lines[1]).toMatch(/^ +Bit errors 1\.56 %, fc1 .* 36 of 40 → 12 of 40 +lower by 60 points \(/);
    expect(lines[3]).toMatch(/^ +Bit errors 12\.5 %, fc1 .* 36 of 40 → 36 of 40 /);
  });
});
