import { describe, expect, test } from 'vitest';
import { decodePng, encodePng, svgFile, svgToPng } from '../../src/cli/render.ts';
import { DataError, ShapeError } from '../../src/errors.ts';

const XMLNS = 'xmlns="http://www.w3.org/2000/svg"';

function dark(png: Uint8Array): number {
  return decodePng(png).data.filter((value, i) => i % 4 === 0 && value < 128).length;
}

describe('rendering SVG to PNG', () => {
  test('an SVG is scaled to the requested width', () => {
    const svg = `<svg ${XMLNS} width="30" height="20"><rect width="15" height="20"/></svg>`;
    const image = decodePng(svgToPng(svg, 90));
    expect([image.width, image.height]).toEqual([90, 60]);
    expect([...image.data.subarray(0, 4)]).toEqual([0, 0, 0, 255]);
    // A pixel without drawing is white, not transparent.
    expect([...image.data.subarray(89 * 4, 90 * 4)]).toEqual([255, 255, 255, 255]);
  });

  test('text is drawn in every weight with the shipped font', () => {
    const text = (weight: number) =>
      svgToPng(
        `<svg ${XMLNS} width="200" height="40"><text x="5" y="28" font-family="Inter, sans-serif" font-size="24" font-weight="${weight}">PCC 0.59 ± −×</text></svg>`,
        200,
      );
    expect(dark(text(400))).toBeGreaterThan(200);
    expect(dark(text(600))).toBeGreaterThan(dark(text(400)) * 1.1);
  });

  test('an unknown font family falls back to the shipped font', () => {
    const svg = `<svg ${XMLNS} width="200" height="40"><text x="5" y="28" font-family="No Such Font" font-size="24">accuracy</text></svg>`;
    expect(dark(svgToPng(svg, 200))).toBeGreaterThan(200);
  });

  test('a text that is not an SVG is refused', () => {
    expect(() => svgToPng('<svg', 10)).toThrow(DataError);
  });
});

describe('encoding a gray PNG', () => {
  test('a gray PNG is decoded as it was encoded', () => {
    const pixels = Uint8Array.from({ length: 256 * 3 }, (_, i) => (i * 37) & 255);
    const { width, height, data } = decodePng(encodePng(pixels, 256, 3));
    expect([width, height]).toEqual([256, 3]);
    for (let i = 0; i < pixels.length; i++) {
      expect([...data.subarray(i * 4, i * 4 + 4)]).toEqual([pixels[i], pixels[i], pixels[i], 255]);
    }
  });

  test('a gray PNG is stored as one 8-bit channel', () => {
    const png = encodePng(new Uint8Array(4), 2, 2);
    // IHDR: bit depth and colour type follow width and height.
    expect([...png.subarray(24, 26)]).toEqual([8, 0]);
  });

  test('an RGB PNG is stored in three 8-bit channels and decoded as it was encoded', () => {
    const values = Uint8Array.from({ length: 5 * 3 * 3 }, (_, i) => (i * 37) & 255);
    const png = encodePng(values, 5, 3, 3);
    expect([...png.subarray(24, 26)]).toEqual([8, 2]);
    expect(decodePng(png).data.filter((_, i) => i % 4 < 3)).toEqual(values);
    expect(() => encodePng(values, 5, 3)).toThrow('png: 45 pixels for 5 x 3, expected 15');
  });

  test('the pixels of a gray PNG may be a view into a larger buffer', () => {
    const view = Uint8Array.of(9, 9, 1, 2, 3, 4).subarray(2);
    expect([...decodePng(encodePng(view, 2, 2)).data].filter((_, i) => i % 4 === 0)).toEqual([1, 2, 3, 4]);
  });

  test('a wrong number of pixels and a file that is not a PNG are refused', () => {
    expect(() => encodePng(new Uint8Array(5), 2, 2)).toThrow(ShapeError);
    expect(() => decodePng(Uint8Array.of(1, 2, 3), 'face.png')).toThrow(/^face\.png: not a PNG: /);
  });
});

test('an SVG file carries the letters of the figure in the weights that it uses, and is otherwise the figure', () => {
  const svg = `<svg ${XMLNS} width="200" height="40" font-family="Inter"><title>t</title><text x="5" y="28" font-weight="600">PCC &amp; 0.59</text></svg>`;
  const file = svgFile(svg);
  expect(file.match(/@font-face/g)).toHaveLength(2);
  expect(file.replace(/<style>.*<\/style>/, '')).toBe(svg);
  expect(file.length).toBeLessThan(40_000);
  expect([...svgToPng(file, 200)]).toEqual([...svgToPng(svg, 200)]);
});
