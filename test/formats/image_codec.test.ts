import { createHash } from 'node:crypto';
import { encode as encodeJpeg } from 'jpeg-js';
import { PNG } from 'pngjs';
import { describe, expect, test } from 'vitest';
import { centreOfShape, centreSquare, crop, luma, resize, toGray, toRgb } from '../../src/data/image_ops.ts';
import { DataError, ShapeError } from '../../src/errors.ts';
import type { DecodedImage } from '../../src/formats/image.ts';
import { encodePgm } from '../../src/formats/pgm.ts';
import { decode, refusal } from '../support/images.ts';

const gray = (width: number, height: number, pixel: (i: number) => number): DecodedImage => ({
  width,
  height,
  channels: 1,
  pixels: Uint8Array.from({ length: width * height }, (_, i) => pixel(i)),
});
const rgba = (width: number, height: number, pixel: (i: number) => number[]) =>
  Buffer.from(Array.from({ length: width * height }, (_, i) => pixel(i)).flat());

const png = (width: number, height: number, pixel: (i: number) => number[], options = {}) => {
  const image = new PNG({ width, height });
  image.data = rgba(width, height, pixel);
  return new Uint8Array(PNG.sync.write(image, options));
};
const jpeg = (width: number, height: number, pixel: (i: number) => number[], quality = 95) =>
  new Uint8Array(encodeJpeg({ width, height, data: rgba(width, height, pixel) }, quality).data);

const failure = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    const { message } = error as DataError;
    expect(message).toMatch(/^a\.jpg: [^\n]+; [^\n]+$/);
    return message;
  }
  throw new Error('the input was accepted');
};

describe('decoding an image', () => {
  test('the format is detected by the first bytes, whatever the name says', async () => {
    const pixel = (i: number) => [i * 20, 255 - i * 20, 7, 255];
    const image = await decode(png(3, 2, pixel), 'a.jpg');
    expect([image.width, image.height, image.channels]).toEqual([3, 2, 3]);
    expect([...image.pixels.subarray(0, 6)]).toEqual([0, 255, 7, 20, 235, 7]);
    expect(await decode(jpeg(9, 5, pixel), 'a.png')).toMatchObject({ width: 9, height: 5, channels: 3 });
    const pgm = gray(2, 2, (i) => i);
    expect(await decode(encodePgm(pgm), 'a.jpg')).toEqual({ ...pgm, channels: 1 });
  });

  test('decoding takes 16 bits per sample and bytes from the middle of a buffer', async () => {
    const wide = new PNG({ width: 1, height: 1, bitDepth: 16, colorType: 0, inputColorType: 0 });
    wide.data = Buffer.from(Uint16Array.of(0x8080).buffer);
    const bytes = PNG.sync.write(wide, { bitDepth: 16, colorType: 0, inputColorType: 0, inputHasAlpha: false });
    for (const inner of [bytes, jpeg(5, 5, (i) => [i, i, i, 255])]) {
      const whole = Buffer.concat([Buffer.of(9), inner, Buffer.of(9)]);
      expect(await decode(whole.subarray(1, whole.length - 1))).toEqual(await decode(new Uint8Array(inner)));
    }
    expect((await decode(bytes)).pixels).toEqual(Uint8Array.of(0x80));
  });

  test('a decoded JPEG is within the loss of its encoding', async () => {
    const value = (i: number) => 100 + 50 * Math.sin((i % 24) / 6) + 40 * Math.cos(Math.floor(i / 24) / 5);
    const { pixels } = toGray(await decode(jpeg(24, 16, (i) => [value(i), value(i), value(i), 255])));
    for (const [i, pixel] of pixels.entries()) expect(Math.abs(pixel - value(i))).toBeLessThan(4);
  });

  test('an empty file and a file of another format are refused by name', async () => {
    expect(await refusal(new Uint8Array(0))).toContain('byte 0: the file is empty');
    expect(await refusal(new TextEncoder().encode('<html>'))).toContain(
      'a web page, not PNG, JPEG, PGM or PPM; fetch the file itself again',
    );
    expect(await refusal(Uint8Array.of(0xaa, 0xbb, 0xcc))).toContain('a file of an unknown format');
  });

  test('files that only begin like a JPEG are refused', async () => {
    const bytes = new Uint8Array(400).fill(0x5a);
    bytes.set([0xff, 0xd8, 0xff, 0xe0]);
    expect(await refusal(bytes)).toContain('truncated JPEG');
    expect(await refusal(Uint8Array.of(0xff, 0xd8))).toContain('truncated JPEG');
  });
});

