/** Folders with one folder of photographs per person. */
import { basename, join, resolve } from 'node:path';
import { DataError } from '../../errors.ts';
import { listed, printable } from '../../printable.ts';
import { byName } from '../file_names.ts';
import type { BadFile } from '../pack.ts';
import { readImage } from './images.ts';
import { descend, type Folder, listFolder } from './listing.ts';
import type { Found, Photograph } from './photographs.ts';

/** The folder in which a downloader keeps the faces that it cut out of the photographs beside it. */
const FACES = /^faces?$/i;

/** Folder names in a message, in UTF-16 code units. */
const NAMES = 150;

/** A person's folder. */
interface Person {
  readonly name: string;
  /** The subfolder that holds the photographs; '' if the person's folder does. */
  readonly inside: string;
  readonly folder: Folder;
  /** True if others have a folder of faces and this person, who has photographs, has none. */
  readonly lacksFaces?: boolean;
}

/**
 * Finds the photographs in a folder with one folder per person. A folder that holds nothing but such a folder is entered, and
 * so is a folder that is the only one in a person's folder. Where people have folders named `face` that hold something, the
 * photographs there are taken, and those around them are not. Empty folders do not count. People without photographs are
 * left out.
 *
 * @param crop the part of each image that is imported, in words; by default the centre
 * @throws DataError naming the folder
 */
export async function findPeople(path: string, crop?: string): Promise<Found> {
  // The people are the folders of the first folder that has several, or has one with photographs or faces in it.
  const { path: dir, folder: root } = await descend(path, async ({ folders }, at) => {
    if (folders.length !== 1) return folders.length > 1;
    const inner = await listFolder(join(at, folders[0]));
    return inner.files.length > 0 || inner.folders.length === 0 || inner.folders.some((name) => FACES.test(name));
  });
  if (root.folders.length === 0) throw new DataError(describeFlat(dir, root));
  const notes = dir === path ? [] : [`the photographs were found in ${printable(dir)}`];
  if (root.files.length > 0) {
    const files = root.files.map((name) => printable(name, 40));
    notes.push(`left out, because they are in no person's folder: ${listed(files, NAMES)}`);
  }
  refuseSameNames(dir, root.folders);
  const listings = await Promise.all(
    root.folders.map(async (name) => [name, await listFilled(join(dir, name))] as const),
  );
  const haveFaces = listings.some(([, { folders }]) => folders.some((each) => FACES.test(each)));
  const people = await Promise.all(listings.map(([name, folder]) => personOf(dir, name, folder, haveFaces)));
  if (haveFaces) notes.push('only the faces in NAME/face are imported, not the photographs around them');
  const empty = people.filter(({ folder }) => isEmpty({ ...folder, folders: [] }));
  const bad: BadFile[] = [...root.bad];
  const photographs: Photograph[] = [];
  for (const { name, inside, folder } of people) {
    const prefix = `${name.normalize('NFC')}/${inside === '' ? '' : `${inside}/`}`;
    bad.push(...folder.bad.map(({ file, reason }) => ({ file: `${prefix}${file}`, reason })));
    for (const file of folder.files) {
      const at = join(dir, name, inside, file);
      photographs.push({ id: `${prefix}${file}`, person: name.normalize('NFC'), path: at, read: () => readImage(at) });
    }
  }
  if (empty.length === people.length) {
    const names = empty.map(({ name }) => printable(name, 40));
    throw new DataError(
      `${dir}: no photographs in its folders (${listed(names, NAMES)}); check the path and the layout`,
    );
  }
  const leaveOut = (reason: string, left: readonly Person[]) => {
    const names = left.map(({ name }) => printable(name, 40));
    if (left.length > 0) notes.push(`left out, because ${reason}: ${listed(names, NAMES)}`);
  };
  leaveOut(
    'they have photographs, but none in NAME/face',
    empty.filter(({ lacksFaces }) => lacksFaces),
  );
  leaveOut(
    'they hold no photographs',
    empty.filter(({ lacksFaces }) => !lacksFaces),
  );
  const named = people.filter(({ folder }) => folder.files.length > 0).map(({ name }) => name.normalize('NFC'));
  return { dir, people: named, photographs, areIdentified: true, bad, notes, ...(crop && { crop }) };
}

/** Finds the folder that holds a person's photographs: the person's own, its folder `face`, or the only one in it. */
async function personOf(dir: string, name: string, folder: Folder, haveFaces: boolean): Promise<Person> {
  const leafOf = async (inside: string) => ({
    name,
    inside,
    folder: asLeaf(await listFilled(join(dir, name, inside))),
  });
  const faces = folder.folders.find((each) => FACES.test(each));
  if (faces !== undefined) return leafOf(faces);
  if (haveFaces) {
    return { name, inside: '', folder: { files: [], folders: [], bad: [] }, lacksFaces: !isEmpty(folder) };
  }
  if (folder.files.length > 0 || folder.folders.length === 0) return { name, inside: '', folder: asLeaf(folder) };
  const [only, another] = folder.folders;
  if (another === undefined) return leafOf(only);
  throw new DataError(
    `${dir}: the people are one folder deeper, such as ${printable(join(name, only), 80)}; give the folder around ` +
      'the people, or move all people into one folder',
  );
}

/** Lists a folder without the empty folders in it. */
async function listFilled(path: string): Promise<Folder> {
  const folder = await listFolder(path);
  const inner = await Promise.all(folder.folders.map((name) => listFolder(join(path, name))));
  return { ...folder, folders: folder.folders.filter((_, index) => !isEmpty(inner[index])) };
}

function isEmpty({ files, folders, bad }: Folder): boolean {
  return files.length + folders.length + bad.length === 0;
}

/** A folder in which there should be no other folders. */
function asLeaf({ files, folders, bad }: Folder): Folder {
  const reason = 'a folder among the photographs';
  return { files, folders, bad: [...bad, ...folders.map((file) => ({ file, reason }))] };
}

function describeFlat(dir: string, { files }: Folder): string {
  if (files.length === 0) {
    return `${dir}: no folders; this layout has one folder per person, check the path and the layout`;
  }
  const names = files.map((name) => printable(name, 40));
  return (
    `${dir}: no folders, but ${files.length} files side by side (${listed(names, 80)}); this layout has one folder per ` +
    `person: put the photographs of each person into a folder of that name (${basename(resolve(dir))}/NAME/1.jpg)`
  );
}

/** @throws DataError if two names are one name in different Unicode forms */
function refuseSameNames(dir: string, names: readonly string[]): void {
  const sorted = [...names].sort(byName);
  const same = sorted.find((name, index) => index > 0 && name.normalize('NFC') === sorted[index - 1].normalize('NFC'));
  if (same !== undefined) {
    throw new DataError(
      `${dir}: two folders have the name ${printable(same, 40)}, in different Unicode forms; merge or rename them`,
    );
  }
}
