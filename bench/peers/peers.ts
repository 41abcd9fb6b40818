/**
 * `npm run bench -- --peers`: compares this engine with tfjs-backend-webgpu and jax-js, in turns on one adapter, and with
 * onnxruntime-web in WebAssembly and PyTorch on the processor of the same machine.
 */
import { MidasError } from '../../src/errors.ts';
import { atLeast, failedRow, makeRow, type Row, type Target } from '../rows.ts';
import { ratios } from '../timing.ts';
import { CASES, type Case } from './cases.ts';
import { installPeers } from './install.ts';
import { type EngineName, startEngine } from './process.ts';
import { findPytorch, startPytorch } from './pytorch.ts';
import { type CaseOutcome, takeTurns } from './turns.ts';
import { benchWholeRun } from './whole_run.ts';

/** Targets: how many times faster a training step is than that of a peer. */
const TARGETS: Readonly<Record<string, number>> = { tfjs: 5, 'jax-js': 1 };

/** Engines that run on no adapter. */
const ON_THE_PROCESSOR = ['onnxruntime', 'pytorch'];

/** The engines of a kind of cases. onnxruntime-web only runs ONNX files, and jax-js has no reader of them; for the others they are written out. */
function takesPart(engine: string, kind: Case['kind']): boolean {
  if (kind === 'defended') return engine === 'midas' || engine === 'pytorch';
  return kind === 'exported' ? engine !== 'jax-js' : engine !== 'onnxruntime';
}

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
  const python = findPytorch();
  if (python) contestants.push(startPytorch(python, clock));
  else say("PyTorch is left out: python3 has no module torch (Debian's python3-torch)");
  try {
    const engines: Record<string, string> = {};
    const adapters = new Set<string>();
    for (const contestant of contestants) {
      const { version, adapter: found } = await contestant.ask<{ version: string; adapter: string }>({
        kind: 'describe',
      });
      engines[contestant.name] = version;
      if (!ON_THE_PROCESSOR.includes(contestant.name)) adapters.add(found);
    }
    if (adapters.size > 1) throw new MidasError(`the engines run on different adapters: ${[...adapters].join(', ')}`);
    const outcomes = [];
    for (const compared of CASES) {
      const own = contestants.filter(({ name }) => takesPart(name, compared.kind));
      outcomes.push(...(await takeTurns([compared], own, rounds, say)));
    }
    const differences = outcomes.flatMap(({ outcomes: engines }) =>
      [...engines.values()].flatMap((outcome) => ('failure' in outcome && outcome.differs ? [outcome.failure] : [])),
    );
    const rows = outcomes.flatMap(rowsOf);
    for (const contestant of contestants) contestant.stop();
    if (python) rows.push(...(await benchWholeRun(adapter, python, rounds, say)));
    return { rows, engines, differences };
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
    const least = compared.kind === 'training' ? TARGETS[engine] : undefined;
    const goal: Target | undefined = least === undefined ? undefined : atLeast(least);
    faster.push(
      makeRow(`${compared.name}: times faster than ${engine}`, ratios(outcome.times, ours.times), 'times', goal),
    );
  }
  return [...rows, ...faster];
}
