import { zlibSync } from 'fflate';
import { PNG } from 'pngjs';
import { describe, expect, test } from 'vitest';
import { attempt, chunk, concat, decode, END, idat, ihdr, png, refusal, text } from '../support/images.ts';

/** 4 x 3 gray pixels of 8 bits, unfiltered. */
const ROWS = Uint8Array.of(0, 1, 2, 3, 4, 0, 5, 6, 7, 8, 0, 9, 10, 11, 12);
const PIXELS = Uint8Array.from({ length: 12 }, (_, i) => i + 1);
const GRAY = ihdr(4, 3, 8, 0);
const STREAM = zlibSync(ROWS);
const pixels = async (file: Uint8Array) => (await decode(file)).pixels;

/** Bytes of a fixed pseudorandom sequence. */
const noise = (length: number) => {
  let state = 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
};

describe('decoding a PNG image', () => {
  test('every filter, depth and colour type gives the pixels of pngjs, interlaced or not', async () => {
    const [width, height] = [13, 11];
    const samples: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
    for (const colourType of [0, 2, 3, 4, 6]) {
      const depths = { 0: [1, 2, 4, 8, 16], 3: [1, 2, 4, 8] }[colourType] ?? [8, 16];
      for (const depth of depths) {
        for (const interlace of [0, 1]) {
          const passes = interlace
            ? [
                [2, 2],
                [2, 2],
                [4, 1],
                [3, 3],
                [7, 3],
                [6, 6],
                [13, 5],
              ]
            : [[width, height]];
          const rows = passes.flatMap(([across, down]) =>
            Array.from({ length: down }, (_, y) =>
              concat(Uint8Array.of(y % 5), noise(Math.ceil((across * samples[colourType] * depth) / 8))),
            ),
          );
          const palette = colourType === 3 ? [chunk('PLTE', noise(3 * 256))] : [];
          const file = png(ihdr(width, height, depth, colourType, interlace), ...palette, idat(concat(...rows)), END);
          const image = await decode(file);
          const { data } = PNG.sync.read(Buffer.from(file));
          for (let i = 0; i < width * height; i++) {
            for (let channel = 0; channel < image.channels; channel++) {
              expect(image.pixels[i * image.channels + channel]).toBe(data[4 * i + channel]);
            }
          }
        }
      }
    }
  });

  test('16 bits become 8, rounded to the nearest value', async () => {
    const values = Array.from({ length: 65536 }, (_, value) => value);
    const rows = values.flatMap((value) => (value % 256 === 0 ? [0] : []).concat(value >> 8, value & 255));
    const image = await decode(png(ihdr(256, 256, 16, 0), idat(Uint8Array.from(rows)), END));
    expect([...image.pixels]).toEqual(values.map((value) => Math.round((value * 255) / 65535)));
  });

  test('a tRNS gray PNG keeps the keyed value', async () => {
    const file = png(GRAY, chunk('tRNS', Uint8Array.of(0, 5)), idat(ROWS), END);
    expect(await pixels(file)).toEqual(PIXELS);
  });

  test('alpha is dropped, and a gray PNG has one channel', async () => {
    const rgba = png(ihdr(1, 1, 8, 6), idat(Uint8Array.of(0, 10, 20, 30, 0)), END);
    expect(await decode(rgba)).toEqual({ width: 1, height: 1, channels: 3, pixels: Uint8Array.of(10, 20, 30) });
    const grayAlpha = png(ihdr(1, 1, 8, 4), idat(Uint8Array.of(0, 10, 0)), END);
    expect(await decode(grayAlpha)).toEqual({ width: 1, height: 1, channels: 1, pixels: Uint8Array.of(10) });
  });

  test('whatever follows the image data is ignored, and IEND may be missing', async () => {
    const begin = concat(png(GRAY), chunk('IDAT', STREAM));
    const endings = [END, new Uint8Array(0), text('<html>'), chunk('tEXt', text('a'), 1), concat(END, text('\n'))];
    for (const ending of endings) expect(await pixels(concat(begin, ending))).toEqual(PIXELS);
  });

  test('surplus rows and bytes after the packed data are ignored', async () => {
    expect(await pixels(png(GRAY, idat(concat(ROWS, ROWS, ROWS)), END))).toEqual(PIXELS);
    expect(await pixels(png(GRAY, chunk('IDAT', concat(STREAM, text('more'))), END))).toEqual(PIXELS);
  });

  test('image data in many chunks is one stream', async () => {
    const parts = [...STREAM].map((byte) => chunk('IDAT', Uint8Array.of(byte)));
    expect(await pixels(png(GRAY, ...parts, END))).toEqual(PIXELS);
  });

  test('pixels that no checksum vouches for are refused', async () => {
    const wrong = STREAM.slice();
    wrong[wrong.length - 1] ^= 1;
    expect(await pixels(png(GRAY, chunk('IDAT', STREAM, 1), END))).toEqual(PIXELS);
    expect(await pixels(png(GRAY, chunk('IDAT', wrong), END))).toEqual(PIXELS);
    expect(await refusal(png(GRAY, chunk('IDAT', wrong, 1), END))).toMatch(/checksum of its image data is wrong/);
  });

  test('damaged headers and chunks are refused with the reason', async () => {
    const data = idat(ROWS);
    expect(await refusal(png(ihdr(4, 3, 3, 0), data, END))).toMatch(/colour type 0, 3 bits.*do not exist/);
    expect(await refusal(png(ihdr(4, 3, 8, 5), data, END))).toMatch(/colour type 5/);
    expect(await refusal(png(ihdr(4, 3, 8, 0, 2), data, END))).toMatch(/interlacing 2/);
    expect(await refusal(png(GRAY, GRAY, data, END))).toMatch(/header is not one/);
    expect(await refusal(png(GRAY, chunk('tEXt', text('a'), 1), data))).toMatch(/chunk tEXt is wrong/);
    expect(await refusal(png(GRAY, chunk('a\x1b[1', text('a')), data))).toMatch(/no chunk where one should begin/);
    expect(await refusal(png(GRAY, END))).toMatch(/no image data/);
    expect(await refusal(png(GRAY, idat(concat(Uint8Array.of(9), ROWS.subarray(1))), END))).toMatch(/filter 9/);
    const palette = chunk('PLTE', Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
    expect(await refusal(png(ihdr(4, 3, 8, 3), palette, data, END))).toMatch(/colour 2 of a palette of 2;/);
  });

  test('image data that is short or empty is refused', async () => {
    expect(await refusal(png(GRAY, idat(ROWS.subarray(0, 14)), END))).toMatch(/ends after 14 of 15 bytes/);
    expect(await refusal(png(GRAY, chunk('IDAT', new Uint8Array(0)), END))).toMatch(/data is missing/);
    expect(await refusal(png(GRAY, chunk('IDAT', STREAM.subarray(0, 9)), END))).toMatch(/ends after/);
    expect(await refusal(png(GRAY, chunk('IDAT', text('no zlib')), END))).toMatch(/not compressed/);
    expect(await refusal(png(GRAY, chunk('IDAT', Uint8Array.of(0x78, 0x9c, 0xff, 0xff)), END))).toMatch(/unpacked/);
  });

  test('sizes that cost much time or memory are refused by the header', async () => {
    const data = chunk('IDAT', STREAM);
    expect(await refusal(png(ihdr(1, 39_999_999, 8, 0), data))).toMatch(/1x39999999, .*longer than 32767/);
    expect(await refusal(png(ihdr(20_000, 20_000, 1, 0), data))).toMatch(/more than 40000000 pixels/);
    expect(await refusal(png(ihdr(6000, 6000, 16, 6, 1), data))).toMatch(/a PNG of \d+ bytes, more than 170000000/);
    expect(await refusal(png(ihdr(6000, 6000, 8, 0), data))).toMatch(/bytes of image data are too few/);
  });

  test('every prefix of a PNG is refused or has all pixels', async () => {
    const rows = (count: number, bytes: number) =>
      concat(...Array.from({ length: count }, (_, y) => concat(Uint8Array.of(y % 5), noise(bytes))));
    const palette = chunk('PLTE', noise(3 * 16));
    const small = [
      png(GRAY, idat(ROWS), END),
      png(GRAY, idat(concat(ROWS, ROWS)), END),
      png(GRAY, chunk('tRNS', Uint8Array.of(0, 5)), idat(ROWS), END),
      png(GRAY, ...[...STREAM].map((byte) => chunk('IDAT', Uint8Array.of(byte))), END),
      png(ihdr(9, 7, 1, 0), idat(rows(7, 2)), END),
      png(ihdr(9, 7, 16, 0), idat(rows(7, 18)), END),
      png(ihdr(9, 7, 8, 2), chunk('tEXt', text('a\0b')), idat(rows(7, 27)), END),
      png(ihdr(9, 7, 8, 4), idat(rows(7, 18)), END),
      png(ihdr(9, 7, 16, 6), idat(rows(7, 72)), END),
      png(ihdr(9, 7, 4, 3), palette, chunk('tRNS', noise(16)), idat(rows(7, 5)), END),
      png(ihdr(2, 2, 8, 0, 1), idat(Uint8Array.of(0, 1, 0, 2, 0, 3, 4)), END),
    ];
    for (const whole of small) {
      const expected = await pixels(whole);
      for (let end = 1; end < whole.length; end++) {
        const outcome = await attempt(whole.subarray(0, end));
        if (typeof outcome !== 'string') expect(Buffer.compare(outcome.pixels, expected)).toBe(0);
      }
    }
  });
});
