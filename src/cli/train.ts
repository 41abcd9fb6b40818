/** `midas train`: trains the networks of an experiment and writes them as checkpoints. */
import { join } from 'node:path';
import { checkExperiment } from '../experiments/check.ts';
import { runIdentity } from '../experiments/identity.ts';
import { VICTIM_FILE } from '../experiments/networks.ts';
import { Testbed } from '../experiments/testbed.ts';
import { openNodeGpu } from '../gpu/node.ts';
import { modelName } from '../models/specs.ts';
import type { Asked } from './asked_experiment.ts';
import { loadData } from './experiment_data.ts';
import { RunFolder } from './run_folder.ts';
import type { Session } from './session.ts';

/**
 * Trains the networks of the victim and the attackers, and prints the victim's accuracy on its training images.
 * @throws ConfigError, DataError, AdapterError, DeviceLostError, InterruptedError
 */
export async function trainCommand(session: Session, asked: Asked, resume: boolean): Promise<void> {
  const { options, progress, signal } = session;
  const { config, files, pretrained, notes } = asked;
  const { out } = options;
  RunFolder.refuseOccupied(out, resume);
  const gpu = await openNodeGpu({ adapter: options.adapter, profile: options.profile, tune: options.tune });
  session.opened(gpu);
  let folder: RunFolder | undefined;
  try {
    const loaded = await loadData(gpu, config.data, files, config.seed);
    for (const note of [...notes, ...loaded.notes]) progress.warn(note);
    const data = { ...loaded, ...(pretrained && { pretrained }) };
    checkExperiment(config, data);
    const identity = await runIdentity({ version: session.version, config, data, adapter: gpu.adapter.name });
    folder = await RunFolder.open(out, identity, { resume, warn: progress.warn });
    const testbed = await Testbed.build(gpu, data, config, { store: folder, progress, signal });
    const { trainAccuracy, plans, spec } = testbed;
    testbed.destroy();
    for (const plan of plans) session.say(plan);
    const victim = join(out, VICTIM_FILE);
    session.answer({ model: modelName(spec), trainAccuracy, adapter: gpu.adapter.name, victim }, [
      `${modelName(spec)}: ${(100 * trainAccuracy).toFixed(1)} % right on its training images`,
      `checkpoint: ${victim}`,
      `use it: midas run ... --pretrained ${out}`,
    ]);
  } finally {
    folder?.close();
    await gpu.close();
  }
}
