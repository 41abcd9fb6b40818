/** The parts that all commands share: options, progress, the interrupt signal, and output. */
import { ConfigError } from '../errors.ts';
import type { Gpu } from '../gpu/device.ts';
import { packageVersion } from '../gpu/node/package.ts';
import { createProgress, type Progress } from './output.ts';

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
}

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
    this.command = ['midas', ...args.filter((arg) => arg !== '--resume').map(quoted)].join(' ');
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
    if (!this.options.quiet) process.stderr.write(`${line}\n`);
  }

  /** Prints a command's output on stdout: one JSON object with --json, otherwise lines. */
  answer(json: unknown, lines: readonly string[]): void {
    process.stdout.write(this.options.json ? `${JSON.stringify(json)}\n` : lines.map((line) => `${line}\n`).join(''));
  }

  /** Interrupts the command after this many minutes. */
  stopAfter(minutes: number): void {
    setTimeout(() => this.#controller.abort(), minutes * 60_000).unref();
  }

  #interrupt(): void {
    this.#controller.abort();
    // A second Ctrl-C does not wait for the current step: everything that is finished is already on disk.
    process.once('SIGINT', () => process.exit(130));
    this.say('interrupted: finishing the current step (press Ctrl-C again to leave immediately)');
  }
}

/** An argument, quoted for a shell if necessary. */
function quoted(arg: string): string {
  return /^[\w@%+=:,./^-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
