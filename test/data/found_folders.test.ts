/** Folders of photographs as people have them, with what systems, downloaders and archives leave in them. */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PNG } from 'pngjs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadAttFaces } from '../../src/data/node/attfaces.ts';
import { BadFilesError } from '../../src/data/node/bad_files.ts';
import { type ImportFacesOptions, importFaces } from '../../src/data/node/import_faces.ts';
import { loadPack, savePack } from '../../src/data/node/packs.ts';
import { DataError, InterruptedError } from '../../src/errors.ts';

const cases = fileURLToPath(new URL('../fixtures/cases', import.meta.url));

let root: string;
let dir: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'midas-found-'));
  dir = join(root, 'faces');
  await mkdir(dir);
});
afterEach(() => rm(root, { recursive: true }));

const picture = (level: number, side = 4) => {
  const image = new PNG({ width: side, height: side });
  image.data.fill(level);
  return PNG.sync.write(image);
};

const put = async (path: string, content: Uint8Array | string = picture(9)) => {
  await mkdir(dirname(join(dir, path)), { recursive: true });
  await writeFile(join(dir, path), content);
};

const take = (path: string, options: ImportFacesOptions = { layout: 'folders' }) => importFaces(path, options);

const refusal = async (path: string, options: ImportFacesOptions = { layout: 'folders' }): Promise<DataError> => {
  const error = await importFaces(path, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  const { message } = error as DataError;
  expect(message.length + 'midas: '.length).toBeLessThanOrEqual(300);
  expect(message).toMatch(/^[\P{Cc}]+$/u);
  return error as DataError;
};

const filesOf = (error: DataError) => (error as BadFilesError).files.map(({ file }) => file);

describe('files that cannot be used', () => {
  const faces = join(cases, '01-dead-links/faces');

  test('pages and empty files under names of pictures are named in one message', async () => {
    const error = await refusal(faces);
    expect(error).toBeInstanceOf(BadFilesError);
    expect(filesOf(error)).toEqual(['Person_A/04.jpg', 'Person_B/04.jpg', 'Person_C/04.jpg']);
    expect(error.message).toContain('3 of 12 files cannot be imported');
    for (const file of filesOf(error)) expect(error.message).toContain(file);
    expect(error.message).toContain('--skip-bad');
  });

  test('pages and empty files can be skipped, and the pack says which were', async () => {
    const { dataset, origin } = await take(faces, { layout: 'folders', skipBad: true });
    expect(dataset.ids).toHaveLength(9);
    expect([...dataset.labels]).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2]);
    expect(origin.skipped?.map(({ file }) => file)).toEqual(['Person_A/04.jpg', 'Person_B/04.jpg', 'Person_C/04.jpg']);
    const path = join(root, 'p.safetensors');
    await savePack(path, { dataset, origin });
    expect((await loadPack(path)).origin.skipped).toEqual(origin.skipped);
    // The pixels are those of an import of the good files alone.
    const good = (await take(join(cases, '03-system-files/faces'))).dataset;
    expect(dataset.sha256).toBe(good.sha256);
  });

  test('a pack of good files has no list of skipped ones', async () => {
    const { origin } = await take(join(cases, '03-system-files/faces'), { layout: 'folders', skipBad: true });
    expect(origin).not.toHaveProperty('skipped');
  });

  test('a thousand bad files are one line with their number, and all are listed', async () => {
    await put('a/good.png');
    for (let i = 0; i < 1000; i++) await put(`b/${'x'.repeat(40)}${i}.jpg`, '');
    const error = await refusal(dir);
    expect(error.message).toContain('1000 of 1001 files cannot be imported');
    expect(error.message).toMatch(/ and 99\d more; /);
    expect(filesOf(error)).toHaveLength(1000);
  });

  test('links that lead nowhere or in a circle, and pipes, are bad files', async () => {
    await put('a/1.png');
    await put('b/1.png');
    await symlink(join(root, 'gone.png'), join(dir, 'a/2.png'));
    await symlink(join(dir, 'b/2.png'), join(dir, 'b/2.png'));
    await symlink(join(dir, 'a/1.png'), join(dir, 'b/3.png'));
    execFileSync('mkfifo', [join(dir, 'b/4.png')]);
    expect(filesOf(await refusal(dir))).toEqual(['a/2.png', 'b/2.png', 'b/4.png']);
    const { dataset } = await take(dir, { layout: 'folders', skipBad: true });
    expect(dataset.ids).toEqual(['a/1.png', 'b/1.png', 'b/3.png']);
  });

  test('control characters of a file name do not reach the message', async () => {
    await put('a/1.png');
    await put('b/\u001b[2J\nx.jpg', 'no picture');
    const { message } = await refusal(dir);
    expect(message).toContain('\\u{1b}[2J\\u{a}x.jpg');
  });

  test('a folder without any usable file is refused with skipping too', async () => {
    for (const name of ['a/1.jpg', 'b/1.jpg']) await put(name, '');
    const { message } = await refusal(dir, { layout: 'folders', skipBad: true });
    expect(message).toContain('none of 2 files can be imported');
    for (const name of ['a/2.png']) await put(name);
    expect((await refusal(dir, { layout: 'folders', skipBad: true })).message).toContain('1 person; at least 2');
  });

  test('a person of whom no file can be used is left out and named', async () => {
    for (const name of ['a/1.png', 'a/2.png', 'b/1.png', 'b/2.png']) await put(name);
    await put('c/1.jpg', '<html>');
    const { dataset, notes } = await take(dir, { layout: 'folders', skipBad: true });
    expect(dataset.classNames).toEqual(['a', 'b']);
    expect(notes).toEqual(['left out, because none of their files can be used: c']);
  });
});

