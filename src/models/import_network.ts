/** Reads a network of another program: an ONNX file, or a file of PyTorch or safetensors, alone or with a description. */
import { ConfigError } from '../errors.ts';
import type { ExternalFiles } from '../formats/external_files.ts';
import { isOnnx } from '../formats/foreign.ts';
import { isSafetensors, readSafetensors } from '../formats/safetensors.ts';
import { CHECKPOINT_FORMAT, checkpointSpec, importedNetwork } from './checkpoint.ts';
import { importParameters } from './match.ts';
import { modelLayout } from './model_parameters.ts';
import type { ImportedNetwork } from './model_spec.ts';
import { describedNetwork } from './network.ts';
import type { NetworkDescription } from './network_description.ts';
import { importOnnx } from './onnx_file.ts';
import { importNetwork } from './recognise.ts';

export interface ImportOptions {
  /** Names the dictionary that holds the network, where a file of PyTorch has several. */
  readonly key?: string;
  /** The network whose parameters a file of PyTorch or safetensors holds; by default one of the published networks. */
  readonly network?: NetworkDescription;
  /** The files beside an ONNX file that hold its tensors. */
  readonly external?: ExternalFiles;
}

/**
 * The network in a file, told by its bytes: an ONNX file, a checkpoint of midas, or a state dict of PyTorch or safetensors, whose
 * network is described by `network` or one of the published ones.
 * @param file name, for messages
 * @throws DataError naming file and tensor or node, ConfigError for options that do not apply
 */
export function importAnyNetwork(
  bytes: Uint8Array,
  file: string,
  { key, network, external }: ImportOptions = {},
): ImportedNetwork {
  if (isOnnx(bytes)) {
    if (key !== undefined || network) {
      throw new ConfigError(`${file}: an ONNX file describes its network itself; leave --network and --key out`);
    }
    return importOnnx(bytes, file, external);
  }
  if (!network && key === undefined && isCheckpoint(bytes, file)) {
    const { tensors, metadata } = readSafetensors(bytes, file);
    return importedNetwork(checkpointSpec(metadata, file), tensors, file, [], metadata.dataset);
  }
  if (!network) return importNetwork(bytes, file, key);
  const spec = describedNetwork(network);
  const { tensors, notes } = importParameters(bytes, file, modelLayout(spec).slices, key);
  return importedNetwork(spec, tensors, file, notes);
}

/** True for the bytes of a checkpoint of midas. */
export function isCheckpoint(bytes: Uint8Array, file: string): boolean {
  return isSafetensors(bytes) && readSafetensors(bytes, file).metadata.format === CHECKPOINT_FORMAT;
}
