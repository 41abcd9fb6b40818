/** `midas import`: converts the file of a published network to a checkpoint of midas. */
import { basename } from 'node:path';
import { readBytes, writeFileAtomic } from '../data/node/files.ts';
import { keyOf, writeCheckpoint } from '../models/checkpoint.ts';
import { parameterCount } from '../models/plan.ts';
import { importNetwork } from '../models/recognise.ts';
import { modelName } from '../models/specs.ts';
import { modelLayout } from '../models/trainer.ts';
import { outputFile } from './output_file.ts';
import type { Session } from './session.ts';

/**
 * Converts a published network into the checkpoint `--out`. Names and shapes stay those of PyTorch, without the parts that
 * wrappers add, such as `module.` of DataParallel; PyTorch can still load the checkpoint.
 *
 * @param key of the dictionary that holds the network, where the file has several
 * @throws DataError, with file and key, if the file is unreadable, holds no published network, lacks a part of it, or has a
 *   tensor of another shape or with a NaN; nothing is written then
 * @throws ConfigError if --out is a folder, or the file has no dictionary `key`
 */
export async function importCheckpoint(session: Session, file: string, key: string | undefined): Promise<void> {
  const { spec, parameters, notes } = importNetwork(await readBytes(file), file, key);
  const out = outputFile(session.options.out);
  const state = { epoch: 0, parameters, optimizer: [] };
  await writeFileAtomic(out, writeCheckpoint({ spec, state, metadata: { source: basename(file) } }));
  for (const note of notes) session.say(note);
  const list = modelLayout(spec).slices.map((slice) => ({
    key: keyOf(spec, slice),
    dtype: 'F32',
    shape: [...slice.shape],
  }));
  const elements = list.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const model = { name: modelName(spec), ...spec.description, parameters: parameterCount(spec) };
  session.answer({ file: out, source: file, model, elements, tensors: list, notes }, [
    ...list.map(({ key: name, dtype, shape }) => `${name} ${dtype} [${shape.join(', ')}]`),
    `${out}: ${list.length} tensors, ${elements} elements`,
    `${model.name}: ${model.parameters} parameters, a checkpoint of midas`,
  ]);
}
