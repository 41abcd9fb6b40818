/** The interface of every engine that is compared. */
import type { Case } from './cases.ts';

/** A case on the device of one engine. */
export interface Runnable {
  /**
   * What is compared, in PyTorch's layouts: the values of the result, or the losses of the first steps of a training.
   * Called once, first; training goes on from there.
   */
  results(): Promise<Float32Array>;
  /** One run. Of a training step this includes reading its loss; anything else only has to be submitted. */
  run(): unknown;
  /** Waits for everything that was submitted, by reading one number of the last result. */
  idle(): Promise<void>;
  free(): void;
}

export interface Engine {
  /** Of the engine itself. */
  readonly version: string;
  /** Name of the adapter it runs on. */
  readonly adapter: string;
  build(compared: Case): Promise<Runnable>;
}

/** Steps whose losses are compared: the last one shows what three updates made of the parameters. */
export const COMPARED_STEPS = 4;
