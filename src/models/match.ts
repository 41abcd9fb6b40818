/** Finds the parameters of a described network in a state dict of PyTorch: by name, else by shape and order. */
import { ConfigError, DataError } from '../errors.ts';
import { FLOATING } from '../formats/float.ts';
import { isSafetensors, requireFinite, type Tensor } from '../formats/safetensors.ts';
import type { StoredTensor } from '../formats/stored_tensor.ts';
import { readTensorFile } from '../formats/tensor_file.ts';
import { listed, printable } from '../printable.ts';
import { asFloat32, conversionNotes, firstNames, keyRank, withoutWrappers } from './state_dict.ts';

/** A parameter that a network has. */
export interface ParameterShape {
  /** The layer's name, a dot, and `weight`, `bias`, `running_mean` or `running_var`. */
  readonly name: string;
  /** In PyTorch's order. */
  readonly shape: readonly number[];
}

export interface MatchedParameters {
  /** Float32 tensors by the names of the network. */
  readonly tensors: Map<string, Tensor>;
  /** How they were found and converted, in whole sentences. */
  readonly notes: readonly string[];
}

/** Tensors whose names differ in the last part only: those of one layer. */
interface Group {
  readonly layer: string;
  /** By the last part of their names. */
  readonly parts: ReadonlyMap<string, { readonly name: string; readonly shape: readonly number[] }>;
}

/** Parameters of a batch normalisation with `affine=False`, and their values. */
const PLAIN_NORM: ReadonlyMap<string, number> = new Map([
  ['weight', 1],
  ['bias', 0],
]);

/**
 * The parameters of a network from a file of PyTorch or safetensors, in any of its dictionaries.
 *
 * @param file name, for messages
 * @param wanted the parameters in the order of the network's layers
 * @param key names the dictionary where there are several; its keys are joined by dots
 * @throws DataError naming file and parameter as {@link matchParameters} does, and if several dictionaries hold the network
 * @throws ConfigError if the file has no dictionary of the name `key`
 */
export function importParameters(
  bytes: Uint8Array,
  file: string,
  wanted: readonly ParameterShape[],
  key?: string,
): MatchedParameters {
  const { dictionaries } = readTensorFile(bytes, file);
  const asked = dictionaries.filter(({ path }) => key === undefined || path === key);
  if (asked.length === 0) {
    const paths = dictionaries.map(({ path }) => path || 'the top level');
    throw new ConfigError(
      `--key ${printable(key ?? '')}: ${file} has tensors in ${firstNames(paths)}; name one of them, or leave --key out`,
    );
  }
  // The library of safetensors sorts tensors by their names.
  const isOrdered = !isSafetensors(bytes);
  const errors: DataError[] = [];
  const found = asked.flatMap(({ path, tensors }) => {
    try {
      return [{ path, assignment: assign(wanted, withoutWrappers(tensors), isOrdered, file) }];
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      errors.push(error);
      return [];
    }
  });
  if (found.length === 0) {
    const sizes = asked.map(({ tensors }) => tensors.size);
    throw errors[sizes.indexOf(Math.max(...sizes))];
  }
  const ranks = found.map(({ path }) => keyRank(path));
  const lowest = Math.min(...ranks);
  if (ranks.filter((rank) => rank === lowest).length > 1) {
    const paths = found.map(({ path }) => path || 'the top level');
    throw new DataError(
      `${file}: holds several networks: ${firstNames(paths)}; name one: midas import FILE --key NAME`,
    );
  }
  return convert(found[ranks.indexOf(lowest)].assignment, file);
}

/**
 * The parameters of a network from a state dict: by name where the names agree, perhaps below one module, `net.conv1.weight`;
 * the other layers by their shapes where only one layer of the file has them, or by the order of the layers.
 *
 * @param wanted the parameters in the order of the network's layers
 * @param stored tensors by name; integers are left out
 * @param isOrdered whether `stored` has the order in which the network was built, as files of torch.save have
 * @param file name, for messages
 * @throws DataError naming file and parameter: missing, of another shape (both are named), left over, or not finite
 */
export function matchParameters(
  wanted: readonly ParameterShape[],
  stored: ReadonlyMap<string, StoredTensor>,
  isOrdered: boolean,
  file: string,
): MatchedParameters {
  return convert(assign(wanted, withoutWrappers(stored), isOrdered, file), file);
}

/** For every parameter the tensor that has it; undefined for one of a plain normalisation, which has no tensor. */
interface Assignment {
  readonly pairs: readonly (readonly [
    wanted: ParameterShape,
    name: string | undefined,
    tensor: StoredTensor | undefined,
  ])[];
  readonly notes: readonly string[];
}

