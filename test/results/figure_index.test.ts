import { describe, expect, test } from 'vitest';
import { createDocument, encodePng } from '../../src/cli/render.ts';
import { FIGURES, figuresOf } from '../../src/results/figures/index.ts';
import { reconstructionSheet } from '../../src/results/figures/sheet.ts';
import {
  type Condition,
  conditionKey,
  METRIC_LABELS,
  type Results,
  type Row,
  summarise,
} from '../../src/results/results.ts';
import { settingsOf } from '../../src/results/verdict.ts';
import { fakeMemory, fakeResults, fakeRow } from './fake.ts';

const document = createDocument();

function texts(svg: string): string[] {
  return Array.from(svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g), ([, text]) => text);
}

const bits = (rates: Record<string, number>, layers: string) =>
  ({ kind: 'bit-error', format: 'fixed12', granularity: 'load', rates, layers }) as const satisfies Condition;
const none = { kind: 'none', rates: {}, layers: 'none' } as const;

/** A run with one draw of every condition under every attack. */
function runOf(
  conditions: readonly Condition[],
  attacks = ['inversion'],
  over: Partial<Results['manifest']> = {},
): Results {
  const rows = conditions.flatMap((condition, i) =>
    attacks.map((attack): Row => fakeRow(condition, 0, { accuracy: 0.9 - 0.02 * i, pcc: 0.7, lift: 0.2 }, 4, attack)),
  );
  const { manifest, baselines, schema } = fakeResults({ draws: 1, identities: 2 });
  return { schema, manifest: { ...manifest, ...over }, rows, summary: summarise(rows), baselines };
}

const files = (results: Results) => figuresOf(results).map(({ file }) => file);

const dimms = (volts: number) =>
  fakeMemory(`${volts} V`, { fc1: { kind: 'stored', faults: [{ kind: 'voltage', vendor: 'C', volts }] } });

describe('the index of figures', () => {
  test('a sweep of rates gets a curve and a figure of its layers', () => {
    expect(files(fakeResults({ draws: 1, identities: 2, perLayer: true }))).toEqual(['recognition', 'curve', 'layers']);
  });

  test('crossed rates of two layers get a grid, and a few rate maps do not', () => {
    expect(files(fakeResults({ draws: 1, identities: 2, grid: [0, 0.1, 0.2] }))).toContain('grid');
    const maps = [none, bits({ fc1: 0.1, fc2: 0.2 }, 'both'), bits({ fc1: 0.1, fc2: 0.1 }, 'both')];
    expect(files(runOf(maps))).not.toContain('grid');
  });

  test('a sweep over voltage gets its own figure, and a single voltage or the undefended model gets none', () => {
    expect(files(runOf([none, dimms(1.3), dimms(1.2)]))).toEqual(['voltage']);
    expect(files(runOf([none, dimms(1.2)]))).toEqual([]);
    expect(files(runOf([none]))).toEqual([]);
  });

  test('every figure of the index has a unique name and file', () => {
    expect(new Set(FIGURES.map(({ name }) => name)).size).toBe(FIGURES.length);
    expect(new Set(FIGURES.map(({ file }) => file)).size).toBe(FIGURES.length);
  });
});

