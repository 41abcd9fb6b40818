/** Reads a network from an ONNX file. */
import { readOnnx } from '../formats/onnx.ts';
import type { ExternalFiles } from '../formats/onnx_tensor.ts';
import { importedNetwork } from './checkpoint.ts';
import type { ImportedNetwork } from './model_spec.ts';
import { describedNetwork } from './network.ts';
import { onnxNetwork } from './onnx_network.ts';

/**
 * The network in an ONNX file, ready to be loaded or written as a checkpoint. It is called after the file.
 * @param file name, also for messages
 * @param external the files beside it that hold its tensors, if there are any
 * @throws DataError naming file and node or tensor
 */
export function importOnnx(bytes: Uint8Array, file: string, external?: ExternalFiles): ImportedNetwork {
  const { description, tensors, notes } = onnxNetwork(readOnnx(bytes, file, external), file);
  const stem = file.replace(/^.*[\\/]/, '').replace(/\.onnx$/i, '');
  const spec = describedNetwork({ name: stem, ...description });
  return importedNetwork(spec, tensors, file, notes);
}
