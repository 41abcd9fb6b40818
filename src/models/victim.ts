import type { Arena, Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';

/**
 * A model as an attacker sees it: inputs in, logits (from which the released probabilities follow) out, and, for a white
 * box, the gradient with respect to the input. What memory the weights are read from is the victim's affair.
 */
export interface Victim {
  readonly inputs: number;
  readonly classes: number;
  /** True where every image reads weights of its own (granularity `inference`): a split is then one pass, however cut. */
  readonly readsPerImage?: boolean;
  /** Draws of its memory that it holds together. The inputs are as many equal consecutive groups; each group sees one draw. */
  readonly draws: number;
  /**
   * Plans buffers for `x.rows` inputs, a multiple of `draws`; the two recorders may be called in any number of programs.
   * @throws ShapeError where it is none
   */
  plan(arena: Arena, x: Matrix): VictimRun;
}

export interface VictimRun {
  readonly x: Matrix;
  readonly logits: Matrix;
  /** The buffer into which the gradient of the cost must be written before {@link recordInputGradient}. */
  readonly gradLogits: Matrix;
  readonly gradInput: Matrix;
  /** Reads of approximate memory included. The step's `pass_index` must be even. */
  recordForward(recorder: Recorder): void;
  recordInputGradient(recorder: Recorder): void;
}
