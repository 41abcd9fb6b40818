import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadAttFaces } from '../../src/data/node/attfaces.ts';
import { DataError } from '../../src/errors.ts';
import { encodePgm } from '../../src/formats/pgm.ts';
import { attFaces } from './real-faces.ts';

const shippedSplit = fileURLToPath(new URL('../../data/att-split.json', import.meta.url));

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'midas-att-'));
  dir = join(root, 'faces');
});
afterEach(() => rm(root, { recursive: true }));

/** A photograph whose pixels are all `gray`. */
const photograph = (gray: number, width = 2, height = 3) =>
  encodePgm({ width, height, pixels: new Uint8Array(width * height).fill(gray) });

const put = async (path: string, content: Uint8Array | string) => {
  await mkdir(dirname(join(dir, path)), { recursive: true });
  await writeFile(join(dir, path), content);
};

/** Writes sN/M.pgm with the gray value (10 N + M) mod 256. */
const putPersons = async (persons: number, photographs: number) => {
  for (let n = 1; n <= persons; n++) {
    for (let m = 1; m <= photographs; m++) await put(`s${n}/${m}.pgm`, photograph((10 * n + m) % 256));
  }
};

const failure = async (...args: Parameters<typeof loadAttFaces>) => {
  const error = await loadAttFaces(...args).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  const { message } = error as DataError;
  expect(message).toMatch(/^[^\n]+; [^\n]+$/);
  return message;
};

describe('loading a folder of faces', () => {
  test('loading sorts persons and photographs by number and splits 7 to 3 without a split file', async () => {
    await putPersons(11, 10);
    await put('README', 'ignored');
    await put('s1/.DS_Store', 'ignored');
    const { dataset, split, splitName } = await loadAttFaces(dir);
    expect(dataset.name).toBe('faces');
    expect([dataset.width, dataset.height]).toEqual([2, 3]);
    expect(dataset.classNames[1]).toBe('s2');
    expect(dataset.classNames[10]).toBe('s11');
    expect(dataset.ids.slice(8, 12)).toEqual(['s1/9.pgm', 's1/10.pgm', 's2/1.pgm', 's2/2.pgm']);
    expect(dataset.images[9 * 6]).toBe(20);
    expect(dataset.labels[109]).toBe(10);
    expect([split.train.length, split.test.length]).toEqual([77, 33]);
    expect(splitName).toBe('seeded 7/3, seed 0');
    expect((await loadAttFaces(dir, undefined, 5)).split).not.toEqual(split);
  });

  test('loading uses the given split file and its order of classes and files', async () => {
    await putPersons(2, 3);
    const path = join(root, 'mine.json');
    const file = { note: 'x', train: ['s2/3.pgm', 's1/1.pgm'], test: ['s1/2.pgm'], classes: ['s2', 's1'] };
    await writeFile(path, JSON.stringify(file));
    const { dataset, split, splitName } = await loadAttFaces(dir, path);
    expect(dataset.classNames).toEqual(['s2', 's1']);
    expect([...dataset.labels]).toEqual([1, 1, 1, 0, 0, 0]);
    expect([...split.train]).toEqual([5, 0]);
    expect([...split.test]).toEqual([1]);
    expect(splitName).toBe('mine.json');
  });

  test('a split file may begin with a byte order mark, and is refused in UTF-16', async () => {
    await putPersons(2, 2);
    const path = join(root, 'mine.json');
    const text = '\ufeff{"train": ["s1/1.pgm"], "test": ["s2/1.pgm"], "classes": ["s1", "s2"]}';
    await writeFile(path, text);
    expect((await loadAttFaces(dir, path)).splitName).toBe('mine.json');
    await writeFile(path, text, 'utf16le');
    await expect(loadAttFaces(dir, path)).rejects.toThrow(
      /mine\.json: the text is UTF-16; fix or remove the split file$/,
    );
  });

  test('loading prefers a split file inside the folder to one beside it', async () => {
    await putPersons(2, 2);
    const text = (train: string, held: string) =>
      JSON.stringify({ train: [train], test: [held], classes: ['s1', 's2'] });
    await writeFile(join(root, 'att-split.json'), text('s1/1.pgm', 's2/1.pgm'));
    expect([...(await loadAttFaces(dir)).split.train]).toEqual([0]);
    await put('att-split.json', text('s2/2.pgm', 's1/1.pgm'));
    expect([...(await loadAttFaces(dir)).split.train]).toEqual([3]);
  });

  test('loading uses the published split for the layout of the AT&T faces', async () => {
    await putPersons(40, 10);
    const { dataset, split, splitName } = await loadAttFaces(dir);
    expect(splitName).toBe('att-split.json');
    expect(dataset.classNames.slice(0, 3)).toEqual(['s40', 's35', 's36']);
    expect(dataset.ids[split.train[0]]).toBe('s27/1.pgm');
    expect([split.train.length, split.test.length]).toEqual([280, 120]);
    await put('s40/11.pgm', photograph(1));
    expect((await loadAttFaces(dir)).splitName).toBe('seeded 7/3, seed 0');
  });
});

