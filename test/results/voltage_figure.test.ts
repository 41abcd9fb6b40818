import { createRequire } from 'node:module';
import { Resvg } from '@resvg/resvg-js';
import { describe, expect, test } from 'vitest';
import { createDocument, decodePng, svgToPng } from '../../src/cli/render.ts';
import { ConfigError } from '../../src/errors.ts';
import { relativeEnergy } from '../../src/memory/energy.ts';
import {
  type VoltageFigureOptions,
  type VoltagePoint,
  type VoltageSeries,
  voltageFigure,
} from '../../src/results/figures/voltage.ts';
import type { Interval } from '../../src/results/results.ts';

const document = createDocument();

function parse(svg: string): Document {
  const { DOMParser } = document.defaultView as Window & typeof globalThis;
  return new DOMParser().parseFromString(svg, 'image/svg+xml');
}

function texts(svg: string): string[] {
  return [...parse(svg).querySelectorAll('text')].map((text) => text.textContent ?? '');
}

/** Expects that the drawing, measured with the real font, stays within the figure. */
function expectNothingClipped(svg: string) {
  const { resolve } = createRequire(import.meta.url);
  const fontFiles = ['400Regular', '500Medium', '600SemiBold'].map((weight) =>
    resolve(`@expo-google-fonts/inter/${weight}/Inter_${weight}.ttf`),
  );
  const image = new Resvg(svg, { font: { fontFiles, loadSystemFonts: false } });
  const box = image.getBBox()!;
  expect(Math.min(box.x, box.y)).toBeGreaterThanOrEqual(0);
  expect(box.x + box.width).toBeLessThanOrEqual(image.width);
  expect(box.y + box.height).toBeLessThanOrEqual(image.height);
}

