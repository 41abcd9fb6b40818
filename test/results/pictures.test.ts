import { describe, expect, test } from 'vitest';
import { DataError, ShapeError } from '../../src/errors.ts';
import { readNpy, writeNpy } from '../../src/formats/npy.ts';
import { decodePictures, encodePictures } from '../../src/results/pictures.ts';

const images = [Float32Array.of(0, 0.5, 1, 0.25, 0.75, 0.1), Float32Array.of(1, 1, 1, 0, 0, 0)];

describe('a file of pictures', () => {
  test('a file of pictures is an array of bytes indexed by image, row and column', () => {
    const { shape, data } = readNpy(encodePictures({ width: 3, height: 2, images }), 'p.npy');
    expect(shape).toEqual([2, 2, 3]);
    expect([...data.subarray(0, 6)]).toEqual([0, 128, 255, 64, 191, 26]);
  });

  test('a file of pictures returns the pixels rounded to bytes', () => {
    const pictures = decodePictures(encodePictures({ width: 3, height: 2, images }), 'p.npy');
    expect(pictures).toMatchObject({ width: 3, height: 2 });
    expect(pictures.images[1]).toEqual(images[1]);
    for (const [k, value] of images[0].entries()) expect(Math.abs(pictures.images[0][k] - value)).toBeLessThan(1 / 500);
  });

  test('a file of colour pictures has red, green and blue as the last index', () => {
    const colour = [Float32Array.of(1, 0, 0, 0, 1, 0)];
    const file = encodePictures({ width: 2, height: 1, channels: 3, images: colour });
    expect(readNpy(file, 'p.npy').shape).toEqual([1, 1, 2, 3]);
    expect(decodePictures(file, 'p.npy')).toEqual({ width: 2, height: 1, channels: 3, images: colour });
    expect(() => encodePictures({ width: 2, height: 1, images: colour })).toThrow(ShapeError);
    const four = writeNpy({ shape: [1, 1, 1, 4], data: new Uint8Array(4) });
    expect(() => decodePictures(four, 'p.npy')).toThrow(DataError);
  });

  test('encoding pictures clamps values outside 0..1, and refuses NaN and a wrong number of pixels', () => {
    const encode = (value: number) => encodePictures({ width: 1, height: 1, images: [Float32Array.of(value)] });
    expect([encode(1.5), encode(-0.5)].map((file) => file[file.length - 1])).toEqual([255, 0]);
    expect(() => encode(Number.NaN)).toThrow(DataError);
    expect(() => encodePictures({ width: 2, height: 1, images: [Float32Array.of(1)] })).toThrow(
      new ShapeError('picture 0: 1 pixels for 2 x 1, expected 2'),
    );
  });

  test('a file of raw bytes from an old run folder is read when the picture size is given', () => {
    const pictures = decodePictures(Uint8Array.of(0, 255, 255, 0), 'p.gray', { width: 2, height: 1 });
    expect(pictures.images).toEqual([Float32Array.of(0, 1), Float32Array.of(1, 0)]);
    expect(() => decodePictures(Uint8Array.of(0, 255, 255), 'p.gray', { width: 2, height: 1 })).toThrow(
      new DataError('p.gray: 3 bytes are not whole pictures of 2 x 1'),
    );
    expect(() => decodePictures(Uint8Array.of(0, 255, 255), 'p.gray')).toThrow('p.gray: not an NPY file');
  });
});
