import { describe, expect, test } from 'vitest';
import { DataError, ShapeError } from '../../src/errors.ts';
import { parsePresentation } from '../../src/results/presentation.ts';
import {
  type Condition,
  formatDuration,
  METRICS,
  markedRowToLine,
  parseResults,
  parseRows,
  type Row,
  rowToLine,
  type SummaryEntry,
  seriesOf,
  summarise,
  toCsv,
} from '../../src/results/results.ts';
import { EARLY_ROW, fakeMemory, fakeResults, fakeRow } from './fake.ts';

const bits = (rates: Record<string, number>, layers = 'both') => ({
  kind: 'bit-error' as const,
  format: 'fixed12',
  granularity: 'load' as const,
  rates,
  layers,
});

/** A row with the given values. */
function row(condition: Condition, draw: number, accuracy: number, pcc: number[]): Row {
  const mean = pcc.reduce((sum, value) => sum + value, 0) / pcc.length;
  return {
    condition,
    draw,
    accuracy,
    attack: 'inversion',
    pcc: mean,
    pccLift: mean / 2,
    mse: 0.01 * (draw + 1),
    psnr: 20,
    ssim: 0.5,
    identity: 1,
    ...EARLY_ROW,
    n: pcc.length,
    perIdentity: { pcc, pccLift: pcc.map((value) => value / 2), identity: pcc.map(() => 1) },
  };
}

function entry(condition: Condition, accuracy: number, pcc: number): SummaryEntry {
  const flat = (mean: number) => ({ mean, ci95: [mean - 0.1, mean + 0.1] as [number, number] });
  const values = Object.fromEntries(METRICS.map((metric) => [metric, flat(metric === 'accuracy' ? accuracy : pcc)]));
  return { condition, attack: 'inversion', draws: 1, n: 1, ...values } as SummaryEntry;
}

describe('reading and writing results.json', () => {
  test('results.json is read back as it was written', () => {
    const results = fakeResults({ draws: 2, identities: 4 });
    expect(parseResults(JSON.stringify(results), 'results.json')).toEqual(results);
  });

  test('a condition with a key that its kind does not have is refused', () => {
    const results = fakeResults({ draws: 1, identities: 2 });
    const condition = { ...results.rows[2].condition, voltage: 1.05 };
    results.rows[2] = { ...results.rows[2], condition };
    expect(() => parseResults(results, 'results.json')).toThrow(/^results\.json: rows\[2\]\.condition\.voltage: /);
  });

  test.each([
    ['rows[1].condition.kind', 'gamma-rays'],
    ['rows[0].pcc', 'high'],
    ['rows[2].condition.rates.fc1', -1],
    ['rows[0].accuracy', 1.5],
    ['rows[0].perIdentity.pcc[1]', 'high'],
    ['manifest.dataset.sha256', undefined],
    ['summary[0].pcc.ci95[1]', undefined],
    ['baselines.meanFacePcc', undefined],
  ])('the error names %s when its value is %s', (path, value) => {
    const results = JSON.parse(JSON.stringify(fakeResults({ draws: 1, identities: 2 })));
    const keys = path.match(/\w+/g)!;
    const last = keys.pop()!;
    keys.reduce((inner, key) => inner[key], results)[last] = value;
    const parse = () => parseResults(JSON.stringify(results), 'old/results.json');
    expect(parse).toThrow(DataError);
    expect(parse).toThrow(`old/results.json: ${path}: `);
  });

  test('lists of values per identity with unequal lengths are refused', () => {
    const results = fakeResults({ draws: 1, identities: 2 });
    results.rows[0].perIdentity.pcc.push(0);
    expect(() => parseResults(results, 'r.json')).toThrow('r.json: rows[0].perIdentity: the lists differ in length');
  });

  test('results.json of another version is refused with the name of that version', () => {
    expect(() => parseResults({ schema: 'midas-results/9' }, 'r.json')).toThrow(
      "r.json: schema is 'midas-results/9', this version reads 'midas-results/1'",
    );
  });

  test('a file that is not JSON is refused with its name', () => {
    expect(() => parseResults('{"rows": [', 'r.json')).toThrow(/^r\.json: not JSON: /);
  });

  test('results.json may begin with a byte order mark, and no key may occur twice in it', () => {
    const text = JSON.stringify(fakeResults({ draws: 1, identities: 2 }));
    const bytes = new TextEncoder().encode(`\ufeff${text}`);
    expect(parseResults(bytes, 'r.json')).toEqual(parseResults(text, 'r.json'));
    expect(() => parseResults(text.replace('{', '{"schema":"x",'), 'r.json')).toThrow(
      /^r\.json: schema: this key occurs/,
    );
    expect(() => parsePresentation(new TextEncoder().encode('{"width":1,"width":2}'), 'p.json')).toThrow(
      /^p\.json: width: this key occurs twice; run again with --resume$/,
    );
  });
});

