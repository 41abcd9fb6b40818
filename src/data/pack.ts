/**
 * Reads and writes a prepared data set as one file, `midas-pack/1`: a safetensors file with `images` U8 [count, height,
 * width], or [count, height, width, 3] in RGB, and `labels` U32 [count], and with names, origin and checksum in its metadata.
 */
import * as v from 'valibot';
import { DataError } from '../errors.ts';
import { readSafetensors, safetensorsParts, type Tensor, writeSafetensors } from '../formats/safetensors.ts';
import { createDataset, datasetHash, type HashFunction, type ImageDataset } from './dataset.ts';

export const PACK_FORMAT = 'midas-pack/1';

export const FACE_LAYOUTS = ['attfaces', 'facescrub', 'celeba', 'folders'] as const;
/**
 * Layouts of folders of photographs, and the part of each image that is imported:
 * - `attfaces`: sN/M.pgm, at least two people; the largest part in the middle, of the shape of the result.
 * - `facescrub`: a folder per person, at least two, with aligned faces of about 150x150, which can be in a folder `face` in
 *   it; the whole image.
 * - `celeba`: one folder of the aligned 178x218 images (img_align_celeba); 108x108 at 35,70, as Yang et al. cut them.
 *   Identities come from identity_CelebA.txt in the folder, beside it or in Anno; without it all images have one label.
 * - `folders`: a folder per person or class, at least two, with any images; the largest part in the middle, as above.
 */
export type FaceLayout = (typeof FACE_LAYOUTS)[number];

/** The origin of a pack's images, for readers and for the manifest of an experiment. */
export interface PackOrigin {
  /** A `FaceLayout` where a folder was imported, 'numpy' for files of NumPy, or 'procedural'. */
  readonly layout: string;
  /** The processing of every image, in words: crop, gray, filter, size; and the people who were left out. */
  readonly preparation: Readonly<Record<string, string>>;
  /** Files that an import left out because they cannot be used; absent if there were none. */
  readonly skipped?: readonly BadFile[];
}

/** A file that cannot be imported. */
export interface BadFile {
  /** Path inside the imported folder, with slashes. */
  readonly file: string;
  readonly reason: string;
}

/** A prepared data set and its origin. */
export interface Pack {
  readonly dataset: ImageDataset;
  readonly origin: PackOrigin;
}

const namesText = v.pipe(v.string(), v.parseJson(), v.array(v.string()));
const metadataSchema = v.object({
  format: v.literal(PACK_FORMAT, `this is not a ${PACK_FORMAT} file`),
  name: v.string(),
  classNames: namesText,
  ids: namesText,
  layout: v.string(),
  preparation: v.pipe(v.string(), v.parseJson(), v.record(v.string(), v.string())),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'not a SHA-256')),
  skipped: v.optional(v.pipe(v.string(), v.parseJson(), v.array(v.object({ file: v.string(), reason: v.string() })))),
});

/**
 * Returns the bytes of a pack. `sha256` in its metadata is that of the data set, over sizes, labels and pixels
 * (`datasetHash`).
 *
 * @throws DataError when the data set's parts do not fit together
 */
export function writePack(pack: Pack): Uint8Array<ArrayBuffer> {
  return writeSafetensors(...contentOf(pack));
}

/**
 * The bytes of {@link writePack} in several parts, which share the memory of the data set.
 *
 * @throws DataError when the data set's parts do not fit together
 */
export function packParts(pack: Pack): Iterable<Uint8Array> {
  return safetensorsParts(...contentOf(pack));
}

/** The tensors of a pack, and its metadata. */
function contentOf({ dataset, origin }: Pack): [tensors: Map<string, Tensor>, metadata: Record<string, string>] {
  const { name, width, height, channels, classNames, images, labels, ids, sha256 } = dataset;
  const count = labels.length;
  const shape = channels === 1 ? [count, height, width] : [count, height, width, channels];
  const tensors = new Map<string, Tensor>([
    ['images', { dtype: 'U8', shape, data: images as Uint8Array<ArrayBuffer> }],
    ['labels', { dtype: 'U32', shape: [count], data: labels as Uint32Array<ArrayBuffer> }],
  ]);
  const metadata = {
    format: PACK_FORMAT,
    name,
    classNames: JSON.stringify(classNames),
    ids: JSON.stringify(ids),
    layout: origin.layout,
    preparation: JSON.stringify(origin.preparation),
    sha256,
    ...(origin.skipped && { skipped: JSON.stringify(origin.skipped) }),
  };
  return [tensors, metadata];
}

/**
 * Reads a pack and compares its checksum.
 *
 * @param name the file, for messages
 * @param hash computes the checksum; in Node there is one that copies nothing
 * @throws DataError naming the file and the key: not a pack, parts that do not fit together, or a checksum that does not
 *   match sizes, labels and pixels
 */
export async function readPack(bytes: Uint8Array, name: string, hash: HashFunction = datasetHash): Promise<Pack> {
  const { tensors, metadata } = readSafetensors(bytes, name);
  const parsed = v.safeParse(metadataSchema, metadata);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const key = v.getDotPath(issue) ?? 'format';
    throw new DataError(`${name}: key ${key}: ${issue.message}; make a pack with midas data import`);
  }
  const { classNames, ids, layout, preparation, sha256, skipped } = parsed.output;
  const images = tensors.get('images');
  const labels = tensors.get('labels');
  const [count, height, width, channels] = images?.shape ?? [];
  const isShape = images?.shape.length === 3 || (images?.shape.length === 4 && channels === 3);
  if (images?.dtype !== 'U8' || !isShape || images.shape.includes(0)) {
    throw new DataError(
      `${name}: key images: ${describe(images)} is not a U8 [count, height, width] or [count, height, width, 3]; ` +
        'import it again',
    );
  }
  if (labels?.dtype !== 'U32' || labels.shape.join() !== String(count) || ids.length !== count) {
    throw new DataError(
      `${name}: key labels: ${describe(labels)} and ${ids.length} ids do not fit ${count} images; import it again`,
    );
  }
  const parts = {
    name: parsed.output.name,
    width,
    height,
    channels: channels === 3 ? (3 as const) : (1 as const),
    classNames,
    images: images.data as Uint8Array,
    labels: labels.data as Uint32Array,
    ids,
  };
  const dataset = await createDataset(parts, hash);
  if (dataset.sha256 !== sha256) {
    throw new DataError(
      `${name}: key sha256: sizes, labels and pixels give ${dataset.sha256.slice(0, 12)}..., but the key is ` +
        `${sha256.slice(0, 12)}...; the file is damaged, import it again`,
    );
  }
  return { dataset, origin: { layout, preparation, ...(skipped && { skipped }) } };
}

function describe(tensor: Tensor | undefined): string {
  return tensor ? `${tensor.dtype} [${tensor.shape}]` : 'nothing';
}
