/** Runs cases on all engines: one engine at a time, first comparing results, then timing rounds A B C A B C. */
import { MidasError } from '../../src/errors.ts';
import type { Case } from './cases.ts';
import { checkSame } from './compare.ts';
import type { Contestant } from './process.ts';

/** The outcome of one engine in one case: milliseconds per run, one number per round; or the reason why there are none. */
export type Outcome =
  | { readonly times: readonly number[] }
  | { readonly failure: string /** True if its result differs from ours. */; readonly differs: boolean };

export interface CaseOutcome {
  readonly compared: Pick<Case, 'name' | 'kind'>;
  /** Outcome by name of the engine. */
  readonly outcomes: ReadonlyMap<string, Outcome>;
}

/**
 * Runs every case on every engine. A peer that fails, or whose result differs from ours, is left out of the case.
 * @param contestants our engine first
 * @param rounds number of timings per case and engine
 * @throws MidasError if our engine fails
 */
export async function takeTurns(
  cases: readonly Pick<Case, 'name' | 'kind'>[],
  contestants: readonly Contestant[],
  rounds: number,
  say: (text: string) => void,
): Promise<CaseOutcome[]> {
  const all: CaseOutcome[] = [];
  for (const compared of cases) {
    say(compared.name);
    all.push({ compared, outcomes: await runCase(compared, contestants, rounds) });
  }
  return all;
}

async function runCase(
  compared: Pick<Case, 'name' | 'kind'>,
  contestants: readonly Contestant[],
  rounds: number,
): Promise<Map<string, Outcome>> {
  const [ours] = contestants;
  const outcomes = new Map<string, Outcome>();
  const times = new Map<Contestant, number[]>();
  /** Does the work; the failure of a peer becomes its outcome. @returns undefined if a peer failed */
  const attempt = async <Value>(contestant: Contestant, work: () => Promise<Value>): Promise<Value | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (contestant === ours) throw new MidasError(`${compared.name}: ${(error as Error).message}`, { cause: error });
      times.delete(contestant);
      outcomes.set(contestant.name, { failure: (error as Error).message, differs: false });
      return undefined;
    }
  };
  let reference: Float32Array | undefined;
  for (const contestant of contestants) {
    const results = await attempt(contestant, () =>
      contestant.ask<Float32Array>({ kind: 'build', name: compared.name }),
    );
    if (!results) continue;
    reference ??= results;
    try {
      checkSame(compared, contestant.name, results, reference);
      times.set(contestant, []);
    } catch (error) {
      outcomes.set(contestant.name, { failure: (error as Error).message, differs: true });
    }
  }
  for (const contestant of [...times.keys()]) await attempt(contestant, () => contestant.ask({ kind: 'warm' }));
  for (let round = 0; round < rounds; round++) {
    for (const [contestant, measured] of [...times]) {
      const milliseconds = await attempt(contestant, () => contestant.ask<number>({ kind: 'time' }));
      if (milliseconds !== undefined) measured.push(milliseconds);
    }
  }
  for (const [contestant, measured] of times) outcomes.set(contestant.name, { times: measured });
  // All contestants in their order, including those that failed.
  return new Map(contestants.map(({ name }) => [name, outcomes.get(name)!]));
}