describe('a folder per person as it is found', () => {
  test('files of systems between the pictures are ignored', async () => {
    await cp(join(cases, '03-system-files/faces'), dir, { recursive: true });
    const leftovers = [
      '.DS_Store',
      '._01.png',
      'Thumbs.db',
      'ehthumbs.db',
      'desktop.ini',
      'Icon\r',
      '01.png:Zone.Identifier',
      '04.jpg.part',
      '04.jpg.crdownload',
      '04.jpg.tmp',
      'ZbThumbnail.info',
      'pspbrwse.jbf',
      'sync.ffs_db',
      'urls.txt~',
      '01.png~',
      '01.xmp',
    ];
    for (const name of leftovers) await put(`Person_A/${name}`, 'x');
    await put('Person_B/@eaDir/01.png/SYNOPHOTO_THUMB_M.jpg', 'x');
    await put('__MACOSX/Person_A/._01.png', 'x');
    await put('@eaDir/Person_A@SynoEAStream', 'x');
    await put('.thumbnails/1.png', 'x');
    const { dataset, notes } = await take(dir);
    expect(dataset.ids).toHaveLength(9);
    expect(dataset.classNames).toEqual(['Person_A', 'Person_B', 'Person_C']);
    expect(notes).toEqual([]);
  });

  test('lists and notes between the pictures are ignored', async () => {
    await cp(join(cases, '03-system-files/faces'), dir, { recursive: true });
    for (const name of ['README', 'LICENSE', '_bboxes.txt', 'landmarks.mat', 'labels.csv', 'index.html', 'a.xml']) {
      await put(`Person_A/${name}`, 'x 0,0,48,48');
    }
    expect((await take(dir)).dataset.ids).toHaveLength(9);
  });

  test('a person without photographs is left out and named', async () => {
    await cp(join(cases, '04-empty-person/faces'), dir, { recursive: true });
    await mkdir(join(dir, 'Person_D'));
    await put('Person_E/_bboxes.txt', 'x');
    const { dataset, notes } = await take(dir);
    expect([dataset.classNames, dataset.ids.length]).toEqual([['Person_A', 'Person_B', 'Person_C'], 9]);
    expect(notes).toEqual(['left out, because they hold no photographs: Person_D, Person_E']);
  });

  test.each(['facescrub', 'folders'] as const)(
    'faces that a downloader cut out are read from NAME/face as %s',
    async (layout) => {
      const { dataset, notes } = await take(join(cases, '02-face-subfolder/download'), { layout });
      expect(dataset.ids).toHaveLength(9);
      expect(dataset.ids[0]).toBe('Person_A/face/0000000000000000000000000000000000003039.jpg');
      expect(notes).toEqual(['only the faces in NAME/face are imported, not the photographs around them']);
    },
  );

  test('a person in whose photographs no face was found is left out', async () => {
    await cp(join(cases, '02-face-subfolder/download'), dir, { recursive: true });
    await put('Person_D/1.png');
    const { dataset, notes } = await take(dir);
    expect(dataset.classNames).toEqual(['Person_A', 'Person_B', 'Person_C']);
    expect(notes.join()).toContain('left out, because they have photographs, but none in NAME/face: Person_D');
  });

  test.each([
    ['a/1.png b/1.png c/ d/face/', ['a/1.png', 'b/1.png'], ['they hold no photographs: c, d']],
    ['a/1.png a/face/ b/1.png b/face/', ['a/1.png', 'b/1.png'], []],
    ['a/1.png a/Face/Thumbs.db b/1.png', ['a/1.png', 'b/1.png'], []],
    ['a/1.png a/other/ b/1.png', ['a/1.png', 'b/1.png'], []],
    [
      'a/1.png a/face/2.png b/1.png b/face/ c/faces/3.png d/',
      ['a/face/2.png', 'c/faces/3.png'],
      ['they have photographs, but none in NAME/face: b', 'they hold no photographs: d'],
    ],
  ])('folders of faces count if they hold something: %s', async (entries, ids, reasons) => {
    for (const entry of entries.split(' ')) {
      if (entry.endsWith('/')) await mkdir(join(dir, entry), { recursive: true });
      else await put(entry);
    }
    const { dataset, notes } = await take(dir);
    expect(dataset.ids).toEqual(ids);
    const left = notes.filter((note) => note.startsWith('left out, because '));
    expect(left).toEqual(reasons.map((reason) => `left out, because ${reason}`));
  });

  test('too few people with faces are refused, saying who has photographs without faces', async () => {
    for (const name of ['a/1.png', 'a/face/1.png', 'b/1.png', 'b/2.png']) await put(name);
    const { message } = await refusal(dir);
    expect(message).toContain('1 person; at least 2 are needed');
    expect(message).toContain('(left out, because they have photographs, but none in NAME/face: b)');
  });

  test('people one or two folders deeper are found when nothing else is there', async () => {
    await cp(join(cases, '03-system-files/faces'), join(dir, 'lfw/lfw'), { recursive: true });
    await put('README.txt', 'x');
    await put('__MACOSX/lfw/._x', 'x');
    const { dataset, notes } = await take(dir);
    expect(dataset.ids[0]).toBe('Person_A/01.png');
    expect(notes).toEqual([`the photographs were found in ${join(dir, 'lfw/lfw')}`]);
  });

  test('photographs in the only folder of a person are found', async () => {
    for (const name of ['a/images/1.png', 'a/images/2.png', 'b/images/1.png', 'b/images/2.png']) await put(name);
    expect((await take(dir)).dataset.ids).toEqual([
      'a/images/1.png',
      'a/images/2.png',
      'b/images/1.png',
      'b/images/2.png',
    ]);
  });

  test('groups of people are refused, naming what to give instead', async () => {
    for (const name of ['actors/a/1.png', 'actors/b/1.png', 'actresses/c/1.png', 'actresses/d/1.png']) await put(name);
    expect((await refusal(dir)).message).toContain(
      'the people are one folder deeper, such as actors/a; give the folder',
    );
  });

  test('photographs side by side are refused, saying how they should lie', async () => {
    for (const name of ['1.jpg', '2.jpg']) await put(name);
    const { message } = await refusal(dir);
    expect(message).toContain('no folders, but 2 files side by side (1.jpg, 2.jpg)');
    expect(message).toContain('one folder per person');
  });

  test('photographs beside the folders of people are left out and named', async () => {
    for (const name of ['a/1.png', 'a/2.png', 'b/1.png', 'b/2.png', 'cover.png']) await put(name);
    expect((await take(dir)).notes).toEqual(["left out, because they are in no person's folder: cover.png"]);
  });

  test('people with a single photograph are imported and named', async () => {
    for (const name of ['a/1.png', 'b/1.png', 'b/2.png']) await put(name);
    const { dataset, notes } = await take(dir);
    expect(dataset.ids).toHaveLength(3);
    expect(notes).toEqual(['only one photograph each, so no victim can be trained and tested on them: a']);
  });

  test('names have one Unicode form and order, from whatever system they come', async () => {
    const names = ['Zoe\u0308', 'Zof', 'Zo\u00eb2', "O'Neil & Söhne"];
    for (const name of names) for (const file of ['1.PNG', '2.Png']) await put(`${name}/${file}`);
    const { dataset } = await take(dir);
    expect(dataset.classNames).toEqual(["O'Neil & Söhne", 'Zof', 'Zoë', 'Zoë2']);
    await put('Zo\u00eb/1.png');
    expect((await refusal(dir)).message).toContain('two folders have the name');
  });

  test('an archive or a picture is refused as a folder', async () => {
    await put('faces.png');
    expect((await refusal(join(dir, 'faces.png'))).message).toContain('give the folder with the photographs');
    await put('faces.zip', Uint8Array.of(0x50, 0x4b, 5, 6, ...new Uint8Array(18)));
    expect((await refusal(join(dir, 'faces.zip'))).message).toContain('a ZIP archive; unpack it');
  });
});

