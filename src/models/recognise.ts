/** Finds the published networks in files, by the names and shapes of their tensors. */

import { ConfigError, DataError } from '../errors.ts';
import { FLOATING } from '../formats/float.ts';
import type { Tensor } from '../formats/safetensors.ts';
import type { StoredTensor, TensorDictionary, TensorFile } from '../formats/stored_tensor.ts';
import { readTensorFile } from '../formats/tensor_file.ts';
import { printable } from '../printable.ts';
import { importedNetwork, keyOf } from './checkpoint.ts';
import { modelLayout } from './model_parameters.ts';
import type { ImportedNetwork, ModelDescription, ModelSpec } from './model_spec.ts';
import { describedModel, modelName } from './specs.ts';
import { asFloat32, conversionNotes, firstNames, keyRank, withoutWrappers } from './state_dict.ts';

type Tensors = ReadonlyMap<string, StoredTensor>;

/** A file holds parameters, but not those of a published network. */
export class UnknownNetworkError extends DataError {}

/** A published network of any size. */
interface Family {
  readonly title: string;
  /** Names of its tensors in files; each has three parts, joined by dots. */
  readonly keys: ReadonlySet<string>;
  describe(tensors: Tensors, file: string): ModelDescription;
}

/** Tensors with the names of a published network. */
interface Candidate {
  readonly family: Family;
  /** Path of their dictionary in the file. */
  readonly dictionary: string;
  /** The same with the part of the names that they share, as for `--key`; empty for the top level. */
  readonly path: string;
  /** By the names of the family. */
  readonly tensors: Tensors;
  /** Names beside them that only another network has. */
  readonly others: readonly string[];
}

function keysOf(description: ModelDescription): Set<string> {
  const spec = describedModel(description);
  return new Set(modelLayout(spec).slices.map((slice) => keyOf(spec, slice)));
}

const FAMILIES: readonly Family[] = [
  {
    title: 'classifier',
    keys: keysOf({ kind: 'yang-classifier', size: 64, ndf: 1, classes: 1 }),
    describe: describeClassifier,
  },
  {
    title: 'inversion network',
    // The keys of the network for 32 x 32 pixels are a subset.
    keys: keysOf({ kind: 'yang-inversion', size: 64, ngf: 1, classes: 1 }),
    describe: describeInversion,
  },
];

/**
 * The classifier or the inversion network of Yang et al. (src/models/yang.ts) that a file of PyTorch or safetensors holds, in
 * any of its dictionaries and below any module. Tensors of float16, bfloat16 and float64 become float32; what else the file
 * holds is left out.
 *
 * @param file name, for messages
 * @param key names the dictionary where there are several; its keys are joined by dots
 * @throws DataError naming file and key: another format, neither of these networks, an incomplete one, another shape, integers,
 *   a NaN, or several networks and no `key`
 * @throws ConfigError if the file has no dictionary of the name `key`
 */
export function importNetwork(bytes: Uint8Array, file: string, key?: string): ImportedNetwork {
  const found = readTensorFile(bytes, file);
  const candidates = found.dictionaries.flatMap(candidatesIn);
  const dictionaries = found.dictionaries.filter(({ path }) => key === undefined || path === key);
  const asked = candidates.filter(({ dictionary, path }) => key === undefined || dictionary === key || path === key);
  if (asked.length === 0 && dictionaries.length === 0) {
    const paths = new Set([...found.dictionaries, ...candidates].map(({ path }) => path || 'the top level'));
    throw new ConfigError(
      `--key ${printable(key ?? '')}: ${file} has tensors in ${firstNames([...paths])}; name one of them, or leave --key out`,
    );
  }
  const whole = asked.filter(({ others }) => others.length === 0);
  if (whole.length === 0) throw new UnknownNetworkError(`${file}: ${unrecognised(dictionaries, asked, found)}`);
  const { candidate, spec } = choose(
    whole.map((each) => ({ candidate: each, spec: describedModel(each.family.describe(each.tensors, file)) })),
    file,
  );
  const types = new Set<string>();
  const tensors = new Map<string, Tensor>();
  for (const slice of modelLayout(spec).slices) {
    const name = keyOf(spec, slice);
    const stored = requireStored(candidate.tensors, name, slice.shape, file);
    types.add(stored.dtype);
    tensors.set(name, asFloat32(stored.read(), `${file}: key ${name}`));
  }
  return importedNetwork(spec, tensors, file, conversionNotes(types, file));
}

/** The published networks in a dictionary: in its own names, or in those of a module, `net.encoder.0.weight`. */
function candidatesIn({ path: dictionary, tensors }: TensorDictionary): Candidate[] {
  const names = withoutWrappers(tensors);
  const groups = new Map<string, { family: Family; prefix: string; members: Map<string, StoredTensor> }>();
  const known = new Set<string>();
  for (const [name, tensor] of names) {
    const key = lastParts(name);
    for (const family of FAMILIES.filter(({ keys }) => keys.has(key))) {
      const prefix = name.slice(0, name.length - key.length);
      const id = `${family.title} ${prefix}`;
      const group = groups.get(id) ?? { family, prefix, members: new Map() };
      group.members.set(key, tensor);
      groups.set(id, group);
      known.add(name);
    }
  }
  // A name without a dot, or a tensor of integers, is no weight of a layer.
  const strangers = [...names]
    .filter(([name, { dtype }]) => !known.has(name) && name.includes('.') && FLOATING.has(dtype))
    .map(([name]) => name);
  return [...groups.values()]
    .filter(({ family, members }) => 3 * members.size >= family.keys.size)
    .map(({ family, prefix, members }) => ({
      family,
      dictionary,
      path: [dictionary, prefix.slice(0, -1)].filter((part) => part !== '').join('.'),
      tensors: members,
      others: strangers.filter((name) => name.startsWith(prefix)),
    }));
}

