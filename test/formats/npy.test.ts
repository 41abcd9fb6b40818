import { describe, expect, test } from 'vitest';
import { DataError, ShapeError } from '../../src/errors.ts';
import { isNpy, readNpy, writeNpy } from '../../src/formats/npy.ts';

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
    expect(read(changed('\u0001\u0000', '\u0004\u0000'))).toThrow('x.npy: NPY version 4; only versions 1 to 3 can be read');
    expect(read(changed('\u0001\u0000', '\u0002\u0000'))).toThrow('a header of 662372470 bytes');
    expect(read(values)).toThrow('x.npy: not an NPY file');
    expect(read(file.subarray(0, 6))).toThrow(DataError);
    expect(read(file.subarray(0, 40))).toThrow(DataError);
  });

  test('an NPY file is not written from values that do not fill the shape', () => {
    expect(() => writeNpy({ shape: [5], data: values })).toThrow(new ShapeError('npy: 12 values for a shape of 5'));
  });
});
