import type { Arena, Matrix } from '../gpu/arena.ts';
import type { Recorder } from '../gpu/recorder.ts';

/**
 * A model as an attacker sees it: it takes inputs and returns logits, from which the released probabilities follow, and, for
 * a white box, the gradient with respect to the input. The memory that holds the weights is hidden inside the victim.
 */
export interface Victim {
  readonly inputs: number;
  readonly classes: number;
  /** True where every image reads the weights anew (granularity `inference`): a split is then one pass in any batch size. */
  readonly readsPerImage?: boolean;
  /** Number of draws of its memory that it holds. The inputs are that number of equal consecutive groups, one per draw. */
  readonly draws: number;
  /**
   * Plans buffers for `x.rows` inputs, a multiple of `draws`; the result can record into any number of programs.
   * @param gradient false if the gradient is not needed, so that values can share buffers; default true
   * @throws ShapeError where `x.rows` is not a multiple of `draws`
   */
  plan(arena: Arena, x: Matrix, gradient?: boolean): VictimRun;
}

/** A victim planned for one batch of inputs. */
export interface VictimRun {
  readonly x: Matrix;
  readonly logits: Matrix;
  /** The buffer into which the gradient of the cost must be written before {@link recordInputGradient}. */
  readonly gradLogits: Matrix;
  readonly gradInput: Matrix;
  /** Records x -> logits, with the reads of approximate memory. The step's `pass_index` must be even. */
  recordForward(recorder: Recorder): void;
  /** Records gradLogits -> gradInput, with the reads of approximate memory. */
  recordInputGradient(recorder: Recorder): void;
}
