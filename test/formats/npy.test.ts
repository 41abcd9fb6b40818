import { describe, expect, test } from 'vitest';
import { DataError, ShapeError } from '../../src/errors.ts';
import { isNpy, readNpy, readNpyNumbers, writeNpy } from '../../src/formats/npy.ts';
import { npyFile } from '../support/npy.ts';

/** The header that `numpy.save` (NumPy 2.4.6) writes before the values of an array of uint8. */
function numpyHeader(shape: string): Uint8Array {
  const dictionary = `{'descr': '|u1', 'fortran_order': False, 'shape': ${shape}, }`;
  return new Uint8Array([
    ...[0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 0x01, 0x00, 0x76, 0x00],
    ...new TextEncoder().encode(`${dictionary.padEnd(117)}\n`),
  ]);
}

const values = Uint8Array.from({ length: 12 }, (_, i) => i);

describe('an NPY file', () => {
  test.each<[number[], string]>([
    [[2, 3, 2], '(2, 3, 2)'],
    [[12], '(12,)'],
    [[12, 1], '(12, 1)'],
  ])('an NPY file of shape %j has the bytes that NumPy writes', (shape, tuple) => {
    expect([...writeNpy({ shape, data: values })]).toEqual([...numpyHeader(tuple), ...values]);
  });

  test('an NPY file is read back as it was written', () => {
    const file = writeNpy({ shape: [2, 3, 2], data: values });
    expect(isNpy(file)).toBe(true);
    expect(readNpy(file, 'x.npy')).toEqual({ shape: [2, 3, 2], data: values });
    expect(readNpy(writeNpy({ shape: [], data: values.subarray(0, 1) }), 'x.npy').shape).toEqual([]);
    expect(readNpy(writeNpy({ shape: [0, 4], data: new Uint8Array() }), 'x.npy').shape).toEqual([0, 4]);
  });

  test('an NPY file is refused when it is cut off or has another type, order, version or format', () => {
    const file = writeNpy({ shape: [2, 3, 2], data: values });
    const text = new TextDecoder('latin1').decode(file);
    const changed = (from: string, to: string) => Uint8Array.from(text.replace(from, to), (c) => c.charCodeAt(0));
    const read = (bytes: Uint8Array) => () => readNpy(bytes, 'x.npy');
    expect(read(file.subarray(0, -1))).toThrow(
      new DataError('x.npy: 11 values for a shape of 2 x 3 x 2; is the file complete?'),
    );
    expect(read(changed('|u1', '<f4'))).toThrow("x.npy: values of type <f4, expected bytes ('|u1')");
    expect(read(changed('False', 'True '))).toThrow('x.npy: not in C order');
    expect(read(changed('\u0001\u0000', '\u0004\u0000'))).toThrow(
      'x.npy: NPY version 4; only versions 1 to 3 can be read',
    );
    expect(read(changed('\u0001\u0000', '\u0002\u0000'))).toThrow('a header of 662372470 bytes');
    expect(read(values)).toThrow('x.npy: not an NPY file');
    expect(read(file.subarray(0, 6))).toThrow(DataError);
    expect(read(file.subarray(0, 40))).toThrow(DataError);
  });

  test('an NPY file is not written from values that do not fill the shape', () => {
    expect(() => writeNpy({ shape: [5], data: values })).toThrow(new ShapeError('npy: 12 values for a shape of 5'));
  });
});

describe('an NPY file of numbers', () => {
  const read = (bytes: Uint8Array) => readNpyNumbers(bytes, 'x.npy');

  test.each<[string, ArrayBufferView, number[]]>([
    ['|b1', Uint8Array.of(0, 1), [0, 1]],
    ['|i1', Int8Array.of(-1, 5), [-1, 5]],
    ['<u2', Uint16Array.of(1, 60_000), [1, 60_000]],
    ['<i4', Int32Array.of(-7, 2 ** 30), [-7, 2 ** 30]],
    ['<i8', BigInt64Array.of(-7n, 2n ** 40n), [-7, 2 ** 40]],
    ['<f4', Float32Array.of(0.5, -2), [0.5, -2]],
    ['<f8', Float64Array.of(0.1, 1e300), [0.1, 1e300]],
    ['>i2', Uint8Array.of(1, 2, 255, 254), [258, -2]],
    ['>f4', Uint8Array.of(0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0), [1, -2]],
  ])('an NPY file of type %s gives its numbers', (type, values, expected) => {
    const { shape, data } = read(npyFile(type, [2], values));
    expect([shape, Array.from(data as ArrayLike<number | bigint>, Number)]).toEqual([[2], expected]);
  });

  test('an NPY file in the order of Fortran is put into C order', () => {
    const { data } = read(npyFile('<i2', [2, 3], Int16Array.of(0, 3, 1, 4, 2, 5), 'True'));
    expect([...(data as Int16Array)]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test('an NPY file of versions 2 and 3 is read', () => {
    const bytes = npyFile('|u1', [2], Uint8Array.of(4, 5));
    for (const version of [2, 3]) {
      const long = Uint8Array.of(
        ...bytes.subarray(0, 6),
        version,
        0,
        ...bytes.subarray(8, 10),
        0,
        0,
        ...bytes.subarray(10),
      );
      expect([...(read(long).data as Uint8Array)]).toEqual([4, 5]);
    }
  });

  test('an NPY file of other things than numbers, or with too few or impossibly many, is refused', () => {
    const refused = (type: string, shape: number[]) => () => read(npyFile(type, shape, new Uint8Array(8)));
    for (const type of ['|O', '<U2', '<c8', '<f2', '<M8[ns]', 'i4']) expect(refused(type, [2])).toThrow(DataError);
    expect(refused('<f4', [3])).toThrow('2 values for a shape of 3');
    expect(refused('<f4', [1e15, 1e15, 1e15])).toThrow(DataError);
    expect(() => read(npyFile("V4', ('a", [2], new Uint8Array(8)))).toThrow(DataError);
  });
});