function assign(
  wanted: readonly ParameterShape[],
  stored: ReadonlyMap<string, StoredTensor>,
  isOrdered: boolean,
  file: string,
): Assignment {
  const floats = [...stored].filter(([, { dtype }]) => FLOATING.has(dtype));
  const there = groupsOf(floats.map(([name, { shape }]) => ({ name, shape })));
  const needed = groupsOf(wanted);
  const notes: string[] = [];
  const prefix = commonPrefix(needed, there);
  if (prefix !== '') notes.push(`${file}: its parameters are those of ${printable(prefix, 60)}.`);
  const taken = new Map<Group, Group>();
  const left = new Set(there);
  const byName = new Map(there.map((group) => [group.layer, group]));
  for (const group of needed) {
    const same = byName.get(prefix === '' ? group.layer : `${prefix}.${group.layer}`);
    if (!same) continue;
    requireShapes(group, same, file);
    taken.set(group, same);
    left.delete(same);
  }
  const open = needed.filter((group) => !taken.has(group));
  // With a prefix, what is beside the module belongs to other networks.
  const inside = [...left].filter(({ layer }) => prefix === '' || layer.startsWith(`${prefix}.`));
  const candidates = inside.filter(isLayer);
  const unused = [...left].filter((group) => !candidates.includes(group));
  if (open.length > 0) {
    const { pairs, how } = byShape(open, candidates, isOrdered, file);
    for (const [group, other] of pairs) {
      taken.set(group, other);
      candidates.splice(candidates.indexOf(other), 1);
    }
    const texts = pairs.map(([group, other]) => `${printable(other.layer, 40)} is ${printable(group.layer, 40)}`);
    notes.push(
      `${file}: ${pairs.length === needed.length ? 'layers' : 'some layers'} were matched by ${how}: ${listed(texts, 160)}.`,
    );
  }
  if (candidates.length > 0) {
    const texts = candidates.flatMap(({ parts }) => [...parts.values()].map(parameterText));
    throw new DataError(
      `${file}: the network has no layer for ${listed(texts, 200)}; describe those layers, or save the file without them`,
    );
  }
  if (unused.length > 0) {
    const texts = unused.flatMap(({ parts }) => [...parts.values()].map(parameterText));
    const advice = '; if they normalise the input, put them into input.mean and input.deviation';
    notes.push(`${file}: not used: ${listed(texts, 120)}${unused.every(isLayer) ? '' : advice}.`);
  }
  const pairs = needed.flatMap((group) =>
    [...group.parts].map(([part, { name, shape }]) => {
      const source = taken.get(group)!.parts.get(part);
      return [{ name, shape }, source?.name, source && stored.get(source.name)] as const;
    }),
  );
  const plain = pairs.filter(([, name]) => name === undefined).map(([parameter]) => parameter.name);
  if (plain.length > 0) {
    notes.push(
      `${file}: ${listed(
        plain.map((name) => printable(name, 40)),
        160,
      )} are not in the file (affine=False) and became 1 and 0.`,
    );
  }
  return { pairs, notes };
}

/** A layer has a weight or statistics; tensors without them, such as the buffers of a normalisation, are no layer. */
const isLayer = ({ parts }: Group) => ['weight', 'bias', 'running_mean', 'running_var'].some((part) => parts.has(part));

/** Layers with their parameters, in their order. */
function groupsOf(parameters: Iterable<ParameterShape>): Group[] {
  const groups = new Map<string, Map<string, ParameterShape>>();
  for (const { name, shape } of parameters) {
    const dot = name.lastIndexOf('.');
    const layer = name.slice(0, Math.max(0, dot));
    const parts = groups.get(layer) ?? new Map<string, ParameterShape>();
    parts.set(name.slice(dot + 1), { name, shape });
    groups.set(layer, parts);
  }
  return [...groups].map(([layer, parts]) => ({ layer, parts }));
}

/** The module below which a file has most of the layers by their names; empty if it is the network itself. */
function commonPrefix(needed: readonly Group[], there: readonly Group[]): string {
  const names = new Set(needed.map(({ layer }) => layer));
  const counts = new Map<string, number>();
  for (const { layer } of there) {
    // Every ending of the name after a dot may be the name of a layer.
    for (let dot = -1; ; ) {
      if (names.has(layer.slice(dot + 1))) {
        const prefix = layer.slice(0, Math.max(0, dot));
        counts.set(prefix, (counts.get(prefix) ?? 0) + 1);
      }
      dot = layer.indexOf('.', dot + 1);
      if (dot < 0) break;
    }
  }
  const best = Math.max(0, ...counts.values());
  if ((counts.get('') ?? 0) === best) return '';
  return [...counts].find(([, count]) => count === best)![0];
}