describe('the list of people to leave out', () => {
  const exclusion = async (content: Uint8Array | string) => {
    for (const name of ['Ada_L/1.png', 'Bob/1.png', 'Zoë/1.png', 'Cy/1.png']) await put(name);
    const exclude = join(root, 'list.txt');
    await writeFile(exclude, content);
    return { layout: 'folders', exclude } as const;
  };

  test('every entry that matched nobody is named', async () => {
    const { excluded, listed, unmatched } = await take(dir, await exclusion('ada l\nEve  # who?\nBobby\n'));
    expect([excluded, listed, unmatched]).toEqual([['Ada_L'], 3, ['Eve', 'Bobby']]);
  });

  test.each([
    ['UTF-8 with a byte order mark', Buffer.from('\ufeffZoë\r\nbob\r\n')],
    ['UTF-16 of Windows', Buffer.from('\ufeffZoë\r\nbob\r\n', 'utf16le')],
    ['UTF-16 with the high byte first', Buffer.from('\ufeffZoë\r\nbob\r\n', 'utf16le').swap16()],
  ])('a list in %s is read', async (_, bytes) => {
    const { excluded, unmatched } = await take(dir, await exclusion(bytes));
    expect([excluded, unmatched]).toEqual([['Bob', 'Zoë'], []]);
  });

  test.each([
    ['UTF-16 without a mark', Buffer.from('Bob\n', 'utf16le')],
    ['Latin-1', Buffer.from('Zoë\n', 'latin1')],
  ])('a list in %s is refused by name', async (_, bytes) => {
    const { message } = await refusal(dir, await exclusion(bytes));
    expect(message).toContain('list.txt: neither UTF-8 nor UTF-16 with a byte order mark');
  });
});

