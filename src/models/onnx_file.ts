/** Reads a network from an ONNX file. */
import { parseClassNames } from '../data/class_names.ts';
import { DataError } from '../errors.ts';
import type { ExternalFiles } from '../formats/external_files.ts';
import { type OnnxModel, readOnnx } from '../formats/onnx.ts';
import { importedNetwork } from './checkpoint.ts';
import type { ImportedNetwork } from './model_spec.ts';
import { describedNetwork } from './network.ts';
import { onnxNetwork } from './onnx_network.ts';

/**
 * The network in an ONNX file, ready to be loaded or written as a checkpoint. It is called after the file. The names of its
 * classes are those of its metadata `classNames`: a JSON array, or one name per line.
 * @param file name, also for messages
 * @param external the files beside it that hold its tensors, if there are any
 * @throws DataError naming file and node or tensor
 */
export function importOnnx(bytes: Uint8Array, file: string, external?: ExternalFiles): ImportedNetwork {
  const model = readOnnx(bytes, file, external);
  const { description, tensors, notes } = onnxNetwork(model, file);
  const stem = file.replace(/^.*[\\/]/, '').replace(/\.onnx$/i, '');
  const unnamed = describedNetwork({ name: stem, ...description });
  const { classNames, problem } = classNamesOf(model, unnamed.outputs, file);
  const spec = classNames ? describedNetwork({ name: stem, ...description, classNames }) : unnamed;
  return importedNetwork(spec, tensors, file, problem ? [...notes, problem] : notes);
}

/** The names of the classes in a file's metadata, or why they are not used. */
function classNamesOf(
  { metadata }: OnnxModel,
  outputs: number,
  file: string,
): { classNames?: string[]; problem?: string } {
  const text = metadata.get('classNames');
  if (text === undefined) return {};
  try {
    const classNames = parseClassNames(text, `${file}: metadata classNames`);
    if (classNames.length === outputs) return { classNames };
    return { problem: `${file}: its ${classNames.length} classNames are not used: it has ${outputs} outputs.` };
  } catch (error) {
    if (error instanceof DataError) return { problem: `${error.message}; the names are not used.` };
    throw error;
  }
}
