import { describe, expect, test } from 'vitest';
import {
  attackedTitle,
  attackTitle,
  type Condition,
  conditionKey,
  conditionLabel,
  conditionTitle,
  fileName,
  isDefended,
  type Manifest,
  measuredDimms,
  parseRows,
  pictureFile,
  type Row,
  rowToLine,
  runTitle,
  seriesOf,
  splitOf,
  summarise,
} from '../../src/results/results.ts';
import { voltageSeries } from '../../src/results/voltage.ts';
import { fakeMemory, fakeResults, fakeRow } from './fake.ts';

const bits = (rates: Record<string, number>, layers = 'both') =>
  ({ kind: 'bit-error', format: 'fixed12', granularity: 'load', rates, layers }) as const satisfies Condition;
const none = { kind: 'none', rates: {}, layers: 'none' } as const satisfies Condition;
const gaussian = { kind: 'gaussian', rates: { fc1: 0.012 }, granularity: 'load', layers: 'fc1' } as const;
const rounded = { kind: 'rounding', decimals: 2 } as const;

/** A memory of measured DIMMs whose label does not say so. */
const dimms = (volts: number, vendor: 'A' | 'B' | 'C' = 'C', ecc?: { code: 'secded' }) =>
  fakeMemory(`chip ${volts}`, {
    fc1: { kind: 'stored', faults: [{ kind: 'voltage', vendor, volts }], ...(ecc && { ecc }) },
    fc2: { kind: 'stored', faults: [{ kind: 'voltage', vendor, volts }], ...(ecc && { ecc }) },
  });

describe('the key of a condition', () => {
  test('the key of a condition does not depend on the order of its fields', () => {
    const a: Condition = bits({ fc1: 0.1, fc2: 0.2 });
    const b: Condition = {
      rates: { fc2: 0.2, fc1: 0.1 },
      granularity: 'load',
      format: 'fixed12',
      layers: 'both',
      kind: 'bit-error',
    };
    expect(conditionKey(a)).toBe(conditionKey(b));
  });

  test('the key of a condition does not depend on the label of a memory or on fields without a value', () => {
    const memory = dimms(1.2);
    expect(conditionKey({ ...memory, label: 'worst', volts: undefined })).toBe(conditionKey(memory));
  });

  test('the key of a condition tells apart rates, matched bit errors, calibrations, memories and releases', () => {
    const conditions: Condition[] = [
      bits({ fc1: 0.1 }),
      bits({ fc1: 0.2 }),
      gaussian,
      { ...gaussian, matchedTo: 'x' },
      { ...gaussian, calibration: 'moments' },
      dimms(1.2),
      dimms(1.25),
      none,
      { ...none, release: rounded },
      { ...none, release: { kind: 'rounding', decimals: 3 } },
    ];
    expect(new Set(conditions.map(conditionKey)).size).toBe(conditions.length);
  });
});

describe('the label of a condition', () => {
  test('the label of a condition says what was done to the weights', () => {
    expect(conditionLabel(none)).toBe('Undefended');
    expect(conditionLabel({ ...bits({ fc1: 0 }), kind: 'quantised' })).toBe('Quantised, no errors (fixed12)');
    expect(conditionLabel(bits({ fc1: 0.0625 }, 'fc1'))).toBe('Bit errors 6.25 %, fc1');
    expect(conditionLabel(bits({ fc1: 0.0625, fc2: 2 ** -8 }))).toBe('Bit errors fc1 6.25 %, fc2 0.39 %');
    expect(conditionLabel(gaussian)).toBe('Gaussian noise 0.012, fc1');
    expect(conditionLabel(fakeMemory('the worst chip'))).toBe('the worst chip');
  });

  test('the label of a condition says how confidences are released', () => {
    expect(conditionLabel({ ...bits({ fc1: 0.1 }, 'fc1'), release: rounded })).toBe(
      'Bit errors 10 %, fc1, released with rounding (decimals 2)',
    );
    expect(conditionLabel({ ...fakeMemory('chip'), release: { kind: 'rounding', decimals: 1 } })).toBe(
      'chip, released with rounding (decimals 1)',
    );
  });

  test('the title of a condition adds the details that a reader needs out of context', () => {
    expect(conditionTitle(bits({ fc1: 0.1 }, 'fc1'))).toBe('Bit errors 10 %, fc1 (fixed12, errors drawn per load)');
    expect(conditionTitle({ ...gaussian, calibration: 'published' })).toBe(
      'Gaussian noise 0.012, fc1 (noise drawn per load, scale as published)',
    );
    expect(conditionTitle(none)).toBe('Undefended');
  });
});

