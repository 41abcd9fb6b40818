/** Reads a network that a visitor brought: an ONNX file, a checkpoint, or a description in JSON with the weights beside it. */
import { DataError } from '../../errors.ts';
import { isOnnx } from '../../formats/foreign.ts';
import { parseJson } from '../../formats/json.ts';
import type { ImageSize } from '../../image_size.ts';
import { layerParameters, outputShape } from '../../layers/kinds.ts';
import { writeCheckpoint } from '../../models/checkpoint.ts';
import { importAnyNetwork } from '../../models/import_network.ts';
import type { ImportedNetwork, ModelSpec } from '../../models/model_spec.ts';
import { parseNetwork } from '../../models/network_description.ts';
import { importOnnx } from '../../models/onnx_file.ts';
import { layerNames, modelName } from '../../models/specs.ts';
import type { ChosenFile, ShownLayer } from '../protocol.ts';

export interface BroughtNetwork {
  readonly name: string;
  readonly spec: ModelSpec;
  readonly parameters: Uint32Array<ArrayBuffer>;
  /** As a checkpoint of a run. */
  readonly checkpoint: Uint8Array;
  /** The images that it takes. */
  readonly input: ImageSize;
  /** What a visitor should know about the conversion, in whole sentences. */
  readonly notes: readonly string[];
}

/** The files of a network. */
export interface NetworkFiles {
  /** An ONNX file, or a file of weights. */
  readonly network?: ChosenFile;
  /** The description of the network whose weights are given. */
  readonly description?: ChosenFile;
  /** Files that hold tensors of an ONNX file, if they have the names that it asks for. */
  readonly others: readonly ChosenFile[];
}

/** @throws DataError, ConfigError naming the file and what is wrong with it */
export function readBroughtNetwork(files: NetworkFiles): BroughtNetwork {
  const { network, description } = files;
  if (!network) {
    throw new DataError(
      `${description?.name}: it describes a network without its weights; drop its .safetensors or .pth together with it`,
    );
  }
  const { name } = network;
  const { spec, parameters, notes } = parametersOf(network, files);
  if (spec.outputs < 2) throw new DataError(`${name}: it has one output; give a classifier of two classes or more`);
  const state = { epoch: 0, parameters, optimizer: [] };
  return {
    name: (spec.description.kind === 'network' && spec.description.name) || name,
    spec,
    parameters,
    checkpoint: writeCheckpoint({ spec, state, metadata: { source: name } }),
    input: inputOf(spec, name),
    notes,
  };
}

function parametersOf({ name, bytes }: ChosenFile, { description, others }: NetworkFiles): ImportedNetwork {
  if (isOnnx(bytes) || /\.onnx$/i.test(name)) {
    if (description) {
      throw new DataError(`${description.name}: ${name} describes its network itself; drop it without this file`);
    }
    const baseName = (path: string) => path.replace(/^.*[\\/]/, '');
    return importOnnx(bytes, name, (location) => others.find((each) => each.name === baseName(location))?.bytes);
  }
  if (description) {
    const advice = 'give the description of a network; midas schema network says what it may hold';
    const json = parseJson(description.bytes, description.name, { advice });
    return importAnyNetwork(bytes, name, { network: parseNetwork(json, description.name) });
  }
  return importAnyNetwork(bytes, name);
}

/** @throws DataError for a network that says no size of images, or takes neither gray nor RGB */
function inputOf(spec: ModelSpec, name: string): ImageSize {
  const { description } = spec;
  if (description.kind === 'yang-classifier') return { width: description.size, height: description.size, channels: 1 };
  if (description.kind !== 'network') {
    throw new DataError(`${name}: it holds a ${modelName(spec)}; give a classifier that says the size of its images`);
  }
  const { width, height, channels } = description.input;
  if (channels === 1 || channels === 3) return { width, height, channels };
  throw new DataError(
    `${name}: it takes images of ${channels} channels; give a network for gray (1) or RGB (3) images`,
  );
}

/** The layers that have weights, as the page lists them. */
export function layersOf(spec: ModelSpec): ShownLayer[] {
  const parameters = layerParameters(spec.layers);
  return layerNames(spec).map((name) => {
    const layer = spec.layers.find((each) => each.name === name)!;
    const own = parameters.filter((each) => each.layer === name);
    const { height, width, channels } = outputShape(layer);
    return {
      name,
      kind: layer.kind,
      output: height * width === 1 ? `${channels}` : `${channels} x ${height} x ${width}`,
      tensors: own.map((each) => each.name),
      parameters: own.reduce((sum, { shape }) => sum + shape.reduce((product, n) => product * n, 1), 0),
    };
  });
}
