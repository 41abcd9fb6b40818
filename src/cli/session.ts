/** The parts that all commands share: options, progress, the interrupt signal, and output. */
import { ConfigError, InterruptedError } from '../errors.ts';
import type { Gpu } from '../gpu/device.ts';
import { packageVersion } from '../gpu/node/package.ts';
import { printable, printableJson } from '../printable.ts';
import { createProgress, type Progress } from './output.ts';
import { shellQuoted } from './shell.ts';

export interface CommonOptions {
  readonly out: string;
  /** Absent if the user gave none. */
  readonly seed?: number;
  readonly adapter: string;
  readonly json: boolean;
  readonly quiet: boolean;
  /** Only commands that run an experiment have this option and the next. */
  readonly profile?: boolean;
  readonly tune?: boolean;
  /** File of the trace of the run. */
  readonly trace?: string;
  /** Only commands that run kernels have this option and the next. */
  readonly dumpShaders?: string;
  /** Toggles of Dawn, separated by commas. */
  readonly dawn?: string;
  /** Only commands that run an experiment and merge have this option. */
  readonly waitMinutes?: number;
}

/** Longest delay of a timer, ms: a longer one would end immediately. 25 days. */
const LONGEST_TIMER = 2 ** 31 - 1;

export class Session {
  readonly options: CommonOptions & { readonly seed: number };
  readonly progress: Progress;
  /** The command line that repeats this run; it begins with `midas`. */
  readonly command: string;
  readonly version: string;
  readonly #controller = new AbortController();

  constructor(options: CommonOptions, args: readonly string[]) {
    const { seed = 1 } = options;
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new ConfigError('--seed: give a whole number in 0..2^53-1');
    }
    this.options = { ...options, seed };
    this.progress = createProgress({ quiet: options.quiet });
    this.command = ['midas', ...args.filter((arg) => arg !== '--resume').map(shellQuoted)].join(' ');
    this.version = packageVersion();
    process.once('SIGINT', () => this.#interrupt());
    process.once('SIGTERM', () => this.#interrupt());
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Warns if the adapter is software. */
  opened(gpu: Gpu): void {
    if (gpu.adapter.software) {
      this.progress.warn(`no GPU here: ${gpu.adapter.name} runs on the CPU, much more slowly than a GPU`);
    }
  }

  /** Prints a line for people on stderr; prints nothing with --quiet. */
  say(line: string): void {
    if (!this.options.quiet) process.stderr.write(`${printable(line, Number.POSITIVE_INFINITY)}\n`);
  }

  /** Prints a command's output on stdout: one JSON object with --json, otherwise lines. Names in it cannot act on a terminal. */
  answer(json: unknown, lines: readonly string[]): void {
    if (this.options.json) this.answerJson(json);
    else process.stdout.write(lines.map((line) => `${printable(line, Number.POSITIVE_INFINITY)}\n`).join(''));
  }

  /** Prints an output that is JSON for people too: on one line with --json, otherwise indented. */
  answerJson(value: unknown): void {
    process.stdout.write(`${printableJson(JSON.stringify(value, null, this.options.json ? 0 : 2))}\n`);
  }

  /**
   * Waits for work that leaves nothing to save, and no longer than until the user interrupts it.
   * @throws InterruptedError
   */
  unlessInterrupted<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const interrupt = () => reject(new InterruptedError('interrupted'));
      if (signal.aborted) interrupt();
      signal.addEventListener('abort', interrupt, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', interrupt));
    });
  }

  /** Interrupts the command after this many minutes. */
  stopAfter(minutes: number): void {
    setTimeout(() => this.#controller.abort(), Math.min(minutes * 60_000, LONGEST_TIMER)).unref();
  }

  #interrupt(): void {
    this.#controller.abort();
    // A second Ctrl-C does not wait for the current step: everything that is finished is already on disk.
    process.once('SIGINT', () => process.exit(130));
    this.say('interrupted: finishing the current step (press Ctrl-C again to leave immediately)');
  }
}
