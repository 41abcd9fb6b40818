/** `midas run`, `shallow`, `deep` and `demo`: run an experiment and write its files into a folder. */

import { join } from 'node:path';
import { checkExperiment } from '../experiments/check.ts';
import { parseExperiment } from '../experiments/config.ts';
import { runExperiment } from '../experiments/experiment.ts';
import { runIdentity } from '../experiments/identity.ts';
import { isTrainedElsewhere } from '../experiments/networks.ts';
import { planExperiment } from '../experiments/plan.ts';
import { demoInputs } from '../experiments/presets.ts';
import { WHOLE } from '../experiments/shard.ts';
import { packageFile } from '../gpu/node/package.ts';
import { asWritten } from '../results/order.ts';
import type { Manifest } from '../results/results.ts';
import type { Asked } from './asked_experiment.ts';
import { demoEndingLines, endingLines } from './ending.ts';
import { loadData } from './experiment_data.ts';
import { openCommandGpu } from './open_gpu.ts';
import { readNetworks } from './pretrained.ts';
import { type Answer, profileLines, writeProfile } from './profile.ts';
import { resultsOf, writeRunFiles } from './run_files.ts';
import { RunFolder, SHARD_FILE } from './run_folder.ts';
import type { Session } from './session.ts';

/**
 * Runs an experiment into a folder.
 * @param resume true to continue the run in the folder
 * @returns the results; undefined for a shard, whose rows midas merge combines with those of the others
 * @throws ConfigError, DataError, AdapterError, LimitError, DeviceLostError, InterruptedError
 */
export async function runInto(
  session: Session,
  asked: Asked,
  out: string,
  resume: boolean,
): Promise<Answer | undefined> {
  const { options, progress, signal } = session;
  const { config, files, pretrained, shard, notes } = asked;
  // Checked before a device is opened, which takes a second.
  RunFolder.refuseOccupied(out, resume);
  const started = new Date();
  const before = performance.now();
  const gpu = await openCommandGpu(session);
  let folder: RunFolder | undefined;
  try {
    const loaded = await loadData(gpu, config.data, files, config.seed);
    for (const note of [...notes, ...loaded.notes]) progress.warn(note);
    const { dataset, publicFaces, split } = loaded;
    const data = { ...loaded, ...(pretrained && { pretrained }) };
    // Throws here, naming the largest preset that fits, instead of at the first buffer that does not fit.
    planExperiment(
      config,
      {
        classes: dataset.classNames.length,
        width: dataset.width,
        height: dataset.height,
        channels: dataset.channels,
        trained: split.train.length,
        publicFaces: publicFaces?.labels.length ?? 0,
      },
      gpu.device.limits,
    );
    checkExperiment(config, data);
    const whole = await runIdentity({ version: session.version, config, data, adapter: gpu.adapter.name });
    const identity = { ...whole, ...(shard !== WHOLE && { shard }) };
    const { waitMinutes } = options;
    folder = await RunFolder.open(out, identity, { resume, waitMinutes, signal, warn: progress.warn });
    const outcome = await runExperiment(gpu, data, config, { store: folder, progress, signal }, { shard });
    const manifest: Manifest = {
      version: session.version,
      command: session.command,
      config: config as unknown as Record<string, unknown>,
      seed: config.seed,
      adapter: gpu.adapter.name,
      dataset: {
        name: dataset.name,
        sha256: dataset.sha256,
        split: loaded.splitName,
        splitSha256: identity.split,
        classes: dataset.classNames.length,
        ...(publicFaces && { publicFaces: { name: publicFaces.name, sha256: publicFaces.sha256 } }),
      },
      ...(identity.networks && { networks: identity.networks }),
      ...(isTrainedElsewhere(data) && { trainedElsewhere: true }),
      started: started.toISOString(),
      seconds: Math.round((performance.now() - before) / 100) / 10,
    };
    // Results are made from the rows in the file, so that they are the same whether rows were measured now or earlier.
    const rows = asWritten(await folder.readRows(), outcome.presentation.order);
    await folder.rewriteRows(rows);
    const profile = await writeProfile(gpu, folder, options.trace);
    for (const plan of outcome.plans) session.say(plan);
    if (shard !== WHOLE) {
      await folder.write(SHARD_FILE, `${JSON.stringify({ shard, manifest }, null, 1)}\n`);
      return undefined;
    }
    const timed = { ...manifest, attackSeconds: outcome.attackSeconds };
    const results = resultsOf(timed, rows, outcome.presentation);
    await writeRunFiles(folder, { results, presentation: outcome.presentation });
    return { ...results, ...profile };
  } finally {
    folder?.close();
    await gpu.close();
  }
}

/** Carries out `midas run` and the commands of the presets. */
export async function runCommand(session: Session, asked: Asked, resume: boolean): Promise<void> {
  const { out } = session.options;
  const results = await runInto(session, asked, out, resume);
  if (results) {
    const lines = [...profileLines(results.profile ?? []), ...endingLines(results, join(out, 'report.html'))];
    return session.answer(results, lines);
  }
  const { index, count } = asked.shard;
  session.answer({ shard: asked.shard, out }, [`shard ${index + 1} of ${count} is finished: ${out}`]);
}

/** Networks of the preset `deep`, trained on its procedural faces; data/README.md describes how. */
const PRETRAINED = packageFile('data/deep-tiny/');

/** Carries out `midas demo`: a shallow experiment, then a deep one in the subfolder `deep`. */
export async function demoCommand(session: Session, tiny: boolean, resume: boolean): Promise<void> {
  const { out, seed } = session.options;
  const inputs = demoInputs(tiny);
  const config = (name: keyof typeof inputs) => parseExperiment({ ...inputs[name], seed }, `demo ${name}`);
  const deepOut = join(out, 'deep');
  const first = await runInto(
    session,
    { config: config('shallow'), files: undefined, notes: [], shard: WHOLE },
    out,
    resume,
  );
  const deep = {
    config: config('deep'),
    files: undefined,
    notes: [],
    pretrained: await readNetworks(PRETRAINED),
    shard: WHOLE,
  };
  const second = await runInto(session, deep, deepOut, resume);
  const runs = [
    { results: first!, report: join(out, 'report.html') },
    { results: second!, report: join(deepOut, 'report.html') },
  ];
  const profiles = runs.flatMap(({ results }) => profileLines(results.profile ?? []));
  session.answer({ ...first!, deep: second }, [...profiles, ...demoEndingLines(runs)]);
}
