/** `midas import`: converts the file of a network to a checkpoint of midas. */
import { basename } from 'node:path';
import { readBytes, writeFileAtomic } from '../data/node/files.ts';
import { safetensorsParts } from '../formats/safetensors.ts';
import { importedCheckpoint } from '../models/checkpoint.ts';
import { importAnyNetwork } from '../models/import_network.ts';
import { parameterCount } from '../models/plan.ts';
import { modelName } from '../models/specs.ts';
import { outputFile } from './output_file.ts';
import type { Session } from './session.ts';
import { filesBeside, readDescription } from './victim_file.ts';

/**
 * Converts the network of an ONNX file, or of a file of PyTorch or safetensors, into the checkpoint `--out`. Names and shapes are
 * those of PyTorch, without the parts that wrappers add, such as `module.` of DataParallel; PyTorch can load the checkpoint.
 *
 * @param options.key of the dictionary that holds the network, where the file has several
 * @param options.network file with the network's description, for parameters of PyTorch; by default one of the published networks
 * @throws DataError naming file and tensor or node, if the file is unreadable, holds another network, lacks a part of it, or has a
 *   tensor of another shape or with a NaN; nothing is written then
 * @throws ConfigError if --out is a folder, the file has no dictionary `key`, or the description is not valid
 */
export async function importCheckpoint(
  session: Session,
  file: string,
  { key, network: described }: { readonly key?: string; readonly network?: string },
): Promise<void> {
  const description = described === undefined ? undefined : await readDescription(described);
  const options = { key, network: description, external: filesBeside(file) };
  const network = importAnyNetwork(await readBytes(file), file, options);
  const { spec, tensors, notes } = network;
  const out = outputFile(session.options.out);
  await writeFileAtomic(out, safetensorsParts(...importedCheckpoint(network, { source: basename(file) })));
  for (const note of notes) session.say(note);
  const list = [...tensors].map(([key, { dtype, shape }]) => ({ key, dtype, shape: [...shape] }));
  const elements = list.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const model = { name: modelName(spec), ...spec.description, parameters: parameterCount(spec) };
  session.answer({ file: out, source: file, model, elements, tensors: list, notes }, [
    ...list.map(({ key: name, dtype, shape }) => `${name} ${dtype} [${shape.join(', ')}]`),
    `${out}: ${list.length} tensors, ${elements} elements`,
    `${model.name}: ${model.parameters} parameters, a checkpoint of midas`,
  ]);
}
