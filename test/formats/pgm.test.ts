import { describe, expect, test } from 'vitest';
import { DataError, ShapeError } from '../../src/errors.ts';
import { decodePgm, decodePixelMap, encodePgm } from '../../src/formats/pgm.ts';

const bytes = (text: string, ...raster: number[]) => Uint8Array.of(...new TextEncoder().encode(text), ...raster);
const decode = (text: string, ...raster: number[]) => decodePgm(bytes(text, ...raster), 'faces/x.pgm');

/** The message of the DataError that decoding throws; it must be one line naming the file and a byte. */
const failure = (text: string, ...raster: number[]) => {
  try {
    decode(text, ...raster);
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    const { message } = error as DataError;
    expect(message).toMatch(/^faces\/x\.pgm: byte \d+: .+$/);
    return message;
  }
  throw new Error('the input was accepted');
};

describe('decoding a PGM image', () => {
  test('raw and plain images are decoded alike', () => {
    const expected = { width: 3, height: 2, pixels: Uint8Array.of(0, 50, 100, 150, 200, 255) };
    expect(decode('P5\n3 2\n255\n', 0, 50, 100, 150, 200, 255)).toEqual(expected);
    expect(decode('P2\n3 2\n255\n0 50 100\n150 200 255\n')).toEqual(expected);
    expect(decode('P2 3 2 255 0 50 100 150 200 255')).toEqual(expected);
  });

  test('comments in the header and in a plain raster are skipped', () => {
    expect(decode('P5 # a\n#b\n2 #c\n1\n255\n', 1, 2).pixels).toEqual(Uint8Array.of(1, 2));
    expect(decode('P5\n2 1\n255#c\n', 1, 2).pixels).toEqual(Uint8Array.of(1, 2));
    expect(decode('P2\n2 1\n255\n1 # one\n2').pixels).toEqual(Uint8Array.of(1, 2));
  });

  test('raw pixels that look like comments or whitespace are decoded as pixels', () => {
    expect(decode('P5\n3 1\n255\n', 0x23, 0x20, 0x0a).pixels).toEqual(Uint8Array.of(0x23, 0x20, 0x0a));
    expect(decode('P5\n2 1\n255 ', 0x0a, 0x23).pixels).toEqual(Uint8Array.of(0x0a, 0x23));
  });

  test('raw samples above the maximum are white', () => {
    expect(decode('P5\n3 1\n9\n', 0, 9, 10).pixels).toEqual(Uint8Array.of(0, 255, 255));
    expect(decode('P5\n2 1\n1023\n', 3, 255, 255, 255).pixels).toEqual(Uint8Array.of(255, 255));
  });

  test('a smaller maximum is scaled to 255 and rounded to the nearest integer', () => {
    expect(decode('P5 4 1 15\n', 0, 1, 7, 15).pixels).toEqual(Uint8Array.of(0, 17, 119, 255));
    expect(decode('P2 3 1 2\n0 1 2').pixels).toEqual(Uint8Array.of(0, 128, 255));
    expect(decode('P5 3 1 254\n', 1, 127, 254).pixels).toEqual(Uint8Array.of(1, 128, 255));
  });

  test('bytes after the image are ignored', () => {
    expect(decode('P5\n1 1\n255\n', 9, 8, 7).pixels).toEqual(Uint8Array.of(9));
  });

  test('an image in the middle of a larger buffer is decoded', () => {
    const padded = bytes('xxP5\n1 1\n255\n', 42);
    expect(decodePgm(padded.subarray(2), 'x').pixels).toEqual(Uint8Array.of(42));
  });

  test('an empty file and other formats are refused', () => {
    expect(failure('')).toMatch(/byte 0: the file is empty/);
    expect(failure('', 0x89, 0x50, 0x4e, 0x47)).toMatch(/not a PGM or PPM image/);
    expect(failure('P6\n1 1\n255\n', 1, 2, 3)).toMatch(/a PPM image, which has colours/);
    expect(failure('P4\n1 1\n', 1)).toMatch(/not a PGM/);
    expect(failure('P2P network')).toMatch(/not a PGM/);
    expect(failure('P')).toMatch(/not a PGM/);
  });

  test('a maximum above 255 takes two bytes per raw sample, the high one first', () => {
    expect(decode('P5 3 1 1023\n', 3, 0xff, 0, 0, 2, 0).pixels).toEqual(Uint8Array.of(255, 0, 128));
    expect(decode('P5 2 1 65535\n', 0x80, 0x80, 0, 128).pixels).toEqual(Uint8Array.of(128, 0));
    expect(decode('P2 2 1 256\n256 1').pixels).toEqual(Uint8Array.of(255, 1));
    expect(failure('P5 2 1 256\n', 0, 1, 2)).toMatch(/truncated/);
    expect(failure('P5 1 1 65536\n', 0, 1)).toMatch(/byte 6: the maximum value is 65536; it must be 1\.\.65535/);
  });

  test('raw and plain PPM images have three channels', () => {
    const colour = (text: string, ...raster: number[]) => decodePixelMap(bytes(text, ...raster), 'x.ppm');
    const expected = { width: 1, height: 2, channels: 3, pixels: Uint8Array.of(0, 51, 255, 102, 153, 204) };
    expect(colour('P6\n1 2\n255\n', 0, 51, 255, 102, 153, 204)).toEqual(expected);
    expect(colour('P3\n1 2\n# five\n5\n0 1 5\n2 3 4')).toEqual(expected);
    expect(colour('P6 1 1 1023\n', 3, 255, 2, 0, 0, 16).pixels).toEqual(Uint8Array.of(255, 128, 4));
    expect(() => colour('P6\n1 2\n255\n', 1, 2, 3, 4, 5)).toThrow(/truncated/);
  });

  test('the error names the byte where the data end', () => {
    expect(failure('P5\n2 2\n255\n', 1, 2, 3)).toMatch(
      /byte 14: truncated: 2x2 pixels begin at byte 11, 3 bytes follow/,
    );
    expect(failure('P5\n2 2\n255')).toMatch(/byte 10: truncated/);
    expect(failure('P5\n2')).toMatch(/byte 4: .*the height.*truncated/);
    expect(failure('P2\n2 2\n255\n10 20 30')).toMatch(/byte 19: .*sample 3 of 4.*truncated/);
  });

  test('every proper prefix of an image is refused', () => {
    const whole = bytes('P5\n3 2\n255\n', 1, 2, 3, 4, 5, 6);
    for (let end = 0; end < whole.length; end++) {
      expect(() => decodePgm(whole.subarray(0, end), 'x')).toThrow(DataError);
    }
  });

  test('headers and samples that make no sense are refused', () => {
    expect(() => decode('P5\n0 4\n255\n')).toThrow(/0x4/);
    expect(failure('P5\n1 1\n0\n', 0)).toMatch(/maximum value is 0/);
    expect(failure('P5\n-1 1\n255\n', 0)).toMatch(/byte 3: the width/);
    expect(failure('P5\n1 1\n255x', 0)).toMatch(/no whitespace/);
    expect(failure('P5\n99999999999 1\n255\n', 0)).toMatch(/the width/);
    expect(() => decode('P5\n99999 99999\n255\n', 0)).toThrow(/99999x99999, more than 40000000 pixels/);
    expect(failure('P5\n6000 6000\n255\n', 0)).toMatch(/truncated/);
    expect(failure('P2\n2 1\n9\n3 10')).toMatch(/byte 10: sample 1 is 10, above the maximum 9/);
    expect(failure('P2\n2 1\n9\n3 x')).toMatch(/sample 1 of 2 is not a sensible number/);
  });
});

describe('encoding a PGM image', () => {
  test('encoding writes a raw image', () => {
    const image = { width: 2, height: 1, pixels: Uint8Array.of(7, 255) };
    expect(encodePgm(image)).toEqual(bytes('P5\n2 1\n255\n', 7, 255));
  });

  test('every gray value is decoded as it was encoded', () => {
    const image = { width: 16, height: 16, pixels: Uint8Array.from({ length: 256 }, (_, i) => 255 - i) };
    expect(decodePgm(encodePgm(image), 'x')).toEqual(image);
  });

  test('pixels that do not fill the image are refused', () => {
    expect(() => encodePgm({ width: 2, height: 2, pixels: new Uint8Array(3) })).toThrow(ShapeError);
    expect(() => encodePgm({ width: 0, height: 2, pixels: new Uint8Array(0) })).toThrow(ShapeError);
  });
});
