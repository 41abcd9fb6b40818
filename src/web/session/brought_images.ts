/** Reads images that a visitor brought for a network: single files, folders of classes, zips of these, NumPy archives, packs. */
import { orderClasses, parseClassNames } from '../../data/class_names.ts';
import { createDataset, type ImageDataset } from '../../data/dataset.ts';
import { byName, LIST, SYSTEM } from '../../data/file_names.ts';
import { centreOfShape, resize, withChannels } from '../../data/image_ops.ts';
import { npzParts } from '../../data/numpy_parts.ts';
import { PACK_FORMAT, readPack } from '../../data/pack.ts';
import { DataError } from '../../errors.ts';
import type { DecodedImage } from '../../formats/image.ts';
import { isZip, listNpz } from '../../formats/npz.ts';
import { isSafetensors, readSafetensors } from '../../formats/safetensors.ts';
import { readZipDirectory, readZipEntry } from '../../formats/zip.ts';
import { type ImageSize, imageValues } from '../../image_size.ts';
import type { ChosenFile } from '../protocol.ts';

/** Most images that are used: the first of every class. */
const MOST = 1000;

/** Decodes an image file. @throws DataError naming it */
export type ImageDecoder = (bytes: Uint8Array<ArrayBuffer>, name: string) => Promise<DecodedImage>;

export interface BroughtImages {
  readonly dataset: ImageDataset;
  /** False if no labels came with the images; all have label 0 then. */
  readonly areLabelled: boolean;
  readonly notes: readonly string[];
}

/** An image before it is decoded. */
interface Source {
  /** Its path: the folder before the last slash is its class. */
  readonly path: string;
  /** Number of its class, where labels are numbers. */
  readonly label?: number;
  read(): DecodedImage | Promise<DecodedImage>;
}

/** True for a pack of images, which is a safetensors file as weights are. */
export function isPack({ bytes, name }: ChosenFile): boolean {
  return isSafetensors(bytes) && readSafetensors(bytes, name).metadata.format === PACK_FORMAT;
}

/** True for a zip that holds images, or arrays of NumPy; files of PyTorch are zips of other things. */
export function isArchiveOfImages({ bytes, name }: ChosenFile): boolean {
  if (!isZip(bytes)) return false;
  return listNpz(bytes, name).length > 0 || imageEntries(bytes, name).length > 0;
}

function imageEntries(bytes: Uint8Array, name: string) {
  const isImage = (path: string) => /\.(png|jpe?g|jfif|webp|pgm|ppm|pnm|bmp|gif|avif)$/i.test(path);
  const isHidden = (path: string) => path.split('/').some((part) => SYSTEM.test(part));
  return [...readZipDirectory(bytes, name).values()].filter((entry) => isImage(entry.name) && !isHidden(entry.name));
}

/**
 * The images in the size that a network takes, in the order of their classes. The middle of an image is used, in the shape of
 * the result. Folders are classes in the order of their names, as PyTorch's ImageFolder has them, or of `classNames`.
 *
 * @param files not empty
 * @param size of the network's images
 * @param classes number of the network's outputs
 * @param classNames names of all classes: a file, or those of the network
 * @throws DataError naming the file: not an image, of another number of channels, or of a class that the network does not have
 */
export async function readBroughtImages(
  files: readonly ChosenFile[],
  size: ImageSize,
  classes: number,
  classNames: ChosenFile | readonly string[] | undefined,
  decode: ImageDecoder,
  onImage: (done: number, of: number) => void,
): Promise<BroughtImages> {
  const names = classNames && ('bytes' in classNames ? namesIn(classNames) : classNames);
  const where = classNames && 'bytes' in classNames ? classNames.name : 'the network';
  if (files.length === 1 && isPack(files[0])) {
    const { dataset } = await readPack(files[0].bytes, files[0].name);
    refuseSize(dataset, size, files[0].name);
    return finish(dataset, names, where, classes, []);
  }
  const inOrder = [...files].sort((a, b) => byName(a.name, b.name));
  const sources = inOrder.flatMap((file) => sourcesOf(file, decode));
  const folderOf = ({ path }: Source) => path.split('/').at(-2) ?? '';
  const folders = [...new Set(sources.map(folderOf))].sort(byName);
  const areNumbered = sources.some(({ label }) => label !== undefined);
  const highest = sources.reduce((most, { label = 0 }) => Math.max(most, label), 0);
  if (areNumbered && highest >= classes) {
    throw new DataError(`${files[0].name}: there is a label ${highest}, but the network has ${classes} outputs`);
  }
  const areLabelled = areNumbered || folders.length > 1;
  const given = areNumbered ? (names ?? numbered(classes)) : areLabelled ? folders : numbered(1);
  const labelOf = (source: Source) =>
    areNumbered ? (source.label ?? 0) : areLabelled ? folders.indexOf(folderOf(source)) : 0;
  const chosen = firstOfClasses(sources, labelOf);
  const values = imageValues(size);
  const images = new Uint8Array(chosen.length * values);
  for (const [i, source] of chosen.entries()) {
    onImage(i, chosen.length);
    images.set(fitted(await source.read(), size, source.path), i * values);
  }
  const dataset = await createDataset({
    name: 'your images',
    ...size,
    classNames: [...given],
    images,
    labels: Uint32Array.from(chosen, labelOf),
    ids: chosen.map(({ path }) => path),
  });
  const notes =
    chosen.length < sources.length
      ? [`${chosen.length} of ${sources.length} images are used, the first of every class.`]
      : [];
  if (!areLabelled) return { dataset, areLabelled, notes };
  return finish(dataset, areNumbered ? undefined : names, where, classes, notes);
}

