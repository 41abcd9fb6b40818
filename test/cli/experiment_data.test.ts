import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readPrivateFiles } from '../../src/cli/experiment_data.ts';
import { importFaces } from '../../src/data/node/import_faces.ts';
import { savePack } from '../../src/data/node/packs.ts';
import { ConfigError, DataError } from '../../src/errors.ts';
import type { DataConfig } from '../../src/experiments/config.ts';

const cases = fileURLToPath(new URL('../fixtures/cases', import.meta.url));
const folder = join(cases, '03-system-files/faces');

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'midas-experiment-data-'));
});
afterEach(() => rm(dir, { recursive: true }));

const read = (path: string, more: Partial<Extract<DataConfig, { kind: 'files' }>> = {}) =>
  readPrivateFiles({ kind: 'files', private: path, augment: 0, allowShared: false, ...more }, 1);
const sizeOf = async (...args: Parameters<typeof read>) => {
  const all = (await read(...args))?.all;
  return [all?.width, all?.height, all?.ids.length];
};

describe('the photographs of an experiment without a size', () => {
  test('faces of the AT&T layout keep their size and come with a split', async () => {
    const files = await read(join(cases, '23-att/nested'));
    expect([files?.all.width, files?.all.height, files?.all.ids.length]).toEqual([24, 28, 6]);
    expect(files?.split?.train).toBeDefined();
    expect(files?.notes).toEqual([`the photographs were found in ${join(cases, '23-att/nested/orl_faces')}`]);
  });

  test('other folders of people get a size, which is said', async () => {
    expect(await sizeOf(folder)).toEqual([64, 64, 9]);
    expect((await read(folder))?.notes).toEqual(['cropped and resized to 64x64; --size changes this']);
    expect(await sizeOf(folder, { size: 16 })).toEqual([16, 16, 9]);
    expect((await read(folder, { size: 16 }))?.notes).toEqual([]);
  });

  test('packs under any name, and images of NumPy, keep their size', async () => {
    const pack = join(dir, 'faces.bin');
    await savePack(pack, await importFaces(folder, { layout: 'folders', size: 8 }));
    expect(await sizeOf(pack)).toEqual([8, 8, 9]);
    expect(await sizeOf(join(cases, '25-numpy/olivetti_faces.npy'))).toEqual([32, 32, 6]);
    expect(await sizeOf(join(cases, '25-numpy/facescrub'))).toEqual([64, 64, 8]);
    await cp(join(cases, '25-numpy/facescrub/facescrub.npz'), join(dir, 'Faces.NPZ'));
    expect(await sizeOf(join(dir, 'Faces.NPZ'), { size: 16 })).toEqual([16, 16, 8]);
  });

  test('images are gray unless the configuration asks for RGB, and packs keep their channels', async () => {
    const channels = async (...args: Parameters<typeof read>) => (await read(...args))?.all.channels;
    expect(await channels(folder)).toBe(1);
    expect(await channels(folder, { channels: 'rgb' })).toBe(3);
    expect(await channels(join(cases, '23-att/nested'), { channels: 'rgb' })).toBe(3);
    const pack = join(dir, 'faces.safetensors');
    await savePack(pack, await importFaces(folder, { layout: 'folders', size: 8, channels: 3 }));
    expect([await channels(pack), await channels(pack, { channels: 'rgb' })]).toEqual([3, 3]);
    await expect(read(pack, { channels: 'gray' })).rejects.toThrow(
      `${pack}: the images of this pack are rgb, gray is asked for; import them again with --channels gray`,
    );
  });

  test('the classes that a network names come first, in its order, and others after them', async () => {
    const data: DataConfig = { kind: 'files', private: folder, augment: 0, allowShared: false, size: 8 };
    const classesOf = async (...names: string[]) =>
      (await readPrivateFiles(data, 1, { names, where: 'net.onnx' }))!.all.classNames;
    const sorted = (await readPrivateFiles(data, 1))!.all.classNames;
    expect(sorted.length).toBeGreaterThan(2);
    const reversed = [...sorted].reverse();
    expect(await classesOf(...reversed)).toEqual(reversed);
    expect(await classesOf(sorted[1])).toEqual([sorted[1], sorted[0], ...sorted.slice(2)]);
    await expect(classesOf(...sorted.slice(1), 'Nobody')).rejects.toThrow(
      `net.onnx: ${sorted[0]} of faces is no class of the network, whose Nobody has no images; rename the folders`,
    );
    await expect(classesOf(sorted[0], sorted[0])).rejects.toThrow(`the class name ${sorted[0]} appears twice`);
    const classNames = join(dir, 'order.json');
    await writeFile(classNames, JSON.stringify(sorted));
    const asked = await readPrivateFiles({ ...data, classNames }, 1, { names: reversed, where: 'net.onnx' });
    expect(asked!.all.classNames).toEqual(sorted);
  });

  test('images of files can have any shape, and classes the order of a file', async () => {
    const size = { width: 12, height: 8 };
    const all = (await read(folder, { size }))!.all;
    expect([all.width, all.height]).toEqual([12, 8]);
    const classNames = join(dir, 'names.json');
    const reversed = [...all.classNames].reverse();
    await writeFile(classNames, JSON.stringify(reversed));
    const ordered = (await read(folder, { size, classNames }))!.all;
    expect(ordered.classNames).toEqual(reversed);
    expect(ordered.labels[0]).toBe(reversed.length - 1);
    const pack = join(dir, 'faces.safetensors');
    await savePack(pack, await importFaces(folder, { layout: 'folders', size: 8 }));
    expect((await read(pack, { classNames }))!.all.classNames).toEqual(reversed);
  });

  test('missing, flat and other files, and a split for another layout, are refused by name', async () => {
    await expect(read(join(dir, 'none'))).rejects.toThrow(`cannot read ${join(dir, 'none')}: no such file or folder`);
    await expect(read(join(cases, '23-att/flat'))).rejects.toThrow('6 files side by side');
    await expect(read(join(cases, '01-dead-links/faces'))).rejects.toThrow('3 of 12 files cannot be imported');
    await writeFile(join(dir, 'x.txt'), 'hello world');
    await expect(read(join(dir, 'x.txt'))).rejects.toThrow(DataError);
    await expect(read(folder, { split: 'split.json' })).rejects.toThrow(ConfigError);
  });
});
