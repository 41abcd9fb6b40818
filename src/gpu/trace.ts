/**
 * A trace of a run in the Chrome trace event format, which Perfetto (https://ui.perfetto.dev) and chrome://tracing open: phases,
 * compilations and submits of the host, and the timed passes of the GPU, on one time axis.
 * Format: "Trace Event Format", Google, 2016.
 */

/** One event, as the file holds it. Times are microseconds. */
export interface TraceEvent {
  readonly name: string;
  /** X: complete, b and e: begin and end of a span that may overlap others, M: metadata. */
  readonly ph: 'X' | 'b' | 'e' | 'M';
  readonly cat?: string;
  readonly ts?: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly id?: number;
  readonly args?: Readonly<Record<string, string | number | boolean>>;
}

/** A pass of a timed run, by the clock of the GPU, nanoseconds. */
interface Pass {
  readonly name: string;
  readonly shader: string;
  readonly start: bigint;
  readonly end: bigint;
}

/** Most events: 25 MB of JSON, which Perfetto opens in a few seconds. Later ones are left out, and the file says so. */
const MOST_EVENTS = 200_000;

const HOST = { pid: 1, tid: 1 };
const GPU = { pid: 2, tid: 1 };

/** Collects the events of a run. */
export class Trace {
  readonly #began = performance.now();
  readonly #events: TraceEvent[] = [];
  readonly #passes: Pass[] = [];
  /** Milliseconds of the host at which each timed run was submitted, and the GPU's time at which its first pass began. */
  readonly #submits: { readonly host: number; readonly gpu: bigint }[] = [];
  #spans = 0;

  get isFull(): boolean {
    return this.#events.length + this.#passes.length >= MOST_EVENTS;
  }

  /** Adds a span of the host that no other span of its kind overlaps. @param start ms of performance.now() */
  host(category: 'phase' | 'submit', name: string, start: number, end = performance.now()): void {
    if (this.isFull) return;
    const ts = this.#microseconds(start);
    this.#events.push({ name, cat: category, ph: 'X', ts, dur: 1e3 * (end - start), ...HOST });
  }

  /** Adds a span of the host that may overlap others, such as a compilation. */
  overlapping(category: 'compile', name: string, start: number, end = performance.now()): void {
    if (this.isFull) return;
    const id = ++this.#spans;
    const common = { name, cat: category, id, ...HOST };
    this.#events.push({ ...common, ph: 'b', ts: this.#microseconds(start) });
    this.#events.push({ ...common, ph: 'e', ts: this.#microseconds(end) });
  }

  /**
   * Adds the passes of a timed run.
   * @param submitted ms of performance.now() at which it was submitted
   * @param ticks begin and end of every pass, nanoseconds of the GPU
   */
  passes(
    submitted: number,
    kernels: readonly { readonly shader: string; readonly label: string }[],
    ticks: BigUint64Array,
  ): void {
    if (this.isFull || kernels.length === 0) return;
    this.#submits.push({ host: submitted, gpu: ticks[0] });
    for (const [i, { shader, label }] of kernels.entries()) {
      this.#passes.push({ name: label, shader, start: ticks[2 * i], end: ticks[2 * i + 1] });
    }
  }

  /**
   * The file as text. The clocks of host and GPU differ by a constant; no pass begins before its submit, so it is taken to be the
   * smallest constant for which that holds.
   */
  toJson(): string {
    const shifts = this.#submits.map(({ host, gpu }) => this.#microseconds(host) - Number(gpu) / 1e3);
    const shift = shifts.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const passes = this.#passes.map(({ name, shader, start, end }): TraceEvent => {
      const ts = Number(start) / 1e3 + shift;
      // A driver may set its clock back in between.
      const dur = Math.max(0, Number(end - start) / 1e3);
      return { name, cat: 'kernel', ph: 'X', ts, dur, args: { shader }, ...GPU };
    });
    const named = (name: string, of: typeof HOST, what: 'process_name' | 'thread_name'): TraceEvent => {
      return { name: what, ph: 'M', args: { name }, ...of };
    };
    const metadata = [
      named('host', HOST, 'process_name'),
      named('JavaScript', HOST, 'thread_name'),
      named('GPU', GPU, 'process_name'),
      named('compute passes of timed runs', GPU, 'thread_name'),
    ];
    const traceEvents = [...metadata, ...this.#events, ...passes];
    return `${JSON.stringify({ traceEvents, displayTimeUnit: 'ms', otherData: { truncated: this.isFull } })}\n`;
  }

  #microseconds(milliseconds: number): number {
    return 1e3 * (milliseconds - this.#began);
  }
}
