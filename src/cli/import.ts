/** `midas import`: converts a PyTorch checkpoint to safetensors, and to a checkpoint of midas if its model is known. */
import { basename } from 'node:path';
import { readBytes, writeFileAtomic } from '../data/node/files.ts';
import { writeSafetensors } from '../formats/safetensors.ts';
import { packTensors, writeCheckpoint } from '../models/checkpoint.ts';
import { parameterCount } from '../models/plan.ts';
import { readTensors, recogniseModel } from '../models/recognise.ts';
import { modelName } from '../models/specs.ts';
import { outputFile } from './output_file.ts';
import type { Session } from './session.ts';

/**
 * Converts the state dict of a file into `--out`. Names (without DataParallel's `module.`), shapes and dtypes stay those of
 * PyTorch. One of the published networks becomes a checkpoint of midas, which PyTorch can still load.
 *
 * @throws DataError, with file and key, if the file is unreadable, lacks a part of a published network, or has a tensor of
 *   another shape or with a NaN
 * @throws ConfigError if --out is a folder
 */
export async function importCheckpoint(session: Session, file: string): Promise<void> {
  const tensors = readTensors(await readBytes(file), file);
  const out = outputFile(session.options.out);
  const spec = recogniseModel(tensors, file);
  const source = basename(file);
  if (spec) {
    const parameters = packTensors(spec, tensors, file);
    const state = { epoch: 0, parameters, optimizer: [] };
    await writeFileAtomic(out, writeCheckpoint({ spec, state, metadata: { source } }));
  } else {
    session.say(
      `${file}: neither of the published networks; its tensors keep their names, but the file is not a checkpoint of midas`,
    );
    await writeFileAtomic(out, writeSafetensors(tensors, { format: 'pt', source }));
  }
  const list = [...tensors].map(([key, { dtype, shape }]) => ({ key, dtype, shape }));
  const elements = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  const model = spec ? { name: modelName(spec), ...spec.description, parameters: parameterCount(spec) } : null;
  session.answer({ file: out, source: file, model, elements, tensors: list }, [
    ...list.map(({ key, dtype, shape }) => `${key} ${dtype} [${shape.join(', ')}]`),
    `${out}: ${list.length} tensors, ${elements} elements`,
    ...(model ? [`${model.name}: ${model.parameters} parameters, a checkpoint of midas`] : []),
  ]);
}