/** @throws DataError unless every class is one of the network's */
async function finish(
  dataset: ImageDataset,
  names: readonly string[] | undefined,
  where: string,
  classes: number,
  notes: readonly string[],
): Promise<BroughtImages> {
  const ordered = names ? await orderClasses(dataset, { names, where }) : dataset;
  const count = ordered.classNames.length;
  if (count !== classes) {
    throw new DataError(
      `${dataset.name}: ${count} classes, but the network has ${classes} outputs; add a text file with the name of every ` +
        'class, one per line',
    );
  }
  return { dataset: ordered, areLabelled: true, notes };
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `class ${i}`);

function namesIn({ bytes, name }: ChosenFile): string[] {
  return parseClassNames(new TextDecoder().decode(bytes), name);
}

function sourcesOf(file: ChosenFile, decode: ImageDecoder): Source[] {
  const { name, bytes } = file;
  if (!isZip(bytes)) return [{ path: name, read: () => decode(bytes, name) }];
  if (listNpz(bytes, name).length > 0) {
    return npzParts(name, bytes).flatMap(({ name: part, images, labels }) =>
      Array.from({ length: images.count }, (_, i) => ({
        path: `${part}/${i}`,
        label: labels?.[i],
        read: () => images.read(i),
      })),
    );
  }
  const entries = imageEntries(bytes, name);
  return entries.map((entry) => ({
    path: entry.name,
    read: () => decode(Uint8Array.from(readZipEntry(bytes, entry, name)), `${name}: ${entry.name}`),
  }));
}

/** True for the name of a file that is no photograph, such as those that systems leave in folders. */
export function isNoImage(path: string): boolean {
  return path.split('/').some((part) => SYSTEM.test(part)) || LIST.test(path);
}

/** The images class by class, in the order of their names; where there are too many, the first of every class. */
function firstOfClasses(sources: readonly Source[], labelOf: (source: Source) => number): Source[] {
  const ordered = [...sources].sort((a, b) => labelOf(a) - labelOf(b));
  if (ordered.length <= MOST) return ordered;
  const counts = new Map<number, number>();
  const ranks = ordered.map((source) => {
    const rank = counts.get(labelOf(source)) ?? 0;
    counts.set(labelOf(source), rank + 1);
    return rank;
  });
  const order = [...ranks.keys()].sort((a, b) => ranks[a] - ranks[b] || a - b).slice(0, MOST);
  return order.sort((a, b) => a - b).map((i) => ordered[i]);
}

const colours = (channels: number) => (channels === 3 ? 'RGB' : 'gray');

/** The middle of an image in the size of the network's. @throws DataError for an image of another number of channels */
function fitted(image: DecodedImage, { width, height, channels }: ImageSize, name: string): Uint8Array {
  // Many programs write gray images with three equal channels.
  const isGray = image.channels === 1 || image.pixels.every((value, i) => value === image.pixels[i - (i % 3)]);
  if (image.channels !== channels && !(channels === 1 && isGray)) {
    throw new DataError(
      `${name}: the image is ${colours(image.channels)}, the network takes ${colours(channels)} images; convert it`,
    );
  }
  return resize(withChannels(centreOfShape(image, width, height), channels), width, height).pixels;
}

/** @throws DataError for a pack of images of another size */
function refuseSize(dataset: ImageDataset, size: ImageSize, name: string): void {
  const text = ({ width, height, channels }: ImageSize) => `${width}x${height} ${colours(channels)}`;
  if (text(dataset) === text(size)) return;
  throw new DataError(`${name}: images are ${text(dataset)}, the network takes ${text(size)}; import them again`);
}
