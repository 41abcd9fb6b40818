/** `--profile`: writes the time that kernels and host took in a run into a file of its folder, and prints it as tables. */

import { writeFileAtomic } from '../data/node/files.ts';
import type { Gpu } from '../gpu/device.ts';
import type { KernelTime, PhaseProfile } from '../gpu/profiler.ts';
import { formatDuration, type Results } from '../results/results.ts';
import type { RunFolder } from './run_folder.ts';

/** The output of a run: its results, and with --profile the times of its phases. */
export interface Answer extends Results {
  readonly profile?: readonly PhaseProfile[];
}

/**
 * Writes `profile.json` into the run's folder, and the trace where one was asked for. Neither is part of the results, which are the same
 * with and without profiling.
 * @param trace file of the trace
 * @returns the profile as a part of {@link Answer}; an empty object if the device was not opened for profiling
 * @throws DeviceLostError, DataError if the file cannot be written
 */
export async function writeProfile(gpu: Gpu, folder: RunFolder, trace?: string): Promise<Pick<Answer, 'profile'>> {
  const { profiler } = gpu;
  const profile = await profiler?.report();
  if (!profile) return {};
  if (trace !== undefined && profiler?.trace) await writeFileAtomic(trace, profiler.trace.toJson());
  await folder.write('profile.json', `${JSON.stringify(profile, null, 1)}\n`);
  return { profile };
}

/** Number of kernels per phase that get a line of their own; profile.json has all of them. */
const SHOWN = 16;
/** Width of the first column, so that a table stays within 100 characters. */
const NAME_WIDTH = 58;
const HEADINGS = ['calls', 'ms', 'GFLOP/s', 'share'];

interface TableLine {
  readonly name: string;
  readonly calls: number;
  readonly milliseconds: number | null;
  readonly gflops: number | null;
  readonly share: number | null;
}

/** One table per phase in which kernels ran: the kernels, slowest first, then the time of the JavaScript thread. */
export function profileLines(profile: readonly PhaseProfile[]): string[] {
  return profile.filter(({ runs }) => runs > 0).flatMap((phase) => ['', ...phaseLines(phase)]);
}

function phaseLines({ phase, seconds, runs, host, kernels }: PhaseProfile): string[] {
  const shown = kernels.slice(0, SHOWN);
  const rest = kernels.slice(SHOWN);
  const lines: TableLine[] = shown.map((kernel) => ({ ...kernel, name: nameOf(kernel) }));
  if (rest.length > 0) lines.push(sumOf(`${rest.length} more`, rest));
  lines.push(sumOf('all kernels', kernels));
  const width = Math.max(...lines.map(({ name }) => name.length));
  const row = (name: string, cells: readonly string[]) => {
    const [calls, ms, gflops, share] = cells;
    return `${name.padEnd(width)} ${calls.padStart(9)} ${ms.padStart(10)} ${gflops.padStart(8)} ${share.padStart(7)}`;
  };
  const elapsed = seconds < 60 ? `${seconds.toFixed(1)} s` : formatDuration(seconds);
  const untimed = kernels.some(({ milliseconds }) => milliseconds === null) ? '; not all kernels could be timed' : '';
  return [
    `${phase}: ${elapsed} elapsed, ${runs} ${runs === 1 ? 'submit' : 'submits'}${untimed}`,
    row('kernel', HEADINGS),
    ...lines.map(({ name, calls, milliseconds, gflops, share }) =>
      row(name, [
        String(calls),
        milliseconds === null ? '-' : milliseconds.toFixed(1),
        gflops === null ? '-' : String(Number(gflops.toPrecision(3))),
        share === null ? '-' : percent(share),
      ]),
    ),
    host
      ? `host: ${host.milliseconds.toFixed(2)} ms per submit in JavaScript (encoding, submitting), ${percent(host.share)}`
      : 'host: every submit was timed kernel by kernel, which takes the host longer than usual',
  ];
}

/** Shader and label, such as `conv/conv2d_forward  conv1 forward`; the label omits the name of the shader's file. */
function nameOf({ shader, label }: KernelTime): string {
  const file = shader.slice(shader.lastIndexOf('/') + 1);
  const own = label === file ? '' : label.startsWith(`${file} `) ? label.slice(file.length + 1) : label;
  const name = own === '' ? shader : `${shader}  ${own}`;
  return name.length > NAME_WIDTH ? `${name.slice(0, NAME_WIDTH - 3)}...` : name;
}

function sumOf(name: string, kernels: readonly KernelTime[]): TableLine {
  const sum = (value: (kernel: KernelTime) => number | null) =>
    kernels.reduce<number | null>((total, kernel) => {
      const part = value(kernel);
      return total === null || part === null ? null : total + part;
    }, 0);
  return {
    name,
    calls: kernels.reduce((total, { calls }) => total + calls, 0),
    milliseconds: sum(({ milliseconds }) => milliseconds),
    gflops: null,
    share: sum(({ share }) => share),
  };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
