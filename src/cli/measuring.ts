/** Commands that measure a victim and write one JSON file: opens the device and the data, and describes the measurement. */

import { checkExperiment } from '../experiments/check.ts';
import type { ExperimentData } from '../experiments/faces.ts';
import type { Gpu } from '../gpu/device.ts';
import type { Asked } from './asked_experiment.ts';
import { loadData } from './experiment_data.ts';
import { openCommandGpu } from './open_gpu.ts';
import { makeFolder } from './output_file.ts';
import type { Session } from './session.ts';

/**
 * Calls `measure` with the device, the checked data of the experiment, and a function that describes the measurement so far. Closes
 * the device in the end.
 * @throws ConfigError, DataError, AdapterError, LimitError, and what `measure` throws
 */
export async function measuring(
  session: Session,
  { config, files, pretrained, notes }: Asked,
  measure: (gpu: Gpu, data: ExperimentData, manifest: () => object) => Promise<void>,
): Promise<void> {
  const { options, progress } = session;
  makeFolder(options.out);
  const started = new Date();
  const before = performance.now();
  const gpu = await openCommandGpu(session);
  try {
    const loaded = await loadData(gpu, config.data, files, config.seed);
    for (const note of [...notes, ...loaded.notes]) progress.warn(note);
    const data = { ...loaded, ...(pretrained && { pretrained }) };
    checkExperiment(config, data);
    await measure(gpu, data, () => ({
      version: session.version,
      command: session.command,
      config,
      seed: config.seed,
      adapter: gpu.adapter.name,
      dataset: { name: loaded.dataset.name, sha256: loaded.dataset.sha256, split: loaded.splitName },
      started: started.toISOString(),
      seconds: Math.round((performance.now() - before) / 100) / 10,
    }));
  } finally {
    await gpu.close();
  }
}
