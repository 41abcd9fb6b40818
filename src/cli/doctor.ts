/** `midas doctor`: describes the adapter, checks every kernel on it, and measures its speed. */

import { attackOfKind } from '../attacks/registry.ts';
import { MidasError } from '../errors.ts';
import { plannedConditions } from '../experiments/conditions.ts';
import { parseExperiment } from '../experiments/config.ts';
import { demoInputs } from '../experiments/presets.ts';
import { Arena } from '../gpu/arena.ts';
import { type Gpu, limitsOf } from '../gpu/device.ts';
import type { AdapterSummary } from '../gpu/guarded_device.ts';
import { type Program, Recorder } from '../gpu/recorder.ts';
import { recordGemm } from '../kernels/gemm.ts';
import { recordCopy, recordFmaCeiling, recordHashCeiling } from '../kernels/probe.ts';
import { modelSpec } from '../models/specs.ts';
import { formatDuration } from '../results/results.ts';
import { checkedKernels, type KernelCheck, selfCheck } from '../verify/kernels.ts';
import { openCommandGpu } from './open_gpu.ts';
import type { Session } from './session.ts';

/** Measured speed of the adapter. */
export interface Speed {
  /** Rate of multiply-adds on 16 vec4 accumulators without loads or stores; a multiply-add is two operations. */
  readonly fmaCeilingGflops: number;
  /** Bytes that a copying shader reads and writes, in 1e9 per second. */
  readonly copyGbps: number;
  /** Rate of draws. A draw is one call of the hash pcg4d, which returns four u32. */
  readonly hashDrawsPerSecond: number;
  /** Rate of the matrix product C = A Bᵀ, 512 x 512 x 512. */
  readonly gemm512Gflops: number;
}

/** The output with --json. An error of NaN (the kernel did not compile) becomes null there. */
export interface DoctorReport extends Speed {
  readonly adapter: AdapterSummary;
  readonly limits: Readonly<Record<string, number>>;
  readonly features: readonly string[];
  readonly kernels: readonly Pick<KernelCheck, 'kernel' | 'maxError' | 'tolerance' | 'ok'>[];
  readonly demoSecondsEstimate: number;
}

/**
 * Checks the adapter that the session's options name, and prints a {@link DoctorReport} or its table.
 * @throws MidasError naming the wrong kernels, after the output; AdapterError, DeviceLostError, InterruptedError
 */
export async function doctor(session: Session): Promise<void> {
  const { progress } = session;
  const gpu = await openCommandGpu(session);
  try {
    progress.start('checking kernels', checkedKernels(gpu).length);
    const onCompiled = (kernel: string) => {
      if (!session.signal.aborted) progress.advance(1, kernel);
    };
    const checks = await session.unlessInterrupted(selfCheck(gpu, { onCompiled, signal: session.signal }));
    progress.done();
    progress.start('measuring speed', 1);
    const speed = await session.unlessInterrupted(measureSpeed(gpu));
    progress.done();
    const report: DoctorReport = {
      adapter: gpu.adapter,
      limits: limitsOf(gpu),
      features: [...gpu.device.features].sort(),
      kernels: checks.map(({ kernel, maxError, tolerance, ok }) => ({ kernel, maxError, tolerance, ok })),
      ...speed,
      demoSecondsEstimate: Math.round(demoSeconds(speed.gemm512Gflops)),
    };
    session.answer(report, reportLines(report));
    const failed = checks.filter(({ ok }) => !ok);
    if (failed.length > 0) throw new MidasError(describeFailures(failed));
  } finally {
    // Closing a device waits for pipelines that are compiling, which takes seconds; an interrupted process simply ends.
    if (!session.signal.aborted) await gpu.close();
  }
}

function describeFailures(failed: readonly KernelCheck[]): string {
  const [{ kernel, maxError, tolerance, failure }, ...others] = failed;
  const what =
    failure?.split('\n')[0] ?? `off by ${maxError.toExponential(1)}, ${tolerance.toExponential(1)} is allowed`;
  const more = others.length > 0 ? ` (and ${others.map((other) => other.kernel).join(', ')})` : '';
  return `${kernel} is wrong on this adapter: ${what}${more}`;
}

/** Builds the programs that {@link measureSpeed} times, each with the work of one run. */
export async function buildProbes(gpu: Gpu, arena: Arena): Promise<Record<'fma' | 'copy' | 'hash', Probe>> {
  // A run shall take some milliseconds: this needs few invocations on two cores, a quarter of a million on a GPU.
  const invocations = gpu.adapter.software ? 4096 : 2 ** 18;
  const output = arena.allocate('probe output', invocations * 16);
  const bytes = 2 ** 26;
  const [input, copied] = [arena.allocate('copy input', bytes), arena.allocate('copy output', bytes)];
  const build = async (label: string, record: (recorder: Recorder) => number): Promise<Probe> => {
    const recorder = new Recorder(gpu);
    const work = record(recorder);
    return { program: await recorder.build(label), work };
  };
  const [fma, copy, hash] = await Promise.all([
    build('FMA ceiling', (recorder) => recordFmaCeiling(recorder, { invocations, iterations: 64, output })),
    build('copy', (recorder) => recordCopy(recorder, { bytes, input, output: copied })),
    build('hash ceiling', (recorder) => recordHashCeiling(recorder, { invocations, iterations: 64, output })),
  ]);
  return { fma, copy, hash };
}

