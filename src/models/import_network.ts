/** Reads a network of another program: an ONNX file, or a file of PyTorch or safetensors, alone or with a description. */
import { ConfigError } from '../errors.ts';
import { isOnnx } from '../formats/onnx.ts';
import type { ExternalFiles } from '../formats/onnx_tensor.ts';
import { importedNetwork } from './checkpoint.ts';
import { importParameters } from './match.ts';
import type { ImportedNetwork } from './model_spec.ts';
import { describedNetwork } from './network.ts';
import type { NetworkDescription } from './network_description.ts';
import { importOnnx } from './onnx_file.ts';
import { importNetwork } from './recognise.ts';
import { modelLayout } from './trainer.ts';

export interface ImportOptions {
  /** Names the dictionary that holds the network, where a file of PyTorch has several. */
  readonly key?: string;
  /** The network whose parameters a file of PyTorch or safetensors holds; by default one of the published networks. */
  readonly network?: NetworkDescription;
  /** The files beside an ONNX file that hold its tensors. */
  readonly external?: ExternalFiles;
}

/**
 * The network in a file, told by its bytes.
 * @param file name, for messages
 * @throws DataError naming file and tensor or node, ConfigError for options that do not apply
 */
export function importAnyNetwork(
  bytes: Uint8Array,
  file: string,
  { key, network, external }: ImportOptions,
): ImportedNetwork {
  if (isOnnx(bytes)) {
    if (key !== undefined || network) {
      throw new ConfigError(`${file}: an ONNX file describes its network itself; leave --network and --key out`);
    }
    return importOnnx(bytes, file, external);
  }
  if (!network) return importNetwork(bytes, file, key);
  const spec = describedNetwork(network);
  const { tensors, notes } = importParameters(bytes, file, modelLayout(spec).slices, key);
  return importedNetwork(spec, tensors, file, notes);
}
