/** Names from strangers in the files of a run: none of them loses a figure, and none becomes a formula of a spreadsheet. */
import { describe, expect, test } from 'vitest';
import { svgToPdf } from '../../src/cli/pdf.ts';
import { createDocument, encodePng, figureFonts, svgFile, svgToPng } from '../../src/cli/render.ts';
import { drawFigures } from '../../src/results/figures/index.ts';
import { reconstructionSheet } from '../../src/results/figures/sheet.ts';
import { escapeXml } from '../../src/results/figures/style.ts';
import { reportHtml } from '../../src/results/report.ts';
import { type Condition, type Results, summarise, summaryCsv, toCsv } from '../../src/results/results.ts';
import { fakeMemory, fakeResults, fakeRow } from './fake.ts';

/** Code points that XML cannot hold, halves of a surrogate pair, control characters, markup, and letters beyond the fonts. */
const HOSTILE = 'x\uffff\ufffe\ud800\udc00\udfff\u0000\u001b[31m\u007f\u009b<b>&"\'\u{1f600}人\u202e';
const none: Condition = { kind: 'none', rates: {}, layers: 'none' };

function hostileResults(conditions: readonly Condition[]): Results {
  const rows = [none, ...conditions].flatMap((condition, i) =>
    [HOSTILE, 'plain'].map((attack) =>
      fakeRow(condition, 0, { accuracy: 0.9 - 0.1 * i, pcc: 0.7, lift: 0.2 }, 4, attack),
    ),
  );
  const { manifest, baselines, schema } = fakeResults({ draws: 1, identities: 2 });
  const dataset = { ...manifest.dataset, name: HOSTILE };
  return { schema, manifest: { ...manifest, dataset, command: HOSTILE }, rows, summary: summarise(rows), baselines };
}

const bits = (layer: string, rate: number): Condition => ({
  kind: 'bit-error',
  format: 'fixed12',
  granularity: 'load',
  rates: { [layer]: rate },
  layers: layer,
});

const dimm = (volts: number): Condition => ({
  ...fakeMemory(`${HOSTILE} ${volts}`, { fc1: { kind: 'stored', faults: [{ kind: 'voltage', vendor: 'C', volts }] } }),
  setting: HOSTILE,
  volts,
});

describe('figures with names that XML cannot hold', () => {
  test.each([
    ['bit errors of several layers', [0.01, 0.05, 0.1].flatMap((rate) => [bits(HOSTILE, rate), bits('fc2', rate)])],
    [
      'a grid of two layers',
      [0.01, 0.1].flatMap((a) =>
        [0.01, 0.1].map((b): Condition => ({ ...bits(HOSTILE, a), rates: { [HOSTILE]: a, fc2: b }, layers: 'both' })),
      ),
    ],
    ['supply voltages', [1.1, 1.15, 1.25].map(dimm)],
  ])('%s are drawn as SVG, PNG and PDF, and the report is written', async (_, conditions) => {
    const results = hostileResults(conditions);
    const figures = drawFigures(results, { document: createDocument(), title: HOSTILE });
    expect(figures.length).toBeGreaterThan(0);
    for (const { svg } of figures) {
      expect(svg).not.toMatch(/[\ufffe\uffff]|\p{Cs}/u);
      expect(svgToPng(svg, 300).length).toBeGreaterThan(1000);
      expect(svgToPng(svgFile(svg), 300).length).toBeGreaterThan(1000);
      expect((await svgToPdf(svg, HOSTILE)).length).toBeGreaterThan(1000);
    }
    expect(reportHtml({ results, figures, fonts: figureFonts() })).toMatch(/<\/html>\s*$/);
  });

  test('a contact sheet shows people with such names', () => {
    const images = [new Uint8Array(16), new Uint8Array(16)];
    const rows = [HOSTILE, 'plain'].map((label) => ({ label, detail: HOSTILE, images }));
    const sheet = reconstructionSheet({
      columns: [HOSTILE, ''],
      rows,
      width: 4,
      height: 4,
      title: HOSTILE,
      footnote: HOSTILE,
      encodePng,
    });
    expect(svgToPng(sheet, 300).length).toBeGreaterThan(500);
  });

  test('escaping keeps every character that XML can hold', () => {
    expect(escapeXml('a\t\n\u{1f600}\u{10ffff}é<\uffff\ud83d>')).toBe('a\t\n\u{1f600}\u{10ffff}é&lt;&gt;');
  });
});

describe('cells of a CSV file', () => {
  const cellsOf = (csv: string) => csv.split('\r\n')[1].split(',');

  test.each(['=1+1', '+1', '-1+2', '@SUM(A1)', '\tx', '=HYPERLINK("http://x","y")'])(
    'the name %j is guarded against computation as a formula',
    (name) => {
      const results = hostileResults([]);
      const rows = [{ ...results.rows[0], attack: name, condition: fakeMemory(name) }];
      const quoted = name.includes('"') ? `"'${name.replaceAll('"', '""')}"` : `'${name}`;
      expect(toCsv(rows)).toContain(`memory,${quoted},`);
      expect(summaryCsv(summarise(rows))).toContain(`\r\n${quoted},memory,${quoted},`);
    },
  );

  test('numbers stay numbers, negative ones too', () => {
    const row = { ...fakeRow(none, 0, { accuracy: 0.5, pcc: 0.1, lift: 0 }, 2), pccLift: -0.25, psnr: -1e-7 };
    expect(cellsOf(toCsv([row]))).toEqual(expect.arrayContaining(['-0.25', '-1e-7']));
    expect(toCsv([row])).not.toContain("'");
  });
});
