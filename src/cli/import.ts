/** `midas import`: converts the file of a network to a checkpoint of midas. */
import { basename } from 'node:path';
import { readBytes, writeFileAtomic } from '../data/node/files.ts';
import { isOnnx } from '../formats/foreign.ts';
import { safetensorsParts } from '../formats/safetensors.ts';
import { halfPrecision, importedCheckpoint } from '../models/checkpoint.ts';
import { importAnyNetwork } from '../models/import_network.ts';
import type { ModelSpec } from '../models/model_spec.ts';
import type { NetworkDescription } from '../models/network_description.ts';
import { parameterCount } from '../models/plan.ts';
import { layerNames, modelName } from '../models/specs.ts';
import { listed, printable } from '../printable.ts';
import { outputFile } from './output_file.ts';
import type { Session } from './session.ts';
import { filesBeside, readDescription } from './victim_file.ts';

/**
 * Converts the network of an ONNX file, or of a file of PyTorch or safetensors, into the checkpoint `--out`. Names and shapes are
 * those of PyTorch, without the parts that wrappers add, such as `module.` of DataParallel; PyTorch can load the checkpoint.
 *
 * @param options.key of the dictionary that holds the network, where the file has several
 * @param options.half round the weights to half floats
 * @param options.network file with the network's description, for parameters of PyTorch; by default one of the published networks
 * @throws DataError naming file and tensor or node, if the file is unreadable, holds another network, lacks a part of it, or has a
 *   tensor of another shape or with a NaN; nothing is written then
 * @throws ConfigError if --out is a folder, the file has no dictionary `key`, or the description is not valid
 */
export async function importCheckpoint(
  session: Session,
  file: string,
  { key, half, network: described }: { readonly key?: string; readonly half?: boolean; readonly network?: string },
): Promise<void> {
  const description = described === undefined ? undefined : await readDescription(described);
  const options = { key, network: description, external: filesBeside(file) };
  const bytes = await readBytes(file);
  const network = importAnyNetwork(bytes, file, options);
  const { spec, dataset, notes } = network;
  const tensors = half ? halfPrecision(network.tensors, file) : network.tensors;
  const out = outputFile(session.options.out);
  await writeFileAtomic(
    out,
    safetensorsParts(...importedCheckpoint({ spec, dataset, tensors }, { source: basename(file) })),
  );
  for (const note of notes) session.say(note);
  const { description: read } = spec;
  const found = read.kind === 'network' ? recognised(spec, read, isOnnx(bytes)) : undefined;
  const list = [...tensors].map(([key, { dtype, shape }]) => ({ key, dtype, shape: [...shape] }));
  const elements = list.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const model = { name: modelName(spec), ...spec.description, parameters: parameterCount(spec) };
  session.answer({ file: out, source: file, model, elements, tensors: list, notes, ...found }, [
    ...list.map(({ key: name, dtype, shape }) => `${name} ${dtype} [${shape.join(', ')}]`),
    `${out}: ${list.length} tensors, ${elements} elements`,
    `${model.name}: ${model.parameters} parameters, a checkpoint of midas`,
    ...(read.kind === 'network' && found ? summaryOf(read, found) : []),
  ]);
}

/** What was recognised of a described network, in addition to its description. */
interface Recognised {
  readonly classes: number;
  /** True for an exported file whose convolutions may contain batch normalisations, because it has no others. */
  readonly folded: boolean;
  /** Names of the layers whose weights can get bit errors, in order. */
  readonly weightLayers: readonly string[];
}

function recognised(spec: ModelSpec, { layers }: NetworkDescription, isExport: boolean): Recognised {
  const kinds = new Set(layers.map(({ kind }) => kind));
  const folded = isExport && kinds.has('conv2d') && !kinds.has('batch_norm');
  return { classes: spec.outputs, folded, weightLayers: layerNames(spec) };
}

/** What was recognised, in lines for the user. */
function summaryOf({ input, classNames }: NetworkDescription, { classes, folded, weightLayers }: Recognised): string[] {
  const { height, width, channels, mean, deviation } = input;
  const colours = channels === 3 ? 'RGB' : channels === 1 ? 'gray' : `${channels} channels`;
  const normalised = [
    ...(mean ? [`mean ${mean.join(', ')}`] : []),
    ...(deviation ? [`deviation ${deviation.join(', ')}`] : []),
  ];
  const names = classNames?.map((name) => printable(name, 30));
  return [
    `input: ${width}x${height} ${colours}, ${normalised.length > 0 ? `normalised with ${normalised.join(' and ')}` : 'not normalised'}`,
    `classes: ${classes}${names ? ` (${listed(names, 120)})` : ''}`,
    ...(folded ? ['batch normalisation: none; exporters fold it into the convolutions before it'] : []),
    `layers whose weights get bit errors (all): ${listed(patternsOf(weightLayers), 160)}`,
  ];
}

/** Most layers that are listed by their names. */
const MOST_NAMES = 12;

/** The names of layers; of many, those that share the first part of their names as a pattern: `layers.*`. */
function patternsOf(layers: readonly string[]): string[] {
  if (layers.length <= MOST_NAMES) return [...layers];
  const groups = new Map<string, string[]>();
  for (const name of layers) {
    const [first] = name.split('.');
    groups.set(first, [...(groups.get(first) ?? []), name]);
  }
  return [...groups].map(([first, names]) => (names.length > 1 ? `${first}.* (${names.length})` : names[0]));
}