describe('a figure of a run', () => {
  const [recognition, curve, layers, grid, voltage] = FIGURES;

  test('a figure is titled by what was attacked, or by the given title', () => {
    const results = runOf([none, bits({ fc1: 0.1 }, 'fc1'), bits({ fc2: 0.2 }, 'fc2')], ['zero'], {
      config: { victim: { kind: 'mlp' } },
      attacks: [{ name: 'zero', kind: 'mi-face', family: 'MI-Face', title: 'MI-Face from black' }],
    });
    expect(texts(curve.draw(results, { document }))).toContain(
      'MI-Face against the multilayer perceptron in approximate memory (procedural faces)',
    );
    expect(texts(layers.draw(results, { document }))).toContain(
      'Which layer lies in approximate memory (MI-Face from black)',
    );
    expect(texts(curve.draw(results, { document, title: 'My title' }))).toContain('My title');
    expect(texts(layers.draw(results, { document, title: 'My title' }))).toContain(
      'My title: which layer lies in approximate memory',
    );
  });

  test('a figure names attacks by their titles in its legend', () => {
    const attacks = [
      { name: 'zero', kind: 'mi-face', family: 'MI-Face', title: 'MI-Face from black' },
      { name: 'mean', kind: 'mi-face', title: 'MI-Face from the mean face' },
    ];
    const results = runOf([none, bits({ fc1: 0.1 }, 'fc1'), dimms(1.3), dimms(1.2)], ['zero', 'mean'], { attacks });
    expect(texts(curve.draw(results, { document }))).toEqual(
      expect.arrayContaining(['fc1, attack: MI-Face from black', 'fc1, attack: MI-Face from the mean face']),
    );
    expect(texts(voltage.draw(results, { document }))).toContain('MI-Face from the mean face');
  });

  test('a figure with room for one attack leaves out attacks on training images', () => {
    const attacks = ['training', 'held-out'].map((split) => ({ name: split, kind: 'inversion', split, title: split }));
    const results = runOf([none, bits({ fc1: 0.1 }, 'fc1'), bits({ fc2: 0.2 }, 'fc2')], ['training', 'held-out'], {
      attacks: attacks as Results['manifest']['attacks'],
    });
    expect(texts(layers.draw(results, { document }))).toContain('Which layer lies in approximate memory (held-out)');
    expect(texts(curve.draw(results, { document })).join()).not.toContain('training');
  });

  test('the curve compares noise on one set of layers with the bit errors on the set that it was matched to', () => {
    const errors = bits({ fc1: 0.1, fc2: 0.1 }, 'fc1+fc2');
    const noise = (layers: string): Condition => ({
      kind: 'gaussian',
      rates: { fc1: 0.1 },
      granularity: 'load',
      layers,
      matchedTo: conditionKey(errors),
    });
    const results = runOf([none, errors, bits({ conv1: 0.1 }, 'conv1'), noise('fc1+fc2'), noise('fc1')]);
    expect(curve.caption(results)).toContain('(fc1+fc2)');
    expect(texts(curve.draw(results, { document }))).not.toContain('conv1');
  });

  test('the curve of recognition shows the attack and the layers of the verdict, and no similarity', () => {
    const conditions = [none, bits({ fc1: 0.1 }, 'fc1'), bits({ fc2: 0.2 }, 'fc2')];
    const results = runOf(conditions, ['zero', 'mean']);
    const { attack } = settingsOf(results)!.base;
    expect(recognition.caption(results)).toContain(`“${attack}”`);
    const drawn = texts(recognition.draw(results, { document })).join('\n');
    expect(drawn).toContain(METRIC_LABELS.identity);
    expect(drawn).not.toContain(METRIC_LABELS.pcc);
  });

  test('the voltage figure has the line of chance when the number of people is known', () => {
    const results = runOf([none, dimms(1.3), dimms(1.2)]);
    expect(texts(voltage.draw(results, { document })).join()).not.toContain('chance');
    expect(texts(voltage.draw(results, { document, classes: 40 }))).toContain('chance 0.025');
    results.manifest.dataset.classes = 20;
    expect(texts(voltage.draw(results, { document }))).toContain('chance 0.05');
  });

  test.each(['light', 'dark', 'print'] as const)(
    'figures in the theme %s have no text in the colour of their paper and no light-theme colours in the dark',
    (theme) => {
      const results = fakeResults({ draws: 1, identities: 2, perLayer: true });
      const crossed = fakeResults({ draws: 1, identities: 2, grid: [0, 0.1, 0.2] });
      const svgs = [
        recognition.draw(results, { document, theme }),
        curve.draw(results, { document, theme }),
        layers.draw(results, { document, theme }),
        grid.draw(crossed, { document, theme }),
        voltage.draw(runOf([none, dimms(1.3), dimms(1.2)]), { document, theme }),
        reconstructionSheet({
          columns: ['a'],
          rows: [{ label: 'x', images: [Float32Array.of(Number.NaN)] }],
          width: 1,
          height: 1,
          title: 't',
          theme,
          encodePng,
        }),
      ];
      for (const svg of svgs) {
        const paper = /<rect width="\d+" height="\d+" fill="(#\w+)"\/>/.exec(svg)![1];
        expect(paper).toBe(theme === 'dark' ? '#16181b' : '#ffffff');
        for (const [, fill] of svg.matchAll(/<text[^>]* fill="(#\w+)"/g)) {
          // Only numbers inside the cells of a grid may have the colour of the paper.
          if (svg !== svgs[3]) expect(fill).not.toBe(paper);
        }
        if (theme === 'dark') expect(svg).not.toMatch(/#1a1a1a|#5a5a5a|#e4e4e4/);
      }
    },
  );
});