describe('reading and writing rows.jsonl', () => {
  const rows = [0, 1, 2].map((draw) => fakeRow(bits({ fc1: 0.1 }), draw, { accuracy: 0.8, pcc: 0.5, lift: 0.1 }, 3));

  test('rows.jsonl is read back as it was written', () => {
    expect(parseRows(rows.map(rowToLine).join(''), 'rows.jsonl')).toEqual(rows);
  });

  test('rows.jsonl loses only the row that an interruption cut off', () => {
    const text = rows.map(rowToLine).join('');
    expect(parseRows(text.slice(0, -20), 'rows.jsonl')).toEqual(rows.slice(0, 2));
    expect(parseRows(text.slice(0, -1), 'rows.jsonl')).toEqual(rows.slice(0, 2));
    expect(parseRows('', 'rows.jsonl')).toEqual([]);
  });

  test('the error names the damaged line of rows.jsonl', () => {
    const text = (line: string) => `${rowToLine(rows[0])}${line}\n${rowToLine(rows[1])}`;
    expect(() => parseRows(text('{"condition": 3}'), 'rows.jsonl')).toThrow(/^rows\.jsonl:2: condition: /);
    expect(() => parseRows(text('{"draw": 1, "draw": 2}'), 'rows.jsonl')).toThrow(/^rows\.jsonl:2: draw: .* twice/);
  });

  test('a repeated row of rows.jsonl is dropped with a warning', () => {
    const warnings: string[] = [];
    const text = [rows[0], rows[1], rows[0], rows[0]].map(rowToLine).join('');
    expect(parseRows(text, 'rows.jsonl', { warn: (line) => warnings.push(line) })).toEqual(rows.slice(0, 2));
    expect(warnings).toEqual(['rows.jsonl: 2 repeated rows were dropped']);
  });

  test('a row of rows.jsonl is repeated whatever the order of its keys', () => {
    const { draw, ...rest } = JSON.parse(rowToLine(rows[0]));
    expect(parseRows(`${rowToLine(rows[0])}${JSON.stringify({ ...rest, draw })}\n`, 'rows.jsonl')).toEqual([rows[0]]);
  });

  test('rows that contradict each other are refused with both lines of rows.jsonl', () => {
    const text = [rows[0], rows[1], { ...rows[0], accuracy: 0.123 }].map(rowToLine).join('\n');
    const read = () => parseRows(text, 'rows.jsonl');
    expect(read).toThrow(DataError);
    expect(read).toThrow(/^rows\.jsonl:5: draw 0 of "Bit errors 10 %, .+" under inversion contradicts line 1; remove/);
  });

  test('a row that does not belong to the run is refused with its line of rows.jsonl', () => {
    const text = markedRowToLine(rows[0], 'here') + markedRowToLine(rows[1], 'elsewhere');
    const refuse = (_: Row, run: unknown) => (run === 'here' ? undefined : 'the row belongs to another run');
    expect(() => parseRows(text, 'rows.jsonl', { refuse })).toThrow(
      /^rows\.jsonl:2: the row belongs to another run; remove the line$/,
    );
    expect(parseRows(text, 'rows.jsonl')).toEqual(rows.slice(0, 2));
  });

  test('a row with a number that JSON cannot hold is refused', () => {
    expect(() => rowToLine({ ...rows[0], psnr: Number.POSITIVE_INFINITY })).toThrow(/psnr/);
  });
});

