/** `midas flips`: searches the stored bits of a network whose flips do the most damage. */
import { join } from 'node:path';
import { writeFileAtomic } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { checkExperiment } from '../experiments/check.ts';
import { type FlipOptions, type FlipReport, searchFlips } from '../experiments/flips.ts';
import { InMemoryRunStore } from '../experiments/store.ts';
import { openNodeGpu } from '../gpu/node.ts';
import { fileName } from '../results/results.ts';
import type { Asked } from './asked_experiment.ts';
import { loadData } from './experiment_data.ts';
import { makeFolder } from './output_file.ts';
import type { Session } from './session.ts';

/** File with everything that the command found. */
const RESULT = 'flips.json';

/**
 * Writes flips.json and, for each set of layers, a memory with the chosen flips and one with as many random flips, which
 * `--memory` of other commands takes.
 * @throws ConfigError, DataError, AdapterError, LimitError, DeviceLostError, InterruptedError
 */
export async function flipsCommand(session: Session, asked: Asked, wanted: FlipOptions): Promise<void> {
  const { options, progress, signal } = session;
  const { config, files, pretrained, notes } = asked;
  if (wanted.flips < 1) throw new ConfigError('--flips: give at least 1');
  if (wanted.draws < 1) throw new ConfigError('--draws: give at least 1');
  makeFolder(options.out);
  const started = new Date();
  const before = performance.now();
  const gpu = await openNodeGpu({ adapter: options.adapter, profile: options.profile, tune: options.tune });
  session.opened(gpu);
  try {
    const loaded = await loadData(gpu, config.data, files, config.seed);
    for (const note of [...notes, ...loaded.notes]) progress.warn(note);
    const data = { ...loaded, ...(pretrained && { pretrained }) };
    checkExperiment(config, data);
    const run = { store: new InMemoryRunStore(), progress, signal };
    const found = await searchFlips(gpu, data, config, run, wanted);
    const rows = [];
    for (const { memories, ...report } of found) {
      const name = (what: string) => join(options.out, `${fileName(report.layers)}-${what}.json`);
      const paths = { chosen: name('chosen'), random: name('random') };
      await writeFileAtomic(paths.chosen, json(memories.chosen));
      await writeFileAtomic(paths.random, json(memories.random));
      rows.push({ ...report, memories: paths });
    }
    const manifest = {
      version: session.version,
      command: session.command,
      config,
      seed: config.seed,
      adapter: gpu.adapter.name,
      dataset: { name: loaded.dataset.name, sha256: loaded.dataset.sha256, split: loaded.splitName },
      started: started.toISOString(),
      seconds: Math.round((performance.now() - before) / 100) / 10,
    };
    const result = { manifest, ...wanted, rows };
    const path = join(options.out, RESULT);
    await writeFileAtomic(path, json(result));
    session.answer(result, [
      ...rows.flatMap(flipLines),
      `flips: ${path}`,
      `attack the network with them: midas run ... ${rows.map((row) => `--memory ${row.memories.chosen}`).join(' ')}`,
    ]);
  } finally {
    await gpu.close();
  }
}

const json = (value: unknown) => `${JSON.stringify(value, null, 1)}\n`;

/** Two lines: what the chosen flips did, and what random ones did. */
export function flipLines({ layers, bits, before, steps, random }: Omit<FlipReport, 'memories'>): string[] {
  const last = steps[steps.length - 1];
  if (!last) return [`${layers}: no flip of its ${bits} bits raises the cost`];
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const average = (of: (measures: (typeof random)[number]) => number) =>
    random.reduce((sum, measures) => sum + of(measures), 0) / random.length;
  const flips = (kind: string) => `${steps.length} ${kind} ${steps.length === 1 ? 'flip' : 'flips'}`;
  const texts = (accuracy: number, loss: number, meanLoss: number) =>
    `accuracy ${percent(accuracy)}, loss ${loss.toPrecision(3)}, mean photographs ${meanLoss.toPrecision(3)}`;
  return [
    `${layers}, without flips: ${texts(before.accuracy, before.loss, before.meanLoss)}`,
    `  ${flips('chosen')} of ${bits} bits: ${texts(last.accuracy, last.loss, last.meanLoss)}`,
    `  ${flips('random')} (mean of ${random.length}): ` +
      texts(
        average(({ accuracy }) => accuracy),
        average(({ loss }) => loss),
        average(({ meanLoss }) => meanLoss),
      ),
  ];
}