describe('refusing a folder of faces', () => {
  test('a folder is refused when it is missing or holds fewer than two persons', async () => {
    expect(await failure(dir)).toContain(`cannot read ${dir}: no such file or folder`);
    await mkdir(dir);
    expect(await failure(dir)).toContain(`${dir}: 0 folders named sN`);
    await putPersons(1, 3);
    expect(await failure(dir)).toContain('1 folders named sN, at least 2');
  });

  test('a folder is refused when a photograph has another size, naming both sizes', async () => {
    await putPersons(2, 2);
    await put('s2/1.pgm', photograph(1, 3, 2));
    expect(await failure(dir)).toContain(`${join(dir, 's2/1.pgm')}: 3x2 pixels, but s1/1.pgm has 2x3`);
  });

  test('a folder is refused when a photograph is empty, not a PGM or cut short, naming the photograph', async () => {
    await putPersons(2, 2);
    const path = join(dir, 's2/2.pgm');
    await writeFile(path, '');
    expect(await failure(dir)).toContain(`${path}: byte 0: the file is empty`);
    await writeFile(path, 'hello');
    expect(await failure(dir)).toContain(`${path}: byte 0: `);
    await writeFile(path, photograph(1).subarray(0, 14));
    expect(await failure(dir)).toContain(`${path}: byte 14: truncated`);
  });

  test('a folder is refused when a person has other files, naming all of them', async () => {
    await putPersons(2, 2);
    await put('s2/1.png', 'x');
    await put('s2/1/1.pgm', photograph(1));
    await put('s1/01.pgm', photograph(1));
    const message = await failure(dir);
    expect(message).toContain(`${dir.slice(-50)}: 3 of `);
    expect(message).toContain('photograph 1, as 01.pgm is: s1/1.pgm');
    expect(message).toContain('a folder among the photographs: s2/1');
    expect(message).toContain('not named like 1.pgm: s2/1.png');
  });

  test('a folder is refused when a person has only one photograph and there is no split file', async () => {
    await putPersons(2, 2);
    await put('s3/1.pgm', photograph(1));
    expect(await failure(dir)).toContain('class s3 has 1 images');
  });

  test('a folder is refused when the split file is missing, malformed or does not fit', async () => {
    await putPersons(2, 2);
    const path = join(root, 'split.json');
    expect(await failure(dir, path)).toContain(`cannot read ${path}: no such file`);
    await writeFile(path, '{"train": [');
    expect(await failure(dir, path)).toContain(`${path}: not JSON`);

    const good = { train: ['s1/1.pgm', 's2/1.pgm'], test: ['s1/2.pgm'], classes: ['s1', 's2'] };
    const refused = async (change: object) => {
      await writeFile(path, JSON.stringify({ ...good, ...change }));
      return failure(dir, path);
    };
    expect(await refused({ train: undefined })).toContain(`${path}: train: `);
    expect(await refused({ train: ['s1/1.pgm', '../x'] })).toContain(`${path}: train.1: expected a file name like`);
    expect(await refused({ test: [] })).toContain(`${path}: test: expected at least one file`);
    expect(await refused({ test: ['s1/9.pgm'] })).toContain(`${path}: test.0: s1/9.pgm is not in ${dir}`);
    expect(await refused({ test: ['s1/1.pgm'] })).toContain(`${path}: test.0: s1/1.pgm appears twice`);
    expect(await refused({ classes: ['s1', 's7'] })).toContain(`${path}: classes: s7 is not a folder of ${dir}`);
    expect(await refused({ classes: ['s1', 's1'] })).toContain(`${path}: classes: s1 appears twice`);
    await put('s3/1.pgm', photograph(1));
    expect(await refused({})).toContain(`${path}: classes: s3 of ${dir} is not listed`);
  });
});

test('the shipped split is a partition of 40 x 10 photographs', async () => {
  const { train, test: held, classes } = JSON.parse(await readFile(shippedSplit, 'utf8'));
  expect(new Set([...train, ...held]).size).toBe(400);
  expect([train.length, held.length, new Set(classes).size]).toEqual([280, 120, 40]);
});

describe.skipIf(attFaces === undefined)('the real AT&T faces', () => {
  test('the AT&T faces load with the published split and the pixels of their files', async () => {
    const { dataset, split, splitName } = await loadAttFaces(attFaces ?? '');
    expect([dataset.width, dataset.height, dataset.ids.length]).toEqual([92, 112, 400]);
    expect([split.train.length, split.test.length, splitName]).toEqual([280, 120, 'att-split.json']);
    expect(dataset.sha256).toBe('4debd9b538fed8a189c292c53a3c91441665ab9e6030ce1930ef0dbd378f9d7e');
    const pixels = 92 * 112;
    for (const index of [0, 123, 399]) {
      const bytes = await readFile(join(attFaces ?? '', dataset.ids[index]));
      expect(dataset.images.subarray(index * pixels, (index + 1) * pixels)).toEqual(
        new Uint8Array(bytes.subarray(bytes.length - pixels)),
      );
      expect(dataset.classNames[dataset.labels[index]]).toBe(dirname(dataset.ids[index]));
    }
  });

  test('the AT&T faces are refused when one file is cut short', async () => {
    await cp(join(attFaces ?? '', 's1'), join(dir, 's1'), { recursive: true });
    await put('s2/1.pgm', (await readFile(join(attFaces ?? '', 's2/1.pgm'))).subarray(0, 5000));
    expect(await failure(dir)).toContain(`${join(dir, 's2/1.pgm')}: byte 5000: truncated: 92x112`);
  });
});
