/** Files of before PyTorch 1.6: five pickles, then the storages. */
import { describe, expect, test } from 'vitest';
import { DataError } from '../../src/errors.ts';
import { isPth, readPth } from '../../src/formats/pth.ts';
import { readTensorFile } from '../../src/formats/tensor_file.ts';
import {
  bytesOf,
  dict,
  global,
  int,
  legacy,
  legacyStorage,
  NONE,
  six,
  tensor,
  text,
  tuple,
} from '../support/pickles.ts';

const whole = tensor(legacyStorage('7', 6), [2, 3], [3, 1]);
const refused = (bytes: Uint8Array) => {
  expect(() => readPth(bytes, 'm.tar')).toThrow(DataError);
  return expect(() => readPth(bytes, 'm.tar'));
};

describe('a file of before PyTorch 1.6', () => {
  test('a legacy file is told by its first pickle and read like a newer one', () => {
    const bytes = legacy(dict({ epoch: int(3), model: dict({ w: whole }) }), { 7: six });
    expect(isPth(bytes)).toBe(true);
    const [{ path, tensors }] = readTensorFile(bytes, 'm.tar').dictionaries;
    expect(path).toBe('model');
    expect(tensors.get('w')?.read()).toEqual({ dtype: 'F32', shape: [2, 3], data: Float32Array.of(0, 1, 2, 3, 4, 5) });
  });

  test('several storages of a legacy file follow in the order of its list', () => {
    const value = dict({ a: tensor(legacyStorage('8', 1), [1], [1]), b: tensor(legacyStorage('9', 2), [2], [1]) });
    const storages = { 8: bytesOf(Float32Array.of(5)), 9: bytesOf(Float32Array.of(6, 7)) };
    const [{ tensors }] = readPth(legacy(value, storages), 'm.tar').dictionaries;
    expect([...tensors.values()].map((each) => [...each.read().data])).toEqual([[5], [6, 7]]);
  });

  test('a view of a storage of a legacy file begins at its offset and ends with its length', () => {
    const view = (offset: number, length: number, count: number) =>
      dict({ w: tensor(legacyStorage('7', 6, [offset, length]), [count], [1]) });
    const [{ tensors }] = readPth(legacy(view(2, 3, 3), { 7: six }), 'm.tar').dictionaries;
    expect(tensors.get('w')?.read().data).toEqual(Float32Array.of(2, 3, 4));
    const [{ tensors: long }] = readPth(legacy(view(2, 3, 4), { 7: six }), 'm.tar').dictionaries;
    expect(() => long.get('w')?.read()).toThrow(/does not lie in its storage 7 of 3/);
    refused(legacy(view(4, 3, 3), { 7: six })).toThrow(/a persistent id is not a storage/);
  });

  test('a whole module in a legacy file is named and not run', () => {
    const module = [...tuple(text('module'), global('models', 'Net'), text('net.py'), text('import os')), 0x51];
    refused(legacy(module, {})).toThrow(/holds an object of models\.Net, of which nothing was run/);
  });

  test('a legacy file is refused where it is cut, changed or of another machine', () => {
    const bytes = legacy(dict({ w: whole }), { 7: six });
    for (let end = 14; end < bytes.length; end++) refused(bytes.subarray(0, end)).toThrow(/m\.tar: byte \d+: /);
    refused(legacy(dict({ w: whole }), { 7: six.subarray(4) })).toThrow(/storage 7: truncated or damaged, 6 elements/);
    refused(legacy(dict({ w: whole }), { 7: six, 8: six })).toThrow(/storage 8: no tensor names it/);
    refused(legacy(dict({ w: whole }), { 7: six }, { version: 1002 })).toThrow(/version 1002 of the older format/);
    refused(legacy(dict({ w: whole }), { 7: six }, { littleEndian: false })).toThrow(/big-endian/);
    refused(legacy(dict({ w: NONE }), {})).toThrow(/no tensors in its dictionaries/);
  });
});
