/** Writes a NumPy file of any type, as `numpy.save` does. */
import { type NpyArray, writeNpy } from '../../src/formats/npy.ts';

/**
 * The bytes of an NPY file.
 *
 * @param type NumPy's name of the type, such as `<f4`
 * @param data the values in their order in the file
 */
export function npyFile(type: string, shape: NpyArray['shape'], data: ArrayBufferView, order = 'False'): Uint8Array {
  const header = `{'descr': '${type}', 'fortran_order': ${order}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`;
  const text = `${header.padEnd(117)}\n`;
  const start = writeNpy({ shape: [0], data: new Uint8Array() }).subarray(0, 10);
  return new Uint8Array([
    ...start.subarray(0, 8),
    text.length & 0xff,
    text.length >> 8,
    ...new TextEncoder().encode(text),
    ...new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  ]);
}
