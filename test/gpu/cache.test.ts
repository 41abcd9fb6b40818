import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cacheFolders, homeFolder, openCacheFolder, reasonOf } from '../../src/gpu/node/cache.ts';
import { unpackSwiftShader } from '../../src/gpu/node/swiftshader.ts';

const isRoot = process.getuid?.() === 0;
/** A process that cannot be running: the largest number of a process on Linux is 2^22. */
const DEAD = 2 ** 22 + 1;
const STRANGER = 65_533;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'midas-cache-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

describe('the places of the cache', () => {
  it('an empty or relative XDG_CACHE_HOME counts as absent, and no place is relative', () => {
    for (const given of ['', 'relative', './x']) {
      vi.stubEnv('XDG_CACHE_HOME', given);
      vi.stubEnv('HOME', root);
      expect(cacheFolders()[0]).toBe(join(root, '.cache/midas-webgpu'));
    }
    vi.stubEnv('HOME', '');
    for (const folder of cacheFolders()) expect(folder).toMatch(/^\//);
    expect(homeFolder() ?? '/').toMatch(/^\//);
    vi.stubEnv('XDG_CACHE_HOME', join(root, 'xdg'));
    expect(cacheFolders()[0]).toBe(join(root, 'xdg/midas-webgpu'));
  });

  it('the place in the temporary folder has the number of the user in its name', () => {
    expect(cacheFolders().at(-1)).toBe(join(tmpdir(), `midas-webgpu-${process.getuid!()}`));
  });
});

describe('a cache folder that is opened', () => {
  it('a new folder is closed to others, and one that others can write is closed', () => {
    const folder = openCacheFolder(join(root, 'new/midas-webgpu'));
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(dirname(folder)).mode & 0o777).toBe(0o700);
    chmodSync(folder, 0o777);
    openCacheFolder(folder);
    expect(statSync(folder).mode & 0o022).toBe(0);
  });

  it('a folder below one that others can change is refused, except where only owners may rename', () => {
    const shared = join(root, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o777);
    expect(() => openCacheFolder(join(shared, 'midas-webgpu'))).toThrow(`other users can change ${shared}`);
    chmodSync(shared, 0o1777);
    expect(openCacheFolder(join(shared, 'midas-webgpu'))).toBe(join(shared, 'midas-webgpu'));
  });

  it.runIf(isRoot)('a folder, a link or a parent of another user is refused', () => {
    const [theirs, link, parent] = ['theirs', 'link', 'parent'].map((name) => join(root, name));
    for (const folder of [theirs, parent]) mkdirSync(folder);
    symlinkSync(root, link);
    for (const path of [theirs, parent]) chownSync(path, STRANGER, STRANGER);
    expect(() => openCacheFolder(theirs)).toThrow('it belongs to another user');
    expect(() => openCacheFolder(join(parent, 'midas-webgpu'))).toThrow(`other users can change ${parent}`);
    expect(openCacheFolder(link)).toBe(root);
    lchownSync(link, STRANGER, STRANGER);
    expect(() => openCacheFolder(link)).toThrow('it belongs to another user');
  });

  it('leftovers of killed processes are removed, files of running processes and of the cache are not', () => {
    const left = [`a.json.${DEAD}.tmp`, 'old.tmp'];
    const kept = [`b.json.${process.pid}.tmp`, 'tuning.json', 'unpacking.txt'];
    for (const name of [...left, ...kept]) writeFileSync(join(root, name), '');
    mkdirSync(join(root, 'unpacking-Xy12'));
    writeFileSync(join(root, 'unpacking-Xy12/part'), '');
    openCacheFolder(root);
    expect(readdirSync(root).sort()).toEqual(kept.sort());
  });

  it('the reason of a system error is told without its code', () => {
    const reason = (message: string) => reasonOf(new Error(message));
    expect(reason('ENOSPC: no space left on device, write')).toBe('no space left on device');
    expect(reason("EACCES: permission denied, mkdir '/x, y'")).toBe('permission denied');
    expect(reason('it belongs to another user')).toBe('it belongs to another user');
  });
});

const SHIPPED = existsSync(new URL('../../node_modules/@sparticuz/chromium/bin/swiftshader.tar.br', import.meta.url));

describe.runIf(SHIPPED && process.platform === 'linux' && process.arch === 'x64')('the unpacked SwiftShader', () => {
  const LIBRARY = 'libvk_swiftshader.so';

  it('a file that is cut, changed or missing is unpacked again, and intact files are left alone', () => {
    const cache = join(root, 'midas-webgpu');
    const { icd, failures } = unpackSwiftShader([cache]);
    expect(failures).toEqual([]);
    const folder = dirname(icd!);
    const library = join(folder, LIBRARY);
    const whole = readFileSync(library);
    expect(readdirSync(folder).sort()).toEqual([
      'checksums.json',
      'libvk_swiftshader.so',
      'libvulkan.so.1',
      'vk_swiftshader_icd.json',
    ]);

    const { ino } = lstatSync(library);
    expect(unpackSwiftShader([cache]).icd).toBe(icd);
    expect(lstatSync(library).ino).toBe(ino);

    const damages = [
      () => truncateSync(library, 1_000_000),
      () => writeFileSync(library, Buffer.from(whole).fill(0, 5000, 5001)),
      () => rmSync(library),
      () => truncateSync(join(folder, 'checksums.json'), 20),
      () => chmodSync(library, 0o666),
    ];
    for (const damage of damages) {
      damage();
      expect(unpackSwiftShader([cache]).icd).toBe(icd);
      expect(readFileSync(library).equals(whole)).toBe(true);
      expect(statSync(library).mode & 0o022).toBe(0);
    }
  });

  it('where no folder can be used, each is named with its reason', () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    const { icd, failures } = unpackSwiftShader([join(file, 'a'), join(file, 'b')]);
    expect(icd).toBeUndefined();
    expect(failures).toEqual([`${file}/a: not a directory`, `${file}/b: not a directory`]);
    const second = unpackSwiftShader([join(file, 'a'), join(root, 'good')]);
    expect(dirname(dirname(second.icd!))).toBe(join(root, 'good'));
  });

  it('a second process that unpacks into the same folder leaves it intact', () => {
    const cache = join(root, 'midas-webgpu');
    const { icd } = unpackSwiftShader([cache]);
    writeFileSync(join(dirname(icd!), `${LIBRARY}.${DEAD}.tmp`), 'a killed process');
    expect(unpackSwiftShader([cache]).icd).toBe(icd);
    expect(existsSync(join(dirname(icd!), `${LIBRARY}.${DEAD}.tmp`))).toBe(false);
  });
});
