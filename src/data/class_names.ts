/** Names of classes from a file, or from a network, and data sets whose classes are put into their order. */
import * as v from 'valibot';
import { DataError } from '../errors.ts';
import { listed, printable } from '../printable.ts';
import { createDataset, type HashFunction, type ImageDataset } from './dataset.ts';

const Names = v.array(v.string());

/** Names in the order of the class numbers. */
export interface ClassOrder {
  readonly names: readonly string[];
  /** The file or network that gives them, for messages. */
  readonly where: string;
  /** True if classes of other names come after these, as people whom a network does not know; default: they are an error. */
  readonly othersFollow?: boolean;
}

/**
 * Reads names of classes in the order of the class numbers: a JSON array of strings, or text with one name per line, where
 * empty lines at the end do not count.
 *
 * @param where the file, for messages
 * @throws DataError if there are fewer than two names, an empty one or the same twice
 */
export function parseClassNames(text: string, where: string): string[] {
  const names = text.trimStart().startsWith('[') ? fromJson(text, where) : linesOf(text);
  const trimmed = names.map((name) => name.trim().normalize('NFC'));
  if (trimmed.length < 2) throw new DataError(`${where}: ${trimmed.length} class name; give one per class, at least 2`);
  const empty = trimmed.indexOf('');
  if (empty >= 0) throw new DataError(`${where}: the name of class ${empty} is empty; give one name per line`);
  const repeated = trimmed.find((name, index) => trimmed.indexOf(name) !== index);
  if (repeated !== undefined) throw new DataError(`${where}: ${printable(repeated, 40)} appears twice; list it once`);
  return trimmed;
}

function linesOf(text: string): string[] {
  return text.trim() === '' ? [] : text.trimEnd().split(/\r?\n/);
}

function fromJson(text: string, where: string): string[] {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Names), text);
  if (parsed.success) return parsed.output;
  throw new DataError(`${where}: not a JSON array of class names; give ["cat", "dog"], or one name per line`);
}

/**
 * The same images with the classes in the order of the names. Classes without images are kept: class k is `names[k]`.
 *
 * @throws DataError if a name is given twice, if an image has a class that is not among the names, or, where other classes
 *   follow, if there are such classes while a class of the names has no images
 */
export async function orderClasses(
  dataset: ImageDataset,
  { names, where, othersFollow = false }: ClassOrder,
  hash?: HashFunction,
): Promise<ImageDataset> {
  const normalised = names.map((name) => name.normalize('NFC'));
  const position = new Map(normalised.map((name, index) => [name, index]));
  const repeated = normalised.find((name, index) => position.get(name) !== index);
  if (repeated !== undefined) {
    throw new DataError(`${where}: the class name ${printable(repeated, 40)} appears twice; give each class its own`);
  }
  const present = new Set([...new Set(dataset.labels)].map((label) => dataset.classNames[label].normalize('NFC')));
  const unknown = dataset.classNames
    .map((name) => name.normalize('NFC'))
    .filter((name) => present.has(name) && !position.has(name));
  const empty = normalised.filter((name) => !present.has(name));
  if (unknown.length > 0 && (!othersFollow || empty.length > 0)) {
    const shown = (some: readonly string[]) =>
      listed(
        some.map((name) => printable(name, 40)),
        80,
      );
    const ofData = `${shown(unknown)} of ${printable(dataset.name, 60)} ${unknown.length === 1 ? 'is' : 'are'}`;
    throw new DataError(
      othersFollow
        ? `${where}: ${ofData} no class of the network, whose ${shown(empty)} has no images; rename the folders`
        : `${where}: ${ofData} not among the ${names.length} class names; add what is missing, or rename the folders`,
    );
  }
  for (const name of unknown) position.set(name, position.size);
  const labelOf = dataset.classNames.map((name) => position.get(name.normalize('NFC')) ?? 0);
  const labels = dataset.labels.map((label) => labelOf[label]);
  return createDataset({ ...dataset, classNames: [...names, ...unknown], labels }, hash);
}
