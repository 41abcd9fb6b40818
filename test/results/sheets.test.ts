import { describe, expect, test } from 'vitest';
import { encodePng } from '../../src/cli/render.ts';
import { conditionLabel } from '../../src/results/labels.ts';
import type { Presentation } from '../../src/results/presentation.ts';
import { reportFaces } from '../../src/results/report_parts.ts';
import { contactSheets, decidingFaces, type SheetPictures } from '../../src/results/sheets.ts';
import { verdictOf } from '../../src/results/verdict.ts';
import { AT_A_PRICE, CONDITIONS, PEOPLE, type Plan, PROTECTS, plantedRun } from './planted.ts';

const attack = 'mi-face mean';
const presentation: Presentation = {
  width: 2,
  height: 2,
  trainAccuracy: 1,
  evaluators: { linear: 0.9 },
  procedural: true,
  meanFaceOf: 'public',
  attacks: [
    {
      name: attack,
      kind: 'mi-face',
      title: 'MI-Face',
      photographs: false,
      shown: Array.from({ length: PEOPLE }, (_, person) => `s${person}`),
      truth: 'truth',
    },
  ],
  order: { conditions: [], together: [], draws: [], attacks: [] },
};

const face = Float32Array.of(0, 0.2, 0.4, 1);
const faces = Array.from({ length: PEOPLE }, () => face);
const pictures: SheetPictures = { reconstructions: () => faces, truth: () => faces, meanFace: face };

const labels = (...names: (keyof Plan)[]) => names.map((name) => conditionLabel(CONDITIONS[name]));

describe('the faces that decide a verdict', () => {
  const shown = (plan: Plan) => decidingFaces(verdictOf(plantedRun(plan)), presentation, pictures)!;

  test('the faces are the truth, the undefended model and three settings, without the mildest, with their numbers', () => {
    const { rows, columns } = shown(AT_A_PRICE);
    expect(rows.map(({ label }) => label)).toEqual(['photographs', ...labels('none', 'moderate', 'noise', 'ruinous')]);
    expect(rows[2].detail).toBe('the attacker’s pictures, 12 of 40 recognised; accuracy 80.0 %');
    for (const { images } of rows) expect(images).toHaveLength(columns.length);
  });

  test('the mildest setting is shown if the verdict names it', () => {
    expect(shown(PROTECTS).rows.map(({ label }) => label)).toEqual([
      'photographs',
      ...labels('none', 'cheap', 'noise', 'ruinous'),
    ]);
  });

  test('an attack without pictures has no faces', () => {
    expect(
      decidingFaces(verdictOf(plantedRun(AT_A_PRICE)), { ...presentation, attacks: [] }, pictures),
    ).toBeUndefined();
  });

  test('a report gets a picture for every finite face, with the name of its person', () => {
    const lost = { ...pictures, reconstructions: () => faces.map(() => face.map(() => Number.NaN)) };
    const run = verdictOf(plantedRun(AT_A_PRICE));
    const { rows } = reportFaces(decidingFaces(run, presentation, lost)!, presentation, encodePng);
    expect(rows[0].images[1]).toEqual({ name: 's1', png: expect.any(Uint8Array) });
    expect(rows[1].images.every(({ png }) => png === undefined)).toBe(true);
  });
});

describe('the sheets of a run', () => {
  test('the first sheet has at most five rows, and another one all selected conditions', () => {
    const results = plantedRun(AT_A_PRICE);
    const input = { results, verdict: verdictOf(results), presentation, pictures };
    const sheets = contactSheets(input, { encodePng });
    expect(sheets.map(({ name }) => name)).toEqual(['recon', 'recon-all']);
    const rows = sheets.map(
      ({ svg }) => new Set(Array.from(svg.matchAll(/<title>s0, ([^<]*)</g), ([, row]) => row)).size,
    );
    expect(rows[0]).toBe(5);
    // A victim near chance has no verdict, but pictures.
    const guessing = plantedRun({ ...AT_A_PRICE, none: { accuracy: 0.03, recognised: 0.9 } });
    const [first] = contactSheets({ ...input, results: guessing, verdict: verdictOf(guessing) }, { encodePng });
    expect(first.name).toBe('recon');
    expect(sheets[0].svg).toContain('12 of 40');
  });
});
