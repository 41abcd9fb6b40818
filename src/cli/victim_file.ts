/** The network of `--victim`: an ONNX file, a checkpoint, or a description in JSON. */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { readBytes } from '../data/node/files.ts';
import { ConfigError, DataError } from '../errors.ts';
import type { ExternalFiles } from '../formats/external_files.ts';
import { parseJson } from '../formats/json.ts';
import { writeSafetensors } from '../formats/safetensors.ts';
import { importedCheckpoint } from '../models/checkpoint.ts';
import { importAnyNetwork, isCheckpoint } from '../models/import_network.ts';
import type { ImportedNetwork, ModelDescription } from '../models/model_spec.ts';
import { type NetworkDescription, parseNetwork } from '../models/network_description.ts';
import { UnknownNetworkError } from '../models/recognise.ts';

export interface VictimFile {
  readonly description: ModelDescription;
  /** Its checkpoint; absent if the file only describes the network. */
  readonly checkpoint?: Uint8Array;
  /** What a user should know about the conversion, in whole sentences. */
  readonly notes: readonly string[];
}

/** The files beside an ONNX file in which its tensors are. */
export function filesBeside(path: string): ExternalFiles {
  return (location) => {
    try {
      return readFileSync(join(dirname(path), location));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  };
}

/** Reads the description of a network. @throws DataError for a file that is no JSON, ConfigError naming the path in it */
export async function readDescription(path: string): Promise<NetworkDescription> {
  const advice = 'give the description of a network; midas schema network says what it may hold';
  return parseNetwork(parseJson(await readBytes(path), path, { advice }), path);
}

/** True for the bytes of JSON, as which descriptions are written. */
export function isDescription(bytes: Uint8Array): boolean {
  return /^[\s\uFEFF]*\{/.test(new TextDecoder().decode(bytes.subarray(0, 64)));
}

/** @throws DataError for parameters without a description, with the options that add one */
function importVictim(bytes: Uint8Array, path: string, network: NetworkDescription | undefined): ImportedNetwork {
  try {
    return importAnyNetwork(bytes, path, { network, external: filesBeside(path) });
  } catch (error) {
    if (!(error instanceof UnknownNetworkError)) throw error;
    throw new DataError(
      `${path}: parameters without their network. Describe it (midas schema network): ` +
        `--victim ${path} --network net.json. An ONNX export needs no description`,
      { cause: error },
    );
  }
}

/**
 * Reads the network of a file, which may also be a state dict if `described` names the file with its description.
 * @throws DataError, ConfigError naming the file
 */
export async function readVictim(path: string, described?: string): Promise<VictimFile> {
  const bytes = await readBytes(path);
  if (isDescription(bytes)) {
    if (described !== undefined) {
      throw new ConfigError(`--network ${described}: --victim ${path} is a description too; give only one of them`);
    }
    return { description: await readDescription(path), notes: [] };
  }
  const network = importVictim(bytes, path, described === undefined ? undefined : await readDescription(described));
  const { notes, spec } = network;
  if (described === undefined && isCheckpoint(bytes, path)) {
    return { description: spec.description, checkpoint: bytes, notes };
  }
  const checkpoint = writeSafetensors(...importedCheckpoint(network, { source: basename(path) }));
  return { description: spec.description, checkpoint, notes };
}
