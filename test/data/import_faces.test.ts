import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { encode as encodeJpeg } from 'jpeg-js';
import { PNG } from 'pngjs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ImportFacesOptions, importFaces, readClassNames } from '../../src/data/node/import_faces.ts';
import { ConfigError, DataError, InterruptedError } from '../../src/errors.ts';
import { encodePgm } from '../../src/formats/pgm.ts';
import { attFaces } from './real-faces.ts';

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'midas-import-'));
  dir = join(root, 'faces');
  await mkdir(dir);
});
afterEach(() => rm(root, { recursive: true }));

type Pixel = (x: number, y: number) => readonly [number, number, number];
const rgba = (width: number, height: number, pixel: Pixel) =>
  Buffer.from(
    Array.from({ length: width * height }, (_, i) => [...pixel(i % width, Math.floor(i / width)), 255]).flat(),
  );
const png = (width: number, height: number, pixel: Pixel) => {
  const image = new PNG({ width, height });
  image.data = rgba(width, height, pixel);
  return PNG.sync.write(image);
};
const jpeg = (width: number, height: number, pixel: Pixel) =>
  encodeJpeg({ width, height, data: rgba(width, height, pixel) }, 95).data;
const flat =
  (level: number): Pixel =>
  () => [level, level, level];

const put = async (path: string, content: Uint8Array | string, base = dir) => {
  const file = join(base, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
};

const failure = async (options: ImportFacesOptions, from = dir) => {
  const error = await importFaces(from, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  const { message } = error as DataError;
  expect(message).toMatch(/^[^\n]+[;:] [^\n]+$/);
  return message;
};

describe('importing colour images, other shapes and class names', () => {
  const red: Pixel = () => [200, 10, 20];
  const ramp: Pixel = (x) => [x, 0, 255 - x];

  test('colours become gray unless RGB is asked for, and gray pictures get three channels then', async () => {
    await put('cat/1.png', png(20, 20, red));
    await put('dog/1.pgm', encodePgm({ width: 3, height: 3, pixels: new Uint8Array(9).fill(7) }));
    const gray = await importFaces(dir, { layout: 'folders', size: 2 });
    expect([gray.dataset.channels, ...gray.dataset.images]).toEqual([1, 68, 68, 68, 68, 7, 7, 7, 7]);
    const { dataset, origin } = await importFaces(dir, { layout: 'folders', size: 2, channels: 3 });
    expect(dataset.channels).toBe(3);
    expect([...dataset.images]).toEqual([...[1, 2, 3, 4].flatMap(() => [200, 10, 20]), ...new Array(12).fill(7)]);
    expect(origin.preparation).toEqual({
      crop: 'centre square',
      colour: 'RGB',
      filter: 'bilinear, antialiased',
      size: '2x2',
    });
  });

  test('images of another shape show the middle', async () => {
    await put('a/1.png', png(100, 40, ramp));
    await put('b/1.png', png(40, 100, flat(9)));
    const size = { width: 4, height: 8 };
    const { dataset, origin } = await importFaces(dir, { layout: 'folders', size, channels: 3 });
    expect([dataset.width, dataset.height, dataset.images.length]).toEqual([4, 8, 2 * 4 * 8 * 3]);
    // The middle of the first in the shape 1 : 2 has the columns 40 to 59.
    expect([...dataset.images.subarray(0, 12)].filter((_, i) => i % 3 === 0)).toEqual([42, 47, 52, 57]);
    expect(origin.preparation.crop).toBe('centre in the shape 4x8');
    const wide = await importFaces(dir, { layout: 'folders', size: { width: 10, height: 4 }, channels: 3 });
    expect(wide.dataset.images[0]).toBeLessThan(8);
    const scrub = await importFaces(dir, { layout: 'facescrub', size });
    expect(scrub.origin.preparation.crop).toBe('none, centre in the shape 4x8');
  });

  test('a file of class names gives the order of the classes, and keeps those without images', async () => {
    await put('cat/1.png', png(9, 9, flat(1)));
    await put('ant/1.png', png(9, 9, flat(2)));
    await put('names.txt', 'dog\ncat\nant\n', root);
    await put('names.json', '["cat", "ant"]', root);
    const of = async (file: string) =>
      importFaces(dir, { layout: 'folders', size: 2, classNames: await readClassNames(file) });
    const { dataset } = await of(join(root, 'names.txt'));
    expect(dataset.classNames).toEqual(['dog', 'cat', 'ant']);
    expect([...dataset.labels]).toEqual([2, 1]);
    expect(dataset.ids).toEqual(['ant/1.png', 'cat/1.png']);
    expect([...(await of(join(root, 'names.json'))).dataset.labels]).toEqual([1, 0]);
    await put('bird/1.png', png(9, 9, flat(3)));
    await expect(of(join(root, 'names.json'))).rejects.toThrow(
      `${join(root, 'names.json')}: bird of faces is not among the 2 class names; add what is missing, or rename the folders`,
    );
  });

  test.each([
    ['', '0 class name'],
    ['a\n', '1 class name'],
    ['a\n\nb\n', 'the name of class 1 is empty'],
    ['a\nb\na\n', 'a appears twice'],
    ['["a", 3]', 'not a JSON array of class names'],
    ['["a"', 'not a JSON array of class names'],
  ])('a file of class names with the content %j is refused', async (text, message) => {
    await put('names.txt', text, root);
    await expect(readClassNames(join(root, 'names.txt'))).rejects.toThrow(message);
  });
});

describe('importing one folder per person', () => {
  test('folders are read in the order of their names, and image formats are detected by content', async () => {
    await put('Bo_Li/2.jpg', png(150, 150, flat(40)));
    await put('Bo_Li/10.png', jpeg(150, 140, flat(80)));
    await put('Al Ma/x', encodePgm({ width: 3, height: 3, pixels: new Uint8Array(9).fill(7) }));
    await put('Al Ma/.DS_Store', 'ignored');
    await put('Al Ma/notes.txt', 'ignored');
    await put('README.md', 'ignored');
    const { dataset, origin, excluded } = await importFaces(dir, { layout: 'facescrub', size: 8 });
    expect(dataset.name).toBe('faces');
    expect([dataset.width, dataset.height]).toEqual([8, 8]);
    expect(dataset.classNames).toEqual(['Al Ma', 'Bo_Li']);
    expect(dataset.ids).toEqual(['Al Ma/x', 'Bo_Li/10.png', 'Bo_Li/2.jpg']);
    expect([...dataset.labels]).toEqual([0, 1, 1]);
    expect([0, 64, 128].map((at) => dataset.images[at])).toEqual([7, 80, 40]);
    expect(origin).toEqual({
      layout: 'facescrub',
      preparation: { crop: 'none', gray: 'ITU-R 601', filter: 'bilinear, antialiased', size: '8x8' },
    });
    expect(excluded).toEqual([]);
    expect((await importFaces(dir, { layout: 'facescrub', size: 8 })).dataset.sha256).toBe(dataset.sha256);
    expect((await importFaces(dir, { layout: 'facescrub' })).dataset.width).toBe(64);
  });

  test('an aligned face is kept whole, and any other image is cut to its middle', async () => {
    // Left third black, middle third white, right third gray.
    const thirds: Pixel = (x) => flat([0, 255, 90][Math.floor(x / 10)])(0, 0);
    await put('a/1.png', png(30, 10, thirds));
    await put('b/1.png', png(30, 10, thirds));
    const whole = (await importFaces(dir, { layout: 'facescrub', size: 6 })).dataset.images;
    expect([whole[0], whole[5]]).toEqual([0, 90]);
    const middle = (await importFaces(dir, { layout: 'folders', size: 6 })).dataset.images;
    expect(new Set(middle)).toEqual(new Set([255]));
  });

  test('colours are turned gray before resizing', async () => {
    await put(
      'a/1.png',
      png(4, 4, () => [255, 0, 0]),
    );
    await put(
      'b/1.png',
      png(4, 4, () => [0, 255, 0]),
    );
    const { images } = (await importFaces(dir, { layout: 'folders', size: 2 })).dataset;
    expect([...images]).toEqual([76, 76, 76, 76, 150, 150, 150, 150]);
  });

  test('the import reports every image and stops on request', async () => {
    for (const name of ['a/1.png', 'a/2.png', 'b/1.png']) await put(name, png(2, 2, flat(1)));
    const seen: unknown[] = [];
    const onProgress = (...call: unknown[]) => void seen.push(call);
    await importFaces(dir, { layout: 'folders', size: 2, onProgress });
    expect(seen).toEqual([
      [0, 3, 'a/1.png'],
      [1, 3, 'a/2.png'],
      [2, 3, 'b/1.png'],
      [3, 3, ''],
    ]);
    const controller = new AbortController();
    const stop = () => controller.abort();
    const stopped = importFaces(dir, { layout: 'folders', size: 2, onProgress: stop, signal: controller.signal });
    await expect(stopped).rejects.toThrow(InterruptedError);
  });

  test('the import leaves out listed people and says how many', async () => {
    for (const name of ['Ada_L/1.png', 'Bob/1.png', 'Cy/1.png', 'Dan/1.png']) await put(name, png(2, 2, flat(1)));
    await put('overlap.txt', '# shared\nada l\n\nCY  # twice\nEve\n', root);
    const exclude = join(root, 'overlap.txt');
    const { dataset, origin, excluded, listed } = await importFaces(dir, { layout: 'folders', size: 2, exclude });
    expect(dataset.classNames).toEqual(['Bob', 'Dan']);
    expect([...dataset.labels]).toEqual([0, 1]);
    expect([excluded, listed]).toEqual([['Ada_L', 'Cy'], 3]);
    expect(origin.preparation.excluded).toBe('2 of 3 listed identities');
  });

  test('the import takes the first images up to a limit', async () => {
    for (const name of ['a/1.png', 'a/2.png', 'b/1.png', 'c/1.png']) await put(name, png(2, 2, flat(1)));
    const { dataset, origin } = await importFaces(dir, { layout: 'folders', size: 2, limit: 3 });
    expect(dataset.ids).toEqual(['a/1.png', 'a/2.png', 'b/1.png']);
    expect(dataset.classNames).toEqual(['a', 'b']);
    expect(origin.preparation.images).toBe('3 of 4');
  });
});

describe('the layout of CelebA', () => {
  // White inside the published crop, black outside.
  const inside: Pixel = (x, y) => flat(x >= 35 && x < 143 && y >= 70 && y < 178 ? 255 : 0)(x, y);

  test('the CelebA import cuts the face out of aligned images', async () => {
    await put('000002.jpg', png(178, 218, inside));
    await put('000001.jpg', jpeg(178, 218, flat(100)));
    const { dataset, origin } = await importFaces(dir, { layout: 'celeba', size: 4 });
    expect(dataset.ids).toEqual(['000001.jpg', '000002.jpg']);
    expect(new Set(dataset.images.subarray(16))).toEqual(new Set([255]));
    expect([dataset.classNames, [...dataset.labels]]).toEqual([['faces'], [0, 0]]);
    expect(origin.preparation.crop).toBe('108x108 at 35,70');
  });

  test('the CelebA import takes identities from a list in the folder or beside it', async () => {
    for (const name of ['1.jpg', '2.jpg', '3.jpg']) await put(name, png(178, 218, flat(9)));
    await put('identity_CelebA.txt', '1.jpg 70\n2.jpg 8\r\n3.jpg 70\n9.jpg 1\n', root);
    const { dataset } = await importFaces(dir, { layout: 'celeba', size: 4 });
    expect([dataset.classNames, [...dataset.labels]]).toEqual([
      ['70', '8'],
      [0, 1, 0],
    ]);
    await put('out.txt', '70\n', root);
    const some = await importFaces(dir, { layout: 'celeba', size: 4, exclude: join(root, 'out.txt') });
    expect([some.dataset.ids, some.excluded]).toEqual([['2.jpg'], ['70']]);
    await put('identity_CelebA.txt', '1.jpg 70\n2.jpg 8\n');
    expect(await failure({ layout: 'celeba' })).toContain(`${join(dir, '3.jpg')}: not in identity_CelebA.txt`);
    await put('identity_CelebA.txt', '1.jpg\n');
    expect(await failure({ layout: 'celeba' })).toContain('identity_CelebA.txt:1: not a file and an identity');
  });

  test('the CelebA import refuses images of another size, naming file and sizes', async () => {
    await put('1.jpg', png(100, 90, flat(9)));
    const message = await failure({ layout: 'celeba' });
    expect(message).toContain(`${join(dir, '1.jpg')}: 100x90 pixels, but the crop 108x108 at 35,70`);
    expect(message).toContain('178x218');
    await put('1.jpg', png(500, 600, flat(9)));
    expect(await failure({ layout: 'celeba' })).toContain('500x600 pixels');
  });

  test('the CelebA import cannot exclude people without a list of identities', async () => {
    await put('1.jpg', png(178, 218, flat(9)));
    await put('out.txt', 'x\n', root);
    expect(await failure({ layout: 'celeba', exclude: join(root, 'out.txt') })).toContain(
      'excluding people needs identity_CelebA.txt',
    );
  });
});

describe('the layout of the AT&T faces', () => {
  test('the AT&T import keeps the order of the AT&T loader', async () => {
    for (const person of [10, 2]) {
      for (const m of [1, 2]) {
        const pixels = Uint8Array.from({ length: 12 }, (_, i) => (i < 4 || i >= 8 ? 0 : 100 + person));
        await put(`s${person}/${m}.pgm`, encodePgm({ width: 4, height: 3, pixels }));
      }
    }
    const { dataset } = await importFaces(dir, { layout: 'attfaces', size: 3 });
    expect(dataset.classNames).toEqual(['s2', 's10']);
    expect(dataset.ids).toEqual(['s2/1.pgm', 's2/2.pgm', 's10/1.pgm', 's10/2.pgm']);
    expect([...dataset.images.subarray(0, 9)]).toEqual([0, 0, 0, 102, 102, 102, 0, 0, 0]);
  });

  test.skipIf(attFaces === undefined)('the AT&T import reads the real faces', async () => {
    const { dataset } = await importFaces(attFaces ?? '', { layout: 'attfaces' });
    expect([dataset.ids.length, dataset.classNames.length, dataset.width]).toEqual([400, 40, 64]);
  });
});

describe('refusing a folder to import', () => {
  test('an import is refused when the folder is missing, empty or laid out otherwise', async () => {
    const none = join(root, 'none');
    expect(await failure({ layout: 'folders' }, none)).toContain(`cannot read ${none}: no such file or folder`);
    expect(await failure({ layout: 'folders' })).toContain(`${dir}: no folders`);
    expect(await failure({ layout: 'celeba' })).toContain(`${dir}: no photographs`);
    expect(await failure({ layout: 'attfaces' })).toContain(`${dir}: 0 folders named sN`);
    await put('1.jpg', png(2, 2, flat(1)));
    expect(await failure({ layout: 'facescrub' })).toContain(`${dir}: no folders`);
    await mkdir(join(dir, 'a'));
    expect(await failure({ layout: 'facescrub' })).toContain(`${dir}: no photographs in its folders (a)`);
    expect(await failure({ layout: 'celeba' })).toContain(`${join(dir, '1.jpg')}: 2x2 pixels`);
  });

  test('an import is refused when an image cannot be read, naming the image', async () => {
    await put('a/1.png', png(2, 2, flat(1)));
    await put('b/1.jpg', 'hello');
    expect(await failure({ layout: 'folders' })).toContain(
      `${join(dir, 'b/1.jpg')}: byte 0: a text file, not PNG, JPEG, PGM or PPM`,
    );
    await put('b/1.jpg', jpeg(30, 30, flat(1)).subarray(0, 300));
    expect(await failure({ layout: 'folders' })).toContain(`${join(dir, 'b/1.jpg')}: byte 300: a truncated JPEG`);
    await put('b/1.jpg', jpeg(30, 30, flat(1)));
    await put('b/c/1.jpg', 'x');
    expect(await failure({ layout: 'folders' })).toContain(`${join(dir, 'b/c')}: a folder among the photographs`);
  });

  test('an import is refused when fewer than two people are left', async () => {
    await put('a/1.png', png(2, 2, flat(1)));
    expect(await failure({ layout: 'folders' })).toContain(`${dir}: 1 person; at least 2 are needed`);
    await put('b/1.png', png(2, 2, flat(1)));
    expect(await failure({ layout: 'folders', limit: 1 })).toContain('1 person; at least 2');
    await put('out.txt', 'A\nb\n', root);
    expect(await failure({ layout: 'folders', exclude: join(root, 'out.txt') })).toContain('0 people, 2 were excluded');
  });

  test('an import is refused when its list of names is missing or empty', async () => {
    const path = join(root, 'out.txt');
    expect(await failure({ layout: 'folders', exclude: path })).toContain(`cannot read ${path}`);
    await writeFile(path, '# nobody\n');
    expect(await failure({ layout: 'folders', exclude: path })).toContain(`${path}: no names`);
  });

  test('an import is refused when an option is out of range', async () => {
    await put('a/1.png', png(2, 2, flat(1)));
    for (const options of [
      { size: 0 },
      { size: 2000 },
      { size: 1.5 },
      { limit: 0 },
      { layout: 'other' as 'folders' },
    ]) {
      await expect(importFaces(dir, { layout: 'folders', ...options })).rejects.toThrow(ConfigError);
    }
  });
});