describe('the layout of the AT&T faces as it is found', () => {
  const att = (name: string) => join(cases, '23-att', name);
  const hashOf = async (path: string) => (await take(path, { layout: 'attfaces' })).dataset.sha256;

  test.each(['zeros', 'thumbs', 'upper', 'nested'])('the folder "%s" has the pixels of a plain one', async (name) => {
    const { dataset, notes } = await take(att(name), { layout: 'attfaces' });
    expect([dataset.ids.length, dataset.classNames.length]).toEqual([6, 2]);
    await cp(att('thumbs'), dir, { recursive: true });
    await rm(join(dir, 's1/Thumbs.db'));
    expect(dataset.sha256).toBe(await hashOf(dir));
    const warning = {
      upper: 'read as s1, s2 and so on: S1, S2',
      nested: `the photographs were found in ${att('nested/orl_faces')}`,
    }[name];
    expect(notes).toEqual(warning === undefined ? [] : [warning]);
    const loaded = await loadAttFaces(att(name));
    expect([loaded.dataset.ids, loaded.notes]).toEqual([dataset.ids, notes]);
  });

  test('a path with quotes, spaces and umlauts is read', async () => {
    const odd = join(root, `päth with 'quotes' & "spaces" $(x)`);
    await cp(att('plain'), odd, { recursive: true });
    expect((await take(odd, { layout: 'attfaces' })).dataset.ids).toHaveLength(20);
  });

  test('photographs side by side, and two of one number, are named', async () => {
    const flat = await refusal(att('flat'), { layout: 'attfaces' });
    expect(flat.message).toContain('0 folders named sN');
    expect(flat.message).toContain('6 files side by side (s1_1.pgm); put photograph M of person N into sN/M.pgm');
    const twice = await refusal(att('duplicate-numbers'), { layout: 'attfaces' });
    expect(twice.message).toContain('s1/1.pgm: photograph 1, as 01.pgm is');
    const one = await refusal(join(att('plain'), 's1'), { layout: 'attfaces' });
    expect(one.message).toContain('the folder of one person, give the folder around it');
  });

  test('two folders of one person are named', async () => {
    await cp(att('plain'), dir, { recursive: true });
    await cp(join(dir, 's1'), join(dir, 's01'), { recursive: true });
    expect((await refusal(dir, { layout: 'attfaces' })).message).toContain('s1: person 1, as s01 is');
  });

  test('a split file fits folders with zeros and capitals', async () => {
    await cp(att('zeros'), dir, { recursive: true });
    await rename(join(dir, 's02'), join(dir, 'S2'));
    const split = { train: ['s2/1.pgm', 's1/1.pgm'], test: ['s1/3.pgm'], classes: ['s2', 's1'] };
    await put('att-split.json', `\ufeff${JSON.stringify(split)}`);
    const loaded = await loadAttFaces(dir);
    expect(loaded.dataset.classNames).toEqual(['S2', 's01']);
    expect([...loaded.split.train].map((index) => loaded.dataset.ids[index])).toEqual(['S2/01.pgm', 's01/01.pgm']);
  });

  test('an empty person of the AT&T layout is left out and named', async () => {
    await cp(att('plain'), dir, { recursive: true });
    await mkdir(join(dir, 's9'));
    expect((await take(dir, { layout: 'attfaces' })).notes).toEqual(['left out, because they hold no photographs: s9']);
  });
});

