import { describe, expect, it } from 'vitest';
import { cross, placeLabels, ratesOf, rooflineFigure } from '../../bench/roofline.ts';
import { makeRow } from '../../bench/rows.ts';
import { createDocument } from '../../src/cli/render.ts';
import { Random } from '../../src/random.ts';

const STEP = 16;
const COLUMN = 400;
const SPAN = [20, 500] as const;

function gaps(heights: readonly number[]): number[] {
  const sorted = [...heights].sort((a, b) => a - b);
  return sorted.slice(1).map((height, i) => height - sorted[i]);
}

function crossings(dots: readonly { x: number; y: number }[], heights: readonly number[]): number {
  let count = 0;
  for (let i = 0; i < dots.length; i++) {
    for (let j = 0; j < i; j++) {
      const ends = [i, j].map((k) => ({ x: COLUMN, y: heights[k] }));
      if (cross(dots[i], ends[0], dots[j], ends[1])) count++;
    }
  }
  return count;
}

describe('labels beside the dots they name', () => {
  it('labels lie at the height of their dots if there is room', () => {
    const dots = [
      { x: 10, y: 300 },
      { x: 50, y: 100 },
      { x: 90, y: 200 },
    ];
    expect(placeLabels(dots, COLUMN, SPAN, STEP)).toEqual([300, 100, 200]);
  });

  it('labels are spread around dots that lie close together', () => {
    const dots = [200, 201, 202].map((y) => ({ x: 100, y }));
    expect(placeLabels(dots, COLUMN, SPAN, STEP)).toEqual([185, 201, 217]);
  });

  it('labels neither overlap, nor leave their span, nor have leaders that cross, wherever the dots are', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed);
      const between = (low: number, high: number) => low + ((high - low) * random.nextU32()) / 2 ** 32;
      // Half of the dots lie anywhere, some beyond the span; the others are crowded near its end.
      const dots = Array.from({ length: 24 }, (_, i) =>
        i < 12 ? { x: between(0, 380), y: between(0, 520) } : { x: between(300, 330), y: between(470, 500) },
      );
      const heights = placeLabels(dots, COLUMN, SPAN, STEP);
      expect(Math.min(...gaps(heights))).toBeGreaterThanOrEqual(STEP - 1e-9);
      expect(Math.min(...heights)).toBeGreaterThanOrEqual(SPAN[0]);
      expect(Math.max(...heights)).toBeLessThanOrEqual(SPAN[1]);
      expect(crossings(dots, heights)).toBe(0);
    }
  });
});

describe('the position of a kernel in the roofline', () => {
  const ceilings = { fma: 30, copy: 2 };

  it('the percentage of a product is a share of the multiply-add ceiling', () => {
    const rates = ratesOf(40, { kernel: 'GEMM', kind: 'GEMM', intensity: 80 }, ceilings);
    expect(rates).toEqual({ gflops: 12, gbps: 0.15 });
  });

  it('the percentage of a streaming kernel is a share of the copy ceiling, and 100 % lies on the slope', () => {
    const rates = ratesOf(100, { kernel: 'ReLU', kind: 'streaming', intensity: 0.125 }, ceilings);
    expect(rates).toEqual({ gflops: 0.25, gbps: 2 });
  });
});

describe('the roofline figure', () => {
  const row = (kernel: string, kind: 'GEMM' | 'convolution' | 'streaming', intensity: number) =>
    makeRow(kernel, [39, 40, 41], '%', undefined, { roofline: { kernel, kind, intensity } });
  const figure = (rows: ReturnType<typeof row>[]) =>
    rooflineFigure('adapter', { fma: 30, copy: 2 }, rows, createDocument());
  const count = (svg: string, text: string) => svg.split(`>${text}</text>`).length - 1;

  it('the roofline figure names both ceilings and the ridge', () => {
    const svg = figure([row('a product', 'GEMM', 80)]);
    for (const text of ['FMA ceiling 30 GFLOP/s', 'copy 2 GB/s', 'ridge 15']) expect(count(svg, text)).toBe(1);
  });

  it('the roofline figure labels every kernel with operations, and lists the others in the lower panel only', () => {
    const svg = figure([row('a product', 'GEMM', 80), row('sum', 'streaming', 0.25), row('encode', 'streaming', 0)]);
    expect(count(svg, 'a product')).toBe(1);
    expect(count(svg, 'sum')).toBe(2);
    expect(count(svg, 'encode')).toBe(1);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it('the roofline figure is drawn without kernels on either side', () => {
    expect(figure([row('conv', 'convolution', 90)])).not.toMatch(/NaN|Infinity/);
    expect(figure([row('sum', 'streaming', 0.25)])).not.toMatch(/NaN|Infinity/);
  });
});