describe('the summary of rows', () => {
  test('the summary has the mean and the interval computed by hand', () => {
    const condition = bits({ fc1: 0.1 });
    const [summary] = summarise([row(condition, 0, 0.8, [0.2, 0.4]), row(condition, 1, 0.9, [0.6, 0.8])]);
    // Accuracies without their images: two draws, standard error 0.05, t of 0.05 with one degree of freedom 12.706.
    expect(summary.accuracy.mean).toBeCloseTo(0.85, 12);
    expect(summary.accuracy.ci95).toEqual([expect.closeTo(0.85 - 12.7062 * 0.05, 4), 1]);
    // Draws differ by 0.4, people by 0.2, and nothing is left: variances of the mean 0.04 and 0.01, t 12.706 for both,
    // half of that for the lift; a correlation cannot leave -1..1.
    expect(summary.pcc.mean).toBeCloseTo(0.5, 12);
    const half = 12.7062 * Math.sqrt(0.04 + 0.01);
    expect(summary.pcc.ci95).toEqual([-1, 1]);
    expect(summary.pccLift.mean).toBeCloseTo(0.25, 12);
    expect(summary.pccLift.ci95).toEqual([expect.closeTo(0.25 - half / 2, 3), expect.closeTo(0.25 + half / 2, 3)]);
    // A metric without values per identity has one value per draw.
    expect(summary.mse.mean).toBeCloseTo(0.015, 12);
    expect(summary.mse.ci95).toEqual([expect.closeTo(0.015 - 0.0635, 3), expect.closeTo(0.015 + 0.0635, 3)]);
    expect(summary).toMatchObject({ draws: 2, n: 4, attack: 'inversion', condition });
  });

  test('the accuracy of a single error-free draw has an interval over images, and a single draw of errors none', () => {
    const correct = '1'.repeat(90) + '0'.repeat(10);
    const clean = { ...row({ kind: 'none', rates: {}, layers: 'none' }, 0, 0.9, [0.2, 0.4]), correct };
    const [none, broken] = summarise([clean, { ...row(bits({ fc1: 0.1 }), 0, 0.8, [0.2, 0.4]), correct }]);
    expect(none.accuracy.mean).toBeCloseTo(0.9, 12);
    const [low, high] = none.accuracy.ci95!;
    expect(low).toBeCloseTo(0.9 - 1.984 * 0.03, 2);
    expect(high).toBeCloseTo(0.9 + 1.984 * 0.03, 2);
    expect(none.pcc.ci95).not.toBeNull();
    expect([broken.accuracy.ci95, broken.pcc.ci95]).toEqual([null, null]);
  });

  test('the interval of accuracy is over people where their images are alike', () => {
    // Ten people with ten images each: all right for eight of them, all wrong for two.
    const wrong = {
      ...row({ kind: 'none', rates: {}, layers: 'none' }, 0, 0.8, [0.2, 0.4]),
      correct: '1'.repeat(80) + '0'.repeat(20),
    };
    const width = ([entry]: SummaryEntry[]) => entry.accuracy.ci95![1] - entry.accuracy.ci95![0];
    const alike = { ...wrong, personAccuracy: [1, 1, 1, 1, 1, 1, 1, 1, 0, 0] };
    const mixed = { ...wrong, personAccuracy: Array.from({ length: 10 }, () => 0.8) };
    expect(width(summarise([alike]))).toBeGreaterThan(3 * width(summarise([mixed])));
    expect(width(summarise([mixed]))).toBeCloseTo(width(summarise([wrong])), 12);
    expect(summarise([alike])[0].accuracy.mean).toBeCloseTo(0.8, 12);
  });

  test('values that were not measured are left out of the means and counted', () => {
    const condition = bits({ fc1: 0.1 });
    const draws = [0, 1].map((draw) => row(condition, draw, 0.8, [0.2, 0.4]));
    const lost: Row = {
      ...draws[1],
      pcc: 0.2,
      unmeasured: 1,
      perIdentity: { ...draws[1].perIdentity, pcc: [0.2, null] },
    };
    const [summary] = summarise([draws[0], lost]);
    // The missing value is taken as what the rest of the table predicts: the other draw has 0.4 there and differs by nothing.
    expect(summary.pcc.mean).toBeCloseTo(0.3, 9);
    expect(summary.pcc.unmeasured).toBe(1);
    expect(summary.unmeasured).toBe(1);
    expect(summary.liftMeanFree).toMatchObject({ mean: null, ci95: null });
    const all: Row = { ...lost, pcc: null, perIdentity: { ...lost.perIdentity, pcc: [null, null] } };
    expect(summarise([all])[0].pcc).toEqual({ mean: null, ci95: null });
  });

  test('the summary groups rows by condition and attack, in the order of the rows', () => {
    const [a, b] = [bits({ fc1: 0.1 }), bits({ fc1: 0.2 })];
    const rows = [row(b, 0, 0.7, [0.1]), row(a, 0, 0.8, [0.2]), row(b, 1, 0.7, [0.1])];
    const groups = summarise([...rows, { ...rows[0], attack: 'mi-face zero' }]);
    expect(groups.map((g) => [g.condition.rates.fc1, g.attack, g.draws])).toEqual([
      [0.2, 'inversion', 2],
      [0.1, 'inversion', 1],
      [0.2, 'mi-face zero', 1],
    ]);
  });

  test('the summary does not depend on the order in which a resumed run finished its draws', () => {
    const condition = bits({ fc1: 0.1 });
    const rows = [0, 1, 2].map((draw) => fakeRow(condition, draw, { accuracy: 0.8, pcc: 0.5, lift: 0.1 }, 5));
    expect(summarise([rows[2], rows[0], rows[1]])).toEqual(summarise(rows));
  });

  test('the summary refuses draws of different sizes and a draw that appears twice', () => {
    const condition = bits({ fc1: 0.1 });
    const ragged = [row(condition, 0, 0.8, [0.1, 0.2]), row(condition, 1, 0.8, [0.1])];
    expect(() => summarise(ragged)).toThrow(ShapeError);
    expect(() => summarise(ragged)).toThrow('draw 0 has 2 identities, draw 1 has 1');
    expect(() => summarise([ragged[0], ragged[0]])).toThrow('draw 0 appears twice');
  });
});

