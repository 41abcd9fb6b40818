import { PNG } from 'pngjs';
import { expect, it } from 'vitest';
import { encodePng } from '../../src/web/png.ts';

it('another decoder reads the colours of the page’s PNG files as they were encoded', () => {
  const [width, height] = [5, 3];
  const values = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37) % 256);
  const { data, ...size } = PNG.sync.read(Buffer.from(encodePng(values, width, height, 3)));
  expect(size).toMatchObject({ width, height });
  expect(Uint8Array.from(data.filter((_, i) => i % 4 < 3))).toEqual(values);
});

it('another decoder reads the page’s PNG files as they were encoded', () => {
  const [width, height] = [13, 7];
  const pixels = Uint8Array.from({ length: width * height }, (_, i) => (i * 37) % 256);
  const { data, ...size } = PNG.sync.read(Buffer.from(encodePng(pixels, width, height)));
  expect(size).toMatchObject({ width, height });
  expect(Uint8Array.from(pixels, (_, i) => data[4 * i])).toEqual(pixels);
});