/** A program that is timed. */
export interface Probe {
  readonly program: Program;
  /** Work of one run: floating-point operations, bytes or hash draws. */
  readonly work: number;
}

/** Returns the milliseconds of a monotonic clock. */
export type Clock = () => number;

/**
 * Mean milliseconds per run, by the host's clock, of `repeats` runs back to back between two waits for the device.
 * Timestamps around single dispatches would leave out the cost between them.
 */
export async function timeRuns(
  gpu: Pick<Gpu, 'idle'>,
  run: () => unknown,
  repeats: number,
  clock: Clock = () => performance.now(),
): Promise<number> {
  await gpu.idle();
  const before = clock();
  for (let i = 0; i < repeats; i++) await run();
  await gpu.idle();
  return (clock() - before) / repeats;
}

/** Number of runs that together take at least `milliseconds`. The first run, which may still compile, does not count. */
export async function repeatsFor(
  gpu: Pick<Gpu, 'idle'>,
  run: () => unknown,
  milliseconds: number,
  clock?: Clock,
): Promise<number> {
  await timeRuns(gpu, run, 1, clock);
  for (let repeats = 1; ; ) {
    const took = repeats * (await timeRuns(gpu, run, repeats, clock));
    if (took >= milliseconds) return repeats;
    repeats = Math.ceil(Math.min((1.2 * repeats * milliseconds) / Math.max(took, 1e-3), 8 * repeats));
  }
}

/** The middle value; for an even number of values, the upper of the two middle ones. */
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Runs every probe in turn, three rounds of at least 50 ms each, and returns medians. Takes some seconds. */
async function measureSpeed(gpu: Gpu): Promise<Speed> {
  const arena = new Arena(gpu);
  try {
    const size = 512;
    const matrix = (label: string) => arena.matrix(label, size, size);
    const recorder = new Recorder(gpu);
    const product = { transposition: 'nt', a: matrix('a'), b: matrix('b'), c: matrix('c') } as const;
    recordGemm(recorder, arena, { label: 'gemm 512', ...product });
    const [probes, program] = await Promise.all([buildProbes(gpu, arena), recorder.build('gemm 512')]);
    const all: Record<'fma' | 'copy' | 'hash' | 'gemm', Probe> = {
      ...probes,
      gemm: { program, work: 2 * size ** 3 },
    };
    const runs = await Promise.all(
      Object.entries(all).map(async ([name, probe]) => [name, probe, [] as number[]] as const),
    );
    const repeats = new Map<string, number>();
    for (const [name, probe] of runs) repeats.set(name, await repeatsFor(gpu, () => probe.program.run(), 50));
    for (let round = 0; round < 3; round++) {
      for (const [name, probe, times] of runs) {
        times.push(await timeRuns(gpu, () => probe.program.run(), repeats.get(name)!));
      }
    }
    const perSecond = Object.fromEntries(
      runs.map(([name, { work }, times]) => [name, (1000 * work) / median(times)]),
    ) as Record<keyof typeof all, number>;
    return {
      fmaCeilingGflops: perSecond.fma / 1e9,
      copyGbps: perSecond.copy / 1e9,
      hashDrawsPerSecond: perSecond.hash,
      gemm512Gflops: perSecond.gemm / 1e9,
    };
  } finally {
    arena.destroy();
  }
}

/** Number of noise scales that one calibration curve measures: the grid of ten and a few refinements. */
const CALIBRATION_SCALES = 14;

/**
 * The share of the rate of GEMM 512 x 512 x 512 that the shallow half of the demo reaches while it trains and attacks. Its
 * matrices are narrow, and losses, images and updates take time between the products. Measured on SwiftShader.
 */
const DEMO_SHARE = 0.24;

/** Seconds that the rest of the demo takes (its deep half, faces, compiling, metrics, figures), measured on two cores. */
const DEMO_FIXED_SECONDS = 35;

/**
 * Floating-point operations of the matrix products in `midas demo`: training, and per condition and draw the product of the
 * two layers' weights, one evaluation and the attacks. Computed from the configuration of the demo.
 */
