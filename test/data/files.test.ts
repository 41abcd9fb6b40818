import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { appendLineDurable, fileError, readBytes, writeFileAtomic } from '../../src/data/node/files.ts';
import { DataError, DiskFullError } from '../../src/errors.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'midas-files-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('writing a file atomically', () => {
  test('an atomic write creates and replaces the file, and leaves nothing else behind', async () => {
    const path = join(dir, 'a.bin');
    await writeFileAtomic(path, Uint8Array.of(1, 2));
    await writeFileAtomic(path, 'text');
    expect(await readFile(path, 'utf8')).toBe('text');
    expect(await readdir(dir)).toEqual(['a.bin']);
  });

  test('an atomic write puts several parts one after the other', async () => {
    const path = join(dir, 'a.bin');
    await writeFileAtomic(path, [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)]);
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
  });

  test('an atomic write never shows a part of the file to a reader', async () => {
    const path = join(dir, 'a.txt');
    const texts = ['x', 'y'].map((letter) => letter.repeat(200_000));
    await writeFileAtomic(path, texts[0]);
    const writes = Promise.all([1, 0, 1, 0].map((i) => writeFileAtomic(path, texts[i])));
    for (let i = 0; i < 20; i++) expect(texts).toContain(await readFile(path, 'utf8'));
    await writes;
  });

  test('an atomic write removes its temporary file when it fails', async () => {
    await mkdir(join(dir, 'taken', 'inside'), { recursive: true });
    await expect(writeFileAtomic(join(dir, 'taken'), 'x')).rejects.toThrow(DataError);
    expect(await readdir(dir)).toEqual(['taken']);
  });

  test('an atomic write names the path and the reason when the folder is missing', async () => {
    const path = join(dir, 'none', 'a.txt');
    await expect(writeFileAtomic(path, 'x')).rejects.toThrow(`cannot write ${path}: no such file or folder`);
  });
});

describe('lines of JSON', () => {
  test('lines of JSON are appended in order', async () => {
    const path = join(dir, 'rows.jsonl');
    for (const draw of [0, 1, 2]) await appendLineDurable(path, JSON.stringify({ draw }));
    expect(await readFile(path, 'utf8')).toBe('{"draw":0}\n{"draw":1}\n{"draw":2}\n');
  });

  test('a crash at any byte of lines of JSON keeps the whole rows and drops the torn one, and the next row is whole', async () => {
    const path = join(dir, 'rows.jsonl');
    const whole = '{"draw":0}\n{"é":[1]}\n';
    const bytes = new TextEncoder().encode(whole);
    for (let end = 0; end <= bytes.length; end++) {
      await writeFile(path, bytes.subarray(0, end));
      const kept = ['{"draw":0}\n', '{"é":[1]}\n'].slice(0, end >= bytes.length - 1 ? 2 : end >= 10 ? 1 : 0);
      await appendLineDurable(path, '{"next":1}');
      expect(await readFile(path, 'utf8')).toBe([...kept, '{"next":1}\n'].join(''));
    }
  });

  test('a line of JSON cannot hold a line break', async () => {
    await expect(appendLineDurable(join(dir, 'x'), 'a\nb')).rejects.toThrow(DataError);
    expect(await readdir(dir)).toEqual([]);
  });

  test.skipIf(!existsSync('/dev/full'))('appending a line of JSON reports a full device', async () => {
    await expect(appendLineDurable('/dev/full', '{}')).rejects.toThrow(DiskFullError);
  });
});

describe('messages of file errors', () => {
  test('a file error is one line with the path and what to do', () => {
    for (const code of ['ENOENT', 'EACCES', 'EEXIST']) {
      const error = fileError('write', 'a/b', Object.assign(new Error('x'), { code }));
      expect(error).toBeInstanceOf(DataError);
      expect(error.message).toMatch(/^cannot write a\/b: .+; .+$/);
    }
    expect(fileError('read', 'a', new Error('odd\nlines')).message).toBe(
      'cannot read a: odd; try again or choose another path',
    );
  });

  test.each([
    ['ENOSPC', /the disk is full; free some space/],
    ['EDQUOT', /quota is used up/],
    ['EFBIG', /ulimit/],
  ])('a file error of %s is a full disk with its own message and exit code 1', (code, message) => {
    const error = fileError('write', 'a/b', Object.assign(new Error('x'), { code }));
    expect(error).toBeInstanceOf(DiskFullError);
    expect(error.exitCode).toBe(1);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/--resume$/);
  });

  test('a file error is printable, whatever the path and however long', () => {
    const error = Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
    expect(fileError('read', 'a\u001b[31m\n\u202eb', error).message).toBe(
      'cannot read a\\u{1b}[31m \\u{202e}b: no such file or folder; check the path',
    );
    const { message } = fileError('write', `a/${'b'.repeat(4000)}`, error);
    expect(message).toMatch(/^cannot write a\/b+ \.\.\. b*: no such file or folder; check the path$/);
    expect(message.length).toBeLessThan(300);
  });

  test('a file error tells a missing file from a folder', async () => {
    await expect(readBytes(join(dir, 'none'))).rejects.toThrow(/no such file/);
    await expect(readBytes(join(dir, 'none'))).rejects.toThrow(DataError);
    await expect(readBytes(dir)).rejects.toThrow(/is a folder/);
  });
});