test('pictures keep the file names that old run folders have', () => {
  expect(pictureFile(none, 'mi-face zero', 'gray')).toBe('pictures/mi-face-zero_none_none.gray');
  expect(pictureFile(bits({ fc1: 0.01, fc2: 2 ** -9 }), 'mi-face zero', 'gray')).toBe(
    'pictures/mi-face-zero_bit-error_both_fc1=0.01_fc2=0.001953125.gray',
  );
  expect(pictureFile({ ...gaussian, layers: 'fc1+fc2' }, 'inversion floor, held-out', 'gray')).toBe(
    'pictures/inversion-floor-held-out_gaussian_fc1+fc2_fc1=0.012.gray',
  );
  expect(pictureFile(fakeMemory('DRAM C, 1.350 V'), 'mi-face mean', 'gray')).toBe(
    'pictures/mi-face-mean_memory_both_DRAM-C-1.350-V.gray',
  );
  expect(pictureFile({ ...none, release: rounded }, 'mi-face zero')).toBe(
    'pictures/mi-face-zero_none_none_rounding_2.npy',
  );
});

test.each([
  ['a slash and a hyphen', 'x/a.json', 'x-a.json'],
  ['two letters outside ASCII', 'Müller', 'Möller'],
  ['two long names', `${'x'.repeat(300)}1`, `${'x'.repeat(300)}2`],
  ['upper and lower case with a colon', 'A:', 'a:'],
])('pictures of memories whose names differ in %s have different files', (_, one, other) => {
  const [first, second] = [one, other].map((name) => pictureFile(fakeMemory(name), 'mi-face zero').toLowerCase());
  expect(first).not.toBe(second);
});

test.each(['/../../x', '..', '..\\..\\x', 'a\0b', 'C:\\x', '~/x', 'y'.repeat(1000), '😀'])(
  'a file named after %j stays in its folder',
  (text) => {
    expect(pictureFile(none, text)).toMatch(/^pictures\/[\w.=+~-]{1,215}$/);
    expect(fileName(`inversion-${text}`)).toMatch(/^inversion-[\w.=+~-]{1,200}$/);
  },
);

test.each<[string, string]>([
  ['none', '{"kind":"none","rates":{},"layers":"none"}'],
  ['quantised', '{"kind":"quantised","format":"fixed12","rates":{"fc1":0},"granularity":"load","layers":"fc1"}'],
  ['bit-error', '{"kind":"bit-error","format":"fixed12","rates":{"fc1":0.1},"granularity":"load","layers":"fc1"}'],
  [
    'gaussian',
    '{"kind":"gaussian","rates":{"fc1":0.1},"granularity":"load","layers":"fc1","matchedTo":"x","calibration":"moments"}',
  ],
  [
    'memory',
    '{"kind":"memory","label":"m","rates":{},"granularity":"chip","layers":"both","setting":"m","volts":1.2,"memory":' +
      `${JSON.stringify(fakeMemory('m').memory)}}`,
  ],
])('a line of rows.jsonl with a condition of kind %s is written as it was read', (_, condition) => {
  const line = rowToLine(fakeRow(none, 0, { accuracy: 0.5, pcc: 0.5, lift: 0.1 }, 2)).replace(
    /"condition":\{.*?\{\}.*?\}/,
    `"condition":${condition}`,
  );
  expect(rowToLine(parseRows(line, 'rows.jsonl')[0])).toBe(line);
});

