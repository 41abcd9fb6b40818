import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDataset, type ImageDataset } from '../../src/data/dataset.ts';
import { normaliseIdentity, refuseSharedIdentities } from '../../src/data/identities.ts';
import { loadPack, savePack } from '../../src/data/node/packs.ts';
import { type Pack, type PackOrigin, readPack, writePack } from '../../src/data/pack.ts';
import { DataError } from '../../src/errors.ts';
import { readSafetensors, type Tensor, writeSafetensors } from '../../src/formats/safetensors.ts';

const origin: PackOrigin = { layout: 'folders', preparation: { crop: 'none', size: '2x3' } };

const people = (name: string, classNames: string[], labels = classNames.map((_, i) => i)): Promise<ImageDataset> =>
  createDataset({
    name,
    width: 2,
    height: 3,
    classNames,
    images: Uint8Array.from({ length: labels.length * 6 }, (_, i) => (i * 7) % 256),
    labels: Uint32Array.from(labels),
    ids: labels.map((label, i) => `${classNames[label]}/${i}.png`),
  });

let pack: Pack;
beforeEach(async () => {
  pack = { dataset: await people('faces', ['Ada', 'Élodie "E"'], [0, 1, 1]), origin };
});

const failure = async (bytes: Uint8Array) => {
  const error = await readPack(bytes, 'p.safetensors').then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  const { message } = error as DataError;
  expect(message).toMatch(/^p\.safetensors: (key .+|byte \d+): [^\n]+; [^\n]+$/);
  return message;
};

describe('reading and writing a pack', () => {
  test('a pack is read back as it was written', async () => {
    expect(await readPack(writePack(pack), 'p.safetensors')).toEqual(pack);
  });

  test('a pack is a safetensors file that other programs can read', () => {
    const { tensors, metadata } = readSafetensors(writePack(pack), 'p');
    expect(tensors.get('images')).toMatchObject({ dtype: 'U8', shape: [3, 3, 2] });
    expect(tensors.get('labels')).toEqual({ dtype: 'U32', shape: [3], data: Uint32Array.of(0, 1, 1) });
    expect(metadata).toMatchObject({ format: 'midas-pack/1', layout: 'folders', sha256: pack.dataset.sha256 });
    expect(JSON.parse(metadata.classNames)).toEqual(['Ada', 'Élodie "E"']);
  });

  test('a pack of colour images has their channels as the last index, and is read back', async () => {
    const { dataset } = pack;
    const images = Uint8Array.from({ length: 3 * dataset.images.length }, (_, i) => (i * 5) % 256);
    const colour = { dataset: await createDataset({ ...dataset, channels: 3, images }), origin };
    const bytes = writePack(colour);
    expect(readSafetensors(bytes, 'p').tensors.get('images')).toMatchObject({ dtype: 'U8', shape: [3, 3, 2, 3] });
    expect(await readPack(bytes, 'p.safetensors')).toEqual(colour);
    expect(colour.dataset.sha256).not.toBe(dataset.sha256);
  });

  test('a pack of images of four channels is refused', async () => {
    const { tensors, metadata } = readSafetensors(writePack(pack), 'p');
    tensors.set('images', { dtype: 'U8', shape: [3, 3, 2, 4], data: new Uint8Array(72) });
    expect(await failure(writeSafetensors(tensors, metadata))).toContain(
      'key images: U8 [3,3,2,4] is not a U8 [count, height, width] or [count, height, width, 3]',
    );
  });

  test('a pack with a changed pixel or label is refused', async () => {
    const bytes = writePack(pack);
    for (const back of [1, 18, 18 + 12]) {
      const damaged = bytes.slice();
      damaged[damaged.length - back] ^= 1;
      expect(await failure(damaged)).toMatch(/key sha256: .*the file is damaged/);
    }
    expect(await failure(bytes.subarray(0, bytes.length - 1))).toContain('truncated');
  });

  test('a pack with other tensors or metadata is refused, naming the key', async () => {
    const rewritten = async (change: (tensors: Map<string, Tensor>, metadata: Record<string, string>) => void) => {
      const { tensors, metadata } = readSafetensors(writePack(pack), 'p');
      change(tensors, metadata);
      return failure(writeSafetensors(tensors, metadata));
    };
    expect(await failure(writeSafetensors(new Map()))).toContain('key format: ');
    expect(await rewritten((_, metadata) => Object.assign(metadata, { format: 'midas-pack/2' }))).toContain(
      'key format: this is not a midas-pack/1 file',
    );
    expect(await rewritten((_, metadata) => Object.assign(metadata, { classNames: '[1]' }))).toContain(
      'key classNames',
    );
    expect(await rewritten((_, metadata) => Object.assign(metadata, { ids: '["x"]' }))).toContain('1 ids do not fit 3');
    expect(await rewritten((_, metadata) => Object.assign(metadata, { sha256: 'x' }))).toContain('key sha256');
    expect(await rewritten((tensors) => tensors.delete('images'))).toContain('key images: nothing is not a U8');
    expect(await rewritten((tensors) => tensors.delete('labels'))).toContain('key labels: nothing');
    const flat: Tensor = { dtype: 'U8', shape: [18], data: new Uint8Array(18) };
    expect(await rewritten((tensors) => tensors.set('images', flat))).toContain('U8 [18] is not a U8 [count');
    const wild: Tensor = { dtype: 'U32', shape: [3], data: Uint32Array.of(0, 1, 2) };
    await expect(
      readPack(
        writeSafetensors(
          new Map([...readSafetensors(writePack(pack), 'p').tensors, ['labels', wild]]),
          readSafetensors(writePack(pack), 'p').metadata,
        ),
        'p',
      ),
    ).rejects.toThrow('has label 2 but there are 2 classes');
  });
});

