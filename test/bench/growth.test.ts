import { describe, expect, it } from 'vitest';
import { fitPower } from '../../bench/growth.ts';
import { growthFigure } from '../../bench/growth_figure.ts';
import { makeRow, type Row } from '../../bench/rows.ts';
import { createDocument } from '../../src/cli/render.ts';

describe('the fit of a power law', () => {
  it('the fit finds exponent and factor of an exact power law', () => {
    const x = [8, 16, 64, 512];
    const { exponent, factor } = fitPower(
      x,
      x.map((size) => 3 * size ** 1.25),
    );
    expect(exponent).toBeCloseTo(1.25, 12);
    expect(factor).toBeCloseTo(3, 12);
  });

  it('the fit is the least squares line of the logarithms', () => {
    // Residuals +d, -2d, +d around slope 1 in log2: the middle point alone cannot tilt the line.
    const { exponent, factor } = fitPower([1, 2, 4], [2, 2 / 4, 8]);
    expect(exponent).toBeCloseTo(1, 12);
    expect(factor).toBeCloseTo(1, 12);
  });

  it('the fit is flattened by a fixed cost, more so for smaller sizes', () => {
    const time = (size: number) => 10 + size;
    const slope = (sizes: number[]) => fitPower(sizes, sizes.map(time)).exponent;
    expect(slope([8, 16, 32])).toBeLessThan(0.75);
    expect(slope([64, 128, 256, 512])).toBeGreaterThan(0.9);
    expect(slope([64, 128, 256, 512])).toBeLessThan(1);
  });
});

describe('the growth figure', () => {
  const series = (model: string, over: 'batch' | 'width', sizes: number[], exponent: number): Row[] => [
    ...sizes.map((size) =>
      makeRow(`${model} ${size}`, [size ** exponent], 'ms', undefined, { growth: { model, over, sizes: [size] } }),
    ),
    makeRow(`slope, ${model}`, [exponent], 'exponent', undefined, { growth: { model, over, sizes: sizes.slice(1) } }),
  ];

  it('the growth figure prints the slope of every network and the sizes for which it holds', () => {
    const rows = [...series('small', 'batch', [8, 16, 32], 0.9), ...series('large', 'width', [4, 8, 16], 1.8)];
    const svg = growthFigure('adapter', rows, createDocument());
    expect(svg).toContain('small: time grows as batch^0.90 from 16 to 32');
    expect(svg).toContain('large: time grows as width^1.80 from 8 to 16');
    expect(svg).not.toMatch(/NaN|Infinity/);
  });
});