describe('CelebA as it is found', () => {
  const celeba = (name: string) => join(cases, '24-celeba', name);
  const layout = 'celeba';

  test.each(['bom', 'crlf', 'png-release'])('the folder "%s" is read with its list', async (name) => {
    for (const path of [celeba(name), join(celeba(name), 'img_align_celeba')]) {
      const { dataset } = await take(path, { layout });
      expect(dataset.classNames).toEqual(['100', '101']);
      expect(dataset.ids).toHaveLength(2);
    }
  });

  test.each([
    [
      'comma',
      'identity_CelebA.txt:1: not a file and an identity, such as 000001.jpg 2880: "000001.jpg,100" has a comma',
    ],
    ['counted', 'identity_CelebA.txt:1: not a file and an identity, such as 000001.jpg 2880: "2" is a count'],
    ['short-list', 'identity_CelebA.txt:1: the list is cut off after this line and lacks 1 of 2 images'],
  ])('the list of the folder "%s" is refused with its line', async (name, message) => {
    expect((await refusal(celeba(name), { layout })).message).toContain(message);
    expect((await refusal(celeba(name), { layout, skipBad: true })).message).toContain(message);
  });

  test('a cut line and a contradiction in a list are refused with the line', async () => {
    await cp(celeba('crlf'), dir, { recursive: true });
    await put('identity_CelebA.txt', '000001.jpg 100\n000002.j');
    expect((await refusal(dir, { layout })).message).toContain('identity_CelebA.txt:2: not a file');
    await put('identity_CelebA.txt', '000001.jpg 100\n000002.jpg 5\n000001.jpg 101\n');
    expect((await refusal(dir, { layout })).message).toContain('CelebA.txt:3: 000001.jpg is 101, but was 100 before');
    await put('identity_CelebA.txt', '');
    expect((await refusal(dir, { layout })).message).toContain('the list is empty');
  });

  test('images that were unpacked twice are found in the inner folder', async () => {
    await cp(join(celeba('crlf'), 'img_align_celeba'), join(dir, 'img_align_celeba/img_align_celeba'), {
      recursive: true,
    });
    await put('identity_CelebA.txt', '000001.jpg 7\n000002.jpg 8\n');
    expect((await take(dir, { layout })).dataset.classNames).toEqual(['7', '8']);
    expect((await take(join(dir, 'img_align_celeba'), { layout })).dataset.classNames).toEqual(['7', '8']);
  });

  test('the folders of the published archive are entered', async () => {
    await cp(join(celeba('crlf'), 'img_align_celeba'), join(dir, 'Img/img_align_celeba'), { recursive: true });
    await put('Img/img_align_celeba.zip', 'x');
    await put('Anno/identity_CelebA.txt', '000001.jpg 7\n000002.jpg 8\n');
    await put('Eval/list_eval_partition.txt', 'x');
    expect((await take(dir, { layout })).dataset.classNames).toEqual(['7', '8']);
    await cp(join(dir, 'Img/img_align_celeba'), join(dir, 'Img/img_align_celeba_png'), { recursive: true });
    expect((await refusal(dir, { layout })).message).toContain('give the one with the images');
  });
});