describe('a pack on disk', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'midas-pack-'));
  });
  afterEach(() => rm(dir, { recursive: true }));

  test('a pack is saved whole, and missing folders are created', async () => {
    const path = join(dir, 'a', 'b', 'faces.safetensors');
    await savePack(path, pack);
    expect(await loadPack(path)).toEqual(pack);
    expect(await readdir(join(dir, 'a', 'b'))).toEqual(['faces.safetensors']);
  });

  test('the error names a pack that is missing or cannot be written', async () => {
    const path = join(dir, 'none');
    await expect(loadPack(path)).rejects.toThrow(`cannot read ${path}: no such file`);
    await writeFile(path, 'x');
    await expect(savePack(join(path, 'p'), pack)).rejects.toThrow(DataError);
    await expect(loadPack(path)).rejects.toThrow(`${path}: a text file, not a safetensors file; `);
  });
});

describe('people that two sets share', () => {
  test('shared people are found however their names are spelt', () => {
    const names = ['Aaron_Eckhart', 'aaron eckhart', ' AARON __ ECKHART', 'Ａaron Eckhart'];
    expect(new Set(names.map(normaliseIdentity))).toEqual(new Set(['aaron eckhart']));
    expect(normaliseIdentity('Aaron-Eckhart')).not.toBe('aaron eckhart');
  });

  test('shared people are refused by name unless sharing is allowed', async () => {
    const [mine, yours] = [
      await people('victims', ['Ada_L', 'Bob', 'Cy']),
      await people('public', ['dan', 'ada l', 'CY']),
    ];
    expect(() => refuseSharedIdentities(mine, yours, false)).toThrow(DataError);
    expect(() => refuseSharedIdentities(mine, yours, false)).toThrow(
      'private set victims and public set public share 2 people: Ada_L, Cy; ',
    );
    expect(refuseSharedIdentities(mine, yours, true)).toEqual(['Ada_L', 'Cy']);
    expect(refuseSharedIdentities(mine, await people('public', ['dan']), false)).toEqual([]);
    const many = await people('many', [...'abcdefg']);
    expect(() => refuseSharedIdentities(many, many, false)).toThrow('7 people: a, b, c, d, e and 2 more; ');
  });

  test('shared people count only when they have images', async () => {
    const [mine, yours] = [await people('victims', ['a', 'b']), await people('public', ['b', 'c'], [1, 1])];
    expect(refuseSharedIdentities(mine, yours, false)).toEqual([]);
  });
});
