import type { Dispatch } from './dispatch.ts';
import { GPU_BUFFER_USAGE, GPU_MAP_MODE_READ, type GuardedDevice } from './guarded_device.ts';
import type { Trace } from './trace.ts';

/** One kernel in one phase: all dispatches of one shader under one label. */
export interface KernelTime {
  /** Shader file without its ending, such as `gemm/gemm_nt`. */
  readonly shader: string;
  /** The purpose of the dispatch, such as `fc1 forward`. */
  readonly label: string;
  readonly calls: number;
  /** Time of all calls, projected from those that were timed; null if none was timed. */
  readonly milliseconds: number | null;
  /** Null where the launcher gives no count of operations, or nothing was timed. */
  readonly gflops: number | null;
  /** Share of the phase's elapsed time, 0..1; null if nothing was timed. */
  readonly share: number | null;
}

/** Time that the JavaScript thread spends inside `Program.run`: the step uniform, encoding, submitting. */
export interface HostTime {
  /** Mean time of a run. */
  readonly milliseconds: number;
  /** Share of the phase's elapsed time, 0..1. */
  readonly share: number;
}

/** One phase of a run. Device and host work at the same time and also wait, so shares need not sum to 1. */
export interface PhaseProfile {
  readonly phase: string;
  /** Time between entering and leaving the phase, summed over all visits, including compiling and waiting. */
  readonly seconds: number;
  /** Number of runs of programs, each of which is one submit. */
  readonly runs: number;
  /** Null if every run was a timed one, because timed runs are encoded differently. */
  readonly host: HostTime | null;
  /** Slowest first. */
  readonly kernels: readonly KernelTime[];
}

/**
 * The first FIRST_SAMPLES timings of a program are taken as soon as the previous one has been read back; after that, every
 * SAMPLE_EVERY-th run is timed; for a trace, as many as can be read back.
 */
const FIRST_SAMPLES = 3;
const SAMPLE_EVERY = 16;
/** WebGPU's limit on the queries of a set; a dispatch takes two. */
const MAX_QUERIES = 4096;

/**
 * Times the kernels of a whole run, phase by phase, without waiting anywhere and without changing a bit of the results.
 * A {@link Gpu} that was opened for profiling has one, and it observes every program: a few of the runs are encoded with
 * one timed pass per dispatch, all others as usual, and the time of a kernel is the mean of its timings times its calls.
 * Timings of short dispatches are coarse: a separate pass costs some microseconds more than a dispatch within a pass, and
 * a browser rounds timestamps to 100 us.
 */
export class Profiler {
  readonly #gpu: GuardedDevice;
  readonly #programs: ProgramProfile[] = [];
  readonly #elapsed = new Map<string, number>();
  #phase = 'prepare';
  #entered = performance.now();
  /** Present if a trace was asked for. */
  readonly trace: Trace | undefined;

  constructor(gpu: GuardedDevice, trace?: Trace) {
    this.#gpu = gpu;
    this.trace = trace;
  }