test('a parsed condition has its keys in the order in which experiments write them', () => {
  const [row] = parseRows(rowToLine(fakeRow(bits({ fc1: 0.1 }), 0, { accuracy: 0.5, pcc: 0.5, lift: 0.1 }, 2)), 'r');
  expect(JSON.stringify(row.condition)).toBe(JSON.stringify(bits({ fc1: 0.1 })));
});

describe('memories of measured DIMMs', () => {
  test('measured DIMMs are recognised by the faults of a memory, not by its label', () => {
    const measured = measuredDimms(dimms(1.2, 'A'))!;
    expect(measured).toMatchObject({ dimms: 'A', volts: 1.2, unit: 'lines', interpolated: false });
    // Every draw is the next DIMM: A1 and A4.
    const shares = [0, 3].map(measuredDimms(dimms(1.1, 'A'))!.shareOf);
    expect(shares.map((share) => Number(share.toFixed(4)))).toEqual([0.001, 0.8188]);
    expect(measuredDimms(fakeMemory('DRAM C, 1.200 V'))).toBeUndefined();
    expect(measuredDimms(bits({ fc1: 0.1 }))).toBeUndefined();
  });

  test('rows of measured DIMMs are recognised too, with the share of bad rows of the DIMM of each draw', () => {
    const rows = (fault: object) =>
      fakeMemory('m', { fc1: { kind: 'stored', faults: [{ kind: 'rows', ...fault }] } } as never);
    const population = measuredDimms(rows({ volts: 1.25 }))!;
    // C3, C5 and C9 were not measured there, and at 1.3 V all were.
    expect(population).toMatchObject({ dimms: 'C', volts: 1.25, unit: 'rows', interpolated: true });
    expect(measuredDimms(rows({ volts: 1.3 }))).toMatchObject({ interpolated: false });
    // C1, C2 and, after C9, C1 again.
    expect([0, 1, 7].map((draw) => Number(population.shareOf(draw).toFixed(3)))).toEqual([0.125, 0, 0.125]);
    expect(measuredDimms(rows({ volts: 1.2, dimm: 'C1' }))).toMatchObject({ dimms: 'C1', interpolated: true });
  });

  test('a memory with one chip for all draws, or with other faults in a layer, is not taken for measured DIMMs', () => {
    const memory = dimms(1.2);
    expect(measuredDimms({ ...memory, granularity: 'load' })).toBeUndefined();
    const voltage = { kind: 'voltage', vendor: 'C', volts: 1.2 } as const;
    const mixed = fakeMemory('m', {
      fc1: { kind: 'stored', faults: [voltage] },
      fc2: { kind: 'stored', faults: [voltage, { kind: 'uniform', bitErrorRate: 0.1 }] },
    });
    expect(measuredDimms(mixed)).toBeUndefined();
    const noisy = fakeMemory('m', { fc1: { kind: 'stored', faults: [voltage] }, fc2: { kind: 'gaussian', scale: 1 } });
    expect(measuredDimms(noisy)).toBeUndefined();
  });

  test('measured DIMMs give one series per attack, with the energy and the bad lines of the draws', () => {
    const rows = [1.3, 1.2].flatMap((volts) =>
      ['zero', 'mean'].flatMap((attack) =>
        [0, 1].map(
          (draw): Row => ({
            ...fakeRow(dimms(volts), draw, { accuracy: 0.5, pcc: 0.4, lift: 0.1 }, 3, attack),
            energy: { bytes: 4, relative: volts / 1.35 },
          }),
        ),
      ),
    );
    const attacks = [{ name: 'zero', kind: 'mi-face', family: 'MI-Face', title: 'MI-Face from black' }];
    const series = voltageSeries({ rows, summary: summarise(rows), manifest: { attacks } });
    expect(series.map(({ name, attack }) => [name, attack])).toEqual([
      ['MI-Face from black', 'zero'],
      ['mean', 'mean'],
    ]);
    expect(series[0].points.map(({ volts, energy }) => [volts, energy])).toEqual([
      [1.3, 1.3 / 1.35],
      [1.2, 1.2 / 1.35],
    ]);
    // At 1.2 V the first two DIMMs of vendor C have 29.1 % and 15.9 % of bad lines.
    expect(series[0].points[1].badLines).toBeCloseTo((0.291091352701 + 0.158684074879) / 2, 9);
  });

  test('series of several memories are named after their memory', () => {
    const conditions = [dimms(1.2), dimms(1.2, 'A'), dimms(1.2, 'C', { code: 'secded' })];
    const rows = conditions.map((each) => fakeRow(each, 0, { accuracy: 0.5, pcc: 0.4, lift: 0.1 }, 3, 'zero'));
    const series = voltageSeries({ rows, summary: summarise(rows) });
    expect(series.map(({ name }) => name)).toEqual(['zero, DRAM C', 'zero, DRAM A', 'zero, DRAM C']);
  });
});

