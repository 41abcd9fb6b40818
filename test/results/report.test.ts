import { describe, expect, test } from 'vitest';
import { createDocument, decodePng, encodePng, figureFonts } from '../../src/cli/render.ts';
import { DataError } from '../../src/errors.ts';
import { comparisons } from '../../src/results/comparisons.ts';
import { conditionKey } from '../../src/results/condition.ts';
import { privacyCurve } from '../../src/results/figures/privacy_curve.ts';
import { meaningOf, TERMS } from '../../src/results/glossary.ts';
import { conditionLabel, METRIC_LABELS } from '../../src/results/labels.ts';
import { markdownReport } from '../../src/results/markdown.ts';
import { parseResults } from '../../src/results/parse.ts';
import { reportHtml } from '../../src/results/report.ts';
import { type Row, summarise, toCsv } from '../../src/results/results.ts';
import { costTable, energyTable, summaryTable } from '../../src/results/tables.ts';
import { verdictOf } from '../../src/results/verdict.ts';
import { EARLY_ROW, fakeMemory, fakeResults } from './fake.ts';
import { AT_A_PRICE, type Plan, PROTECTS, PROTECTS_NOBODY, plantedRun } from './planted.ts';

const results = fakeResults({ draws: 2, identities: 6, perLayer: true });
const document = createDocument();
const { summary, baselines } = results;
const svg = privacyCurve({ summary, baselines, title: 'Curve', document });
const png = encodePng(new Uint8Array(12).fill(9), 4, 3);
const images = [
  { name: 's1', png },
  { name: 's2', png: undefined },
];
const faces = { rows: [{ label: 'truth', detail: 'a photograph', images }], note: 'First draw.' };
const html = reportHtml({ results, figures: [{ name: 'curve', svg, caption: 'The curve.' }], faces });

/** A row whose reconstructions could not be measured. */
function lost(row: Row): Row {
  const nobody = row.perIdentity.pcc.map(() => null);
  const measures = { pcc: null, pccLift: null, mse: null, psnr: null, ssim: null, identity: null };
  const perIdentity = { pcc: nobody, pccLift: nobody, identity: nobody };
  return { ...row, ...measures, ...EARLY_ROW, unmeasured: nobody.length, perIdentity };
}

/** The page, with the spaces before units as the sentences have them. */
function parse(page: string): Document {
  const text = page.replaceAll('\u00a0', ' ');
  return new (document.defaultView as Window & typeof globalThis).DOMParser().parseFromString(text, 'text/html');
}