  /** Begins a phase, to which later runs of programs belong. Before the first call the phase is `prepare`. */
  enter(phase: string): void {
    const now = performance.now();
    this.#elapsed.set(this.#phase, (this.#elapsed.get(this.#phase) ?? 0) + now - this.#entered);
    this.trace?.host('phase', this.#phase, this.#entered, now);
    this.#phase = phase;
    this.#entered = now;
  }

  /** Begins to observe a program; the program calls this when it is built. */
  watch(label: string, dispatches: readonly Dispatch[]): ProgramProfile {
    const program = new ProgramProfile(this.#gpu, label, dispatches, () => this.#phase, this.trace);
    this.#programs.push(program);
    return program;
  }

  /** Waits for the timings under way. @returns phases in the order they were first entered. @throws DeviceLostError */
  async report(): Promise<PhaseProfile[]> {
    this.enter(this.#phase);
    await this.#gpu.guard(Promise.all(this.#programs.map(({ pending }) => pending)));
    return [...this.#elapsed].map(([phase, elapsed]) => this.#report(phase, elapsed));
  }

  /** @param elapsed ms */
  #report(phase: string, elapsed: number): PhaseProfile {
    const kernels = new Map<string, { kernel: Kernel; calls: number; nanoseconds: number; flops: number }>();
    let [runs, untimedRuns, host] = [0, 0, 0];
    for (const program of this.#programs) {
      const counted = program.counts.get(phase);
      if (!counted) continue;
      runs += counted.runs;
      untimedRuns += counted.untimedRuns;
      host += counted.host;
      for (const [i, kernel] of program.kernels.entries()) {
        const key = `${kernel.shader} ${kernel.label}`;
        const sum = kernels.get(key) ?? { kernel, calls: 0, nanoseconds: 0, flops: 0 };
        sum.calls += counted.runs;
        sum.nanoseconds += counted.runs * program.nanoseconds(i);
        sum.flops += counted.runs * kernel.flops;
        kernels.set(key, sum);
      }
    }
    return {
      phase,
      seconds: elapsed / 1e3,
      runs,
      host:
        untimedRuns > 0 ? { milliseconds: host / untimedRuns, share: (host / untimedRuns) * (runs / elapsed) } : null,
      kernels: [...kernels.values()]
        .map(({ kernel: { shader, label }, calls, nanoseconds, flops }) => ({
          shader,
          label,
          calls,
          milliseconds: finite(nanoseconds / 1e6),
          gflops: finite(flops / nanoseconds),
          share: finite(nanoseconds / 1e6 / elapsed),
        }))
        .sort((a, b) => (b.milliseconds ?? 0) - (a.milliseconds ?? 0)),
    };
  }
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** The reported facts of a dispatch. Keeping the dispatch itself would keep the buffers of every program alive. */
interface Kernel extends Pick<KernelTime, 'shader' | 'label'> {
  /** NaN where the launcher gives no count. */
  readonly flops: number;
}

/** The buffers for the timestamps of a program; created once, because only one timing is under way at a time. */
interface Timestamps {
  readonly querySet: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly readBack: GPUBuffer;
}

/** The state of a {@link Profiler} for one program. */
export class ProgramProfile {
  readonly kernels: readonly Kernel[];
  /** Counts by phase. `host` is the time inside untimed runs, in milliseconds. */
  readonly counts = new Map<string, { runs: number; untimedRuns: number; host: number }>();
  /** Resolves, and never rejects, when no timing is under way. */
  pending: Promise<void> = Promise.resolve();
  readonly #gpu: GuardedDevice;
  readonly #label: string;
  readonly #phase: () => string;
  readonly #trace: Trace | undefined;
  readonly #canTime: boolean;
  /** Nanoseconds of each dispatch, summed over all timings except the first. */
  readonly #sums: Float64Array;
  /** Nanoseconds of each dispatch in the first timing. Caches are cold then, so it is used only if there is no other. */
  #first: Float64Array | undefined;
  #samples = 0;
  #runs = 0;
  #busy = false;
  #timestamps: Timestamps | undefined;

  constructor(
    gpu: GuardedDevice,
    label: string,
    dispatches: readonly Dispatch[],
    phase: () => string,
    trace: Trace | undefined,
  ) {
    this.#gpu = gpu;
    this.#label = label;
    this.#trace = trace;
    this.kernels = dispatches.map(({ shader: { path }, label, flops = Number.NaN }) => {
      return { shader: path.replace(/\.wgsl$/, ''), label, flops };
    });
    this.#phase = phase;
    this.#sums = new Float64Array(dispatches.length);
    const queries = 2 * dispatches.length;
    this.#canTime = gpu.device.features.has('timestamp-query') && queries > 0 && queries <= MAX_QUERIES;
  }

  /** True if the run that begins now is to be timed: encoded by {@link pass} and {@link resolve}. */
  wantsTiming(): boolean {
    const isTraced = this.#trace !== undefined && !this.#trace.isFull;
    const due = isTraced || this.#samples < FIRST_SAMPLES || this.#runs % SAMPLE_EVERY === 0;
    return this.#canTime && due && !this.#busy;
  }

  /** A pass for dispatch `i` alone. */
  pass(encoder: GPUCommandEncoder, i: number): GPUComputePassEncoder {
    this.#timestamps ??= this.#createTimestamps();
    const { querySet } = this.#timestamps;
    return encoder.beginComputePass({
      label: this.kernels[i].label,
      timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 },
    });
  }

  /** Copies the timestamps for reading; call it after the last pass of a timed run. */
  resolve(encoder: GPUCommandEncoder): void {
    const { querySet, resolved, readBack } = this.#timestamps!;
    const queries = 2 * this.kernels.length;
    encoder.resolveQuerySet(querySet, 0, queries, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, readBack, 0, 8 * queries);
  }

  /** Records that a run was submitted. @param before, after ms of performance.now() when the run began and ended on the host */
  ran(timed: boolean, before: number, after = performance.now()): void {
    const host = after - before;
    this.#trace?.host('submit', this.#label, before, after);
    const phase = this.#phase();
    const counted = this.counts.get(phase) ?? { runs: 0, untimedRuns: 0, host: 0 };
    this.counts.set(phase, counted);
    counted.runs++;
    this.#runs++;
    if (timed) {
      this.#busy = true;
      this.pending = this.#read(before);
    } else {
      counted.untimedRuns++;
      counted.host += host;
    }
  }

  /** Mean time of dispatch `i` in nanoseconds; NaN if it was never timed. */
  nanoseconds(i: number): number {
    if (this.#samples > 1) return this.#sums[i] / (this.#samples - 1);
    return this.#first?.[i] ?? Number.NaN;
  }

  /** @param submitted ms of performance.now() */
  async #read(submitted: number): Promise<void> {
    const { readBack } = this.#timestamps!;
    try {
      await readBack.mapAsync(GPU_MAP_MODE_READ);
    } catch {
      // The device is lost: the code that waits for results will report it.
      return;
    }
    const ticks = new BigUint64Array(readBack.getMappedRange());
    const times = this.#samples === 0 ? new Float64Array(this.kernels.length) : this.#sums;
    // A driver may set its clock back in between, so negative times count as 0.
    for (let i = 0; i < times.length; i++) times[i] += Math.max(0, Number(ticks[2 * i + 1] - ticks[2 * i]));
    if (this.#samples === 0) this.#first = times;
    this.#trace?.passes(submitted, this.kernels, ticks);
    readBack.unmap();
    this.#samples++;
    this.#busy = false;
  }

  #createTimestamps(): Timestamps {
    const { device } = this.#gpu;
    const count = 2 * this.kernels.length;
    const { QUERY_RESOLVE, COPY_SRC, COPY_DST, MAP_READ } = GPU_BUFFER_USAGE;
    const size = 8 * count;
    return {
      querySet: device.createQuerySet({ label: 'timestamps', type: 'timestamp', count }),
      resolved: device.createBuffer({ label: 'timestamps', size, usage: QUERY_RESOLVE | COPY_SRC }),
      readBack: device.createBuffer({ label: 'timestamps read back', size, usage: COPY_DST | MAP_READ }),
    };
  }
}
