/** The interface that every compared engine implements. */
import type { Case } from './cases.ts';

/** A case that was built on the device of one engine. */
export interface Runnable {
  /**
   * Runs the case and reads the numbers to compare, in PyTorch's layouts: the values of the result, or the losses of a
   * training's first {@link COMPARED_STEPS} steps. Called once, before any `run`, which continues the training.
   */
  results(): Promise<Float32Array>;
  /** Runs the case once. A training step includes reading its loss; other cases need only be submitted. */
  run(): unknown;
  /** Waits for all submitted work, by reading one number of the last result. */
  idle(): Promise<void>;
  free(): void;
}

export interface Engine {
  /** Version of the engine. */
  readonly version: string;
  /** Name of the adapter it runs on. */
  readonly adapter: string;
  build(compared: Case): Promise<Runnable>;
}

/** Number of steps whose losses are compared; the last loss depends on three updates of the parameters. */
export const COMPARED_STEPS = 4;
