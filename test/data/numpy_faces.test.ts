/** Data sets in files of NumPy. The fixtures were written by NumPy; arrays of other types are put together here. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Zippable, zipSync } from 'fflate';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { importFaces, readClassNames } from '../../src/data/node/import_faces.ts';
import { DataError } from '../../src/errors.ts';
import { npyFile } from '../support/npy.ts';

const cases = fileURLToPath(new URL('../fixtures/cases/25-numpy', import.meta.url));

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'midas-numpy-'));
});
afterEach(() => rm(dir, { recursive: true }));

const put = async (name: string, content: Uint8Array) => {
  await writeFile(join(dir, name), content);
  return join(dir, name);
};

const refusal = async (path: string) => {
  const error = await importFaces(path, {}).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  const { message } = error as DataError;
  expect(message.length + 'midas: '.length).toBeLessThanOrEqual(300);
  return message;
};

/** `count` images of 2x2 with the levels 0, 1, 2, ... */
const images = (count: number) =>
  npyFile(
    '|u1',
    [count, 2, 2],
    Uint8Array.from({ length: count * 4 }, (_, i) => i),
  );
const labels = (values: number[]) => npyFile('<i8', [values.length], BigInt64Array.from(values, BigInt));

describe('data sets of NumPy as they are published', () => {
  test.each(['facescrub', 'facescrub/facescrub.npz'])('FaceScrub is read from %s, actors first', async (path) => {
    const { dataset, origin } = await importFaces(join(cases, path), {});
    expect([dataset.name, dataset.width, dataset.height, origin.layout]).toEqual(['facescrub', 64, 64, 'numpy']);
    expect([...dataset.labels]).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    expect(dataset.classNames[3]).toBe('facescrub 3');
    expect(dataset.ids[4]).toBe('actress_images/0');
    expect([...dataset.images.subarray(0, 6)]).toEqual([60, 60, 61, 61, 62, 63]);
  });

  test('the Olivetti faces are read with the labels beside them, and 0..1 becomes 0..255', async () => {
    const { dataset } = await importFaces(join(cases, 'olivetti_faces.npy'), {});
    expect([dataset.width, dataset.height, [...dataset.labels]]).toEqual([32, 32, [0, 0, 1, 1, 2, 2]]);
    expect([...dataset.images.subarray(0, 6)]).toEqual([60, 61, 62, 63, 65, 66]);
    const small = await importFaces(join(cases, 'olivetti_faces.npy'), { size: 16 });
    expect(small.dataset.width).toBe(16);
  });

  test('CelebA is read from one file or from all of a folder, in the order of their numbers', async () => {
    const one = (await importFaces(join(cases, 'celebA_64_1.npy'), {})).dataset;
    expect([one.ids.length, one.classNames, one.images[0]]).toEqual([4, ['celebA_64_1'], 60]);
    for (const number of [1, 2, 10]) await put(`celebA_64_${number}.npy`, images(number));
    const { dataset } = await importFaces(dir, { size: 2 });
    expect([dataset.name, dataset.classNames]).toEqual(['celebA_64', ['celebA_64']]);
    expect([dataset.ids[1], dataset.ids[3]]).toEqual(['celebA_64_2/0', 'celebA_64_10/0']);
    expect(dataset.ids).toHaveLength(13);
    expect(dataset.images.subarray(0, 12)).toEqual(Uint8Array.of(0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7));
  });

  test('archives with training and test images, or with rows of pixels, are read', async () => {
    const parts: Zippable = {
      'x_train.npy': images(3),
      'y_train.npy': labels([1, 0, 1]),
      'x_test.npy': images(2),
      'y_test.npy': labels([7, 0]),
      'boxes.npy': labels([1, 2, 3, 4]),
    };
    const { dataset } = await importFaces(await put('faces.npz', zipSync(parts)), {});
    expect([dataset.classNames, [...dataset.labels]]).toEqual([
      ['faces 0', 'faces 1', 'faces 7'],
      [1, 0, 1, 2, 0],
    ]);
    const rows = npyFile('<f8', [2, 4], Float64Array.of(0, 0.5, 1, 0.25, 1, 1, 1, 1));
    const olivetti: Zippable = { 'data.npy': rows, 'target.npy': labels([0, 1]) };
    const flat = await importFaces(await put('flat.npz', zipSync(olivetti)), {});
    expect([...flat.dataset.images]).toEqual([0, 128, 255, 64, 255, 255, 255, 255]);
    const both = { ...olivetti, 'images.npy': images(2) };
    expect([...(await importFaces(await put('both.npz', zipSync(both)), {})).dataset.ids]).toEqual([
      'images/0',
      'images/1',
    ]);
  });

  test('colours, channels before pixels, and levels as floating-point numbers are read', async () => {
    const last = npyFile('|u1', [2, 1, 1, 3], Uint8Array.of(255, 0, 0, 0, 255, 0));
    expect([...(await importFaces(await put('last.npy', last), {})).dataset.images]).toEqual([76, 150]);
    const planes = npyFile('|u1', [1, 3, 2, 2], Uint8Array.of(255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0));
    expect([...(await importFaces(await put('planes.npy', planes), {})).dataset.images]).toEqual([76, 150, 29, 0]);
    const levels = npyFile('<f4', [1, 2, 2], Float32Array.of(0, 127.6, 200, 255));
    expect([...(await importFaces(await put('levels.npy', levels), {})).dataset.images]).toEqual([0, 128, 200, 255]);
  });

  test('colours of both layouts are kept where RGB is asked for', async () => {
    const last = npyFile('|u1', [1, 2, 2, 3], Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9));
    const { dataset } = await importFaces(await put('last.npy', last), { channels: 3 });
    expect([dataset.width, dataset.height, dataset.channels]).toEqual([2, 2, 3]);
    expect([...dataset.images]).toEqual([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]);
    const planes = npyFile('|u1', [1, 3, 2, 2], Uint8Array.of(255, 0, 0, 9, 0, 255, 0, 9, 0, 0, 255, 9));
    const other = await importFaces(await put('planes.npy', planes), { channels: 3 });
    expect(other.dataset.images).toEqual(dataset.images);
  });

  test('a file of class names names the labels of NumPy files', async () => {
    const parts = { 'images.npy': images(4), 'labels.npy': labels([2, 0, 2, 0]) };
    const file = await put('set.npz', zipSync(parts));
    const classNames = await put('names.txt', Buffer.from('cat\ndog\nant\n'));
    const { dataset } = await importFaces(file, { classNames: await readClassNames(classNames) });
    expect(dataset.classNames).toEqual(['cat', 'dog', 'ant']);
    expect([...dataset.labels]).toEqual([2, 0, 2, 0]);
    const few = await put('few.txt', Buffer.from('cat\ndog\n'));
    await expect(importFaces(file, { classNames: await readClassNames(few) })).rejects.toThrow(
      /few\.txt: 2 class names, but .*set\.npz has a label 2; labels begin at 0/,
    );
  });

  test('people of a data set of NumPy can be left out by its name and their label', async () => {
    const exclude = await put('list.txt', Buffer.from('FACESCRUB 2\nfacescrub 9\n'));
    const { dataset, excluded, unmatched } = await importFaces(join(cases, 'facescrub'), { exclude });
    expect([dataset.ids.length, excluded, unmatched]).toEqual([6, ['facescrub 2'], ['facescrub 9']]);
  });
});

