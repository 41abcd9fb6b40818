import { InterruptedError } from '../errors.ts';
import type { Row } from '../results/results.ts';

/**
 * The store of an experiment's finished work. It is injected: a folder on disk for the command line, memory for tests and
 * the page. Every call returns only when its data would survive a kill of the process.
 */
export interface RunStore {
  /** Rows finished so far, in the order they were appended. */
  readRows(): Promise<Row[]>;
  appendRow(row: Row): Promise<void>;
  /** A file of the run, such as `model.safetensors`; undefined when it is not there yet. */
  read(name: string): Promise<Uint8Array | undefined>;
  write(name: string, bytes: Uint8Array | string): Promise<void>;
  /** The name of a file for an error message. */
  describe(name: string): string;
}

/** Receives the progress of an experiment. Units are estimates of equal cost. */
export interface ProgressSink {
  start(label: string, totalUnits: number, alreadyDone?: number): void;
  advance(units: number, note?: string): void;
  done(note?: string): void;
  warn(line: string): void;
}

/** Reports nothing. */
export const SILENT: ProgressSink = { start() {}, advance() {}, done() {}, warn() {} };

/** The store of a run's work, the sink of its progress, and the signal that interrupts it. */
export interface RunContext {
  readonly store: RunStore;
  readonly progress: ProgressSink;
  /** Interrupts the run between two units of work; all finished work is in the store. */
  readonly signal: AbortSignal;
}

/** @throws InterruptedError once the user has interrupted */
export function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new InterruptedError('interrupted; finished work is saved, continue with --resume');
}

/** A store in memory, for tests and the page. */
export class InMemoryRunStore implements RunStore {
  readonly rows: Row[] = [];
  readonly files = new Map<string, Uint8Array>();

  async readRows(): Promise<Row[]> {
    return [...this.rows];
  }

  async appendRow(row: Row): Promise<void> {
    this.rows.push(row);
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return this.files.get(name);
  }

  async write(name: string, bytes: Uint8Array | string): Promise<void> {
    this.files.set(name, typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes);
  }

  describe(name: string): string {
    return name;
  }
}
