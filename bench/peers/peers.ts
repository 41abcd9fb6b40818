/**
 * `npm run bench -- --peers`: compares this engine with tfjs-backend-webgpu and jax-js, in turns on one adapter, and with
 * onnxruntime-web in WebAssembly on the same machine.
 */
import { MidasError } from '../../src/errors.ts';
import { atLeast, failedRow, makeRow, type Row, type Target } from '../rows.ts';
import { ratios } from '../timing.ts';
import { CASES } from './cases.ts';
import { installPeers } from './install.ts';
import { type EngineName, startEngine } from './process.ts';
import { type CaseOutcome, takeTurns } from './turns.ts';

/** Targets: how many times faster a training step is than that of a peer. */
const TARGETS: Readonly<Record<string, number>> = { tfjs: 5, 'jax-js': 1 };

export interface PeersResult {
  readonly rows: readonly Row[];
  /** Engine -> version. */
  readonly engines: Readonly<Record<string, string>>;
  /** Messages about results that differ from ours, with case and largest difference. */
  readonly differences: readonly string[];
}

/**
 * Installs the peers if necessary, and runs all cases on all engines.
 * @param clock a name of CLOCKS (bench/timing.ts), read in each engine's own process
 * @throws MidasError if the peers cannot be installed or started, or if our engine fails
 */
export async function benchPeers(
  adapter: string,
  clock: string,
  rounds: number,
  say: (text: string) => void,
): Promise<PeersResult> {
  installPeers(say);
  const names: EngineName[] = ['midas', 'tfjs', 'jax-js', 'onnxruntime'];
  const contestants = names.map((name) => startEngine(name, adapter, clock));
  try {
    const engines: Record<string, string> = {};
    const adapters = new Set<string>();
    for (const contestant of contestants) {
      const { version, adapter: found } = await contestant.ask<{ version: string; adapter: string }>({
        kind: 'describe',
      });
      engines[contestant.name] = version;
      // WebAssembly runs on no adapter.
      if (contestant.name !== 'onnxruntime') adapters.add(found);
    }
    if (adapters.size > 1) throw new MidasError(`the engines run on different adapters: ${[...adapters].join(', ')}`);
    // onnxruntime-web only runs ONNX files, and jax-js has no reader of them; for tfjs they are written out.
    const outcomes = [];
    for (const isExported of [true, false]) {
      const cases = CASES.filter(({ kind }) => (kind === 'exported') === isExported);
      const absent = isExported ? 'jax-js' : 'onnxruntime';
      const own = contestants.filter(({ name }) => name !== absent);
      outcomes.push(...(await takeTurns(cases, own, rounds, say)));
    }
    const differences = outcomes.flatMap(({ outcomes: engines }) =>
      [...engines.values()].flatMap((outcome) => ('failure' in outcome && outcome.differs ? [outcome.failure] : [])),
    );
    return { rows: outcomes.flatMap(rowsOf), engines, differences };
  } finally {
    for (const contestant of contestants) contestant.stop();
  }
}

/** Rows of one case: the milliseconds of every engine, and how many times faster ours is, by ratios within rounds. */
export function rowsOf({ compared, outcomes }: CaseOutcome): Row[] {
  const rows: Row[] = [];
  const faster: Row[] = [];
  const ours = outcomes.get('midas');
  for (const [engine, outcome] of outcomes) {
    const name = `${compared.name}: ${engine}`;
    if ('failure' in outcome) {
      rows.push(failedRow(name, 'ms', outcome.failure));
      continue;
    }
    rows.push(makeRow(name, outcome.times, 'ms'));
    if (engine === 'midas' || !ours || 'failure' in ours) continue;
    const goal: Target | undefined = compared.kind === 'training' ? atLeast(TARGETS[engine]) : undefined;
    faster.push(
      makeRow(`${compared.name}: times faster than ${engine}`, ratios(outcome.times, ours.times), 'times', goal),
    );
  }
  return [...rows, ...faster];
}
