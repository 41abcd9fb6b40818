/** Interleaved timing: every case once per round, so that whatever else the machine does meets all of them alike. */
import { cpus } from 'node:os';
import { type Clock, repeatsFor, timeRuns } from '../src/cli/doctor.ts';
import type { Gpu } from '../src/gpu/device.ts';

export interface Case {
  /** Brings the device into the case's state; not timed, before every round. */
  prepare?(): Promise<void>;
  /** One run; not awaited by the device, so that runs queue up. */
  run(): unknown;
}

/** `wall`: the time that passes. `cpu`: see {@link CLOCKS}. */
export type ClockName = 'wall' | 'cpu';

/**
 * `cpu` is the processor time that this process has used, spread over all cores: what the wall clock would say on a machine
 * that does nothing else, for work that keeps every core busy. Of use on a software adapter, on a machine that is shared.
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

/** A timing shorter than this is mostly clock and queue. */
export const SHORTEST = 50;

/**
 * Milliseconds a run of every case, some rounds of each, in turns A B C A B C. A run is repeated until 50 ms are full, between
 * two waits for the whole device, and the host's clock is read outside of them.
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

/** Element by element: values of the same round belong together. */
export function ratios(a: readonly number[], b: readonly number[]): number[] {
  return a.map((value, i) => value / b[i]);
}