/** The last three parts of a name, those after its third dot from the end. */
function lastParts(name: string): string {
  let dot = name.length;
  for (let i = 0; i < 3 && dot > 0; i++) dot = name.lastIndexOf('.', dot - 1);
  return name.slice(dot + 1);
}

/** The only network, or the one under the most usual key if all are copies of one. @throws DataError */
function choose<T extends { readonly candidate: Candidate; readonly spec: ModelSpec }>(
  all: readonly T[],
  file: string,
): T {
  const ranks = all.map(({ candidate }) => keyRank(candidate.path));
  const lowest = Math.min(...ranks);
  const isCopies = all.every(({ spec }) => modelName(spec) === modelName(all[0].spec));
  const first = all.filter((_, i) => ranks[i] === lowest);
  if (all.length === 1 || (isCopies && first.length === 1)) return first[0];
  const paths = all.map(({ candidate: { path, family } }) => `${path || 'the top level'} (${family.title})`);
  throw new DataError(`${file}: holds several networks: ${firstNames(paths)}; name one: midas import FILE --key NAME`);
}

/** Why nothing in the dictionaries is a published network. */
function unrecognised(
  dictionaries: readonly TensorDictionary[],
  candidates: readonly Candidate[],
  { objects }: TensorFile,
): string {
  if (candidates.length > 0) {
    const [{ family, others }] = candidates;
    return `beside the tensors of the published ${family.title} it has ${firstNames(others)}, so it is another network; give a file of the published one`;
  }
  const most = dictionaries.reduce((a, b) => (b.tensors.size > a.tensors.size ? b : a));
  const where = most.path === '' ? 'its tensors are' : `${printable(most.path)} holds`;
  const [object] = objects;
  const notRead = object
    ? `; key ${printable(object[0])} is an object of ${printable(object[1])}, which was not read: save its state_dict()`
    : '';
  return (
    'neither the classifier nor the inversion network of Yang et al. ' +
    `(${where} ${firstNames([...most.tensors].map(([name, { dtype }]) => `${name} ${dtype}`))}); give a file of one of them, or describe the network (midas import --network)${notRead}`
  );
}

/**
 * Returns the tensor of that name if it has the shape that a model needs, and floating-point elements.
 *
 * @param shape sizes in PyTorch's order
 * @param file name, for messages
 * @throws DataError naming file and key: it is missing (with keys of its shape), or its type or shape differs
 */
function requireStored(tensors: Tensors, key: string, shape: readonly number[], file: string): StoredTensor {
  const tensor = tensors.get(key);
  if (!tensor) throw new DataError(`${file}: key ${key} [${shape}] is missing; give a file of the whole network`);
  if (!FLOATING.has(tensor.dtype) || tensor.shape.join() !== shape.join()) {
    throw new DataError(
      `${file}: key ${key} is ${tensor.dtype} [${tensor.shape}], the model needs F32 [${shape}]; ` +
        'give a checkpoint of that model',
    );
  }
  return tensor;
}

/** Reads ndf from the first convolution and nz from the last layer; four poolings each quarter the pixel count. */
function describeClassifier(tensors: Tensors, file: string): ModelDescription {
  const [ndf] = shapeOf(tensors, 'encoder.0.weight', 4, file);
  const [classes] = shapeOf(tensors, 'fc.2.weight', 2, file);
  const hidden = shapeOf(tensors, 'fc.0.weight', 2, file);
  const size = ([32, 64] as const).find((pixels) => hidden[1] === 8 * ndf * (pixels / 16) ** 2);
  if (size === undefined) {
    throw new DataError(
      `${file}: key fc.0.weight is [${hidden}], after ${8 * ndf} channels the classifier needs ` +
        `[${5 * classes},${32 * ndf}] for 32x32 or [${5 * classes},${128 * ndf}] for 64x64 pixels; give another file`,
    );
  }
  return { kind: 'yang-classifier', size, ndf, classes };
}

/** Five transposed convolutions give 64 x 64 pixels, four give 32 x 32. */
function describeInversion(tensors: Tensors, file: string): ModelDescription {
  const size = [...tensors.keys()].some((key) => /^decoder\.1[0-2]\./.test(key)) ? 64 : 32;
  const shape = shapeOf(tensors, 'decoder.0.weight', 4, file);
  const [classes, channels] = shape;
  const factor = size / 8;
  if (channels % factor !== 0) {
    throw new DataError(
      `${file}: key decoder.0.weight is [${shape}], for ${size}x${size} pixels the inversion network needs ` +
        `[${classes},${factor} ngf,4,4]; give another file`,
    );
  }
  return { kind: 'yang-inversion', size, ngf: channels / factor, classes };
}

/** @throws DataError if the tensor is missing, has another rank or is empty */
function shapeOf(tensors: Tensors, key: string, rank: number, file: string): readonly number[] {
  const shape = tensors.get(key)?.shape;
  if (!shape) throw new DataError(`${file}: key ${key} is missing; give a file of the whole network`);
  if (shape.length !== rank || shape.includes(0)) {
    throw new DataError(`${file}: key ${key} is [${shape}], the model needs ${rank} sizes above 0; give another file`);
  }
  return shape;
}