describe('conversion to gray', () => {
  const one = (r: number, g: number, b: number) =>
    toGray({ width: 1, height: 1, channels: 3, pixels: Uint8Array.of(r, g, b) }).pixels[0];

  test('gray is the luma of ITU-R 601, rounded', () => {
    expect([one(255, 0, 0), one(0, 255, 0), one(0, 0, 255)]).toEqual([76, 150, 29]);
    expect([one(1, 0, 0), one(2, 0, 0), one(0, 1, 0), one(10, 200, 30)]).toEqual([0, 1, 1, 124]);
  });

  test('conversion to gray leaves gray pixels as they are', () => {
    for (let value = 0; value < 256; value++) expect(one(value, value, value)).toBe(value);
    const image: DecodedImage = { width: 1, height: 2, channels: 1, pixels: Uint8Array.of(3, 4) };
    expect(toGray(image).pixels).toEqual(Uint8Array.of(3, 4));
  });
});

describe('cropping an image', () => {
  const image = gray(4, 3, (i) => i);

  test('a crop is the requested part of the image', () => {
    expect(crop(image, 1, 1, 2, 2, 'a.jpg')).toEqual({
      width: 2,
      height: 2,
      channels: 1,
      pixels: Uint8Array.of(5, 6, 9, 10),
    });
    expect(crop(image, 0, 0, 4, 3, 'a.jpg').pixels).toEqual(image.pixels);
    expect(centreSquare(image).pixels).toEqual(Uint8Array.of(0, 1, 2, 4, 5, 6, 8, 9, 10));
    expect(centreSquare(gray(2, 6, (i) => i)).pixels).toEqual(Uint8Array.of(4, 5, 6, 7));
  });

  test('a crop larger than the image is refused, naming both sizes', () => {
    expect(failure(() => crop(image, 35, 70, 108, 108, 'a.jpg'))).toContain(
      '4x3 pixels are too few for a crop of 108x108 at 35,70',
    );
    for (const [x, y, w, h] of [
      [3, 0, 2, 1],
      [0, 2, 1, 2],
      [-1, 0, 2, 1],
      [0, 0, 0, 1],
      [0.5, 0, 1, 1],
    ]) {
      failure(() => crop(image, x, y, w, h, 'a.jpg'));
    }
  });
});

describe('processing a colour image', () => {
  const colour = (width: number, height: number): DecodedImage => ({
    width,
    height,
    channels: 3,
    pixels: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * i * 7 + i * 3) % 256),
  });
  const channelOf = ({ width, height, pixels }: DecodedImage, channel: number): DecodedImage => ({
    width,
    height,
    channels: 1,
    pixels: pixels.filter((_, i) => i % 3 === channel),
  });

  test('a crop and a resized image have the channels of the gray ones', () => {
    const image = colour(9, 7);
    for (const change of [
      (each: DecodedImage) => crop(each, 2, 1, 5, 4, 'a.jpg'),
      centreSquare,
      (each: DecodedImage) => resize(each, 4, 11),
      (each: DecodedImage) => resize(each, 9, 3),
    ]) {
      const changed = change(image);
      expect(changed.channels).toBe(3);
      for (const channel of [0, 1, 2]) expect(channelOf(changed, channel)).toEqual(change(channelOf(image, channel)));
    }
  });

  test('conversion to RGB and back keeps gray pixels, and luma is that of ITU-R 601', () => {
    const image = gray(3, 2, (i) => i * 50);
    expect(toRgb(image).pixels.subarray(3, 9)).toEqual(Uint8Array.of(50, 50, 50, 100, 100, 100));
    expect(toGray(toRgb(image))).toEqual(image);
    expect(toRgb(toRgb(image))).toEqual(toRgb(image));
    const bright = luma(Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1), 3);
    [0.299, 0.587, 0.114].forEach((weight, i) => {
      expect(bright[i]).toBeCloseTo(weight, 6);
    });
    const values = Float32Array.of(1, 2);
    expect(luma(values, 1)).toBe(values);
  });

  test('the middle of a shape is as large as the image allows', () => {
    const size = ({ width, height }: DecodedImage) => [width, height];
    expect(size(centreOfShape(colour(40, 30), 2, 1))).toEqual([40, 20]);
    expect(size(centreOfShape(colour(40, 30), 24, 32))).toEqual([23, 30]);
    expect(
      centreOfShape(
        gray(4, 6, (i) => i),
        4,
        2,
      ).pixels,
    ).toEqual(Uint8Array.of(8, 9, 10, 11, 12, 13, 14, 15));
  });
});

