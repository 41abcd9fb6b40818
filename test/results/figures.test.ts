import { createRequire } from 'node:module';
import { Resvg } from '@resvg/resvg-js';
import { describe, expect, test } from 'vitest';
import { createDocument, decodePng, encodePng, svgToPng } from '../../src/cli/render.ts';
import { ConfigError, ShapeError } from '../../src/errors.ts';
import { berHeatmap } from '../../src/results/figures/ber_heatmap.ts';
import { perLayerPlot } from '../../src/results/figures/per_layer.ts';
import { privacyCurve } from '../../src/results/figures/privacy_curve.ts';
import { reconstructionSheet, type SheetOptions } from '../../src/results/figures/sheet.ts';
import { toBase64 } from '../../src/results/figures/style.ts';
import { fakeResults, ovalFace, reconstruction } from './fake.ts';

const document = createDocument();

/** The texts of an SVG, with entities resolved. */
function texts(svg: string): string[] {
  const parsed = new (document.defaultView as Window & typeof globalThis).DOMParser().parseFromString(
    svg,
    'image/svg+xml',
  );
  return [...parsed.querySelectorAll('text')].map((text: Element) => text.textContent ?? '');
}

/** The boxes [left, top, right, bottom] of the sheet and of the drawing, measured with the real font. */
function extent(svg: string) {
  const { resolve } = createRequire(import.meta.url);
  const fontFiles = [
    '400Regular/Inter_400Regular.ttf',
    '500Medium/Inter_500Medium.ttf',
    '600SemiBold/Inter_600SemiBold.ttf',
  ];
  const image = new Resvg(svg, {
    font: { fontFiles: fontFiles.map((f) => resolve(`@expo-google-fonts/inter/${f}`)), loadSystemFonts: false },
  });
  const box = image.getBBox()!;
  return { sheet: [0, 0, image.width, image.height], box: [box.x, box.y, box.x + box.width, box.y + box.height] };
}

function expectNothingClipped(svg: string) {
  const { sheet, box } = extent(svg);
  expect(box[0]).toBeGreaterThanOrEqual(sheet[0]);
  expect(box[1]).toBeGreaterThanOrEqual(sheet[1]);
  expect(box[2]).toBeLessThanOrEqual(sheet[2]);
  expect(box[3]).toBeLessThanOrEqual(sheet[3]);
}

function sheet(options: Partial<SheetOptions> = {}): string {
  const [width, height] = [16, 20];
  const people = [1, 2, 3];
  const faces = people.map((person) => ovalFace(person, width, height));
  return reconstructionSheet({
    columns: people.map((person) => `person ${person}`),
    rows: [
      { label: 'Truth', images: faces },
      {
        label: 'Bit errors 6.25 %, fc1',
        detail: 'accuracy 0.84\nPCC 0.59, lift 0.17',
        images: faces.map((face, i) => reconstruction(face, width, height, 2, 0.3, i)),
      },
    ],
    width,
    height,
    title: 'Reconstructions',
    footnote: 'Truth on top.',
    encodePng,
    ...options,
  });
}