describe('files of NumPy that are no data set', () => {
  test('a folder of several data sets, and labels alone, are refused by name', async () => {
    expect(await refusal(cases)).toContain(
      'several data sets (celebA_64_1.npy, olivetti_faces.npy); give one of the files',
    );
    expect(await refusal(join(cases, 'olivetti_faces_target.npy'))).toContain(
      'NumPy file: an array of shape (6,), as labels',
    );
  });

  test.each<[string, Uint8Array, string]>([
    ['normalised to -1..1', npyFile('<f4', [1, 1, 2], Float32Array.of(-1, 1)), 'values of -1 to 1; scale them to 0..1'],
    ['not a number', npyFile('<f4', [1, 1, 2], Float32Array.of(0, Number.NaN)), 'not numbers (NaN)'],
    [
      'Python objects',
      npyFile('|O', [2], new Uint8Array(16)),
      'NumPy file: Python objects; convert them with numpy.save',
    ],
    ['a single picture', npyFile('|u1', [4, 4], new Uint8Array(16)), 'an array of shape (4, 4); give one of images'],
    ['an empty array', npyFile('|u1', [0, 4, 4], new Uint8Array(0)), 'an array of shape (0, 4, 4)'],
    ['cut off', images(2).subarray(0, -1), 'is the file complete?'],
  ])('an array that is %s is refused with the reason', async (_, bytes, reason) => {
    const message = await refusal(await put('a.npy', bytes));
    expect(message).toContain(`${join(dir, 'a.npy')}: `);
    expect(message).toContain(reason);
  });

  test('labels that do not fit the images are refused with their shape', async () => {
    await put('a_images.npy', images(3));
    await put('a_labels.npy', labels([1, 2]));
    expect(await refusal(dir)).toContain('a_labels.npy: NumPy file: labels of shape (2) for 3 images');
    await put('a_labels.npy', npyFile('<f8', [3], Float64Array.of(0, 1, 0.5)));
    expect(await refusal(dir)).toContain('label 2 is 0.5 (<f8); save labels as whole numbers');
  });

  test('an archive without pairs, with images of several sizes, or cut off is refused', async () => {
    const save = (parts: Zippable) => put('x.npz', zipSync(parts));
    expect(await refusal(await save({ 'a.npy': images(1), 'b.npy': images(1) }))).toContain(
      'no array of images with one of labels (a, b)',
    );
    const sizes = {
      'a_images.npy': images(1),
      'a_labels.npy': labels([0]),
      'b_images.npy': npyFile('|u1', [1, 3, 3], new Uint8Array(9)),
      'b_labels.npy': labels([1]),
    };
    expect(await refusal(await save(sizes))).toContain('b_images has images of 3x3, a_images of 2x2');
    const whole = await readFile(join(cases, 'facescrub/facescrub.npz'));
    expect(await refusal(await put('cut.npz', whole.subarray(0, 4000)))).toContain('a truncated or damaged ZIP');
  });

  test('features of NumPy beside the folders of people do not hide the people', async () => {
    await cp(join(cases, '../03-system-files/faces'), dir, { recursive: true });
    await put('embeddings.npy', images(9));
    expect((await importFaces(dir, { layout: 'folders' })).dataset.classNames).toHaveLength(3);
    await mkdir(join(dir, 'x'));
    await expect(importFaces(dir, {})).rejects.toThrow('--layout: ');
  });
});