export function demoFlops(): number {
  const config = parseExperiment(demoInputs(false).shallow, 'demo');
  const { victim, data } = config;
  if (!('hidden' in victim) || data.kind !== 'procedural') throw new Error('the demo has a victim of dense layers');
  const pixels = data.width * data.height;
  const people = data.people;
  const [trained, tested] = [data.trained * people, (data.photographs - data.trained) * people];
  const spec = modelSpec(victim.kind, pixels, people, victim.hidden);
  const { layers } = spec;
  const weights = layers.map(({ inputs, outputs }) => inputs * outputs);
  const all = weights.reduce((sum, count) => sum + count, 0);
  // Forward passes, weight gradients, and input gradients of all layers except the first.
  const training = victim.training.epochs * trained * 2 * (3 * all - weights[0]);
  const folded = pixels * people;
  const load = 2 * (folded * layers[0].outputs + tested * folded);
  const outputs = config.attacks.flatMap((attack) => attackOfKind(attack.kind).outputs(attack));
  const iterations = outputs.reduce((sum, { units }) => sum + units, 0);
  const attacks = 2 * 2 * people * folded * iterations;
  const fixed = plannedConditions(config, spec);
  const drawn = fixed.filter(({ kind }) => kind === 'bit-error').length;
  // At most, every kind of noise is matched to every bit error rate of its set of layers.
  const conditions = drawn * (1 + config.noise.kinds.length) * config.draws + (fixed.length - drawn);
  const calibrations = config.noise.kinds.length * config.sweeps.length * CALIBRATION_SCALES * config.draws;
  return training + conditions * (load + attacks) + calibrations * load;
}

function demoSeconds(gemmGflops: number): number {
  return DEMO_FIXED_SECONDS + demoFlops() / (gemmGflops * 1e9 * DEMO_SHARE);
}

/** The lines that `midas doctor` prints without --json. */
export function reportLines(report: DoctorReport): string[] {
  const { adapter, limits, features, kernels } = report;
  const bytes = (value: number) =>
    value >= 2 ** 30
      ? `${round(value / 2 ** 30)} GiB`
      : value >= 2 ** 20
        ? `${round(value / 2 ** 20)} MiB`
        : `${round(value / 1024)} KiB`;
  const has = (feature: string) => (features.includes(feature) ? 'yes' : 'no');
  const lanes = features.includes('subgroups') ? `, ${limits.subgroupMinSize} to ${limits.subgroupMaxSize} lanes` : '';
  const facts: [string, string][] = [
    ['adapter', `${adapter.name}${adapter.software ? ' (software: it runs on the CPU)' : ''}`],
    ['vendor', `${adapter.vendor || 'unknown'}, architecture ${adapter.architecture || 'unknown'}`],
    ['storage binding', bytes(limits.maxStorageBufferBindingSize)],
    ['buffer', bytes(limits.maxBufferSize)],
    ['storage buffers', `${limits.maxStorageBuffersPerShaderStage} per shader stage`],
    [
      'workgroup',
      `${limits.maxComputeInvocationsPerWorkgroup} invocations, ${bytes(limits.maxComputeWorkgroupStorageSize)} of memory`,
    ],
    ['subgroups', `${has('subgroups')}${lanes}`],
    ['timestamp-query', has('timestamp-query')],
    ['features', features.join(', ')],
  ];
  const { fmaCeilingGflops, copyGbps, hashDrawsPerSecond, gemm512Gflops, demoSecondsEstimate } = report;
  const speeds: [string, string][] = [
    ['FMA ceiling', `${round(fmaCeilingGflops)} GFLOP/s`],
    ['copy', `${round(copyGbps)} GB/s`],
    ['ridge point', `${round(fmaCeilingGflops / copyGbps)} FLOP per byte, where these two meet`],
    ['hash', `${round(hashDrawsPerSecond / 1e6)} million draws/s`],
    [
      'GEMM 512^3',
      `${round(gemm512Gflops)} GFLOP/s, ${round((100 * gemm512Gflops) / fmaCeilingGflops)} % of the FMA ceiling`,
    ],
    [
      'midas demo',
      `about ${formatDuration(demoSecondsEstimate)} (an estimate from the GEMM rate; other work on this machine adds to it)`,
    ],
  ];
  const pairs = (rows: readonly [string, string][]) => rows.map(([name, value]) => `${name.padEnd(16)} ${value}`);
  const wide = Math.max(...kernels.map(({ kernel }) => kernel.length));
  const error = (value: number) => (value === 0 ? '0' : value.toExponential(1)).padStart(13);
  const good = kernels.filter(({ ok }) => ok).length;
  return [
    ...pairs(facts),
    '',
    `${'kernel'.padEnd(wide)} ${'largest error'.padStart(13)} ${'tolerance'.padStart(13)}`,
    ...kernels.map(
      ({ kernel, maxError, tolerance, ok }) =>
        `${kernel.padEnd(wide)} ${error(maxError)} ${error(tolerance)}  ${ok ? 'ok' : 'WRONG'}`,
    ),
    `${good} of ${kernels.length} kernels agree with their float64 references`,
    '',
    ...pairs(speeds),
  ];
}

/** Three significant digits, without an exponent. */
function round(value: number): string {
  return String(Number(value.toPrecision(3)));
}