describe('an import that was stopped', () => {
  const COUNT = 320;
  const makeFaces = async () => {
    const png = picture(50, 8);
    for (let i = 0; i < COUNT; i++) await put(`${i % 2}/${String(i).padStart(5, '0')}.png`, png);
  };
  const options = () => ({ layout: 'folders', size: 8, partial: join(root, 'out.partial') }) as const;

  test('an import that was interrupted goes on without decoding finished images again', async () => {
    await makeFaces();
    const controller = new AbortController();
    const stopped = take(dir, {
      ...options(),
      signal: controller.signal,
      onProgress: (finished) => void (finished === 200 && controller.abort()),
    });
    await expect(stopped).rejects.toThrow(new InterruptedError('interrupted: run it again to continue'));
    // A finished photograph whose pixels change but not its size and time shows where the pixels come from.
    const time = new Date(1_600_000_000_000);
    const first = join(dir, '0/00000.png');
    const last = join(dir, '1/00319.png');
    for (const path of [first, last]) await utimes(path, time, time);
    const expected = await take(dir, options());
    for (const path of [first, last]) {
      await writeFile(path, picture(51, 8));
      await utimes(path, time, time);
    }
    expect((await take(dir, options())).dataset.sha256).toBe(expected.dataset.sha256);
    await utimes(last, new Date(), new Date());
    const changed = (await take(dir, options())).dataset;
    expect([changed.images[0], changed.images[changed.images.length - 1]]).toEqual([50, 51]);
  });

  test('images of another size, order or file are decoded again', async () => {
    await makeFaces();
    await take(dir, options());
    const small = (await take(dir, { ...options(), size: 4 })).dataset;
    expect(small.sha256).toBe((await take(dir, { layout: 'folders', size: 4 })).dataset.sha256);
    await rm(join(dir, '0/00000.png'));
    await writeFile(options().partial, 'other content');
    const fewer = (await take(dir, options())).dataset;
    expect(fewer.sha256).toBe((await take(dir, { layout: 'folders', size: 8 })).dataset.sha256);
  });
});
