/** Interleaved timing: every case runs once per round, so that other work on the machine slows all cases alike. */
import { cpus } from 'node:os';
import { type Clock, repeatsFor, timeRuns } from '../src/cli/doctor.ts';
import type { Gpu } from '../src/gpu/device.ts';

export interface Case {
  /** Brings the device into the case's state before every round; it is not timed. */
  prepare?(): Promise<void>;
  /** One run. It need not wait for the device, so that runs queue up. */
  run(): unknown;
}

/** Name of a clock: `wall` for elapsed time, `cpu` for processor time (see {@link CLOCKS}). */
export type ClockName = 'wall' | 'cpu';

/**
 * Clocks in milliseconds. `cpu` is the processor time of this process divided by the number of cores: for work that keeps
 * every core busy, the time that the wall clock would show on an idle machine. Use it for software adapters on shared
 * machines.
 */
export const CLOCKS: Readonly<Record<ClockName, Clock>> = {
  wall: () => performance.now(),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000 / cpus().length;
  },
};

/** How a benchmark measures. */
export interface Timing {
  readonly rounds: number;
  readonly clock: Clock;
}

/** Shortest useful timing in milliseconds: shorter ones mostly measure the clock and the queue. */
export const SHORTEST = 50;

/**
 * Times all cases in rounds A B C A B C. In every round a case is repeated for about 50 ms between two waits for the device.
 * @returns for every case its milliseconds per run, one number per round
 */
export async function interleave<Name extends string>(
  gpu: Gpu,
  cases: Readonly<Record<Name, Case>>,
  { rounds, clock }: Timing,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(cases) as Name[];
  const repeats = {} as Record<Name, number>;
  for (const name of names) {
    await cases[name].prepare?.();
    repeats[name] = await repeatsFor(gpu, () => cases[name].run(), SHORTEST, clock);
  }
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      await cases[name].prepare?.();
      times[name].push(await timeRuns(gpu, () => cases[name].run(), repeats[name], clock));
    }
  }
  return times;
}

/** a[i] / b[i]: ratios of values of the same round. */
export function ratios(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, i) => value / b[i]);
}