describe('the report of a run', () => {
  test('the report refers to nothing outside itself', () => {
    const references = html.match(/https?:[^"'\s<)]*/g) ?? [];
    expect(new Set(references)).toEqual(new Set(['http://www.w3.org/2000/svg', 'http://www.w3.org/1999/xlink']));
    expect(html).not.toMatch(/(?:src|href)="(?!data:|#)/);
    expect(html).not.toMatch(/@import|url\(|<script|<link/);
  });

  test('the report says what was run and how to run it again', () => {
    const text = parse(html).body.textContent ?? '';
    const { manifest } = results;
    for (const part of [
      manifest.command,
      manifest.adapter,
      manifest.dataset.sha256,
      manifest.dataset.split,
      '5 min 13 s',
    ]) {
      expect(text).toContain(part);
    }
    expect(text).toContain('npm run midas -- deep --preset tiny --seed 1 --adapter software');
    expect(text).toContain('"ndf": 8');
    expect(text).toContain('procedural');
    expect(text).toContain('only 2 draws');
  });

  test('the report has the epsilon of a victim that was trained by DP-SGD, and its assumption', () => {
    expect(html).not.toContain('DP-SGD');
    const losses = { epsilon: 2.92, epsilonOncePerEpoch: 61.5, delta: 1e-5 };
    const privacy = { ...losses, noise: 1.1, clip: 0.5, rate: 0.25, steps: 40 };
    const run = { ...results, manifest: { ...results.manifest, privacy } };
    expect(parseResults(JSON.stringify(run), 'results.json').manifest.privacy).toEqual(privacy);
    const text = parse(reportHtml({ results: run, figures: [] })).body.textContent;
    expect(text).toContain('DP-SGD with noise 1.1 and gradients clipped to 0.5: ε = 2.92 at δ = 0.00001');
    expect(text).toContain('if batches were Poisson samples, which shuffled batches are not');
    expect(text).toContain('ε = 61.5');
  });

  test('the report has the cost of every attack whose rows know it', () => {
    expect(html).not.toContain('Cost of the attacks');
    const [first] = results.rows;
    const rows = results.rows.map((row, i) => ({
      ...row,
      queries: row.attack === first.attack ? i % 2 : 7,
      reloads: 3,
    }));
    const manifest = { ...results.manifest, attackSeconds: { [first.attack]: 1.25 } };
    const table = costTable({ ...results, rows, manifest })!;
    expect(table.columns).toEqual(['Attack', 'Queries per picture', 'Further loads', 'Seconds per draw']);
    expect(table.rows).toHaveLength(new Set(rows.map(({ attack }) => attack)).size);
    expect(table.rows[0].slice(2)).toEqual([3, '1.25']);
    expect(reportHtml({ results: { ...results, rows, manifest }, figures: [] })).toContain('Cost of the attacks');
  });

  test('the report has the energy and the time of reads at reduced voltages and timings, and what they leave out', () => {
    expect(html).not.toContain('Energy and time of reads');
    const last = results.summary.at(-1)!.condition;
    const joules = { activate: 0.001, read: 0.0025, background: 0.003, refresh: 0.004 };
    const rows = results.rows.map((row) => {
      const own = conditionKey(row.condition) === conditionKey(last);
      return { ...row, energy: { bytes: 2e6, relative: own ? 0.81 : 1, joules, access: 1 } };
    });
    const table = energyTable({ ...results, rows })!;
    expect(table.columns).toHaveLength(8);
    expect(table.rows).toEqual([[conditionLabel(last), '2.0', '0.810', '1.000', '2.500', '3.000', '4.000', '1.000']]);
    const early = rows.map((row) => ({ ...row, energy: { ...row.energy, access: 0.75 } }));
    expect(energyTable({ ...results, rows: early })!.rows).toHaveLength(
      new Set(results.summary.map(({ condition }) => conditionKey(condition))).size,
    );
    const text = parse(reportHtml({ results: { ...results, rows }, figures: [] })).body.textContent;
    expect(text).toContain('termination and drivers of the data lines');
    expect(markdownReport({ ...results, rows })).toContain('| 0.810 | 1.000 | 2.500 |');
    const saved = results.rows.map((row) => ({ ...row, energy: { bytes: 2e6, relative: 0.9 } }));
    expect(energyTable({ ...results, rows: saved })!.rows[0].slice(2)).toEqual(['0.900', '–', '–', '–', '–', '–']);
  });

  test('the report has the faces, each figure with a table behind it, and the baselines', () => {
    const page = parse(html);
    const src = page.querySelector('img')!.getAttribute('src')!;
    expect(decodePng(Buffer.from(src.split(',')[1], 'base64'))).toMatchObject({ width: 4, height: 3 });
    expect(page.querySelector('#faces img')!.getAttribute('alt')).toBe('s1, truth');
    expect(page.querySelector('#faces .lost')!.textContent).toBe('not finite');
    expect(page.querySelector('#figure-curve svg')).not.toBeNull();
    expect(page.querySelectorAll('#figure-curve details tbody tr')).toHaveLength(results.summary.length);
    expect(page.body.textContent).toContain('0.703');
    expect(page.querySelectorAll('h1')).toHaveLength(1);
    for (const image of page.querySelectorAll('img')) expect(image.getAttribute('alt')).toBeTruthy();
  });

  test('the report escapes all text that comes from outside', () => {
    const evil = '</style><script>alert(1)</script>"&';
    const spoiled = structuredClone(results);
    spoiled.manifest.command = `midas ${evil}`;
    spoiled.manifest.adapter = evil;
    spoiled.manifest.dataset = { name: evil, sha256: evil, split: evil };
    spoiled.manifest.config = { [evil]: evil };
    for (const entry of spoiled.summary) {
      entry.attack = evil;
      const { condition } = entry;
      entry.condition = condition.kind === 'gaussian' ? fakeMemory(evil) : { ...condition, layers: evil };
      if (entry.condition.kind === 'bit-error') entry.condition.format = evil;
    }
    const curve = privacyCurve({ summary: spoiled.summary, baselines, title: evil, document });
    const page = reportHtml({
      results: spoiled,
      title: evil,
      caveats: [evil],
      figures: [{ name: evil, svg: curve, caption: evil, table: { columns: [evil], rows: [[evil, 1]] } }],
    });
    expect(page).not.toContain('<script');
    expect(page.match(/<\/style>/g)).toHaveLength(1);
    expect(parse(page).querySelectorAll('script')).toHaveLength(0);
    expect(parse(page).querySelector('.lede')!.textContent).toBe(evil);
  });

  test('the report embeds the letters of its text once when it is given a font', () => {
    const figures = [{ name: 'curve', svg, caption: '' }];
    const page = reportHtml({ results, figures, fonts: figureFonts() });
    expect(page.match(/@font-face/g)).toHaveLength(3);
    expect(page).toContain("style-src 'unsafe-inline'; font-src data:");
    expect(page.replace(/@font-face\{[^}]*\}/g, '').replace('; font-src data:', '')).toBe(
      reportHtml({ results, figures }),
    );
  });

  test('the report refuses a figure that is not an SVG', () => {
    expect(() => reportHtml({ results, figures: [{ name: 'x', svg: '<b>hi</b>', caption: '' }] })).toThrow(DataError);
  });

  test('the report can be made of a run without rows', () => {
    const empty = { ...results, rows: [], summary: [] };
    expect(reportHtml({ results: empty, figures: [] })).toContain('What was run');
  });
});

/** The titles of the sections, in their order. */
const sections = (page: string) => Array.from(parse(page).querySelectorAll('h2'), ({ id }) => id);

describe('the order of a report', () => {
  const run = plantedRun(AT_A_PRICE);
  const page = reportHtml({ results: run, figures: [{ name: 'recognition', svg, caption: 'The curve.' }], faces });

  test('a report begins with the verdict, and the table comes before methods, comparisons, manifest and command', () => {
    expect(sections(page)).toEqual(
      ['verdict', 'methods', 'comparisons', 'baselines', 'conditions', 'run', 'repeat'].filter((id) =>
        page.includes(`id="${id}"`),
      ),
    );
    const first = parse(page).querySelector('section')!;
    const { question, answer, notes } = verdictOf(run);
    expect(parse(page).querySelector('h1')!.textContent).toBe(question);
    expect(Array.from(first.querySelectorAll(':scope > p'), ({ textContent }) => textContent).slice(0, 2)).toEqual([
      answer,
      ...notes,
    ]);
    const parts = Array.from(first.children, ({ tagName, className, id }) => id || className || tagName);
    expect(parts).toEqual(['verdict', 'answer', 'P', 'faces', 'figure-recognition', 'verdict', 'note']);
  });

  test('no line of a report breaks between a number and its percent sign', () => {
    expect(page).toContain('80.0\u00a0%');
    expect(page).not.toMatch(/\d %/);
  });

  test('the opposite run gets the opposite verdict in its report', () => {
    const answerOf = (plan: Plan) => {
      const of = parse(reportHtml({ results: plantedRun(plan), figures: [] }));
      return of.querySelector('.answer')!.textContent!;
    };
    expect(answerOf(PROTECTS)).toMatch(/^It hides some of them: /);
    expect(answerOf(PROTECTS_NOBODY)).toMatch(/^(No|Not shown): /);
  });

  test('the table of the verdict has a row for each of its conditions, with the words of the verdict', () => {
    const rows = Array.from(parse(page).querySelectorAll('table.verdict tbody tr'), (row) =>
      Array.from(row.children, ({ textContent }) => textContent),
    );
    const { table } = verdictOf(run);
    expect(rows).toHaveLength(table!.rows.length);
    expect(rows[2]).toEqual([
      conditionLabel(table!.rows[2].condition),
      '80.0 %',
      table!.rows[2].owner,
      '12 of 40',
      table!.rows[2].attacker,
    ]);
  });

  test('the comparisons of the verdict and all others are in the report, and headings explain their measures', () => {
    const text = parse(page).querySelector('#comparisons')!.parentElement!.textContent!;
    const { table } = verdictOf(run);
    for (const { metric } of [...table!.comparisons, ...comparisons(run)])
      expect(text).toContain(METRIC_LABELS[metric]);
    const titles = Array.from(parse(page).querySelectorAll('abbr'), (abbr) => abbr.getAttribute('title'));
    expect(titles).toContain(meaningOf('liftMeanFree').text);
    expect(parse(page).querySelector('#terms')!.textContent).toContain(
      TERMS.find(({ term }) => term === 'equivalence test')!.text,
    );
  });

  test('a victim near chance has a report without a table or comparisons of its verdict', () => {
    const plan = { ...PROTECTS, none: { accuracy: 0.03, recognised: 0.9 } };
    const guessing = reportHtml({ results: plantedRun(plan), figures: [] });
    expect(guessing).toContain('no conclusions are drawn');
    expect(guessing).not.toContain('class="verdict"');
    expect(guessing).not.toContain('Of the verdict');
  });

  test('values that could not be measured are counted in the report, the table and the figure', () => {
    const nan = { ...results, rows: results.rows.map((row) => ({ ...row })) };
    const condition = nan.rows.at(-1)!.condition;
    nan.rows = nan.rows.map((row) => (row.condition === condition ? lost(row) : row));
    const summary = summarise(nan.rows);
    const broken = { ...results, rows: nan.rows, summary };
    const table = summaryTable(broken);
    expect(table.columns).toContain('Not measured');
    expect(table.rows.at(-1)).toContain('not measured');
    expect(toCsv(nan.rows)).toMatch(/,,,.*\r\n$/);
    expect(privacyCurve({ summary, baselines, title: 'x', document })).not.toContain('NaN');
    const text = reportHtml({ results: broken, figures: [] });
    expect(text).toContain('some reconstructions could not be measured');
    expect(text).not.toMatch(/NaN|PCC of 0\.000/);
  });

  test('a report says that one draw shows no variation', () => {
    const single = fakeResults({ draws: 1, identities: 6 });
    expect(reportHtml({ results: single, figures: [] })).toContain('The errors were drawn once');
    expect(single.summary.at(-1)?.pcc.ci95).toBeNull();
  });
});

test('the summary table has a line for each condition that the filter keeps', () => {
  const table = summaryTable(results, (entry) => entry.condition.kind === 'gaussian', ['accuracy', 'pcc']);
  expect(table.columns).toEqual(['Condition', 'Attack', 'Draws', 'Accuracy', 'PCC with the right person']);
  expect(table.rows).toHaveLength(6);
  expect(table.rows[0][0]).toBe('Gaussian noise 0.006, fc1 + fc2');
  expect(table.rows[0][3]).toMatch(/^0\.8\d\d \[0\.\d{3}, [01]\.\d{3}\]$/);
});