/** The x of the dots, one list per line, in the order drawn: accuracy, energy, then lift and PCC of each series. */
function dotsAcross(svg: string): number[][] {
  return [...parse(svg).querySelectorAll('g[aria-label="dot"]')].map((group) =>
    [...group.children].map((dot) =>
      Number(dot.getAttribute('cx') ?? /translate\(([\d.-]+)/.exec(dot.getAttribute('transform') ?? '')?.[1]),
    ),
  );
}

const around = (mean: number, spread: number): Interval => ({ mean, ci95: [mean - spread, mean + spread] });

/** Points of a model that is unchanged down to 1.15 V and falls to about chance at 1.10 V. */
function points(lift: number, pcc: number): VoltagePoint[] {
  const lines = [0, 0, 0, 0, 3e-8, 4.2e-6, 0.0003, 0.012, 0.12];
  return [1.35, 1.3, 1.25, 1.2, 1.175, 1.15, 1.125, 1.1125, 1.1].map((volts, i) => {
    const left = i < 6 ? 1 : 1 - (i - 5) / 3.2;
    return {
      volts,
      accuracy: around(0.96 * left, 0.02),
      pcc: around(pcc * left, 0.02),
      lift: around(lift * left, 0.012),
      energy: relativeEnergy(volts),
      badLines: lines[i],
    };
  });
}

const inversion: VoltageSeries = { name: 'inversion', points: points(0.21, 0.78) };
const miFace: VoltageSeries = { name: 'mi-face zero', points: points(0.09, 0.43) };

function figure(options: Partial<VoltageFigureOptions> = {}): string {
  return voltageFigure({
    title: 'Voltage & privacy',
    series: [inversion, miFace],
    lift: 'pccLift',
    chance: 0.025,
    meanFacePcc: 0.7,
    document,
    ...options,
  });
}

describe('the figure over supply voltage', () => {
  test('the small print names what was assumed or interpolated', () => {
    expect(figure()).toContain('How many bits of a bad line flip was not measured');
    expect(figure()).not.toContain('interpolated');
    const between = inversion.points.map((point) =>
      point.volts === 1.1125 ? { ...point, interpolated: true } : point,
    );
    expect(figure({ series: [{ ...inversion, points: between }] })).toContain('at 1.1125 V is interpolated');
  });

  test('the voltage figure names its panels, lines, levels, voltages and shares of bad lines', () => {
    const labels = texts(figure({ subtitle: 'vendor C', footnote: 'Ten chips.' }));
    expect(labels).toEqual(
      expect.arrayContaining([
        'Voltage & privacy',
        'vendor C',
        'Accuracy, and energy of weight reads (1 at nominal voltage)',
        'PCC lift over wrong persons',
        'PCC with the right person',
        'Cache lines with at least one flipped bit',
        'accuracy',
        'energy',
        'chance 0.025',
        'no lift',
        'mean face 0.70',
        '95 % interval',
        'supply voltage (V), lowered from left to right →',
        'Ten chips.',
      ]),
    );
    for (const { name } of [inversion, miFace]) expect(labels.filter((label) => label === name)).toHaveLength(2);
    for (const volts of ['1.35', '1.30', '1.25', '1.20', '1.175', '1.15', '1.125', '1.1125', '1.10']) {
      expect(labels.filter((label) => label === volts)).toHaveLength(1);
    }
    expect(labels.filter((label) => label === '0 %')).toHaveLength(4);
    expect(labels).toEqual(expect.arrayContaining(['0.000003 %', '0.00042 %', '0.03 %', '1.2 %', '12 %']));
  });

  test('the voltage figure says that its energy is that of weight reads alone and an upper bound', () => {
    const note = texts(figure()).find((label) => label.startsWith('Energy is that of weight reads'));
    expect(note).toMatch(/weight reads alone/);
    expect(note).toMatch(/upper bound/);
  });

  test('the voltage figure marks every point of a series, and accuracy and energy once for all series', () => {
    const one = dotsAcross(figure({ series: [inversion] }));
    expect(one.map((line) => line.length)).toEqual([9, 9, 9, 9]);
    const two = dotsAcross(figure());
    expect(two.map((line) => line.length)).toEqual([9, 9, 9, 9, 9, 9]);
    const part = dotsAcross(figure({ series: [{ ...inversion, points: inversion.points.slice(0, 5) }, miFace] }));
    expect(part.map((line) => line.length)).toEqual([9, 9, 5, 9, 5, 9]);
  });

  test('the voltage figure goes from high voltage to low in every panel alike', () => {
    const lines = dotsAcross(figure());
    for (const line of lines) expect(line).toEqual([...lines[0]].sort((a, b) => a - b));
    // 1.35, 1.30 and 1.25 V stand twice as far apart as 1.20, 1.175 and 1.15 V.
    const [first] = lines;
    expect((first[1] - first[0]) / (first[4] - first[3])).toBeCloseTo(2, 6);
  });

  test('the voltage figure does not depend on the order of the points and leaves its input as it is', () => {
    const shuffled = [4, 0, 8, 2, 6, 1, 7, 3, 5].map((i) => inversion.points[i]);
    const given = [...shuffled];
    expect(figure({ series: [{ ...inversion, points: shuffled }, miFace] })).toBe(figure());
    expect(shuffled).toEqual(given);
  });

  test('the voltage figure draws the mean face and chance dashed, and zero lift solid', () => {
    const rules = [...parse(figure()).querySelectorAll('g[aria-label="rule"][stroke="#5a5a5a"]')];
    expect(rules.map((rule) => rule.getAttribute('stroke-dasharray'))).toEqual(['6 4', null, '6 4']);
  });

  test('the voltage figure renders with nothing clipped and no unresolved values', () => {
    const svg = figure();
    expect(svg).not.toMatch(/var\(|<style|NaN|undefined/);
    expect(svg).toMatch(/^<svg [^>]*width="1200"/);
    expectNothingClipped(svg);
    expectNothingClipped(figure({ series: [{ ...inversion, name: 'an inversion network that sees logits' }, miFace] }));
    expect(new Set(decodePng(svgToPng(svg, 600)).data).size).toBeGreaterThan(100);
  });

  test('the voltage figure can be drawn for a single point', () => {
    const svg = figure({ series: [{ name: 'inversion', points: inversion.points.slice(-1) }] });
    expect(dotsAcross(svg).map((line) => line.length)).toEqual([1, 1, 1, 1]);
    expect(texts(svg)).toEqual(expect.arrayContaining(['1.10', '12 %']));
    expect(svg).not.toMatch(/NaN|Infinity/);
    expectNothingClipped(svg);
  });

  test('the voltage figure leaves out voltages without room for a label, but not their points', () => {
    const dense = Array.from({ length: 60 }, (_, i) => ({ ...inversion.points[0], volts: 1.35 - i * 0.005 }));
    const svg = figure({ series: [{ name: 'inversion', points: dense }] });
    expect(dotsAcross(svg)[0]).toHaveLength(60);
    const named = texts(svg).filter((label) => /^1\.\d{2,4}$/.test(label));
    expect(named.length).toBeGreaterThan(10);
    expect(named.length).toBeLessThan(40);
    expect(named).toContain('1.055');
  });

  test('the voltage figure is refused without a point', () => {
    expect(() => figure({ series: [] })).toThrow(ConfigError);
    expect(() => figure({ series: [{ name: 'inversion', points: [] }] })).toThrow(
      new ConfigError("figure 'Voltage & privacy': no voltage to draw"),
    );
  });
});
