/** `midas train`: trains the networks of an experiment and writes them as checkpoints. */

import { join } from 'node:path';
import { readBytes } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { checkExperiment } from '../experiments/check.ts';
import { runIdentity } from '../experiments/identity.ts';
import { VICTIM_FILE } from '../experiments/networks.ts';
import { Testbed } from '../experiments/testbed.ts';
import { modelName } from '../models/specs.ts';
import { privacyText } from '../results/results.ts';
import type { Asked } from './asked_experiment.ts';
import { loadData } from './experiment_data.ts';
import type { ExperimentOptions } from './experiment_options.ts';
import { openCommandGpu } from './open_gpu.ts';
import { profileLines, writeProfile } from './profile.ts';
import { RunFolder } from './run_folder.ts';
import type { Session } from './session.ts';
import { isDescription } from './victim_file.ts';

/**
 * The options of a training. `network` alone is the file with the description of the victim to train; a `victim` is trained already,
 * and the attackers' networks are trained for it.
 * @throws ConfigError where one is a file for the other; DataError for a file that cannot be read
 */
export async function trainOptions({ network, ...options }: ExperimentOptions): Promise<ExperimentOptions> {
  const { victim } = options;
  if (network !== undefined) {
    if (victim !== undefined) return { ...options, network };
    if (options.model !== undefined) throw new ConfigError('--network and --model: give only one of them');
    if (isDescription(await readBytes(network))) return { ...options, victim: network };
    throw new ConfigError(
      `--network ${network}: not a description in JSON (midas schema network); a trained network is a --victim, for run and attack too`,
    );
  }
  if (victim !== undefined && isDescription(await readBytes(victim))) {
    throw new ConfigError(`--victim ${victim}: a description, which is not trained yet; train it: --network ${victim}`);
  }
  return options;
}

/**
 * Trains the networks of the victim and the attackers, and prints the victim's accuracy on its training images.
 * @throws ConfigError, DataError, AdapterError, DeviceLostError, InterruptedError
 */
export async function trainCommand(session: Session, asked: Asked, resume: boolean): Promise<void> {
  const { options, progress, signal } = session;
  const { config, files, pretrained, notes } = asked;
  const { out } = options;
  RunFolder.refuseOccupied(out, resume);
  const gpu = await openCommandGpu(session);
  let folder: RunFolder | undefined;
  try {
    const loaded = await loadData(gpu, config.data, files, config.seed);
    for (const note of [...notes, ...loaded.notes]) progress.warn(note);
    const data = { ...loaded, ...(pretrained && { pretrained }) };
    checkExperiment(config, data);
    const identity = await runIdentity({ version: session.version, config, data, adapter: gpu.adapter.name });
    const { waitMinutes } = options;
    folder = await RunFolder.open(out, identity, { resume, waitMinutes, signal, warn: progress.warn });
    const testbed = await Testbed.build(gpu, data, config, { store: folder, progress, signal });
    const { trainAccuracy, privacy, plans, spec } = testbed;
    testbed.destroy();
    for (const plan of plans) session.say(plan);
    const { profile } = await writeProfile(gpu, folder, options.trace);
    const victim = join(out, VICTIM_FILE);
    const answer = { model: modelName(spec), trainAccuracy, privacy, adapter: gpu.adapter.name, victim };
    session.answer({ ...answer, ...(profile && { profile }) }, [
      `${modelName(spec)}: ${(100 * trainAccuracy).toFixed(1)} % right on its training images`,
      ...(privacy ? [privacyText(privacy)] : []),
      `checkpoint: ${victim}`,
      `use it: midas run ${spec.description.kind === 'network' ? `--victim ${victim}` : `... --pretrained ${out}`}`,
      ...profileLines(profile ?? []),
    ]);
  } finally {
    folder?.close();
    await gpu.close();
  }
}
