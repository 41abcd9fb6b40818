/** Parts that every command shares: options, progress, the interrupt signal, and output. */
import { ConfigError } from '../errors.ts';
import type { Gpu } from '../gpu/device.ts';
import { packageVersion } from '../gpu/node/package.ts';
import { createProgress, type Progress } from './output.ts';

export interface CommonOptions {
  readonly out: string;
  /** Absent where the user gave none. */
  readonly seed?: number;
  readonly adapter: string;
  readonly json: boolean;
  readonly quiet: boolean;
  /** Options of the commands that run an experiment. */
  readonly profile?: boolean;
  readonly tune?: boolean;
}

export class Session {
  readonly options: CommonOptions & { readonly seed: number };
  readonly progress: Progress;
  /** The command line that repeats this run, from `midas` on. */
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

  /** Says once what runs here, and warns where it is software. */
  opened(gpu: Gpu): void {
    if (gpu.adapter.software) {
      this.progress.warn(`no GPU here: ${gpu.adapter.name} runs on the CPU, some hundred times slower than a real GPU`);
    }
  }

  /** A line for people, on stderr; silent with --quiet. */
  say(line: string): void {
    if (!this.options.quiet) process.stderr.write(`${line}\n`);
  }

  /** A command's answer: one JSON object with --json, otherwise lines; on stdout. */
  answer(json: unknown, lines: readonly string[]): void {
    process.stdout.write(this.options.json ? `${JSON.stringify(json)}\n` : lines.map((line) => `${line}\n`).join(''));
  }

  /** Interrupts by itself after so many minutes. */
  stopAfter(minutes: number): void {
    setTimeout(() => this.#controller.abort(), minutes * 60_000).unref();
  }

  #interrupt(): void {
    this.#controller.abort();
    // A second Ctrl-C does not wait for the unit of work at hand; everything finished is on disk already.
    process.once('SIGINT', () => process.exit(130));
    this.say('interrupted: finishing the step at hand (press again to leave immediately)');
  }
}

/** An argument as a shell takes it. */
function quoted(arg: string): string {
  return /^[\w@%+=:,./^-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", "'\\''")}'`;
}