describe('resizing an image', () => {
  test('resizing to the same size changes nothing, and copies', () => {
    const image = gray(5, 4, (i) => i * 12);
    const same = resize(image, 5, 4);
    expect(same).toEqual(image);
    expect(same.pixels).not.toBe(image.pixels);
  });

  test('resizing keeps a constant image constant', () => {
    for (const value of [0, 1, 127, 254, 255]) {
      for (const [width, height] of [
        [64, 64],
        [7, 200],
        [178, 1],
        [500, 13],
      ]) {
        const { pixels } = resize(
          gray(108, 109, () => value),
          width,
          height,
        );
        expect(pixels.length).toBe(width * height);
        expect(new Set(pixels)).toEqual(new Set([value]));
      }
    }
  });

  test('resizing halves a ramp with weights 1 3 3 1, cut off at the ends', () => {
    // First: (0 + 0.75 10 + 0.25 20) / 1.75 = 7.1; last: (0.25 50 + 0.75 60 + 0.75 70) / 1.75 = 62.9.
    const ramp = gray(8, 1, (i) => i * 10);
    expect([...resize(ramp, 4, 1).pixels]).toEqual([7, 25, 45, 63]);
    const column: DecodedImage = { width: 1, height: 8, channels: 1, pixels: ramp.pixels };
    expect([...resize(column, 1, 4).pixels]).toEqual([7, 25, 45, 63]);
  });

  test('resizing doubles by interpolation', () => {
    expect([
      ...resize(
        gray(2, 1, (i) => i * 100),
        4,
        1,
      ).pixels,
    ]).toEqual([0, 25, 75, 100]);
  });

  // Made with Pillow 12.3: Image.fromarray(a).resize(size, Image.BILINEAR).
  test('resizing gives the bytes of Pillow', () => {
    const image = gray(5, 4, (i) => (i * 37 + 11) % 256);
    expect([...resize(image, 3, 3).pixels]).toEqual([82, 81, 122, 177, 135, 92, 91, 149, 164]);
    expect([...resize(image, 2, 4).pixels]).toEqual([48, 122, 163, 63, 162, 155, 91, 165]);
    expect([...resize(image, 5, 1).pixels]).toEqual([107, 144, 107, 144, 106]);
    expect([...resize(image, 7, 6).pixels.subarray(0, 14)]).toEqual([
      11, 32, 59, 85, 111, 138, 159, 104, 125, 115, 50, 76, 103, 124,
    ]);
    const photograph = gray(178, 218, (i) => (i * i * 31 + i * 7) % 251);
    const hash = (result: DecodedImage) => createHash('sha256').update(result.pixels).digest('hex').slice(0, 16);
    expect(hash(resize(crop(photograph, 35, 70, 108, 108, 'a'), 64, 64))).toBe('2e37530755d00a6b');
    expect(hash(resize(photograph, 64, 64))).toBe('6cfc5fb756ed9ddc');
    expect(hash(resize(photograph, 300, 31))).toBe('a5a73c444d3144d4');
  });

  test('resizing refuses sizes that are not positive integers', () => {
    for (const side of [0, -1, 1.5, Number.NaN])
      expect(() =>
        resize(
          gray(2, 2, () => 0),
          side,
          2,
        ),
      ).toThrow(ShapeError);
  });
});