describe('the sheet of reconstructions', () => {
  test('the sheet shows every label, detail and name, and one picture per person and condition', () => {
    const svg = sheet();
    expect(texts(svg)).toEqual(
      expect.arrayContaining([
        'Reconstructions',
        'Truth',
        'Bit errors 6.25 %, fc1',
        'accuracy 0.84',
        'PCC 0.59, lift 0.17',
        'person 1',
        'person 2',
        'person 3',
        'Truth on top.',
      ]),
    );
    expect(svg.match(/<image /g)).toHaveLength(6);
    expectNothingClipped(svg);
  });

  test('the sheet holds the pixels that it was given', () => {
    const pixels = Float32Array.from({ length: 6 }, (_, i) => i / 5);
    const svg = sheet({ columns: ['a'], rows: [{ label: 'x', images: [pixels] }], width: 3, height: 2 });
    const png = Buffer.from(/data:image\/png;base64,([^"]+)"/.exec(svg)![1], 'base64');
    const { data, ...size } = decodePng(png);
    expect(size).toEqual({ width: 3, height: 2 });
    expect([...data].filter((_, i) => i % 4 === 0)).toEqual([0, 51, 102, 153, 204, 255]);
  });

  test('the sheet enlarges pictures to square pixels on request', () => {
    const svg = sheet({
      columns: ['a'],
      rows: [{ label: 'x', images: [Uint8Array.of(0, 255)] }],
      width: 2,
      height: 1,
      scale: 2,
      smooth: false,
    });
    const png = Buffer.from(/data:image\/png;base64,([^"]+)"/.exec(svg)![1], 'base64');
    const { data, width, height } = decodePng(png);
    expect([width, height]).toEqual([4, 2]);
    expect([...data].filter((_, i) => i % 4 === 0)).toEqual([0, 0, 255, 255, 0, 0, 255, 255]);
  });

  test('the sheet shows and enlarges pictures in colour', () => {
    const options = { columns: ['a'], width: 2, height: 1, channels: 3 as const };
    const pixels = Uint8Array.of(255, 0, 9, 0, 200, 30);
    const row = { label: 'x', images: [pixels] };
    const decoded = (svg: string) =>
      decodePng(Buffer.from(/data:image\/png;base64,([^"]+)"/.exec(svg)![1], 'base64')).data.filter(
        (_, i) => i % 4 < 3,
      );
    expect(decoded(sheet({ ...options, rows: [row] }))).toEqual(pixels);
    const [red, green] = [pixels.subarray(0, 3), pixels.subarray(3)];
    const line = [...red, ...red, ...green, ...green];
    expect([...decoded(sheet({ ...options, rows: [row], scale: 2, smooth: false }))]).toEqual([...line, ...line]);
    expect(() => sheet({ ...options, rows: [{ label: 'x', images: [Uint8Array.of(1, 2)] }] })).toThrow(ShapeError);
  });

  test('the sheet renders to a picture that contains its text', () => {
    const svg = sheet();
    const [, width, height] = /width="(\d+)" height="(\d+)"/.exec(svg)!.map(Number);
    const drawn = decodePng(svgToPng(svg, width));
    const bare = decodePng(svgToPng(svg.replace(/<text.*?<\/text>/g, ''), width));
    expect([drawn.width, drawn.height]).toEqual([width, height]);
    // The two pictures differ where the text is.
    const differing = drawn.data.filter((value, i) => i % 4 === 0 && value !== bare.data[i]).length;
    expect(differing).toBeGreaterThan(2000);
    expect(new Set(bare.data).size).toBeGreaterThan(50);
  });

  test('the sheet is wide enough for long labels and names', () => {
    expectNothingClipped(
      sheet({
        columns: ['Bartholomew_Featherstonehaugh-Cholmondeley', 'WWWWWWWWWWWWWWWWWWWWWW', 'Ødegård'],
        rows: [
          {
            label: 'A condition with a name of many words that goes on',
            detail: 'm'.repeat(80),
            images: [1, 2, 3].map((p) => ovalFace(p, 16, 20)),
          },
        ],
        title: 'A title that is longer than three small pictures are wide, so that it has to be broken into lines',
      }),
    );
  });

  test('the sheet escapes names', () => {
    const svg = sheet({ columns: ['<script>alert(1)</script>', '"&"', "'"] });
    expect(svg).not.toContain('<script');
    expect(texts(svg)).toContain('"&"');
  });

  test('the sheet crosses out a picture that is not finite', () => {
    const broken = ovalFace(1, 16, 20);
    broken[7] = Number.NaN;
    const svg = sheet({ columns: ['a'], rows: [{ label: 'x', images: [broken] }] });
    expect(texts(svg)).toContain('not finite');
    expect(svg).not.toContain('<image');
  });

  test('the sheet refuses a missing picture and a picture of another size', () => {
    const face = ovalFace(1, 16, 20);
    expect(() => sheet({ columns: ['a', 'b'], rows: [{ label: 'x', images: [face] }] })).toThrow(
      new ShapeError("sheet row 'x': 1 images for 2 columns"),
    );
    expect(() => sheet({ columns: ['a'], rows: [{ label: 'x', images: [face.subarray(1)] }] })).toThrow(
      new ShapeError("sheet row 'x', column 'a': 319 pixels, expected 320"),
    );
  });
});

const small = fakeResults({ draws: 2, identities: 4, perLayer: true });
const grid = fakeResults({ draws: 1, identities: 4, grid: [0, 0.015625, 0.0625] });

describe('the privacy curve', () => {
  const svg = privacyCurve({
    summary: small.summary.filter(({ condition }) => !/conv/.test(condition.layers)),
    baselines: small.baselines,
    title: 'Similarity & accuracy',
    subtitle: 'inversion',
    document,
  });

  test('the privacy curve shows raw correlation beside lift, with its kinds, layers and baselines', () => {
    const labels = texts(svg);
    for (const label of [
      'Similarity & accuracy',
      'inversion',
      'Undefended',
      'Quantised, no errors',
      '95 % interval',
      'no lift',
    ]) {
      expect(labels).toContain(label);
    }
    expect(labels).toContain('Bit errors 0.098–6.25 %');
    expect(labels).toContain('Gaussian noise 0.006–0.025');
    expect(labels).toContain('Laplacian noise 0.004–0.017');
    for (const baseline of ['mean face 0.70', 'someone else 0.55', 'shuffled 0.53']) {
      expect(labels.filter((label) => label === baseline)).toHaveLength(3);
    }
    for (const layers of ['fc1 + fc2', 'fc1', 'fc2']) expect(labels).toContain(layers);
    expect(labels.filter((label) => label === 'PCC with the right person')).toHaveLength(3);
    expect(labels.filter((label) => label === 'Lift without the mean face')).toHaveLength(3);
  });

  test('the privacy curve renders with nothing clipped and no unresolved values', () => {
    expectNothingClipped(svg);
    expect(svg).not.toMatch(/var\(|<style|NaN/);
    expect(new Set(decodePng(svgToPng(svg, 600)).data).size).toBeGreaterThan(100);
  });

  test('the privacy curve tells formats of one kind apart', () => {
    const { summary, baselines } = fakeResults({ draws: 1, identities: 3 });
    const wide = summary.map((entry) =>
      entry.condition.kind === 'bit-error'
        ? { ...entry, condition: { ...entry.condition, format: 'fixed12+3' } }
        : entry,
    );
    const labels = texts(privacyCurve({ summary: [...summary, ...wide], baselines, title: 'x', document }));
    expect(labels).toContain('Bit errors (fixed12, load) 0.39–6.25 %');
    expect(labels).toContain('Bit errors (fixed12+3, load) 0.39–6.25 %');
  });

  test('the privacy curve is refused when no condition is disturbed', () => {
    const summary = small.summary.filter(({ condition }) => condition.kind === 'none');
    expect(() => privacyCurve({ summary, baselines: small.baselines, title: 'x', document })).toThrow(ConfigError);
  });

  test('the privacy curve can be drawn for a single condition', () => {
    const summary = small.summary.filter(({ condition }) => condition.kind === 'gaussian').slice(0, 1);
    expectNothingClipped(privacyCurve({ summary, baselines: small.baselines, title: 'x', document }));
  });
});

describe('the grid of two rates', () => {
  const svg = berHeatmap({ summary: grid.summary, layers: ['fc1', 'fc2'], title: 'Two layers', document });

  test('the grid shows both axes, every rate and every value', () => {
    const labels = texts(svg);
    expect(labels.filter((label) => label.startsWith('bit error rate, fc1'))).toHaveLength(3);
    expect(labels.filter((label) => label.startsWith('bit error rate, fc2'))).toHaveLength(3);
    for (const rate of ['0 %', '1.56 %', '6.25 %']) expect(labels.filter((label) => label === rate)).toHaveLength(6);
    for (const { accuracy, pcc, liftMeanFree } of grid.summary.filter(
      ({ condition }) => condition.kind === 'bit-error',
    )) {
      for (const { mean } of [accuracy, pcc, liftMeanFree]) expect(labels).toContain(mean!.toFixed(2));
    }
    expectNothingClipped(svg);
    expect(svg).not.toMatch(/var\(|<style|NaN/);
  });

  test('the grid is not clipped when it has many small rates', () => {
    const rates = [0, ...Array.from({ length: 12 }, (_, k) => 2 ** (k - 15))];
    const many = fakeResults({ draws: 1, identities: 1, grid: rates });
    expectNothingClipped(berHeatmap({ summary: many.summary, layers: ['fc1', 'fc2'], title: 'x', document }));
  });

  test('the grid is refused for layers without bit errors', () => {
    expect(() => berHeatmap({ summary: grid.summary, layers: ['conv1', 'conv2'], title: 'x', document })).toThrow(
      ConfigError,
    );
  });
});

describe('the plot of one layer at a time', () => {
  test('the layer plot names every layer at the end of its line in every panel', () => {
    const svg = perLayerPlot({ summary: small.summary, title: 'Layers', document });
    const labels = texts(svg);
    for (const layer of ['conv2', 'conv3', 'conv4', 'fc1', 'fc2', 'fc1 + fc2', 'no errors']) {
      expect(labels.filter((label) => label === layer)).toHaveLength(3);
    }
    expect(labels).toContain('6.25 %');
    expectNothingClipped(svg);
    expect(svg).not.toMatch(/var\(|<style|NaN/);
  });

  test('the layer plot is refused when no layer has bit errors', () => {
    const summary = small.summary.filter(({ condition }) => condition.kind === 'gaussian');
    expect(() => perLayerPlot({ summary, title: 'x', document })).toThrow(ConfigError);
    expectNothingClipped(perLayerPlot({ summary, kind: 'gaussian', title: 'x', document }));
  });
});

test('base64 agrees with Buffer for long input', () => {
  const bytes = Uint8Array.from({ length: 100_001 }, (_, i) => (i * 7919) & 255);
  expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
});
