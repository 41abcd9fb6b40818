/** `midas allocate`: a memory for every layer, with the least leak or energy for a loss of accuracy. */
import { join } from 'node:path';
import { writeFileAtomic } from '../data/node/files.ts';
import { ConfigError } from '../errors.ts';
import { type Allocation, allocateMemory } from '../experiments/allocate.ts';
import type { AllocateOptions } from '../experiments/allocate_options.ts';
import { InMemoryRunStore } from '../experiments/store.ts';
import { formatInterval, formatNumber, formatPercent } from '../results/format.ts';
import type { Asked } from './asked_experiment.ts';
import { measuring } from './measuring.ts';
import type { Session } from './session.ts';

/**
 * Writes allocate.json and, for every budget, the memory that was found, which `--memory` of other commands takes.
 * @throws ConfigError, DataError, AdapterError, LimitError, DeviceLostError, InterruptedError
 */
export async function allocateCommand(session: Session, asked: Asked, wanted: AllocateOptions): Promise<void> {
  if (wanted.budgets.some((budget) => !(budget >= 0 && budget <= 1))) throw new ConfigError('--budget: give 0..1');
  const { progress, signal, options } = session;
  const run = { store: new InMemoryRunStore(), progress, signal };
  await measuring(session, asked, async (gpu, data, manifest) => {
    const { allocations, measured } = await allocateMemory(gpu, data, asked.config, run, wanted);
    const rows = [];
    for (const { memory, ...report } of allocations) {
      const path = join(options.out, `memory-${report.budget}.json`);
      await writeFileAtomic(path, json(memory));
      rows.push({ ...report, memory: path });
    }
    const result = { manifest: manifest(), ...wanted, measured, rows };
    const path = join(options.out, 'allocate.json');
    await writeFileAtomic(path, json(result));
    session.answer(result, [
      `${measured} memories were measured`,
      ...rows.flatMap((row) => [...allocationLines(row), `  midas run ... --memory ${row.memory}`]),
      `allocate: ${path}`,
    ]);
  });
}

const json = (value: unknown) => `${JSON.stringify(value, null, 1)}\n`;

function allocationLines({ budget, layers, confirmed, undefended, holds }: Omit<Allocation, 'memory'>): string[] {
  const chosen = Object.entries(layers).map(([layer, name]) => `${layer}: ${name}`);
  return [
    `for at most ${formatPercent(budget)} of accuracy: ${chosen.join('; ')}`,
    `  in other draws: accuracy ${formatInterval(confirmed.accuracy)} (without errors ${formatNumber(undefended.accuracy.mean)}), ` +
      `lift of the worst attacker ${formatInterval(confirmed.leak)} (${formatNumber(undefended.leak.mean)}), energy ` +
      `${formatNumber(confirmed.energy)} of exact weights${holds ? '' : '; it costs more accuracy than that there'}`,
  ];
}