describe('series of conditions', () => {
  const none = entry({ kind: 'none', rates: {}, layers: 'none' }, 0.9, 0.8);
  const quantised = entry(
    { kind: 'quantised', format: 'fixed12', granularity: 'load', rates: {}, layers: 'both' },
    0.89,
    0.79,
  );

  test('a series goes from weak to strong and begins at the condition without errors', () => {
    const strong = entry(bits({ fc1: 0.2, fc2: 0.2 }), 0.6, 0.3);
    const weak = entry(bits({ fc1: 0.1, fc2: 0.1 }), 0.8, 0.6);
    const noise = entry({ kind: 'gaussian', rates: { fc1: 0.01 }, granularity: 'load', layers: 'both' }, 0.7, 0.6);
    const [first, second] = seriesOf([strong, none, weak, quantised, noise]);
    expect(first.line).toEqual([quantised, weak, strong]);
    expect(second.line).toEqual([none, noise]);
  });

  test('a series of a grid connects only equal rates', () => {
    const equal = [0.1, 0.2].map((rate) => entry(bits({ fc1: rate, fc2: rate }), 0.8, 0.6));
    const others = [entry(bits({ fc1: 0.1, fc2: 0.2 }), 0.8, 0.6), entry(bits({ fc1: 0.2, fc2: 0.1 }), 0.8, 0.6)];
    const [series] = seriesOf([quantised, ...equal, ...others]);
    expect(series.line).toEqual([quantised, ...equal]);
    expect(series.scattered).toHaveLength(2);
  });

  test('a series connects unequal scales that rise together, like those of noise matched layer by layer', () => {
    const noise = [1, 2].map((k) =>
      entry({ kind: 'gaussian', rates: { fc1: k, fc2: 3 * k }, granularity: 'load', layers: 'both' }, 0.8, 0.6),
    );
    expect(seriesOf(noise)[0].line).toEqual(noise);
  });
});

describe('rows as CSV', () => {
  test('the CSV has a header, a line per row and a column for every layer and key of a condition', () => {
    const noise: Condition = { kind: 'gaussian', rates: { fc1: 0.1 }, granularity: 'load', layers: 'fc1' };
    const rows = [
      row({ ...noise, calibration: 'moments' }, 0, 0.8, [0.25]),
      row(bits({ fc2: 0.2 }, 'fc2'), 1, 0.7, [0.5]),
    ];
    expect(toCsv(rows)).toBe(
      'kind,label,format,granularity,layers,matchedTo,rate.fc1,rate.fc2,condition.calibration,attack,draw,accuracy,pcc,pccLift,mse,psnr,ssim,identity,' +
        'pccMeanFree,liftMeanFree,rank1,rank5,auc,pccOther,liftOther,pccMeanFreeOther,liftMeanFreeOther,top1,top5,' +
        'featureDistance,flagged,n,unmeasured,queries,weightBytes,energy,joules,access\r\n' +
        'gaussian,,,load,fc1,,0.1,,moments,inversion,0,0.8,0.25,0.125,0.01,20,0.5,1,,,,,,,,,,,,,,1,0,,,,,\r\n' +
        'bit-error,,fixed12,load,fc2,,,0.2,,inversion,1,0.7,0.5,0.25,0.02,20,0.5,1,,,,,,,,,,,,,,1,0,,,,,\r\n',
    );
  });

  test('the rates of a row are those of its own chip', () => {
    const memory = fakeMemory('DIMM', {}, { fc1: 0.1 });
    const csv = toCsv([0, 1].map((draw) => ({ ...row(memory, draw, 0.8, [0.25]), rates: { fc1: 0.1 + draw } })));
    const [header, ...lines] = csv.split('\r\n').map((line) => line.split(','));
    expect(lines.slice(0, 2).map((cells) => cells[header.indexOf('rate.fc1')])).toEqual(['0.1', '1.1']);
  });

  test('the CSV quotes commas, quotes and line feeds', () => {
    const label = 'half, "bad"\nchip';
    const csv = toCsv([row(fakeMemory(label), 0, 0.8, [0.25])]);
    expect(csv).toContain('memory,"half, ""bad""\nchip",,chip');
  });
});

test('durations are written in at most two units', () => {
  expect([0.4, 59.6, 125, 3599, 12_000].map(formatDuration)).toEqual([
    '0 s',
    '1 min 00 s',
    '2 min 05 s',
    '59 min 59 s',
    '3 h 20 min',
  ]);
});
