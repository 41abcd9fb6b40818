/** `midas flips`: searches the stored bits of a network whose flips do the most damage. */
import { join } from 'node:path';
import { writeFileAtomic } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { type FlipOptions, type FlipReport, searchFlips } from '../experiments/flips.ts';
import { InMemoryRunStore } from '../experiments/store.ts';
import { fileName } from '../results/results.ts';
import type { Asked } from './asked_experiment.ts';
import { measuring } from './measuring.ts';
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
  const { config } = asked;
  if (wanted.flips < 1) throw new ConfigError('--flips: give at least 1');
  if (wanted.draws < 1) throw new ConfigError('--draws: give at least 1');
  const run = { store: new InMemoryRunStore(), progress, signal };
  await measuring(session, asked, async (gpu, data, manifest) => {
    const rows = [];
    for (const { memories, ...report } of await searchFlips(gpu, data, config, run, wanted)) {
      const name = (what: string) => join(options.out, `${fileName(report.layers)}-${what}.json`);
      const paths = { chosen: name('chosen'), random: name('random') };
      await writeFileAtomic(paths.chosen, json(memories.chosen));
      await writeFileAtomic(paths.random, json(memories.random));
      rows.push({ ...report, memories: paths });
    }
    const result = { manifest: manifest(), ...wanted, rows };
    const path = join(options.out, RESULT);
    await writeFileAtomic(path, json(result));
    session.answer(result, [
      ...rows.flatMap(flipLines),
      `flips: ${path}`,
      `attack the network with them: midas run ... ${rows.map((row) => `--memory ${row.memories.chosen}`).join(' ')}`,
    ]);
  });
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
