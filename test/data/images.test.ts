import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readImage } from '../../src/data/node/images.ts';
import { CASES } from '../support/images.ts';

describe('reading an image file', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'midas-images-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('an image file is decoded under its path', async () => {
    expect(await readImage(join(CASES, 'jpeg/gray.jpg'))).toMatchObject({ width: 83, height: 61, channels: 1 });
    await expect(readImage(join(CASES, 'jpeg/cut-half.jpg'))).rejects.toThrow(
      /cut-half\.jpg: byte 606: a truncated JPEG/,
    );
  });

  test('a missing file and one too large for an image are refused before they are read', async () => {
    await expect(readImage(join(folder, 'none.png'))).rejects.toThrow(/cannot read .*none\.png: no such file/);
    const file = await open(join(folder, 'large.png'), 'w');
    await file.truncate(2 ** 29 + 1);
    await file.close();
    await expect(readImage(join(folder, 'large.png'))).rejects.toThrow(/536870913 bytes are too many for an image/);
  });
});