describe('conditions with rounded confidences', () => {
  const row = (condition: Condition) => fakeRow(condition, 0, { accuracy: 0.8, pcc: 0.5, lift: 0.1 }, 3);

  test('rounded confidences form a series of their own, which starts at exact weights with the same release', () => {
    const plain = [none, bits({ fc1: 0.1 })];
    const conditions: Condition[] = [...plain, ...plain.map((condition) => ({ ...condition, release: rounded }))];
    const [first, second] = seriesOf(summarise(conditions.map(row)));
    expect(first.line.map(({ condition }) => condition)).toEqual(conditions.slice(0, 2));
    expect(second.line.map(({ condition }) => condition)).toEqual(conditions.slice(2));
    expect(second.variant).toBe('fixed12, load, released with rounding (decimals 2)');
  });

  test('rounded confidences are a defence even with exact weights', () => {
    expect(isDefended(none)).toBe(false);
    expect(isDefended({ ...none, release: rounded })).toBe(true);
  });
});

describe('the title of a run', () => {
  const { manifest } = fakeResults({ draws: 1, identities: 2 });
  const titled = (config: Record<string, unknown>, attacks?: Manifest['attacks']) =>
    attackedTitle({ ...manifest, config, attacks });

  test('the title of a run names the attack and the attacked model', () => {
    const attacks = [{ name: 'mi-face zero', kind: 'mi-face', family: 'MI-Face', title: 'MI-Face from black' }];
    expect(titled({ victim: { kind: 'mlp' } }, attacks)).toBe('MI-Face against the multilayer perceptron');
    expect(titled({ victim: { kind: 'softmax' } }, attacks)).toBe('MI-Face against the softmax regression');
    expect(titled({ victim: { kind: 'yang' } })).toBe('Model inversion against the convolutional classifier');
    expect(titled({})).toBe('Model inversion against a classifier');
    expect(runTitle({ ...manifest, config: { victim: { kind: 'dae' } } })).toBe(
      'Model inversion against the denoising autoencoder in approximate memory (procedural faces)',
    );
  });

  test('an attack that the run does not describe keeps the name from its rows', () => {
    const attacks = [{ name: 'a', kind: 'inversion', split: 'training', title: 'Inversion, training images' } as const];
    expect(attackTitle(attacks, 'a')).toBe('Inversion, training images');
    expect(attackTitle(attacks, 'b')).toBe('b');
    expect(attackTitle(undefined, 'a')).toBe('a');
    expect(['a', 'b'].map((name) => splitOf(attacks, name))).toEqual(['training', undefined]);
  });
});