const parameterText = ({ name, shape }: ParameterShape) => `${printable(name, 60)} [${shape}]`;

/** True if a layer lacks parameters only as a batch normalisation with `affine=False` does. */
const isPlainNorm = ({ parts }: Group) => parts.has('running_mean') && !parts.has('weight') && !parts.has('bias');

/** @throws DataError if a layer lacks a parameter, has another one, or one of another shape */
function requireShapes(group: Group, other: Group, file: string): void {
  for (const [part, parameter] of group.parts) {
    const found = other.parts.get(part);
    if (!found && PLAIN_NORM.has(part) && isPlainNorm(other) && group.parts.has('running_mean')) continue;
    if (!found) {
      throw new DataError(
        `${file}: key ${parameterText(parameter)} is missing; give a file of the whole network, or describe the layer without it`,
      );
    }
    if (found.shape.join() !== parameter.shape.join()) {
      throw new DataError(
        `${file}: key ${printable(found.name, 60)} is [${found.shape}], the network needs [${parameter.shape}] ` +
          `for ${printable(parameter.name, 60)}; give a file of that network`,
      );
    }
  }
  for (const [part, found] of other.parts) {
    if (!group.parts.has(part)) {
      throw new DataError(
        `${file}: key ${parameterText(found)}: the network's layer ${printable(group.layer, 60)} has no ${printable(part, 40)}; ` +
          'describe the layer with it',
      );
    }
  }
}

/** The names and shapes of a layer's parameters as one text. */
function signatureOf({ parts }: Group): string {
  return [...parts]
    .map(([part, { shape }]) => `${part} [${shape}]`)
    .sort()
    .join(', ');
}

/** Pairs layers that have the same shapes: by order, or where no two layers have the same. @throws DataError */
function byShape(
  open: readonly Group[],
  candidates: readonly Group[],
  isOrdered: boolean,
  file: string,
): { pairs: (readonly [Group, Group])[]; how: string } {
  const signatures = open.map(signatureOf);
  const others = candidates.map(signatureOf);
  if (isOrdered && signatures.length === others.length && signatures.every((signature, i) => signature === others[i])) {
    return { pairs: open.map((group, i) => [group, candidates[i]] as const), how: 'order and shape' };
  }
  const pairs = open.map((group, i) => {
    const same = candidates.filter((_, at) => others[at] === signatures[i]);
    if (same.length === 0) throw missing(group, candidates, file);
    const rivals = open.filter((_, at) => signatures[at] === signatures[i]);
    if (same.length > 1 || rivals.length > 1) {
      throw new DataError(
        `${file}: layer ${printable(group.layer, 60)} (${signatures[i]}) may be ${firstNames(same.map(({ layer }) => layer))}; ` +
          'give the layers of the description the names of the file',
      );
    }
    return [group, same[0]] as const;
  });
  return { pairs, how: 'shape' };
}

/** The error for a layer that no layer of the file has the shapes of; the nearest one of the same kind is named. */
function missing(group: Group, candidates: readonly Group[], file: string): DataError {
  const texts = listed([...group.parts.values()].map(parameterText), 120);
  const weight = group.parts.get('weight');
  const near = candidates.flatMap(({ parts }) => {
    const other = parts.get('weight');
    return other && weight && other.shape.length === weight.shape.length ? [parameterText(other)] : [];
  });
  const has = near.length > 0 ? `; it has ${listed(near, 120)}` : '';
  return new DataError(`${file}: the parameters ${texts} are missing${has}; give a file of the described network`);
}

function convert({ pairs, notes }: Assignment, file: string): MatchedParameters {
  const types = new Set<string>();
  const tensors = new Map<string, Tensor>();
  for (const [{ name, shape }, source, stored] of pairs) {
    if (!stored || source === undefined) {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      tensors.set(name, {
        dtype: 'F32',
        shape: [...shape],
        data: data.fill(PLAIN_NORM.get(name.split('.').at(-1)!) ?? 0),
      });
      continue;
    }
    types.add(stored.dtype);
    const tensor = asFloat32(stored.read(), `${file}: key ${printable(source, 60)}`);
    requireFinite(tensor, file, printable(source, 60));
    tensors.set(name, tensor);
  }
  return { tensors, notes: [...notes, ...conversionNotes(types, file)] };
}
