/** `midas import`: a PyTorch checkpoint as safetensors, and as a checkpoint of this project if it is a known model. */
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
 * Converts the state dict of a file into `--out`, under its own names (without DataParallel's `module.`) and in PyTorch's
 * shapes and dtypes. One of the published networks becomes a checkpoint of midas, which PyTorch can still load.
 *
 * @throws DataError naming the file and the key: unreadable, a part of a published network, another shape, NaN;
 *   ConfigError where --out is a folder
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
      `${file}: neither of the published networks; its tensors keep their names, but it is not a checkpoint of midas`,
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
